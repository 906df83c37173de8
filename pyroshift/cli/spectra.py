"""Spectra at the command line: options, what is checked before the training, and results."""

import warnings
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroshift import names
from pyroshift.cli.choices import COUNTS, check_counts, settled
from pyroshift.cli.groups import training_options
from pyroshift.cli.typed import AUTO, NO_NORMALIZATION, normalization
from pyroshift.errors import DataError, SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

    from pyroshift.data.patches import Patches
    from pyroshift.model.pair import PoseVAE

SPECTRA_RESULTS = ("classified.nc", "spectra.nc", "spectra.png", "abundances.png", "peak.png")
SHIFT, UNSHIFTED = "shift", "vae"  # models, by the names of `fit`
FEWEST = 8  # channels, of which something can be told


def spectra_options(parser: ArgumentParser) -> None:
    """All that can be typed after `pyroshift spectra`, and what is settled."""
    parser.add_argument("image", metavar="CUBE", help="file of spectra, such as .dm4, .hspy, .npy")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    settings = _settings(parser)
    # There are fewer spectra than windows, and faint differences take many steps: `benchmarks`.
    often = {"epochs": 60, "batch_size": 64, "learning_rate": 8e-3}
    alone = dict.fromkeys(("period", "level", "step", "overlap", "window"))
    known = settled("model", "likelihood", "offset_scale", "kl", **often, **alone)
    parser.set_defaults(settings=settings, **known)


def _settings(parser: ArgumentParser) -> list[Action]:
    """Which spectra, what the model is, and how it is trained."""
    data = parser.add_argument_group("the spectra")
    model = parser.add_argument_group("the model and its training")
    return [
        data.add_argument(
            "--channel", action="append", metavar="NAME",
            help="which cube of a file that has several, by name or number",
        ),
        data.add_argument(
            "--range", type=float, nargs=2, metavar=("FROM", "TO"),
            help="the part of the spectra to look at, in the unit of their axis (default: all)",
        ),
        data.add_argument(
            "--peak", type=float, nargs=2, metavar=("FROM", "TO"),
            help="where in the typical spectrum to look for the peak whose drift is told, in the "
            "unit of the axis (default: the highest of all)",
        ),
        data.add_argument(
            "--normalize", type=normalization, default=NO_NORMALIZATION,
            metavar="|".join((*names.NORMALIZATIONS, NO_NORMALIZATION, "LOW-HIGH")),
            help="intensities as they are (none), or to [0, 1]: of each spectrum (patch), which "
            "drops how strong it is, or of all alike (image, or percentiles such as 0.1-99.9) "
            "(default: %(default)s)",
        ),
        data.add_argument(
            "--min-valid", type=float, default=0.5, metavar="SHARE",
            help="least share of a spectrum's channels that are there (not NaN); others are left "
            "out (default: %(default)s)",
        ),
        data.add_argument(
            "--classes", dest="clusters", type=int, metavar="N",
            help="how many materials there are, which latents cluster into (default: as many as "
            "there are clusters apart; say how many where these go over into each other)",
        ),
        model.add_argument(
            "--model", choices=(SHIFT, UNSHIFTED), default=SHIFT,
            help=f"whether spectra shift: {SHIFT} where a peak drifts or a resonance moves, "
            f"{UNSHIFTED} where nothing does, as of current-voltage curves, which have no peak "
            "whose place could be told (default: %(default)s)",
        ),
        model.add_argument(
            "--latent-dim", type=int, default=2, metavar="N",
            help="how many latents z describe spectra besides, such as a thickness "
            "(default: %(default)s)",
        ),
        model.add_argument(
            "--offset-scale", type=float, metavar="WIDTH",
            help="how far spectra drift, as the standard deviation of the prior in halves of a "
            "spectrum; spectra that show little hold still by a narrow one (default: 0.3)",
        ),
        model.add_argument(
            "--likelihood", choices=(AUTO, *names.LIKELIHOODS), default=AUTO, metavar="NAME",
            help="the noise of a channel: poisson for counts, gaussian for else, and others as of "
            "`fit`; auto to tell by the numbers, which counts are whole (default: %(default)s)",
        ),
        model.add_argument(
            "--kl", type=float, metavar="WEIGHT",
            help="what latents cost: above 1 fewer and smoother ones are used, below 1 more "
            "details are told apart (default: 1)",
        ),
        *training_options(model),
    ]  # fmt: skip


