"""`Explorer`: shows itself in a notebook, saves itself as a page, knows what is selected."""

import warnings
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.files import written
from pyroshift.errors import DataError
from pyroshift.explorer.content import Content
from pyroshift.explorer.page import page
from pyroshift.explorer.widget import Widget, can_be_live, made_live

_LIMIT = 15.0  # MB of a page
_HEIGHT = 1050  # pixels of a page in a notebook


class Explorer:
    """What `explore` returns: shown by a notebook, saved as a page.

    Args:
        content: what there is to see.

    Example:
        >>> import tempfile
        >>> import pyroshift as ps
        >>> patches = ps.Patches.from_array(np.random.default_rng(0).random((20, 12)))
        >>> model = ps.VAE((12,), latent_dim=1)
        >>> explorer = ps.explore(model, ps.encode(model, patches), patches=patches)
        >>> explorer.selected = explorer.selected.copy(data=np.arange(20) < 3)
        >>> int(explorer.selected.sum())
        3
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     explorer.save(Path(folder) / "maps.html").name
        'maps.html'
    """

    def __init__(self, content: Content) -> None:
        self.content = content
        self._selected = np.zeros(len(content.places), bool)

    def __repr__(self) -> str:
        places, count = self.content.places, int(self._selected.sum())
        dims = ", ".join(places.dims)
        return f"<Explorer of {len(places)} places over ({dims}), {count or 'none'} selected>"

    @property
    def selected(self) -> xr.DataArray:
        """Which places are selected, True or False over the maps' dimensions.

        `maps.where(explorer.selected)` are the maps of these. In Jupyter with the extra `explore`
        it is what was selected there; it can be set, to such a mask, or to places by number, as a
        page copies them.
        """
        template = self.content.places.template
        mask = xr.DataArray(
            self._selected.reshape(template.shape), template.coords, template.dims, "selected"
        )
        return mask.assign_attrs(long_name="whether the place is selected")

    @selected.setter
    def selected(self, mask: Any) -> None:
        self._selected = _checked(mask, self.content.places.template)
        if "widget" in vars(self):
            self.widget.selected = self._selected.tobytes()

    def save(self, path: str | Path, *, overwrite: bool = False, limit: float = _LIMIT) -> Path:
        """Write a page that shows all of this in any browser, without a server or a network.

        Args:
            path: the file to write, such as "maps.html".
            overwrite: whether an existing file may be replaced.
            limit: size of the page in MB. A larger one leaves out windows, evenly spread, and
                reconstructions of these; a warning and the page say how many.

        Returns:
            The path.

        Raises:
            FileExistsError: if the file exists and may not be replaced.
            DataError: if all else is larger than the limit already.
        """
        path = Path(path)
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists: choose another path, or pass overwrite=True")
        text = self.html(limit)
        with written(path) as partial:
            partial.write_text(text, encoding="utf-8")
        return path

    def html(self, limit: float = _LIMIT) -> str:
        """The page as text.

        Args:
            limit: of its size in MB, as for `save`.

        Raises:
            DataError: if all but the windows is larger than the limit already.
        """
        text, most = self._page(self.content), limit * 1e6
        if (whole := _size(text)) <= most:
            return text
        least = _size(self._page(self.content.reduced(0.0)))
        if least > most:
            raise DataError(
                f"without any windows the page is {least / 1e6:.1f} MB already, above {limit:g}: "
                "pass a larger limit, or maps of fewer places"
            )
        share = (most - least) / (whole - least)
        while _size(text) > most:  # as some windows pack better than others
            share *= 0.95
            reduced = self.content.reduced(share)
            text = self._page(reduced)
        warnings.warn(f"the page leaves out {reduced.left_out[0]}", stacklevel=3)
        return text

    def _page(self, content: Content) -> str:
        header, data = content.packed()
        return page(header | {"selected": np.flatnonzero(self._selected).tolist()}, data)

    @cached_property
    def widget(self) -> Widget:
        """The explorer as a widget of Jupyter's, whose motifs are the model's own.

        Raises:
            ImportError: if the extra `explore` isn't installed.
        """

        def told(mask: np.ndarray) -> None:
            self._selected = mask

        return made_live(self.content, self._selected, told)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """What a notebook shows: the widget, or the page where there can be none."""
        if can_be_live():
            return self.widget._repr_mimebundle_(**options)
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self.html())}" title="pyroshift explorer" width="100%" '
            f'height="{_HEIGHT}" style="border: 0"></iframe>'
        )


def _size(text: str) -> int:
    """Bytes of a file that holds it."""
    return len(text.encode())


def _checked(mask: Any, template: xr.DataArray) -> np.ndarray:
    """A mask over all places, or places by number, as a flat mask.

    Raises:
        DataError: if it doesn't fit the maps.
    """
    if isinstance(mask, xr.DataArray):
        if set(mask.dims) != set(template.dims):
            raise DataError(f"the mask is over {mask.dims}, but the maps over {template.dims}")
        mask = mask.transpose(*template.dims)
    values = np.asarray(mask)
    if values.dtype == bool and values.shape == template.shape:
        return values.ravel().copy()
    flat = np.zeros(template.size, bool)
    is_list = values.ndim == 1 and (values.dtype.kind in "iu" or not values.size)
    if not is_list or (values.size and not 0 <= values.min() <= values.max() < template.size):
        raise DataError(
            f"a selection is True or False over the maps' {dict(template.sizes)}, or numbers of "
            f"places below {template.size}; got shape {values.shape} of {values.dtype}"
        )
    flat[values.astype(int)] = True
    return flat
