"""The latent sample sites: prior, guide family, and how each acts on the window's coordinates.

A model is a list of these. To change a prior, pass any Pyro distribution to the site; to change
how a site is drawn or what it does to the coordinates, subclass it.
"""

import math
from collections.abc import Sequence

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyroshift.errors import SpecificationError
from pyroshift.model import pose
from pyroshift.model.distributions import with_event_shape
from pyroshift.model.families import GuideFamily, NormalFamily, family_for
from pyroshift.model.frame import LatentFrame
from pyroshift.model.site import PoseSite as PoseSite
from pyroshift.model.site import Prior as Prior
from pyroshift.model.site import Site as Site

OFFSET = "offset"
ANGLE = "angle"
SCALE = "scale"
CONTENT = "z"
BRIGHTNESS = "brightness"
DATA = "x"
AUTO = "auto"  # what is to be found in the data


class Offset(PoseSite):
    """Position of the motif in the window, (y, x) from its centre, in half-windows.

    Args:
        prior: Pyro distribution of the offset; default `Normal(0, 0.3)`, which expects the
            motif within about a quarter of the window's width from its centre. A prior that is too
            narrow is the commonest silent failure: match it to the spread of the data.
        ndim: number of axes of a window, 2 for images and 1 for signals.
        family: guide family; by default the one that fits the prior's support.
        period: of a lattice, whose offsets are alike if they differ by it: one number for the same
            along each axis, or one lattice vector (y, x) per axis; half-windows. With "auto", the
            training finds it in its image. The default prior is then uniform over the cell.

    Raises:
        SpecificationError: if the period is none.

    Example:
        >>> Offset(dist.Laplace(0.0, 0.3)).event_shape
        (2,)
    """

    affine = True
    shifts = True

    def __init__(
        self,
        prior: Prior | None = None,
        ndim: int = 2,
        family: GuideFamily | None = None,
        period: float | Sequence[Sequence[float]] | str | None = None,
    ) -> None:
        known = (
            None if period is None or isinstance(period, str) else _lattice_vectors(period, ndim)
        )
        if isinstance(period, str) and period != AUTO:
            raise SpecificationError(
                f"period must be a number, vectors or {AUTO!r}; got {period!r}"
            )
        default = dist.Normal(0.0, 0.3) if known is None else _over_cell(known)
        super().__init__(OFFSET, default if prior is None else prior, (ndim,), family)
        self.ndim, self.period, self.vectors = ndim, period, known
        self._prior_given = prior is not None

    def settle(self, period: Sequence[Sequence[float]]) -> None:
        """Take a period that was found.

        Args:
            period: one lattice vector (y, x) per axis; half-windows.
        """
        self.period, self.vectors = period, _lattice_vectors(period, self.ndim)
        if not self._prior_given:
            prior = with_event_shape(_over_cell(self.vectors), (self.ndim,), self.name)
            self.given_prior, self.family = prior, family_for(prior)

    def transform(self, coordinates: Tensor, value: Tensor) -> Tensor:
        """Coordinates relative to the motif's position."""
        return pose.unshift(coordinates, value)

    def reduce(self, value: Tensor) -> Tensor:
        """The shortest of the offsets that differ by lattice vectors."""
        if self.vectors is None:
            return value
        return pose.reduce_modulo(value, self.vectors.to(value))

    def reach(self, radius: float) -> float:
        """Further by 2.5 prior widths, but no more than a whole window's width."""
        return radius + min(2.5 * self._width(), 1.0)


class Angle(PoseSite):
    """In-plane rotation of the motif, radians, counter-clockwise as displayed.

    Args:
        prior: Pyro distribution of the angle; default uniform over the whole circle. `VonMises`
            and `Uniform` over a whole turn get a guide family on the circle.
        family: guide family; by default the one that fits the prior's support.
        symmetry: of the motif, which looks the same after a full turn divided by it. With "auto",
            the training finds it in the end.

    Raises:
        SpecificationError: if the symmetry is none.

    Example:
        >>> Angle(dist.VonMises(0.0, 4.0)).family
        ProjectedNormalFamily()
    """

    affine = True

    def __init__(
        self,
        prior: Prior | None = None,
        family: GuideFamily | None = None,
        symmetry: int | str = 1,
    ) -> None:
        if symmetry != AUTO and not (isinstance(symmetry, int) and symmetry >= 1):
            raise SpecificationError(
                f"symmetry must be a whole number from 1, or {AUTO!r}; got {symmetry!r}"
            )
        prior = dist.Uniform(-math.pi, math.pi) if prior is None else prior
        super().__init__(ANGLE, prior, (), family, circular=True)
        self.symmetry = symmetry

    @property
    def fold(self) -> int:
        """The symmetry as a number; 1 as long as it isn't known."""
        return self.symmetry if isinstance(self.symmetry, int) else 1

    def transform(self, coordinates: Tensor, value: Tensor) -> Tensor:
        """Coordinates turned back by the motif's angle."""
        return pose.unrotate(coordinates, value)

    def reduce(self, value: Tensor) -> Tensor:
        """The smallest of the angles by which the motif looks the same."""
        return pose.wrap_angle(value * self.fold) / self.fold

    def reach(self, radius: float) -> float:
        """As far: a turn keeps distances."""
        return radius


