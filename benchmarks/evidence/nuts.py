"""How far guides are from chains of NUTS, window by window."""

import numpy as np
import torch
import xarray as xr

import pyroshift as ps

APART = 1.1  # R-hat beyond which chains are in different modes
BEYOND = 3.0  # standard deviations beyond which the guide's location is elsewhere


def against_chains(name: str, model: ps.PoseVAE, held_out: ps.Patches, windows: int) -> None:
    """Print the guide's errors on some windows.

    Args:
        name: of the guide.
        model: a trained model.
        held_out: windows that it wasn't trained on.
        windows: how many of the first are taken.
    """
    taken = held_out.subset(torch.arange(windows))
    tree = ps.sample(model, taken, draws=150, warmup=100, progress=False)
    found, inside = tree["diagnostics"].to_dataset(), _within_prior(model, taken)
    apart, elsewhere = np.zeros(windows, bool), np.zeros(windows, bool)
    for site in model.given_sites:
        error = np.abs(_by_window(found[f"{site.name}_guide_error"]))[inside]
        width = _by_window(found[f"{site.name}_guide_width"])[inside]
        apart |= (_by_window(found[f"{site.name}_r_hat"]) > APART).any(1)
        elsewhere[inside] |= (error > BEYOND).any(1)
        print(
            f"{name} {site.name}: error {np.median(error):.2f} (nine in ten within "
            f"{np.quantile(error, 0.9):.2f}), width {np.median(width):.2f} ("
            f"{np.quantile(width, 0.1):.2f} to {np.quantile(width, 0.9):.2f}), effective draws "
            f"{np.median(_by_window(found[f'{site.name}_ess'])):.0f}"
        )
    stats = tree["sample_stats"]
    print(
        f"{name}: {(~inside).sum()} of {windows} windows where the guide is beyond the prior's "
        f"ends are left out; of the others, chains are in different modes in "
        f"{(apart & inside).sum()}, and the guide is elsewhere in {(elsewhere & ~apart).sum()}; "
        f"{100 * float(stats.diverging.mean()):.1f}% of the steps diverged"
    )


def _within_prior(model: ps.PoseVAE, patches: ps.Patches) -> np.ndarray:
    """Where the guide's offset is possible by the prior as specified, whose ends its bins cross."""
    pixels = _by_window(ps.encode(model, patches).offset)
    offset = torch.from_numpy(pixels / (max(model.window) / 2))
    site = next(site for site in model.given_sites if site.name == "offset")
    return site.prior.support.check(offset).numpy()


def _by_window(values: xr.DataArray) -> np.ndarray:
    """`window x element`."""
    flat = values.values.reshape(values.sizes["sample"], -1)
    return flat[~np.isnan(flat).any(1)]  # places of the others are empty
