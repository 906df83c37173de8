"""Channels, gaps, classes and covariates: what every model does of them, and closed forms."""

import math
import warnings

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from pyroshift import (
    RVAE,
    VAE,
    AnchorGuide,
    Batch,
    ByChannel,
    Class,
    Gaussian,
    PatchELBO,
    Patches,
    Poisson,
    ShiftVAE,
    VonMises,
    decode,
    encode,
    fit,
    load,
    manifold,
    save,
)
from pyroshift.errors import DataError, LatentWarning, SpecificationError
from pyroshift.guides.kinds import kind_logits
from pyroshift.guides.search import Anchor, search
from pyroshift.model.channels import Stacked
from pyroshift.model.encoders import FullyConnectedEncoder
from pyroshift.testing import MODEL_CHECKS, Subject
from pyroshift.testing.subject import prepare

TWO = {"height": "gaussian", "counts": "poisson"}
WIDE = {
    "channels": (VAE, (12,), {"likelihood": TWO}),
    "channels, shifted": (ShiftVAE, (5, 8), {"likelihood": TWO, "guide": "normal"}),
    "channels by anchor": (RVAE, (6, 8), {"offsets": True, "likelihood": TWO}),
    "two maps by anchor": (ShiftVAE, (6, 8), {"likelihood": "heteroscedastic"}),
    "two maps of signals": (ShiftVAE, (12,), {"likelihood": "heteroscedastic", "guide": "normal"}),
    "classes": (ShiftVAE, (5, 8), {"classes": 3, "guide": "normal"}),
    "classes by anchor": (RVAE, (6, 8), {"offsets": True, "classes": 2, "latent_dim": 1}),
    "classes of signals": (ShiftVAE, (12,), {"classes": 4}),
    "classes of channels": (ShiftVAE, (6, 8), {"classes": 2, "likelihood": TWO}),
    "flips": (RVAE, (6, 8), {"offsets": True, "flips": True, "guide": "normal"}),
    "flips by anchor": (ShiftVAE, (5, 8), {"flips": True}),
    "flipped classes": (RVAE, (6, 8), {"offsets": True, "classes": 2, "flips": True}),
    "flipped signals": (ShiftVAE, (12,), {"flips": True, "likelihood": "heteroscedastic"}),
}
TRAININGS = ("a few steps lower the loss", "training resumes to the same result")
# Those in which most comes together, each with gaps.
TRAINED = ("channels, shifted", "two maps by anchor", "classes of channels", "flipped classes")
QUICK = [check for check in MODEL_CHECKS if check.name not in TRAININGS]
SLOW = [check for check in MODEL_CHECKS if check.name in TRAININGS]
DECODERS = ("canvas", "spatial")
# Every model whole and with gaps, its decoders taking turns.
CASES = [
    (name, DECODERS[(i + gaps) % 2], gaps) for i, name in enumerate(WIDE) for gaps in (False, True)
]


def case_name(case):
    name, decoder, gaps = case
    return f"{name}-{decoder}-{'gaps' if gaps else 'whole'}"


def subject(name, decoder="canvas", gaps=False):
    """Models of the table, and data of which a fifth is missing, if there are to be gaps."""
    kind, window, options = WIDE[name]

    def make(seed=0, **others):
        return kind(window, decoder=decoder, seed=seed, **options | others)

    whole = Subject(make)

    def data(count):
        x = whole.windows(count)
        return x.masked_fill(torch.rand(x.shape) < 0.2, torch.nan)

    return Subject(make, data=data) if gaps else whole


@pytest.mark.parametrize("check", QUICK, ids=repr)
@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_every_wide_model(case, check):
    check(subject(*case))


@pytest.mark.parametrize("check", SLOW, ids=repr)
@pytest.mark.parametrize("name", TRAINED)
def test_every_wide_model_in_training(name, check):
    check(subject(name, gaps=True))


