"""What every model does, whatever its sites, likelihood and decoder."""

import itertools

import pytest
import torch

from pyroshift import RVAE, VAE, Angle, Content, Offset, PoseVAE, ShiftVAE
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.decoders import SpatialDecoder
from pyroshift.model.encoders import FullyConnectedEncoder
from pyroshift.model.likelihoods import Gaussian
from pyroshift.model.parts import seed_all
from pyroshift.testing import MODEL_CHECKS, Subject
from pyroshift.testing.subject import step

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
# Others with a map of their own aren't tried with everything.
OTHERS = ("student_t", "negative_binomial", "zero_inflated_poisson")
CASES += itertools.product(
    (
        "ShiftVAE of signals",
        "RVAE with offsets and scales by anchor",
        "RVAE with brightness by anchor",
    ),
    OTHERS,
    ("canvas",),
)
# Training takes a second or more, so that it is tried with one likelihood and decoder.
ONCE_EACH = [(model, "gaussian", "canvas") for model in MODELS]
TRAININGS = ("a few steps lower the loss", "training resumes to the same result")
SLOW = [check for check in MODEL_CHECKS if check.name in TRAININGS]
QUICK = [check for check in MODEL_CHECKS if check not in SLOW]


class Case:
    """One model of the table, to be made as often as a test wants."""

    def __init__(self, model, likelihood, decoder):
        self.kind, self.window, self.options, self.event_shapes = MODELS[model]
        self.likelihood, self.decoder = LIKELIHOODS.get(likelihood, lambda: likelihood), decoder
        self.given = [name for name in self.event_shapes if name != "pose"]

    def make(self, seed=0, **options):
        return self.kind(
            self.window,
            likelihood=self.likelihood(),
            seed=seed,
            **self._networks(seed) | self.options | options,
        )

    def _networks(self, seed):
        # Small, since they are made some thousand times.
        with torch.random.fork_rng(devices=[]):
            seed_all(seed)
            encoder, decoder = FullyConnectedEncoder(self.window, (16, 16)), self.decoder
            if decoder == "spatial":
                decoder = SpatialDecoder(self.window, self.event_shapes["z"][0], (16, 16))
        return {"encoder": encoder, "decoder": decoder}

    @property
    def subject(self):
        return Subject(self.make)


@pytest.mark.parametrize("check", QUICK, ids=repr)
@pytest.mark.parametrize("names", CASES, ids="-".join)
def test_every_model(names, check):
    check(Case(*names).subject)


@pytest.mark.parametrize("check", SLOW, ids=repr)
@pytest.mark.parametrize("names", ONCE_EACH, ids="-".join)
def test_every_model_in_training(names, check):
    check(Case(*names).subject)


# Once for each model


@pytest.fixture(params=MODELS)
def model_case(request):
    return Case(request.param, "gaussian", "canvas")


def test_the_sites_are_those_of_the_table(model_case):
    model = model_case.make()
    # As drawn, a guide's own among them, and as specified.
    assert {site.name: site.event_shape for site in model.sites} == model_case.event_shapes
    assert [site.name for site in model.sites] == list(model_case.event_shapes)
    assert [site.name for site in model.given_sites] == model_case.given


def test_untrained_posteriors_are_the_priors(model_case):
    x = torch.rand(4, *model_case.window)
    model = model_case.subject.prepared(x)
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


def test_several_steps_of_trainable_models_at_once(model_case):
    models = [model_case.make(seed=seed) for seed in (1, 2)]
    before = [{name: value.clone() for name, value in model.named_parameters()} for model in models]
    for model in models:
        step(model, torch.rand(4, *model_case.window))
    for model, old in zip(models, before, strict=True):
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
