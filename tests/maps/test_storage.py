"""Saved models: they come back as they were, or not at all."""

import json
import math
import pickle
import zipfile
from collections import Counter

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

import pyroshift
from pyroshift import (
    RVAE,
    VAE,
    Angle,
    CanvasDecoder,
    Content,
    ConvolutionalEncoder,
    FullyConnectedEncoder,
    Gaussian,
    HeteroscedasticGaussian,
    Likelihood,
    NegativeBinomial,
    Offset,
    PatchELBO,
    PoseSite,
    PoseVAE,
    Scale,
    ShiftVAE,
    Site,
    SpatialDecoder,
    StudentT,
    VonMises,
    ZeroInflatedPoisson,
    load,
    save,
)
from pyroshift.errors import ModelFileError, SpecificationError
from pyroshift.model.distributions import ProjectedNormalAngle
from pyroshift.model.families import NormalFamily, ProjectedNormalFamily
from pyroshift.model.likelihoods import LIKELIHOODS


def small_model(**options):
    encoder = FullyConnectedEncoder((4,), (4,))
    decoder = CanvasDecoder((4,), 1, 0, (4,))
    return VAE((4,), latent_dim=1, encoder=encoder, decoder=decoder, **options)


def same(first, second):
    weights, others = first.state_dict(), second.state_dict()
    return (
        repr(first) == repr(second)
        and weights.keys() == others.keys()
        and all(torch.equal(weights[name], others[name]) for name in weights)
        and all(weights[name].dtype == others[name].dtype for name in weights)
    )


def reloaded(model, folder, **options):
    save(model, folder / "model.pt")
    return load(folder / "model.pt", **options)


def bound(model, x):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model.eval()  # in training, latents' frame follows them
        return PatchELBO().terms(model.sample_model, model.sample_guide, x).elbo


# Round trips (those of every model, likelihood and decoder are in the models' contract)


def test_all_options_come_back(tmp_path):
    model = RVAE(
        (9, 8),
        latent_dim=3,
        likelihood=Gaussian(0.125),
        encoder=ConvolutionalEncoder((9, 8), channels=(4, 6), features=10),
        decoder=SpatialDecoder((9, 8), 3, hidden=(5, 6, 7)),
        angle_scale=0.3,
        offsets=True,
        offset_scale=0.15,
        scales=True,
        scale_scale=0.2,
        seed=3,
        guide="normal",
    )
    found = reloaded(model, tmp_path)
    assert type(found) is RVAE
    assert same(found, model)
    assert not found.training
    assert found.window == (9, 8)
    assert found.likelihood.sigma == 0.125
    assert found.decoder.hidden == (5, 6, 7)
    assert [float(site.prior.stddev.max()) for site in found.sites[:2]] == pytest.approx(
        [0.15, 0.3]
    )
    x = torch.rand(3, 9, 8)
    assert torch.equal(bound(found, x), bound(model, x))


def mixture(components):
    return dist.MixtureSameFamily(dist.Categorical(torch.tensor([0.2, 0.8])), components)


PRIORS = [
    dist.Normal(0.1, 0.3),
    dist.Normal(torch.tensor([0.1, -1 / 3]), 0.3),
    dist.Normal(torch.zeros(2), 0.3).to_event(1),
    dist.Laplace(0.0, 0.3),
    dist.Cauchy(0.0, 0.3),
    dist.StudentT(3.0, 0.0, 0.3),
    dist.Uniform(-0.5, 0.5),
    dist.LogNormal(0.0, 0.1),
    dist.Gamma(2.0, 3.0),
    dist.HalfNormal(2.0),
    dist.Beta(2.0, 3.0),
    dist.Exponential(2.0),
    dist.Gumbel(0.0, 1.0),
    dist.Logistic(0.0, 1.0),
    dist.InverseGamma(3.0, 1.0),
    dist.Weibull(1.0, 2.0),
    dist.VonMises(0.3, 4.0),
    ProjectedNormalAngle(torch.tensor([1.0, 2.0])),
    dist.MultivariateNormal(torch.ones(2), torch.tensor([[0.3, 0.1], [0.1, 0.2]])),
    dist.LowRankMultivariateNormal(torch.ones(2), torch.ones(2, 1), torch.ones(2)),
    mixture(dist.Normal(torch.tensor([-1.0, 1.0]), 0.5)),
    mixture(dist.MultivariateNormal(torch.zeros(2, 2), torch.eye(2))),
    dist.ContinuousBernoulli(0.3),
    dist.TransformedDistribution(
        dist.Normal(0.0, 1.0), [dist.transforms.AffineTransform(1.0, torch.tensor([2.0, 3.0]))]
    ),
]


