"""`write_report`: one web page, complete in itself, that shows and explains a run's results."""

import base64
import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pyroshift._version import __version__
from pyroshift.data.files import written
from pyroshift.plot.fields import collapsed_fields

REPORT = "report.html"


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
) -> Path:
    """Write `report.html`, with those pictures in it that the folder has.

    Args:
        folder: holds `maps.png`, `manifold.png`, `reconstructions.png` and `training.png`.
        maps: from `encode`.
        history: from `fit`.
        run: what was asked for.
        blur: from `explained_by_blur`, if it is to be told.

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
        partial.write_text(_page(Path(folder), maps, history, run, blur), encoding="utf-8")
    return path


def _page(
    folder: Path, maps: xr.Dataset, history: xr.Dataset, run: Run, blur: xr.DataArray | None
) -> str:
    sections = [
        _notes(run.notes),
        _picture(folder / "maps.png", "Maps", _about_maps(maps)),
        _found(maps, history, blur),
        _picture(folder / "manifold.png", "What the latents mean", _MANIFOLD),
        _picture(folder / "reconstructions.png", "How well the windows are explained", _EXAMPLES),
        _picture(folder / "training.png", "The training", _TRAINING),
        _settings(run),
        _python(maps),
    ]
    return _PAGE.format(
        title=escape(f"{_model_name(maps)}: {run.source}"),
        summary=_summary(maps, history),
        sections="\n".join(section for section in sections if section),
        versions=escape(_versions()),
    )


def _model_name(maps: xr.Dataset) -> str:
    return str(_configuration(maps).get("model", "model"))


def _configuration(maps: xr.Dataset) -> dict[str, Any]:
    return json.loads(maps.attrs.get("configuration", "{}"))


def _summary(maps: xr.Dataset, history: xr.Dataset) -> str:
    """What was done, in a paragraph."""
    window = " x ".join(map(str, np.atleast_1d(maps.attrs.get("window", []))))
    layout = " x ".join(f"{size} along {name}" for name, size in maps["elbo"].sizes.items())
    epochs = history.sizes["epoch"]
    guide = str(_configuration(maps).get("guide", "a guide"))
    loss = f", to a loss of {float(history['loss'][-1]):.1f} nats per window" if epochs else ""
    sites = ", ".join(f"<code>{escape(name)}</code>" for name in history["site"].values)
    return (
        f"Windows of {window} pixels, {escape(layout)}, were described by a "
        f"{escape(_model_name(maps))} with {escape(guide)}, trained for {epochs} epochs{loss}. "
        f"Its latents: {sites}."
    )


def _about_maps(maps: xr.Dataset) -> list[str]:
    """What to look for in the maps that there are."""
    return [text for name, text in _MAPS.items() if name in maps]


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


def _found(maps: xr.Dataset, history: xr.Dataset, blur: xr.DataArray | None) -> str:
    """A table of how much each latent varies, how well it is known, and what it costs."""
    rows, collapsed = [], collapsed_fields(maps)
    for name in maps.data_vars:
        deviation = f"{name}_std"
        if deviation not in maps:
            continue
        extra = [dim for dim in maps[name].dims if dim not in maps["elbo"].dims]
        labels = maps[extra[0]].values if extra else [""]
        for position, label in enumerate(labels):
            part = {extra[0]: position} if extra else {}
            spread = float(maps[name].isel(part).std())
            doubt = float(maps[deviation].isel(part).mean())
            units = str(maps[name].attrs.get("units", "1")).removeprefix("1")
            gone = f"{name}{label}" in collapsed
            cells = (
                f"{name} {label}{', collapsed' if gone else ''}",
                f"{spread:.3g} {units}",
                f"{doubt:.2g} {units}",
            )
            row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            rows.append(f"<tr class='collapsed'>{row}</tr>" if gone else f"<tr>{row}</tr>")
    return (
        "<section><h2>How much each latent tells</h2><table><thead><tr><th>Latent</th><th>varies "
        "over the windows by</th><th>and is known to within</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><p>Standard deviations, the latter averaged over "
        "the windows. A latent tells something where it varies by much more than it is uncertain; "
        "a z that is uncertain by about 1 has collapsed and means nothing. "
        f"{_costs(history)}{_blurred(blur)}</p></section>"
    )


def _costs(history: xr.Dataset) -> str:
    if not history.sizes["epoch"]:
        return ""
    last = history["kl"].isel(epoch=-1)
    terms = ", ".join(f"{site.item()} {float(last.sel(site=site)):.1f}" for site in history["site"])
    return f"Information taken from a window at the end of the training, in nats: {escape(terms)}."


def _blurred(blur: xr.DataArray | None) -> str:
    """How much of z is brightness, and what to do about it."""
    if blur is None or not np.isfinite(blur).any():
        return ""
    shares = ", ".join(
        f"{share:.2f} of z {n}" for n, share in enumerate(blur.values) if np.isfinite(share)
    )
    advice = (
        " Where that is large, <code>--brightness site</code> describes it apart, and "
        "<code>--normalize patch</code> takes it out."
    )
    told = f" The mean grey level of the window explains {shares}."
    return told + advice if blur.max() > 0.5 else told


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
    return str(value)


def _python(maps: xr.Dataset) -> str:
    first = "maps.offset.sel(axis='y')" if "offset" in maps else "maps.z.sel(latent=0)"
    return _PYTHON.format(first=escape(first))


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


_MAPS = {
    "z": "<b>z</b> says what the motif looks like. Where a z map is smooth, it shows a property of "
    "the sample or the scan: a phase, a defect, a change of the tip. Where it repeats with the "
    "lattice, it has taken over a shift that the offsets should hold: try a wider "
    "<code>--offset-scale</code> or a larger <code>--kl</code>, without <code>--guide "
    "normal</code>. Salt and pepper is noise. A z that collapsed is pale: it means nothing.",
    "offset": "<b>offset</b> says where the motif sits in its window, from the centre and positive "
    "downwards and to the right. On a perfect lattice the maps beat: stripes or a moiré between "
    "the lattice and the grid of windows, the wider the closer the step is to a whole number of "
    "periods. A bend or a jump in these stripes is a strain, a drift of the scan, or a "
    "dislocation; jumps by one period mean nothing, since all cells are alike.",
    "angle": "<b>angle</b> says how the motif is turned, counter-clockwise. Grains show as areas "
    "of one colour. A motif with symmetry has several angles that are equally right, which look "
    "like salt and pepper: give it by <code>--symmetry</code>.",
    "scale": "<b>scale</b> says how large the motif is.",
    "elbo": "<b>ELBO</b> says how well the model explains each window. It finds anomalies: what is "
    "rare, such as a defect or debris, is explained worse than its surroundings; what is plain, "
    "such as an edge without texture, better.",
}
_MANIFOLD = [
    "What the model expects to see for each pair of latents, without shift or turn. Neighbours "
    "should change gradually. Read it beside the maps: the colour of a place there is a tile here. "
    "Tiles that differ by a shift only mean that z has taken over a shift. The windows have none "
    "of the pale tiles, whose z collapsed."
]
_EXAMPLES = [
    "Windows from the best (left) to the worst explained (right), what the model makes of them, "
    "and what remains. Structure that remains in many windows is something the model has not "
    "learnt: train for longer, or give it another latent."
]
_TRAINING = [
    "The loss should have settled, and not only because the learning rate went to zero: if it fell "
    "until shortly before the end, train for more <code>--epochs</code>.",
    "A site's KL divergence is the information that it takes from a window; near 0 it has "
    "collapsed, and its map means nothing.",
]
_PYTHON = """\
<section><h2>Going on in Python</h2>
<pre>import xarray