def small(kind=RVAE, window=(8, 8), **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(window, **{"offsets": True} if kind is RVAE else {}, **options)
        for parameter in model.parameters():  # no flat canvas
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


# Channels


def test_channels_are_independent_given_the_latents():
    both = ByChannel(["a", "b"], [Gaussian(0.3), Poisson()], window_ndim=1)
    x = torch.stack([torch.randn(5, 9), torch.randint(0, 9, (5, 9)).float()], 1)
    prepare(both, x)
    output = torch.randn(5, 9, 2)
    apart = [part.log_prob(x[:, i], output[..., i]) for i, part in enumerate(both.likelihoods)]
    torch.testing.assert_close(both.log_prob(x, output), torch.stack(apart, 1))
    information = [part.information(output[..., i]) for i, part in enumerate(both.likelihoods)]
    torch.testing.assert_close(both.information(output), torch.stack(information, -1))
    parameter, normalizer = both.natural(output)
    fit_ = parameter.movedim(-1, 1) * both.statistic(x).movedim(-1, 1) - normalizer.movedim(-1, 1)
    constant = (both.log_prob(x, output) - fit_)[..., 0]  # of the data alone
    other = torch.randn(5, 9, 2)
    parameter, normalizer = both.natural(other)
    fit_ = parameter.movedim(-1, 1) * both.statistic(x).movedim(-1, 1) - normalizer.movedim(-1, 1)
    torch.testing.assert_close(
        (both.log_prob(x, other) - fit_)[..., 0], constant, atol=1e-4, rtol=0
    )


def test_a_phase_is_seen_by_its_cosine_and_sine():
    both = ByChannel(["amplitude", "phase"], [Gaussian(), VonMises()], window_ndim=2)
    assert (both.maps, both.statistics) == (3, 3)
    model = ShiftVAE((6, 8), likelihood={"amplitude": "gaussian", "phase": "von_mises"})
    x = torch.stack([torch.rand(4, 6, 8), 360 * torch.rand(4, 6, 8)], 1)
    prepare(model.likelihood, x)
    assert model.seen(x).shape == (4, 3, 6, 8)
    torch.testing.assert_close(model.seen(x)[:, 1:].square().sum(1), torch.ones(4, 6, 8))
    assert PatchELBO().terms(model.sample_model, model.sample_guide, x).elbo.shape == (4,)


def test_stacked_distributions_are_those_side_by_side():
    parts = [dist.Normal(torch.zeros(5, 3), 2.0), dist.Normal(torch.ones(5, 3), 1.0)]
    both, value = Stacked(parts, -2), torch.randn(5, 2, 3)
    expected = torch.stack([part.log_prob(value[:, i]) for i, part in enumerate(parts)], 1)
    assert torch.equal(both.log_prob(value), expected)
    assert both.sample((7,)).shape == (7, 5, 2, 3)
    assert both.mean[0, :, 0].tolist() == [0.0, 1.0]
    assert both.variance[0, :, 0].tolist() == [4.0, 1.0]


@pytest.mark.parametrize(
    ("likelihood", "channels", "match"),
    [
        ({"a": "gaussian"}, ["a", "b"], "give one for each"),
        (ByChannel(["a"], [Gaussian()], 2), ["b"], "not \\['b'\\]"),
        ("gaussian", ["a", "a"], "its own name"),
        ({}, None, "its own name"),
    ],
)
def test_channels_that_do_not_fit_are_refused(likelihood, channels, match):
    with pytest.raises(SpecificationError, match=match):
        VAE(8, likelihood=likelihood, channels=channels)


def test_a_range_that_a_channels_likelihood_refuses_is_told_with_its_name():
    both = ByChannel(["height", "grey"], [Gaussian(), VAE(8, likelihood="bernoulli").likelihood], 2)
    with pytest.raises(DataError, match=r"channel 'grey'.*Bernoulli"):
        both.check((0.0, 0.0), (9.0, 9.0))
    with pytest.raises(DataError, match="numbers for each"):
        both.check((0.0,), (1.0,))


def test_brightness_is_of_one_number_per_pixel():
    with pytest.raises(SpecificationError, match="brightness='site' is a gain"):
        VAE(8, channels=2, brightness="site")


def test_maps_and_decoded_data_know_the_channels(tmp_path):
    model = small(channels=["height", "current"])
    cube = np.random.default_rng(0).random((5, 2, 8, 8))
    patches = Patches.from_array(cube, 2, ("patch", "channel", "y", "x"))
    prepare(model.likelihood, torch.tensor(cube, dtype=torch.float))
    seen = decode(model, encode(model, patches))
    assert seen.dims == ("patch", "channel", "window_y", "window_x")
    assert seen.channel.values.tolist() == ["height", "current"]
    save(model, tmp_path / "model.pt")
    assert load(tmp_path / "model.pt").channels == ("height", "current")
    with pytest.raises(DataError, match="channels"):
        encode(VAE(8), patches)


# Gaps


@pytest.mark.parametrize("guide", ["anchor", "normal"])
@pytest.mark.parametrize("likelihood", ["gaussian", "poisson", "student_t", "heteroscedastic"])
def test_nothing_of_what_is_missing_counts(likelihood, guide):
    x = torch.randint(0, 9, (4, 8, 8)).float()
    model = small(likelihood=likelihood, guide=guide)
    prepare(model.likelihood, x)
    missing = torch.rand(x.shape) < 0.3
    gaps = x.masked_fill(missing, torch.nan)
    guided = poutine.trace(model.sample_guide).get_trace(gaps)
    observed = poutine.trace(poutine.replay(model.sample_model, guided)).get_trace(gaps)
    observed.compute_log_prob()
    values = {site.name: guided.nodes[site.name]["value"] for site in model.sites}
    each = model.likelihood.distribution(model.output(values)).log_prob(x)
    expected = each.masked_fill(missing, 0.0).flatten(1).sum(1)
    torch.testing.assert_close(observed.nodes["x"]["log_prob"], expected)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "poisson"])
