"""A bridge is a pair like any other, but reads its latents off a source."""

import warnings

import numpy as np
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from pyro import poutine
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import Adam

from pyroshift import (
    Batch,
    Bridge,
    Patches,
    decode,
    encode,
    extract_patches,
    fit,
    load,
    pair_patches,
    predict,
    save,
    synthetic,
)
from pyroshift.bridge.turns import TurnedEncoder
from pyroshift.errors import DataError, LatentWarning, SpecificationError
from pyroshift.model.encoders import FullyConnectedEncoder
from pyroshift.model.sites import Angle, Content
from pyroshift.training.elbo import PatchELBO

RNG = np.random.default_rng(0)
SIDES = {
    "windows to spectra": ((5, 5), (12,)),
    "spectra to windows": ((12,), (5, 6)),
    "spectra to spectra": ((12,), (9,)),
    "windows to windows": ((5, 6), (5, 5)),
}
LIKELIHOODS = ["gaussian", "student_t", "heteroscedastic", "poisson", "negative_binomial"]
sides = pytest.mark.parametrize(("source", "target"), SIDES.values(), ids=SIDES)


def patches(window, count=20):
    return Patches.from_array(RNG.integers(1, 9, (count, *window)).astype(float), len(window))


def paired(source, target, count=20):
    return pair_patches(patches(source, count), patches(target, count))


def batch(pairs):
    return Batch(pairs.gather(), dict(pairs.known))


def trained(source=(5, 5), target=(12,), epochs=2, **options):
    pairs, bridge = paired(source, target), Bridge(source, target, **options)
    fit(bridge, pairs, epochs=epochs, batch_size=8, progress=False)
    return bridge, pairs


@pytest.fixture(autouse=True)
def collapsing():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatentWarning)
        yield


# The pair


@sides
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_parameter_gets_a_gradient(source, target, likelihood):
    pairs, bridge = paired(source, target), Bridge(source, target, 2, likelihood)
    bridge.likelihood.prepare(**pairs.statistics())
    PatchELBO().terms(bridge.sample_model, bridge.sample_guide, batch(pairs)).loss.backward()
    for name, parameter in bridge.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@sides
def test_sites_are_those_of_pyro(source, target):
    pairs, bridge = paired(source, target), Bridge(source, target, latent_dim=3)
    model = poutine.trace(bridge.model).get_trace(batch(pairs))
    guide = poutine.trace(bridge.guide).get_trace(batch(pairs))
    assert set(model.stochastic_nodes) - {"patches"} == {"z"}
    assert model.observation_nodes == ["x"]
    assert guide.nodes["z"]["value"].shape == (20, 3)
    latents = {"z": torch.zeros(20, 3)}
    conditioned = poutine.condition(bridge.model, latents)
    assert poutine.trace(conditioned).get_trace(batch(pairs)).nodes["z"]["value"].sum() == 0
    drawn = Predictive(bridge.model, guide=bridge.guide, num_samples=4)(batch(pairs), observe=False)
    assert drawn["x"].shape == (4, 20, *target)
    assert bridge.model(n=5).shape == (5, *target)


def test_the_guide_never_sees_the_target():
    pairs, bridge = paired((5, 5), (12,)), Bridge((5, 5), (12,)).eval()
    known = dict(pairs.known)
    seen, absent = pairs.gather(), torch.full((20, 12), torch.nan)
    both = [bridge.guide_module.summary(bridge, Batch(x, known)) for x in (seen, absent)]
    for name in both[0]:
        torch.testing.assert_close(both[0][name], both[1][name])
    torch.testing.assert_close(bridge.read(known)["z"].mean, both[0]["z"])