def prepared(cube: "DataArray", arguments: Namespace) -> "tuple[DataArray, Patches]":
    """The part of the cube that was asked for, on an even axis, and its spectra as windows.

    Raises:
        DataError: if there is one spectrum only, it is too short, or holds negative counts.
        SpecificationError: if options don't fit the axis, or each other.
    """
    from pyroshift.data.patches import Patches
    from pyroshift.data.spectra import evenly_spaced
    from pyroshift.extras import check_installed

    check_installed("sklearn", "scipy", extra="atoms", what="classes of spectra")
    if arguments.clusters is not None and arguments.clusters < 1:
        raise SpecificationError(f"--classes must be at least 1, got {arguments.clusters}")
    axis = cube.dims[-1]
    if cube[axis].size == cube.size:
        raise DataError(
            f"this is a single spectrum of {cube.size} channels, in which nothing varies: give a "
            "cube, with a spectrum at every pixel"
        )
    for option in ("peak", "offset_scale") if arguments.model == UNSHIFTED else ():
        if getattr(arguments, option) is not None:
            raise SpecificationError(
                f"--{option.replace('_', '-')} is of spectra that shift, and --model {UNSHIFTED} "
                "says that they don't: leave one of them out"
            )
    _tell_unit(cube)
    cube = _between(cube, arguments.range, "--range")
    if cube.sizes[axis] < FEWEST:
        raise DataError(f"spectra of {cube.sizes[axis]} channels are too short: {FEWEST} or more")
    if arguments.peak is not None:
        _between(cube, arguments.peak, "--peak", least=3)
    even = evenly_spaced(cube)
    if even is not cube:
        warnings.warn(
            f"{axis} isn't evenly spaced: spectra were resampled linearly to even steps, by which "
            "offsets are counted",
            stacklevel=2,
        )
    wanted = None if arguments.normalize == NO_NORMALIZATION else arguments.normalize
    patches = Patches.from_array(
        even, window_ndim=1, normalize=wanted, min_valid=arguments.min_valid
    )
    _settle_likelihood(patches, arguments)
    arguments.window = patches.window
    return even, patches


def _tell_unit(cube: "DataArray") -> None:
    """Tell that energies are counted in channels, where the file has no unit of theirs."""
    axis = cube[cube.dims[-1]]
    if str(axis.attrs.get("units", "")) in ("", "px", "sample"):
        warnings.warn(
            f"the axis {axis.name!r} of the spectra has no unit: offsets are in its own steps",
            stacklevel=2,
        )


def _between(
    cube: "DataArray", ends: list[float] | None, option: str, least: int = 1
) -> "DataArray":
    """The channels from one end to the other, both included.

    Raises:
        SpecificationError: if there are none.
    """
    if ends is None:
        return cube
    axis = cube.dims[-1]
    along = cube[axis].values
    within = (along >= min(ends)) & (along <= max(ends))
    if within.sum() < least:
        raise SpecificationError(
            f"{option} goes from {min(ends):g} to {max(ends):g} along {axis}, where there are "
            f"{within.sum()} channels of those from {along.min():.4g} to {along.max():.4g}"
        )
    return cube.isel({axis: within.nonzero()[0]})


def _settle_likelihood(patches: "Patches", arguments: Namespace) -> None:
    """What suits the numbers, if that is asked for.

    Raises:
        DataError: if negative numbers are to be counts.
    """
    import torch

    from pyroshift.data.memory import lowest_and_highest

    lowest, _ = lowest_and_highest(patches.source)
    check_counts(arguments.likelihood, lowest, "spectra")
    if arguments.likelihood == AUTO:
        values = patches.source[: 2**10].nan_to_num()
        whole = bool((values == values.round()).all()) and bool(torch.any(values > 1))
        arguments.likelihood = COUNTS[0] if whole and lowest >= 0 else names.LIKELIHOODS[0]


def write_spectra(
    folder: Path, maps: "Dataset", model: "PoseVAE", cube: "DataArray", arguments: Namespace
) -> Mapping[str, Any]:
    """Write the classes, mean spectra, and where spectra shift their peak, as files and pictures.

    Returns:
        What the report takes: the mean spectra.
    """
    from pyroshift import plot
    from pyroshift.data.files import write_dataset, write_figures
    from pyroshift.maps.peak import peak_position
    from pyroshift.pathways.classes import classify
    from pyroshift.pathways.spectra import mean_spectra

    known = arguments.clusters is not None
    classified = classify(maps, arguments.clusters, merge=known, seed=arguments.seed)
    picture, figures = mean_intensity(cube), {}
    if arguments.model == SHIFT:
        between = None if arguments.peak is None else (arguments.peak[0], arguments.peak[1])
        peak = peak_position(model, maps, cube, between)
        classified = classified.assign(peak.data_vars)
        found = mean_spectra(classified, cube, position=peak["peak"])
        figures["peak.png"] = plot.maps(peak, picture, ["peak", "peak_std"])
    else:
        found = mean_spectra(classified, cube, align=False)
    figures["spectra.png"] = plot.mean_spectra(found)
    figures["abundances.png"] = plot.abundances(classified, picture)
    write_dataset(folder / "classified.nc", classified)
    write_dataset(folder / "spectra.nc", found)
    write_figures(folder, figures)
    return {"spectra": found}


def mean_intensity(cube: "DataArray") -> "DataArray":
    """What a cube looks like as an image: the mean of each spectrum."""
    mean = cube.mean([cube.dims[-1]], keep_attrs=True)
    return mean.assign_attrs(long_name="mean of the spectrum")
