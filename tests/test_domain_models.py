"""What an rVAE learns of domains from amplitude and phase, against the truth of simulated ones."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, uniform_filter
from scipy.stats import rankdata, spearmanr

from pyroshift import RVAE, encode, extract_patches, fit, synthetic

LIKELIHOOD = {"amplitude": "gaussian", "phase": "von_mises"}
PIXEL = 10.0  # nm


def learnt(truth, window, step, epochs, **options):
    """Maps by an rVAE of windows of amplitude and phase; where they are, in pixels."""
    patches = extract_patches(truth.image, window, step=step, normalize=None)
    rate = options.pop("learning_rate", 2e-3)
    model = RVAE(patches.window, likelihood=LIKELIHOOD, **options)
    fit(model, patches, epochs=epochs, batch_size=16, learning_rate=rate, progress=False)
    maps = encode(model, patches)
    # Windows of even sides have their centres between pixels; half a pixel decides nothing.
    return maps, np.ix_(*(np.floor(maps[dim].values / PIXEL + 0.01).astype(int) for dim in "yx"))


def under_curve(score, positive):
    """Area under the curve of hits against false alarms: how often a score ranks pairs rightly."""
    count = positive.sum()
    ranks = rankdata(score)[positive].sum() - count * (count + 1) / 2
    return ranks / (count * (~positive).sum())


@pytest.fixture(scope="module")
def small():
    """Small windows: the truth, the maps and the windows' signed distance from a wall, pixels."""
    truth = synthetic.domains((64, 64), size=7.0, seed=0)
    maps, places = learnt(truth, 9, 3, epochs=8, latent_dim=1)
    up = truth.polarization.values > 0
    return truth, maps, (distance_transform_edt(up) - distance_transform_edt(~up))[places]


def test_one_latent_says_how_far_windows_are_from_a_wall_and_on_which_side(small):
    _, maps, distance = small
    assert not maps.collapsed.any()
    # Seen: 0.991; of six seeds with half as many epochs more, 0.96 to 0.99.
    assert abs(spearmanr(maps.z.values.ravel(), distance.ravel()).statistic) > 0.9


def test_angles_are_known_at_walls_only(small):
    """As windows without a wall look the same at all angles."""
    _, maps, distance = small
    near = np.abs(distance) < 4.5
    assert 0.2 < near.mean() < 0.8
    # Seen: 0.986; of these six, 0.994 to 0.999.
    assert under_curve(-maps.angle_std.values.ravel(), near.ravel()) > 0.95


def test_angles_at_walls_are_those_of_the_polarization(small):
    """But for a constant, as which angle a motif has of its own is for the training to choose."""
    truth, maps, distance = small
    slope = truth.response.interp(y=maps.y, x=maps.x, assume_sorted=True)
    rows, columns = (slope.differentiate(dim).values for dim in "yx")
    across = np.arctan2(-rows, columns)  # counter-clockwise as displayed
    error = np.exp(1j * (maps.angle.values - across))[np.abs(distance) < 3]
    # Seen: 0.95.
    assert np.abs(error.mean()) > 0.9


def test_large_windows_tell_how_much_has_switched():
    truth = synthetic.domains((72, 72), size=4.0, seed=0)
    maps, places = learnt(truth, 16, 4, epochs=40, latent_dim=2, guide="normal", learning_rate=4e-3)
    share = uniform_filter((truth.polarization.values > 0) * 1.0, 16)[places].ravel()
    z = maps.z.transpose("y", "x", "latent").values.reshape(-1, 2)
    design = np.column_stack([z, np.ones(len(z))])
    left = share - design @ np.linalg.lstsq(design, share)[0]
    # Seen: 0.89 to 0.94 for five seeds.
    assert 1 - left.var() / share.var() > 0.7
