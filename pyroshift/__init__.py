"""Shift- and rotation-invariant variational autoencoders for microscopy, as Pyro pairs.

The names are listed in `__init__.pyi`. Each is loaded when it is first used, with all that it
needs, so that `import pyroshift` is quick; with EAGER_IMPORT=1 in the environment all are at once.
"""

import sys

import lazy_loader

from pyroshift.moved import OldNames

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

sys.meta_path.append(OldNames())
