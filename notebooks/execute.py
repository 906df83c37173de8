"""Execute notebooks in place, on data that any machine has: `make notebooks`."""

import os
import shutil
import sys
import tempfile
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_core.utils import run_sync
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


class Kernel:
    """A kernel, in which notebooks are executed one after another.

    Of those before, modules stay, and nothing else. Each runs in a copy of this folder elsewhere,
    whence no private data beside the project are found.
    """

    def __enter__(self):
        self.folder = tempfile.mkdtemp()
        self.manager = AsyncKernelManager(kernel_name="python3")
        run_sync(self.manager.start_kernel)(
            env={**os.environ, **SETTINGS, "IPYTHONDIR": self.folder},
            extra_arguments=["--log-level=ERROR"],
        )
        return self

    def __exit__(self, *error):
        run_sync(self.manager.shutdown_kernel)(now=True)
        shutil.rmtree(self.folder)

    def executed(self, path, short=False):
        """A notebook as it is after execution.

        Args:
            path: of the notebook.
            short: put the source in a cell's metadata under "short" in that cell's place, which
                says the same with settings that cost less time.

        Raises:
            nbclient.exceptions.CellExecutionError: if a cell raises.
        """
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells if short else []:
            cell.source = cell.metadata.get("short", cell.source)
        copy = Path(tempfile.mkdtemp(dir=self.folder), "project", "notebooks")
        shutil.copytree(FOLDER, copy)
        self._execute(nbformat.v4.new_notebook(cells=[afresh(copy)]))
        self._execute(notebook)
        return notebook

    def _execute(self, notebook):
        # Without times, which would change the file at each execution.
        client = NotebookClient(notebook, km=self.manager, timeout=HANGING, record_timing=False)
        try:
            client.execute()
        finally:
            client.kc.stop_channels()


def afresh(folder):
    """A cell after which the kernel is as one that was started in a folder."""
    return nbformat.v4.new_code_cell(f"%reset -f\nimport os\nos.chdir({str(folder)!r})\ndel os")


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
        with Kernel() as kernel:
            nbformat.write(with_small_pictures(kernel.executed(path)), path)
