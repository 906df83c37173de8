"""What each process of `test_processes.py` does: `torchrun ... shared.py FOLDER`."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import pyroshift as ps
from pyroshift.cli import folder as cli_folder
from pyroshift.cli import main as main_command
from pyroshift.errors import SpecificationError

WINDOW = 8


class Steady(torch.optim.Adam):
    """Doesn't divide gradients that are nought but for rounding by themselves, as Adam does."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, lr, eps=1e-3)


OPTIONS = {
    "epochs": 2, "batch_size": 15, "validation_fraction": 0.1, "patience": 2, "progress": False,
    "optimizer": Steady, "kl": ps.KLAnnealing(0.5, 1.0, 2),
}  # fmt: skip


def models():
    """By name: guides, classes, a part of which all windows share."""
    yield "normal", ps.ShiftVAE(WINDOW, 2, guide="normal", seed=0)
    yield "anchor", ps.ShiftVAE(WINDOW, 2, guide="anchor", seed=0)
    yield "classes", ps.ShiftVAE(WINDOW, 1, guide="anchor", classes=2, seed=0)
    yield "shared", ps.VAE(WINDOW, 1, priors={"z": ps.priors.Hierarchical(1)}, seed=0)


def image():
    """An image."""
    return np.random.default_rng(0).normal(size=(32, 32)).cumsum(0)


def patches():
    """Of 36 windows to train on, the last batch has 6; a pixel is missing."""
    missing = image()
    missing[9, 9] = np.nan
    return ps.extract_patches(missing, WINDOW, 4).subset(torch.arange(40))


def trained(name, model, folder, strategy):
    """A run that is stopped after an epoch, and goes on."""
    given = {**OPTIONS, "strategy": strategy, "checkpoint": folder / f"{name}.ckpt"}
    stop = {"callbacks": [lambda *given: True]}
    ps.fit(model, patches(), **given, **stop)
    assert given["checkpoint"].exists()
    return ps.fit(model, patches(), **given)


class Blank:
    """In place of `pyroshift.plot`: every figure is empty."""

    def __getattr__(self, name):
        return lambda *given, **options: Figure(figsize=(1, 1))


def command(folder):
    """`pyroshift fit`, without its figures."""
    folder.mkdir(exist_ok=True)
    np.save(folder / f"image{os.environ.get('RANK')}.npy", image())
    options = ["--window", "8", "--epochs", "1", "--guide", "normal", "--quiet"]
    path = folder / f"image{os.environ.get('RANK')}.npy"
    before, cli_folder.plot = cli_folder.plot, Blank()
    try:
        return main_command(["fit", str(path), *options, "--out", str(folder / "results")])
    finally:
        cli_folder.plot = before


def main(folder):
    """Train all models, and write what the first and the last process have."""
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    torch.distributed.init_process_group("gloo")
    for name, model in models():
        history = trained(name, model, folder, "ddp")
        ps.save(model, folder / f"{name}{rank}.pt")
        history.to_netcdf(folder / f"{name}{rank}.nc", engine="h5netcdf")
    command(folder / "by_command")
    told = []
    for wrong in ({"patches": patches().subset(torch.arange(20 + rank))}, {"tiles": True}):
        tiles = {"priors": {"z": ps.priors.Matern(1)}} if "tiles" in wrong else {}
        try:
            ps.fit(ps.VAE(WINDOW, 1, **tiles), wrong.get("patches", patches()), epochs=1,
                   strategy="ddp", progress=False)  # fmt: skip
        except (ps.errors.DataError, SpecificationError) as error:
            told.append(str(error))
    (folder / f"told{rank}.txt").write_text("\n".join(told))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
