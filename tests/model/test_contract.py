"""What every model does, whatever its sites, likelihood and decoder."""

import copy
import itertools

import pytest
import torch
from pyro import poutine

from pyroshift import RVAE, VAE, Angle, Content, Offset, PatchELBO, PoseVAE, ShiftVAE, load, save
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.encoders import FullyConnectedEncoder
from pyroshift.model.likelihoods import Gaussian
from pyroshift.model.pose import pixel_grid

# By name: the class, the window, the options, and the shape of one value of each site.
MODELS = {
    "VAE": (VAE, (5, 8), {"latent_dim": 3}, {"z": (3,)}),
    "VAE of signals": (VAE, (12,), {"latent_dim": 1}, {"z": (1,)}),
    "ShiftVAE": (ShiftVAE, (5, 8), {"guide": "normal"}, {"offset": (2,), "z": (2,)}),
    "ShiftVAE of signals": (ShiftVAE, (12,), {"guide": "normal"}, {"offset": (1,), "z": (2,)}),
    "RVAE": (RVAE, (7, 7), {"latent_dim": 1, "guide": "normal"}, {"angle": (), "z": (1,)}),
    "RVAE with offsets and scales": (
        RVAE,
        (6, 8),
        {"offsets": True, "scales": True, "guide": "normal"},
        {"offset": (2,), "angle": (), "scale": (), "z": (2,)},
    ),
    "ShiftVAE by anchor": (
        ShiftVAE,
        (5, 8),
        {"guide": "anchor"},
        {"pose": (), "offset": (2,), "z": (2,)},
    ),
    "ShiftVAE of signals by anchor": (
        ShiftVAE,
        (12,),
        {"guide": "anchor"},
        {"pose": (), "offset": (1,), "z": (2,)},
    ),
    "RVAE by anchor": (
        RVAE,
        (7, 7),
        {"latent_dim": 1, "guide": "anchor"},
        {"pose": (), "angle": (), "z": (1,)},
    ),
    "RVAE with offsets and scales by anchor": (
        RVAE,
        (6, 8),
        {"offsets": True, "scales": True, "guide": "anchor"},
        {"pose": (), "offset": (2,), "angle": (), "scale": (), "z": (2,)},
    ),
    "ShiftVAE of signals with brightness": (
        ShiftVAE,
        (12,),
        {"brightness": "site", "guide": "normal"},
        {"offset": (1,), "z": (2,), "brightness": (2,)},
    ),
    "RVAE with brightness by anchor": (
        RVAE,
        (6, 8),
        {"offsets": True, "guide": "anchor", "brightness": "site"},
        {"pose": (), "offset": (2,), "angle": (), "z": (2,), "brightness": (2,)},
    ),
}
LIKELIHOODS = {
    "bernoulli": lambda: "bernoulli",
    "continuous_bernoulli": lambda: "continuous_bernoulli",
    "gaussian": lambda: "gaussian",
    "fixed sigma": lambda: Gaussian(sigma=0.25),
    "poisson": lambda: "poisson",
}
CASES = list(itertools.product(MODELS, LIKELIHOODS, ("canvas", "spatial")))
AMORTISED = [case for case in CASES if "anchor" not in case[0]]
SEARCHING = [case for case in CASES if case[0] == "ShiftVAE of signals by anchor"]
SEARCHING += [(model, "gaussian", "canvas") for model in MODELS if "anchor" in model]


class Case:
    """One model of the table, to be made as often as a test wants."""

    def __init__(self, model, likelihood, decoder):
        self.kind, self.window, self.options, self.event_shapes = MODELS[model]
        self.likelihood, self.decoder = LIKELIHOODS[likelihood], decoder
        self.given = [name for name in self.event_shapes if name != "pose"]

    def make(self, seed=0, **options):
        return self.kind(
            self.window,
            likelihood=self.likelihood(),
            encoder=self._encoder(seed),
            decoder=self.decoder,
            seed=seed,
            **self.options | options,
        )

    def _encoder(self, seed):
        # Small, since it is made some thousand times.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return FullyConnectedEncoder(self.window, (16, 16))

    def data(self, batch=4):
        x = torch.rand(batch, *self.window)
        return (9 * x).round() if self.likelihood() == "poisson" else x

    def prepared(self, x, **options):
        model = self.make(**options)
        statistics = float(x.min()), float(x.max()), float(x.mean()), float(x.std())
        model.likelihood.prepare(*statistics)
        return model

    def spots(self, batch=8):
        """Bright spots near the windows' centres, which any training picks up."""
        grid = pixel_grid(self.window)
        axes = len(self.window)
        place = 0.3 * torch.randn(batch, *(1,) * axes, axes)
        width = torch.tensor([0.35, 0.2])[-axes:]
        x = 0.1 + 0.8 * torch.exp(-((grid - place) / width).square().sum(-1) / 2)
        return (9 * x).round() if self.likelihood() == "poisson" else x


@pytest.fixture(params=CASES, ids=["-".join(case) for case in CASES])
def case(request):
    return Case(*request.param)


