"""Sums over an epoch of what its batches measured."""

from typing import Any

from torch import Tensor

from pyroshift.training.elbo import EvidenceTerms


class Totals:
    """Sums of the bound's terms over the patches of an epoch."""

    def __init__(self) -> None:
        self.count = 0
        self.other: float | None = None  # the sum of another bound, where that is trained
        self.log_likelihood: Tensor | float = 0.0
        self.kl: dict[str, Tensor | float] = {}

    def add(self, terms: EvidenceTerms, other: float | None) -> None:
        """Add a batch; of another bound, where that is trained, its loss per patch."""
        if other is not None:
            self.other = (self.other or 0.0) + other * len(terms.log_likelihood)
        # The sums stay on the device: to fetch them at every step would have the host wait for it.
        self.count += len(terms.log_likelihood)
        self.log_likelihood += terms.log_likelihood.detach().double().sum()
        for name, kl in terms.kl.items():
            self.kl[name] = self.kl.get(name, 0.0) + kl.detach().double().sum()

    def means(self) -> dict[str, Any]:
        """Means per patch: `loss`, `log_likelihood` and `kl` by site."""
        log_likelihood = float(self.log_likelihood) / self.count
        kl = {name: float(total) / self.count for name, total in self.kl.items()}
        ours = sum(kl.values()) - log_likelihood
        return {
            "loss": ours if self.other is None else self.other / self.count,
            "log_likelihood": log_likelihood,
            "kl": kl,
        }

    def describe(self) -> str:
        """The means in short, for the progress bar."""
        means = self.means()
        kl = ", ".join(f"{name} {value:.2f}" for name, value in means["kl"].items())
        return f"loss {means['loss']:.2f}, KL {kl}"
