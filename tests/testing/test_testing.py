"""The checks for parts of one's own: ours pass, and each fault is found by the check for it."""

import math
from functools import partial

import pyro.distributions as dist
import pytest
import torch
from torch import nn

from pyroshift import (
    AnchorGuide,
    CanvasDecoder,
    Content,
    Gaussian,
    HeteroscedasticGaussian,
    Likelihood,
    NegativeBinomial,
    NormalGuide,
    Offset,
    Poisson,
    PoseSite,
    Scale,
    ShiftVAE,
    Site,
    SpatialDecoder,
    StudentT,
    VonMises,
    ZeroInflatedPoisson,
)
from pyroshift.model import likelihoods
from pyroshift.model.brightness import Brightness
from pyroshift.model.sites import Angle
from pyroshift.testing import (
    DECODER_CHECKS,
    LIKELIHOOD_CHECKS,
    SITE_CHECKS,
    CheckError,
    check_decoder,
    check_guide,
    check_likelihood,
    check_model,
    check_site,
)

SITES = [
    Offset(),
    Offset(dist.Laplace(0.0, 0.2), ndim=1),
    Offset(period=0.5),
    Angle(),
    Angle(dist.VonMises(0.3, 4.0), symmetry=6),
    Angle(dist.Normal(0.0, 0.4)),
    Scale(),
    Content(3),
    Content(2, dist.Normal(0.0, nn.Parameter(torch.tensor(0.7)))),
    Site("strain", dist.Gamma(2.0, 3.0), (2,)),
    Brightness(),
]


class OwnStudentT(Likelihood):
    def __init__(self):
        super().__init__()
        self.log_width = nn.Parameter(torch.tensor(-1.0))

    def standardized(self, output):
        return dist.StudentT(4.0, output, self.log_width.exp())


class UnevenLaplace(Likelihood):
    """In standard units, with two maps, and all else left to the base."""

    maps = 2

    def standardized(self, output):
        location, log_width = output.unbind(-1)
        return dist.Laplace(location, log_width.exp())


LIKELIHOODS = [
    *(made() for made in likelihoods.LIKELIHOODS.values()), Gaussian(0.2),
    NegativeBinomial(0.5), StudentT(3.0, 0.2), HeteroscedasticGaussian(0.2),
    ZeroInflatedPoisson(per_pixel=True), ZeroInflatedPoisson(0.3, per_pixel=True),
    VonMises(1.0), OwnStudentT(), UnevenLaplace(),
]  # fmt: skip
DECODERS = [
    (decoder(window, latents), window, latents)
    for decoder in (CanvasDecoder, partial(CanvasDecoder, margin=3), SpatialDecoder)
    for window, latents in (((8, 10), 2), ((12,), 1))
]


@pytest.mark.parametrize("site", SITES, ids=lambda site: f"{type(site).__name__} {site.prior}")
def test_our_sites_pass(site):
    assert len(check_site(site).passed) == len(SITE_CHECKS)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_our_likelihoods_pass(likelihood):
    assert len(check_likelihood(likelihood).passed) == len(LIKELIHOOD_CHECKS)


@pytest.mark.parametrize(("decoder", "window", "latents"), DECODERS)
def test_our_decoders_pass(decoder, window, latents):
    assert len(check_decoder(decoder, window, latents).passed) == len(DECODER_CHECKS)


def test_a_guide_is_checked_in_every_model_that_it_takes():
    assert [report.subject for report in check_guide(AnchorGuide)] == [
        "AnchorGuide in ShiftVAE of (12,)", "AnchorGuide in ShiftVAE of (5, 8)",
        "AnchorGuide in RVAE of (7, 7)", "AnchorGuide in RVAE of (6, 8)",
    ]  # fmt: skip


# Faults


class Shear(PoseSite):
    """Right, and the base of what is wrong."""

    affine = True

    def __init__(self):
        super().__init__("shear", dist.Normal(0.0, 0.2), ())

    def transform(self, coordinates, value):
        y, x = coordinates.unbind(-1)
        return torch.stack([y, x + value.reshape(-1, 1, 1) * y], -1)

    def reach(self, radius):
        return 2 * radius


class NoInverse(Shear):
    affine = True

    def inverse(self, value):
        return 0 * value


class Bent(Shear):
    affine = True

    def transform(self, coordinates, value):
        y, x = coordinates.unbind(-1)
        return torch.stack([y, x + value.reshape(-1, 1, 1) * y.square()], -1)


class Nearsighted(Shear):
    def reach(self, radius):
        return radius / 2


class Restless(Shear):
    def reduce(self, value):
        return value / 2


class Useless(Shear):
    def transform(self, coordinates, value):
        return coordinates + 0 * value.reshape(-1, 1, 1, 1)


class OffCentre(Site):
    def posterior(self, raw, learn=False):
        return dist.Normal(raw[:, 0] + 3.0, 1.0)


class Unscaled(Site):
    def posterior(self, raw, learn=False):
        return dist.Normal(raw[:, 0], raw[:, 1].exp() + 5)


class Forgetful(Site):
    def __init__(self, width):
        super().__init__("strain", dist.Normal(0.0, width), ())