@pytest.mark.parametrize("brightness", [None, "site"])
def test_the_search_leaves_gaps_out(likelihood, brightness):
    if brightness and likelihood != "gaussian":
        pytest.skip("exact for the Gaussian likelihood only")
    x = torch.rand(4, 8, 8) if likelihood != "poisson" else torch.randint(0, 9, (4, 8, 8)).float()
    model = small(likelihood=likelihood, brightness=brightness, guide=AnchorGuide(reduction=1))
    prepare(model.likelihood, x)
    model, x = model.double(), x.double()
    x[:, :3, :3] = torch.nan
    bins, z = model.sites[0], torch.zeros(1, 2, dtype=torch.double)
    found = search(model, bins, x, [[Anchor(model.decoder_input(z), z)]]).logits
    every = torch.arange(found.shape[1])
    values = {"offset": bins.centre("offset", every), "angle": bins.centre("angle", every)}
    output = model.decoded({**values, "z": z.expand(len(every), -1)})
    worth = []
    for patch in x:
        each = patch.expand(len(every), -1, -1)
        if brightness is None:
            worth.append(model.likelihood.log_prob(each, output).flatten(1).sum(1))
            continue
        known = ~torch.isnan(patch)
        basis = torch.stack([output[:, known], torch.ones_like(output[:, known])], -1)
        site = model.sites[-1]
        variance = site.prior.variance.double()
        noise = (model.likelihood.noise / model.likelihood.spread).double() ** 2
        covariance = basis * variance @ basis.mT + noise * torch.eye(int(known.sum())).double()
        seen = model.likelihood.standardize(patch)[known]
        mean = basis @ site.prior.mean.double()
        worth.append(dist.MultivariateNormal(mean, covariance).log_prob(seen))
    expected = (torch.stack(worth) + bins.log_mass).log_softmax(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


# Classes


def test_a_class_is_known_exactly_given_all_else():
    model = small(classes=3, guide="normal")
    x = torch.rand(4, 8, 8)
    prepare(model.likelihood, x)
    values = {"offset": torch.zeros(4, 2), "angle": torch.zeros(4), "z": torch.randn(4, 2)}
    found = kind_logits(model, Batch(x), values)
    joint = []
    for kind in range(3):
        known = {**values, "class": torch.full((4,), kind)}
        trace = poutine.trace(poutine.condition(model.sample_model, known)).get_trace(x)
        trace.compute_log_prob()
        joint.append(trace.nodes["x"]["log_prob"] + trace.nodes["class"]["log_prob"])
    torch.testing.assert_close(found, torch.stack(joint, 1).log_softmax(1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("guide", ["anchor", "normal"])
def test_a_label_is_certain_and_others_are_inferred(guide):
    model = small(classes=3, guide=guide)
    x = torch.rand(5, 8, 8)
    prepare(model.likelihood, x)
    labels = torch.tensor([2.0, torch.nan, 0.0, torch.nan, 1.0])
    batch = Batch(x, {"label": labels})
    found = model.guide_module.summary(model, batch)["class_probability"]
    for row, label in enumerate(labels.tolist()):
        if not math.isnan(label):
            assert float(found[row, int(label)]) == pytest.approx(1.0)
    for _ in range(5):
        drawn = poutine.trace(model.sample_guide).get_trace(batch).nodes["class"]["value"]
        assert drawn[[0, 2, 4]].tolist() == [2, 0, 1]
    # And what a label says is worth counts: KL of a certain class is minus log of its weight.
    kl = PatchELBO().terms(model.sample_model, model.sample_guide, batch).kl["class"]
    expected = -model.class_site.log_weights[torch.tensor([2, 0, 1])]
    torch.testing.assert_close(kl[[0, 2, 4]], expected)


@pytest.mark.parametrize("label", [3.0, -1.0, 0.5])
def test_labels_that_are_no_class_are_refused(label):
    model = small(classes=3)
    batch = Batch(torch.rand(2, 8, 8), {"label": torch.tensor([label, torch.nan])})
    with pytest.raises(SpecificationError, match="whole numbers from 0 to 2"):
        model.guide_module.summary(model, batch)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("class", 1), "at least two"),
        (("kind", 3), "is named 'class'"),
        (("class", 3, dist.Categorical(torch.ones(2))), "Categorical over"),
        (("class", 3, dist.Normal(0.0, 1.0)), "Categorical over"),
    ],
)
def test_classes_that_are_none_are_refused(arguments, match):
    with pytest.raises(SpecificationError, match=match):
        Class(*arguments)


