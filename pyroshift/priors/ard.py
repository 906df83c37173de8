"""Latents that fall out if the data don't need them, and how far each is determined."""

import torch
from torch import Tensor

from pyroshift.model.sites import CONTENT, Content


class ARD(Content):
    """Automatic relevance determination: of more latents than are needed, those that are stay.

    Each latent has the prior width that its values have, its empirical Bayes estimate, so that it
    costs what it tells of the data. Widths alone leave factors that two latents share between them,
    as no gradient turns the networks; so they are learned in the frame in which latents are
    uncorrelated, that of `LatentFrame`, which all models have unless a prior is given. This site
    says so, and gives the `relevance` of each. It is a site, as `priors={"z": ARD(5)}` takes one
    as well.

    MacKay, "Bayesian interpolation", Neural Computation 4, 415 (1992); measured in
    benchmarks/priors.

    Args:
        latent_dim: number of latents, some more than are expected.
        name: name of the site.

    Raises:
        SpecificationError: if `latent_dim` is less than 1.

    Example:
        >>> from pyroshift import VAE
        >>> site = ARD(5)
        >>> model = VAE((16, 16), latent_dim=5, priors={"z": site})
        >>> site.relevance  # of an untrained model
        tensor([0., 0., 0., 0., 0.])
    """

    def __init__(self, latent_dim: int = 2, name: str = CONTENT) -> None:
        super().__init__(latent_dim, canonical=True, name=name)

    @property
    def relevance(self) -> Tensor:
        """How far the data determine each latent, from 0 to 1, the first most, `latent`.

        One minus the share of the prior's variance that the posterior has left, in the mean over
        the patches of the last steps: MacKay's number of well-determined parameters is their sum.
        """
        inward = torch.linalg.inv(self.frame.axes)
        return (inward @ self.frame.located @ inward.mT).diagonal().clamp(0.0, 1.0)
