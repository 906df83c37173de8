"""Sites: names, default priors, how each acts on coordinates, and sites of the user's own."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from pyroshift.errors import SpecificationError
from pyroshift.model import pose, sites
from pyroshift.model.families import (
    GuideFamily,
    NormalFamily,
    ProjectedNormalFamily,
    TransformedNormalFamily,
)
from pyroshift.model.pair import PoseVAE
from pyroshift.model.sites import Angle, Content, Offset, PoseSite, Scale
from pyroshift.model.vae import RVAE, ShiftVAE
from pyroshift.training.elbo import PatchELBO


class Shear(PoseSite):
    """A site of the user's own: rows slide along x in proportion to y."""

    def __init__(self, width=0.1):
        self.width = width
        super().__init__("shear", dist.Normal(0.0, width), ())

    def transform(self, coordinates, value):
        y, x = coordinates.unbind(-1)
        return torch.stack((y, x - value.reshape(-1, 1, 1) * y), dim=-1)

    def reach(self, radius):
        return radius * (1 + 2 * self.width)


class LongContent(Content):
    """Latents that vary more the further the motif is from the centre."""

    def prior_given(self, values):
        return dist.Normal(0.0, 1 + 10 * values["offset"].norm(dim=-1, keepdim=True)).to_event(1)


class LearnedContent(Content):
    """Latents whose prior's location and width are learned with the model."""

    def __init__(self, latent_dim=2):
        super().__init__(latent_dim)
        self.prior_loc = nn.Parameter(torch.zeros(latent_dim))
        self.prior_log_scale = nn.Parameter(torch.zeros(latent_dim))

    def prior_given(self, values):
        return dist.Normal(self.prior_loc, self.prior_log_scale.exp()).to_event(1)


def coordinates(batch=1):
    return pose.pixel_grid((6, 8)).expand(batch, 6, 8, 2)


def test_names_stand_once():
    names = (sites.OFFSET, sites.ANGLE, sites.SCALE, sites.CONTENT, sites.DATA)
    assert names == ("offset", "angle", "scale", "z", "x")
    built = [Offset(), Angle(), Scale(), Content()]
    assert [site.name for site in built] == list(names[:4])


@pytest.mark.parametrize(
    ("site", "event_shape", "mean", "stddev", "family"),
    [
        (Offset(), (2,), 0.0, 0.3, NormalFamily),
        (Offset(ndim=1), (1,), 0.0, 0.3, NormalFamily),
        (Angle(), (), 0.0, math.pi / math.sqrt(3), ProjectedNormalFamily),
        (Content(3), (3,), 0.0, 1.0, NormalFamily),
        (Scale(), (), math.exp(0.005), 0.10075, TransformedNormalFamily),
    ],
)
def test_default_priors(site, event_shape, mean, stddev, family):
    assert site.event_shape == event_shape
    torch.testing.assert_close(site.prior.mean, torch.full(event_shape, mean))
    torch.testing.assert_close(
        site.prior.stddev, torch.full(event_shape, stddev), rtol=2e-3, atol=0
    )
    assert type(site.family) is family


def test_each_site_acts_by_its_own_transform():
    grid = coordinates(2)
    offset, angle, scale = torch.randn(2, 2), torch.randn(2), torch.rand(2) + 0.5
    torch.testing.assert_close(Offset().transform(grid, offset), pose.unshift(grid, offset))
    torch.testing.assert_close(Angle().transform(grid, angle), pose.unrotate(grid, angle))
    torch.testing.assert_close(Scale().transform(grid, scale), pose.unscale(grid, scale))


@pytest.mark.parametrize(
    ("site", "reach"),
    [
        (Offset(), 1.75),
        (Offset(dist.Normal(torch.tensor([0.1, 0.2]), torch.tensor([0.1, 0.2]))), 1.5),
        (Offset(dist.Normal(0.0, 3.0)), 2.0),
        (Offset(dist.Cauchy(0.0, 0.1)), 2.0),
        (Angle(), 1.0),
        (Scale(dist.LogNormal(0.0, 0.1)), 1.201),
    ],
)
def test_how_far_a_window_looks(site, reach):
    assert site.reach(1.0) == pytest.approx(reach, rel=1e-3)


def test_a_computed_prior_tells_how_far_a_window_looks():
    class Far(Offset):
        def prior_given(self, values):
            return dist.Normal(0.0, 0.38).expand([2]).to_event(1)

    class Apart(Offset):
        def prior_given(self, values):
            return dist.Normal(values["z"], 0.1).to_event(1)

    assert Far().reach(1.0) == pytest.approx(1.95)
    assert Apart().reach(1.0) == pytest.approx(1.75)


def test_an_angle_prior_over_the_whole_circle_has_no_cut():
    assert type(Angle(dist.Uniform(-math.pi, math.pi)).family) is ProjectedNormalFamily
    assert type(Angle(dist.VonMises(0.0, 1.0)).family) is ProjectedNormalFamily
    assert type(Angle(dist.Uniform(-0.3, 0.3)).family) is TransformedNormalFamily


