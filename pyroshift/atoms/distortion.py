"""`fit_distortion`: the distortion of a scan as a smooth field, and positions without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.atoms.smooth import Array, SmoothFunction, fit_smooth
from pyroshift.data.atoms import ATOM, FRAME, check_atoms
from pyroshift.data.atoms import positions as positions_of
from pyroshift.data.checks import as_image, pixel_size
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

FEWEST_ATOMS = 12  # of which a field can be told from noise
UNSURE = 2.5  # median standard deviations of a position, beyond which it doesn't count
ALL = -1  # the key of a field that all frames have in common


@dataclass(frozen=True, eq=False, repr=False)
class Distortion:
    """How far a scan shows everything from where it is, as a function of where it is seen.

    What is seen at p is at p - distortion(p). As the argument is the position in the image, which
    is what the scan set, correcting takes no inverse.

    Args:
        components: the field along y and along x, by frame; -1 stands for all frames.
        units: of positions and of the field.
    """

    components: Mapping[int, tuple[SmoothFunction, SmoothFunction]]
    units: str

    def __repr__(self) -> str:
        scales = [part.length_scale[0] for pair in self.components.values() for part in pair]
        noises = [part.noise for pair in self.components.values() for part in pair]
        y, x = np.median(scales, axis=0)
        count = len(self.components)
        frames = f"{count} frames" if count > 1 else "one field"
        return (
            f"<Distortion: {frames}, length scales {y:.3g} {self.units} along y and {x:.3g} "
            f"{self.units} along x, {np.median(noises):.3g} {self.units} from atom to atom>"
        )

    @property
    def parameters(self) -> xr.Dataset:
        """What was learned of each component: `length_scale`, `amplitude` and `noise`.

        Of the two terms the quicker one comes first. The noise is what isn't smooth: errors of the
        positions and the atoms' own displacements.
        """
        rows = list(self.components.values())
        dims = ("field", "component")
        values = {
            "length_scale": (
                (*dims, "term", "axis"),
                [[part.length_scale for part in row] for row in rows],
            ),
            "amplitude": ((*dims, "term"), [[part.amplitude for part in row] for row in rows]),
            "noise": (dims, [[part.noise for part in row] for row in rows]),
        }
        names = {
            "length_scale": "distance over which the distortion changes",
            "amplitude": "standard deviation of the distortion",
            "noise": "standard deviation of the atoms from the smooth field",
        }
        variables = {
            name: xr.Variable(over, array, {"long_name": names[name], "units": self.units})
            for name, (over, array) in values.items()
        }
        axes = np.array(["y", "x"], dtype=object)
        coords = {"component": axes, "axis": axes, "field_frame": ("field", list(self.components))}
        return xr.Dataset(variables, coords)

    def field(self, y: Any, x: Any, frame: int = 0) -> xr.Dataset:
        """The distortion on a grid.

        Args:
            y: positions of the rows, in the unit of the atoms' positions.
            x: positions of the columns.
            frame: of a stack; it doesn't matter where all frames have their field in common.

        Returns:
            `distortion` and `distortion_std` (axis x y x x): what is seen there is that far from
            where it is; and the standard deviation of the Gaussian process's posterior.

        Raises:
            DataError: if there is no such frame, or these are no grid.
        """
        rows, columns = np.asarray(y, float), np.asarray(x, float)
        if rows.ndim != 1 or columns.ndim != 1 or not rows.size or not columns.size:
            raise DataError(
                f"y and x are those of a grid's rows and columns, one list each; got shapes "
                f"{rows.shape} and {columns.shape}"
            )
        parts = [part.on_grid(rows, columns) for part in self._of(frame)]
        attrs = {"units": self.units}
        names = {"distortion": "distortion of the scan", "distortion_std": "its deviation"}
        variables = {
            name: xr.Variable(
                ("axis", "y", "x"),
                np.stack([part[which] for part in parts]),
                attrs | {"long_name": long_name},
            )
            for which, (name, long_name) in enumerate(names.items())
        }
        coords = {
            "axis": np.array(["y", "x"], dtype=object),
            "y": xr.Variable("y", rows, attrs | {"long_name": "y"}),
            "x": xr.Variable("x", columns, attrs | {"long_name": "x"}),
        }
        return xr.Dataset(variables, coords, {"title": "Distortion of the scan", "frame": frame})

    def on(self, image: Any, frame: int = 0) -> xr.Dataset:
        """The distortion at every pixel of an image.

        Args:
            image: `height x width` or `frame x height x width`; the atoms come from it.
            frame: of a stack.

        Returns:
            As `field`.

        Raises:
            DataError: if there is no such frame, or the image is in another unit.
        """
        picture = as_image(image)
        axes = []
        for name in picture.dims[-2:]:
            unit = pixel_size(picture, name)[1]
            if unit != self.units:
                raise DataError(
                    f"the image's {name} is in {unit}, but the atoms were in {self.units}: take "
                    "the image that they come from, with its coordinates"
                )
            known = name in picture.coords
            axes.append(picture[name].values if known else np.arange(picture.sizes[name]))
        return self.field(axes[0], axes[1], frame)

    def correct(self, atoms: xr.Dataset) -> xr.Dataset:
        """Atoms where they are, instead of where they are seen.

        Args:
            atoms: of the same scan, those that the field was fitted to or any others.

        Returns:
            The atoms with `y` and `x` less the distortion; `y_observed` and `x_observed` keep those
            given. All else stays, so that `fit_lattice` has to be called again for displacements
            from the corrected positions.

        Raises:
            DataError: if these aren't atoms, are in another unit or in a frame without a field, or
                have been corrected before.
        """
        check_atoms(atoms)
        if "y_observed" in atoms.coords:
            raise DataError("these atoms have been corrected before: y_observed is there")
        _check_units(atoms, self.units)
        positions = positions_of(atoms)
        corrected = positions.copy()
        for frame, here in _frames(atoms):
            for axis, part in enumerate(self._of(frame)):
                corrected[here, axis] -= part.at(positions[here])[0]
        kept = {f"{name}_observed": atoms[name].variable for name in "yx"}
        moved = {
            name: (ATOM, corrected[:, axis], atoms[name].attrs) for axis, name in enumerate("yx")
        }
        return atoms.assign_coords(kept | moved)

    def _of(self, frame: int) -> tuple[SmoothFunction, SmoothFunction]:
        """Both components of one frame's field."""
        found = self.components.get(ALL) or self.components.get(frame)
        if found is None:
            raise DataError(f"frame {frame} has no field: there are {sorted(self.components)}")
        return found


