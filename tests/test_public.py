"""What outside scripts rely on, and how the package is laid out."""

import ast
import graphlib
import importlib
import inspect
import os
import pickle
import pkgutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import pyroshift
from pyroshift import names
from pyroshift.model import decoders, encoders, likelihoods, pair
from pyroshift.moved import MOVED

ROOT = Path(pyroshift.__file__).parent
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
ANY = object()  # a parameter whose default isn't settled

LIKELIHOOD_TO_GUIDE = {"likelihood": ANY, "encoder": ANY, "decoder": ANY, "guide": ANY}
MODEL = {"window": inspect.Parameter.empty, "latent_dim": 2, **LIKELIHOOD_TO_GUIDE}
REQUIRED = inspect.Parameter.empty
SIGNATURES = {
    "load_image": {"path": REQUIRED, "channel": None},
    "extract_patches": {
        "image": REQUIRED, "window": REQUIRED, "step": None, "normalize": "patch",
        "positions": None, "interpolate": False, "min_valid": 0.5,
    },
    "Patches.from_array": {
        "array": REQUIRED, "window_ndim": None, "dims": None, "coords": None, "normalize": None,
        "channel_dim": "channel", "min_valid": 0.5,
    },
    "Patches.assign": {"names": REQUIRED},
    "Patches.subset": {"index": REQUIRED},
    "Patches.to_xarray": {},
    "VAE": MODEL,
    "ShiftVAE": {**MODEL, "offset_scale": ANY},
    "RVAE": {**MODEL, "angle_scale": ANY, "offsets": False, "offset_scale": ANY},
    "fit": {
        "model": REQUIRED, "patches": REQUIRED, "epochs": REQUIRED, "batch_size": ANY,
        "learning_rate": ANY, "kl": ANY, "seed": 0, "device": None, "validation_fraction": 0.0,
        "progress": True, "callbacks": (), "checkpoint": None,
    },
    "KLAnnealing": {"initial": ANY, "final": ANY, "epochs": ANY},
    "encode": {"model": REQUIRED, "patches": REQUIRED, "batch_size": ANY},
    "encode_image": {
        "model": REQUIRED, "image": REQUIRED, "path": REQUIRED, "step": None, "normalize": "patch",
        "rows": None, "batch_size": ANY, "seed": 0, "overwrite": False, "progress": True,
    },
    "posterior": {
        "model": REQUIRED, "patches": REQUIRED, "draws": 200, "proposals": None,
        "predictive": True, "pixelwise": False, "path": None, "overwrite": False,
        "batch_size": ANY, "seed": 0,
    },
    "sample": {
        "model": REQUIRED, "patches": REQUIRED, "draws": 500, "warmup": 300, "chains": 4,
        "kernel": "nuts", "limit": 200, "batch_size": ANY, "seed": 0, "progress": True,
    },
    "evidence": {
        "model": REQUIRED, "patches": REQUIRED, "draws": 200, "batch_size": ANY, "seed": 0,
    },
    "compare": {
        "models": REQUIRED, "held_out": REQUIRED, "draws": 200, "batch_size": ANY, "seed": 0,
    },
    "calibrate": {
        "model": REQUIRED, "patches": None, "draws": 200, "windows": 1000, "batch_size": ANY,
        "seed": 0, "progress": True,
    },
    "pair_patches": {"source": REQUIRED, "target": REQUIRED},
    "predict": {
        "bridge": REQUIRED, "source": REQUIRED, "credible": 0.9, "draws": 500, "batch_size": ANY,
        "seed": 0,
    },
    "predictive_check": {"draws": REQUIRED, "statistics": ANY},
    "split_patches": {"patches": REQUIRED, "held_out": 0.2, "block": None, "seed": 0},
    "smooth_field": {
        "model": REQUIRED, "patches": REQUIRED, "at": None, "draws": 100, "credible": 0.9,
        "batch_size": ANY, "seed": 0,
    },
    "decode": {"model": REQUIRED, "z": REQUIRED, "offset": None, "angle": None},
    "manifold": {"model": REQUIRED, "size": 10},
    "save": {"model": REQUIRED, "path": REQUIRED},
    "load": {"path": REQUIRED},
    "explore": {"model": REQUIRED, "maps": REQUIRED, "image": None, "patches": None},
    "Explorer.save": {"path": REQUIRED, "overwrite": False},
    "search_kl": {"image": REQUIRED, "window": None, "step": None},
    "smoothness": {"map": REQUIRED},
    "lattice_leak": {"map": REQUIRED, "vectors": REQUIRED, "step": None},
    "fit_sine": {"signals": REQUIRED, "periods": None, "dim": None},
    "correlation_ratio": {"latents": REQUIRED, "factors": REQUIRED, "bins": None},
    "suggest_window": {"image": REQUIRED},
    "displacement": {"maps": REQUIRED, "vectors": REQUIRED, "fixed": False, "region": None,
                     "credible": 0.9},
    "strain": {"displaced": REQUIRED, "resolution": None, "finite": False, "credible": 0.9},
    "dislocations": {"displaced": REQUIRED, "separation": None},
    "walls": {"field": REQUIRED, "resolution": None, "level": None, "credible": 0.9},
    "piezoresponse": {"phase": REQUIRED, "amplitude": None, "period": None, "near": 0.0},
    "switched": {
        "before": REQUIRED, "after": REQUIRED, "by": None, "drift": None, "level": None,
        "thinnest": None,
    },
    "link_atoms": {"atoms": REQUIRED, "search_range": None},
    "find_atoms": {
        "image": REQUIRED, "separation": None, "dark": False, "threshold": None, "sublattices": 1,
        "segmenter": None, "prior": True, "progress": True,
    },
    "classify": {"maps": REQUIRED, "classes": None},
    "class_patches": {"classified": REQUIRED, "patches": REQUIRED},
    "peak_position": {"model": REQUIRED, "maps": REQUIRED, "spectra": REQUIRED, "between": None},
    "mean_spectra": {
        "classified": REQUIRED, "spectra": REQUIRED, "position": None, "origin": None,
        "align": True,
    },
    "evenly_spaced": {"spectra": REQUIRED},
    "transition_matrix": {"classified": REQUIRED},
    "trajectories": {"maps": REQUIRED},
    "ensemble_average": {"maps": REQUIRED},
    "fit_lattice": {"atoms": REQUIRED, "vectors": None, "basis": None, "fixed": False},
    "displacement_modes": {"displaced": REQUIRED, "modes": 3},
    "fit_distortion": {"displaced": REQUIRED, "common": False},
    "Distortion.on": {"image": REQUIRED},
    "Distortion.correct": {"atoms": REQUIRED},
    "segment": {"image": REQUIRED, "segmenter": None, "separation": None, "dark": False},
    "train_segmenter": {"images": None, "atoms": None, "steps": ANY, "seed": 0, "progress": True},
    "load_segmenter": {"path": None},
    "Segmenter.probability": {"frame": REQUIRED, "separation": None},
    "Segmenter.save": {"path": REQUIRED, "overwrite": False},
}  # fmt: skip


