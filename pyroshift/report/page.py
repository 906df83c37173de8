"""The report's page: what goes in, and how it is put together."""

import base64
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pyroshift._version import __version__
from pyroshift.data.files import written
from pyroshift.model.classes import CLASS
from pyroshift.report import tables, words
from pyroshift.report.tables import configuration

REPORT = "report.html"
EXPLORER = "explore.html"


@dataclass(frozen=True)
class Setting:
    """One option of a run.

    Args:
        name: as the user types it.
        value: as used; None where it was left out.
        meaning: what it does, in a sentence.
    """

    name: str
    value: Any
    meaning: str


@dataclass(frozen=True)
class Run:
    """What was asked for, and what was worth a note.

    Args:
        source: what the image is called.
        command: the command that was typed.
        settings: every option with its value and meaning.
        notes: warnings that came up.
    """

    source: str
    command: str
    settings: Sequence[Setting]
    notes: Sequence[str] = ()


def write_report(
    folder: str | Path,
    maps: xr.Dataset,
    history: xr.Dataset,
    run: Run,
    blur: xr.DataArray | None = None,
    gaps: bool = False,
    strained: tuple[xr.Dataset, xr.Dataset] | None = None,
    domains: tuple[xr.Dataset, xr.Dataset | None] | None = None,
    spectra: xr.Dataset | None = None,
) -> Path:
    """Write `report.html`, with those pictures in it that the folder has.

    Args:
        folder: holds `maps.png`, `manifold.png`, `reconstructions.png` and `training.png`, and
            `explore.html`, which is linked.
        maps: from `encode`.
        history: from `fit`.
        run: what was asked for.
        blur: from `explained_by_blur`, if it is to be told.
        gaps: whether pixels are missing.
        strained: from `strain` and `dislocations`, if they are to be told; the folder then has
            `strain.png` and `displacement.png` too.
        domains: from `walls`, and from `switched` or None, if they are to be told; the folder then
            has `walls.png` and `rose.png` too, and `switched.png`.
        spectra: from `mean_spectra`, if they are to be told; the folder then has `spectra.png`,
            `abundances.png` and `peak.png` too.

    Returns:
        The path of the report.

    Example:
        >>> import tempfile
        >>> import pyroshift
        >>> patches = pyroshift.extract_patches(np.random.default_rng(0).random((32, 40)), 16)
        >>> model = pyroshift.ShiftVAE(16)
        >>> history = pyroshift.fit(model, patches, epochs=1, progress=False)
        >>> run = Run("noise", "pyroshift fit noise.npy", [Setting("--window", 16, "in pixels")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_report(folder, pyroshift.encode(model, patches), history, run).name
        'report.html'
    """
    path = Path(folder) / REPORT
    with written(path) as partial:
        place = Path(folder)
        measured = [
            *_strain(place, strained), *_domains(place, domains), *_spectra(place, spectra)
        ]  # fmt: skip
        page = _page(Path(folder), maps, history, run, blur, gaps, measured)
        partial.write_text(page, encoding="utf-8")
    return path


def _page(
    folder: Path,
    maps: xr.Dataset,
    history: xr.Dataset,
    run: Run,
    blur: xr.DataArray | None,
    gaps: bool,
    measured: Sequence[str],
) -> str:
    about_tiles = words.MANIFOLD + [words.CLASSES] * (CLASS in maps)
    sections = [
        _notes(run.notes),
        *measured,
        _picture(folder / "deflection.png", "Deflection", words.DEFLECTION),
        _picture(folder / "patterns.png", "The mean pattern", words.PATTERNS),
        _picture(folder / "maps.png", "Maps", _about_maps(maps, gaps, folder)),
        tables.classes(maps),
        tables.latents(maps, history, blur),
        _picture(folder / "manifold.png", "What the latents mean", about_tiles),
        _picture(
            folder / "reconstructions.png", "How well the windows are explained", words.EXAMPLES
        ),
        _picture(folder / "training.png", "The training", words.TRAINING),
        _settings(run),
        _python(maps),
    ]
    return words.PAGE.format(
        title=escape(f"{_model_name(maps)}: {run.source}"),
        summary=_summary(maps, history) + (words.EXPLORE if (folder / EXPLORER).is_file() else ""),
        sections="\n".join(section for section in sections if section),
        versions=escape(_versions()),
    )


def _strain(folder: Path, strained: tuple[xr.Dataset, xr.Dataset] | None) -> list[str]:
    """How the lattice is strained, if that is to be told."""
    if strained is None:
        return []
    return [
        _picture(folder / "strain.png", "Strain", words.STRAIN),
        tables.strains(*strained),
        _picture(folder / "displacement.png", "Displacement", words.DISPLACEMENT),
    ]


