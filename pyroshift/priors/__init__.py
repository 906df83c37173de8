"""Priors of the latents that learn with the model: mixtures, flows, relevance, hierarchies, maps.

Each is given to a model as `priors={"z": ...}`, and is trained, saved and moved with it. Any Pyro
distribution with an `nn.Parameter` in it learns as well, and so does a module of one's own whose
`forward` makes a distribution.
"""

from pyroshift.model.priors import LearnedPrior, PairedPrior
from pyroshift.priors.ard import ARD
from pyroshift.priors.flow import Flow
from pyroshift.priors.hierarchical import Hierarchical
from pyroshift.priors.matern import Matern
from pyroshift.priors.mixture import Mixture
from pyroshift.priors.vamp import VampPrior

__all__ = [
    "ARD",
    "Flow",
    "Hierarchical",
    "LearnedPrior",
    "Matern",
    "Mixture",
    "PairedPrior",
    "VampPrior",
]