def test_it_trains_by_pyros_own_svi():
    pairs, bridge = paired((5, 5), (12,)), Bridge((5, 5), (12,))
    bridge.likelihood.prepare(**pairs.statistics())
    svi = SVI(bridge.model, bridge.guide, Adam({"lr": 5e-3}), Trace_ELBO(num_particles=4))
    losses = [svi.step(batch(pairs)) for _ in range(60)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_all_of_fit_does_for_it(tmp_path):
    pairs = paired((5, 5), (12,))
    whole, stopped, resumed = (Bridge((5, 5), (12,), seed=3) for _ in range(3))
    annealed = {"z": lambda epoch: min(0.5 + epoch / 4, 1.0)}
    options = {"batch_size": 8, "seed": 1, "progress": False, "schedule": None, "kl": annealed,
               "validation_fraction": 0.2}  # fmt: skip
    path = tmp_path / "run.ckpt"
    history = fit(whole, pairs, epochs=3, **options)
    assert history["kl_scale"].sel(site="z").values.tolist() == pytest.approx([0.5, 0.75, 1.0])
    assert np.isfinite(history["validation_loss"]).all()
    fit(stopped, pairs, epochs=1, checkpoint=path, **options)
    fit(resumed, pairs, epochs=3, checkpoint=path, **options)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_ctrl_c_keeps_it():
    pairs, bridge = paired((5, 5), (12,)), Bridge((5, 5), (12,))

    def interrupt(model, record):
        raise KeyboardInterrupt

    history = fit(bridge, pairs, epochs=5, callbacks=[interrupt], progress=False)
    assert history.attrs["stopped"] == "interrupted"
    assert np.isfinite(predict(bridge, pairs, draws=20)["mean"]).all()


@sides
def test_saved_and_loaded_it_predicts_the_same(source, target, tmp_path):
    bridge, pairs = trained(source, target)
    save(bridge, tmp_path / "bridge.pt")
    loaded = load(tmp_path / "bridge.pt")
    assert repr(loaded) == repr(bridge)
    xr.testing.assert_identical(predict(loaded, pairs), predict(bridge, pairs))


def test_encode_and_decode_are_as_of_any_pair():
    bridge, pairs = trained()
    maps = encode(bridge, pairs)
    assert maps["z"].dims == ("patch", "latent")
    assert decode(bridge, maps).shape == (20, 12)


def test_the_same_seed_gives_the_same_and_moves_nothing(untouched):
    with untouched():
        first, again, other = (Bridge((5, 5), (12,), seed=seed) for seed in (5, 5, 6))
    states = [bridge.state_dict() for bridge in (first, again, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_missing_pixels_of_source_and_target_are_left_out():
    source, target = (RNG.random((20, *shape)) for shape in ((5, 5), (12,)))
    source[:, 2, 2] = target[::2, 3] = np.nan
    pairs = pair_patches(Patches.from_array(source), target)
    bridge = Bridge((5, 5), (12,))
    history = fit(bridge, pairs, epochs=2, progress=False)
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(predict(bridge, pairs, draws=20)["upper"]).all()


def test_covariates_and_channels_on_either_side():
    image = xr.DataArray(
        RNG.random((2, 20, 30)), {"channel": ["height", "current"]}, ("channel", "y", "x")
    )
    windows = extract_patches(image, 5, 3, normalize=None)
    spectra = xr.DataArray(
        RNG.random((len(windows), 2, 12)), dims=("atom", "channel", "energy"),
        coords={"channel": ["real", "imaginary"]},
    )  # fmt: skip
    flat = Patches.from_array(windows.gather(), 2, ("atom", "channel", "y", "x"))
    flat = flat.assign(dose=RNG.random(len(windows)))
    bridge = Bridge(flat, spectra, condition="dose")
    fit(bridge, pair_patches(flat, spectra), epochs=1, progress=False)
    found = predict(bridge, flat, draws=20)["mean"]
    assert found.dims == ("atom", "channel", "energy")
    assert found["channel"].values.tolist() == ["real", "imaginary"]
    with pytest.raises(DataError, match="dose"):
        predict(bridge, Patches.from_array(flat.gather(), 2, ("atom", "channel", "y", "x")))


# Turns


@pytest.mark.parametrize("channels", [None, 2])
def test_a_quarter_turn_of_the_source_changes_nothing(channels):
    encoder = TurnedEncoder(FullyConnectedEncoder((9, 9), window_channels=channels), (9, 9)).eval()
    x = torch.rand(3, *([channels] if channels else []), 9, 9)
    torch.testing.assert_close(encoder(x), encoder(x.rot90(1, (-2, -1))), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoder.turned(x, torch.zeros(3)), x * encoder.disc)


def test_it_turns_counter_clockwise_as_displayed():
    encoder = TurnedEncoder(FullyConnectedEncoder((9, 9)), (9, 9))
    x = torch.zeros(1, 9, 9)
    x[0, 4, 7] = 1.0  # to the right of the centre
    turned = encoder.turned(x, torch.tensor([torch.pi / 2]))
    assert turned[0, 1, 4] == pytest.approx(1.0, abs=1e-5)  # above it


def test_in_training_windows_are_turned_at_random():
    encoder, x = TurnedEncoder(FullyConnectedEncoder((9, 9)), (9, 9)), torch.rand(3, 9, 9)
    assert not torch.equal(encoder(x), encoder(x))
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))


def test_turns_are_of_square_windows_unless_told():
    assert isinstance(Bridge((5, 5), (12,)).encoder, TurnedEncoder)
    assert not isinstance(Bridge((5, 5), (12,), turns=1).encoder, TurnedEncoder)
    assert not isinstance(Bridge((5, 6), (12,)).encoder, TurnedEncoder)
    assert not isinstance(Bridge((12,), (5, 5)).encoder, TurnedEncoder)
    for source, turns in (((5, 6), 4), ((12,), 4), ((5, 5), 0), ((5, 5), 2.5)):
        with pytest.raises(SpecificationError, match="turns"):
            Bridge(source, (12,), turns=turns)


# What can't work


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"likelihood": "von_mises"}, "cosine"),
        ({"likelihood": "nonsense"}, "likelihood"),
        ({"encoder": "nonsense"}, "encoder"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"priors": {"angle": dist.Normal(0.0, 1.0)}}, "'z'"),
        ({"priors": {"z": Angle()}}, "Content"),
    ],
)
def test_what_does_not_fit_is_told(options, told):
    with pytest.raises(SpecificationError, match=told):
        Bridge((5, 5), (12,), **options)