def _domains(folder: Path, domains: tuple[xr.Dataset, xr.Dataset | None] | None) -> list[str]:
    """Where domains end and what switched, if that is to be told."""
    if domains is None:
        return []
    found, change = domains
    switched = [] if change is None else [
        _picture(folder / "switched.png", "What switched", words.SWITCHED), tables.change(change)
    ]  # fmt: skip
    return [
        _picture(folder / "walls.png", "Domain walls", words.WALLS),
        tables.walls(found),
        _picture(folder / "rose.png", "Which way walls go", words.ROSE),
        *switched,
    ]


def _spectra(folder: Path, spectra: xr.Dataset | None) -> list[str]:
    """What spectra show, if that is to be told."""
    if spectra is None:
        return []
    return [
        _picture(folder / "spectra.png", "Mean spectra", words.SPECTRA),
        tables.spectra(spectra),
        _picture(folder / "abundances.png", "Where each class is", words.ABUNDANCES),
        _picture(folder / "peak.png", "Where the peak is", words.PEAK),
    ]


def _model_name(maps: xr.Dataset) -> str:
    return str(configuration(maps).get("model", "model"))


def _summary(maps: xr.Dataset, history: xr.Dataset) -> str:
    """What was done, in a paragraph."""
    window = " x ".join(map(str, np.atleast_1d(maps.attrs.get("window", []))))
    channels = _listed(configuration(maps).get("channels", []))
    layout = " x ".join(f"{size} along {name}" for name, size in maps["elbo"].sizes.items())
    missing = int(maps["elbo"].isnull().sum())
    left_out = f" ({missing} of them left out, as they miss too many pixels)" if missing else ""
    epochs = history.sizes["epoch"]
    guide = str(configuration(maps).get("guide", "a guide"))
    loss = f", to a loss of {float(history['loss'][-1]):.1f} nats per window" if epochs else ""
    sites = ", ".join(f"<code>{escape(name)}</code>" for name in history["site"].values)
    return (
        f"Windows of {window} pixels{escape(f' of {channels}' if channels else '')}, "
        f"{escape(layout)}{left_out}, were described by a {escape(_model_name(maps))} with "
        f"{escape(guide)}, trained for {epochs} epochs{loss}. Its latents: {sites}."
    )


def _listed(names: Sequence[str]) -> str:
    """Names as one says them: a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _about_maps(maps: xr.Dataset, gaps: bool, folder: Path) -> list[str]:
    """What to look for in the maps that there are."""
    several = [words.CHANNELS] if "channels" in configuration(maps) else []
    deflected = {"offset"} if (folder / "deflection.png").is_file() else set()  # told there
    single = np.size(maps.attrs.get("window", [0, 0])) == 1
    texts = words.MAPS | (words.MAPS_OF_SPECTRA if single else {})
    known = [text for name, text in texts.items() if name in maps and name not in deflected]
    return several + known + [words.GAPS] * gaps


def _notes(notes: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section class="notes"><h2>Notes</h2><ul>{items}</ul></section>' if items else ""


def _picture(path: Path, heading: str, texts: Sequence[str]) -> str:
    """A picture within the page, and what to look for; nothing if there is no such picture."""
    if not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    items = "".join(f"<li>{text}</li>" for text in texts)
    return (
        f"<section><h2>{escape(heading)}</h2><figure>"
        f'<img alt="{escape(heading)}" src="data:image/png;base64,{data}">'
        f"<figcaption><ul>{items}</ul></figcaption></figure></section>"
    )


def _settings(run: Run) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(setting.name)}</code></td><td>{escape(_value(setting.value))}</td>"
        f"<td>{escape(setting.meaning)}</td></tr>"
        for setting in run.settings
    )
    return (
        f"<section><h2>Settings</h2><pre>{escape(run.command)}</pre><table><thead><tr><th>Option"
        f"</th><th>Value</th><th>Meaning</th></tr></thead><tbody>{rows}</tbody></table></section>"
    )


def _value(value: Any) -> str:
    """A setting's value as one would say it."""
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, Mapping):
        each = [f"{name}={one}" if name else str(one) for name, one in value.items()]
        return ", ".join(each)
    return str(value)


def _python(maps: xr.Dataset) -> str:
    plane = "offset" in maps and maps.sizes["axis"] > 1
    first = "maps.offset.sel(axis='y')" if plane else "maps.z.sel(latent=0)"
    return words.PYTHON.format(first=escape(first))


def _versions() -> str:
    names = ("pyroshift", "torch", "pyro-ppl", "numpy", "xarray", "matplotlib")
    found = [f"{name} {_version(name)}" for name in names]
    return ", ".join([*found, f"Python {platform.python_version()}"])


def _version(name: str) -> str:
    if name == "pyroshift":
        return __version__
    try:
        return version(name)
    except PackageNotFoundError:
        return "(unknown)"
