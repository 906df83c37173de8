"""`Live`: how a training goes, and what the model has learnt, while it trains in a notebook."""

from base64 import b64encode
from time import monotonic
from typing import Any

from matplotlib.figure import Figure

from pyroshift import plot
from pyroshift.errors import SpecificationError
from pyroshift.maps.decode import manifold
from pyroshift.model.pair import PoseVAE
from pyroshift.training.history import EpochRecord, History

_WIDTHS = {"history": 560, "manifold": 300}  # pixels on the screen


class Live:
    """Loss, KL terms and the decoded motifs over the latents, drawn anew as a model trains.

    `fit(..., live=True)` is the same as `fit(..., callbacks=[Live()])`. The pictures stand below
    the cell, where the last ones stay.

    Args:
        size: motifs along each of the first two latents.
        share: of the time since the training began that drawing may take. After the first epoch
            and at the end it is drawn in any case.

    Raises:
        SpecificationError: if this isn't a notebook, or an option can't work.

    Example:
        >>> fit(model, patches, epochs=30, callbacks=[Live(size=7)])  # doctest: +SKIP
    """

    def __init__(self, size: int = 5, share: float = 0.1) -> None:
        if size < 2:
            raise SpecificationError(f"size must be at least 2, got {size}")
        if not 0 < share <= 1:
            raise SpecificationError(f"share must be above 0 and at most 1, got {share}")
        _check_notebook()
        self.size, self.share = size, share
        self._begin()

    def __call__(self, model: PoseVAE, record: EpochRecord) -> None:
        """Take note of an epoch, and draw if it is time to."""
        if self._records and record.epoch <= self._records[-1].epoch:
            self._begin()  # the training before ended in an error
        self._records.append(record)
        if self._place is None or self._drawing <= self.share * (monotonic() - self._began):
            self._draw(model)

    def finish(self, model: PoseVAE) -> None:
        """Draw the trained model, and begin anew with the next."""
        if self._records:
            self._draw(model)
        self._begin()

    def _begin(self) -> None:
        self._records: list[EpochRecord] = []
        self._began, self._drawing = monotonic(), 0.0  # seconds
        self._place: Any = None  # of the pictures, in the notebook

    def _draw(self, model: PoseVAE) -> None:
        from IPython.display import HTML, display

        start = monotonic()
        sites = list(self._records[0].kl)
        figures = {
            "history": plot.history(History(sites, records=self._records).to_xarray()),
            "manifold": plot.manifold(manifold(model, self.size)),
        }
        pictures = "".join(_picture(name, figure) for name, figure in figures.items())
        page = HTML(f'<div style="display: flex; flex-wrap: wrap; gap: 12px">{pictures}</div>')
        if self._place is None:
            self._place = display(page, display_id=True)
        else:
            self._place.update(page)
        self._drawing += monotonic() - start


def _picture(name: str, figure: Figure) -> str:
    """A figure in HTML."""
    png = b64encode(figure._repr_png_()).decode()  # type: ignore[attr-defined]
    style = f"width: {_WIDTHS[name]}px; max-width: 100%; align-self: flex-start"
    return f'<img alt="{name}" style="{style}" src="data:image/png;base64,{png}">'


def _check_notebook() -> None:
    """Raise a SpecificationError where nothing shows what is displayed."""
    try:
        from IPython import get_ipython
    except ImportError:
        shell = None
    else:
        shell = get_ipython()
    if not hasattr(shell, "kernel"):
        raise SpecificationError(
            "live pictures need a notebook, and this is none: leave out live=True, and see the "
            "progress bar, or give callbacks=[pyroshift.callbacks.TensorBoard(folder)]"
        )
