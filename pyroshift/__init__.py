"""Shift- and rotation-invariant variational autoencoders for microscopy, as Pyro pairs."""

from pyroshift import errors, plot
from pyroshift._version import __version__
from pyroshift.analysis.blur import explained_by_blur
from pyroshift.analysis.dependence import correlation_ratio
from pyroshift.analysis.lattice import WindowSuggestion, suggest_window
from pyroshift.analysis.leak import lattice_leak
from pyroshift.analysis.search import search_kl
from pyroshift.analysis.signals import fit_sine
from pyroshift.analysis.smoothness import smoothness
from pyroshift.atoms.distortion import Distortion, fit_distortion
from pyroshift.atoms.find import find_atoms
from pyroshift.atoms.ideal import fit_lattice
from pyroshift.atoms.modes import displacement_modes
from pyroshift.atoms.tracks import link_atoms
from pyroshift.blocks import encode_image
from pyroshift.data import examples, synthetic
from pyroshift.data.patches import Patches, extract_patches
from pyroshift.data.readers import level, load_image, load_spectra
from pyroshift.inference.annealing import KLAnnealing
from pyroshift.inference.elbo import PatchELBO
from pyroshift.inference.fit import fit
from pyroshift.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Likelihood, Poisson
from pyroshift.models.anchor import AnchorGuide
from pyroshift.models.brightness import Brightness
from pyroshift.models.guides import Guide, NormalGuide
from pyroshift.models.pair import PoseVAE
from pyroshift.models.vae import RVAE, VAE, ShiftVAE
from pyroshift.networks.decoders import CanvasDecoder, SpatialDecoder
from pyroshift.networks.encoders import ConvolutionalEncoder, FullyConnectedEncoder
from pyroshift.pathways.classes import classify
from pyroshift.pathways.pictures import class_patches
from pyroshift.pathways.trajectories import ensemble_average, trajectories
from pyroshift.pathways.transitions import transition_matrix
from pyroshift.results import decode, encode, manifold
from pyroshift.segmentation.segmenter import Segmenter, load_segmenter, segment
from pyroshift.segmentation.training import train_segmenter
from pyroshift.sites import Angle, Content, Offset, PoseSite, Scale, Site
from pyroshift.storage import load, save

__all__ = [
    "RVAE",
    "VAE",
    "AnchorGuide",
    "Angle",
    "Bernoulli",
    "Brightness",
    "CanvasDecoder",
    "Content",
    "ContinuousBernoulli",
    "ConvolutionalEncoder",
    "Distortion",
    "FullyConnectedEncoder",
    "Gaussian",
    "Guide",
    "KLAnnealing",
    "Likelihood",
    "NormalGuide",
    "Offset",
    "PatchELBO",
    "Patches",
    "Poisson",
    "PoseSite",
    "PoseVAE",
    "Scale",
    "Segmenter",
    "ShiftVAE",
    "Site",
    "SpatialDecoder",
    "WindowSuggestion",
    "__version__",
    "class_patches",
    "classify",
    "correlation_ratio",
    "decode",
    "displacement_modes",
    "encode",
    "encode_image",
    "ensemble_average",
    "errors",
    "examples",
    "explained_by_blur",
    "extract_patches",
    "find_atoms",
    "fit",
    "fit_distortion",
    "fit_lattice",
    "fit_sine",
    "lattice_leak",
    "level",
    "link_atoms",
    "load",
    "load_image",
    "load_segmenter",
    "load_spectra",
    "manifold",
    "plot",
    "save",
    "search_kl",
    "segment",
    "smoothness",
    "suggest_window",
    "synthetic",
    "train_segmenter",
    "trajectories",
    "transition_matrix",
]
