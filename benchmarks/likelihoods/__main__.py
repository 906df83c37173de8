"""What does it bring to say what the noise is like?

    OMP_NUM_THREADS=1 python -m benchmarks.likelihoods all
    OMP_NUM_THREADS=1 python -m benchmarks.likelihoods outliers --likelihoods student_t --seeds 0

trains on windows in noise that is known, under several likelihoods and with both guides, and prints
one row per training. Of windows that it hasn't seen: the bound; what it would be if motif and place
were known, and nothing had to be inferred but the noise; how well content is told, as R²; by how
much offsets are off; and what share of them lie within their 50 and 90% intervals. Where a motif
has its origin no data tell, so that a constant is taken off, and what follows from the content.
"""

import time
import warnings
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.common import command
from benchmarks.common.table import Row, written
from benchmarks.common.training import COMMON
from benchmarks.likelihoods import data
from benchmarks.likelihoods.recovery import add_recovery
from pyroshift import Patches, PoseVAE, ShiftVAE, encode, fit
from pyroshift.model.counts import Counts
from pyroshift.model.likelihoods import LIKELIHOODS, Likelihood

COUNTS = ("poisson", "negative_binomial", "zero_inflated_poisson")
TASKS: dict[str, dict[str, Any]] = {
    "outliers": {"data": (data.pairs, data.outliers), "likelihoods": ("gaussian", "student_t")},
    "dispersed": {"data": (data.pairs, data.dispersed), "likelihoods": COUNTS[:2]},
    "lost": {"data": (data.pairs, data.lost), "likelihoods": COUNTS[::2]},
    # Made differently, and not looked at until all was decided.
    "heavy tails": {
        "data": (data.peaks, data.heavy_tails),
        "likelihoods": ("gaussian", "student_t"),
    },
    "unsteady": {"data": (data.peaks, data.unsteady), "likelihoods": COUNTS[:2]},
}
FIT = {"epochs": 20, "batch_size": 64}
GUIDES = ("anchor", "normal")


def main() -> None:
    """Run the tasks that are asked for."""
    parser = command.parser("likelihoods", __doc__, TASKS, seeds=[0, 1, 2], out="likelihoods")
    parser.add_argument("--likelihoods", nargs="+", choices=LIKELIHOODS, default=list(LIKELIHOODS))
    parser.add_argument("--guides", nargs="+", choices=GUIDES, default=list(GUIDES))
    parser.add_argument("--windows", type=int, default=2000, help="to train on")
    options = command.asked(parser, TASKS)
    written(measured(options), options.out / "likelihoods.csv")


def measured(options: Namespace) -> Iterator[Row]:
    """A row for each training that is asked for."""
    for task in options.tasks:
        for seed in options.seeds:
            sets = data.sample(*TASKS[task]["data"], options.windows, seed)
            for likelihood in TASKS[task]["likelihoods"]:
                if likelihood in options.likelihoods:
                    for guide in options.guides:
                        yield training(task, likelihood, guide, seed, *sets)


def training(
    task: str, likelihood: str, guide: str, seed: int, seen: data.Data, held_out: data.Data
) -> Row:
    """One training and its figures."""
    window = seen.windows.shape[1:]
    model = ShiftVAE(window, 1, likelihood=likelihood, guide=guide, seed=seed)
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, Patches.from_array(seen.windows), seed=seed, **COMMON, **FIT)
    row = Row(task, f"{likelihood}, {guide}", seed, time.perf_counter() - begin)
    maps = encode(model, Patches.from_array(held_out.windows))
    row.add("bound", float(maps.elbo.mean()) / np.prod(window))
    row.add("known", known(LIKELIHOODS[likelihood](), held_out))
    add_recovery(row, maps, held_out)
    for name, value in noise(model).items():
        row.add(name, value)
    return row


def known(likelihood: Likelihood, truth: data.Data) -> float:
    """Mean log density of a pixel where all but the noise is known, and that is as fits best."""
    x, expected = torch.from_numpy(truth.windows), torch.from_numpy(truth.expected)
    likelihood.prepare(float(x.min()), float(x.max()), float(x.mean()), float(x.std()))
    output = likelihood.standardize(expected)
    if isinstance(likelihood, Counts):
        output = (expected / likelihood.location).log()
    parameters = list(likelihood.parameters())
    if not parameters:
        return float(likelihood.distribution(output).log_prob(x).mean())
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    for _ in range(200):
        loss = -likelihood.distribution(output).log_prob(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return -float(loss.detach())


@torch.no_grad()
def noise(model: PoseVAE) -> dict[str, float]:
    """What was learned of the noise."""
    names = {"noise": "width", "degrees_of_freedom": "degrees", "concentration": "concentration"}
    learned = {
        told: float(getattr(model.likelihood, name))
        for name, told in names.items()
        if hasattr(model.likelihood, name)
    }
    if hasattr(model.likelihood, "odds"):
        learned["inflation"] = float(torch.sigmoid(model.likelihood.odds))
    return learned


if __name__ == "__main__":
    main()