def parameter(*values):
    return nn.Parameter(torch.tensor(values[0] if len(values) == 1 else values))


LEARNED = [
    lambda: dist.Normal(0.0, parameter(0.5)),
    lambda: dist.Normal(parameter(0.1, 0.2), parameter(0.5, 0.6)).to_event(1),
    lambda: dist.Normal(0.0, parameter(0.5)).expand([2]).to_event(1),
    lambda: dist.StudentT(parameter(3.0), 0.0, parameter(1.0, 2.0)),
    lambda: dist.MultivariateNormal(parameter(0.0, 1.0), torch.eye(2)),
    lambda: mixture(dist.Normal(parameter(-1.0, 1.0), 0.5)),
    lambda: dist.TransformedDistribution(
        dist.Normal(0.0, 1.0), [dist.transforms.AffineTransform(parameter(1.0), 2.0)]
    ),
]


def shaken(model):
    """A model whose parameters are elsewhere than where they started."""
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return model


@pytest.mark.parametrize("prior", LEARNED)
def test_learned_priors_come_back_as_they_are_now(prior, tmp_path):
    site = Content(2, prior(), NormalFamily())
    model = shaken(PoseVAE((4, 4), [site], decoder=CanvasDecoder((4, 4), 2, 0, (4,))))
    found = reloaded(model, tmp_path)
    value, x = torch.rand(2), torch.rand(3, 4, 4)
    start = prior().log_prob(value).sum()
    expected, after = (site.prior.log_prob(value) for site in (site, found.sites[0]))
    assert torch.equal(after, expected)
    assert not torch.allclose(expected, start)
    assert torch.equal(bound(found, x), bound(model, x))
    again = reloaded(shaken(found), tmp_path / "again")
    assert torch.equal(bound(again, x), bound(found, x))
    PatchELBO().differentiable_loss(again.sample_model, again.sample_guide, x).backward()
    learned = list(again.sites[0].parameters())
    assert learned
    assert all(float(value.grad.abs().sum()) > 0 for value in learned)


class Mixture(nn.Module):
    """A prior of the user's own, which starts somewhere else every time."""

    def __init__(self, components=3):
        super().__init__()
        self.components = components
        self.loc = nn.Parameter(torch.randn(components, 2))
        self.weights = nn.Parameter(torch.zeros(components))

    def forward(self):
        return dist.MixtureSameFamily(
            dist.Categorical(logits=self.weights), dist.Normal(self.loc, 1.0).to_event(1)
        )


def test_priors_of_the_users_own_come_back(tmp_path):
    model = shaken(VAE((4, 4), priors={"z": Mixture(4)}))
    found = reloaded(model, tmp_path, classes=[Mixture])
    x = torch.rand(3, 4, 4)
    assert found.sites[0].given_prior.components == 4
    assert torch.equal(found.sites[0].given_prior.loc, model.sites[0].given_prior.loc)
    assert torch.equal(bound(found, x), bound(model, x))  # in the guide's units of then


@pytest.mark.parametrize("prior", PRIORS)
def test_priors_come_back(prior, tmp_path):
    model = PoseVAE((4, 4), [Content(2, prior, NormalFamily())])
    expected, found = model.sites[0].prior, reloaded(model, tmp_path).sites[0].prior
    assert type(found) is type(expected)
    assert found.event_shape == (2,)
    value = expected.sample()
    torch.testing.assert_close(found.log_prob(value), expected.log_prob(value))


def test_families_come_back(tmp_path):
    site = Angle(dist.Normal(0.0, 1.0), ProjectedNormalFamily())
    found = reloaded(PoseVAE((4, 4), [site, Content(1)]), tmp_path)
    assert isinstance(found.sites[0].family, ProjectedNormalFamily)
    assert isinstance(found.sites[1].family, NormalFamily)


