"""What importance weights, or chains, say of the guides of turned and shifted glyphs.

    python -m benchmarks.evidence
    python -m benchmarks.evidence nuts
    python -m benchmarks.evidence loo

trains the models anew, and prints their evidence, the guides' errors against NUTS, or pixels left
out by importance weights against refits.
"""

import argparse

import pyro.distributions as dist
import xarray as xr

import pyroshift as ps
from benchmarks.evidence.leaving import against_refits
from benchmarks.evidence.nuts import against_chains

WINDOW, TRAINED_ON, HELD_OUT = 28, 3000, 300
PRIORS = {"anchor": dist.Uniform(-0.3, 0.3), "normal": dist.Normal(0.0, 0.2)}


def train(guide: str, data: xr.Dataset, epochs: int) -> ps.PoseVAE:
    """A model of the glyphs."""
    model = ps.RVAE(
        WINDOW, latent_dim=1, offsets=True, guide=guide, priors={"offset": PRIORS[guide]}
    )
    ps.fit(model, ps.Patches.from_array(data["patch"]), epochs=epochs, seed=0, progress=False)
    return model


def weights(models: dict[str, ps.PoseVAE], held_out: ps.Patches, draws: int) -> None:
    """Print the comparison, and how many draws the weighted ones are worth."""
    table = ps.compare(models, held_out, draws=draws)
    print(table.drop_vars("pointwise").to_dataframe().round(2).to_string())


def main() -> None:
    """Train, and print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", nargs="?", choices=["weights", "nuts", "loo"], default="weights")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--draws", type=int, default=1000, help="of the guides, for weights")
    parser.add_argument("--windows", type=int, default=12, help="for nuts")
    options = parser.parse_args()
    data = ps.synthetic.motifs(TRAINED_ON + HELD_OUT, seed=0)
    training = data.isel(sample=slice(0, TRAINED_ON))
    held_out = ps.Patches.from_array(data["patch"].isel(sample=slice(TRAINED_ON, None)))
    models = {guide: train(guide, training, options.epochs) for guide in PRIORS}
    if options.task == "weights":
        weights(models, held_out, options.draws)
        return
    for name, model in models.items():
        if options.task == "loo":
            against_refits(name, model, held_out)
        else:
            against_chains(name, model, held_out, options.windows)


if __name__ == "__main__":
    main()
