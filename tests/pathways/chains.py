"""Sequences of classes with known rates, as classify would give them, without any image."""

import numpy as np
import xarray as xr

RATES = np.array([[0.95, 0.05], [0.1, 0.9]])


def chains(rng, tracks=36, frames=40, rates=RATES):
    """States, `frame x track`."""
    state = rng.integers(len(rates), size=(1, tracks))
    for _ in range(frames - 1):
        passed = rng.random((tracks, 1)) > np.cumsum(rates[state[-1]], 1)
        state = np.vstack([state, passed.sum(1)])
    return state


def classified(state, rng=None, errors=0.0, missing=0.0):
    """Classes of these states, of which some are wrong, and some frames are missing."""
    rng = rng or np.random.default_rng(0)
    classes = state.max() + 1
    wrong = rng.random(state.shape) < errors
    seen = np.where(wrong, (state + 1) % classes, state)
    kept = rng.random(state.shape) >= missing
    frame, track = np.indices(state.shape)
    return xr.Dataset(
        {
            "class_index": ("atom", seen[kept]),
            "class_probability": (("atom", "class"), np.eye(classes)[seen[kept]]),
        },
        {"frame": ("atom", frame[kept]), "track": ("atom", track[kept])},
    )