class Shear(PoseSite):
    def __init__(self, width=0.1):
        self.width = width
        super().__init__("shear", dist.Normal(0.0, width), ())

    def transform(self, coordinates, value):
        y, x = coordinates.unbind(-1)
        return torch.stack((y, x - value.reshape(-1, 1, 1) * y), dim=-1)

    def reach(self, radius):
        return radius * (1 + 2 * self.width)


class LearnedContent(Content):
    def __init__(self, latent_dim=2):
        super().__init__(latent_dim)
        self.width = nn.Parameter(torch.tensor(0.7))

    def draw(self, values):
        return pyro.sample(self.name, dist.Normal(torch.zeros(2), self.width).to_event(1))


class Students(Likelihood):
    def __init__(self, df):
        super().__init__()
        self.df = df

    def distribution(self, output):
        return dist.StudentT(self.df, output, 0.1)


class MeanEncoder(nn.Module):
    def __init__(self, repeat, depth=(1, 2)):
        super().__init__()
        self.repeat, self.depth = repeat, depth

    def forward(self, x):
        return x.mean((1, 2)).unsqueeze(1).repeat(1, self.repeat)


class Blob(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, z, coordinates):
        return z[:, :1, None] * torch.exp(-coordinates.square().sum(-1) / self.width)


class OwnVAE(ShiftVAE):
    """A model class of the user's own."""


OWN = [Shear, LearnedContent, Students, MeanEncoder, Blob]


def own_model():
    return PoseVAE(
        (5, 6),
        [Offset(), Shear(0.2), LearnedContent(2)],
        likelihood=Students(3.5),
        encoder=MeanEncoder(7, depth=(3, 4)),
        decoder=Blob(0.25),
    )


@pytest.mark.parametrize(
    "likelihood",
    [
        StudentT(3.0, 0.2),
        HeteroscedasticGaussian(),
        NegativeBinomial(0.5),
        ZeroInflatedPoisson(0.3, per_pixel=True),
        VonMises(2 * math.pi),
        *(make() for make in LIKELIHOODS.values()),
    ],
    ids=repr,
)
def test_every_likelihood_comes_back(likelihood, tmp_path):
    model = VAE((5, 6), likelihood=likelihood)
    likelihood.prepare(0.0, 1.0, 0.4, 0.2)
    found = reloaded(model, tmp_path)
    assert same(found, model)
    assert repr(found.likelihood) == repr(likelihood)
    assert found.likelihood.maps == likelihood.maps


def test_parts_of_the_users_own_come_back(tmp_path):
    model = own_model()
    with torch.no_grad():
        model.sites[2].width.fill_(0.3)
    found = reloaded(model, tmp_path, classes=OWN)
    assert same(found, model)
    assert found.sites[1].width == 0.2
    assert float(found.sites[2].width.detach()) == pytest.approx(0.3)
    assert found.likelihood.df == 3.5
    assert (found.encoder.repeat, tuple(found.encoder.depth)) == (7, (3, 4))
    assert found.decoder.width == 0.25
    x = torch.rand(3, 5, 6)
    assert torch.equal(bound(found, x), bound(model, x))


def test_a_model_class_of_the_users_own_comes_back(tmp_path):
    model = OwnVAE((5, 6), latent_dim=3)
    found = reloaded(model, tmp_path, classes=[OwnVAE])
    assert type(found) is OwnVAE
    assert same(found, model)


@pytest.mark.parametrize("left_out", OWN, ids=lambda cls: cls.__name__)
def test_classes_of_the_users_own_must_be_handed_over(left_out, tmp_path):
    save(own_model(), tmp_path / "model.pt")
    classes = [cls for cls in OWN if cls is not left_out]
    with pytest.raises(ModelFileError, match=rf"classes=\[{left_out.__name__}\]"):
        load(tmp_path / "model.pt", classes=classes)


def test_a_plain_site_comes_back(tmp_path):
    model = PoseVAE((4, 4), [Site("nuisance", dist.Normal(0.0, 1.0), ()), Content(1)])
    assert same(reloaded(model, tmp_path), model)


def test_double_precision_comes_back(tmp_path):
    model = ShiftVAE((4, 4), guide="normal").double()
    found = reloaded(model, tmp_path)
    assert found.sites[0].prior.sample().dtype == torch.double
    assert same(found, model)
    assert found.sample_model(n=2).dtype == torch.double