class Scale(PoseSite):
    """Magnification of the motif, greater than 0.

    Args:
        prior: Pyro distribution of the scale; default `LogNormal(0, 0.1)`.
        family: guide family; by default the one that fits the prior's support.

    Example:
        >>> Scale().family
        TransformedNormalFamily()
    """

    affine = True

    def __init__(self, prior: Prior | None = None, family: GuideFamily | None = None) -> None:
        super().__init__(SCALE, dist.LogNormal(0.0, 0.1) if prior is None else prior, (), family)

    def transform(self, coordinates: Tensor, value: Tensor) -> Tensor:
        """Coordinates divided by the motif's magnification."""
        return pose.unscale(coordinates, value)

    def inverse(self, value: Tensor) -> Tensor:
        """The reciprocal magnification."""
        return value.reciprocal()

    def reach(self, radius: float) -> float:
        """Further by two prior widths of magnification."""
        return radius * (1 + 2 * self._width())


def _lattice_vectors(period: float | Sequence[Sequence[float]], ndim: int) -> Tensor:
    """The period as lattice vectors, `ndim x ndim`, one in each row."""
    vectors = torch.as_tensor(period, dtype=torch.float)
    if vectors.dim() == 0:
        vectors = vectors.clamp(min=0.0) * torch.eye(ndim)  # a negative one is none
    if vectors.shape != (ndim, ndim) or not float(torch.linalg.det(vectors).abs()) > 0:
        raise SpecificationError(
            f"period must be a positive number or {ndim} independent vectors, got {period!r}"
        )
    return vectors


def _over_cell(vectors: Tensor) -> Distribution:
    """Uniform over the cell of a lattice, none of whose points is further from its centre."""
    reach = 0.75 * float(vectors.norm(dim=-1).max())  # of a hexagonal one, 0.71 lattice vectors
    return dist.Uniform(-reach, reach)


class Content(Site):
    """What the motif looks like: the conventional latents z.

    Unless a prior is given, the latents are those of a `LatentFrame`: their prior is a standard
    Normal in the frame in which they are uncorrelated, the most telling first. Where a guide reads
    them off windows whose motif it hasn't brought into one pose, the frame would follow the pose,
    which z tells first, and stay where that led: there the prior is the papers' standard Normal.

    Args:
        latent_dim: number of latents.
        prior: Pyro distribution of the latents, taken as it is; default standard Normal, in a
            frame that is learned.
        family: guide family; by default the one that fits the prior's support.
        canonical: whether the frame is learned; by default if neither prior nor family is given,
            and the guide aligns windows or there is no pose.
        name: name of the site. A model may have several, of different names: its decoder gets the
            latents of all, one after the other.

    Raises:
        SpecificationError: if `latent_dim` is less than 1.

    Example:
        >>> Content(3).event_shape
        (3,)
    """

    def __init__(
        self,
        latent_dim: int = 2,
        prior: Prior | None = None,
        family: GuideFamily | None = None,
        canonical: bool | None = None,
        name: str = CONTENT,
    ) -> None:
        if latent_dim < 1:
            raise SpecificationError(f"latent_dim must be at least 1, got {latent_dim}")
        own = type(self).prior_given is not Site.prior_given
        self._told = canonical is not None
        if canonical is None:
            canonical = prior is None and family is None and not own
        prior = dist.Normal(0.0, 1.0) if prior is None else prior
        super().__init__(name, prior, (latent_dim,), family)
        self.latent_dim, self.canonical = latent_dim, canonical
        if canonical and not isinstance(self.family, NormalFamily):
            raise SpecificationError(
                f"canonical=True needs latents whose posterior is Normal, but the family is "
                f"{self.family}: leave out the family, or take canonical=False"
            )
        if canonical:
            self.frame = LatentFrame(latent_dim)

    def keep_frame(self) -> None:
        """Have latents in the decoder's own frame, unless a learned one was asked for."""
        if self.canonical and not self._told:
            self.canonical = False
            del self.frame

    def posterior(self, raw: Tensor, learn: bool = False) -> Distribution:
        """The guide's distribution of the latents; their frame follows it where it may learn."""
        found = super().posterior(raw)
        if not self.canonical:
            return found
        loc, scale = self.family.summary(found)
        if learn:
            self.frame.follow(loc, scale)
        return self.frame.posterior(loc, scale)

    def decoded(self, z: Tensor) -> Tensor:
        """The decoder's input for latents, `batch x latent`."""
        return self.frame.outward(z) if self.canonical else z