def loss_of(model, x):
    return PatchELBO().differentiable_loss(model.sample_model, model.sample_guide, x)


def reproducible_loss(model, x):
    """The loss for fixed noise, as of a model in use: in training, a guide may move the frame."""
    training = model.training
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        loss = loss_of(model.eval(), x)
    model.train(training)
    return loss


def step(model, x):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loss_of(model, x).backward()
    optimizer.step()
    optimizer.zero_grad()


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_every_site_is_drawn_with_its_shape(case):
    x = case.data()
    model = case.prepared(x)
    traces = {
        "model": poutine.trace(model.model).get_trace(x),
        "guide": poutine.trace(model.guide).get_trace(x),
        "prior": poutine.trace(model.model).get_trace(n=4),
    }
    for which, trace in traces.items():
        for name, event_shape in case.event_shapes.items():
            assert trace.nodes[name]["value"].shape == (4, *event_shape)
            assert trace.nodes[name]["fn"].batch_shape == (4,)
        names = {name for name in trace.stochastic_nodes if name != "patches"}
        observed = set(trace.observation_nodes)
        assert observed == ({"x"} if which == "model" else set())
        assert names == set(case.event_shapes) | ({"x"} if which == "prior" else set())
    assert traces["prior"].nodes["x"]["value"].shape == (4, *case.window)
    for site in model.sites:
        assert site.event_shape == case.event_shapes[site.name]
    # As drawn, a guide's own among them, and as specified.
    assert [site.name for site in model.sites] == list(case.event_shapes)
    assert [site.name for site in model.given_sites] == case.given


def test_every_parameter_gets_a_gradient(case):
    x = case.data()
    model = case.prepared(x)
    loss_of(model, x).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("names", AMORTISED, ids="-".join)
def test_training_lowers_the_loss(names):
    case = Case(*names)
    x = case.data()
    model = case.prepared(x)
    before = float(reproducible_loss(model, x))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(20):
        # The same noise at every step: plain descent, which must go down.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            loss_of(model, x).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(reproducible_loss(model, x)) < before


@pytest.mark.parametrize("names", SEARCHING, ids="-".join)
def test_training_of_a_search_lowers_the_loss(names):
    # The same noise would not give the same bins. Seen with four seeds of each: the mean of 10
    # losses falls by 6 standard errors at least, mostly by 50.
    case = Case(*names)
    x = case.spots()
    model = case.prepared(x)

    def mean_loss():
        with torch.no_grad():
            losses = torch.stack([loss_of(model.eval(), x) for _ in range(10)])
        model.train()
        return float(losses.mean()), float(losses.std()) / 10**0.5

    before, error = mean_loss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss_of(model, x).backward()
        optimizer.step()
        optimizer.zero_grad()
    after, its_error = mean_loss()
    assert after < before - 3 * (error + its_error)