# Names


@pytest.mark.parametrize("name", pyroshift.__all__)
def test_public_names_are_there_and_documented(name):
    value = getattr(pyroshift, name)
    if name == "__version__":
        assert value.count(".") == 2
        return
    first = inspect.getdoc(value).splitlines()[0]
    assert len(first) > 10
    assert first.endswith("."), first


def test_public_names_are_sorted_and_complete():
    listed = [
        alias
        for node in ast.parse((ROOT / "__init__.pyi").read_text()).body
        for alias in node.names
    ]
    # Type checkers take a name in a stub for public only if it is said twice.
    assert all(alias.name == alias.asname for alias in listed)
    assert sorted(alias.name for alias in listed) == pyroshift.__all__ == dir(pyroshift)


def found(name):
    value = pyroshift
    for part in name.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name):
    assert name.split(".")[0] in pyroshift.__all__
    parameters = inspect.signature(found(name)).parameters
    parameters = {key: value for key, value in parameters.items() if key != "self"}
    for expected, default in SIGNATURES[name].items():
        assert expected in parameters, f"{name} has no {expected}"
        if default is not ANY:
            assert parameters[expected].default == default
        else:
            assert parameters[expected].default is not REQUIRED
    extra = [
        value
        for key, value in parameters.items()
        if key not in SIGNATURES[name] and value.kind is not value.VAR_KEYWORD
    ]
    assert all(value.default is not REQUIRED for value in extra), f"{name} requires more"


@pytest.mark.parametrize("name", ["extract_patches", "encode", "decode", "manifold", "VAE"])
def test_stated_parameters_come_first_and_in_order(name):
    parameters = list(inspect.signature(found(name)).parameters)
    stated = list(SIGNATURES[name])
    assert parameters[: len(stated)] == stated


def test_options_of_fit_are_by_keyword():
    parameters = inspect.signature(pyroshift.fit).parameters.values()
    positional = [value.name for value in parameters if value.kind is not value.KEYWORD_ONLY]
    assert positional == ["model", "patches"]


