"""What every likelihood must satisfy."""

import copy

import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import Distribution

from pyroshift.model.likelihood import Likelihood
from pyroshift.testing.report import (
    Check,
    Report,
    require,
    require_close,
    require_gradient,
    require_mean,
    run,
)
from pyroshift.testing.subject import likely_data, output_shape, prepare

_SAMPLES = 20_000


def check_likelihood(likelihood: Likelihood) -> Report:
    """Everything that a likelihood of one's own must satisfy.

    Args:
        likelihood: the likelihood; it stays as it is.

    Returns:
        What was checked.

    Raises:
        CheckError: if anything doesn't hold, with all that does not.

    Example:
        >>> from pyroshift import Poisson
        >>> print(check_likelihood(Poisson()).subject)
        Poisson
    """
    return run(type(likelihood).__name__, LIKELIHOOD_CHECKS, likelihood)


def _prepared(likelihood: Likelihood) -> tuple[Likelihood, Tensor]:
    twin = copy.deepcopy(likelihood)
    x = likely_data(copy.deepcopy(likelihood), (6, 5, 4))
    prepare(twin, x)
    return twin, x


def _output(likelihood: Likelihood, x: Tensor) -> Tensor:
    """Of an imagined decoder, at random."""
    return torch.randn(output_shape(likelihood, tuple(x.shape)))


def _alike(likelihood: Likelihood, output: Tensor) -> Tensor:
    """One number per pixel as the output of every map, if there are several."""
    return output if likelihood.maps is None else torch.stack([output] * likelihood.maps, -1)


def _distribution(trace: poutine.Trace) -> Distribution:
    return trace.nodes["x"]["fn"]  # type: ignore[return-value]


def _makes_the_observed_site(likelihood: Likelihood) -> None:
    twin, x = _prepared(likelihood)
    for shape in (x.shape, x.flatten(1).shape):
        data = x.reshape(shape)
        trace = poutine.trace(twin).get_trace(_output(twin, data), data)
        require(trace.observation_nodes == ["x"], f"it observes {trace.observation_nodes}, not x")
        log_prob = _distribution(trace).log_prob(data)
        require(log_prob.shape == (6,), f"log_prob has shape {tuple(log_prob.shape)}, not (6,)")
        require(bool(torch.isfinite(log_prob).all()), "log_prob is infinite or no number")


def _samples_are_possible_data(likelihood: Likelihood) -> None:
    twin, x = _prepared(likelihood)
    drawn = twin(_output(twin, x)).detach()
    require(drawn.shape == x.shape, f"without data it draws {tuple(drawn.shape)}")
    twin.check(float(drawn.min()), float(drawn.max()))


def _mean_is_that_of_its_samples(likelihood: Likelihood) -> None:
    twin, _ = _prepared(likelihood)
    output = _alike(twin, torch.linspace(-1, 1, 5))
    distribution = twin.distribution(output)
    if not bool(torch.isfinite(distribution.variance).all()):
        return
    samples, mean = distribution.sample((_SAMPLES,)), twin.mean(output).detach()
    if twin.statistics is None:
        require_mean(samples, mean, "the mean")
        return
    # Of phases it is the direction of the mean vector: across it there is nothing left.
    seen, expected = twin.standardize(samples), twin.standardize(mean)
    along = (seen * expected).sum(-1, keepdim=True) / expected.square().sum(-1, keepdim=True)
    require(bool((along.mean(0) >= 0).all()), "the mean is opposite to that of its samples")
    require_mean(seen - along * expected, torch.zeros_like(expected), "the mean's direction")


def _starts_at_the_datas_mean(likelihood: Likelihood) -> None:
    twin, x = _prepared(likelihood)
    output = _alike(twin, torch.zeros(1))
    if twin.statistics is None:
        seen, found = x.flatten().unsqueeze(-1), twin.mean(output)
    else:
        seen = twin.standardize(x).flatten(0, -2)
        found = twin.standardize(twin.distribution(output).sample((_SAMPLES,))).flatten(0, -2)
        found = found.mean(0)
    mean = seen.mean(0)
    require(
        bool(((found - mean).abs() < 0.5 * seen.std(0)).all()),
        f"an output of 0 means {_text(found)}, but the data's mean is {_text(mean)}",
    )


def _text(values: Tensor) -> str:
    return ", ".join(f"{value:.3g}" for value in values.tolist())


