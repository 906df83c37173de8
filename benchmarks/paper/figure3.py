"""Figure 3 g, h: where the shift of sines is found, over the spread of the offsets and the noise.

The fields, the data and the measures are those of `benchmarks.pose sines`. `anchor`, `normal` and
`pyroved` have a prior matched to the spread, which only who made the data knows. `default` is the
normal guide with the prior that it has by default, whatever the spread. `chosen` is whichever of
anchor and normal has the better bound on signals held out, which needs no truth.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import xarray as xr

from benchmarks.common.metrics import slope
from benchmarks.common.run import Job, Run, Settings, merged
from benchmarks.common.table import Row, figures, worst
from benchmarks.pose import tasks
from benchmarks.pose.found import Found
from benchmarks.pose.guides import train
from benchmarks.pose.metrics import error_modulo_period
from pyroshift import plot, synthetic

HELD_OUT = 200  # signals of the same kind, for the bound
GUIDES = ("anchor", "normal", "default", "pyroved")
# With so many times the epochs, the normal guide takes the time of the anchor guide.
EPOCHS = {"anchor": 1, "normal": 3, "default": 3}
DEFAULT_SCALE = 0.3  # of ShiftVAE
CANDIDATES, CHOSEN = ("anchor", "normal"), "chosen"
BOUND, R2, SLOPE = "held-out bound", "offset R2", "slope"


def jobs(seed: int, run: Run) -> Iterator[Job]:
    """Every field of the map, by every guide asked for."""
    settings = run.settings(tasks.SINES)
    for spread in settings["spreads"]:
        for noise in settings["noises"]:
            for guide, case in run.wanted(tasks.sines_label(spread, noise)):
                yield case, partial(_field, case, guide, seed, spread, noise, settings)


def _field(
    case: str, guide: str, seed: int, spread: float, noise: float, settings: Settings
) -> Row:
    """Train on one field of the map, and measure."""
    count = settings["data"]["n"]
    data = settings["data"] | {"n": count + HELD_OUT}
    truth = synthetic.sines(noise=0.0, seed=seed, offset_spread=spread, **data)
    signal = tasks.noisy(truth.signal.values, noise, seed)
    name = "normal" if guide == "default" else guide
    trained = train(name, signal[:count], seed, _fitting(settings, guide, spread))
    truth = truth.isel(sample=slice(count))
    row = Row("figure3", case, seed, trained.seconds)
    filtered = tasks.filtered_offsets(truth, signal[:count], np.sin, spread)
    tasks.add_sines(row, trained.found, truth, filtered, -math.inf)
    row.add(SLOPE, _slope(trained.found, truth))
    held_out = trained.find(signal[count:]).extras
    if "elbo" in held_out:  # pyroVED tells none
        row.add(BOUND, held_out["elbo"])
    return row


def _fitting(settings: Settings, guide: str, spread: float) -> Settings:
    """Settings with the guide's own prior and number of epochs."""
    epochs = settings["fit"]["epochs"] * EPOCHS.get(guide, 1)
    settings = merged(settings, {"fit": {"epochs": epochs}})
    if guide == "default":
        return merged(settings, {"guides": {"normal": {"offset_scale": DEFAULT_SCALE}}})
    return tasks.with_prior(settings, guide, spread)


def _slope(found: Found, truth: xr.Dataset) -> float:
    """Slope of found on true offsets, each found one moved by periods to its truth's."""
    spacing = float(truth.x[1] - truth.x[0])
    offset, period = truth.offset.values, 2 * math.pi * truth.width.values
    error = error_modulo_period(found.offset[:, 0] * spacing, offset, period)
    return slope(offset + error, offset)


def summary(rows: Sequence[Row], run: Run) -> None:
    """Print and draw the maps, the worst of the seeds."""
    settings = run.settings(tasks.SINES)
    for name, file in ((R2, "r2"), (SLOPE, "slope")):
        maps = xr.Dataset({guide: _map(rows, guide, name, settings) for guide in (*GUIDES, CHOSEN)})
        if name == R2:
            maps["matched filter"] = _map(rows, GUIDES[0], "filter R2", settings)
        for guide, values in maps.items():
            if values.notnull().any():
                print(f"{guide}: {name}, the worst of the seeds")
                print(values.to_pandas().round(3).to_string())
        known = [str(guide) for guide, values in maps.items() if values.notnull().any()]
        plot.heat_maps(maps, known, limits=(0, 1)).savefig(run.out / f"figure3_{file}.png", dpi=100)


def _map(rows: Sequence[Row], guide: str, name: str, settings: Settings) -> xr.DataArray:
    """A figure over spread and noise, the worst of the seeds; NaN where there is none."""
    spreads, noises = settings["spreads"], settings["noises"]
    values = [
        [worst(_by_seed(rows, guide, tasks.sines_label(spread, noise), name).values())
         for noise in noises]
        for spread in spreads
    ]  # fmt: skip
    return xr.DataArray(values, {"spread": list(spreads), "noise": list(noises)})


def _by_seed(rows: Sequence[Row], guide: str, field: str, name: str) -> dict[int, float]:
    """A figure of one field by seed; of the guide that the bound chooses, if it is to choose."""
    if guide != CHOSEN:
        return figures(rows, f"{guide}, {field}", name)
    bounds = [figures(rows, f"{candidate}, {field}", BOUND) for candidate in CANDIDATES]
    best = {
        seed: max(zip(CANDIDATES, bounds, strict=True), key=lambda pair: pair[1][seed])[0]
        for seed in set.intersection(*map(set, bounds))
    }
    return {
        seed: figures(rows, f"{candidate}, {field}", name)[seed] for seed, candidate in best.items()
    }