@pytest.mark.parametrize("name", ["VAE", "ShiftVAE", "RVAE"])
@pytest.mark.parametrize("likelihood", names.LIKELIHOODS)
@pytest.mark.parametrize("decoder", ["canvas", "spatial"])
def test_components_by_name(name, likelihood, decoder):
    model = found(name)(8, latent_dim=1, likelihood=likelihood, decoder=decoder, guide="normal")
    assert model.window == (8, 8)
    assert type(model.likelihood).__name__.lower().startswith(likelihood.replace("_", ""))


@pytest.mark.parametrize("name", pyroshift.synthetic.__all__)
def test_synthetic_data(name):
    assert callable(getattr(pyroshift.synthetic, name))


def test_plots_are_there():
    assert "plot" in pyroshift.__all__
    assert inspect.ismodule(pyroshift.plot)


def test_errors_have_one_base():
    errors = [value for value in vars(pyroshift.errors).values() if inspect.isclass(value)]
    raised = [error for error in errors if not issubclass(error, Warning)]
    assert len(raised) > 3
    assert all(issubclass(error, pyroshift.errors.PyroshiftError) for error in raised)


def test_unknown_names_are_told():
    with pytest.raises(AttributeError, match="no_such_name"):
        pyroshift.no_such_name  # noqa: B018


def test_names_of_choices_are_those_of_what_they_make():
    kinds = {
        "": (names.LIKELIHOODS, likelihoods.LIKELIHOODS),
        "encoder": (names.ENCODERS, encoders.ENCODERS),
        "decoder": (names.DECODERS, decoders.DECODERS),
        "guide": (names.GUIDES, pair.GUIDES),
    }
    for ending, (listed, registry) in kinds.items():
        assert list(registry) == list(listed)
        for name, made in registry.items():
            made = pkgutil.resolve_name(made) if isinstance(made, str) else made
            # Or more than its name: a HeteroscedasticGaussian.
            assert made.__name__.lower().startswith(name.replace("_", ""))
            assert made.__name__.lower().endswith(ending)


# Loading


def run(code, **environment):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"EAGER_IMPORT": ""} | environment,
        cwd=ROOT.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.strip()


HEAVY = {"torch", "pyro", "numpy", "xarray", "matplotlib", "scipy", "h5py", "tqdm"}
LOADED = f"print(sorted({HEAVY} & set(sys.modules)))"


@pytest.mark.parametrize(
    "code",
    [
        "import pyroshift",
        "import pyroshift; pyroshift.__version__; pyroshift.errors.DataError; pyroshift.data",
        "import pyroshift.cli",
    ],
)
def test_importing_loads_nothing_heavy(code):
    assert run(f"import sys; {code}; {LOADED}") == "[]"


@pytest.mark.parametrize("name", ["plot", "synthetic", "fit", "data.synthetic", "errors.DataError"])
def test_a_name_is_loaded_when_it_is_used(name):
    code = f"import pyroshift; print(callable(pyroshift.{name}) or pyroshift.{name}.__name__)"
    assert run(code) in ("True", "pyroshift.plot", "pyroshift.data.synthetic")


def test_every_name_is_there_at_once_if_asked_for():
    """SPEC 1's switch for those who would rather see a broken import early."""
    code = (
        "import sys, pyroshift; before = set(sys.modules); "
        "[getattr(pyroshift, name) for name in pyroshift.__all__]; "
        "print(sorted(set(sys.modules) - before))"
    )
    assert run(code, EAGER_IMPORT="1") == "[]"
    assert run(code) != "[]"
    assert run(f"import sys, pyroshift; {LOADED}", EAGER_IMPORT="1") != "[]"


def test_star_brings_every_name():
    code = "from pyroshift import *; import pyroshift; print(set(pyroshift.__all__) <= set(dir()))"
    assert run(code) == "True"


def test_plots_are_functions_whatever_is_loaded_first():
    code = (
        "import pyroshift.plot.atoms, pyroshift.plot.distortion, pyroshift; plot = pyroshift.plot; "
        "print([name for name in plot.__all__ if not callable(getattr(plot, name))])"
    )
    assert run(code) == "[]"


def test_models_can_be_pickled():
    copy = pickle.loads(pickle.dumps(pyroshift.ShiftVAE(8)))
    assert type(copy) is pyroshift.ShiftVAE
    assert pickle.loads(pickle.dumps(pyroshift.fit)) is pyroshift.fit


# Layout