maps = xarray.load_dataset("maps.nc")        # needs no pyroshift
{first}.plot()

import pyroshift

model = pyroshift.load("model.pt")
reconstructed = pyroshift.decode(model, maps)
pyroshift.plot.maps(maps)</pre>
<p>In this folder: <code>maps.nc</code> the maps, with units; <code>history.nc</code> the training's
numbers; <code>model.pt</code> the model, for <code>pyroshift encode</code> and
<code>pyroshift.load</code>; <code>checkpoint.pt</code> what <code>--resume</code> goes on from, not
needed otherwise; and the pictures.</p></section>"""
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.2; }}
h2 {{ font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid #ddd; }}
figure {{ margin: 0; }}
img {{ max-width: 100%; display: block; margin: 0 auto; background: #fff; }}
figcaption {{ color: #444; font-size: 0.95rem; }}
ul {{ padding-left: 1.2rem; }}
table {{ border-collapse: collapse; font-size: 0.9rem; }}
.collapsed {{ color: #999; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0;
  border-bottom: 1px solid #eee; }}
td:first-child {{ white-space: nowrap; }}
code, pre {{ font-family: ui-monospace, monospace; font-size: 0.9em; }}
pre {{ background: #f5f5f5; padding: 0.7rem 1rem; overflow-x: auto; }}
.notes {{ background: #fff6e0; padding: 0.2rem 1rem; }}
.notes h2 {{ margin-top: 0.6rem; border: none; }}
footer {{ margin-top: 3rem; color: #777; font-size: 0.85rem; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{summary}</p>
{sections}
<footer>{versions}</footer>
</body>
</html>
"""
