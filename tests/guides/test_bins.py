"""Bins of poses: where they lie, what they weigh, and the mixture that they make of a prior."""

import math

import pyro.distributions as dist
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pyroshift import RVAE, Angle, Content, Offset, PoseVAE, Scale, ShiftVAE
from pyroshift.errors import SpecificationError
from pyroshift.guides.bins import POSE, Binned, PoseBins

TURN = math.pi / 18


def bins_of(*sites, window=(16, 16), pitch=1, turn=TURN):
    return PoseBins(sites, window, pitch, turn)


def every(bins):
    return torch.arange(math.prod(bins.shape))


def possible(bins):
    return torch.isfinite(bins.log_mass)


def density(bins, site, values):
    """Of the mixture that the bins make of a site's prior, `value`."""
    binned = Binned(site, bins)
    components = binned.prior_given({POSE: every(bins)})
    return (components.log_prob(values.unsqueeze(1)) + bins.log_mass).logsumexp(1).exp()


# Where they lie


@pytest.mark.parametrize(("window", "pitch"), [((16,), 1), ((17,), 1), ((40,), 2), ((12,), 3)])
def test_offsets_are_whole_steps_from_the_centre(window, pitch):
    site = Offset(dist.Uniform(-0.5, 0.5), ndim=1)
    bins = bins_of(site, window=window, pitch=pitch)
    pixels = bins.centre("offset", every(bins))[:, 0] * window[0] / 2
    torch.testing.assert_close(pixels / pitch, (pixels / pitch).round())
    torch.testing.assert_close(pixels.diff(), torch.full((len(pixels) - 1,), float(pitch)))
    assert float(pixels.max()) == pytest.approx(window[0] / 4, abs=pitch / 2 + 1e-4)
    assert bool(possible(bins).all())


def test_every_angle_goes_with_every_offset():
    bins = bins_of(Offset(dist.Uniform(-0.25, 0.25)), Angle(dist.Uniform(-0.5, 0.5)))
    count, number = math.prod(bins.shape), every(bins)
    offset, angle = bins.centre("offset", number), bins.centre("angle", number)
    poses = torch.cat((angle.unsqueeze(1), offset), 1)
    assert len(poses.unique(dim=0)) == count == len(bins.log_mass)
    assert bins.shape == (6, 5, 5)
    assert bins.event_shape == ()


def test_angles_go_all_the_way_round():
    bins = bins_of(Angle(dist.Uniform(-math.pi, math.pi)))
    angles = bins.centre("angle", every(bins))
    assert bins.shape == (36, 1, 1)
    assert bins.circular_angles
    torch.testing.assert_close(angles.diff(), torch.full((35,), TURN))
    assert float(angles[0]) == pytest.approx(TURN / 2 - math.pi)
    torch.testing.assert_close(bins.log_mass, torch.full((36,), -math.log(36)))
    assert not bins_of(Angle(dist.Uniform(-1.5, 1.5))).circular_angles


@pytest.mark.parametrize("turn", [0.1, 0.3, 1.0, math.pi])
def test_neighbouring_angles_are_at_most_a_turn_apart(turn):
    for prior in (dist.Uniform(-math.pi, math.pi), dist.Uniform(-0.7, 0.4), dist.Normal(0.2, 0.3)):
        bins = bins_of(Angle(prior), turn=turn)
        angles = bins.centre("angle", every(bins))
        assert bins.turn <= turn + 1e-6
        assert bool((angles.diff() <= turn + 1e-6).all())


@pytest.mark.parametrize("concentration", [1e-30, 1e-8, 1e-4])
def test_a_flat_prior_on_the_circle_has_bins_all_the_way_round(concentration):
    bins = bins_of(Angle(dist.VonMises(0.3, concentration)))
    assert bins.shape == (36, 1, 1)
    assert bins.circular_angles
    torch.testing.assert_close(bins.log_mass, torch.full((36,), -math.log(36)), rtol=0, atol=1e-3)


FULL_CIRCLES = [dist.Uniform(0.0, 2 * math.pi), dist.Uniform(-4.0, 2 * math.pi - 4)]


@pytest.mark.parametrize("prior", FULL_CIRCLES)
def test_a_full_circle_may_begin_anywhere(prior):
    bins = bins_of(Angle(prior))
    assert bool(possible(bins).all())
    assert len(bins.log_mass) == 36


