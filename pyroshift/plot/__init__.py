"""Figures of the results: pictures of what `encode`, `decode`, `manifold` and `fit` return.

All return a Figure. Those of one panel draw into the `ax` they are given, whose Figure it then is.
Notebooks show it as a cell's last value, without pyplot and without leaving figures open; scripts
write it with `savefig`. Where maps from `encode` are drawn, a model will do with `patches=...`.
Latents that collapsed are drawn in pale grey, and named so; what is missing in light grey. Images
of several channels are drawn channel by channel.
"""

from pyroshift.plot.atoms import atoms, tracks
from pyroshift.plot.calibration import rank
from pyroshift.plot.classes import class_patches, classes
from pyroshift.plot.deflection import deflection
from pyroshift.plot.distortion import displacement, displacement_modes, distortion
from pyroshift.plot.evidence import compare, khat
from pyroshift.plot.latents import scatter
from pyroshift.plot.panels import image, latent_map, maps
from pyroshift.plot.pathways import ensemble, trajectories, transitions
from pyroshift.plot.predictions import predicted_spectra
from pyroshift.plot.predictive import predictive_check
from pyroshift.plot.reconstruction import reconstructions
from pyroshift.plot.search import search
from pyroshift.plot.spectra import abundances, mean_spectra
from pyroshift.plot.strain import strain
from pyroshift.plot.tables import heat_map, heat_maps
from pyroshift.plot.tiles import manifold
from pyroshift.plot.training import history
from pyroshift.plot.walls import rose, switched, walls

__all__ = [
    "abundances",
    "atoms",
    "class_patches",
    "classes",
    "compare",
    "deflection",
    "displacement",
    "displacement_modes",
    "distortion",
    "ensemble",
    "heat_map",
    "heat_maps",
    "history",
    "image",
    "khat",
    "latent_map",
    "manifold",
    "maps",
    "mean_spectra",
    "predicted_spectra",
    "predictive_check",
    "rank",
    "reconstructions",
    "rose",
    "scatter",
    "search",
    "strain",
    "switched",
    "tracks",
    "trajectories",
    "transitions",
    "walls",
]
