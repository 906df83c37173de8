"""`explore`: the image, maps and what the model sees at each place, in a page or a notebook."""

from pyroshift.explorer.explore import explore
from pyroshift.explorer.explorer import Explorer

__all__ = ["Explorer", "explore"]