def fit_distortion(displaced: xr.Dataset, *, common: bool = False, seed: int = 0) -> Distortion:
    """The smooth part of the atoms' displacements: the distortion of the scan, with its deviation.

    Each component of the displacement is a Gaussian process of the position, the sum of a quick
    and a slow term with Matérn kernels of 5/2. Their length scales along y and x (slow and fast in
    a scan), amplitudes and the noise are learned. The noise stands for all that isn't smooth:
    errors of the positions, what the atoms do themselves, and jumps from scan line to scan line.
    Atoms with a `y_std` or `x_std` of more than 2.5 times the median, such as those that the border
    cuts, don't count.

    Strain that changes as smoothly as the distortion can't be told from it. Nor, from one image,
    can an affine change be told from the shape of the lattice: `fit_lattice` gives that to the
    lattice's vectors, and the field has no affine part, unless the vectors are known and were held
    fixed there. The field is up to a constant, the position of the lattice.

    Five thousand atoms take some seconds: the length scales come from 500 of them, the field from
    all, through inducing points.

    Args:
        displaced: from `fit_lattice`.
        common: whether all frames have one field in common, as a scanner's own distortions do;
            otherwise each frame has its own.
        seed: of the choice of atoms that the length scales are learned from.

    Returns:
        The field, to be had on an image, and to correct positions with.

    Raises:
        DataError: if the atoms have no displacements, or a frame fewer than 12.

    Source:
        Titsias, "Variational learning of inducing variables in sparse Gaussian processes" (2009);
        `pyro.contrib.gp`.

    Example:
        >>> from pyroshift import fit_lattice, synthetic
        >>> from pyroshift.data.atoms import labelled_atoms
        >>> truth = synthetic.lattice_image((96, 96), distortion=2.0)
        >>> found = np.insert(truth.atoms.values, 0, 0, axis=1)  # in frame 0
        >>> displaced = fit_lattice(labelled_atoms(truth["image"], found, {}))
        >>> distortion = fit_distortion(displaced)
        >>> distortion.on(truth["image"]).distortion.shape
        (2, 96, 96)
        >>> corrected = fit_lattice(distortion.correct(displaced))
        >>> bool(corrected.displacement.std() < 0.1 * displaced.displacement.std())
        True
    """
    check_installed("scipy", extra="atoms")
    check_atoms(displaced)
    if not isinstance(displaced, xr.Dataset) or "displacement" not in displaced:
        raise DataError("the atoms have no displacements: pass what fit_lattice returns")
    units = str(displaced["displacement"].attrs.get("units", "px"))
    _check_units(displaced, units)
    known = displaced.isel({ATOM: _sure(displaced)})
    positions, values = positions_of(known), known["displacement"].values
    everything = [(ALL, np.ones(len(positions), bool))]
    components = {}
    for frame, here in everything if common else _frames(known):
        if np.count_nonzero(here) < FEWEST_ATOMS:
            raise DataError(
                f"frame {frame} has {np.count_nonzero(here)} atoms on the lattice, but a field "
                f"needs {FEWEST_ATOMS}: leave it out, or fit a field common to all frames"
            )
        y, x = (fit_smooth(positions[here], values[here, axis], seed) for axis in (0, 1))
        components[frame] = (y, x)
    if not components:
        raise DataError("no atom has a displacement")
    return Distortion(components, units)


def _sure(displaced: xr.Dataset) -> Array:
    """Atoms on the lattice whose positions, where that is told, are about as sure as most."""
    sure = np.isfinite(displaced["displacement"].values).all(1)
    for name in ("y_std", "x_std"):
        if name in displaced:
            deviation = displaced[name].values
            sure &= ~(deviation > UNSURE * np.nanmedian(deviation[sure]))
    return sure


def _frames(atoms: xr.Dataset) -> list[tuple[int, Array]]:
    """Each frame, and which atoms are in it."""
    count = atoms.sizes[ATOM]
    frames = atoms[FRAME].values if FRAME in atoms.coords else np.zeros(count, int)
    return [(int(frame), frames == frame) for frame in np.unique(frames)]


def _check_units(atoms: xr.Dataset, units: str) -> None:
    """Raise a DataError unless atoms are in a unit."""
    for name in "yx":
        given = str(atoms[name].attrs.get("units", "px"))
        if given != units:
            raise DataError(f"the atoms' {name} is in {given}, but the displacements in {units}")