def test_a_loaded_model_trains(tmp_path):
    model = reloaded(ShiftVAE((4, 4), guide="normal"), tmp_path)
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters())
    x = torch.rand(3, 4, 4)
    PatchELBO().differentiable_loss(model.sample_model, model.sample_guide, x).backward()
    optimizer.step()
    for name, value in model.named_parameters():
        assert not torch.equal(value, before[name]), name


def test_a_loaded_model_goes_to_a_device(tmp_path):
    save(ShiftVAE((4, 4), guide="normal"), tmp_path / "model.pt")
    found = load(tmp_path / "model.pt", device="meta")
    assert {parameter.device.type for parameter in found.parameters()} == {"meta"}
    assert found.sites[0].prior.sample().device.type == "meta"


def test_loading_leaves_the_random_state_alone(tmp_path, untouched):
    save(ShiftVAE((4, 4), guide="normal"), tmp_path / "model.pt")
    with untouched():
        load(tmp_path / "model.pt")


def test_saving_changes_nothing(tmp_path, untouched):
    model = ShiftVAE((4, 4), guide="normal")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with untouched():
        save(model, tmp_path / "model.pt")
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_file_tells_the_version_and_the_specification(tmp_path):
    save(ShiftVAE((4, 4), offset_scale=0.123, guide="normal"), tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    specification = json.loads(content["specification"])
    assert specification["pyroshift_version"] == pyroshift.__version__
    assert specification["class"] == "ShiftVAE"
    assert "0.123" in content["specification"]


# Where to


def test_an_existing_file_is_kept_unless_told(tmp_path):
    path = tmp_path / "model.pt"
    first, second = (
        ShiftVAE((4, 4), seed=1, guide="normal"),
        ShiftVAE((4, 4), seed=2, guide="normal"),
    )
    save(first, path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save(second, path)
    assert same(load(path), first)
    save(second, path, overwrite=True)
    assert same(load(path), second)
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_folders_are_made_and_strings_are_paths(tmp_path):
    path = tmp_path / "a" / "b" / "model"
    save(ShiftVAE((4, 4), guide="normal"), str(path))
    assert isinstance(load(str(path)), ShiftVAE)


# What can't be saved says so at once


def test_networks_without_arguments_are_not_saved(tmp_path):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 8))
    with pytest.raises(SpecificationError, match="Sequential can't be saved"):
        save(VAE((4, 4), encoder=encoder), tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []


class Heaped(dist.Normal):
    """A distribution of the user's own."""


@pytest.mark.parametrize(
    "prior",
    [
        Heaped(0.0, 1.0),
        dist.TransformedDistribution(dist.Normal(0.0, 1.0), [dist.transforms.ExpTransform().inv]),
    ],
)
def test_priors_that_cannot_be_written_down_are_not_saved(prior, tmp_path):
    with pytest.raises(SpecificationError, match="can't be saved: subclass its site"):
        save(PoseVAE((4, 4), [Content(2, prior, NormalFamily())]), tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []


class Forgetful(nn.Module):
    def __init__(self, width):
        super().__init__()

    def forward(self, z, coordinates):
        return z[:, :1, None] * coordinates[..., 0]


def test_parts_that_forget_their_arguments_are_not_saved(tmp_path):
    with pytest.raises(SpecificationError, match=r"\['width'\].*attributes"):
        save(VAE((4, 4), decoder=Forgetful(3)), tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []


class Doubling(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = 2 * width
        self.layer = nn.Linear(width, 1)

    def forward(self, z, coordinates):
        return z[:, :1, None] * coordinates[..., 0]


class Passing(CanvasDecoder):
    def __init__(self, *args, **options):
        super().__init__((4, 4), 2, *args, **options)


class Keeping(Blob):
    """A decoder that keeps whatever it was given."""


@pytest.mark.parametrize(
    ("decoder", "words"),
    [
        (Doubling(3), "built again.*size mismatch"),
        (Passing(hidden=(5,)), r"\['args', 'options'\]"),
        *((Keeping(value), "as an argument") for value in (torch.relu, nn.ReLU, {"a": 1}, 1j)),
    ],
)
def test_parts_that_would_come_back_otherwise_are_not_saved(decoder, words, tmp_path):
    with pytest.raises(SpecificationError, match=f"(?s)can't be saved.*{words}"):
        save(VAE((4, 4), decoder=decoder), tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []


def test_numpys_numbers_may_be_arguments(tmp_path):
    model = VAE((4, 4), decoder=Keeping(torch.ones(3).numpy().argmax() + 2))
    assert reloaded(model, tmp_path, classes=[Keeping]).decoder.width == 2


def test_modules_may_be_arguments(tmp_path):
    model = VAE((4, 4), decoder=Keeping(nn.Softplus(beta=2.0)))
    found = reloaded(model, tmp_path, classes=[Keeping, nn.Softplus])
    assert found.decoder.width.beta == 2.0


# Damaged files


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small model, and the bytes of its file."""
    path = tmp_path_factory.mktemp("saved") / "model.pt"
    with torch.random.fork_rng(devices=[]):
        model = small_model()
        save(model, path)
    return model, path.read_bytes()


@pytest.fixture(scope="module")
def outcomes(saved, tmp_path_factory):
    """What loading gives with one byte of the file changed, for bytes all over the file."""
    model, content = saved
    path = tmp_path_factory.mktemp("damaged") / "model.pt"
    found = Counter()
    for position in range(0, len(content), 5):
        damaged = bytearray(content)
        damaged[position] ^= (0xFF, 0x01, 0x20)[position % 3]
        path.write_bytes(damaged)
        try:
            with torch.random.fork_rng(devices=[]):
                loaded = load(path)
        except ModelFileError:
            found["refused"] += 1
        except Exception as error:
            found[f"{type(error).__name__} at byte {position}"] += 1
        else:
            found["same" if same(loaded, model) else "differs"] += 1
    return found


def test_a_changed_byte_raises_no_other_error(outcomes):
    assert outcomes.keys() <= {"refused", "same", "differs"}
    assert outcomes["refused"] > 100


def test_a_changed_byte_never_gives_another_model_in_silence(outcomes):
    assert outcomes["differs"] == 0


def test_truncated_files_are_refused(saved, tmp_path):
    _, content = saved
    path = tmp_path / "model.pt"
    for size in [*range(0, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(ModelFileError, match=r"model\.pt can't be read"):
            load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"not a model",
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        b"PK\x03\x04" + bytes(9),
    ],
    ids=["empty", "zeros", "text", "picture", "zip"],
)
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="can't be read as a model"):
        load(path)


def test_a_zip_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelFileError):
        load(tmp_path / "model.pt")


@pytest.mark.parametrize(
    "content",
    [torch.zeros(3), {"weights": {}}, {"format": "pyroshift model 2"}, [1, 2], None],
    ids=["tensor", "dict", "newer format", "list", "None"],
)
def test_other_torch_files_are_refused(content, tmp_path):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match="is no model"):
        load(tmp_path / "model.pt")


def test_what_is_no_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model"):
        load(tmp_path / "missing.pt")
    with pytest.raises(FileNotFoundError, match="no model"):
        load(tmp_path)


# Altered files


class Payload:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("place", ["plain pickle", "torch file", "in the weights"])
def test_a_payload_is_not_run(saved, place, tmp_path):
    path, mark = tmp_path / "model.pt", tmp_path / "ran"
    if place == "plain pickle":
        path.write_bytes(pickle.dumps(Payload(mark)))
    elif place == "torch file":
        torch.save(Payload(mark), path)
    else:
        path.write_bytes(saved[1])
        content = torch.load(path, weights_only=True)
        content["weights"]["payload"] = Payload(mark)
        torch.save(content, path)
    with pytest.raises(ModelFileError):
        load(path)
    assert not mark.exists()


def altered(saved, path, alter):
    """Load the saved model with its specification changed in place, or replaced."""
    path.write_bytes(saved[1])
    content = torch.load(path, weights_only=True)
    specification = json.loads(content["specification"])
    content["specification"] = json.dumps(alter(specification) or specification)
    torch.save(content, path)
    return load(path)


def test_an_unaltered_specification_loads(saved, tmp_path):
    assert same(altered(saved, tmp_path / "model.pt", lambda specification: None), saved[0])


def arguments_of(specification, *names):
    for name in names:
        specification = specification["arguments"][name]
    return specification


ALTERATIONS = {
    "class unknown": lambda s: s.update({"class": "Popen"}),
    "class is no model": lambda s: s.update({"class": "CanvasDecoder"}),
    "class is no name": lambda s: s.update({"class": ["VAE"]}),
    "class missing": lambda s: {"arguments": s["arguments"]},
    "arguments missing": lambda s: {"class": s["class"]},
    "argument unknown": lambda s: s["arguments"].update({"colour": "red"}),
    "encoder unknown": lambda s: arguments_of(s, "encoder").update({"class": "subprocess.Popen"}),
    "encoder is a site": lambda s: s["arguments"].update(
        {"encoder": {"class": "Content", "arguments": {}}}
    ),
    "encoder is a number": lambda s: s["arguments"].update({"encoder": 3}),
    "encoder's argument unknown": lambda s: arguments_of(s, "encoder")["arguments"].update(
        {"command": "ls"}
    ),
    "other window": lambda s: s["arguments"].update({"window": [5]}),
    "window of nothing": lambda s: s["arguments"].update({"window": []}),
    "window of text": lambda s: s["arguments"].update({"window": "four"}),
    "no sites": lambda s: s["arguments"].update({"sites": []}),
    "sites are numbers": lambda s: s["arguments"].update({"sites": [1, 2]}),
    "wider network": lambda s: arguments_of(s, "decoder")["arguments"].update({"hidden": [5]}),
    "negative margin": lambda s: arguments_of(s, "decoder")["arguments"].update({"margin": -1}),
    "a list": lambda s: [s],
    "a word": lambda s: "VAE",
}


@pytest.mark.parametrize("alter", ALTERATIONS.values(), ids=ALTERATIONS)
def test_altered_specifications_are_refused(saved, alter, tmp_path):
    with pytest.raises(ModelFileError, match=r"model\.pt"):
        altered(saved, tmp_path / "model.pt", alter)


def prior_of(specification):
    return specification["arguments"]["sites"][0]["arguments"]["prior"]


@pytest.mark.parametrize(
    "change",
    [
        {"distribution": "Foo"},
        {"distribution": "torch"},
        {"distribution": "kl_divergence"},
        {"distribution": "Distribution"},
        {"distribution": None},
        {"arguments": {"skew": 1.0}},
        {"arguments": {}},
        {"arguments": None},
    ],
    ids=str,
)
def test_altered_priors_are_refused(saved, change, tmp_path):
    with pytest.raises(ModelFileError):
        altered(saved, tmp_path / "model.pt", lambda s: prior_of(s).update(change))


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "load"},
        {"dtype": "nn"},
        {"dtype": "nothing"},
        {"dtype": None},
        {"tensor": "text"},
        {"tensor": [1.0, [2.0]]},
        {"tensor": [-1.0]},
        {"tensor": [math.nan]},
    ],
    ids=str,
)
def test_altered_tensors_of_a_prior_are_refused(saved, change, tmp_path):
    def alter(specification):
        normal = prior_of(specification)["arguments"]["base_distribution"]
        assert normal["distribution"] == "Normal"
        normal["arguments"]["scale"].update(change)

    with pytest.raises(ModelFileError):
        altered(saved, tmp_path / "model.pt", alter)


@pytest.mark.parametrize("text", ["", "{", "null", "3", "[]", "{}"])
def test_specifications_that_are_none_are_refused(saved, text, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(saved[1])
    content = torch.load(path, weights_only=True)
    torch.save(content | {"specification": text}, path)
    with pytest.raises(ModelFileError, match="holds no valid model"):
        load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: {},
        lambda weights: {**weights, "more": torch.zeros(3)},
        lambda weights: dict(list(weights.items())[:-1]),
        lambda weights: {name: value.reshape(-1)[:1] for name, value in weights.items()},
        lambda weights: small_model().to(torch.double).decoder.state_dict(),
        lambda weights: None,
        lambda weights: list(weights.values()),
    ],
    ids=["none", "more", "fewer", "other shapes", "of a part", "None", "list"],
)
def test_weights_of_another_model_are_refused(saved, change, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(saved[1])
    content = torch.load(path, weights_only=True)
    torch.save(content | {"weights": change(content["weights"])}, path)
    with pytest.raises(ModelFileError, match="holds no valid model"):
        load(path)


def test_a_scale_site_comes_back(tmp_path):
    model = PoseVAE((4, 4), [Scale(dist.LogNormal(0.1, 0.2)), Content(1)])
    assert same(reloaded(model, tmp_path), model)
