"""`pyroshift patterns`: from a scan of diffraction patterns to a map of its deflections."""

from argparse import Namespace
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroshift.cli.choices import builder, check_counts
from pyroshift.cli.work import check_asked, train_and_write
from pyroshift.errors import DataError, SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

    from pyroshift.data.patches import Patches

AXES = ("y", "x", "ky", "kx")


def patterns(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift patterns`: a shift-VAE of the patterns, and what its offsets say."""
    if arguments.kl is arguments.kl_initial is arguments.kl_final is arguments.kl_epochs is None:
        # Latents that cost all of it before the disk is drawn collapse, and stay so.
        arguments.kl_initial, arguments.kl_epochs = 0.1, 3 * arguments.epochs // 4
    check_asked(arguments)
    data = _load(arguments)
    patches = _checked(data, arguments)
    counts = _total(data)
    model = builder(arguments, counts)(patches.window, seed=arguments.seed)
    measured = partial(_write, data=data, counts=counts)
    train_and_write(arguments, model, patches, counts, notes, measured)


def _write(
    folder: Path, maps: "Dataset", data: "DataArray", counts: "DataArray"
) -> Mapping[str, Any]:
    """Draw the deflections and the mean pattern, which the report shows where they are."""
    from pyroshift import plot
    from pyroshift.data.files import write_figures

    mean = data.mean(("y", "x"), dtype=float)
    flat = mean.rename(ky="y", kx="x").assign_attrs(units="counts", long_name="mean pattern")
    figures = {
        "deflection.png": plot.deflection(maps, counts, std=True),
        "patterns.png": plot.image(flat),
    }
    write_figures(folder, figures)
    return {}


def _load(arguments: Namespace) -> "DataArray":
    """The patterns that were asked for."""
    import numpy as np

    from pyroshift.data.patterns import load_patterns
    from pyroshift.data.readers import load_image

    region = {}
    for axis, *ends in arguments.region or ():
        if axis not in AXES:
            raise SpecificationError(f"--region is of an axis among {AXES}, got {axis!r}")
        region[axis] = tuple(_number("--region", end) for end in ends)
    mask = None if arguments.mask is None else np.asarray(load_image(arguments.mask)) != 0
    return load_patterns(
        arguments.image,
        arguments.channel,
        region=region,
        binning=arguments.binning,
        mask=mask,
        scan_step=_step("--scan-step", arguments.scan_step),
        detector_step=_step("--detector-step", arguments.detector_step),
    )


def _step(option: str, given: list[str] | None) -> tuple[float, str] | None:
    return None if given is None else (_number(option, given[0]), given[1])


def _number(option: str, typed: str) -> float:
    try:
        return float(typed)
    except ValueError as error:
        raise SpecificationError(f"{option} takes numbers, got {typed!r}") from error


def _checked(data: "DataArray", arguments: Namespace) -> "Patches":
    """Patches of the patterns, if a model can learn from them.

    Raises:
        DataError: if there are no counts, or negative ones where the likelihood is of counts.
    """
    from pyroshift.data.patches import Patches

    patches = Patches.from_array(data, window_ndim=2)
    found = patches.statistics()
    if found["minimum"] == found["maximum"]:
        raise DataError(
            f"all pixels of the patterns are {found['minimum']:g}: there is nothing to learn from"
        )
    check_counts(arguments.likelihood, found["minimum"], "patterns")
    return patches


def _total(data: "DataArray") -> "DataArray":
    """All counts of each pattern, an image of the scan."""
    total = data.sum(("ky", "kx"), dtype=float).compute()
    return total.rename("counts").assign_attrs(units="counts", long_name="counts")
