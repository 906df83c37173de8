"""Draws of the exact posterior by Markov chains, beside which the guide's errors can be seen."""

import math
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
import xarray as xr
from pyro import poutine
from torch import Tensor
from tqdm import tqdm

from pyroshift.bayes import chains as markov
from pyroshift.bayes import tree
from pyroshift.bayes.checks import LARGEST, checked_patches, drawing_from
from pyroshift.bayes.convergence import agreement, centred
from pyroshift.bayes.draws import Drawing, called, chosen
from pyroshift.bayes.joint import Joint, Reals
from pyroshift.bayes.pareto import smoothed
from pyroshift.bayes.parts import first_of
from pyroshift.data.checks import checked_count
from pyroshift.data.patches import Patches
from pyroshift.errors import DataError, SpecificationError
from pyroshift.maps.encode import summarized
from pyroshift.model.batch import gathered
from pyroshift.model.classes import Discrete
from pyroshift.model.pair import PoseVAE

_ROWS = 64  # windows, one for each chain and kind of a patch, that run in step
_PROPOSALS = 100  # draws of the guide among which chains find their starts
_NARROWEST = 1e-3  # width in whose units a chain begins, if the guide's is none


def sample(
    model: PoseVAE,
    patches: Any,
    draws: int = 500,
    *,
    warmup: int = 300,
    chains: int = 4,
    kernel: str = "nuts",
    limit: int = 200,
    batch_size: int = 512,
    seed: int = 0,
    progress: bool = True,
) -> xr.DataTree:
    """Draws of the exact posterior of some patches by NUTS, in ArviZ's layout.

    It takes seconds for a patch, where the guide takes milliseconds: so take a few, and see how far
    the guide is from them. Chains begin at different draws of the guide, chosen by their importance
    weights, so in the modes that it knows; from one mode to another that is well apart no chain
    goes. Where they stay in different ones, `r_hat` is far above 1, and the shares of the modes are
    those of the starts. Discrete sites (class, flip) are summed out exactly, and drawn from their
    exact posterior given all else. Weights of the model stay as they are; what all patches share,
    as the widths of a hierarchical prior, is at the middle of its posterior. Of latents that depend
    on neighbours (`Matern`), those of each window are drawn by itself. Of windows cut with
    `overlap="once"`, it is the tempered posterior. Ctrl-C keeps the patches that are done, and
    leaves NaN for the others.

    Args:
        model: a trained model.
        patches: `Patches`, or windows or signals that are cut already, as for `encode`.
        draws: of each chain, at least 4.
        warmup: steps before, in which the kernel is adapted, at least 30.
        chains: of each patch.
        kernel: "nuts", or "hmc" for ways of one length.
        limit: most patches that are accepted.
        batch_size: windows that go through the networks at a time, when densities are told.
        seed: of the chains.
        progress: whether a bar is shown.

    Returns:
        A tree, as `posterior` gives one, with these groups: `posterior`, all latent sites over
        `chain`, `draw` and then as `encode` has them, in its units; `observed_data`;
        `log_likelihood` of each window; `sample_stats`, with the joint log density `lp`,
        `diverging`, which all patches of a group that runs in step have in common, and the mean
        `acceptance_rate` and `step_size`; and `diagnostics`, maps of each site: rank-normalized
        split R-hat, `z_r_hat`, to be below 1.01; `z_ess`, how many independent draws they are worth
        in the bulk; and of the guide `z_guide_error`, its location, as `encode` has it, less the
        draws' mean, in their standard deviations, and `z_guide_width`, its standard deviation over
        theirs, 1 if it is right. Angles and offsets in lattices go the shorter way round. NaN where
        there is no patch.

    Raises:
        DataError: if the patches don't fit the model, are too many, or a number makes no sense.
        SpecificationError: if this is no model, or there is no such kernel.
        KeyboardInterrupt: if Ctrl-C comes before any patch is done.

    Source:
        Hoffman and Gelman, "The No-U-Turn sampler", J. Mach. Learn. Res. 15, 1593 (2014), as Pyro
        has it; R-hat and effective numbers: Vehtari and others, Bayesian Analysis 16, 667 (2021).

    Example:
        >>> from pyroshift import VAE
        >>> signals = np.random.default_rng(0).random((2, 8))
        >>> found = sample(VAE((8,)), signals, draws=20, warmup=30, progress=False)
        >>> found["posterior"].z.dims, found["diagnostics"].z_r_hat.dims
        (('chain', 'draw', 'patch', 'latent'), ('patch', 'latent'))
    """
    draws, chains = checked_count("draws", draws, 4), checked_count("chains", chains)
    warmup = checked_count("warmup", warmup, markov.SHORTEST)
    batch_size = checked_count("batch_size", batch_size)
    if kernel not in markov.KERNELS:
        raise SpecificationError(f"kernel must be one of {list(markov.KERNELS)}, got {kernel!r}")
    patches = checked_patches(model, patches, stacklevel=2)
    if len(patches) > checked_count("limit", limit):
        raise DataError(
            f"{len(patches)} patches would take long, as chains take seconds for each: take some, "
            f"by patches.subset(...), or allow more than limit={limit}"
        )
    _check_size(model, patches, chains * draws)
    random, on_device = np.random.default_rng(seed), patches.to(model.device)
    parts = torch.arange(len(patches)).split(max(1, _ROWS // (chains * model.kinds)))
    steps, done = len(parts) * (warmup + draws), list[tree.Groups]()
    with (
        drawing_from(model, seed),
        pyro.validation_enabled(False),  # what is impossible ends a way, and is no error
        tqdm(total=steps, unit="step", disable=not progress) as bar,
    ):
        told = _teller(bar)
        try:
            for index in parts:
                bar.set_description(f"patches {int(index[0]) + 1} to {int(index[-1]) + 1}")
                drawing = Drawing(model, on_device, index.to(model.device), batch_size)
                posteriors = _Posteriors(drawing, chains)
                run = markov.run(
                    posteriors.log_density, *posteriors.start(random), kernel, draws, warmup, told
                )
                done.append(posteriors.groups(run))
        except KeyboardInterrupt:
            if not done:
                raise
            bar.write(f"interrupted before patch {int(index[0]) + 1} of {len(patches)} was done")
    sink = tree.InMemory(tree.Labels(model, patches), {"kernel": kernel, "warmup": warmup})
    sink.add(tree.joined(done), first_of(patches, sum(map(len, parts[: len(done)]))))
    return sink.finish()


class _Posteriors:
    """The posteriors of some patches, with several chains of each: a row for each chain and patch.

    Args:
        drawing: the model and the patches.
        chains: of each patch.
    """

    def __init__(self, drawing: Drawing, chains: int) -> None:
        self.drawing, self.model, self.chains = drawing, drawing.model, chains
        self.reals = Reals(self.model)
        batch = gathered(drawing.patches, drawing.index)
        with poutine.block():
            _, self.guide = summarized(self.model, batch)  # as encode gives it
        self.joint = self._joint(1)

    def log_density(self, vectors: Tensor) -> Tensor:
        """Log density of each row, kinds summed out, up to that of the data.

        Args:
            vectors: `row x element`.
        """
        values, stretched = self.reals.values(vectors.to(self.model.grid))
        prior, likelihood = self.joint.by_kind(values)
        return (prior + likelihood).logsumexp(1) + stretched

    def start(self, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Where chains begin, and how wide the guide says that the posteriors are.

        At different draws of the guide, by their weights: so in modes by their shares as far as
        these are known. By the guide's own shares, chains would begin in modes of no account,
        and stay.

        Raises:
            SpecificationError: if the model holds these draws for impossible.
        """
        weighed = self.drawing.weigh(max(_PROPOSALS, self.chains), keep=True)
        weights = np.nan_to_num(smoothed(weighed.log_weights)[0], nan=-np.inf)
        drawn = (weights + random.gumbel(size=weights.shape)).argsort(0)[::-1][: self.chains]
        values = chosen(weighed.values, drawn.copy())
        start = self.reals.vector(values).flatten(0, 1).double()
        if not bool(torch.isfinite(self.log_density(start)).all()):
            raise SpecificationError(
                "the model holds draws of its guide for impossible, at which chains would begin: "
                "train it further, and see that the priors reach wherever the guide does"
            )
        return start, self._widths().repeat(self.chains, 1)

    def groups(self, run: markov.Chains) -> tree.Groups:
        """All groups of draws and of what is told of them.

        Args:
            run: draws of all rows.
        """
        values, prior, likelihood = self._completed(run.vectors)
        of_all = torch.ones_like(likelihood)
        return {
            tree.POSTERIOR: called(self.model, values),
            tree.OBSERVED: {
                tree.PATCHES: self.drawing.patches.gather(self.drawing.index).cpu().numpy()
            },
            tree.LOG_LIKELIHOOD: {tree.PATCHES: likelihood.cpu().numpy()},
            tree.SAMPLE_STATS: {
                "lp": (prior + likelihood).cpu().numpy(),
                "diverging": (of_all * run.diverging.to(of_all).unsqueeze(1)).cpu().numpy(),
                "acceptance_rate": (of_all * run.acceptance).cpu().numpy(),
                "step_size": (of_all * run.step_size).cpu().numpy(),
            },
            tree.DIAGNOSTICS: self._diagnostics(values),
        }

    def _joint(self, draws: int) -> Joint:
        """The joint density of so many draws of every row."""
        index = self.drawing.index.repeat(draws * self.chains)
        return Joint(self.model, self.drawing.patches, index)

    def _widths(self) -> Tensor:
        """Standard deviations by the guide, to first order in real numbers, `patch x element`."""
        ends = [
            self.reals.vector(
                {
                    site.name: self.guide[site.name] + sign * self.guide[f"{site.name}_std"]
                    for site in self.reals.sites
                }
            )
            for sign in (-1, 1)
        ]
        widths = (ends[1] - ends[0]).double() / 2
        return widths.nan_to_num(1.0).abs().clamp(min=_NARROWEST)

    def _completed(self, vectors: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Values of all sites, and the log densities of these and of the data given them.

        Args:
            vectors: `draw x row x element`.

        Returns:
            Each `chain x draw x patch x ...`, discrete sites drawn given all others.
        """
        parts: dict[str, list[Tensor]] = {}
        densities: list[Tensor] = []
        at_once = max(1, self.drawing.rows // (vectors.shape[1] * self.model.kinds))
        for some in vectors.split(at_once):
            values, _ = self.reals.values(some.flatten(0, 1).to(self.model.grid))
            prior, likelihood = self._joint(len(some)).by_kind(values)
            kind = dist.Categorical(logits=prior + likelihood).sample()
            values |= self.model.of_kind(kind)
            both = torch.stack([prior, likelihood])
            densities.append(both[:, torch.arange(len(kind), device=kind.device), kind])
            for name, value in values.items():
                parts.setdefault(name, []).append(value)
        shape = -1, self.chains, len(self.drawing.index)
        found = {
            name: torch.cat(each).unflatten(0, shape).transpose(0, 1)
            for name, each in parts.items()
        }
        prior, likelihood = torch.cat(densities, 1).unflatten(1, shape).transpose(1, 2)
        return found, prior, likelihood

    def _diagnostics(self, values: dict[str, Tensor]) -> dict[str, np.ndarray]:
        """Whether chains agree, and how far the guide is from them, of every site."""
        found: dict[str, Tensor] = {}
        for site in self.model.given_sites:
            draws, name = values[site.name].double(), site.name
            found[f"{name}{tree.R_HAT}"], found[f"{name}{tree.ESS}"] = agreement(site, draws)
            if isinstance(site, Discrete):
                continue
            mean, deviations = centred(site, draws)
            width = deviations.std((0, 1))
            away = site.reduce(self.guide[name].double() - mean)
            found[f"{name}{tree.ERROR}"] = away / width
            found[f"{name}{tree.WIDTH}"] = self.guide[f"{name}_std"].double() / width
        return {name: value.cpu().numpy() for name, value in found.items()}


def _check_size(model: PoseVAE, patches: Patches, draws: int) -> None:
    """Raise a DataError if draws over the whole layout are larger than memory may be."""
    numbers = sum(math.prod(site.event_shape) for site in model.given_sites) + 5
    size = 4 * numbers * draws * math.prod(patches.layout.values())
    if size > LARGEST:
        raise DataError(
            f"{draws} draws over a layout of {dict(patches.layout)}, where most places are of no "
            f"patch, take {size / 2**30:.3g} GB: take fewer, or the windows alone, by "
            "Patches.from_array(patches.gather())"
        )


def _teller(bar: tqdm) -> markov.Told:
    """What shows on a bar how chains get on."""

    def told(warming: bool, step_size: float, acceptance: float) -> None:
        stage = "warm-up" if warming else "draws"
        how = f"{stage}, step size {step_size:.2g}, acceptance {acceptance:.2f}"
        bar.set_postfix_str(how, refresh=False)
        bar.update()

    return told
