"""Domains at the command line: options, amplitude and phase of a file, walls, what switched."""

import re
from argparse import Action, Namespace, _ArgumentGroup
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroshift import names
from pyroshift.cli.channels import PHASES, as_asked, channels_of
from pyroshift.cli.choices import settled
from pyroshift.cli.strain import credible_option
from pyroshift.cli.typed import NO_NORMALIZATION
from pyroshift.errors import DataError, SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

DOMAINS_RESULTS = ("walls.nc", "walls.csv", "walls.png", "rose.png", "switched.nc",
                   "switched.png")  # fmt: skip
# What `fit` may be asked for: as for strain, but for the model.
DOMAINS = settled(
    model="rvae", period=None, normalize=NO_NORMALIZATION, epochs=30, batch_size=32,
    learning_rate=5e-3,
)  # fmt: skip
_PHASE = re.compile("phase", re.IGNORECASE)
_AMPLITUDE = re.compile("amplitude|magnitude|(?<![a-z])(amp|mag)(?![a-z])", re.IGNORECASE)
Written = Callable[[Path, "Dataset"], Mapping[str, Any]]


def domains_options(group: _ArgumentGroup) -> list[Action]:
    """Which channel is what, how finely walls are told, and the second scan."""
    return [
        group.add_argument(
            "--phase",
            metavar="NAME",
            help="which channel is the phase, where its name doesn't say so (default: amplitude "
            "and phase are found by their names)",
        ),
        group.add_argument(
            "--second",
            metavar="FILE",
            help="another scan of the same place, of as many pixels, to tell what switched since",
        ),
        group.add_argument(
            "--drift",
            type=float,
            nargs=2,
            metavar=("DY", "DX"),
            help="with --second: by how far it is moved along y and x, in the image's unit of "
            "length (default: found, which takes several domains)",
        ),
        group.add_argument(
            "--resolution",
            type=float,
            metavar="LENGTH",
            help="full width at half maximum of the Gaussian along walls within which their points "
            "tell an angle, in the image's unit of length (default: 8 pixels)",
        ),
        group.add_argument(
            "--thinnest",
            type=float,
            metavar="LENGTH",
            help="with --second: width of the thinnest domain that counts as switched, in the "
            "image's unit of length (default: 3 pixels)",
        ),
        credible_option(group),
    ]


def load_piezoresponse(arguments: Namespace, path: str | None = None) -> "DataArray":
    """Amplitude and phase of a file, the phase in degrees, and its likelihood settled.

    Args:
        arguments: `phase` becomes the name of the phase.
        path: of the file; by default that of the image.

    Raises:
        SpecificationError: if no channel is known for the phase, or the file is a stack.
    """
    from pyroshift.data.readers.load import channel_names, load_image

    path = path or arguments.image
    asked = as_asked(arguments)
    if asked is None:
        asked = list(amplitude_and_phase(channel_names(path), arguments.phase))
    image = load_image(path, asked)
    if "frame" in image.dims:
        raise SpecificationError(
            f"domains are told from a single image, but {Path(path).name} is a stack of "
            f"{image.sizes['frame']} frames: give a file with one of them"
        )
    called = channels_of(image) or (str(image.attrs["channel"]),)
    typed = dict(zip(arguments.channel or called, called, strict=False))
    phase = phase_among(called, typed.get(arguments.phase, arguments.phase))
    if path == arguments.image:
        arguments.likelihood = {
            name: PHASES if name == phase else names.LIKELIHOODS[0] for name in called
        }
    arguments.phase = phase
    return _in_degrees(image, phase)


def amplitude_and_phase(channels: Sequence[str], phase: str | None = None) -> tuple[str, ...]:
    """Which of a file's channels are the amplitude and the phase, by their names.

    Args:
        channels: in the file's order.
        phase: the phase's name, if it is known.

    Returns:
        The first two that are called alike but for these words; else the first of either; or the
        phase alone.

    Raises:
        SpecificationError: if none is called a phase.

    Example:
        >>> amplitude_and_phase(["Height", "NapAmplitude", "Amplitude 1", "Phase 1"])
        ('Amplitude 1', 'Phase 1')
    """
    phases = [phase] if phase else [name for name in channels if _PHASE.search(name)]
    if not phases:
        raise SpecificationError(
            f"no channel is called a phase among {', '.join(map(repr, channels))}: name amplitude "
            "and phase by --channel, and which is which by --phase"
        )
    amplitudes = {
        _AMPLITUDE.sub("", name): name for name in reversed(channels) if _AMPLITUDE.search(name)
    }
    for name in phases:
        if twin := amplitudes.get(_PHASE.sub("", name)):
            return twin, name
    return (*list(amplitudes.values())[-1:], phases[0])


