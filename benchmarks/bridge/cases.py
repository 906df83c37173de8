"""Pairs to train on and pairs held out, of simulations and of a measurement."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

from benchmarks.bridge.islands import islands
from benchmarks.common.data import measurement
from pyroshift import Patches, extract_patches, load_spectra, pair_patches, split_patches, synthetic

WINDOW, SIDE = 13, 128
TRAINED, TESTED = 3, 5  # steps from window to window, pixels
BFO = "bfo_iv.hf5"
IMAGED = 26  # the channel of a curve that is taken for the image
BFO_WINDOW, BLOCK = 7, 10


class Case(NamedTuple):
    """Pairs to train on, pairs held out, and the targets of the latter without noise, if known."""

    training: Patches
    held_out: Patches
    expected: np.ndarray | None


def dynes(seed: int, back: bool = False) -> Case:
    """Tunnelling spectra of a lattice with vacancies; trained on one image, tested on another."""
    return _simulated(synthetic.structure_spectra, seed, back)


def plasmons(seed: int, back: bool = False) -> Case:
    """The second kind, differently made: energy losses of islands on a surface with steps."""
    return _simulated(islands, seed, back)


def _simulated(make: Callable[..., xr.Dataset], seed: int, back: bool) -> Case:
    first, second = (make((SIDE, SIDE), seed=number) for number in (seed, seed + 1000))
    training, held_out = (
        _cut(data, step, "spectra", back) for data, step in ((first, TRAINED), (second, TESTED))
    )
    clean = None if back else _cut(second, TESTED, "expected", back).gather().numpy()
    return Case(training, held_out, clean)


def _cut(data: xr.Dataset, step: int, name: str, back: bool) -> Patches:
    windows = extract_patches(data["image"], WINDOW, step, normalize=None)
    spectra = data[name]
    if not back:
        return pair_patches(windows, spectra)
    # Spectra are at all pixels: those at the windows' centres are taken.
    own = spectra.sel(y=windows.coords["y"].values, x=windows.coords["x"].values, method="nearest")
    return pair_patches(own.assign_coords(y=windows.coords["y"], x=windows.coords["x"]), windows)


def bfo(seed: int, hidden: bool = False) -> Case:
    """Current-voltage curves of bismuth ferrite, by an image of the current at one voltage.

    The file has no topography, so the image is one channel of the curves, which is then no part of
    the target. Blocks are held out whose windows share no pixel with those trained on.

    Args:
        seed: of the blocks.
        hidden: whether the pixel where the curve was taken is missing in its window.
    """
    curves = load_spectra(measurement(BFO))
    axis = curves.dims[-1]
    image = curves.isel({axis: IMAGED}, drop=True)
    target = curves.isel({axis: [n for n in range(curves.sizes[axis]) if n != IMAGED]})
    windows = extract_patches(image, BFO_WINDOW, 1, normalize=None)
    pairs = [
        pair_patches(part, target) for part in split_patches(windows, 0.3, block=BLOCK, seed=seed)
    ]
    if hidden:
        for each in pairs:
            middle = BFO_WINDOW // 2
            each.known["source"][:, middle, middle] = float("nan")
    return Case(pairs[0], pairs[1], None)


CASES: dict[str, Callable[[int], Case]] = {
    "dynes": dynes,
    "dynes, back": lambda seed: dynes(seed, back=True),
    "plasmons": plasmons,
    "plasmons, back": lambda seed: plasmons(seed, back=True),
    "bfo": bfo,
    "bfo, hidden": lambda seed: bfo(seed, hidden=True),
}
