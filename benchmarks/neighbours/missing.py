"""Fields of known length, of whose windows a quarter is missing: what is said of them there?"""

from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.common.metrics import Array
from pyroshift import Patches, ShiftVAE, smooth_field
from pyroshift.priors.matern import matern

FRAMES, SIDE, WINDOW = 20, 14, 12  # fields, windows along each side of one, pixels
LENGTHS = (3.0, 6.0)  # windows
SMOOTH = 0.8  # share of the variance
TIMES = 3  # as many windows as a single field of 32 x 32 has, about
DRAWS = 400
REACH = 1.6449  # standard deviations to either side that hold 90% of a Normal


@dataclass(frozen=True)
class Scene:
    """Windows of many fields, and what is true.

    Args:
        patches: windows of three quarters of each.
        smooth: the fields, `frame x row x column`.
        content: of windows, which have something of their own besides, likewise.
        length: over which fields stay alike, windows.
        there: where windows are, `row x column`.
    """

    patches: Patches
    smooth: Array
    content: Array
    length: float
    there: Array


def scene(length: float, noise: float, seed: int) -> Scene:
    """Two spots, one of which is as bright as the content says, shifted, in Normal noise."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(_correlation(length) + 1e-9 * np.eye(SIDE**2))
    smooth = rng.standard_normal((FRAMES, SIDE**2)) @ root.T
    content = smooth + np.sqrt(1 - SMOOTH) * rng.standard_normal(smooth.shape)
    axis = np.arange(WINDOW) - (WINDOW - 1) / 2
    offset = rng.uniform(-1.5, 1.5, (content.size, 2))
    y, x = axis[:, None] - offset[:, 0, None, None], axis - offset[:, 1, None, None]
    spot = np.exp(-((y - 2.5) ** 2 + (x - 2.5) ** 2) / 3)
    windows = np.exp(-(y**2 + x**2) / 4) + 0.3 * content.reshape(-1, 1, 1) * spot
    windows = (windows + noise * rng.standard_normal(windows.shape)).astype(np.float32)
    rows = np.arange(SIDE)
    there = ~((rows[:, None] < SIDE // 2) & (rows < SIDE // 2))
    shape = (FRAMES, SIDE, SIDE)
    steps = {name: np.arange(SIDE, dtype=float) for name in ("y", "x")}
    patches = Patches.from_array(
        windows.reshape(*shape, WINDOW, WINDOW), 2, ("frame", "y", "x", "down", "across"),
        {"frame": np.arange(FRAMES), **steps},
    )  # fmt: skip
    kept = torch.from_numpy(np.broadcast_to(there, shape).reshape(-1).copy())
    return Scene(patches.subset(kept), smooth.reshape(shape), content.reshape(shape), length, there)


def coverage(seen: Scene, model: ShiftVAE) -> dict[str, float]:
    """Errors in the quarter, and how often bands of 90% hold the truth, with the error of that.

    The field is put on the content's scale by linear regression over all windows.
    """
    found = smooth_field(model, seen.patches, draws=DRAWS)
    field, width = (found[name].values[..., 0] for name in ("field", "field_std"))
    slope, start = np.polyfit(field[:, seen.there].ravel(), seen.smooth[:, seen.there].ravel(), 1)
    error = start + slope * field - seen.smooth
    held = np.abs(error) < REACH * abs(slope) * width
    quarter = ~seen.there
    draws = start + slope * found.draws.values[..., 0][..., quarter].mean(-1)
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    means = seen.smooth[:, quarter].mean(-1)
    by_field = held[:, quarter].mean(-1)
    return {
        "quarter covered": float(by_field.mean()),
        "error of that": float(by_field.std(ddof=1) / np.sqrt(FRAMES)),
        "windows covered": float(held[:, seen.there].mean()),
        "means covered": float(((low < means) & (means < high)).mean()),
        "error in the quarter": float(np.sqrt(np.square(error[:, quarter]).mean())),
        **_exact(seen),
        "slope": float(abs(slope)),
    }


def _correlation(length: float) -> Array:
    """Of the smooth part."""
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), -1)
    places = grid.reshape(-1, 2)
    distance = np.linalg.norm(places[:, None] - places, axis=-1) / length
    return np.asarray(SMOOTH * matern(torch.from_numpy(distance), 1.5).numpy())


def _exact(seen: Scene) -> dict[str, float]:
    """Of the posterior, were the content of all windows known exactly, and length and share."""
    smooth, there = _correlation(seen.length), seen.there.ravel()
    both = smooth[there][:, there] + (1 - SMOOTH) * np.eye(there.sum())
    gain = np.linalg.solve(both, smooth[there][:, ~there]).T
    variance = np.diagonal(smooth[~there][:, ~there] - gain @ smooth[there][:, ~there])
    content, truth = (each.reshape(FRAMES, -1) for each in (seen.content, seen.smooth))
    error = content[:, there] @ gain.T - truth[:, ~there]
    return {
        "covered by the exact posterior": float((np.abs(error) < REACH * np.sqrt(variance)).mean()),
        "its error in the quarter": float(np.sqrt(np.square(error).mean())),
    }