def test_other_priors_of_z_are_taken():
    assert Bridge((5, 5), (12,), priors={"z": Content(3)}).latent_dim == 3
    prior = dist.Laplace(torch.zeros(2), 1.0)
    assert isinstance(Bridge((5, 5), (12,), 2, priors={"z": prior}).priors()["z"], dist.Independent)


def test_data_without_a_source_are_refused():
    bridge, pairs = trained()
    with pytest.raises(DataError, match="pair_patches"):
        bridge.guide(pairs.gather())
    with pytest.raises(DataError, match="pair_patches"):
        fit(Bridge((5, 5), (12,)), patches((12,)), epochs=1, progress=False)
    with pytest.raises(DataError, match=r"\(5, 5\).*\(7, 7\)"):
        fit(Bridge((5, 5), (12,)), paired((7, 7), (12,)), epochs=1, progress=False)
    with pytest.raises(DataError, match=r"\(12,\)"):
        fit(Bridge((5, 5), (12,)), paired((5, 5), (13,)), epochs=1, progress=False)


# Predictions


def test_predictions_have_the_targets_labels():
    truth = synthetic.structure_spectra((24, 30), length=16)
    windows = extract_patches(truth["image"], 7, 4, normalize=None)
    bridge = Bridge(windows, truth["spectra"])
    pairs = pair_patches(windows, truth["spectra"])
    fit(bridge, pairs, epochs=1, progress=False)
    found = predict(bridge, windows, draws=20)
    assert set(found.data_vars) == {"mean", "lower", "upper", "std", "mean_std"}
    assert dict(found.sizes) == {"y": 5, "x": 6, "bias": 16}
    for name in ("y", "x", "bias"):
        expected = windows.coords[name] if name != "bias" else truth["bias"]
        np.testing.assert_allclose(found[name], expected)
        assert found[name].attrs["units"] == truth[name].attrs["units"]
    assert found["mean"].attrs["long_name"] == "expected dI/dV, normalized"
    assert (found["lower"] <= found["upper"]).all()
    assert (found["mean_std"] <= found["std"] * 1.5).all()
    both = predict(bridge, pairs, draws=20)
    observed = truth["spectra"].sel(y=both["y"], x=both["x"], method="nearest")
    np.testing.assert_allclose(both["observed"], observed, rtol=1e-6)
    xr.testing.assert_identical(both.drop_vars("observed"), found)


