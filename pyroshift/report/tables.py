"""Tables of the report: how much each latent tells, and what the classes are."""

import json
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.maps.encode import INTERVALS
from pyroshift.maps.labels import COLLAPSED, KIND, PROBABILITIES
from pyroshift.model.classes import CLASS
from pyroshift.plot.fields import collapsed_fields, kind_title, kinds_of
from pyroshift.plot.units import with_unit

_BRIGHT = 0.5  # share of a latent's variance, explained by the grey level, that calls for advice
_MOST_WALLS = 12  # that are told one by one


def configuration(maps: xr.Dataset) -> dict[str, Any]:
    """What the maps' model is, as they tell it.

    Example:
        >>> configuration(xr.Dataset(attrs={"configuration": '{"model": "VAE"}'}))
        {'model': 'VAE'}
    """
    return json.loads(maps.attrs.get("configuration", "{}"))


def latents(maps: xr.Dataset, history: xr.Dataset, blur: xr.DataArray | None) -> str:
    """How much each latent varies, how well it is known, and what it costs.

    Args:
        maps: from `encode`.
        history: from `fit`.
        blur: from `explained_by_blur`, if it is to be told.
    """
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
                with_unit(float(f"{spread:.3g}"), units).strip(),
                with_unit(float(f"{doubt:.2g}"), units).strip(),
            )
            rows.append(_row(cells, "collapsed" if gone else ""))
    header = ("Latent", "varies over the windows by", "and is known to within")
    return (
        f"<section><h2>How much each latent tells</h2>{_table(header, rows)}"
        "<p>Standard deviations, the latter averaged over the windows. A latent tells something "
        "where it varies by much more than it is uncertain; a z that "
        f"collapsed means nothing. {_robust(maps)}{_costs(history)}{_blurred(blur, maps)}"
        "</p></section>"
    )


def _robust(maps: xr.Dataset) -> str:
    """What uncertainties allow for, where they are robust."""
    if maps.attrs.get(INTERVALS) != "robust":
        return ""
    return (
        "Uncertainties allow for what the model leaves unexplained as noise of neighbouring pixels "
        "together. "
    )


def classes(maps: xr.Dataset) -> str:
    """How many windows each class has, and how sure they are of it; nothing without classes."""
    kinds = kinds_of(maps, CLASS) if CLASS in maps and PROBABILITIES in maps else ()
    if not kinds:
        return ""
    best, sure = maps[CLASS].values, maps[PROBABILITIES].max(KIND).transpose(*maps[CLASS].dims)
    rows = []
    for number, kind in enumerate(kinds):
        of_it = best == number
        count = int(of_it.sum())
        share = f"{count} ({count / max(np.isfinite(best).sum(), 1):.1%})"
        certain = f"{float(sure.values[of_it].mean()):.2f}" if count else ""
        rows.append(_row((kind_title(kind), share, certain), "" if count else "collapsed"))
    return (
        "<section><h2>Classes</h2>"
        f"{_table(('Class', 'windows', 'mean probability of those'), rows)}"
        "<p>What each looks like is shown below. A class without windows isn't needed, and two "
        "that look alike are one: take fewer <code>--classes</code>.</p></section>"
    )


def spectra(means: xr.Dataset) -> str:
    """How many spectra are of each class, and where their means are highest.

    Args:
        means: from `mean_spectra`.
    """
    array = means["mean"].transpose("class", ...)
    axis = array[array.dims[1]]
    units = str(axis.attrs.get("units", "")).removeprefix("1")
    rows = []
    for name, count, mean in zip(
        array["class"].values, array["count"].values, array.values, strict=True
    ):
        known = np.isfinite(mean).any()
        highest = f"{axis.values[np.nanargmax(mean)]:.4g} {units}" if known else ""
        rows.append(_row((str(name), str(int(count)), highest), "" if known else "collapsed"))
    header = ("Class", "spectra", "mean is highest at")
    return f"<section><h2>Classes of spectra</h2>{_table(header, rows)}</section>"