@pytest.mark.parametrize("prior", [dist.VonMises(math.pi, 4.0), dist.Normal(3.0, 0.5)])
def test_priors_across_the_cut_keep_both_sides(prior):
    bins = bins_of(Angle(prior))
    angles, weight = bins.centre("angle", every(bins)), bins.log_mass.exp()
    mean = torch.atan2((weight * angles.sin()).sum(), (weight * angles.cos()).sum())
    assert math.cos(float(mean) - float(prior.mean)) > 0.999


@pytest.mark.parametrize("symmetry", [2, 3, 4, 6])
def test_a_symmetry_leaves_one_cell(symmetry):
    site = Angle(dist.Uniform(-math.pi, math.pi), symmetry=symmetry)
    bins = bins_of(site)
    angles = bins.centre("angle", every(bins))[possible(bins)]
    assert bool(site.is_reduced(angles).all())
    assert len(angles) * bins.turn == pytest.approx(2 * math.pi / symmetry, rel=1e-5)


@pytest.mark.parametrize("prior", [dist.Normal(math.pi / 2, 0.3), dist.Uniform(0.0, math.pi / 2)])
def test_a_symmetry_goes_with_any_prior(prior):
    # The prior is as wide as a cell or less, wherever it lies: nothing of it is lost.
    bins = bins_of(Angle(prior, symmetry=4))
    angles, weight = bins.centre("angle", every(bins)), bins.log_mass.exp()
    around = (torch.exp(4j * angles) * weight).sum().abs()
    expected = torch.exp(4j * prior.sample((10_000,))).mean().abs()
    assert float(around) == pytest.approx(float(expected), abs=0.05)


