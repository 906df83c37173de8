"""What every model/guide pair must satisfy, whatever its sites, likelihood, decoder and guide."""

import copy
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor

from pyroshift.data.patches import Patches
from pyroshift.errors import DataError, LatentWarning
from pyroshift.maps.storage import load, save
from pyroshift.model.classes import Discrete, Flip
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import evaluating, seed_all
from pyroshift.testing.report import (
    Check,
    CheckError,
    Report,
    require,
    require_close,
    require_gradient,
    run,
)
from pyroshift.testing.subject import Subject, loss_of, step
from pyroshift.training.elbo import PatchELBO
from pyroshift.training.fit import fit


def check_model(
    make: Callable[..., PoseVAE],
    *,
    data: Callable[[int], Tensor] | None = None,
    classes: tuple[type, ...] = (),
) -> Report:
    """Everything that a model of one's own must satisfy.

    Args:
        make: makes a model, called with `seed=`: its class, or `functools.partial` of it.
        data: draws as many windows as it is told to; by default bright spots, in grey levels from
            0 to 1 or in counts.
        classes: classes of your own that the model is made of, beside its own class.

    Returns:
        What was checked.

    Raises:
        CheckError: if anything doesn't hold, with all that does not.

    Example:
        >>> from functools import partial
        >>> from pyroshift import ShiftVAE
        >>> print(check_model(partial(ShiftVAE, 8)).subject)
        ShiftVAE
    """
    kind = type(make(seed=0))
    return run(kind.__name__, MODEL_CHECKS, Subject(make, (kind, *classes), data))


def _state(model: PoseVAE) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _loss(model: PoseVAE, x: Tensor) -> Tensor:
    """The loss for fixed noise, as of a model in use: in training, a guide may move the frame."""
    with evaluating(model), torch.random.fork_rng(), torch.no_grad():
        seed_all(3)
        return loss_of(model, x)


