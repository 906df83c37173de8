"""What do priors that learn do to latents, and to the bound?

    OMP_NUM_THREADS=1 python -m benchmarks.priors
    OMP_NUM_THREADS=1 python -m benchmarks.priors --questions bound --guides normal --seeds 0

One row per guide, prior and seed. `relevance`: five latents for motifs with two factors; how many
collapse, the width of each posterior in units of the prior. `bound`: two latents for motifs of two
kinds. Of both the bound on the evidence of windows that were not trained on, and the KL divergence
of z, nats per window.
"""

from time import process_time
from typing import Any

import pyro
import torch
from torch import Tensor

from benchmarks.common import command
from benchmarks.common.table import print_records
from benchmarks.common.training import COMMON, collapse_expected
from benchmarks.priors.cases import BOUND, RELEVANCE, two_factors, two_kinds
from pyroshift import VAE, PatchELBO, Patches, PoseVAE, ShiftVAE, encode, fit
from pyroshift.training.diagnostics import collapsed

QUESTIONS = {"relevance": (RELEVANCE, two_factors, 5), "bound": (BOUND, two_kinds, 2)}
# The anchor guide's steps cost four times as much, and it needs fewer.
SETTINGS: dict[str, dict[str, Any]] = {
    "normal": {"count": 2000, "epochs": 40, "offset": 0.0},
    "anchor": {"count": 2000, "epochs": 20, "offset": 3.0},
}
HELD_OUT, DRAWS = 1000, 10


@torch.no_grad()
def bound(model: PoseVAE, x: Tensor) -> tuple[float, float]:
    """The bound per window and the divergence of z, in the mean over some draws."""
    with torch.random.fork_rng(), pyro.validation_enabled(False):
        torch.manual_seed(0)
        terms = [PatchELBO().terms(model.sample_model, model.sample_guide, x) for _ in range(DRAWS)]
    return tuple(  # type: ignore[return-value]
        float(torch.stack(each).mean())
        for each in ([term.elbo for term in terms], [term.kl["z"] for term in terms])
    )


def measure(question: str, guide: str, case: str, seed: int, epochs: int | None) -> dict[str, Any]:
    """One training, and what came of it."""
    cases, data, latent_dim = QUESTIONS[question]
    settings = SETTINGS[guide]
    kind = VAE if guide == "normal" else ShiftVAE
    x = data(settings["count"], seed, settings["offset"])
    prior = cases[case](latent_dim)
    given = None if prior is None else {"z": prior}
    model = kind(tuple(x.shape[1:]), latent_dim, guide=guide, priors=given, seed=seed)
    patches = Patches.from_array(x)
    started = process_time()
    with collapse_expected():
        fit(model, patches, seed=seed, epochs=epochs or settings["epochs"], batch_size=64, **COMMON)
    seconds = process_time() - started
    spread = torch.from_numpy(encode(model, patches).z_std.values)
    prior = model.priors()["z"]
    empty = collapsed(prior, spread)
    held_out, divergence = bound(model, data(HELD_OUT, seed + 1000, settings["offset"]))
    ratios = (spread / prior.stddev.detach()).mean(0)
    return {
        "question": question, "guide": guide, "prior": case, "seed": seed,
        "collapsed": int(empty.sum()), "held out": held_out, "KL of z": divergence,
        "width": [round(float(ratio), 2) for ratio in ratios.flatten()], "seconds": seconds,
    }  # fmt: skip


def main() -> None:
    """Print a row of a table for each training."""
    parser = command.parser("priors", __doc__)
    parser.add_argument("--questions", nargs="+", choices=QUESTIONS, default=list(QUESTIONS))
    parser.add_argument("--guides", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--cases", nargs="+", default=[], help="parts of the priors' names")
    parser.add_argument("--epochs", type=int, help="default: those of each guide")
    chosen = command.asked(parser)
    records = (
        measure(question, guide, case, seed, chosen.epochs)
        for question in chosen.questions
        for guide in chosen.guides
        for case in QUESTIONS[question][0]
        if not chosen.cases or any(part in case for part in chosen.cases)
        for seed in chosen.seeds
    )
    print_records(records, digits=5)


if __name__ == "__main__":
    main()