@pytest.mark.parametrize(
    ("site", "fault"),
    [
        (NoInverse(), "the inverse undoes the transform"),
        (Bent(), "affine is affine"),
        (Nearsighted(), "reach tells how far windows look"),
        (Restless(), "reduced values stay as they are"),
        (Useless(), "transform keeps the shape and has a gradient"),
        (OffCentre("strain", dist.Normal(0.0, 1.0), ()), "the posterior starts at the prior"),
        (Unscaled("strain", dist.Normal(0.0, 1.0), ()), "the posterior starts at the prior"),
        (Forgetful(0.3), "saved and loaded it is the same"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Site) else None,
)
def test_faulty_sites_are_told(site, fault):
    with pytest.raises(CheckError, match=f"FAILED  {fault}"):
        check_site(site)


def test_a_site_that_is_right_passes():
    check_site(Shear())


class WrongMean(Gaussian):
    def mean(self, output):
        return super().mean(output) + 0.5


class WrongScore(Gaussian):
    def score(self, x, output):
        return 2 * super().score(x, output)


class NoInformation(Gaussian):
    def information(self, output):
        return 0 * output


class Squared(Gaussian):
    def statistic(self, x):
        return x.square()


class Moving(Gaussian):
    def prepare(self, minimum, maximum, mean, stddev):
        self.location.fill_(mean)
        self.spread.fill_(stddev)


class OffTheData(OwnStudentT):
    def distribution(self, output):
        return dist.StudentT(4.0, output + 40.0, self.log_width.exp())


@pytest.mark.parametrize(
    ("likelihood", "fault"),
    [
        (WrongMean(), "the mean is that of its samples"),
        (WrongScore(), "the score is the derivative"),
        (NoInformation(), "information is positive"),
        (Squared(), "natural parameters are finite, the statistic affine"),
        (Moving(), "the first data set location and spread"),
        (OffTheData(), "an output of 0 is the data's mean"),
        (Likelihood(), "it makes the observed site x"),
    ],
)
def test_faulty_likelihoods_are_told(likelihood, fault):
    with pytest.raises(CheckError, match=f"FAILED  {fault}"):
        check_likelihood(likelihood)


class Blind(nn.Module):
    """Right, but for what a fault changes."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, z, coordinates):
        pixels = (coordinates * self.weight).sum(-1)
        level = z.sum(-1).reshape(-1, 1, 1)
        if self.fault == "no latents":
            level = 0 * level
        if self.fault == "neighbours":
            level = level.mean()
        if self.fault == "one channel too many":
            return (pixels + level).unsqueeze(1)
        if self.fault == "whole windows":
            return (pixels + level).reshape(-1, 8, 10)
        return pixels.sin() + level

    def mean_output(self, z, coordinates):
        wrong = self.fault == "mean output"
        return self(z, coordinates.expand(len(z), *coordinates.shape)).mean(0) + wrong


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("no latents", "latents, coordinates and parameters get a gradient: z has no effect"),
        ("neighbours", "patches are independent"),
        ("one channel too many", "it gives one number per pixel"),
        ("whole windows", "it takes any coordinates"),
        ("mean output", "what else it offers agrees with its output: mean_output"),
    ],
)
def test_faulty_decoders_are_told(fault, check):
    check_decoder(Blind(None), (8, 10), 2)
    with pytest.raises(CheckError, match=f"FAILED  {check}"):
        check_decoder(Blind(fault), (8, 10), 2)


class Drifting(ShiftVAE):
    def sample_guide(self, x, kl_weight=1.0, total=None):
        super().sample_guide(x, kl_weight, total)
        with torch.no_grad():
            self.origin += 0.01


class Seedless(ShiftVAE):
    def __init__(self, *arguments, seed=0, **options):
        super().__init__(*arguments, seed=0, **options)


class Idle(ShiftVAE):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.spare = nn.Parameter(torch.zeros(3))


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Drifting, "evaluating moves nothing"),
        (Seedless, "the seed alone sets the weights"),
        (Idle, "every parameter gets a gradient: spare gets no gradient"),
    ],
)
def test_faulty_models_are_told(kind, fault):
    with pytest.raises(CheckError, match=f"FAILED  {fault}"):
        check_model(partial(kind, 8, guide="normal"))


class Lopsided(NormalGuide):
    """Forgets a site in its summary, and draws it all the same."""

    def summary(self, pair, x, drawn=None):
        found = super().summary(pair, x, drawn)
        return {name: value for name, value in found.items() if name != "z_std"}


def test_faulty_guides_are_told():
    with pytest.raises(CheckError, match=r"FAILED  the summary is of each patch: .* no z_std"):
        check_guide(Lopsided)


def test_a_guide_that_takes_no_model_is_told():
    with pytest.raises(CheckError, match="refuses every model"):
        check_guide(partial(AnchorGuide, reduction=50))


def test_the_report_lists_what_fails_and_what_holds():
    with pytest.raises(CheckError) as told:
        check_likelihood(NoInformation())
    first, second, *others = str(told.value).splitlines()
    assert first == "NoInformation: 1 of 13 checks failed"
    assert second == "FAILED  information is positive: information must be positive"
    names = [check.name for check in LIKELIHOOD_CHECKS]
    names.remove("information is positive")
    assert others == [f"passed  {name}" for name in names]


def test_checks_leave_the_random_state_alone(untouched):
    with untouched():
        check_site(Scale())
        check_likelihood(Poisson())
    assert math.isfinite(float(torch.rand(())))