def strains(strained: xr.Dataset, dislocations: xr.Dataset) -> str:
    """How large strains are, how sure, how fine, and which dislocations there are.

    Args:
        strained: from `strain`.
        dislocations: from `dislocations`.
    """
    rows = []
    for name in ("exx", "eyy", "exy", "rotation"):
        factor, unit = (180 / np.pi, "°") if name == "rotation" else (100.0, "%")
        mean, spread, doubt = (
            f"{factor * float(number):.2g} {unit}"
            for number in (
                strained[name].mean(), strained[name].std(), strained[f"{name}_std"].median()
            )
        )  # fmt: skip
        rows.append(_row((name, mean, spread, doubt), ""))
    header = ("Strain", "mean", "varies over the windows by", "and is known to within")
    units = str(strained.attrs["resolution_units"])
    told = f"{strained.attrs['resolution_with_window']:.3g} {units}"
    excess = " and ".join(f"{factor:.2f}" for factor in np.atleast_1d(strained.attrs["excess"]))
    count = dislocations.sizes["dislocation"]
    found = [
        f"at y {float(y):.4g}, x {float(x):.4g} {units}, of ({by:.3g}, {bx:.3g}) {units}"
        for y, x, (by, bx) in zip(
            dislocations["y"], dislocations["x"], dislocations["burgers"].values, strict=True
        )
    ]
    which = f"There are {count} dislocations, with Burgers vectors (y, x): {'; '.join(found[:20])}"
    more = " and others, in <code>dislocations.csv</code>" if count > 20 else ""
    return (
        f"<section><h2>How much the lattice is strained</h2>{_table(header, rows)}"
        f"<p>Details finer than {escape(told)} are blurred, by windows and by the resolution "
        "together. Windows scatter about the field around them "
        f"{excess} times (y and x) as much as their own pixels let expect, and intervals are as "
        f"much wider. {escape(which) + more if count else 'There is no dislocation'}.</p></section>"
    )


def walls(found: xr.Dataset) -> str:
    """How long walls are, and which way they go.

    Args:
        found: from `walls`.
    """
    unit, lengths = found.attrs["unit"], found["length"].groupby(found["wall"]).sum()
    rows = []
    for number in np.unique(found["wall"].values)[:_MOST_WALLS]:
        one = found.isel(point=found["wall"].values == number)
        axis = complex((one["length"] * np.exp(2j * one["angle"])).sum() / one["length"].sum())
        cells = (
            f"{number}{' (closed)' if bool(one['closed'][0]) else ''}",
            f"{float(lengths.sel(wall=number)):.3g} {unit}",
            f"{np.rad2deg(np.angle(axis)) / 2:.0f}°",
            f"{abs(axis):.2f}",
            f"{np.rad2deg(float(one['angle_std'].median())):.1f}°",
        )
        rows.append(_row(cells, ""))
    count = "There is 1 wall" if len(lengths) == 1 else f"There are {len(lengths)} walls"
    header = ("Wall", "length", "mean angle", "how straight (1: quite)", "angles known to within")
    more = f" The {_MOST_WALLS} longest are shown." if len(lengths) > _MOST_WALLS else ""
    return (
        f"<section><h2>How long walls are</h2>{_table(header, rows)}<p>{count}, "
        f"{found.attrs['total_length']:.3g} {escape(unit)} altogether, at a resolution of "
        f"{found.attrs['resolution']:.3g} {escape(unit)}.{more}</p></section>"
    )


def change(found: xr.Dataset) -> str:
    """How much switched, and how far the second scan had drifted.

    Args:
        found: from `switched`.
    """
    drift = " and ".join(f"{float(each):.3g}" for each in found["drift"])
    unit = str(found.attrs["unit"])
    return (
        f"<section><p>{found.attrs['rose']:.2%} of the area rose to the positive domain, "
        f"{found.attrs['fell']:.2%} fell to the negative one. The second scan had drifted by "
        f"{drift} {escape(unit)} along y and x; both scans show {found.attrs['overlap']:.0%} of "
        f"the first, where they are correlated by {found.attrs['correlation']:.2f}.</p></section>"
    )


def _table(header: tuple[str, ...], rows: list[str]) -> str:
    heads = "".join(f"<th>{escape(text)}</th>" for text in header)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(cells: tuple[str, ...], kind: str) -> str:
    row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr class='{kind}'>{row}</tr>" if kind else f"<tr>{row}</tr>"


def _costs(history: xr.Dataset) -> str:
    if not history.sizes["epoch"]:
        return ""
    last = history["kl"].isel(epoch=-1)
    terms = ", ".join(f"{site.item()} {float(last.sel(site=site)):.1f}" for site in history["site"])
    return f"Information taken from a window at the end of the training, in nats: {escape(terms)}."


def _blurred(blur: xr.DataArray | None, maps: xr.Dataset) -> str:
    """How much of z is brightness, and what to do about it."""
    if blur is not None and COLLAPSED in maps.coords and blur.sizes == maps[COLLAPSED].sizes:
        blur = blur.where(~maps[COLLAPSED].values)
    if blur is None or not np.isfinite(blur).any():
        return ""
    shares = ", ".join(
        f"{share:.2f} of z {n}" for n, share in enumerate(blur.values) if np.isfinite(share)
    )
    known = configuration(maps)
    remedies = ["<code>--normalize patch</code> takes it out"]
    if "channels" not in known:
        remedies.insert(0, "<code>--brightness site</code> describes it apart")
    if "phase_periods" in known:
        remedies.pop()  # as stretched phases are none
    what = (
        "The mean values of a window's channels explain"
        if "channels" in known
        else ("The mean grey level of the window explains")
    )
    told = f" {what} {shares}."
    if blur.max() <= _BRIGHT or not remedies:
        return told
    return f"{told} Where that is large, {', and '.join(remedies)}."
