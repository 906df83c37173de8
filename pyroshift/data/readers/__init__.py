"""From the instrument's file to a labelled array: images, stacks and cubes of spectra."""

from pyroshift.data.readers.levelling import level
from pyroshift.data.readers.load import load_image, load_spectra

__all__ = ["level", "load_image", "load_spectra"]