def test_a_period_leaves_one_cell_of_signals():
    # As many bins as a period has pixels, however long, wherever pixels fall on the cell's ends.
    wrong = {}
    for window in range(8, 41):
        for period in range(2, window // 2 + 1):
            site = ShiftVAE((window,), period=period).given_sites[0]
            count = int(possible(bins_of(site, window=(window,))).sum())
            if count != period:
                wrong[window, period] = count
    assert wrong == {}


@pytest.mark.parametrize("window", [(16, 16), (14, 14), (16, 20)], ids=str)
@pytest.mark.parametrize(
    "period", [4, 5, 6, [[6, 0], [0, 4]], [[4, 4], [4, -4]], [[0, 6], [4, 3]], [[3, 1], [-1, 4]]],
    ids=str,
)  # fmt: skip
def test_a_period_leaves_one_cell_of_images(window, period):
    site = ShiftVAE(window, period=period).given_sites[0]
    bins = bins_of(site, window=window)
    area = period**2 if isinstance(period, int) else abs(torch.tensor(period).float().det())
    assert int(possible(bins).sum()) == pytest.approx(float(area))
    offsets = bins.centre("offset", every(bins))[possible(bins)]
    steps = torch.cartesian_prod(*[torch.arange(-1.0, 2.0)] * 2) @ site.vectors
    shortest = (offsets.unsqueeze(1) + steps).norm(dim=-1).amin(1)
    torch.testing.assert_close(offsets.norm(dim=-1), shortest)


def test_a_motif_that_is_in_no_bins_window_is_not_looked_for():
    bins = bins_of(Offset(dist.Normal(0.0, 5.0)))
    assert bins.shape == (1, 17, 17)
    assert float(bins.shifts.abs().max()) <= 1


@pytest.mark.parametrize("prior", [dist.Cauchy(0.0, 0.1), dist.StudentT(2.0, 0.0, 0.1)])
def test_priors_without_a_width_are_searched_over_the_whole_window(prior):
    assert bins_of(Offset(prior)).shape == (1, 17, 17)


def test_a_prior_in_one_bin_is_one_bin():
    bins = bins_of(Offset(dist.Uniform(0.01, 0.02)))
    assert bins.shape == (1, 1, 1)
    assert float(bins.log_mass) == 0


# What they weigh

PRIORS = {
    "Normal": dist.Normal(0.1, 0.2),
    "Uniform": dist.Uniform(-0.3, 0.45),
    "Laplace": dist.Laplace(0.0, 0.2),
    "one each": dist.Normal(torch.tensor([0.0, 0.1]), torch.tensor([0.1, 0.3])),
    "correlated": dist.MultivariateNormal(
        torch.zeros(2), torch.tensor([[0.05, 0.03], [0.03, 0.04]])
    ),
}


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_masses_are_as_the_priors_densities(prior):
    site = Offset(prior)
    bins = bins_of(site)
    torch.testing.assert_close(bins.log_mass.exp().sum(), torch.tensor(1.0))
    offset = bins.centre("offset", every(bins))
    inside = site.prior.support.check(offset) & possible(bins)
    expected = site.prior.log_prob(offset[inside])
    found = bins.log_mass[inside]
    torch.testing.assert_close(found - found[0], expected - expected[0], rtol=1e-4, atol=1e-4)


def test_masses_of_offset_and_angle_multiply():
    offset, angle = Offset(dist.Normal(0.0, 0.2)), Angle(dist.Normal(0.3, 0.4))
    both, one, other = bins_of(offset, angle), bins_of(offset), bins_of(angle)
    product = other.log_mass.unsqueeze(1) + one.log_mass
    torch.testing.assert_close(both.log_mass, product.flatten(), rtol=1e-4, atol=1e-4)


def test_the_mixture_of_a_uniform_prior_is_flat():
    site = Offset(dist.Uniform(-0.75, 0.75), ndim=1)
    found = density(bins_of(site, window=(32,)), site, torch.linspace(-0.6, 0.6, 501).unsqueeze(1))
    assert float(found.max() / found.min() - 1) < 0.03
    assert float(found.mean()) == pytest.approx(1 / 1.5, rel=0.05)


@pytest.mark.parametrize("prior", [dist.Normal(0.0, 0.2), dist.Laplace(0.1, 0.2)])
def test_the_mixture_is_the_prior_up_to_the_bins_width(prior):
    # To its fall at 2.5 widths: a Normal has 1.2% beyond them, and a Laplace 3%.
    site = Offset(prior, ndim=1)
    bins = bins_of(site, window=(64,))
    values = torch.linspace(-0.35, 0.35, 501)
    found = density(bins, site, values.unsqueeze(1))
    torch.testing.assert_close(found, prior.log_prob(values).exp(), rtol=0.08, atol=0.02)
    mass = density(bins, site, torch.linspace(-2, 2, 4001).unsqueeze(1)).sum() * 0.001
    assert float(mass) == pytest.approx(1, abs=1e-3)


# Neighbours


def test_neighbours_are_next_to_a_bin_and_go_round():
    site = Offset(dist.Uniform(-0.25, 0.25))
    bins = bins_of(site, Angle(dist.Uniform(-math.pi, math.pi)), turn=math.pi / 4)
    assert bins.shape == (8, 5, 5)
    pose = torch.tensor([0, 4 * 25 + 12, 7 * 25 + 24])  # a corner, the middle, the last corner
    found = bins.neighbours(pose)
    assert found.shape == (3, 200)
    assert found.sum(1).tolist() == [3 * 4, 3 * 9, 3 * 4]
    assert bool(found[torch.arange(3), pose].all())
    # The first angle is next to the last.
    assert bool(found[0, 7 * 25])
    assert bool(found[2, 24])
    middle = torch.unravel_index(found[1].nonzero().squeeze(1), bins.shape)
    assert [int(axis.min()) for axis in middle] == [3, 1, 1]
    assert [int(axis.max()) for axis in middle] == [5, 3, 3]


@pytest.mark.parametrize("prior", [dist.Uniform(-math.pi, math.pi), dist.Uniform(-1.5, 1.5)])
def test_neighbours_are_one_step_away_along_each_axis(prior):
    bins = bins_of(Offset(dist.Uniform(-0.25, 0.4)), Angle(prior), turn=0.5)
    poses = torch.cat((bins.centre("angle", every(bins)).unsqueeze(1) / bins.turn,
                       bins.centre("offset", every(bins)) * 8), 1)  # fmt: skip
    steps = (poses.unsqueeze(1) - poses).abs()
    if bins.circular_angles:
        steps[..., 0] = torch.minimum(steps[..., 0], bins.shape[0] - steps[..., 0])
    assert torch.equal(bins.neighbours(every(bins)), (steps < 1.5).all(-1))


class Largest(TorchDispatchMode):
    """Watches for the largest tensor that is made."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **kwargs or {})
        if isinstance(made, torch.Tensor):
            self.bytes = max(self.bytes, made.nbytes)
        return made


def test_nothing_larger_than_the_answer_is_made_to_find_neighbours():
    bins = bins_of(Offset(dist.Uniform(-0.5, 0.5)), Angle(dist.Uniform(-math.pi, math.pi)))
    with Largest() as largest:
        found = bins.neighbours(torch.arange(64))
    assert found.nbytes == 64 * math.prod(bins.shape)
    assert largest.bytes == found.nbytes


# As sites


def test_a_binned_site_is_drawn_about_its_bins_centre():
    model = RVAE(16, offsets=True, guide="anchor")
    pose, offset, angle, z = model.sites
    assert (pose.name, offset.name, angle.name, z.name) == ("pose", "offset", "angle", "z")
    number = torch.tensor([3, 700, 0])
    for site in (offset, angle):
        prior = site.prior_given({"pose": number})
        torch.testing.assert_close(prior.mean, pose.centre(site.name, number))
        assert prior.event_shape == site.event_shape
        assert float(prior.stddev.max()) == pytest.approx(site.width)
    assert offset.width == pytest.approx(0.5 / 8)
    assert angle.width == pytest.approx(0.5 * pose.turn)
    assert "angles=36" in repr(pose)


def test_a_binned_site_acts_as_the_site_itself():
    model = ShiftVAE((16, 16), period=4, guide="anchor")
    binned, site = model.sites[1], model.given_sites[0]
    assert binned.site is site
    value, grid = torch.randn(3, 2), torch.randn(3, 4, 4, 2)
    assert torch.equal(binned.transform(grid, value), site.transform(grid, value))
    assert torch.equal(binned.inverse(value), site.inverse(value))
    assert torch.equal(binned.reduce(value), site.reduce(value))
    assert binned.reach(1.0) == site.reach(1.0)


def test_the_margin_is_that_of_the_sites_themselves():
    for options in ({"offsets": True}, {"scales": True, "offsets": True}, {}):
        normal, anchor = (RVAE((9, 12), guide=guide, **options) for guide in ("normal", "anchor"))
        assert anchor.decoder.margin == normal.decoder.margin


def test_only_offsets_and_angles_are_binned():
    sites = [Offset(), Angle(), Scale(), Content(1)]
    model = PoseVAE((16, 16), sites, guide="anchor")
    assert model.given_sites == sites
    assert [type(site).__name__ for site in model.sites] == [
        "PoseBins", "Binned", "Binned", "Scale", "Content",
    ]  # fmt: skip
    assert [site.name for site in model.pose_sites] == ["offset", "angle", "scale"]


def test_bins_move_with_the_model():
    model = RVAE(16, offsets=True, guide="anchor").double()
    pose = model.sites[0]
    assert pose.log_mass.dtype == pose.shifts.dtype == pose.angles.dtype == torch.double
    assert model.sites[1].prior_given({"pose": torch.tensor([3])}).mean.dtype == torch.double
    moved = model.to("meta").sites[0]
    assert moved.log_mass.device.type == moved.shifts.device.type == "meta"


def test_bins_are_not_saved_but_made_again():
    saved = RVAE(16, guide="anchor").state_dict()
    assert not [name for name in saved if "site_modules" in name and ".frame." not in name]


def test_without_sites_there_are_no_bins():
    with pytest.raises(SpecificationError, match="neither"):
        PoseBins([], (16, 16), 1, TURN)


def test_what_is_known_of_a_sites_transform_is_known_of_it_binned():
    """Else poses would be carried through every pixel, at several times the cost."""
    model = RVAE(16, offsets=True, guide="anchor")
    offset, angle = (site for site in model.pose_sites if isinstance(site, Binned))
    assert (offset.affine, offset.shifts) == (True, True)
    assert (angle.affine, angle.shifts) == (True, False)
    assert model.affine

    class Lens(Offset):
        def transform(self, coordinates, value):
            moved = super().transform(coordinates, value)
            return moved * (1 + 0.1 * moved.square().sum(-1, keepdim=True))

    bent = PoseVAE((16, 16), [Lens(), Content(1)], guide="anchor")
    assert not bent.affine
    assert not any(site.shifts for site in bent.pose_sites)
