"""What an untrained decoder starts from."""

import numpy as np
import pyro.distributions as dist
import pytest
import torch

from pyroshift import (
    AnchorGuide,
    CanvasDecoder,
    Patches,
    ShiftVAE,
    encode,
    extract_patches,
    fit,
    synthetic,
)
from pyroshift.guides.template import salience, stands_alone, sum_about


@pytest.mark.parametrize("sign", [1, -1], ids=["bright", "dark"])
def test_the_most_salient_point_is_in_the_middle(sign):
    x = torch.zeros(3, 12, 10)
    for patch, at in zip(x, [(2, 3), (9, 7), (5, 0)], strict=True):
        patch[at] = sign
    mean = sum_about(x, salience(x.unsqueeze(1)), (31, 31)) / 3
    assert mean[15, 15] == sign
    assert mean.abs().sum() == 1


@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0])
def test_isolated_motifs_stand_alone_and_those_of_lattices_do_not(noise):
    glyphs = synthetic.motifs(1000, 24, np.pi, 5, noise=noise / 2).patch.values
    # Where none is turned, the mean glyph has all of its parts.
    upright = synthetic.motifs(1000, 24, 0, 5, noise=noise / 2).patch.values
    lattice = synthetic.lattice(n=1000, window=24, period=9.0, noise=noise).patch.values
    image = synthetic.micrograph((200, 200), "honeycomb", 11.0, 1.8, noise=noise, seed=3).image
    honeycomb = extract_patches(image, 40, 5).gather()
    alone, repeated = (glyphs, upright), (lattice, honeycomb)
    for patches, expected in [(x, True) for x in alone] + [(x, False) for x in repeated]:
        x = torch.as_tensor(patches)
        x = ((x - x.mean()) / x.std()).unsqueeze(1)
        assert stands_alone(salience(x)) is expected


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_motif_that_may_be_anywhere_gets_one_copy(seed):
    # From a flat canvas 2 of these 3 seeds end with two copies, and a quarter to a half of the
    # offsets off by the distance between them.
    truth = synthetic.peaks(2000, offset_spread=9.0, widths=(0.6, 1.4), noise=0.1, seed=seed)
    patches = Patches.from_array(truth.signal.values)
    model = ShiftVAE(
        (100,), guide="anchor", seed=seed, priors={"offset": dist.Uniform(-0.95, 0.95)}
    )
    fit(model, patches, epochs=6, seed=seed, schedule=None, progress=False)
    found = encode(model, patches).offset.values[:, 0]
    spacing = float(truth.x[1] - truth.x[0])
    error = found - truth.offset.values / spacing
    assert np.mean(np.abs(error - np.median(error)) < 10) > 0.98


def test_a_decoder_that_knows_something_is_not_overwritten():
    decoder = CanvasDecoder((12, 12), 1)
    with torch.no_grad():
        decoder.layers[-1].bias.fill_(0.3)
    model = ShiftVAE(12, 1, decoder=decoder, guide=AnchorGuide())
    model.guide_module.start(model, torch.rand(5, 12, 12))
    assert bool((decoder.layers[-1].bias == 0.3).all())


def test_training_that_goes_on_does_not_start_again():
    patches = Patches.from_array(synthetic.motifs(60, 16, 0, 2).patch.values)
    model = ShiftVAE(16, 1)
    fit(model, patches, epochs=1, progress=False)
    with torch.no_grad():
        model.decoder.layers[-1].bias.zero_()
    fit(model, patches, epochs=1, learning_rate=1e-9, progress=False)
    assert float(model.decoder.layers[-1].bias.detach().abs().max()) < 1e-6