def _same(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    return [name for name in first if torch.equal(first[name], second[name])]


def _value(trace: poutine.Trace, name: str) -> Tensor:
    return trace.nodes[name]["value"]  # type: ignore[return-value]


def _every_site_is_drawn_with_its_shape(subject: Subject) -> None:
    x = subject.windows()
    model = subject.prepared(x)
    traces = {
        "model": poutine.trace(model.model).get_trace(x),
        "guide": poutine.trace(model.guide).get_trace(x),
        "prior": poutine.trace(model.model).get_trace(n=4),
    }
    shapes = {site.name: (4, *site.event_shape) for site in model.sites}
    for which, trace in traces.items():
        drawn = {name for name in trace.stochastic_nodes if name in shapes}
        require(drawn == set(shapes), f"the {which} draws {sorted(drawn)}, not {sorted(shapes)}")
        for name, shape in shapes.items():
            found = _value(trace, name).shape
            require(found == shape, f"the {which} draws {name} of {tuple(found)}, not {shape}")
        observed = set(trace.observation_nodes)
        expected = {"x"} if which == "model" else set()
        require(observed == expected, f"the {which} observes {sorted(observed)}")
    shape = tuple(_value(traces["prior"], "x").shape)
    require(shape == (4, *model.shape), f"data from the prior have shape {shape}")


def _every_parameter_gets_a_gradient(subject: Subject) -> None:
    x = subject.windows()
    model = subject.prepared(x)
    loss_of(model, x).backward()
    for name, parameter in model.named_parameters():
        require_gradient(name, parameter)


def _the_bound_is_of_each_patch(subject: Subject) -> None:
    x = subject.windows()
    model = subject.prepared(x)
    for count in (1, 4):
        terms = PatchELBO().terms(model.sample_model, model.sample_guide, x[:count])
        require(terms.elbo.shape == (count,), f"the bound has shape {tuple(terms.elbo.shape)}")
        require(bool(torch.isfinite(terms.elbo).all()), "the bound is infinite or no number")
        for name, divergence in terms.kl.items():
            require(divergence.shape == (count,), f"KL of {name}: {tuple(divergence.shape)}")


def _the_summary_is_of_each_patch(subject: Subject) -> None:
    x = subject.windows()
    model = subject.prepared(x).eval()
    together = model.guide_module.summary(model, x)
    for site in model.given_sites:
        if isinstance(site, Discrete):
            probability = together[f"{site.name}_probability"]
            if isinstance(site, Flip):  # of which one number tells both probabilities
                probability = torch.stack([1 - probability, probability], 1)
            found = tuple(probability.shape)
            name, wanted = f"{site.name}_probability", (4, site.count)
            require(found == wanted, f"summary: {name} is {found}, not {wanted}")
            require_close(probability.sum(1), torch.ones(4), f"the sum of {name}")
            require(bool((probability >= 0).all()), f"summary: {name} is negative somewhere")
            continue
        for name in (site.name, f"{site.name}_std"):
            require(name in together, f"the summary has no {name}")
            shape, expected = tuple(together[name].shape), (4, *site.event_shape)
            require(shape == expected, f"summary: {name} is {shape}, not {expected}")
        require(bool((together[f"{site.name}_std"] > 0).all()), f"{site.name}_std must be positive")
    alone = model.guide_module.summary(model, x[2:3])
    for name, value in alone.items():
        require_close(value[0], together[name][2], f"{name} of a patch on its own", 1e-3)


def _evaluating_moves_nothing(subject: Subject) -> None:
    x = subject.windows()
    model = subject.prepared(x).eval()
    before = _state(model)
    with torch.no_grad():
        loss_of(model, x)
        model.guide_module.summary(model, x)
    moved = set(before) - set(_same(before, model.state_dict()))
    require(not moved, f"in evaluation mode it moves {sorted(moved)}")


def _a_few_steps_lower_the_loss(subject: Subject) -> None:
    x = subject.windows(8)
    model = subject.prepared(x)

    def losses() -> Tensor:
        with evaluating(model), torch.no_grad():
            return torch.stack([loss_of(model, x) for _ in range(10)])

    before = losses()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(3):
        for _ in range(20):
            loss_of(model, x).backward()
            optimizer.step()
            optimizer.zero_grad()
        after = losses()
        error = float(before.std() + after.std()) / 10**0.5
        fall = float(before.mean() - after.mean())
        if fall > 6 * error:  # beyond doubt, with steps to spare
            break
    require(fall > 3 * error, f"after 60 steps the loss has fallen by {fall:.3g} ± {error:.2g}")


def _the_seed_alone_sets_the_weights(subject: Subject) -> None:
    state = torch.get_rng_state()
    first, again, other = (_state(subject.make(seed=seed)) for seed in (5, 5, 6))
    require(torch.equal(torch.get_rng_state(), state), "making one moves torch's random state")
    different = set(first) - set(_same(first, again))
    require(not different, f"the same seed gives others of {sorted(different)}")
    require(len(_same(first, other)) < len(first), "every seed gives the same weights")


def _pyros_store_stays(subject: Subject) -> None:
    x = subject.windows()
    model = subject.prepared(x)
    before = set(pyro.get_param_store().keys())
    step(model, x)
    model.sample_model(n=3)
    require(
        set(pyro.get_param_store().keys()) == before,
        "sample_model and sample_guide enter parameters into Pyro's store",
    )


def _a_copy_trains_on_its_own(subject: Subject) -> None:
    x = subject.windows()
    model = subject.prepared(x)
    clone = copy.deepcopy(model)
    require_close(_loss(clone, x), _loss(model, x), "the loss of a copy")
    before = _state(model)
    step(clone, x)
    moved = set(before) - set(_same(before, model.state_dict()))
    require(not moved, f"training a copy moves {sorted(moved)} of the model")


def _saved_and_loaded_it_is_the_same(subject: Subject) -> None:
    x = subject.windows()
    model = subject.prepared(x)
    step(model, x)
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder) / "model.pt")
        loaded = load(Path(folder) / "model.pt", classes=subject.classes)
    require(type(loaded) is type(model), f"it comes back as a {type(loaded).__name__}")
    require(repr(loaded) == repr(model), f"it comes back as {loaded!r}")
    require(torch.equal(_loss(loaded, x), _loss(model, x)), "it comes back with another loss")
    found, expected = (each.guide_module.summary(each.eval(), x) for each in (loaded, model))
    require(found.keys() == expected.keys(), f"its summary comes back with {sorted(found)}")
    different = [name for name in found if not torch.equal(found[name], expected[name])]
    require(not different, f"its summary comes back with others of {different}")


