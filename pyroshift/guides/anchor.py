"""The anchor guide: where a motif is and how it is turned, by analysis by synthesis."""

import math
from collections.abc import Mapping

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyroshift.errors import SpecificationError
from pyroshift.guides.bins import POSE, Binned, PoseBins
from pyroshift.guides.drawing import draw_pose, without_repeats
from pyroshift.guides.normal import posterior_head
from pyroshift.guides.refinement import align, quadrature, refine
from pyroshift.guides.search import Found, search
from pyroshift.guides.template import STRENGTH, salient_mean, stands_alone
from pyroshift.guides.vector import (
    Independent,
    neutral,
    pack,
    specified,
    unpack,
    unpack_widths,
    within,
)
from pyroshift.model.brightness import draw_brightness, posterior_given, without_brightness
from pyroshift.model.decoders import CanvasDecoder
from pyroshift.model.distributions import divergence, moments
from pyroshift.model.encoders import count_features
from pyroshift.model.guide import Guide, Pair
from pyroshift.model.shapes import Windows
from pyroshift.model.sites import CONTENT, Angle, Content, Offset, PoseSite, Site


class AnchorGuide(Guide):
    """Pose by search instead of by a network, over the whole window and the whole circle.

    For each patch:

        pose ~ Categorical: the exact posterior over bins of offset and angle, given that the motif
            looks like an anchor: the mean of what the decoder makes of the latents of late
        z ~ what the encoder says of the patch, brought back into the motif's frame
        offset, angle, scale ~ Normal: Laplace's approximation, given z, within the bin

    Nothing of it but the encoder is trained: at each step the pose's posterior is what the decoder
    as it is implies (coordinate ascent), so it can't lag behind or get stuck. Since the encoder
    sees aligned patches only, z can't take the pose over. The bins are a site of the model too,
    so that the bound is one on the evidence of a mixture that is the sites' priors up to the bins'
    width. It draws one particle after the other, and can't vectorise them.

    Args:
        anchors: how many motifs are tried as anchors: the mean one, and such as are drawn from the
            prior. More help where motifs differ much, and cost as much again.
        candidates: how many poses of each patch are compared in full when encoding: refined, with
            latents of their own. These are the `modes` in the maps.
        reduction: factor by which patches are reduced for the search, and the bins' distance in
            pixels; by default 2 for images of at least 24 pixels, else 1.
        turn: largest distance of neighbouring angles, radians.

    Raises:
        SpecificationError: if a number makes no sense, or (from the model) there is no pose.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> [site.name for site in ShiftVAE((16, 16), guide="anchor").sites]
        ['pose', 'offset', 'z']
    """

    anchor_latents: Tensor
    typical: Tensor
    displacement: Tensor
    centres: Tensor
    centring = 0.1  # share of its mean displacement by which the motifs' origin moves at each step
    farthest = 0.2  # that it may move along each axis, half-windows, lest windows look off canvas
    remembered = 64  # latents of which the mean motif is made
    renewed = 4  # of them at each step: few, as a batch misplaced by it would spoil it for the next

    def __init__(
        self,
        anchors: int = 1,
        candidates: int = 4,
        reduction: int | None = None,
        turn: float = math.pi / 18,
    ) -> None:
        super().__init__()
        if min(anchors, candidates, 1 if reduction is None else reduction) < 1:
            raise SpecificationError(
                f"anchors, candidates and reduction must be at least 1, got {anchors}, "
                f"{candidates} and {reduction}"
            )
        if not 0 < turn <= math.pi:
            raise SpecificationError(f"turn must be in (0, pi], got {turn}")
        self.anchors, self.candidates = anchors, candidates
        self.reduction, self.turn = reduction, turn

    def setup(self, pair: Pair) -> None:
        """Bin the pose sites, draw the anchors, and build the head of z."""
        self.respecify(pair)
        content = _content(pair)
        prior = pair.priors()[content.name]
        mean = moments(prior)[0].nan_to_num(0.0).reshape(content.event_shape)
        # One by one: no mixture can be asked for no draws at all.
        draws = [prior.sample().reshape(mean.shape) for _ in range(self.anchors - 1)]
        self.register_buffer("anchor_latents", torch.stack([mean, *draws]))
        self.register_buffer("typical", pair.decoder_input(mean.expand(self.remembered, -1)))
        self.register_buffer("displacement", torch.zeros(len(pair.window)))
        self.register_buffer("centres", torch.tensor(True))
        self.head = posterior_head(content, count_features(pair.encoder, pair.window))

    def respecify(self, pair: Pair) -> None:
        """Bin the pose sites as they are now."""
        small = len(pair.window) == 1 or min(pair.window) < 24
        pitch = self.reduction or (1 if small else 2)
        if pitch > min(pair.window) // 4:
            raise SpecificationError(
                f"reduction={pitch} leaves too little of a window of {pair.window}: at most a "
                "quarter of its shorter side"
            )
        binned = [site for site in pair.given_sites if isinstance(site, Offset | Angle)]
        _check_sites(pair, binned)
        bins = PoseBins(binned, pair.window, pitch, self.turn).to(pair.device)
        sites = [Binned(site, bins) if site in binned else site for site in pair.given_sites]
        pair.sites = [bins, *sites]

    def start(self, pair: Pair, x: Tensor) -> None:
        """Where windows show one motif each, let the canvas start from it, and keep it centred.

        A lattice has no middle: an origin that follows its offsets leads to the canvas's edge.
        """
        decoder, x = pair.decoder, pair.likelihood.standardize(x)
        self.centres.fill_(stands_alone(x))
        if self.centres and isinstance(decoder, CanvasDecoder) and decoder.starts_flat:
            shape = tuple(size + 2 for size in decoder.canvas_shape)
            decoder.start_from(STRENGTH * salient_mean(x, shape))

    def posterior_of(self, pair: Pair, site: Site, seen: Windows) -> Distribution:
        """The posterior of z, given standardized windows in the motif's frame."""
        return site.posterior(self.head(pair.encoder(seen)))

    def forward(self, pair: Pair, x: Windows, kl_weight: float | Mapping[str, float]) -> None:
        """Draw the bin, z given the patch aligned by it, and the pose given z."""
        # In single precision throughout: poses are told apart by small differences of large sums.
        with torch.autocast(x.device.type, enabled=False):
            with torch.no_grad():
                if self.training:
                    self._centre(pair)
                found = search(pair, _bins(pair), x, self._motifs(pair))
            with pair.latent_scale(kl_weight, POSE):
                pose = pyro.sample(POSE, dist.Categorical(logits=found.logits))
            if pose.dim() > 1:
                raise SpecificationError(
                    "guide='anchor' draws one particle after the other: give the bound "
                    "vectorize_particles=False, which takes as many"
                )
            with torch.no_grad():
                prior = within(pair, pose)
                start = refine(pair, x, self._anchor(found, pose), prior.mean, prior).mean
            with pair.latent_scale(kl_weight, CONTENT):
                posterior = self._posterior(pair, x, start, self._unseen(pair), self.training)
                z = pyro.sample(CONTENT, posterior)  # type: ignore[arg-type]
            with torch.no_grad():
                laplace = refine(pair, x, z, start, prior)
                if self.training:
                    self._remember(pair, laplace.mean, z)
            values = draw_pose(pair, laplace, kl_weight)
            draw_brightness(pair, x, values | {CONTENT: z}, kl_weight)

    @torch.no_grad()
    def summary(
        self, pair: Pair, x: Windows, drawn: Mapping[str, Distribution] | None = None
    ) -> dict[str, Tensor]:
        """Location and standard deviation of every site at the best of the candidate poses.

        Beside them `pose_entropy` of the bins, and of all candidates, best first, the values of
        the pose sites, `mode_offset` and so on, with `mode_probability`.
        """
        found = search(pair, _bins(pair), x, self._motifs(pair))
        prior, unseen = specified(pair, len(x)), self._unseen(pair)
        modes = [
            self._pursue(pair, x, found, pose, prior, unseen) for pose in self._modes(pair, found)
        ]
        each = {name: torch.stack([mode[name] for mode in modes], 1) for name in modes[0]}
        evidence = without_repeats(pair, each)
        order = evidence.argsort(1, descending=True)
        rows = torch.arange(len(x), device=x.device).unsqueeze(1)
        each = {name: value[rows, order] for name, value in each.items()}
        result = {name: value[:, 0] for name, value in each.items() if name != "evidence"}
        result |= self._pose_moments(pair, x, result, prior)
        for site in pair.pose_sites:
            result[f"mode_{site.name}"] = each[site.name].clone()
            result[f"mode_{site.name}"][:, 0] = result[site.name]
        result["mode_probability"] = evidence[rows, order].softmax(1)
        result["pose_entropy"] = dist.Categorical(logits=found.logits).entropy()
        return result

    def _motifs(self, pair: Pair) -> list[Tensor]:
        """What is searched for, as decoder inputs: the mean motif and each anchor drawn."""
        return [self.typical, *pair.decoder_input(self.anchor_latents[1:]).unsqueeze(1)]

    def _anchor(self, found: Found, pose: Tensor) -> Tensor:
        """Latents of the anchor that explains each patch best in its bin."""
        return self.anchor_latents[found.anchor.gather(1, pose.unsqueeze(1)).squeeze(1)]

    @torch.no_grad()
    def _unseen(self, pair: Pair) -> Tensor:
        """What stands beyond the ends of aligned patches: the first anchor, standardized."""
        z = self.anchor_latents[:1]
        origin = pair.into_motif(pair.grid.unsqueeze(0), neutral(pair, 1))
        expected = pair.likelihood.standardize(pair.likelihood.mean(pair.decode(z, origin)))
        return without_brightness(pair, expected)[0]

    def _posterior(
        self, pair: Pair, x: Tensor, pose: Tensor, unseen: Tensor, learn: bool = False
    ) -> Distribution:
        """Posterior of z, of patches brought back into the motif's frame."""
        with torch.no_grad():
            shown = without_brightness(pair, pair.likelihood.standardize(x))
            aligned = align(pair, shown, pose, unseen)
        return _content(pair).posterior(self.head(pair.encoder(aligned)), learn)

    def _modes(self, pair: Pair, found: Found) -> list[Tensor]:
        """The candidates of each patch: its most probable bins, no two of them neighbours."""
        left, modes = found.logits, []
        for _ in range(min(self.candidates, left.shape[1])):
            modes.append(left.argmax(1))
            left = left.masked_fill(_bins(pair).neighbours(modes[-1]), -math.inf)
        return modes

    def _pursue(
        self,
        pair: Pair,
        x: Tensor,
        found: Found,
        pose: Tensor,
        prior: Independent,
        unseen: Tensor,
    ) -> dict[str, Tensor]:
        """What a patch would be if its pose were near that bin, and how well this explains it."""
        bounds = within(pair, pose)
        at = bounds.mean
        for _ in range(2):
            at = refine(pair, x, self._anchor(found, pose), at, bounds).mean
        content = _content(pair)
        for _ in range(2):
            posterior = self._posterior(pair, x, at, unseen)
            z, spread = content.family.summary(posterior)
            laplace = refine(pair, x, z, at, prior, limit=2 * bounds.width)
            at = laplace.mean
        values = unpack(pair, at)
        brightness = posterior_given(pair, x, values | {CONTENT: z})
        bright = {name: given.mean for name, given in brightness.items()}
        output = pair.output(values | {CONTENT: z} | bright)
        likelihood = pair.likelihood.distribution(output).log_prob(x).flatten(1).sum(1)
        volume = -torch.linalg.slogdet(laplace.precision)[1].to(likelihood) / 2
        evidence = likelihood + _bins(pair).log_mass[pose] + volume
        drawn = {**pair.global_values(), POSE: pose, **values}
        evidence = evidence - divergence(posterior, content.prior_given(drawn), z)
        spreads = {f"{CONTENT}_std": spread}
        for name, given in brightness.items():
            known = next(site.prior for site in pair.sites if site.name == name)
            evidence = evidence - divergence(given, known, bright[name])
            values, spreads = values | bright, spreads | {f"{name}_std": given.stddev}
        return {CONTENT: z, "evidence": evidence, **values, **spreads}

    def _pose_moments(
        self, pair: Pair, x: Tensor, found: Mapping[str, Tensor], prior: Independent
    ) -> dict[str, Tensor]:
        """Mean and standard deviation of the pose sites about a mode, z not known exactly either.

        Var(pose) = E[Var(pose | z)] + Var(E[pose | z]): the first by quadrature along the axes of
        Laplace's Normal, as noise bends the likelihood; the second to first order in z, as a motif
        that may be wider may as well be further to one side.
        """
        z, spread = found[CONTENT], found[f"{CONTENT}_std"]
        laplace = refine(pair, x, z, pack(pair, found), prior, limit=torch.zeros(()))
        mean, variance = quadrature(pair, x, z, laplace, prior)
        for latent in range(z.shape[-1]):
            step = torch.zeros_like(z)
            step[:, latent] = spread[:, latent]
            above, below = (refine(pair, x, z + s * step, mean, prior).mean for s in (1, -1))
            variance = variance + ((above - below) / 2).square()
        widths = unpack_widths(pair, mean, variance.sqrt())
        return unpack(pair, mean) | {f"{name}_std": width for name, width in widths.items()}

    def _centre(self, pair: Pair) -> None:
        """Move the motif's origin to where the last batch's windows had their middle in the mean.

        The likelihood is the same wherever in the decoder's frame the motif lies; only the offset's
        prior says where, and too faintly for a gradient to follow. Poses must be found after it:
        a motif drawn at poses that were found before would follow its origin.
        """
        # Where a lattice is known, offsets have no mean but that of its cell, whose middle is off
        # zero by where its ends fall among the bins: the origin would run away at a constant rate.
        offsets = [site for site in pair.given_sites if isinstance(site, Offset)]
        if self.centres and any(site.vectors is None for site in offsets):
            moved = pair.origin + self.centring * self.displacement
            pair.origin.copy_(moved.clamp(-self.farthest, self.farthest))

    def _remember(self, pair: Pair, pose: Tensor, z: Tensor) -> None:
        """Keep for the next step some latents, and where windows have their middle in the mean."""
        drawn = pair.decoder_input(z[: self.renewed])
        self.typical = torch.cat((self.typical[len(drawn) :], drawn))
        axes = len(pair.window)
        middle = pair.grid.new_zeros(len(pose), *(1,) * axes, axes)
        seen = pair.into_motif(middle, unpack(pair, pose)).flatten(0, -2)
        self.displacement.copy_(seen.mean(0) - pair.origin)