@pytest.mark.parametrize("latent_dim", [0, -1])
def test_content_needs_a_latent(latent_dim):
    with pytest.raises(SpecificationError, match="latent_dim"):
        Content(latent_dim)


def test_draw_is_a_sample_statement_within_the_plate():
    with pyro.poutine.trace() as tracer, pyro.plate("patches", 5):
        value = Offset().draw({})
    assert value.shape == (5, 2)
    assert tracer.trace.nodes["offset"]["fn"].batch_shape == (5,)


def test_a_site_is_drawn_given_those_before_it():
    trace = pyro.poutine.trace(PoseVAE((6, 8), [Offset(), LongContent(1)]).model).get_trace(n=5)
    distance = trace.nodes["offset"]["value"].norm(dim=-1, keepdim=True)
    torch.testing.assert_close(trace.nodes["z"]["fn"].stddev, 1 + 10 * distance)


def test_without_more_the_prior_is_what_was_given():
    for site in (Offset(), Angle(), Scale(), Content()):
        assert site.prior_given({}) is site.prior


# Poses that are alike


def test_the_inverse_undoes_the_transform():
    grid = coordinates(3)
    sites_and_values = [
        (Offset(), torch.randn(3, 2)),
        (Angle(), torch.randn(3)),
        (Scale(), torch.rand(3) + 0.5),
    ]
    for site, value in sites_and_values:
        there = site.transform(grid, value)
        torch.testing.assert_close(site.transform(there, site.inverse(value)), grid)


def test_without_a_period_or_symmetry_every_offset_stands_for_itself():
    offset = torch.tensor([[5.0, -3.0], [0.1, 0.2]])
    assert Offset().reduce(offset) is offset
    assert bool(Offset().is_reduced(offset).all())
    assert Offset().vectors is None
    scale = torch.tensor([0.1, 7.0])
    assert Scale().reduce(scale) is scale
    assert Scale().is_reduced(scale).tolist() == [True, True]


@pytest.mark.parametrize(
    ("period", "offset", "reduced"),
    [
        (0.5, [0.6, -0.3], [0.1, 0.2]),
        ([[0.5, 0.0], [0.0, 0.25]], [0.6, -0.3], [0.1, -0.05]),
        ([[0.4, 0.2], [-0.2, 0.4]], [0.5, 0.2], [0.1, 0.0]),
    ],
)
def test_offsets_of_a_lattice_are_called_by_the_shortest(period, offset, reduced):
    site, offset, reduced = Offset(period=period), torch.tensor([offset]), torch.tensor([reduced])
    torch.testing.assert_close(site.reduce(offset), reduced)
    assert site.is_reduced(torch.cat((offset, reduced))).tolist() == [False, True]


def test_offsets_of_periodic_signals_are_called_by_the_shortest():
    site = Offset(ndim=1, period=0.5)
    found = site.reduce(torch.tensor([[0.6], [-0.3], [0.2]]))
    torch.testing.assert_close(found, torch.tensor([[0.1], [0.2], [0.2]]))
    torch.testing.assert_close(Offset(ndim=1, period=[[0.5]]).reduce(found), found)


@pytest.mark.parametrize("symmetry", [1, 2, 3, 6])
def test_angles_are_called_by_the_smallest(symmetry):
    site, turn = Angle(symmetry=symmetry), 2 * math.pi / symmetry
    angle = torch.linspace(-10, 10, 101)
    found = site.reduce(angle)
    assert float(found.abs().max()) <= turn / 2 + 1e-6
    whole = (angle - found) / turn
    torch.testing.assert_close(whole, whole.round(), rtol=0, atol=1e-5)
    assert site.is_reduced(torch.tensor([0.45, -0.45, 0.55, -0.55]) * turn).tolist() == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "period",
    [0, 0.0, -0.5, -3, float("nan"), float("inf"), [0.5], [[0.5, 0.0]], [[0.5, 0.0], [1.0, 0.0]],
     [[0.0, 0.0], [0.0, 0.5]]],
    ids=str,
)  # fmt: skip
def test_periods_that_are_none_are_refused(period):
    with pytest.raises(SpecificationError, match="period"):
        Offset(period=period)


@pytest.mark.parametrize("symmetry", [0, -2, 1.5, "six", None])
def test_symmetries_that_are_none_are_refused(symmetry):
    with pytest.raises(SpecificationError, match="symmetry"):
        Angle(symmetry=symmetry)


@pytest.mark.parametrize("period", [5, [[5, 0], [0, 4]]], ids=str)
def test_a_models_period_is_in_pixels(period):
    model = ShiftVAE((16, 20), period=period)
    site = model.given_sites[0]
    expected = torch.tensor([[0.5, 0.0], [0.0, 0.5 if period == 5 else 0.4]])
    torch.testing.assert_close(site.vectors, expected)
    # No pose is lost: the prior is uniform over more than a cell.
    assert isinstance(site.prior.base_dist, dist.Uniform)
    corner = torch.tensor([0.25, 0.25 if period == 5 else 0.2])
    assert bool(torch.isfinite(site.prior.log_prob(corner)))


