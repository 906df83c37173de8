"""Single maps by name out of a Dataset from `encode`: z0, z1 ..., offset_y, angle, elbo ..."""

import re

import numpy as np
import xarray as xr

from pyroshift.errors import DataError
from pyroshift.maps.labels import COLLAPSED, KIND, PROBABILITIES, components
from pyroshift.model.classes import CLASS, FLIP
from pyroshift.model.sites import CONTENT
from pyroshift.pathways.tracks import CLASS_INDEX, class_names

_FIRST, _LAST = ("z", "offset", "angle", "scale", "flip", "class"), ("elbo",)
MIRRORED = f"{FLIP}_probability"


def fields(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Every map of numbers in a Dataset, with one name for each component.

    Args:
        dataset: from `encode`, with variables added or not.

    Returns:
        Arrays over the patches' dimensions, by name: latents, pose, the user's own, `elbo`.

    Raises:
        DataError: if there is no map in it, or no patch.

    Example:
        >>> dataset = xr.Dataset({"z": (("y", "x", "latent"), np.zeros((3, 4, 2)))})
        >>> list(fields(dataset))
        ['z0', 'z1']
    """
    if not isinstance(dataset, xr.Dataset):
        raise DataError(f"expected a Dataset from encode, got {type(dataset).__name__}")
    found: dict[str, xr.DataArray] = {}
    for name in sorted(map(str, dataset.data_vars), key=_rank):
        if np.issubdtype(dataset[name].dtype, np.number) or dataset[name].dtype == bool:
            found.update(components(name, dataset[name]))
    if not found:
        raise DataError("the Dataset holds no maps: expected one from encode")
    first = next(iter(found.values()))
    if not first.size:
        raise DataError(f"the Dataset holds no patches: its sizes are {dict(first.sizes)}")
    return {
        name: array.transpose(*first.dims)
        for name, array in found.items()
        if set(array.dims) == set(first.dims)
    }


def field(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """One map, or a coordinate spread over the patches' dimensions.

    Raises:
        DataError: if there is none of that name; the message lists those there are.
    """
    found = fields(dataset)
    layout = next(iter(found.values()))
    for coordinate_name, coordinate in layout.coords.items():
        if np.issubdtype(coordinate.dtype, np.number):
            found.setdefault(str(coordinate_name), coordinate)
    if name not in found:
        raise DataError(f"there is no variable {name!r}: choose one of {list(found)}")
    spread = found[name].broadcast_like(layout).transpose(*layout.dims)
    return spread.assign_attrs(found[name].attrs)


def collapsed_fields(dataset: xr.Dataset) -> frozenset[str]:
    """Names of the maps that mean nothing, since their latent collapsed onto its prior.

    Example:
        >>> z = (("y", "x", "latent"), np.zeros((3, 4, 2)))
        >>> dataset = xr.Dataset({"z": z}, {"collapsed": ("latent", [False, True])})
        >>> sorted(collapsed_fields(dataset))
        ['z1', 'z1_std']
    """
    if COLLAPSED not in dataset.coords or CONTENT not in dataset:
        return frozenset()
    latents = components(CONTENT, dataset[CONTENT])
    gone = [
        name for name, flag in zip(latents, dataset[COLLAPSED].values, strict=True) if bool(flag)
    ]
    return frozenset([*gone, *(f"{name}_std" for name in gone)])


def kinds_of(dataset: xr.Dataset, name: str) -> tuple[str, ...]:
    """What the whole numbers of a map stand for; nothing where it holds other numbers.

    Example:
        >>> kinds = xr.Dataset({"class": ("patch", [1.0, 0.0])}, {"kind": ["ring", "cross"]})
        >>> kinds_of(kinds, "class"), kinds_of(kinds, "elbo")
        (('ring', 'cross'), ())
    """
    if name == CLASS and KIND in dataset.coords:
        return tuple(map(str, dataset[KIND].values))
    if name == CLASS_INDEX and name in dataset:
        return tuple(map(str, class_names(dataset)))
    return ("as drawn", "mirrored") if name == FLIP and MIRRORED in dataset else ()


def certainty(dataset: xr.Dataset, name: str) -> xr.DataArray | None:
    """How probable the kinds of a map are, where that is known.

    Example:
        >>> flips = {"flip": ("patch", [1.0, 0.0]), "flip_probability": ("patch", [0.75, 0.125])}
        >>> certainty(xr.Dataset(flips), "flip").values
        array([0.75 , 0.875])
    """
    if name == CLASS and PROBABILITIES in dataset:
        return dataset[PROBABILITIES].max(KIND)
    if name == FLIP and MIRRORED in dataset:
        return 0.5 + abs(dataset[MIRRORED] - 0.5)
    return None


def kind_title(kind: str) -> str:
    """What a class is called where it stands alone.

    Example:
        >>> kind_title("2"), kind_title("ring")
        ('class 2', 'ring')
    """
    return f"{CLASS} {kind}" if kind.isdigit() else kind


def is_optional(name: str) -> bool:
    """Whether this is shown on request only: how sure other maps are, of which there are many."""
    return is_deviation(name) or name.startswith((PROBABILITIES, MIRRORED))


def is_deviation(name: str) -> bool:
    """Whether this is a standard deviation of another map."""
    return name.endswith("_std")


def select_frame(array: xr.DataArray, frame: int) -> xr.DataArray:
    """The part of a map that belongs to one frame of a stack.

    Args:
        array: over the patches' dimensions; maps of one frame are returned as they are.
        frame: index of the frame.

    Raises:
        DataError: if there is no such frame.
    """
    if "frame" not in array.coords and "frame" not in array.dims:
        return array
    if "frame" in array.dims:
        if array.ndim == 1:
            return array
        if not -array.sizes["frame"] <= frame < array.sizes["frame"]:
            raise DataError(f"there is no frame {frame}: there are {array.sizes['frame']}")
        return array.isel(frame=frame, drop=True)
    frames = np.unique(array["frame"].values)
    if len(frames) < 2:
        return array
    if frame not in frames:
        raise DataError(f"no patch is in frame {frame}: choose one of {frames.tolist()}")
    return array[{array.dims[0]: array["frame"].values == frame}]


def title(name: str, collapsed: bool = False) -> str:
    """The name of a map as the field writes it, and whether it collapsed.

    Example:
        >>> title("z0"), title("offset_y"), title("angle_std"), title("class_probability_2")
        ('$z_{0}$', 'offset y', 'angle, std', 'class 2')
    """
    base = name.removesuffix("_std")
    latent = re.fullmatch(rf"{CONTENT}(\d+)", base)
    if latent:
        shown = f"$z_{{{latent[1]}}}$"
    elif base.startswith(f"{PROBABILITIES}_"):
        shown = kind_title(base.removeprefix(f"{PROBABILITIES}_"))
    else:
        shown = "ELBO" if base == "elbo" else base.replace("_", " ")
    shown = f"{shown}, std" if is_deviation(name) else shown
    return f"{shown}, collapsed" if collapsed else shown


def _rank(name: str) -> tuple[int, int, str]:
    """Latents first, then pose, then what the user added, then the bound."""
    base = name.removesuffix("_std")
    order = _FIRST.index(base) if base in _FIRST else len(_FIRST) + (base in _LAST)
    return is_deviation(name), order, name if order == len(_FIRST) else ""
