"""Bins of poses: a site that says roughly where and how turned a motif is, and sites within a bin.

With them the prior of the pose is a mixture, all of which a guide can search: `pose` is drawn with
the mass that the sites' own priors give to each bin, then offset and angle about its centre.
"""

import math
from collections.abc import Mapping, Sequence

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.errors import SpecificationError
from pyroshift.model.distributions import moments
from pyroshift.model.families import elementwise
from pyroshift.model.guide import Pair
from pyroshift.model.pose import half_window
from pyroshift.model.shapes import PerBin, PerPatch
from pyroshift.model.sites import ANGLE, CONTENT, Angle, Content, Offset, PoseSite, Site

POSE = "pose"
# A bin's Normal has this share of the bins' distance for its width: neighbours then add up to a
# prior that is flat to within 1.4% along each axis.
OVERLAP = 0.5
# Bins of offsets cover so many prior widths to each side of its mean, and those of angles more: a
# circle is soon full, and who says nothing of angles should lose none.
WIDTHS, ANGLE_WIDTHS = 2.5, 4.0


class PoseBins(Site):
    """Which of a grid of poses a motif is near: every angle with every offset.

    Args:
        sites: the sites that are binned, an `Offset`, an `Angle` or both.
        window: height and width of the windows, or their one length, in pixels.
        pitch: distance of neighbouring offsets, pixels.
        turn: largest distance of neighbouring angles, radians.

    Raises:
        SpecificationError: if there is nothing to bin.

    Example:
        >>> bins = PoseBins([Offset(dist.Uniform(-0.25, 0.25))], (16, 16), pitch=1, turn=0.2)
        >>> bins.shape  # angles, and offsets along y and x
        (1, 5, 5)
    """

    angles: Tensor
    shifts: Tensor

    def __init__(
        self, sites: Sequence[PoseSite], window: tuple[int, ...], pitch: int, turn: float
    ) -> None:
        nn.Module.__init__(self)
        if not sites:
            raise SpecificationError(
                "guide='anchor' searches offsets and angles, but the model has neither: take "
                "ShiftVAE or RVAE, or guide='normal'"
            )
        self.name, self.circular, self._start = POSE, False, None
        self.pitch, step = pitch, pitch / half_window(window)
        angles, axes = torch.zeros(1), [torch.zeros(1)] * len(window)
        self.widths: dict[str, float] = {}
        for site in sites:
            if isinstance(site, Angle):
                self.round = 2 * math.pi / site.fold
                angles, turn = _angles(site, turn)
                self.widths[site.name] = OVERLAP * turn
            elif isinstance(site, Offset):
                axes = _offsets(site, step, len(window))
                self.widths[site.name] = OVERLAP * step
        self.turn = turn
        self.shape = (len(angles), *map(len, axes))
        shifts = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)
        self.register_buffer("angles", angles, persistent=False)
        self.register_buffer("shifts", shifts, persistent=False)
        self.given_prior = dist.Categorical(logits=self._log_mass_of(sites))

    @property
    def log_mass(self) -> Tensor:
        """Log of the share of the sites' priors that is in each bin."""
        return self.prior.logits  # type: ignore[attr-defined]

    def _log_mass_of(self, sites: Sequence[PoseSite]) -> Tensor:
        """Log of each bin's share of the priors of some sites."""
        every = torch.arange(math.prod(self.shape))
        mass = torch.zeros(len(every))
        for site in sites:
            half = self.widths[site.name] / OVERLAP / 2
            mass = mass + _log_density(site, self.centre(site.name, every), half)
        if not bool(torch.isfinite(mass).any()):
            raise SpecificationError(
                f"no bin has any mass under the priors of {[site.name for site in sites]}: they "
                "are narrower than the bins; take guide='normal'"
            )
        return mass.log_softmax(-1)

    @property
    def circular_angles(self) -> bool:
        """Whether the angles go all the way round, to where the motif looks the same again."""
        return self.shape[0] > 1 and abs(self.shape[0] * self.turn - self.round) < 1e-3

    def centre(self, name: str, pose: Tensor) -> Tensor:
        """Value of a site at the centre of a bin.

        Args:
            name: the site's name.
            pose: numbers of bins.
        """
        if name == ANGLE:
            return self.angles[pose // len(self.shifts)]
        return self.shifts[pose % len(self.shifts)]

    def neighbours(self, pose: PerPatch) -> PerBin:
        """Which bins are next to a bin, or that bin itself: `batch x bin`."""
        near = torch.ones(len(pose), 1, dtype=torch.bool, device=pose.device)
        # Axis by axis: distances of all bins from all poses would be much larger than the answer.
        for axis, position in enumerate(torch.unravel_index(pose, self.shape)):
            size = self.shape[axis]
            distance = (torch.arange(size, device=pose.device) - position.unsqueeze(1)).abs()
            if axis == 0 and self.circular_angles:
                distance = torch.minimum(distance, size - distance)
            near = (near.unsqueeze(2) & (distance <= 1).unsqueeze(1)).flatten(1)
        return near

    def summed_out(
        self, sites: Sequence[Site], values: Mapping[str, Tensor], logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What it adds to the log densities of drawn poses that the bin, drawn too, is summed out.

        That of the model becomes the mixture's over all bins. A guide that is sure of a bin draws
        poses near its end that are as probable in the next: draws of that bin, one in thousands,
        would count a thousand times, and without them the evidence would be too low by as much as
        guide and model differ about the bin. So the guide's density is that over the probability of
        the bin, given the pose, for which any distribution will do: the nearer to the guide's own
        the better. It is by the guide's probabilities, and how near bins are.

        Args:
            sites: those of the model, of which some are drawn about bins.
            values: of all sites by name, `batch x event shape`.
            logits: of the guide's probabilities of bins, `batch x bin`.

        Returns:
            What is added to the model's, and to the guide's, `batch` each.

        Source:
            Agakov and Barber, "An auxiliary variational method", ICONIP (2004).
        """
        every = torch.arange(math.prod(self.shape), device=logits.device)
        near = torch.zeros_like(logits)
        for site in sites:
            if isinstance(site, Binned):
                at = values[site.name].reshape(len(logits), 1, -1)
                centre = site.centre(every).reshape(len(every), -1)
                near += dist.Normal(centre, site.width).log_prob(at).sum(-1)
        own = values[POSE].long().unsqueeze(1)
        joint = near + self.log_mass
        found = near + logits.log_softmax(-1)
        model = joint.logsumexp(1) - joint.gather(1, own).squeeze(1)
        return model, found.logsumexp(1) - found.gather(1, own).squeeze(1)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """A bin's number."""
        return ()

    def extra_repr(self) -> str:
        """How many bins there are."""
        return f"angles={self.shape[0]}, offsets={self.shape[1:]}, pitch={self.pitch}"


class Binned(PoseSite):
    """A pose site drawn about the centre of the bin that `pose` says.

    Args:
        site: the site as specified.
        bins: the bins.
    """

    def __init__(self, site: PoseSite, bins: PoseBins) -> None:
        super().__init__(site.name, site.prior, site.event_shape, site.family, site.circular)
        self.site, self.affine, self.shifts = site, site.affine, site.shifts
        self.width = bins.widths[site.name]
        self._bins = [bins]  # not a submodule: the pair has it already

    def prior_given(self, values: Mapping[str, Tensor]) -> Distribution:
        """A Normal about the bin's centre."""
        centre = self.centre(values[POSE])
        return dist.Normal(centre, self.width).to_event(len(self.event_shape))

    def centre(self, pose: Tensor) -> Tensor:
        """Value at the centre of a bin."""
        return self._bins[0].centre(self.name, pose)

    def transform(self, coordinates: Tensor, value: Tensor) -> Tensor:
        """As the site itself."""
        return self.site.transform(coordinates, value)

    def inverse(self, value: Tensor) -> Tensor:
        """As the site itself."""
        return self.site.inverse(value)

    def reduce(self, value: Tensor) -> Tensor:
        """As the site itself."""
        return self.site.reduce(value)

    def reach(self, radius: float) -> float:
        """As the site itself."""
        return self.site.reach(radius)


def _bounds(site: PoseSite) -> tuple[Tensor, Tensor]:
    """Where a site's prior begins and ends, of the site's event shape; infinite if nowhere."""
    support = elementwise(site.prior.support)
    bounds = getattr(support, "lower_bound", -math.inf), getattr(support, "upper_bound", math.inf)
    low, high = (torch.as_tensor(bound).expand(site.event_shape) for bound in bounds)
    return low, high


def _log_density(site: PoseSite, values: Tensor, half: float) -> Tensor:
    """Log density of a site's prior about values; minus infinity outside its support or its cell.

    Where a support ends in a bin, within `half` of its centre, the bin has the density of that end.
    """
    low, high = _bounds(site)
    inside = values.clamp(low, torch.nextafter(high, low))  # torch's Uniform lacks its upper end
    near = (inside - values).abs() <= half * (1 + 1e-6)
    possible = near.flatten(1).all(1) if site.event_shape else near
    if isinstance(site, Offset):  # angles were chosen within one turn by the symmetry
        possible = possible & site.is_reduced(values)
    density = values.new_full((len(values),), -math.inf)
    if bool(possible.any()):
        density[possible] = site.prior.log_prob(inside[possible]).to(density)
    return density


def _angles(site: Angle, turn: float) -> tuple[Tensor, float]:
    """Angles at most `turn` apart over where the prior is, and their distance."""
    mean, width = (float(moment.nan_to_num(0.0)) for moment in moments(site.prior))
    if isinstance(site.prior, dist.VonMises):  # its variance is circular, 1 if it is flat
        width = math.sqrt(-2 * math.log1p(-min(width**2, 1 - 1e-7)))
    radius = min(ANGLE_WIDTHS * width or math.pi, math.pi / site.fold)
    lowest, highest = map(float, _bounds(site))
    low, high = max(mean - radius, lowest), min(mean + radius, highest)
    count = max(math.ceil((high - low) / turn - 1e-6), 1)
    turn = (high - low) / count
    return low + turn * (torch.arange(count) + 0.5), turn


def whole_circle(site: Angle) -> bool:
    """Whether an angle's prior is the same all the way round."""
    low, high = map(float, _bounds(site))
    return isinstance(site.given_prior, dist.Uniform) and high - low > 2 * math.pi - 1e-3


def _offsets(site: Offset, step: float, axes: int) -> list[Tensor]:
    """Offsets along each axis, whole steps from zero, over where the prior is."""
    means, widths = (moment.expand(axes).nan_to_num(0.0) for moment in moments(site.prior))
    radius = torch.where(widths > 0, WIDTHS * widths, 1.0)
    lowest, highest = _bounds(site)
    low = (torch.maximum(means - radius, lowest) - step / 2).clamp(min=-1.0)
    high = (torch.minimum(means + radius, highest) + step / 2).clamp(max=1.0)
    first, last = (low / step - 1e-6).ceil().int(), (high / step + 1e-6).floor().int()
    return [
        step * torch.arange(begin, max(end, begin) + 1)
        for begin, end in zip(first.tolist(), last.tolist(), strict=True)
    ]


def check_binned(pair: Pair, binned: list[Offset | Angle]) -> None:
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
