"""The explorer as a widget of Jupyter's, by anywidget: the model decodes while one drags."""

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from pyroshift.errors import PyroshiftError
from pyroshift.explorer.content import Content
from pyroshift.explorer.page import script, style
from pyroshift.extras import check_installed
from pyroshift.maps.decode import decode
from pyroshift.model.pair import PoseVAE

Widget = Any  # anywidget has no types, and needn't be there


def can_be_live() -> bool:
    """Whether this is a notebook's kernel that has what widgets need."""
    kernel = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(kernel, "kernel") and importlib.util.find_spec("anywidget") is not None


def made_live(content: Content, selected: np.ndarray, told: Callable[[np.ndarray], None]) -> Widget:
    """A widget that shows what a page does, and asks the model.

    Args:
        content: what there is to see.
        selected: whether each place is selected.
        told: called with the same when places were selected.

    Raises:
        ImportError: if anywidget isn't installed.
    """
    check_installed("anywidget", extra="explore", what="the live explorer")
    import anywidget
    import traitlets

    class ExplorerWidget(anywidget.AnyWidget):
        _esm = script()
        _css = style()
        header = traitlets.Dict().tag(sync=True)
        data = traitlets.Bytes().tag(sync=True)
        selected = traitlets.Bytes().tag(sync=True)

    header, data = content.packed()
    shown = ExplorerWidget(header=header, data=data, selected=selected.tobytes())

    def select(change: dict[str, Any]) -> None:
        mask = np.frombuffer(change["new"], np.uint8).astype(bool)
        if mask.size == len(content.places):
            told(mask)

    def answer(widget: Widget, message: dict[str, Any], buffers: Any) -> None:
        try:
            drawn = motif(content.model, message["z"], message.get("kind"))
        except (PyroshiftError, KeyError, TypeError, ValueError) as error:
            widget.send({"number": message.get("number"), "error": str(error)})
            return
        widget.send({"number": message.get("number")}, buffers=[drawn.tobytes()])

    shown.observe(select, names="selected")
    shown.on_msg(answer)
    return shown


def motif(model: PoseVAE, z: Any, kind: int | None = None) -> np.ndarray:
    """What a model draws for latents, `channel x window`, float32; without pose.

    Args:
        model: a trained model.
        z: one number for each latent.
        kind: number of the class, if there are classes.
    """
    drawn = decode(model, np.asarray(z, np.float32)[None], kind=kind)
    return np.ascontiguousarray(drawn.values[0], np.float32)