# From the bottom. Parts on one line know nothing of each other.
LAYERS = [
    ["_version", "errors", "extras", "moved", "names", "shown"],
    ["data"],
    ["model"],
    ["priors"],
    ["guides"],
    ["bridge"],
    ["training"],
    ["maps"],
    ["analysis", "testing"],
    ["bayes", "search", "atoms", "pathways"],
    ["segmentation"],
    ["plot"],
    ["callbacks", "explorer"],
    ["report"],
    ["cli"],
    ["__init__", "__main__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def top(module):
    """The part of the package that a module's path or dotted name belongs to."""
    return module.removesuffix(".py").replace("/", ".").split(".")[0]


def imported(path):
    """Full dotted names of all that a module imports, wherever in it that stands."""
    package = ["pyroshift", *Path(path).parent.parts]
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def parts_imported(path):
    """Parts of the package that a module imports."""
    for name in imported(path):
        if name.split(".")[0] == "pyroshift":
            part = name.split(".")[1] if "." in name else "__init__"
            yield part if part in LEVEL or is_module(part) else "__init__"


def is_module(part):
    return (ROOT / part).is_dir() or (ROOT / f"{part}.py").is_file()


def test_the_import_walk_finds_imports():
    found = {"data", "model", "training", "maps", "errors", "extras"}
    assert found == set(parts_imported("maps/encode.py"))
    assert "pyroshift.training.run.Run" in set(imported("training/fit.py"))
    assert "model/pair.py" in files_imported("guides/settling.py")
    assert "data/readers/load.py" in files_imported("cli/images.py")


# What is loaded when it is asked for: the lattice of the image that patches know, and pictures of a
# training.
LATE = {"data/gathering.py": {"analysis"}, "training/fit.py": {"callbacks"}}


@pytest.mark.parametrize("path", MODULES)
def test_imports_go_one_way(path):
    here = top(path)
    assert here in LEVEL, f"{here} has no place in the layout yet: give it one"
    for part in set(parts_imported(path)) - {here} - LATE.get(path, set()):
        assert LEVEL[part] < LEVEL[here], f"{path} imports {part}, which is not below it"


def files_imported(path):
    """Files of the package that a file imports from, be it only for a type checker."""
    for name in imported(path):
        package, *parts = name.split(".")
        # The longest of the name that is a file: what is left is a name in it.
        stems = ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]
        files = [file for stem in stems for file in (f"{stem}.py", f"{stem}/__init__.py")]
        if package == "pyroshift":
            yield from [file for file in files if (ROOT / file).is_file() and file != path][:1]


def test_no_files_import_each_other_in_a_circle():
    graph = {
        path: set(files_imported(path)) for path in MODULES if not path.endswith("__init__.py")
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("name", [*MOVED, "models", "networks", "inference"])
def test_modules_are_found_under_the_names_that_they_had(name):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        module = importlib.import_module(f"pyroshift.{name}")
        del sys.modules[module.__name__]
    told = [str(each.message) for each in told if "is now" in str(each.message)]
    for new in MOVED.get(name, ()):
        assert any(f"pyroshift.{name} is now" in each and new in each for each in told)
        public = vars(importlib.import_module(f"pyroshift.{new}"))
        assert all(vars(module)[key] is public[key] for key in public if not key.startswith("__"))


def test_an_old_name_is_told_where_it_is_used():
    code = "import warnings; warnings.simplefilter('error'); from pyroshift.sites import Content"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "DeprecationWarning: pyroshift.sites is now pyroshift.model.sites" in done.stderr


@pytest.mark.parametrize("path", MODULES)
def test_files_are_short(path):
    assert len((ROOT / path).read_text().splitlines()) <= 350


FORBIDDEN = {"spiepy", "torchvision"}


@pytest.mark.parametrize("path", MODULES)
def test_harmful_modules_are_not_imported(path):
    tree = ast.parse((ROOT / path).read_text())
    by_name = {
        node.args[0].value.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert not FORBIDDEN & {name.split(".")[0] for name in imported(path)}
    assert not FORBIDDEN & by_name


def test_importing_needs_no_extra_and_is_quiet():
    optional = ["rsciio", "igor2", "gwyfile", "nanonispy2", "dask", "zarr", "spiepy", "torchvision",
                "skimage", "optuna", "loky", "arviz", "zuko", "matplotlib.pyplot"]  # fmt: skip
    code = (
        "import sys, torch, pyro, xarray; before = set(sys.modules); import pyroshift; "
        f"print(sorted(set({optional}) & (set(sys.modules) - before)))"
    )
    assert run(code, EAGER_IMPORT="1") == "[]"
