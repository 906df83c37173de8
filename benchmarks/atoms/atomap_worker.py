"""Atoms by atomap (0.4.2), which needs an environment of its own: see peers.py.

Finds them in each image of a folder: NAME.npz, with `image` and `separation`, gives NAME.npy.
"""

import sys
import warnings
from pathlib import Path

import atomap.api as am
import hyperspy.api as hs
import numpy as np
from numpy.typing import NDArray


def main() -> None:
    """All images of the folder that is named."""
    warnings.simplefilter("ignore")
    hs.preferences.General.show_progressbar = False
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        with np.load(path) as given:
            np.save(path.with_suffix(".npy"), positions(given["image"], given["separation"]))


def positions(image: NDArray[np.float64], separation: float) -> NDArray[np.float64]:
    """Atom x (y, x), in its guide's steps: maxima, centres of mass, Gaussians."""
    options = {"show_progressbar": False}
    signal = hs.signals.Signal2D(image - image.min())
    found = am.get_atom_positions(signal, separation=max(int(separation), 1))
    sublattice = am.Sublattice(found, image=signal.data)
    sublattice.find_nearest_neighbors()
    sublattice.refine_atom_positions_using_center_of_mass(**options)
    sublattice.refine_atom_positions_using_2d_gaussian(**options)
    return np.column_stack([sublattice.y_position, sublattice.x_position])


if __name__ == "__main__":
    main()