def phase_among(channels: Sequence[str], phase: str | None) -> str:
    """The phase among the channels that were read.

    Raises:
        SpecificationError: if none is it.

    Example:
        >>> phase_among(["AmplitudeRetrace", "PhaseRetrace"], None)
        'PhaseRetrace'
    """
    if phase in channels:
        return str(phase)
    if phase is not None:
        raise SpecificationError(
            f"--phase {phase} is none of the channels {', '.join(channels)}: name it by --channel "
            "too"
        )
    found = [name for name in channels if _PHASE.search(name)]
    if len(found) == 1 or len(channels) == 1:
        return (found or list(channels))[0]
    raise SpecificationError(
        f"{'several' if found else 'none'} of the channels {', '.join(channels)} "
        f"{'are' if found else 'is'} called a phase: say which one it is by --phase"
    )


def _in_degrees(image: "DataArray", phase: str) -> "DataArray":
    """The image with its phase in degrees, which the model's likelihood is for."""
    from pyroshift.analysis.piezoresponse import DEGREES, phase_period

    channels = channels_of(image)
    one = image.sel(channel=phase) if channels else image
    factor = DEGREES / phase_period(one)
    if factor == 1:
        return image
    if not channels:
        return image.copy(data=image.values * factor).assign_attrs(units="deg")
    values, units = image.values.astype(float), image["channel_units"].values.copy()
    number = channels.index(phase)
    values[number] *= factor
    units[number] = "deg"
    return image.copy(data=values).assign_coords(channel_units=("channel", units))


def domains_writer(image: "DataArray", arguments: Namespace) -> Written:
    """Find walls and what switched, before the training, and give what writes them.

    Raises:
        DataError: if there is no wall, or the second scan isn't one of the same place.
        SpecificationError: if options don't go together.
    """
    from pyroshift.analysis.switched import switched
    from pyroshift.analysis.walls import walls
    from pyroshift.extras import check_installed

    check_installed("scipy", "skimage", extra="atoms", what="domains")
    for option in ("thinnest", "drift"):
        if getattr(arguments, option) is not None and arguments.second is None:
            raise SpecificationError(
                f"--{option} is for what switched: give another scan by --second"
            )
    response = _response(image, arguments)
    found = walls(response, arguments.resolution, credible=arguments.credible)
    change = None
    if arguments.second is not None:
        later = load_piezoresponse(arguments, arguments.second)
        after = _response(later, arguments, response.attrs["offset"])
        known = {"thinnest": arguments.thinnest, "drift": arguments.drift}
        change = switched(response, after, **known)

    def write(folder: Path, maps: "Dataset") -> Mapping[str, Any]:
        _write(folder, response, found, change)
        return {"domains": (found, change)}

    return write


def _response(image: "DataArray", arguments: Namespace, near: float = 0.0) -> "DataArray":
    """The cosine of the phase from its offset, which pixels of large amplitude tell."""
    from pyroshift.analysis.piezoresponse import piezoresponse

    channels = channels_of(image)
    phase = image.sel(channel=arguments.phase) if channels else image
    others = [name for name in channels if _AMPLITUDE.search(name) and name != arguments.phase]
    try:
        offset = piezoresponse(
            phase, image.sel(channel=others[0]) if others else None, near=near
        ).attrs["offset"]
        return piezoresponse(phase, near=offset)
    except DataError as error:
        raise DataError(f"{image.attrs['source']}, {arguments.phase}: {error}") from error


def _write(folder: Path, response: "DataArray", found: "Dataset", change: Any) -> None:
    """Write walls, their angles and what switched, as files and pictures."""
    from pyroshift import plot
    from pyroshift.cli.atoms import write_rows
    from pyroshift.data.files import write_dataset, write_figures, written

    write_dataset(folder / "walls.nc", found)
    with written(folder / "walls.csv") as path:
        columns = {**found.coords, **found.data_vars}
        write_rows(path, {str(name): each for name, each in columns.items()})
    figures = {"walls.png": plot.walls(found, response), "rose.png": plot.rose(found)}
    if change is not None:
        write_dataset(folder / "switched.nc", change)
        figures["switched.png"] = plot.switched(change)
    write_figures(folder, figures)
