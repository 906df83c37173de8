"""The notebooks run, by their short settings, and what is committed of them is fit to be read."""

import importlib.util
import json
import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 700_000  # bytes
ABSOLUTE = re.compile(r"(?<![\w.:/])/(home|root|tmp|work|Users|mnt|opt|usr|var)/|[A-Z]:\\\\")


def by_name(path):
    return path.stem


notebooks = pytest.mark.parametrize("path", PATHS, ids=by_name)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def complaints(notebook):
    """What the cells wrote to stderr, warnings included."""
    return [output.text for output in outputs(notebook) if output.get("name") == "stderr"]


def without_latent_warnings(text):
    """Short trainings leave latents collapsed, as other tests' do."""
    return re.sub(r"^.*LatentWarning: .*\n(  .*\n)?", "", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def kernel():
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Kernel() as shared:  # as in one of its own, each would import torch anew
        yield shared


@notebooks
def test_it_runs_without_errors_and_warnings(path, kernel):
    notebook = kernel.executed(path, short=True)
    assert "".join(map(without_latent_warnings, complaints(notebook))) == ""


@notebooks
def test_it_is_committed_as_executed_from_top_to_bottom(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert outputs(notebook)
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert complaints(notebook) == []


@notebooks
def test_it_opens_with_its_title(path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")


@notebooks
def test_it_is_small_and_tells_nothing_of_the_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    # Parsed, since in pictures and escapes any letters may stand.
    found = [
        match.group() for part in strings(json.loads(text)) for match in ABSOLUTE.finditer(part)
    ]
    assert found == []


def strings(content):
    """All strings in a notebook but the pictures."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for item in content:
            yield from strings(item)
    elif isinstance(content, dict):
        for key, item in content.items():
            if not key.startswith("image/"):
                yield from strings(item)


@notebooks
def test_what_stands_in_for_a_cell_sets_the_same_names(path):
    for cell in code_cells(nbformat.read(path, as_version=4)):
        if "short" in cell.metadata:
            assert assigned(cell.metadata["short"]) == assigned(cell.source)


def assigned(source):
    """Names that a cell of settings sets."""
    return set(re.findall(r"^(\w+) *=[^=]", source, re.MULTILINE))
