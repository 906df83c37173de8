"""The likelihoods that there are by name, and those of grey levels between 0 and 1."""

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import softplus

from pyroshift import names
from pyroshift.errors import DataError
from pyroshift.model.counts import NegativeBinomial as NegativeBinomial
from pyroshift.model.counts import Poisson as Poisson
from pyroshift.model.counts import ZeroInflatedPoisson as ZeroInflatedPoisson
from pyroshift.model.likelihood import Likelihood as Likelihood
from pyroshift.model.noise import Gaussian as Gaussian
from pyroshift.model.noise import HeteroscedasticGaussian as HeteroscedasticGaussian
from pyroshift.model.noise import StudentT as StudentT
from pyroshift.model.phases import VonMises as VonMises


def _check_unit_interval(name: str, minimum: float, maximum: float) -> None:
    if minimum < 0 or maximum > 1:
        raise DataError(
            f"the {name} likelihood needs data in [0, 1], but they span "
            f"[{minimum:.6g}, {maximum:.6g}]: cut the patches with normalize='patch' or "
            "normalize='image', or take likelihood='gaussian'"
        )


class Bernoulli(Likelihood):
    """Bernoulli likelihood of grey levels in [0, 1], as the shift-VAE and rVAE papers use it.

    For grey levels it is a cross-entropy, not a density: bounds compare among models with this
    likelihood only, and a pixel is worth so little that faint content may collapse.

    Example:
        >>> Bernoulli().mean(torch.zeros(1, 2))
        tensor([[0.5000, 0.5000]])
    """

    def distribution(self, output: Tensor) -> Distribution:
        """Bernoulli with the output as logits, relative to the data's mean."""
        # Grey levels are outside the support that torch would check.
        return dist.Bernoulli(logits=output + _logit(self.location), validate_args=False)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The logits, and their softplus."""
        logits = output + _logit(self.location)
        return logits, softplus(logits)

    def check(self, minimum: float, maximum: float) -> None:
        """Raise a DataError unless the data are in [0, 1]."""
        _check_unit_interval("Bernoulli", minimum, maximum)


class ContinuousBernoulli(Likelihood):
    """Continuous Bernoulli likelihood: the normalised density on [0, 1] of the same form.

    Loaiza-Ganem and Cunningham, "The continuous Bernoulli", NeurIPS 2019.

    Example:
        >>> ContinuousBernoulli().mean(torch.zeros(1))
        tensor([0.5000])
    """

    def distribution(self, output: Tensor) -> Distribution:
        """Continuous Bernoulli with the output as logits."""
        return dist.ContinuousBernoulli(logits=output, validate_args=False)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The logits, and minus the log density at zero."""
        density = dist.ContinuousBernoulli(logits=output, validate_args=False)
        return output, -density.log_prob(torch.zeros_like(output))

    def information(self, output: Tensor) -> Tensor:
        """The variance, whose difference of two infinities torch takes for logits near zero."""
        near = output.abs() < 0.3
        logits = torch.where(near, torch.ones_like(output), output)
        sine = 2 * (logits / 2).sinh()
        far = logits.square().reciprocal() - sine.square().reciprocal()
        return torch.where(near, 1 / 12 - output.square() / 240, far)

    def check(self, minimum: float, maximum: float) -> None:
        """Raise a DataError unless the data are in [0, 1]."""
        _check_unit_interval("ContinuousBernoulli", minimum, maximum)


def _logit(location: Tensor) -> Tensor:
    """Logit of the data's mean; 0 where it isn't inside (0, 1), as before `prepare`."""
    inside = (location > 0) & (location < 1)
    return torch.where(inside, location, torch.full_like(location, 0.5)).logit()


LIKELIHOODS: dict[str, type[Likelihood]] = names.by_name(
    names.LIKELIHOODS,
    Gaussian,
    Bernoulli,
    ContinuousBernoulli,
    Poisson,
    StudentT,
    HeteroscedasticGaussian,
    NegativeBinomial,
    ZeroInflatedPoisson,
    VonMises,
)