def _check_sites(pair: Pair, binned: list[Offset | Angle]) -> None:
    """Raise a SpecificationError if a pair's sites aren't such as can be searched."""
    acting = [site for site in pair.given_sites if isinstance(site, PoseSite)]
    if acting[:1] != binned[:1] or any(isinstance(site, Offset) for site in binned[1:]):
        raise SpecificationError(
            "guide='anchor' needs the offset to act first, then the angle, but the sites are "
            f"{[site.name for site in acting]}"
        )
    contents = [site.name for site in pair.given_sites if isinstance(site, Content)]
    if contents != [CONTENT]:
        raise SpecificationError(
            f"guide='anchor' needs one Content site, named {CONTENT!r}, but there are {contents}: "
            "put all latents into one, or take guide='normal'"
        )
    for site in binned:
        if not isinstance(site.given_prior, Distribution):
            raise SpecificationError(
                f"guide='anchor' draws {site.name!r} about bins of its prior as it was at the "
                "start, so that a prior that learns would have no effect: give the site a fixed "
                "prior, or take guide='normal'"
            )
        kind = type(site)
        if kind.prior_given is not Site.prior_given or kind.draw is not Site.draw:
            raise SpecificationError(
                f"guide='anchor' draws {site.name!r} about bins of its prior, so that what "
                f"{kind.__name__} does in prior_given or draw would have no effect: give the site "
                "a fixed prior, or take guide='normal'"
            )


def _bins(pair: Pair) -> PoseBins:
    return pair.sites[0]  # type: ignore[return-value]


def _content(pair: Pair) -> Content:
    return next(site for site in pair.sites if isinstance(site, Content))