def test_a_models_own_prior_keeps_the_period():
    model = ShiftVAE((16,), period=4, priors={"offset": dist.Normal(0.0, 0.1)})
    assert float(model.given_sites[0].prior.stddev) == pytest.approx(0.1)
    assert float(model.given_sites[0].vectors) == 0.5


def test_a_models_symmetry():
    assert RVAE(8, symmetry=3).given_sites[0].symmetry == 3
    with pytest.raises(SpecificationError, match="symmetry"):
        RVAE(8, symmetry=0)


def test_the_prior_moves_with_the_site():
    site = Offset().double()
    assert site.prior.sample().dtype == torch.double
    model = PoseVAE((6, 8), [Offset(), Angle(), Scale(), Content(1)]).double()
    assert {site.prior.sample().dtype for site in model.sites} == {torch.double}
    assert {site.prior.sample().device.type for site in model.to("meta").sites} == {"meta"}


def test_repr_tells_prior_and_family():
    text = repr(Offset(dist.Laplace(0.0, 0.3)))
    assert "Laplace" in text
    assert "NormalFamily()" in text


# Sites of the user's own


def test_a_pose_site_of_the_users_own_is_drawn_applied_and_trained():
    model = PoseVAE((6, 8), [Offset(), Shear(0.2), Content(1)])
    x = torch.rand(3, 6, 8)
    values = {
        "offset": torch.zeros(2, 2),
        "shear": torch.tensor([0.0, 0.5]),
        "z": torch.ones(2, 1),
    }
    output = model.output(values)
    assert not torch.allclose(output[0], output[1])
    by_hand = Shear().transform(coordinates(), torch.tensor([0.5]))
    torch.testing.assert_close(output[1:], model.decoder(torch.ones(1, 1), by_hand))
    loss = PatchELBO().differentiable_loss(model.sample_model, model.sample_guide, x)
    loss.backward()
    assert bool((model.guide_module.heads["shear"].weight.grad != 0).any())
    assert model.guide_module.summary(model, x)["shear_std"].shape == (3,)


class Lens(Offset):
    """An offset seen through a lens, which bends rows and columns."""

    def transform(self, coordinates, value):
        moved = super().transform(coordinates, value)
        return moved * (1 + 0.3 * moved.square().sum(-1, keepdim=True))


def test_a_site_that_bends_is_evaluated_at_every_pixel():
    assert Offset.affine
    assert not Lens.affine
    assert not Lens.shifts
    model = PoseVAE((6, 8), [Lens(), Content(1)], decoder=Seen())
    values = {"offset": torch.randn(3, 2), "z": torch.zeros(3, 1)}
    grid = model.grid.expand(3, *model.grid.shape)
    torch.testing.assert_close(model.output(values), model.into_motif(grid, values).sum(-1))


class Seen(torch.nn.Module):
    """A decoder that shows the coordinates."""

    def forward(self, z, coordinates):
        return coordinates.sum(-1)


def test_the_canvas_covers_the_reach_of_the_users_site():
    def margin(shear):
        return PoseVAE((6, 8), [Shear(shear), Content(1)]).decoder.margin

    assert margin(0.5) > margin(0.01)


def test_a_learned_prior_gets_gradients_and_counts_in_the_bound():
    site = LearnedContent(2)
    model = PoseVAE((6, 8), [Offset(), site])
    x = torch.rand(3, 6, 8)
    terms = PatchELBO().terms(model.sample_model, model.sample_guide, x)
    (-terms.elbo).sum().backward()
    assert bool((site.prior_log_scale.grad != 0).all())
    with torch.no_grad():
        site.prior_loc.fill_(100.0)
    far = PatchELBO().terms(model.sample_model, model.sample_guide, x)
    # Two latents, each by 100 of their widths from a unit Normal: 2 x 100^2 / 2.
    torch.testing.assert_close(far.kl["z"], torch.full((3,), 1e4), rtol=0.02, atol=0)


def test_two_contents_are_decoded_side_by_side():
    other = sites.Content(1)
    other.name = "w"
    model = PoseVAE((6, 8), [Content(2), other])
    assert model.latent_dim == 3
    output = model.output({"z": torch.ones(1, 2), "w": torch.zeros(1, 1)})
    expected = model.decoder(torch.tensor([[1.0, 1.0, 0.0]]), coordinates())
    torch.testing.assert_close(output, expected)


def test_a_discrete_site_is_refused_with_what_to_do():
    class Any(GuideFamily):
        size = distribution = summary = None

    prior = dist.Categorical(torch.ones(3))
    with pytest.raises(SpecificationError, match=r"'class' is discrete.*Class site.*RelaxedOneHot"):
        PoseVAE((6, 8), [sites.Site("class", prior, (), Any()), Content(1)])
