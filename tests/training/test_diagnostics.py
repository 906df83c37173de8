"""Warnings of collapsed latents and of priors that are too narrow."""

import math

import pyro.distributions as dist
import pytest
import torch

from pyroshift import RVAE, VAE, Content, FullyConnectedEncoder, ShiftVAE
from pyroshift.errors import LatentWarning
from pyroshift.training.diagnostics import diagnose, warn_about_latents

PATCHES = torch.rand(400, 8, 8, generator=torch.Generator().manual_seed(0))


def small(model, *arguments, **options):
    """A pair whose guide is a network, which can be made to say anything."""
    encoder = FullyConnectedEncoder((8, 8), (16,))
    return model((8, 8), *arguments, encoder=encoder, guide="normal", **options)


# Taken literally, where latents of a frame that is learned are as wide as their prior in any case.
FIXED = {"z": dist.Normal(0.0, 1.0)}


def force(pair, site, locations, width):
    """Make the guide answer the same for every patch, in units of the prior."""
    head = pair.guide_module.heads[site]
    raw = math.log(math.expm1(width)) - math.log(math.expm1(1.0))
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([*locations, *[raw] * len(locations)]))


def healthy(pair):
    for site in pair.sites:
        force(pair, site.name, [0.5] * math.prod(site.event_shape), 0.3)
    return pair


@pytest.mark.parametrize(
    "pair",
    [
        small(VAE, 3),
        small(ShiftVAE, offset_scale=0.05),
        small(RVAE, offsets=True, angle_scale=0.2),
        small(ShiftVAE, priors={"z": dist.Normal(4.0, 2.0)}),
    ],
    ids=["VAE", "ShiftVAE", "RVAE", "other prior"],
)
def test_healthy_latents_give_no_findings(pair):
    assert diagnose(healthy(pair), PATCHES) == []


@pytest.mark.parametrize(("width", "found"), [(0.85, False), (0.95, True), (1.5, True)])
def test_posteriors_as_wide_as_the_prior_have_collapsed(width, found):
    pair = healthy(small(ShiftVAE, priors={"z": dist.Normal(0.0, 5.0)}))
    force(pair, "z", [0.0, 0.0], width)
    findings = diagnose(pair, PATCHES)
    assert len(findings) == found
    assert all(finding.startswith("'z' collapsed onto the prior") for finding in findings)


def test_collapsed_latents_are_named_by_index():
    pair = healthy(small(VAE, 3))
    head = pair.guide_module.heads["z"]
    with torch.no_grad():
        head.bias[3 + 1] = 2.0  # the width of the second latent
    (finding,) = diagnose(pair, PATCHES)
    assert finding.startswith("'z' [1] collapsed")


@pytest.mark.parametrize(("location", "found"), [(2.3, False), (2.7, True), (-2.7, True)])
@pytest.mark.parametrize(
    ("site", "locations"), [("offset", [0.0, 1.0]), ("angle", [1.0]), ("z", [1.0, 0.0])]
)
def test_locations_beyond_the_prior_are_found(site, locations, location, found):
    pair = healthy(small(RVAE, offsets=True, offset_scale=0.1, angle_scale=0.5, priors=FIXED))
    force(pair, site, [location * unit for unit in locations], 0.3)
    findings = diagnose(pair, PATCHES)
    assert len(findings) == found
    for finding in findings:
        assert finding.startswith(f"100% of the values of '{site}' lie beyond 2.5 prior widths")
        assert ("saturated" if site == "z" else "widen it") in finding


@pytest.mark.parametrize(
    ("site", "options"),
    [
        ("offset", ["offset_scale=0.2", "priors={'offset': ...}"]),
        ("angle", ["angle_scale=inf", "priors={'angle': ...}"]),
        ("scale", ["scale_scale=0.1", "priors={'scale': ...}"]),
        ("z", ["kl=", "latent_dim", "priors={'z': ...}"]),
    ],
)
def test_the_option_to_change_is_named(site, options):
    scales = {"offset_scale": 0.1, "angle_scale": 0.5, "scale_scale": 0.05}
    pair = healthy(small(RVAE, offsets=True, scales=True, priors=FIXED, **scales))
    locations = [9.0] * math.prod(next(s for s in pair.sites if s.name == site).event_shape)
    force(pair, site, locations, 0.3)
    (finding,) = diagnose(pair, PATCHES)
    assert all(option in finding for option in options), finding


def test_the_prior_counts_from_its_own_mean():
    pair = healthy(small(VAE, 1, priors={"z": dist.Normal(10.0, 1.0)}))
    assert diagnose(pair, PATCHES) == []
    force(pair, "z", [-3.0], 0.3)
    assert len(diagnose(pair, PATCHES)) == 1


def test_a_standard_normal_spread_is_not_a_pile_up():
    """Locations with the prior's own spread are no finding; nothing here is left to chance."""
    pair = healthy(small(VAE, 1, priors=FIXED))
    head = pair.guide_module.heads["z"]
    with torch.no_grad():
        # One feature that is a standard Normal over these data.
        features = pair.encoder(PATCHES)
        spread = features.std(0)
        best = int(spread.argmax())
        head.weight[0, best] = 1 / spread[best]
        head.bias[0] = -features[:, best].mean() / spread[best]
    assert diagnose(pair, PATCHES) == []


def test_priors_without_a_width_are_passed_over():
    pair = small(VAE, 1, priors={"z": dist.Cauchy(0.0, 1.0)})
    force(pair, "z", [100.0], 3.0)
    assert diagnose(pair, PATCHES) == []


def test_angles_on_the_circle_have_nowhere_to_pile_up():
    pair = healthy(small(RVAE))
    turned = small(RVAE, priors={"angle": dist.VonMises(0.0, 20.0)})
    turned.guide_module.heads["z"] = pair.guide_module.heads["z"]
    with torch.no_grad():
        turned.guide_module.heads["angle"].weight.zero_()
        turned.guide_module.heads["angle"].bias.copy_(torch.tensor([-50.0, 0.0]))
    assert diagnose(turned, PATCHES) == []


def test_findings_become_warnings():
    pair = healthy(small(ShiftVAE))
    force(pair, "offset", [5.0, 0.0], 0.3)
    force(pair, "z", [0.0, 0.0], 1.0)
    with pytest.warns(LatentWarning) as caught:
        warn_about_latents(pair, PATCHES)
    assert [str(warning.message) for warning in caught] == diagnose(pair, PATCHES)
    assert len(caught) == 2


def test_latents_of_a_learned_frame_are_never_saturated():
    pair = healthy(small(VAE))
    force(pair, "z", [2.7, 0.0], 0.3)
    assert diagnose(pair, PATCHES) == []


class Given(Content):
    """Latents whose prior the site computes."""

    def prior_given(self, values):
        return dist.Normal(torch.full((2,), 10.0), 3.0).to_event(1)


@pytest.mark.parametrize(
    ("location", "width", "found"),
    [(10.0, 1.0, None), (10.0, 3.0, "collapsed"), (0.0, 1.0, "beyond 2.5 prior widths")],
)
def test_what_a_site_computes_is_the_prior(location, width, found):
    pair = small(VAE, priors={"z": Given(2)})
    force(pair, "z", [location, location], width)
    findings = diagnose(pair, PATCHES)
    assert len(findings) == (found is not None)
    assert all(found in finding for finding in findings)
