"""`TensorBoard`: how a training goes, and what the model has learnt, for TensorBoard's pages."""

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pyroshift import plot
from pyroshift.errors import SpecificationError
from pyroshift.extras import check_installed
from pyroshift.maps.decode import manifold
from pyroshift.model.pair import PoseVAE
from pyroshift.training.history import EpochRecord

_SCALARS = ("loss", "log_likelihood", "validation_loss", "learning_rate")


class TensorBoard:
    """Writes what was measured in each epoch, and at times the manifold, for TensorBoard.

    `tensorboard --logdir FOLDER` shows it, while the model trains too. A run that goes on from its
    checkpoint goes on in the same folder.

    Args:
        folder: where to write; one for each training, beside each other, to compare them.
        every: epochs from one picture of the manifold to the next; the last is drawn in any case.
        size: motifs along each of the first two latents.

    Raises:
        ImportError: if the package tensorboard isn't installed.
        SpecificationError: if an option can't work.

    Example:
        >>> board = TensorBoard("runs/first")  # doctest: +SKIP
        >>> fit(model, patches, epochs=30, callbacks=[board])  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path, every: int = 5, size: int = 5) -> None:
        check_installed("tensorboard", extra="tensorboard", what="TensorBoard")
        self.folder, self.every, self.size = Path(folder), every, size
        if self.folder.exists() and not self.folder.is_dir():
            raise SpecificationError(f"{folder} is a file: TensorBoard needs a folder")
        if every < 1 or size < 2:
            raise SpecificationError(
                f"every must be at least 1 and size at least 2, got {every} and {size}"
            )
        self._writer: Any = None
        self._last = 0  # epoch that was written

    def __call__(self, model: PoseVAE, record: EpochRecord) -> None:
        """Write an epoch's figures, and the manifold if it is its turn."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What another training left here of these epochs isn't of this one.
            self._writer = SummaryWriter(str(self.folder), purge_step=record.epoch)
        self._last = record.epoch
        for name, value in _scalars(record).items():
            self._writer.add_scalar(name, value, record.epoch)
        if record.epoch % self.every == 0:
            self._draw(model)
        self._writer.flush()

    def finish(self, model: PoseVAE) -> None:
        """Draw the trained model, and close the file."""
        if self._writer is not None:
            self._draw(model)
            self._writer.close()
        self._writer = None

    def _draw(self, model: PoseVAE) -> None:
        picture = plot.manifold(manifold(model, self.size))._repr_png_()  # type: ignore[attr-defined]
        pixels = np.asarray(Image.open(BytesIO(picture)).convert("RGB"))
        self._writer.add_image("manifold", pixels, self._last, dataformats="HWC")


def _scalars(record: EpochRecord) -> dict[str, float]:
    """What was measured in an epoch, by the names that it has in TensorBoard."""
    each = {name: getattr(record, name) for name in _SCALARS}
    each |= {f"kl/{site}": value for site, value in record.kl.items()}
    each |= {f"kl_scale/{site}": value for site, value in record.kl_scale.items()}
    return {name: value for name, value in each.items() if not math.isnan(value)}