def test_an_axis_may_go_up_and_down():
    bias = np.array([0.0, 1.0, 2.0, 1.0, 0.0, -1.0, -2.0, -1.0])
    loops = xr.DataArray(RNG.random((20, 8)), {"bias": bias}, ("patch", "bias"))
    bridge = Bridge(patches((5, 5)), loops)
    fit(bridge, pair_patches(patches((5, 5)), loops), epochs=1, progress=False)
    np.testing.assert_array_equal(predict(bridge, patches((5, 5)), draws=20)["bias"], bias)


def test_images_are_predicted_beside_places_of_the_same_names():
    image = xr.DataArray(RNG.random((20, 30)), dims=("y", "x"))
    windows = extract_patches(image, 5, 3, normalize=None)
    spectra = xr.DataArray(
        RNG.random((6, 9, 12)), {name: windows.coords[name] for name in "yx"}, ("y", "x", "bias")
    )
    bridge = Bridge(spectra, windows)
    fit(bridge, pair_patches(spectra, windows), epochs=1, progress=False)
    found = predict(bridge, spectra, draws=20)
    assert found["mean"].dims == ("y", "x", "window_y", "window_x")


def test_draws_decide_the_bands_as_far_as_chance_goes():
    bridge, pairs = trained(epochs=5)
    one, two = (predict(bridge, pairs, draws=1000, seed=seed) for seed in (0, 1))
    width = one["upper"] - one["lower"]
    # The standard error of a 5% quantile of 1000 Normals is 0.07 of their spread, of the band 0.02.
    assert float(abs(one["upper"] - two["upper"]).max() / width.mean()) < 0.25
    wider = predict(bridge, pairs, credible=0.99, draws=1000)
    assert float((wider["upper"] - wider["lower"]).mean() / width.mean()) > 1.3


def test_poor_requests_are_told():
    bridge, pairs = trained()
    with pytest.raises(SpecificationError, match="Bridge"):
        predict(FullyConnectedEncoder((5, 5)), pairs)
    for options in ({"credible": 1.0}, {"draws": 3}, {"batch_size": 0}):
        with pytest.raises(DataError, match=next(iter(options))):
            predict(bridge, pairs, **options)
    with pytest.raises(DataError, match=r"\(5, 5\).*\(7, 7\)"):
        predict(bridge, patches((7, 7)))
    with pytest.raises(DataError, match=r"\(12,\).*\(13,\)"):
        predict(bridge, paired((5, 5), (13,)))
    with pytest.raises(DataError, match="isn't trained"):
        predict(Bridge((5, 5), (12,)), pairs)
    with pytest.raises(DataError, match="one spectrum"):
        predict(bridge, np.zeros(12))


def test_windows_of_another_magnification_are_told():
    def windows(step):
        coords = {name: step * np.arange(20) for name in "yx"}
        image = xr.DataArray(RNG.random((20, 20)), coords, ("y", "x"))
        for name in "yx":
            image[name].attrs["units"] = "nm"
        return extract_patches(image, 5, 5, normalize=None)

    bridge = Bridge(windows(0.1), (12,))
    fit(bridge, pair_patches(windows(0.1), RNG.random((4, 4, 12))), epochs=1, progress=False)
    with pytest.warns(UserWarning, match="pixels of 0.1 nm"):
        predict(bridge, windows(0.2), draws=20)
