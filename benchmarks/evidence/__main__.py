"""What importance weights say of the guides of turned and shifted glyphs, after a training."""

import argparse

import pyro.distributions as dist
import xarray as xr

import pyroshift as ps

WINDOW, TRAINED_ON, HELD_OUT = 28, 3000, 300
PRIORS = {"anchor": dist.Uniform(-0.3, 0.3), "normal": dist.Normal(0.0, 0.2)}


def train(guide: str, data: xr.Dataset, epochs: int) -> ps.PoseVAE:
    """A model of the glyphs."""
    model = ps.RVAE(
        WINDOW, latent_dim=1, offsets=True, guide=guide, priors={"offset": PRIORS[guide]}
    )
    ps.fit(model, ps.Patches.from_array(data["patch"]), epochs=epochs, seed=0, progress=False)
    return model


def main() -> None:
    """Print the comparison, and how many draws the weighted ones are worth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    data = ps.synthetic.motifs(TRAINED_ON + HELD_OUT, seed=0)
    training = data.isel(sample=slice(0, TRAINED_ON))
    held_out = ps.Patches.from_array(data["patch"].isel(sample=slice(TRAINED_ON, None)))
    models = {guide: train(guide, training, options.epochs) for guide in PRIORS}
    table = ps.compare(models, held_out, draws=options.draws)
    print(table.drop_vars("pointwise").to_dataframe().round(2).to_string())
    for name, model in models.items():
        found = ps.evidence(model, held_out, draws=options.draws)
        print(f"{name}: {float(found.ess.median()):.0f} of {options.draws} draws, in the median")


if __name__ == "__main__":
    main()