def test_the_manifold_is_of_each_class():
    assert manifold(small(VAE, classes=3), size=4).dims == (
        "kind", "z0", "z1", "window_y", "window_x",
    )  # fmt: skip


def test_turned_class_frames_leave_what_is_seen_the_same():
    # A class turned in the decoder's frame is the same motif at another angle.
    model = small(classes=2).double()
    values = {
        "offset": 0.1 * torch.randn(6, 2).double(), "angle": torch.randn(6).double(),
        "z": torch.randn(6, 2).double(), "class": torch.tensor([0, 1] * 3),
    }  # fmt: skip
    before = model.output(values)
    turn = torch.tensor([0.0, 0.4]).double()
    model.class_turn.copy_(turn)
    values["angle"] = values["angle"] - turn[values["class"]]
    torch.testing.assert_close(model.output(values), before)
    # And slopes are by the frame that classes share.
    points = 0.3 * torch.randn(6, 8, 8, 2).double()
    code, step = model.code(values), 1e-5
    spatial = small(classes=2, decoder="spatial").double()
    spatial.class_turn.copy_(turn)
    _, slope = spatial.output_and_slope(code, points)
    for axis in range(2):
        move = step * torch.eye(2).double()[axis]
        change = spatial.decode(code, points + move) - spatial.decode(code, points - move)
        torch.testing.assert_close(slope[..., axis], change / (2 * step), atol=1e-6, rtol=1e-4)
    _, slope = model.output_and_slope(code, points)
    model.class_turn.zero_()
    _, plain = model.output_and_slope(code, points)
    torch.testing.assert_close(slope[::2], plain[::2])


# Covariates


@pytest.mark.parametrize("guide", ["anchor", "normal"])
def test_what_a_covariate_tells_z_need_not(guide, tmp_path):
    # Peaks as high as a dose that is known: z is left with nothing.
    generator = np.random.default_rng(0)
    dose = generator.uniform(1, 3, 400)
    place = generator.uniform(-3, 3, (400, 1))
    x = dose[:, None] * np.exp(-((np.arange(32) - 15.5 - place) ** 2) / 8)
    x += 0.05 * generator.normal(size=x.shape)
    patches = Patches.from_array(x).assign(dose=dose)
    untold = ShiftVAE((32,), latent_dim=1, guide=guide)
    told = ShiftVAE((32,), latent_dim=1, condition="dose", guide=guide)
    options = {"epochs": 20, "batch_size": 40, "learning_rate": 5e-3, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatentWarning)  # of an empty z, as it should be
        kl = [
            float(fit(model, patches, **options).kl.sel(site="z")[-1]) for model in (told, untold)
        ]
    assert kl[0] < 0.5 * kl[1]
    bright = [float(decode(told, np.zeros(1), covariates={"dose": d}).max()) for d in (1.2, 2.8)]
    assert bright[1] / bright[0] == pytest.approx(2.8 / 1.2, rel=0.15)
    save(told, tmp_path / "model.pt")
    again = load(tmp_path / "model.pt")
    assert torch.equal(again.covariate_location, told.covariate_location)
    with pytest.raises(DataError, match="isn't known of these patches"):
        encode(told, Patches.from_array(x))
    with pytest.raises(DataError, match="must be known of every patch"):
        encode(told, Patches.from_array(x).assign(dose=np.where(dose > 2, np.nan, dose)))


def test_an_encoder_of_the_users_own_sees_channels():
    encoder = FullyConnectedEncoder((8, 8), (16,), window_channels=2)
    model = VAE(8, channels=2, encoder=encoder)
    prepare(model.likelihood, torch.rand(4, 2, 8, 8))
    assert PatchELBO().loss(model.sample_model, model.sample_guide, torch.rand(4, 2, 8, 8)) != 0


def test_a_model_without_all_this_is_saved_as_ever():
    names = ShiftVAE(8).state_dict()
    assert not [name for name in names if "class" in name or "covariate" in name]
