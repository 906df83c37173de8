"""Execute notebooks in place, on data that any machine has: `make notebooks`."""

import os
import shutil
import sys
import tempfile
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent
HANGING = 3600  # seconds for a cell
LARGEST, COLOURS = (800, 600), 128  # of pictures, width and height in pixels
SETTINGS = {
    "PYTHONPATH": str(FOLDER.parent),
    # Pyro imports a progress bar for notebooks, which warns where ipywidgets aren't installed.
    "PYTHONWARNINGS": "ignore:IProgress not found",
}


def executed(path, short=False):
    """A notebook as it is after execution.

    It runs in a copy of this folder elsewhere, whence no private data beside the project are found.

    Args:
        path: of the notebook.
        short: put the source in a cell's metadata under "short" in that cell's place, which says
            the same with settings that cost less time.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell raises.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells if short else []:
        cell.source = cell.metadata.get("short", cell.source)
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, "project", "notebooks")
        shutil.copytree(FOLDER, copy)
        client = NotebookClient(
            notebook,
            timeout=HANGING,
            kernel_name="python3",
            record_timing=False,  # which would change the file at each execution
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(copy)}},
        )
        client.execute(env={**os.environ, **SETTINGS, "IPYTHONDIR": temporary})
    return notebook


def with_small_pictures(notebook):
    """The notebook, its pictures made small enough to be kept in a repository."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                output.data["image/png"] = smaller(png)
    return notebook


def smaller(png):
    """A picture, base64, in few pixels and colours."""
    picture = Image.open(BytesIO(b64decode(png))).convert("RGB")
    picture.thumbnail(LARGEST, Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(path, flush=True)
        nbformat.write(with_small_pictures(executed(path)), path)