def _training_resumes(subject: Subject) -> None:
    x = subject.windows(12)
    model = subject.make(seed=0)
    channel = ("channel",) if model.channels else ()
    axes = ("y", "x")[-len(model.window) :]
    patches = Patches.from_array(
        x.numpy(), len(axes), ("patch", *channel, *axes), channel_dim="channel"
    )
    whole, stopped, resumed = (subject.make(seed=0) for _ in range(3))
    options: dict[str, Any] = {"batch_size": 4, "seed": 1, "progress": False, "schedule": None}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", LatentWarning)
        checkpoint = Path(folder) / "run.ckpt"
        fit(whole, patches, epochs=2, **options)
        fit(stopped, patches, epochs=1, checkpoint=checkpoint, **options)
        fit(resumed, patches, epochs=2, checkpoint=checkpoint, **options)
    expected = _state(whole)
    different = set(expected) - set(_same(expected, resumed.state_dict()))
    require(not different, f"a training that was stopped ends with others of {sorted(different)}")


def _repr_is_readable(subject: Subject) -> None:
    model = subject.make(seed=0)
    text = repr(model)
    parts = (model, *model.sites, model.likelihood, model.encoder, model.decoder)
    for part in (*parts, model.guide_module, *(site.family for site in model.given_sites)):
        require(type(part).__name__ in text, f"repr doesn't name {type(part).__name__}")
    require(" object at 0x" not in text, "repr tells an address")


def _other_data_are_refused(subject: Subject) -> None:
    model = subject.make(seed=0)
    wrong = torch.rand(4, *(size + 1 for size in model.window))
    for call in (model.model, model.guide, model.sample_model, model.sample_guide):
        try:
            call(wrong)
        except DataError:
            continue
        raise CheckError(f"{call.__name__} takes windows of another size")
    try:
        model.guide()
    except DataError:
        return
    raise CheckError("guide() without data tells nothing")


def _moves_to_double_precision(subject: Subject) -> None:
    x = subject.windows().double()
    model = subject.prepared(x).double()
    loss = loss_of(model, x)
    loss.backward()
    require(loss.dtype == torch.double, f"after .double(), the loss is {loss.dtype}")
    for name, parameter in model.named_parameters():
        require_gradient(name, parameter)


MODEL_CHECKS = (
    Check("every site is drawn with its shape", _every_site_is_drawn_with_its_shape),
    Check("every parameter gets a gradient", _every_parameter_gets_a_gradient),
    Check("the bound is of each patch", _the_bound_is_of_each_patch),
    Check("the summary is of each patch", _the_summary_is_of_each_patch),
    Check("evaluating moves nothing", _evaluating_moves_nothing),
    Check("a few steps lower the loss", _a_few_steps_lower_the_loss),
    Check("the seed alone sets the weights", _the_seed_alone_sets_the_weights),
    Check("Pyro's parameter store stays as it is", _pyros_store_stays),
    Check("a copy trains on its own", _a_copy_trains_on_its_own),
    Check("saved and loaded it is the same", _saved_and_loaded_it_is_the_same),
    Check("training resumes to the same result", _training_resumes),
    Check("repr is readable", _repr_is_readable),
    Check("data of another window are refused", _other_data_are_refused),
    Check("double precision", _moves_to_double_precision),
)
