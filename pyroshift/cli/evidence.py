"""`pyroshift evidence`: how probable saved models hold an image's windows, and which is best."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyroshift.cli.channels import as_asked, for_model, levelled
from pyroshift.cli.choices import checked_device, normalize_as_trained
from pyroshift.cli.telling import say, shows_progress
from pyroshift.cli.work import cut_patches
from pyroshift.errors import SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

    from pyroshift.data.patches import Patches
    from pyroshift.model.pair import PoseVAE

_NATS = {"log evidence": "log_evidence", "difference": "difference", "ELBO": "elbo"}


def evidence(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift evidence`."""
    from pyroshift.bayes.compare import compare
    from pyroshift.bayes.evidence import evidence
    from pyroshift.cli.folder import EVIDENCE_RESULTS, check_free, write_evidence
    from pyroshift.cli.images import open_image
    from pyroshift.maps import storage

    check_free(arguments.out, "evidence", EVIDENCE_RESULTS, arguments.overwrite)
    device = checked_device(arguments.device) or "cpu"
    loaded = [storage.load(path, device=device) for path in arguments.models]
    models = dict(zip(named(arguments.models), loaded, strict=True))
    _check_windows(models)
    first, *others = loaded
    arguments.model = arguments.models[0]  # that messages are of
    image = levelled(open_image(arguments.image, as_asked(arguments, first)), arguments)
    image = for_model(image, first, arguments)
    normalize_as_trained(arguments, first)
    patches = _windows(image, first, arguments)
    options = {
        "draws": arguments.draws,
        "seed": arguments.seed,
        "progress": shows_progress(arguments),
    }
    if others:
        found = compare(models, patches, **options)
        table = found.drop_dims(list(patches.layout))
    else:
        found = evidence(first, patches, **options)
        table = _of_one(next(iter(models)), found, len(patches))
    write_evidence(arguments.out, found, table, image)
    for line in as_text(table):
        say(arguments, line)
    say(arguments, f"results are in {arguments.out}: look at evidence.png")


def named(paths: Sequence[Path]) -> list[str]:
    """What models are called: by their folders, or else their files.

    Args:
        paths: of their files.

    Example:
        >>> named([Path("runs/two/model.pt"), Path("runs/three/model.pt")])
        ['two', 'three']
        >>> named([Path("two.pt"), Path("runs/two/model.pt")])
        ['two.pt', 'runs/two/model.pt']
    """
    short = [path.resolve().parent.name if path.name == "model.pt" else path.stem for path in paths]
    return short if len(set(short)) == len(short) else [path.as_posix() for path in paths]


def as_text(table: "Dataset") -> list[str]:
    """What is told of each model, line by line.

    Args:
        table: over `model`, from `compare`, or with fewer columns of a single model.
    """
    rows: list[dict[str, str]] = []
    for name in table["model"].values:
        one = {str(key): float(value) for key, value in table.sel(model=name).data_vars.items()}
        rows.append(
            {
                "model": str(name),
                **{column: _with_error(one, key) for column, key in _NATS.items() if key in one},
                "k-hat beyond": f"{one['beyond']:.0%}",
                "worth": f"{one['ess']:.0f} of {table.attrs['draws']} draws",
            }
        )
    cells = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    limit = f"where k-hat is beyond {table.attrs['khat_limit']:.2g}, the guide is wrong"
    return [*lines, f"nats per window, of {table.attrs['windows']} windows; {limit}"]


def _with_error(values: Mapping[str, float], key: str) -> str:
    """A number, with its standard error where there is one."""
    error = f" ± {values[f'{key}_se']:.2f}" if f"{key}_se" in values else ""
    return f"{values[key]:.2f}{error}"


def _of_one(name: str, maps: "Dataset", windows: int) -> "Dataset":
    """The table of a single model, by its maps."""
    from xarray import Dataset

    beyond = maps["khat"].where(maps["khat"].isnull(), maps["khat"] > maps.attrs["khat_limit"])
    means = {
        "log_evidence": maps["log_evidence"].mean(),
        "elbo": maps["elbo"].mean(),
        "beyond": beyond.mean(),
        "ess": maps["ess"].median(),
    }
    columns = {key: ("model", [float(value)]) for key, value in means.items()}
    attrs = {key: maps.attrs[key] for key in ("draws", "khat_limit")}
    return Dataset(columns, {"model": [name]}, {**attrs, "windows": windows})


def _check_windows(models: "dict[str, PoseVAE]") -> None:
    """Raise a SpecificationError unless all models are for windows of one size."""
    sizes = {name: " x ".join(map(str, model.window)) for name, model in models.items()}
    first = next(iter(sizes))
    for name, size in sizes.items():
        if size != sizes[first]:
            raise SpecificationError(
                f"{first} is for windows of {sizes[first]} pixels and {name} for {size}: only "
                "models of the same windows can be compared"
            )


def _windows(image: "DataArray", model: "PoseVAE", arguments: Namespace) -> "Patches":
    """The windows asked for, or those of them that were held out."""
    from pyroshift.data.splitting import split_patches

    patches = cut_patches(image, model.window, arguments)
    return patches if arguments.held_out is None else split_patches(patches, arguments.held_out)[1]
