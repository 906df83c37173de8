"""Do intervals hold the truth where noise is of neighbouring pixels together, and robust ones?

    OMP_NUM_THREADS=1 python -m benchmarks.calibration.correlated --out calibration

trains on windows whose truth is known, in noise that is white, blurred, or smeared along the lines
of a scan, and prints what share of the truths lies within 50% and 90% intervals, by the likelihood
and by `encode(..., robust=True)`. Offsets are less what of a motif's origin depends on its content,
z is about a smooth function of it.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from benchmarks.common import command
from benchmarks.common.metrics import Array
from benchmarks.common.table import Row, written
from benchmarks.pose import metrics
from pyroshift import Patches, ShiftVAE, encode, fit, synthetic

LEVELS = (0.5, 0.9)


class Case(NamedTuple):
    """Windows without noise, where their motifs are, what varies, and how wide the noise is."""

    clean: Array
    offset: Array
    content: Array
    noise: float


def main() -> None:
    """Run all cases in all kinds of noise."""
    parser = command.parser("calibration.correlated", __doc__, seeds=(0, 1, 2), out="calibration")
    options = command.asked(parser)
    written(rows(options.seeds), options.out / "correlated.csv")


def rows(seeds: list[int]) -> Iterator[Row]:
    """One for each case, noise and seed."""
    for name, make in CASES.items():
        for noise, correlated in NOISES.items():
            for seed in seeds:
                yield measured(name, make(seed), noise, correlated, seed)


def peaks(seed: int) -> Case:
    """Signals of 48 samples."""
    truth = synthetic.peaks(
        400, length=48, span=12, offset_spread=2, widths=(1, 2), noise=0, seed=seed
    )
    offset = truth.offset.values[:, None] / float(truth.x[1] - truth.x[0])
    return Case(truth.signal.values, offset, truth.width.values, 0.15)


def glyphs(seed: int) -> Case:
    """Windows of 20 pixels."""
    truth = synthetic.motifs(500, 20, 0.0, 3.0, noise=0.0, seed=seed)
    return Case(truth.patch.values, truth.offset.values, truth.content.values, 0.2)


def rings(seed: int) -> Case:
    """Windows of 24 pixels, of rings whose radius varies; looked at when all else was settled."""
    rng = np.random.default_rng(70 + seed)
    offset, content = rng.uniform(-3, 3, (600, 2)), rng.uniform(0, 1, 600)
    axis = np.arange(24) - 11.5
    radius = np.hypot(axis[:, None] - offset[:, 0, None, None], axis - offset[:, 1, None, None])
    clean = np.exp(-((radius - 4 - 2 * content[:, None, None]) ** 2) / 2.5)
    return Case(clean, offset, content, 0.3)


def blurred(noise: Array) -> Array:
    """By a Gaussian of one pixel, along all axes of a window."""
    wide = gaussian_filter(noise, (0, *(1.0,) * (noise.ndim - 1)), mode="wrap")
    return wide / wide.std()


def smeared(noise: Array) -> Array:
    """Along the lines alone, as by a slow amplifier: neighbours correlate by 0.7."""
    result = noise.copy()
    for place in range(1, noise.shape[-1]):
        result[..., place] = 0.7 * result[..., place - 1] + np.sqrt(0.51) * noise[..., place]
    return result


CASES: dict[str, Callable[[int], Case]] = {"peaks": peaks, "glyphs": glyphs, "rings": rings}
NOISES: dict[str, Callable[[Array], Array]] = {
    "white": lambda noise: noise,
    "blurred": blurred,
    "smeared": smeared,
}


def measured(
    name: str, case: Case, noise: str, correlated: Callable[[Array], Array], seed: int
) -> Row:
    """Shares of truths within intervals, after one training."""
    rng = np.random.default_rng(100 + seed)
    windows = case.clean + case.noise * correlated(rng.standard_normal(case.clean.shape))
    patches = Patches.from_array(windows.astype(np.float32))
    model = ShiftVAE(patches.window, 1, seed=seed)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of z, where noise hides what varies
        fit(model, patches, epochs=12, batch_size=40, seed=seed, progress=False)
    row = Row("correlated", f"{name}, {noise}", seed, time.perf_counter() - began)
    for kind, robust in (("", False), ("robust ", True)):
        _add(row, kind, encode(model, patches, robust=robust), case)
    return row


def _add(row: Row, kind: str, maps: xr.Dataset, case: Case) -> None:
    off = np.stack(
        [metrics.less_content(each, case.content) for each in (maps.offset.values - case.offset).T]
    )
    about = metrics.spread_about_content(maps.z.values[:, 0], case.content)
    for level in LEVELS:
        inside = metrics.coverage(off, maps.offset_std.values.T, level)
        row.add(f"{kind}offset in {level:.0%}", inside, level - 0.03, level + 0.03)
        row.add(f"{kind}z in {level:.0%}", metrics.coverage(about, maps.z_std.values[:, 0], level))
    row.add(f"{kind}z empty", float(maps.collapsed[0]))


if __name__ == "__main__":
    main()
