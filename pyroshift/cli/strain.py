"""Strain at the command line: its options, what is checked before the training, its results."""

from argparse import Action, Namespace, _ArgumentGroup
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroshift.cli.channels import channels_of
from pyroshift.errors import SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

STRAIN_RESULTS = ("displacement.nc", "strain.nc", "displacement.png", "strain.png",
                  "dislocations.csv")  # fmt: skip


def strain_options(group: _ArgumentGroup) -> list[Action]:
    """What strain is counted from, and how finely."""
    return [
        group.add_argument(
            "--vectors",
            type=float,
            nargs=4,
            metavar=("Y1", "X1", "Y2", "X2"),
            help="two vectors of the lattice in pixels (default: those of the lattice that is "
            "found in the image)",
        ),
        group.add_argument(
            "--fixed",
            action="store_true",
            help="with --vectors: they are known exactly, and strain is counted from them "
            "(default: from the mean lattice of the region)",
        ),
        group.add_argument(
            "--region",
            type=float,
            nargs=4,
            metavar=("Y0", "Y1", "X0", "X1"),
            help="the part of the image whose lattice is the reference, such as the substrate of a "
            "film, from where to where in the image's unit of length (default: all of it)",
        ),
        group.add_argument(
            "--resolution",
            type=float,
            metavar="LENGTH",
            help="full width at half maximum of the Gaussian within which windows tell a strain, "
            "in the image's unit of length (default: the window's side)",
        ),
        group.add_argument(
            "--finite",
            action="store_true",
            help="strains and rotations are large: stretches, then a turn, instead of the "
            "infinitesimal strain",
        ),
        credible_option(group),
    ]


def credible_option(group: _ArgumentGroup) -> Action:
    """Of which probability intervals are."""
    return group.add_argument(
        "--credible",
        type=float,
        default=0.9,
        metavar="SHARE",
        help="probability that an interval holds the truth (default: %(default)s)",
    )


def strain_writer(
    image: "DataArray", arguments: Namespace
) -> "Callable[[Path, Dataset], Mapping[str, Any]]":
    """Check what strain is told from, before the training, and give what writes it.

    Raises:
        DataError, SpecificationError: as `check_strain`.
    """
    check_strain(image, arguments)
    return partial(write_strain, image=image, arguments=arguments)


def check_strain(image: "DataArray", arguments: Namespace) -> None:
    """Raise an error, before the training, for what strain can't be told from.

    Raises:
        DataError: if the image shows no lattice, or its axes have different units.
        SpecificationError: if there are several images, or options don't go together.
    """
    from pyroshift.analysis.grids import check_credible, check_units
    from pyroshift.analysis.lattice import suggest_window
    from pyroshift.data.checks import as_image, pixel_size
    from pyroshift.extras import check_installed

    check_installed("scipy", extra="atoms", what="strain")
    if channels_of(image):
        raise SpecificationError("strain is told from one image: name one --channel")
    image = as_image(image)
    if image.ndim > 2:
        raise SpecificationError(
            f"strain is told from a single image, but this is a stack of {len(image)} frames: give "
            "a file with one of them"
        )
    if arguments.fixed and arguments.vectors is None:
        raise SpecificationError("--fixed is for vectors that are known: give them by --vectors")
    check_credible(arguments.credible)
    check_units({str(name): pixel_size(image, name)[1] for name in image.dims})
    _check_lengths(image, arguments)
    if arguments.vectors is None:
        arguments.vectors = suggest_window(image).vectors.ravel().tolist()
    pairs = [arguments.vectors[:2], arguments.vectors[2:]]
    arguments.period = pairs


def _check_lengths(image: "DataArray", arguments: Namespace) -> None:
    """Raise a SpecificationError for a region outside of the image, or no resolution."""
    if arguments.resolution is not None and not arguments.resolution > 0:
        raise SpecificationError(f"--resolution must be more than 0, got {arguments.resolution:g}")
    for axis, ends in enumerate(zip(*[iter(arguments.region or ())] * 2, strict=True)):
        name = str(image.dims[axis])
        along = image[name].values  # counted from 0 without a coordinate
        if max(ends) < along.min() or min(ends) > along.max():
            raise SpecificationError(
                f"--region goes from {min(ends):g} to {max(ends):g} along {name}, but the image "
                f"from {along.min():.4g} to {along.max():.4g}"
            )


def write_strain(
    folder: Path, maps: "Dataset", image: "DataArray", arguments: Namespace
) -> "Mapping[str, tuple[Dataset, Dataset]]":
    """Write displacement, strain and dislocations as files and pictures.

    Returns:
        Strain and dislocations, for the report.
    """
    from pyroshift import plot
    from pyroshift.analysis.dislocations import dislocations
    from pyroshift.analysis.displacement import displacement
    from pyroshift.analysis.strain import strain
    from pyroshift.cli.atoms import write_rows
    from pyroshift.data.files import write_dataset, write_figures, written

    told = arguments.region
    region = None if told is None else {"y": told[:2], "x": told[2:]}
    credible = arguments.credible
    displaced = displacement(
        maps, arguments.period, fixed=arguments.fixed, region=region, credible=credible
    )
    strained = strain(displaced, arguments.resolution, finite=arguments.finite, credible=credible)
    found = dislocations(displaced)
    for name, dataset in (("displacement", displaced), ("strain", strained)):
        write_dataset(folder / f"{name}.nc", dataset)
    with written(folder / "dislocations.csv") as path:
        burgers = {f"burgers_{axis}": found["burgers"].sel(axis=axis) for axis in "yx"}
        write_rows(path, {"y": found["y"], "x": found["x"], **burgers})
    figures = {
        "displacement.png": plot.displacement(displaced, image, std=True),
        "strain.png": plot.strain(strained, image, found, std=True),
    }
    write_figures(folder, figures)
    return {"strained": (strained, found)}
