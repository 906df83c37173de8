"""What sites of latents do: they say of which kind a motif is, and carry coordinates to it.

From the window's frame, in which pixels are, pose sites carry coordinates into the motif's; from
there a class and a flip carry them into that in which the decoder draws a kind of motif.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from pyroshift.model.classes import FLIP, Class, Discrete
from pyroshift.model.pose import affine_grid, mirror, unrotate
from pyroshift.model.sites import Content, PoseSite, Site


class Sited(nn.Module):
    """A module with latent sites, and the frames that these tell apart."""

    window: tuple[int, ...]
    grid: Tensor
    origin: Tensor
    class_origin: Tensor
    class_turn: Tensor

    @property
    def sites(self) -> list[Site]:
        """The latent sites, pose sites in the order in which they act."""
        return list(self.site_modules)  # type: ignore[arg-type]

    @sites.setter
    def sites(self, sites: Sequence[Site]) -> None:
        self.site_modules = nn.ModuleList(sites)

    @property
    def latent_dim(self) -> int:
        """Number of conventional latents z."""
        return sum(site.event_shape[0] for site in self.contents)

    @property
    def contents(self) -> list[Content]:
        """The sites that the decoder gets, one after the other: `z`, in most models alone."""
        return [site for site in self.sites if isinstance(site, Content)]

    @property
    def class_site(self) -> Class | None:
        """The site that says of which class a motif is, if there is one."""
        return next((site for site in self.sites if isinstance(site, Class)), None)

    @property
    def classes(self) -> int:
        """How many classes of motif there are; 0 without a class site."""
        return 0 if self.class_site is None else self.class_site.count

    @property
    def discrete(self) -> list[Discrete]:
        """The sites that say of which kind a motif is: its class, and whether it is mirrored."""
        found = [site for site in self.sites if isinstance(site, Discrete)]
        return sorted(found, key=lambda site: not isinstance(site, Class))

    @property
    def flips(self) -> bool:
        """Whether a site says that motifs are mirrored."""
        return any(site.name == FLIP for site in self.discrete)

    @property
    def kinds(self) -> int:
        """How many kinds of motif there are, mirrored ones apart; 1 if nothing tells them apart."""
        return math.prod(site.count for site in self.discrete)

    def of_kind(self, kind: Tensor) -> dict[str, Tensor]:
        """The value of each discrete site by name, of kinds numbered from 0."""
        values = {}
        for site in reversed(self.discrete):  # the last one's value changes first
            values[site.name], kind = kind % site.count, kind // site.count
        return values

    def kind_of(self, values: Mapping[str, Tensor]) -> Tensor:
        """The number of the kind of given values of the discrete sites, by name."""
        kind = values[self.discrete[0].name].long()
        for site in self.discrete[1:]:
            kind = kind * site.count + values[site.name].long()
        return kind

    @property
    def pose_sites(self) -> list[PoseSite]:
        """The sites that act on coordinates, in the order in which they do."""
        return [site for site in self.sites if isinstance(site, PoseSite)]

    @property
    def affine(self) -> bool:
        """Whether poses, whatever their values, carry coordinates by an affine map."""
        return all(site.affine for site in self.pose_sites)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.grid.device

    def over_window(self, batch: Sequence[int], carry: Callable[[Tensor], Tensor]) -> Tensor:
        """What a map made of the pose sites' transforms makes of all of the window's pixels.

        Args:
            batch: the batch's shape.
            carry: the map, of coordinates `batch x height x width x 2` or `batch x length x 1`.
        """

        def carried(points: Tensor) -> Tensor:
            return carry(points.expand(*batch, *points.shape))

        short = len(self.window) == 2 and self.affine
        return affine_grid(carried, self.grid) if short else carried(self.grid)

    def into_motif(self, coordinates: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Carry coordinates of the window into the motif's frame.

        Args:
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.
            values: of the pose sites, by name.
        """
        for site in self.pose_sites:
            coordinates = site.transform(coordinates, values[site.name])
        return coordinates + self.origin

    def out_of_motif(self, coordinates: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Carry coordinates about the motif's origin into the window.

        Args:
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.
            values: of the pose sites, by name.
        """
        for site in reversed(self.pose_sites):
            coordinates = site.transform(coordinates, site.inverse(values[site.name]))
        return coordinates

    def into_drawing(self, coordinates: Tensor, code: Tensor) -> Tensor:
        """Carry coordinates of the motif's frame into that in which the decoder draws its kind.

        A mirrored motif is drawn as it is when it isn't. Which way up and where a class is drawn
        is a convention, of which each would have its own: its turn and its origin make angles and
        offsets of all classes compare.

        Args:
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.
            code: all that the motif is drawn by, `batch x code`.
        """
        if self.kinds == 1:
            return coordinates
        points = coordinates - self.origin
        if self.flips:
            points = mirror(points, code[..., -1])
        if not self.classes:
            return points + self.origin
        kinds, axes = self._class_of(code), len(self.window)
        if axes == 2:
            points = unrotate(points, kinds @ self.class_turn)
        origin = self.origin + kinds @ self.class_origin
        return points + origin.reshape(*origin.shape[:-1], *(1,) * axes, axes)

    def out_of_drawing(self, points: Tensor, code: Tensor) -> Tensor:
        """Carry coordinates about a kind's origin, as it is drawn, into those about the motif's.

        Args:
            points: `batch x height x width x 2` or `batch x length x 1`, half-windows.
            code: all that the motif is drawn by, `batch x code`.
        """
        if self.classes and len(self.window) == 2:
            points = unrotate(points, -self._class_of(code) @ self.class_turn)
        return mirror(points, code[..., -1]) if self.flips else points

    def _class_of(self, code: Tensor) -> Tensor:
        """The part of a code that tells the class, `batch x class`."""
        end = code.shape[-1] - self.flips
        return code[..., end - self.classes : end]
