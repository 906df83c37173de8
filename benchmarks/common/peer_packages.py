"""The peers, which are no dependencies, without packages that only their plots need."""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any, NamedTuple

from torch import Tensor


class PeerMissingError(ImportError):
    """A peer that isn't installed."""


class PyroVED(NamedTuple):
    """A model of pyroVED, what trains it, and its batches."""

    model: Any
    trainer: Any
    loader: Any


def pyroved(
    data: Tensor,
    latent_dim: int,
    turns: bool,
    seed: int,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    **options: Any,
) -> PyroVED:
    """PyroVED's invariant VAE, untrained; the script ends if the package is missing.

    It imports torchvision for one picture that nothing here draws.

    Args:
        data: sample x height x width, or sample x length.
        latent_dim: number of its z.
        turns: whether it is invariant to rotations too, beside shifts.
        seed: of the weights and of the training.
        batch_size: its default.
        learning_rate: its default.
        options: of the model.
    """
    try:
        package = import_peer("pyroved", "0.3.0", ("torchvision", "torchvision.utils"))
    except PeerMissingError as missing:
        raise SystemExit(str(missing)) from missing
    model = package.models.iVAE(
        tuple(data.shape[1:]),
        latent_dim=latent_dim,
        invariances=["r", "t"] if turns else ["t"],
        seed=seed,
        **options,
    )
    trainer = package.trainers.SVItrainer(model, seed=seed, lr=learning_rate)
    return PyroVED(model, trainer, package.utils.init_dataloader(data, batch_size=batch_size))


def import_peer(name: str, version: str, absent: tuple[str, ...]) -> Any:
    """A peer, with stand-ins for those of the packages that are missing while it is imported.

    Args:
        name: of the peer.
        version: that the benchmarks were written for.
        absent: modules that it imports and that nothing here needs.

    Raises:
        PeerMissingError: if the peer itself is missing.
    """
    if importlib.util.find_spec(name) is None:
        raise PeerMissingError(f"{name} is missing: pip install --no-deps {name}=={version}")
    packages = {part.split(".")[0] for part in absent if part not in sys.modules}
    missing = {package for package in packages if importlib.util.find_spec(package) is None}
    stand_ins = {part: _StandIn(part) for part in absent if part.split(".")[0] in missing}
    sys.modules |= stand_ins
    try:
        return importlib.import_module(name)
    finally:
        for part in stand_ins:  # others would take them for the packages
            del sys.modules[part]


class _Absent(type):
    """Classes of any name, which do nothing."""

    def __getattr__(cls, name: str) -> "_Absent":
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(name, (), {})


class _StandIn(ModuleType):
    """A module that holds whatever name is imported from it."""

    def __getattr__(self, name: str) -> _Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(name, (), {})