def test_save_and_load_is_the_same_model(case, tmp_path):
    x = case.data()
    model = case.prepared(x)
    step(model, x)
    save(model, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    assert type(loaded) is type(model)
    assert repr(loaded) == repr(model)
    assert torch.equal(reproducible_loss(loaded, x), reproducible_loss(model, x))
    expected = model.guide_module.summary(model, x)
    found = loaded.guide_module.summary(loaded, x)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    values = {name: torch.rand(2, *shape) for name, shape in case.event_shapes.items()}
    assert torch.equal(loaded.output(values), model.output(values))


def test_repr_is_readable(case):
    model = case.make()
    text = repr(model)
    assert text.startswith(f"{case.kind.__name__}(")
    parts = (*model.sites, model.likelihood, model.encoder, model.decoder, model.guide_module)
    assert all(type(part).__name__ in text for part in parts)
    assert all(type(site.family).__name__ in text for site in model.given_sites)
    assert " object at 0x" not in text
    assert len(text.splitlines()) < 80


def test_a_copy_trains_on_its_own(case):
    x = case.data()
    model = case.prepared(x)
    clone = copy.deepcopy(model)
    assert torch.equal(reproducible_loss(clone, x), reproducible_loss(model, x))
    before = state(model)
    step(clone, x)
    assert all(torch.equal(value, before[name]) for name, value in state(model).items())
    for name, parameter in clone.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_the_seed_alone_sets_the_weights(case, untouched):
    with untouched():
        first = state(case.make(seed=5))
        torch.rand(7, generator=torch.Generator())
        second, other = state(case.make(seed=5)), state(case.make(seed=6))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_sampling_without_registering_leaves_the_store_alone(case, untouched):
    x = case.data()
    model = case.prepared(x)
    with untouched(), torch.random.fork_rng(devices=[]):
        step(model, x)
        model.sample_model(n=3)


def test_a_batch_of_one(case):
    x = case.data(batch=1)
    model = case.prepared(case.data())
    terms = PatchELBO().terms(model.sample_model, model.sample_guide, x)
    assert terms.elbo.shape == (1,)
    assert bool(torch.isfinite(terms.elbo).all())
    assert set(terms.kl) == set(case.event_shapes)
    assert all(kl.shape == (1,) for kl in terms.kl.values())
    summary = model.guide_module.summary(model, x)
    for name in case.given:
        event_shape = case.event_shapes[name]
        assert summary[name].shape == summary[f"{name}_std"].shape == (1, *event_shape)
        assert bool((summary[f"{name}_std"] > 0).all())


# Once for each model


@pytest.fixture(params=MODELS)
def model_case(request):
    return Case(request.param, "gaussian", "canvas")


def test_patches_are_independent(model_case):
    x = model_case.data()
    model = model_case.prepared(x)
    together = model.guide_module.summary(model, x)
    alone = model.guide_module.summary(model, x[2:3])
    for name, value in alone.items():
        torch.testing.assert_close(value[0], together[name][2])


def test_untrained_posteriors_are_the_priors(model_case):
    x = model_case.data()
    model = model_case.prepared(x)
    summary = model.guide_module.summary(model, x)
    for site in model.given_sites:
        if site.name == "brightness":  # which needs no training
            continue
        if site.name == "angle":  # all round the circle, where nothing has a middle
            assert bool((summary["angle_std"] > 1.5).all())
            continue
        width = site.prior.stddev
        assert bool(((summary[site.name] - site.prior.mean).abs() < 0.2 * width).all())
        torch.testing.assert_close(
            summary[f"{site.name}_std"] / width, torch.ones(4, *site.event_shape), rtol=0.1, atol=0
        )


def test_data_of_another_window_are_refused(model_case):
    model = model_case.make()
    wrong = torch.rand(4, *(size + 1 for size in model.window))
    for call in (model.model, model.guide, model.sample_model, model.sample_guide):
        with pytest.raises(DataError, match="the model is for windows of"):
            call(wrong)
        with pytest.raises(DataError, match="expected batch x"):
            call(torch.rand(model.window))


def test_the_guide_needs_data(model_case):
    with pytest.raises(DataError, match="posterior given data"):
        model_case.make().guide()


def test_double_precision(model_case):
    x = model_case.data().double()
    model = model_case.prepared(x).double()
    loss = loss_of(model, x)
    loss.backward()
    assert loss.dtype == torch.double
    assert {parameter.grad.dtype for parameter in model.parameters()} == {torch.double}


def test_several_steps_of_trainable_models_at_once(model_case):
    first, second = model_case.make(seed=1), model_case.make(seed=2)
    x = model_case.data()
    before = state(first), state(second)
    step(first, x)
    step(second, x)
    for model, old in zip((first, second), before, strict=True):
        assert all(not torch.equal(value, old[name]) for name, value in model.named_parameters())


# What can't work


@pytest.mark.parametrize("kind", [VAE, ShiftVAE])
@pytest.mark.parametrize("window", [1, (1, 8), (8, 0), (4, 4, 4), (), (-3,)], ids=str)
def test_windows_that_are_none_are_refused(kind, window):
    with pytest.raises(SpecificationError, match="window"):
        kind(window)


def test_signals_cannot_be_turned():
    with pytest.raises(SpecificationError, match="can't be turned"):
        RVAE((12,))


@pytest.mark.parametrize(
    ("kind", "options", "match"),
    [
        (ShiftVAE, {"offset_scale": 0.0}, "offset_scale must be positive"),
        (RVAE, {"offsets": True, "offset_scale": -1.0}, "offset_scale must be positive"),
        (RVAE, {"angle_scale": float("nan")}, "angle_scale must be positive"),
        (RVAE, {"scales": True, "scale_scale": 0.0}, "scale_scale must be positive"),
        (VAE, {"latent_dim": 0}, "latent_dim"),
        (VAE, {"decoder": "deconvolution"}, "unknown decoder"),
        (VAE, {"guide": "flow"}, "unknown guide"),
        (VAE, {"guide": "anchor"}, "take ShiftVAE or RVAE, or guide='normal'"),
        (VAE, {"guide": 3}, "torch module"),
        (VAE, {"priors": {"offset": None}}, "no site for the priors"),
        (RVAE, {"priors": {"offset": None}}, "no site for the priors"),
        (VAE, {"priors": {"z": "normal"}}, "must be a Pyro distribution"),
    ],
)
def test_options_that_cannot_work_are_refused(kind, options, match):
    with pytest.raises(SpecificationError, match=match):
        kind((8, 8), **options)


def test_a_module_that_is_no_guide_is_refused():
    with pytest.raises(SpecificationError, match="guide"):
        VAE((8, 8), guide=torch.nn.Linear(2, 2))


def test_sites_that_do_not_fit_are_refused():
    with pytest.raises(SpecificationError, match="own name"):
        PoseVAE((8, 8), [Offset(), Offset(), Content()])
    with pytest.raises(SpecificationError, match="needs a Content"):
        PoseVAE((8, 8), [Offset()])
    with pytest.raises(SpecificationError, match="can't be turned"):
        PoseVAE((8,), [Angle(), Content()])
    with pytest.raises(SpecificationError, match="ndim=1"):
        PoseVAE((8,), [Offset(), Content()])
