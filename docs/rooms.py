"""Which page of the reference has which public name.

Which names are public, `pyroshift/__init__.pyi` says: a name that no page takes is an error.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STUB = Path(__file__).resolve().parents[1] / "pyroshift" / "__init__.pyi"


@dataclass(frozen=True)
class Page:
    """A page of the reference.

    Args:
        name: of its file.
        title: its heading.
        about: what it holds, in a sentence.
        modules: those whose public names it has, or the one module that it is of.
        whole: whether it is of a module that is public itself, with all that is in it.
    """

    name: str
    title: str
    about: str
    modules: tuple[str, ...]
    whole: bool = False


PAGES = (
    Page("data", "Data", "From files and arrays to windows.", ("data",)),
    Page("models", "Models", "The pairs of model and guide.",
         ("model.vae", "model.pair", "model.batch", "bridge")),
    Page("sites", "Sites", "The named latents of a window, each with its prior.",
         ("model.sites", "model.classes", "model.brightness")),
    Page("likelihoods", "Likelihoods", "The noise of a pixel.",
         ("model.likelihoods", "model.channels")),
    Page("networks", "Networks", "Encoders and decoders.",
         ("model.encoders", "model.decoders", "model.bayesian")),
    Page("guides", "Guides", "How posteriors are found.",
         ("guides", "model.guide", "model.structured_families")),
    Page("priors", "Priors", "Priors of the latents that learn with the model.", ("priors",), True),
    Page("training", "Training", "Fitting, the bound, and KL weights.", ("training",)),
    Page("callbacks", "Callbacks", "What to call after each epoch.", ("callbacks",), True),
    Page("maps", "Maps", "From a trained model to maps and pictures of windows, and files.",
         ("maps",)),
    Page("analysis", "Analysis", "What maps say: lattices, strain, walls, smoothness.",
         ("analysis",)),
    Page("atoms", "Atoms", "Positions, tracks, lattices, distortion, a network that finds atoms.",
         ("atoms", "segmentation")),
    Page("pathways", "Pathways", "Classes, their spectra, transitions, trajectories.",
         ("pathways",)),
    Page("bayes", "Bayes", "Draws, evidence, comparison, calibration.", ("bayes",)),
    Page("search", "Search", "Many trainings over KL weights and more.", ("search",)),
    Page("explorer", "Explorer", "Images and maps to hover over, in Jupyter and in one web page.",
         ("explorer",)),
    Page("plot", "Plots", "Every figure.", ("plot",), True),
    Page("synthetic", "Synthetic data", "Data whose truth is known: ``ps.synthetic``.",
         ("data.synthetic",), True),
    Page("examples", "Example images", "Real images that come with SPIEPy: ``ps.examples``.",
         ("data.examples",), True),
    Page("testing", "Checks", "What a part of your own must satisfy.", ("testing",), True),
    Page("errors", "Errors", "What can go wrong, and what to do about it.", ("errors",), True),
)  # fmt: skip


def public() -> Iterator[tuple[str, str]]:
    """Public names, each with the module it comes from, relative to the package."""
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.name, node.module or ""


def names_of(page: Page) -> list[str]:
    """Dotted names that a page documents, in the order in which it does."""
    if page.whole:
        module = importlib.import_module(f"pyroshift.{page.modules[0]}")
        names = getattr(module, "__all__", None) or [
            name for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
        ]  # fmt: skip
        return [f"{module.__name__}.{name}" for name in names]
    return [
        f"pyroshift.{name}"
        for name, module in public()
        if any(module == each or module.startswith(f"{each}.") for each in page.modules)
        and not inspect.ismodule(valued(f"pyroshift.{name}"))
    ]


def left_out() -> set[str]:
    """Public names that no page documents."""
    documented = {name for page in PAGES for name in names_of(page)}
    modules = {page.modules[0] for page in PAGES if page.whole}
    told = {f"pyroshift.{name}" for name, module in public()
            if f"{module}.{name}".strip(".") in modules}  # fmt: skip
    known = {f"pyroshift.{name}" for name, _ in public()}
    # `data` is where `synthetic` and `examples` are.
    return known - documented - told - {"pyroshift.__version__", "pyroshift.data"}


def valued(name: str) -> Any:
    """What a dotted name stands for."""
    package, *parts = name.split(".")
    value = importlib.import_module(package)
    for number, part in enumerate(parts):
        if not hasattr(value, part):
            importlib.import_module(".".join([package, *parts[: number + 1]]))
        value = getattr(value, part)
    return value
