"""The anchor guide: where a motif is and how it is turned, by analysis by synthesis."""

import math
from collections.abc import Mapping
from functools import partial

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyroshift.errors import SpecificationError
from pyroshift.guides import kinds
from pyroshift.guides.alike import turn_classes_alike
from pyroshift.guides.bins import POSE, Binned, PoseBins, check_binned
from pyroshift.guides.candidates import (
    Explained,
    Pursuit,
    candidates,
    kinds_in_full,
    pose_moments,
    pursue,
    ranked,
)
from pyroshift.guides.drawing import check_particles, draw_pose
from pyroshift.guides.latents import axes, scored
from pyroshift.guides.memory import centre, displaced, renewed, split_memory, typical_at_first
from pyroshift.guides.normal import posterior_head
from pyroshift.guides.refinement import align, beyond, refine
from pyroshift.guides.search import Anchor, Found, search
from pyroshift.guides.splitting import split_and_merge
from pyroshift.guides.start import start_canvas
from pyroshift.guides.vector import pack, specified, unpack, within
from pyroshift.model.batch import Batch, as_batch
from pyroshift.model.brightness import draw_brightness, posterior_given
from pyroshift.model.classes import CLASS
from pyroshift.model.distributions import moments
from pyroshift.model.encoders import count_features
from pyroshift.model.guide import Guide, Pair
from pyroshift.model.sites import CONTENT, Angle, Offset, Site
from pyroshift.model.whole import whole_batch

Values = Mapping[str, Tensor]