def _score_is_the_derivative(likelihood: Likelihood) -> None:
    twin, x = _prepared(likelihood)
    twin, x = twin.double(), x.double()
    output, step = 0.5 * _output(twin, x).double(), 1e-4
    slopes = []
    for direction in step * torch.eye(twin.maps or 1).double():
        change = direction if twin.maps is not None else step
        above, below = (twin.distribution(output + s * change).log_prob(x) for s in (1, -1))
        slopes.append((above - below) / (2 * step))
    expected = slopes[0] if twin.maps is None else torch.stack(slopes, -1)
    require_close(twin.score(x, output), expected, "the score", 1e-3)


def _score_is_zero_in_the_mean(likelihood: Likelihood) -> None:
    twin, _ = _prepared(likelihood)
    output = _alike(twin, torch.linspace(-1, 1, 5).expand(_SAMPLES, 5))
    support = twin.distribution(output[:1]).support
    x = twin.distribution(output).sample()
    # Binary cross entropy takes grey levels, of which there is no density to sum over.
    if support is None or bool(support.check(x).all()):
        score = twin.score(x, output)
        require_mean(score, torch.zeros(score.shape[1:]), "the score of its own samples")


def _information_is_positive(likelihood: Likelihood) -> None:
    twin, _ = _prepared(likelihood)
    output = _alike(twin, torch.linspace(-3, 3, 13))
    found = twin.information(output)
    require(found.shape == output.shape, f"information has shape {tuple(found.shape)}")
    require(bool((torch.isfinite(found) & (found > 0)).all()), "information must be positive")


def _natural_parameters_are_finite(likelihood: Likelihood) -> None:
    twin, x = _prepared(likelihood)
    output = _alike(twin, torch.linspace(-3, 3, 13))
    several = () if twin.statistics is None else (twin.statistics,)
    for part, shape in zip(twin.natural(output), ((13, *several), (13,)), strict=True):
        require(part.shape == shape, f"natural gives shape {tuple(part.shape)}, not {shape}")
        require(bool(torch.isfinite(part).all()), "natural gives infinities or no numbers")
    for name, seen in (("statistic", twin.statistic(x)), ("standardize", twin.standardize(x))):
        require(seen.shape == (*x.shape, *several), f"{name} gives shape {tuple(seen.shape)}")
    if twin.statistics is not None:
        return
    ends = twin.statistic(torch.stack([x, x + 1, x + 2]))
    require_close(ends[1] * 2, ends[0] + ends[2], "the statistic must be affine in the data")


def _measures_the_first_data_only(likelihood: Likelihood) -> None:
    twin, x = _prepared(likelihood)
    prepare(twin, x[:2])
    require_close(twin.location, x.mean(), "the location, after more data")
    require_close(twin.spread, x.std(), "the spread, after more data")


def _state_holds_all(likelihood: Likelihood) -> None:
    twin, x = _prepared(likelihood)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.1)
    other = copy.deepcopy(likelihood)
    other.load_state_dict(twin.state_dict())
    output = _output(twin, x)
    found, expected = (each.distribution(output).log_prob(x) for each in (other, twin))
    require_close(found, expected, "the density, with the weights of another")


def _gradients_reach_every_parameter(likelihood: Likelihood) -> None:
    twin, x = _prepared(likelihood)
    output = _output(twin, x).requires_grad_()
    (-twin.distribution(output).log_prob(x).sum()).backward()
    wanted = [("the output", output), *twin.named_parameters()]
    for name, parameter in wanted:
        require_gradient(name, parameter)


def _moves_to_double_precision(likelihood: Likelihood) -> None:
    twin, x = _prepared(likelihood)
    found = twin.double().distribution(_output(twin, x).double()).log_prob(x.double())
    require(found.dtype == torch.double, f"after .double(), log_prob is {found.dtype}")


def _repr_is_readable(likelihood: Likelihood) -> None:
    text = repr(likelihood)
    require(type(likelihood).__name__ in text, f"repr doesn't name the class: {text}")


LIKELIHOOD_CHECKS = (
    Check("it makes the observed site x", _makes_the_observed_site),
    Check("samples are possible data", _samples_are_possible_data),
    Check("the mean is that of its samples", _mean_is_that_of_its_samples),
    Check("an output of 0 is the data's mean", _starts_at_the_datas_mean),
    Check("the score is the derivative of the log likelihood", _score_is_the_derivative),
    Check("the score of its own samples is 0 in the mean", _score_is_zero_in_the_mean),
    Check("information is positive", _information_is_positive),
    Check("natural parameters are finite, the statistic affine", _natural_parameters_are_finite),
    Check("the first data set location and spread", _measures_the_first_data_only),
    Check("its state holds all that it has learned", _state_holds_all),
    Check("gradients reach every parameter", _gradients_reach_every_parameter),
    Check("double precision", _moves_to_double_precision),
    Check("repr is readable", _repr_is_readable),
)
