"""What maps are called on a page, in which units and colours; and what is known of each place."""

import json
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.explorer import pictures
from pyroshift.explorer.packing import Pack
from pyroshift.explorer.places import Places
from pyroshift.maps.labels import MODE, PROBABILITIES, components
from pyroshift.model.classes import CLASS
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.colours import colour_limits, colour_map
from pyroshift.plot.fields import collapsed_fields, fields, is_optional, kinds_of, title
from pyroshift.plot.units import units_of

_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def described(model: PoseVAE, maps: xr.Dataset, places: Places, pack: Pack) -> dict[str, Any]:
    """Model, places, maps and modes for the header, their numbers in the pack.

    Args:
        model: trained.
        maps: from `encode`.
        places: of the maps.
        pack: that numbers go into.
    """
    for name in ("x", "y", "frame"):
        if places.kind == "points":
            pack.add(f"place.{name}", getattr(places, name))
    pack.add("colours", pictures.tables())
    return {
        "model": _story(model, maps),
        "places": {
            "kind": places.kind,
            "count": len(places),
            "dims": list(places.dims),
            "sizes": list(places.template.shape),
            "frames": list(places.frames),
            "rows": places.rows,
            "columns": places.columns,
            "extent": [float(edge) for edge in places.extent],
            "names": list(places.names),
            "units": list(places.units),
        },
        "colourMaps": list(pictures.COLOURS),
        "fields": [_field(maps, name, array, pack) for name, array in fields(maps).items()],
        "modes": _modes(maps, places, pack),
    }


def kinds(maps: xr.Dataset) -> tuple[str, ...]:
    """What a model's classes are called."""
    return kinds_of(maps, CLASS)


def spoken(name: str) -> str:
    """A map's name in plain letters.

    Example:
        >>> spoken("z10"), spoken("offset_y"), spoken("class_probability_2")
        ('z₁₀', 'offset y', 'class 2')
    """
    return title(name).replace("$z_{", "z").replace("}$", "").translate(
        _SUBSCRIPT if name.startswith("z") else {}
    )  # fmt: skip


def _story(model: PoseVAE, maps: xr.Dataset) -> str:
    """What the maps' model is, in a line."""
    told = json.loads(maps.attrs.get("configuration", "{}"))
    sites = ", ".join(site.name for site in model.given_sites)
    guide = told.get("guide", type(model.guide_module).__name__)
    window = " x ".join(map(str, model.window))
    return f"{type(model).__name__} with {guide}; sites {sites}; windows of {window} pixels"


def _field(maps: xr.Dataset, name: str, array: xr.DataArray, pack: Pack) -> dict[str, Any]:
    pack.add(f"field.{name}", array.values.astype(np.float32).ravel())
    base = name.removesuffix("_std")
    return {
        "name": name,
        "title": spoken(name),
        "units": units_of(array),
        "about": str(array.attrs.get("long_name", spoken(name))),
        "deviation": name != base,
        "probability": name.startswith(f"{PROBABILITIES}_"),
        "optional": is_optional(name),
        "collapsed": name in collapsed_fields(maps),
        "kinds": list(kinds_of(maps, name)),
        "colours": _colours(name),
        "limits": colour_limits(name, array.values),
    }


def _colours(name: str) -> str:
    chosen = colour_map(name).name
    return chosen if chosen in pictures.COLOURS else pictures.COLOURS[0]


def _modes(maps: xr.Dataset, places: Places, pack: Pack) -> dict[str, Any] | None:
    """The modes of each posterior, best first, where maps have them."""
    if "mode" not in maps.dims or f"{MODE}probability" not in maps:
        return None
    columns = []
    names = [str(name) for name in maps.data_vars if str(name).startswith(MODE)]
    for name in sorted(names, key=lambda each: each != f"{MODE}probability"):
        for part, array in components(name, maps[name]).items():
            if set(array.dims) != {*places.dims, "mode"}:
                continue
            values = array.transpose(*places.dims, "mode").values
            pack.add(f"mode.{part}", values.astype(np.float32).reshape(len(places), -1))
            columns.append(
                {
                    "name": part,
                    "title": part.removeprefix(MODE).replace("_", " "),
                    "units": units_of(array),
                }
            )
    return {"count": maps.sizes["mode"], "columns": columns}
