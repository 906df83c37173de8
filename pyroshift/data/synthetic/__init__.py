"""Synthetic signals, spectra, lattices, motifs, particles and movies of known pose and content.

Each generator returns the data and the truth as one Dataset. Offsets are positions of the motif
from the window's centre, positive towards larger index; angles are in radians, counter-clockwise as
displayed with row 0 on top; a pixel at ``r`` reads the motif at ``R(-angle) (r - offset)``. Patches
and images have grey levels in [0, 1] before noise, which is white and Gaussian, unless a
micrograph is told otherwise or they are particles.
"""

from pyroshift.data.synthetic.cards import cards
from pyroshift.data.synthetic.diffraction import diffraction
from pyroshift.data.synthetic.domains import domains
from pyroshift.data.synthetic.lattices import lattice, lattice_image, reduce_modulo_lattice
from pyroshift.data.synthetic.micrographs import micrograph
from pyroshift.data.synthetic.motifs import motifs
from pyroshift.data.synthetic.particles import particles
from pyroshift.data.synthetic.sequences import switching
from pyroshift.data.synthetic.shapes import shapes
from pyroshift.data.synthetic.signals import peaks, sines
from pyroshift.data.synthetic.spectra import plasmons
from pyroshift.data.synthetic.structures import structure_spectra

__all__ = [
    "cards",
    "diffraction",
    "domains",
    "lattice",
    "lattice_image",
    "micrograph",
    "motifs",
    "particles",
    "peaks",
    "plasmons",
    "reduce_modulo_lattice",
    "shapes",
    "sines",
    "structure_spectra",
    "switching",
]
