"""Saving models, and loading them without pickle: a specification in JSON, and the weights.

The specification names classes and their constructor arguments. Only classes of this package, of
`pyro.distributions`, and those that the user hands to `load` are ever built from it.
"""

import inspect
import io
import json
from collections.abc import Iterable
from numbers import Integral
from pathlib import Path
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Transform

from pyroshift._version import __version__
from pyroshift.bridge import bridge, reading, turns
from pyroshift.data.pixels import checked_pixels
from pyroshift.errors import ModelFileError, SpecificationError
from pyroshift.guides import anchor, normal, refined
from pyroshift.model import (
    bayesian,
    brightness,
    channels,
    classes,
    counts,
    decoders,
    distributions,
    encoders,
    families,
    likelihood,
    likelihoods,
    noise,
    pair,
    phases,
    priors,
    site,
    sites,
    structured_families,
    vae,
)
from pyroshift.model.distributions import constructor_arguments
from pyroshift.model.pair import PoseVAE
from pyroshift.priors import ard, flow, hierarchical, matern, mixture, vamp
from pyroshift.training.checkpoint import read_torch, write_torch

FORMAT = "pyroshift model 1"
_MODULES = (
    site, sites, priors, families, structured_families, likelihood, likelihoods, noise, counts,
    phases, channels, classes, encoders, decoders, anchor, normal, refined, brightness, pair, vae,
    ard, flow, hierarchical, matern, mixture, vamp, bayesian, bridge, reading, turns,
)  # fmt: skip


def save(model: PoseVAE, path: str | Path, *, overwrite: bool = False) -> None:
    """Save a model: its whole specification and its weights.

    Components of your own are saved by their constructor's arguments, which they must keep as
    attributes of the same names, and loaded when their classes are handed to `load`. A model class
    of your own is rebuilt from its sites and networks; what else its constructor sets is not saved.
    Whether the model can be built again is tried before anything is written.

    Args:
        model: the model.
        path: the file to write.
        overwrite: whether an existing file may be replaced.

    Raises:
        FileExistsError: if the file exists and may not be replaced.
        SpecificationError: if a part can't be written down (of a prior, subclass its site), or
            is built otherwise from the arguments that it kept.

    Example:
        >>> import tempfile
        >>> from pyroshift import ShiftVAE
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(ShiftVAE((16, 16)), Path(folder) / "model.pt")
        ...     type(load(Path(folder) / "model.pt")).__name__
        'ShiftVAE'
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: choose another path, or pass overwrite=True")
    write_torch(path, content(model))


def content(model: PoseVAE) -> dict[str, Any]:
    """What `save` writes of a model: format, specification in JSON, and weights.

    Raises:
        SpecificationError: if a part can't be written down, or built again from what is written.
    """
    specification = {
        "class": type(model).__name__,
        "arguments": {
            "window": list(model.window),
            "sites": [_describe(site) for site in model.given_sites],
            "likelihood": _describe(model.likelihood),
            "encoder": _describe(model.encoder),
            "decoder": _describe(model.decoder),
            "guide": _describe(model.guide_module),
            "channels": list(model.channels) or None,
            "condition": list(model.condition),
        },
        "trained_on": model.trained_on,
        **({"kept": {name: getattr(model, name) for name in model.kept}} if model.kept else {}),
        "pyroshift_version": __version__,
    }
    written = {
        "format": FORMAT,
        "specification": json.dumps(specification),
        "weights": model.state_dict(),
    }
    _check_restorable(model, written)
    return written


def load(
    path: str | Path, *, classes: Iterable[type] = (), device: torch.device | str = "cpu"
) -> PoseVAE:
    """Load a saved model. Nothing in the file is run.

    Args:
        path: the file.
        classes: classes of your own that the model is made of.
        device: where to put it.

    Returns:
        The model, ready to encode or to train further.

    Raises:
        FileNotFoundError: if there is no such file.
        ModelFileError: if the file is damaged or altered, or names an unknown class.
    """
    path = Path(path)
    content = read_torch(path, "model", FORMAT)
    try:
        return _restore(content, classes).eval().to(device)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    except Exception as error:
        raise ModelFileError(
            f"{path} holds no valid model: it is damaged or was altered "
            f"({type(error).__name__}: {error})"
        ) from error


def to_bytes(model: PoseVAE) -> bytes:
    """A model as `save` writes it, for another process.

    Raises:
        SpecificationError: if a part can't be written down, or built again from what is written.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> type(from_bytes(to_bytes(ShiftVAE(8)))).__name__
        'ShiftVAE'
    """
    archive = io.BytesIO()
    torch.save(content(model), archive)
    return archive.getvalue()


def from_bytes(
    written: bytes, *, classes: Iterable[type] = (), device: torch.device | str = "cpu"
) -> PoseVAE:
    """The model that `to_bytes` wrote, in this process. Nothing in it is run.

    Args:
        written: the bytes.
        classes: classes of the user's own that the model is made of.
        device: where to put it.
    """
    content = torch.load(io.BytesIO(written), map_location="cpu", weights_only=True)
    return _restore(content, classes).eval().to(device)


def classes_of(model: PoseVAE) -> tuple[type, ...]:
    """The classes that a model is made of, those of this package too."""
    parts = (*model.modules(), *(site.family for site in model.given_sites))
    return tuple(dict.fromkeys(map(type, parts)))


def _restore(content: dict[str, Any], classes: Iterable[type]) -> PoseVAE:
    """The model that a file's content describes, made of our classes and of those given."""
    known = {cls.__name__: cls for cls in (*_known_classes(), *classes)}
    specification, weights = json.loads(content["specification"]), content["weights"]
    model_class = _lookup(specification["class"], known)
    if not issubclass(model_class, PoseVAE):
        raise ModelFileError(f"{specification['class']!r} is no model")
    model = model_class.__new__(model_class)
    with torch.random.fork_rng(devices=[]):  # networks draw weights before they get theirs
        PoseVAE.__init__(model, **_build(specification["arguments"], known))
    model.to(weights["likelihood.location"].dtype).load_state_dict(weights)
    model.trained_on = checked_pixels(specification.get("trained_on"))  # old files have none
    for name in model_class.kept:
        setattr(model, name, specification["kept"][name])
    return model


