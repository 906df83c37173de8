"""Modules under the names that they had at first: each is imported with a DeprecationWarning."""

import importlib
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_MODEL = ("brightness", "pair", "parts", "vae")
_GUIDES = ("anchor", "bins", "drawing", "refinement", "search", "settling", "template", "vector")
_TRAINING = (
    "annealing", "checkpoint", "diagnostics", "elbo", "fit", "history", "options", "run", "totals",
)  # fmt: skip
_LOOSE = (
    "distributions", "families", "frame", "likelihood", "likelihoods", "linear_normal", "pose",
    "site", "sites",
)  # fmt: skip
_SEARCH = ("records", "space", "study", "training", "workers")

# Where each module is now, or the several that it was split into; names within the package.
MOVED: dict[str, tuple[str, ...]] = {
    **{name: (f"model.{name}",) for name in _LOOSE},
    **{f"networks.{name}": (f"model.{name}",) for name in ("decoders", "encoders")},
    **{f"models.{name}": (f"model.{name}",) for name in _MODEL},
    **{f"models.{name}": (f"guides.{name}",) for name in _GUIDES},
    "models.guides": ("guides.normal", "model.guide"),
    **{f"inference.{name}": (f"training.{name}",) for name in _TRAINING},
    **{name: (f"maps.{name}",) for name in ("blocks", "labels", "storage")},
    "results": ("maps.encode", "maps.decode"),
    "files": ("data.files",),
    **{f"analysis.{name}": (f"search.{name}",) for name in _SEARCH},
    "analysis.search": ("search.search_kl",),
}
_FOLDERS = ("networks", "models", "inference")  # that are there no longer


class OldNames(MetaPathFinder, Loader):
    """Finds modules by the names that they had."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """How to import a module of an old name; None for all others."""
        package, _, name = fullname.partition(".")
        if package != __package__ or name not in (*MOVED, *_FOLDERS):
            return None
        return ModuleSpec(fullname, self, is_package=name in _FOLDERS)

    def create_module(self, spec: ModuleSpec) -> None:
        """Nothing of its own: an empty module will do."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module of an old name with all that is in the new ones."""
        old = module.__name__.partition(".")[2]
        if old in _FOLDERS:
            return
        new = [f"{__package__}.{name}" for name in MOVED[old]]
        for name in new:
            found = vars(importlib.import_module(name))
            vars(module).update({key: value for key, value in found.items() if key[:2] != "__"})
        warnings.warn(
            f"{module.__name__} is now {' and '.join(new)}: import from there. The old name goes "
            "with version 1.0",
            DeprecationWarning,
            stacklevel=2,
        )
