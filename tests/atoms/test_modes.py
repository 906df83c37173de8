"""Modes of displacement: patterns and scores that are known, missing atoms, errors."""

import numpy as np
import pytest
import xarray as xr

from pyroshift import displacement_modes, fit_lattice
from pyroshift.errors import DataError

SIDE, FRAMES = 10, 6
ROWS, COLUMNS = np.indices((SIDE, SIDE)).reshape(2, -1) * 10.0
# Two patterns at right angles, without an affine part, which a lattice fitted to a frame takes off.
PATTERNS = np.stack(
    [
        np.stack([np.sin(2 * np.pi * COLUMNS / 50), np.zeros(SIDE**2)], 1),
        np.stack([np.zeros(SIDE**2), np.cos(2 * np.pi * ROWS / 50)], 1),
    ]
)
DESIGN = np.stack([np.ones(SIDE**2), ROWS, COLUMNS], 1)
PATTERNS -= DESIGN @ np.linalg.pinv(DESIGN) @ PATTERNS
PATTERNS /= np.sqrt((PATTERNS**2).sum(-1).mean(-1))[:, None, None]
SCORES = np.array([[1.5, -1.0, 0.5, 0.0, -0.5, -0.5], [0.2, 0.2, -0.6, 0.6, -0.2, -0.2]])


def movie(missing=0.0, noise=0.0, unit="px", seed=0):
    rng = np.random.default_rng(seed)
    site = np.stack([ROWS, COLUMNS], 1)
    positions = site + np.einsum("mf,msa->fsa", SCORES, PATTERNS)
    positions = positions + rng.normal(0, noise, positions.shape) if noise else positions
    kept = rng.random(positions.shape[:2]) >= missing
    frame, track = np.nonzero(kept)
    attrs = {"units": unit, "pixel_size": 1.0}
    return xr.Dataset(
        coords={
            "y": ("atom", positions[kept][:, 0], attrs),
            "x": ("atom", positions[kept][:, 1], attrs),
            "frame": ("atom", frame),
            "track": ("atom", track),
        }
    )


def likeness(found, truth):
    """Cosine between a pattern found and the true one, at the sites found, whatever its sign."""
    place = np.round(np.stack([found.y, found.x], 1) / 10).astype(int) @ [SIDE, 1]
    true = truth[place].ravel()
    return abs(found.values.ravel() @ true) / np.linalg.norm(found) / np.linalg.norm(true)


@pytest.mark.parametrize("by", ["lattice", "track"])
@pytest.mark.parametrize(("missing", "noise", "least"), [(0, 0, 0.99), (0.1, 0.05, 0.97)])
def test_patterns_and_scores_are_found(by, missing, noise, least):
    found = displacement_modes(fit_lattice(movie(missing, noise)), modes=2, by=by)
    for mode in range(2):
        assert likeness(found.pattern[mode], PATTERNS[mode]) > least
        correlation = np.corrcoef(found.score[mode], SCORES[mode])[0, 1]
        assert abs(correlation) > least
    # In the atoms' unit: the root mean square displacement.
    size = np.sqrt((found.score**2).mean("frame"))
    np.testing.assert_allclose(size, np.sqrt((SCORES**2).mean(1)), rtol=0.1)
    np.testing.assert_allclose((found.pattern**2).sum("axis").mean("site"), 1)
    assert found.explained.sum() > (0.999 if noise == 0 else 0.95)
    assert found.explained[0] > found.explained[1]


def test_modes_are_those_of_the_change():
    displaced = fit_lattice(movie())
    frozen = displaced.copy()
    pattern = np.stack([np.sin(COLUMNS), np.cos(ROWS)], 1)
    frozen["displacement"] = displaced.displacement + np.tile(pattern, (FRAMES, 1))
    before, after = (displacement_modes(each, modes=2) for each in (displaced, frozen))
    np.testing.assert_allclose(after.score, before.score, atol=1e-9)
    order = np.lexsort([np.round(after.x), np.round(after.y)])
    difference = (after["mean"] - before["mean"])[order]
    np.testing.assert_allclose(difference, pattern, atol=1e-9)


def test_missing_atoms_count_for_nothing_where_the_modes_are_known():
    whole = displacement_modes(fit_lattice(movie()), modes=2)
    displaced = fit_lattice(movie())
    holes = np.random.default_rng(3).random(displaced.sizes["atom"]) < 0.1
    # The same displacements, some of them unknown.
    displaced["displacement"] = displaced.displacement.where(~xr.DataArray(holes, dims="atom"))
    found = displacement_modes(displaced, modes=2, seen=0.6)
    np.testing.assert_allclose(np.abs(found.score), np.abs(whole.score), atol=0.02)


def test_sites_seldom_seen_are_left_out():
    displaced = fit_lattice(movie())
    seldom = (displaced.track == 17) & (displaced.frame > 1)
    found = displacement_modes(displaced.isel(atom=np.flatnonzero(~seldom)))
    assert found.sizes["site"] == SIDE**2 - 1
    assert found.sizes["mode"] == 3


def test_labels_units_and_files(tmp_path):
    found = displacement_modes(fit_lattice(movie(unit="nm")), modes=2)
    assert found.score.units == found["mean"].units == found.y.units == "nm"
    assert found.frame.values.tolist() == list(range(FRAMES))
    found.to_netcdf(tmp_path / "modes.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "modes.nc", engine="h5netcdf"), found)


def test_errors():
    displaced = fit_lattice(movie())
    with pytest.raises(DataError, match="6 frames vary in at most 5 modes"):
        displacement_modes(displaced, modes=6)
    with pytest.raises(DataError, match="1 frames vary in at most 0 modes"):
        displacement_modes(displaced.isel(atom=displaced.frame.values == 0))
    with pytest.raises(DataError, match="modes=0"):
        displacement_modes(displaced, modes=0)
    with pytest.raises(DataError, match="by='atom'"):
        displacement_modes(displaced, by="atom")
    with pytest.raises(DataError, match="link_atoms"):
        displacement_modes(displaced.drop_vars("track"), by="track")
    with pytest.raises(DataError, match="pass what fit_lattice returns"):
        displacement_modes(movie())
    with pytest.raises(DataError, match="coordinate `frame`"):
        displacement_modes(displaced.drop_vars("frame"))
    with pytest.raises(DataError, match="no atom has a displacement"):
        displacement_modes(displaced.assign(displacement=displaced.displacement * np.nan))
    lost = displaced.assign_coords(track=("atom", np.full(displaced.sizes["atom"], -1)))
    with pytest.raises(DataError, match="0 sites have an atom in 80% of the frames"):
        displacement_modes(lost, by="track")
