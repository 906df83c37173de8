"""Simulated piezoresponse: what amplitude and phase are where polarizations meet."""

import numpy as np
import pytest

from pyroshift import synthetic
from pyroshift.errors import DataError


def test_amplitudes_vanish_and_phases_flip_at_walls():
    truth = synthetic.domains((96, 90), share=0.4, offset=25.0, noise=0.02)
    amplitude, phase = truth.image.values
    assert truth.image.channel_units.values.tolist() == ["pm", "deg"]
    inside, wall = (np.abs(truth.response.values) > 0.95), (np.abs(truth.response.values) < 0.1)
    assert wall.any()
    assert np.median(amplitude[inside]) == pytest.approx(100, rel=0.02)
    assert np.median(amplitude[wall]) < 15
    up = truth.polarization.values > 0
    assert up.mean() == pytest.approx(0.4, abs=0.001)
    for sign, expected in ((up, 25.0), (~up, -155.0)):
        chosen = phase[inside & sign]
        assert np.median(chosen) == pytest.approx(expected, abs=0.3)
        assert chosen.std() == pytest.approx(np.rad2deg(0.02), rel=0.1)


def test_domains_of_a_movie_grow():
    shares = (0.0, 0.2, 0.5, 1.0)
    movie = synthetic.domains((50, 60), share=shares, noise=0.0)
    assert dict(movie.image.sizes) == {"frame": 4, "channel": 2, "y": 50, "x": 60}
    np.testing.assert_allclose((movie.polarization > 0).mean(("y", "x")), shares, atol=0.001)
    assert (movie.polarization.diff("frame") >= 0).all()
    one = synthetic.domains((50, 60), share=0.2, noise=0.0)
    np.testing.assert_array_equal(one.polarization, movie.polarization[1])


@pytest.mark.parametrize(
    "options",
    [{"share": 1.2}, {"share": []}, {"size": -1}, {"noise": np.nan}, {"pixel": 0},
     {"shape": (1, 5)}, {"wall_width": "a"}],
)  # fmt: skip
def test_what_cannot_be_simulated_is_told(options):
    with pytest.raises(DataError):
        synthetic.domains(**options)