def _check_restorable(model: PoseVAE, content: dict[str, Any]) -> None:
    """Raise a SpecificationError if what is to be written would not give the model back."""
    try:
        _restore(content, classes_of(model))
    except Exception as error:
        raise SpecificationError(
            "the model can't be saved: built again from the constructor's arguments that its parts "
            f"keep as attributes, it is another one ({error})"
        ) from error


def _known_classes() -> list[type]:
    return [
        value
        for module in _MODULES
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]


def _lookup(name: str, known: dict[str, type]) -> type:
    if name not in known:
        raise ModelFileError(
            f"unknown class {name!r}: if it is yours, hand it over by load(path, classes=[{name}])"
        )
    return known[name]


def _describe(value: Any) -> Any:
    """A value as JSON; objects as their class's name and constructor arguments."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Integral):  # a whole number of numpy's has no JSON
        return int(value)
    if isinstance(value, list | tuple):
        return [_describe(item) for item in value]
    if isinstance(value, Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype).removeprefix("torch.")}
    if isinstance(value, Distribution):
        return {
            "distribution": type(value).__name__,
            "arguments": {
                name: _describe(getattr(value, attribute))
                for name, attribute in _distribution_arguments(value).items()
            },
        }
    if isinstance(value, Transform):
        return {
            "transform": type(value).__name__,
            "arguments": {
                name: _describe(getattr(value, name)) for name in _transform_arguments(value)
            },
        }
    if not isinstance(value, nn.Module | families.GuideFamily):
        raise SpecificationError(
            f"{value!r} can't be saved as an argument: give numbers, text, lists, tensors, "
            "distributions or modules, or have a module of your own make it"
        )
    names = _constructor_arguments(type(value))
    if missing := [name for name in names if not hasattr(value, name)]:
        raise SpecificationError(
            f"{type(value).__name__} can't be saved: keep its constructor's arguments {missing} "
            "as attributes of the same names"
        )
    # A site's prior is what it is now; to be built again, it must be as it was given.
    given = {"prior": value.given_prior} if isinstance(value, sites.Site) else {}
    return {
        "class": type(value).__name__,
        "arguments": {name: _describe(given.get(name, getattr(value, name))) for name in names},
    }


def _constructor_arguments(cls: type) -> list[str]:
    if cls.__init__ in (object.__init__, nn.Module.__init__):  # type: ignore[misc]
        return []
    return list(inspect.signature(cls).parameters)


def _distribution_arguments(value: Distribution) -> dict[str, str]:
    """The constructor's arguments by which a distribution is written down."""
    if _named(type(value).__name__, Distribution) is not type(value):
        raise SpecificationError(
            f"the prior {value} can't be saved: subclass its site, and build the prior there, or "
            "give a module of your own, whose forward() builds it"
        )
    return constructor_arguments(value)


def _transform_arguments(value: Transform) -> list[str]:
    """The constructor's arguments by which a transform is written down."""
    names = [name for name in _constructor_arguments(type(value)) if name != "cache_size"]
    if _named(type(value).__name__, Transform) is type(value) and all(
        hasattr(value, name) for name in names
    ):
        return names
    raise SpecificationError(
        f"a prior with the transform {value} can't be saved: subclass its site, and build the "
        "prior there, or give a module of your own, whose forward() builds it"
    )


def _build(value: Any, known: dict[str, type]) -> Any:
    """What `_describe` described."""
    if isinstance(value, list):
        return [_build(item, known) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return torch.tensor(value["tensor"], dtype=getattr(torch, value["dtype"]))
    for key, kind in (("distribution", Distribution), ("transform", Transform)):
        if key in value:
            cls = _named(value[key], kind)
            if cls is None:
                raise ModelFileError(f"unknown {key} {value[key]!r}")
            return cls(**_build(value["arguments"], known))
    if "class" in value:
        return _lookup(value["class"], known)(**_build(value["arguments"], known))
    return {name: _build(item, known) for name, item in value.items()}


def _named(name: str, kind: type) -> type | None:
    """The distribution or transform of that name; None if there is none."""
    for module in (dist, dist.transforms, distributions):
        cls = getattr(module, name, None)
        if isinstance(cls, type) and issubclass(cls, kind):
            return cls
    return None