class AnchorGuide(Guide):
    """Pose by search instead of by a network, over the whole window and the whole circle.

    For each patch:

        kind, pose ~ Categorical: the exact posterior over kinds (class, flip) and bins of offset
            and angle, given that the motif looks like its kind's anchor: the mean of what the
            decoder makes of the latents of late
        z ~ what the encoder says of the patch, brought back into the motif's frame; and when not
            in training, Laplace's approximation from there on, whatever the pose within the bin
        offset, angle, scale ~ Normal: Laplace's approximation, given z, within the bin

    Nothing of it but the encoder is trained: at each step the pose's posterior is what the decoder
    as it is implies (coordinate ascent), so it can't lag behind or get stuck. Since the encoder
    sees aligned patches only, z can't take the pose over. The bins are a site of the model too,
    so that the bound is one on the evidence of a mixture that is the sites' priors up to the bins'
    width. It draws one particle after the other, and can't vectorise them.

    Between some epochs of a training, a class that two kinds of motif share is split into the place
    of a class without which little would be lost, if that explains windows better.

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
    aligns = True
    rivals = 3  # classes of each window that are compared in full, each mirrored or not

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
        content = pair.contents[0]
        prior = pair.priors()[content.name]
        mean = moments(prior)[0].nan_to_num(0.0).reshape(content.event_shape)
        # One by one: no mixture can be asked for no draws at all.
        draws = [prior.sample().reshape(mean.shape) for _ in range(self.anchors - 1)]
        latents = torch.stack([mean, *draws])
        self.register_buffer("anchor_latents", latents)
        stack = (pair.classes,) if pair.classes else ()
        self.register_buffer("typical", typical_at_first(pair, self._codes(pair, latents[0])))
        self.register_buffer("displacement", torch.zeros(*stack, len(pair.window)))
        self.register_buffer("centres", torch.tensor(True))
        features = count_features(pair.encoder, pair.seen_shape) + pair.told
        self.head = posterior_head(content, features)

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
        check_binned(pair, binned)
        bins = PoseBins(binned, pair.window, pitch, self.turn).to(pair.device)
        sites = [Binned(site, bins) if site in binned else site for site in pair.given_sites]
        pair.sites = [bins, *sites]

    def start(self, pair: Pair, x: Tensor | Batch) -> None:
        """Where windows show one motif each, let the canvas start from it, and keep it centred.

        A lattice has no middle: an origin that follows its offsets leads to the canvas's edge.
        """
        self.centres.fill_(start_canvas(pair, as_batch(x)))

    def revise(self, pair: Pair, x: Tensor | Batch) -> None:
        """Split classes that two kinds of motif share into the place of such as are spare."""
        explain, follow = partial(self._classes, pair), partial(self._follow, pair)
        split_and_merge(pair, as_batch(x), explain, follow)

    def settle(self, pair: Pair) -> None:
        """Turn the classes' drawings alike, where nothing else says how turned they are."""
        turn_classes_alike(pair, self.typical)

    def posterior_of(self, pair: Pair, site: Site, seen: Tensor) -> Distribution:
        """The posterior of z, given standardized windows in the motif's frame."""
        features = pair.encoder(seen)  # and nothing told: of classes and covariates the mean
        told = features.new_zeros(len(features), pair.told)
        return site.posterior(self.head(torch.cat([features, told], -1)))

    def forward(
        self, pair: Pair, x: Tensor | Batch, kl_weight: float | Mapping[str, float]
    ) -> None:
        """Draw kind and bin, z given the patch aligned by them, and the pose given z."""
        batch = as_batch(x)
        x = batch.x
        # In single precision throughout: poses are told apart by small differences of large sums.
        with torch.autocast(x.device.type, enabled=False):
            with torch.no_grad():
                if self.training and self.centres:
                    centre(pair, self.displacement)
                found = search(pair, _bins(pair), batch, self._anchors(pair))
            values: dict[str, Tensor] = pair.covariates(batch.known, len(batch))
            logits = found.logits
            if pair.discrete:
                logits = self._kinds(pair, batch, found).evidence.log_softmax(-1)
                values |= kinds.draw_kind(pair, logits, kl_weight)
                for site in pair.discrete:
                    check_particles(values[site.name])
                logits = found.of(pair.kind_of(values))
            with pair.latent_scale(kl_weight, POSE):
                pose = pyro.sample(POSE, dist.Categorical(logits=logits))
            check_particles(pose)
            with torch.no_grad():
                prior = within(pair, pose)
                anchor = self._anchor(pair, found, pose, values)
                start = refine(pair, batch, anchor, prior.mean, prior).mean
            with pair.latent_scale(kl_weight, CONTENT):
                raw = self._raw(pair, x, start, anchor, values, self._unseen(pair))
                known = pair.needed(batch.known)
                posterior = pair.contents[0].posterior_given(raw, known, self.training)
                if not self.training:  # in which the encoder is to learn what it doesn't know
                    given = {**pair.global_values(), **values, POSE: pose}
                    posterior, start = scored(pair, batch, posterior, given, start, prior)
                values[CONTENT] = pyro.sample(CONTENT, posterior)  # type: ignore[arg-type]
            with torch.no_grad():
                code = pair.code(values)
                laplace = refine(pair, batch, code, start, prior)
                if self.training:
                    self._remember(pair, laplace.mean, code, values.get(CLASS))
            values |= draw_pose(pair, laplace, kl_weight)
            draw_brightness(pair, batch, values, kl_weight)

    @torch.no_grad()
    def summary(
        self,
        pair: Pair,
        x: Tensor | Batch,
        drawn: Mapping[str, Distribution] | None = None,
    ) -> dict[str, Tensor]:
        """Location and standard deviation of every site at the best of the candidate poses.

        Beside them `pose_entropy` of the bins, and of all candidates, best first, the values of
        the pose sites, `mode_offset` and so on, with `mode_probability`. Of classes and flips the
        best, and `class_probability` and `flip_probability`.
        """
        batch = as_batch(x)
        found = search(pair, _bins(pair), batch, self._anchors(pair))
        chosen = candidates(_bins(pair), found, self.candidates, self._rivals(pair))
        pursued = self._pursuit(pair, batch, found)
        each, probability, shares = ranked(pair, [pursued(*candidate) for candidate in chosen])
        result = self._in_full(pair, batch, {name: value[:, 0] for name, value in each.items()})
        for site in pair.pose_sites:
            result[f"mode_{site.name}"] = each[site.name].clone()
            result[f"mode_{site.name}"][:, 0] = result[site.name]
        result["mode_probability"] = probability
        result["pose_entropy"] = dist.Categorical(logits=found.logits).entropy()
        return result | shares

    def _in_full(self, pair: Pair, batch: Batch, mode: Values) -> dict[str, Tensor]:
        """A mode with the latents, pose and brightness that data or neighbours make of it."""
        content, prior = pair.contents[0], specified(pair, len(batch))
        given = pair.covariates(batch.known, len(batch)) | pair.global_values()
        found, pose = given | dict(mode), pack(pair, mode)
        raw = self._raw(pair, batch.x, pose, pair.code(found), found, self._unseen(pair))
        posterior: Distribution = content.posterior_given(raw, pair.needed(batch.known))
        posterior, pose = scored(pair, batch, posterior, found, pose, prior)
        found |= unpack(pair, pose)
        found[CONTENT], found[f"{CONTENT}_std"] = content.family.summary(posterior)
        steps = axes(posterior, found[f"{CONTENT}_std"])
        found |= pose_moments(pair, batch, found, steps, prior)
        for name, bright in posterior_given(pair, batch, found).items():
            found |= {name: bright.mean, f"{name}_std": bright.stddev}
        return {name: value for name, value in found.items() if name not in given}

    def _pursuit(self, pair: Pair, batch: Batch, found: Found) -> Pursuit:
        """What tells what patches would be in a kind near a bin, with `evidence`."""
        bins, unseen, weights = _bins(pair), self._unseen(pair), kinds.kind_weights(pair, batch)
        told, shared = pair.covariates(batch.known, len(batch)), pair.global_values()
        prior, content = specified(pair, len(batch)), pair.contents[0]

        def pursued(kind: Tensor, pose: Tensor) -> dict[str, Tensor]:
            values = pair.of_kind(kind)
            given = {**told, **values}
            anchor = self._anchor(pair, found, pose, given)

            def alone(at: Tensor) -> Distribution:  # neighbours may be in a wrong pose
                return content.posterior(self._raw(pair, batch.x, at, anchor, given, unseen))

            mode = pursue(
                pair, batch, anchor, within(pair, pose), alone,
                {**shared, **given, POSE: pose}, prior,
            )  # fmt: skip
            known = bins.log_mass[pose] + weights.gather(1, kind.unsqueeze(1)).squeeze(1)
            return mode | values | {"evidence": mode["evidence"] + known}

        return pursued

    def _kinds(self, pair: Pair, batch: Batch, found: Found) -> Explained:
        """How the best kinds explain patches, in full."""
        return kinds_in_full(found, self._pursuit(pair, batch, found), self._rivals(pair))

    def _classes(self, pair: Pair, batch: Batch) -> Explained:
        """How classes explain patches, mirrored or not."""
        found = search(pair, _bins(pair), batch, self._anchors(pair))
        evidence, modes = self._kinds(pair, batch, found)
        return Explained(evidence.unflatten(1, (pair.classes, -1)).logsumexp(2), modes)

    @torch.no_grad()
    def _follow(self, pair: Pair, source: int, into: int) -> None:
        """Take up that a class was split: what is kept of it is then so of the other, too."""
        split_memory(pair, self.typical, self.displacement, source, into)
        told = self.head.weight[:, -pair.classes :]
        told[:, into] = told[:, source]

    def _rivals(self, pair: Pair) -> int:
        return self.rivals * pair.kinds // max(pair.classes, 1)

    def _codes(self, pair: Pair, latents: Tensor) -> Tensor:
        """Codes of one vector of latents in each kind, `kind x code`."""
        every = torch.arange(pair.kinds, device=latents.device)
        each = latents.expand(len(every), -1)
        return pair.code({CONTENT: each, **pair.of_kind(every)})

    def _anchors(self, pair: Pair) -> list[list[Anchor]]:
        """What is searched for: of each kind its class's mean motif, and what was drawn."""
        means = self.typical.reshape(-1, *self.typical.shape[-2:])
        means = means.repeat_interleave(pair.kinds // len(means), 0)
        drawn = [pair.decoder_input(self._codes(pair, z)) for z in self.anchor_latents[1:]]
        inputs = [means, *[each.unsqueeze(1) for each in drawn]]
        codes = self._codes(pair, self.anchor_latents[0]).unsqueeze(1)
        return [[Anchor(each[kind], codes[kind]) for each in inputs] for kind in range(pair.kinds)]

    def _anchor(self, pair: Pair, found: Found, pose: Tensor, given: Values) -> Tensor:
        """Code of the anchor that explains each patch best in its kind and bin."""
        kind = pair.kind_of(given) if pair.discrete else torch.zeros_like(pose)
        best = found.anchor[torch.arange(len(pose), device=pose.device), kind, pose]
        return pair.code({**given, CONTENT: self.anchor_latents[best]})

    def _unseen(self, pair: Pair) -> Tensor:
        """What stands beyond the ends of aligned patches, by kind: the first anchor, as seen."""
        return beyond(pair, self._codes(pair, self.anchor_latents[0]))

    def _raw(
        self,
        pair: Pair,
        x: Tensor,
        pose: Tensor,
        code: Tensor,
        given: Values,
        unseen: Tensor,
    ) -> Tensor:
        """What sets the posterior of z, of patches brought back to where their kind is drawn."""
        with torch.no_grad():
            beyond = unseen[pair.kind_of(given)] if pair.discrete else unseen[0]
            aligned = align(pair, pair.seen(x), pose, code, beyond)
        features = pair.encoder(aligned)
        if pair.told:
            features = torch.cat([features, pair.telling(given, features)], -1)
        return self.head(features)

    @torch.no_grad()
    def _remember(self, pair: Pair, pose: Tensor, code: Tensor, kind: Tensor | None) -> None:
        """Keep for the next step some latents, and where windows have their middle in the mean."""
        pose, code = whole_batch(pose), whole_batch(code)
        kind = None if kind is None else whole_batch(kind)
        self.typical = renewed(self.typical, pair.decoder_input(code), kind)
        self.displacement.copy_(displaced(pair, self.displacement, pose, code, kind))


def _bins(pair: Pair) -> PoseBins:
    return pair.sites[0]  # type: ignore[return-value]
