"""Atoms at the command line: their options, the command that finds them, and windows at them."""

import csv
from argparse import Action, Namespace, _ArgumentGroup
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroshift.errors import SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray, Dataset


def finding_options(group: _ArgumentGroup) -> list[Action]:
    """How atoms are found."""
    return [
        group.add_argument(
            "--dark", action="store_true", help="atoms are darker than what is between them"
        ),
        group.add_argument(
            "--separation",
            type=float,
            metavar="PX",
            help="distance between nearest atoms in pixels (default: from the image)",
        ),
        group.add_argument(
            "--threshold",
            type=float,
            metavar="LEVEL",
            help="least amplitude of an atom, as a share of the strong atoms'; with --segment, "
            "least probability (default: from the image)",
        ),
        group.add_argument(
            "--sublattices",
            type=int,
            default=1,
            metavar="N",
            help="how many kinds of atoms to tell apart by brightness (default: %(default)s)",
        ),
        group.add_argument(
            "--segment",
            action="store_true",
            help="look for atoms by the network that comes with the package, instead of by their "
            "shape",
        ),
        group.add_argument(
            "--track",
            action="store_true",
            help="in a stack, link each atom to itself in the next frame",
        ),
    ]


def check_unused(arguments: Namespace) -> None:
    """Raise a SpecificationError if it is said how to find atoms, but not to find them."""
    if arguments.at_atoms:
        return
    for name in ("dark", "separation", "threshold", "segment", "track"):
        given = getattr(arguments, name)
        if given is not None and given is not False:
            raise SpecificationError(f"--{name} has no use without --at-atoms")
    if arguments.sublattices != 1:
        raise SpecificationError("--sublattices has no use without --at-atoms")


def found_atoms(image: "DataArray", arguments: Namespace, progress: bool) -> "Dataset":
    """The atoms of an image, as asked for.

    Args:
        image: `height x width`, or `frame x height x width`.
        arguments: with the options of `finding_options`.
        progress: whether to show a progress bar.

    Raises:
        SpecificationError: if the frames of a single image are to be linked.
    """
    from pyroshift.atoms.find import find_atoms
    from pyroshift.atoms.tracks import link_atoms

    if arguments.track and image.ndim == 2:
        raise SpecificationError("--track links the frames of a stack, but this is a single image")
    segmenter = None
    if arguments.segment:
        from pyroshift.segmentation.segmenter import load_segmenter

        segmenter = load_segmenter()
    atoms = find_atoms(
        image,
        separation=arguments.separation,
        dark=arguments.dark,
        threshold=arguments.threshold,
        sublattices=arguments.sublattices,
        segmenter=segmenter,
        progress=progress,
    )
    return link_atoms(atoms) if arguments.track else atoms


def write_table(path: Path, atoms: "Dataset", image: "DataArray") -> None:
    """Write frame, y and x in pixels, and all else that is known of each atom, line by line.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from xarray import DataArray
        >>> from pyroshift.data.atoms import labelled_atoms
        >>> image = DataArray(np.zeros((20, 30)))
        >>> atoms = labelled_atoms(image, np.array([[0, 5.0, 7.5]]), {})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_table(Path(folder) / "atoms.csv", atoms, image)
        ...     (Path(folder) / "atoms.csv").read_text().split()
        ['frame,y,x', '0,5.0,7.5']
    """
    from pyroshift.data.atoms import ATOM, pixel_positions

    frame, y, x = pixel_positions(atoms, image).T
    columns = {"frame": frame.astype(int), "y": y.round(4), "x": x.round(4)}
    for name, variable in atoms.variables.items():
        if variable.dims == (ATOM,) and name not in (*columns, ATOM):
            columns[str(name)] = variable.values
    write_rows(path, columns)


def write_rows(path: Path, columns: Mapping[str, Any]) -> None:
    """Write arrays side by side, below their names.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_rows(Path(folder) / "table.csv", {"y": np.zeros(1), "x": np.ones(1)})
        ...     (Path(folder) / "table.csv").read_text().split()
        ['y,x', '0.0,1.0']
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        lines = (getattr(values, "values", values).tolist() for values in columns.values())
        writer.writerows(zip(*lines, strict=True))
