"""Priors that learn: modules that make a distribution anew at every step."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution, Transform, constraints, transform_to

from pyroshift.errors import SpecificationError
from pyroshift.model.distributions import constructor_arguments, map_tensors
from pyroshift.model.families import elementwise

Replace = Callable[[str, Tensor, Any], Tensor]


class LearnedPrior(nn.Module):
    """A distribution some of whose arguments are parameters: trained, moved and saved.

    A site makes one of a prior that holds an `nn.Parameter`. Arguments that must stay positive, or
    in some other range, are learned by a free parameter of their own, which starts at the value
    given; the others by the very parameter given, or by one of their own where what is given is a
    view of a parameter, such as `width.expand(2)`. What the prior is now, a call tells.

    Args:
        initial: a Pyro distribution, also within `to_event`, `expand`, a mixture or a transform.
        learned: which arguments to learn, each as its name and shape; by default those that are
            an `nn.Parameter`.

    Raises:
        SpecificationError: if an argument that requires a gradient is computed from others.

    Example:
        >>> import pyro.distributions as dist, torch
        >>> prior = LearnedPrior(dist.Normal(0.0, nn.Parameter(torch.tensor([1.0, 2.0]))))
        >>> prior().stddev.detach(), [name for name, _ in prior.named_parameters()]
        (tensor([1., 2.]), ['free.scale'])
    """

    def __init__(
        self, initial: Distribution, learned: Sequence[tuple[str, Sequence[int]]] | None = None
    ) -> None:
        super().__init__()
        given: dict[str, tuple[Tensor, Any]] = {}

        def note(name: str, tensor: Tensor, constraint: Any) -> Tensor:
            given[name] = (tensor, constraint)
            return tensor.detach().clone()

        self.initial = _rebuilt(initial, note)
        leaves = {
            name: _leaf(name, tensor) for name, (tensor, _) in given.items() if tensor.requires_grad
        }
        if learned is None:
            learned = [(name, tuple(leaf.shape)) for name, leaf in leaves.items()]
        self.learned = learned
        self.free = nn.ParameterDict()
        for name, shape in learned:
            tensor, constraint = given[name]
            leaf = leaves[name] if name in leaves else _unexpanded(tensor, shape)
            self.free[name] = _freed(name, leaf, constraint)

    def forward(self) -> Distribution:
        """The distribution by the present parameters."""

        def current(name: str, tensor: Tensor, constraint: Any) -> Tensor:
            if name not in self.free:
                return tensor
            return transform_to(constraint)(self.free[name]).expand(tensor.shape)

        return _rebuilt(self.initial, current)

    def _apply(self, fn: Callable, recurse: bool = True) -> "LearnedPrior":
        super()._apply(fn, recurse)
        self.initial = map_tensors(self.initial, fn)
        return self

    def extra_repr(self) -> str:
        """The distribution that it started as, and what of it is learned."""
        return f"{self.initial}, learned={[name for name, _ in self.learned]}"


class PairedPrior(nn.Module, ABC):
    """A prior that is made of the pair that it is part of, such as of its guide's posteriors.

    It must not keep that as a submodule: the pair has it already.
    """

    @abstractmethod
    def start(self) -> Distribution:
        """What it is before there is a pair, which sets the units of guides."""

    @abstractmethod
    def bind(self, pair: Any, site: Any) -> None:
        """Take the pair up; called once, when that has its guide.

        Args:
            pair: a `pyroshift.PoseVAE`.
            site: the site whose prior this is.
        """


class Snapshot(nn.Module):
    """A distribution as it is now, fixed; its tensors are saved and moved with the model.

    Args:
        distribution: any.

    Example:
        >>> import pyro.distributions as dist, torch
        >>> Snapshot(dist.Normal(torch.zeros(2), 1.0)).double()().loc.dtype
        torch.float64
    """

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        tensors: list[Tensor] = []

        def note(tensor: Tensor) -> Tensor:
            tensors.append(tensor.detach().clone())
            return tensors[-1]

        self._structure = map_tensors(distribution, note)
        self._count = len(tensors)
        for number, tensor in enumerate(tensors):
            self.register_buffer(f"tensor_{number}", tensor)

    def forward(self) -> Distribution:
        """The distribution."""
        tensors = (getattr(self, f"tensor_{number}") for number in range(self._count))
        return map_tensors(self._structure, lambda _: next(tensors))


def started(prior: nn.Module) -> Distribution:
    """What a module's distribution is at first: what a call gives, unless it has a `start`.

    A module has one if its distribution isn't made of tensors alone, or isn't known before there
    is a model. It sets the units of guides.

    Args:
        prior: a module whose call gives a distribution.

    Example:
        >>> import pyro.distributions as dist
        >>> started(LearnedPrior(dist.Normal(0.0, 1.0))).stddev
        tensor(1.)
    """
    return prior.start() if hasattr(prior, "start") else prior()  # type: ignore[operator]


def learns(prior: Any) -> bool:
    """Whether a distribution holds a tensor that requires a gradient.

    Example:
        >>> import pyro.distributions as dist, torch
        >>> learns(dist.Normal(0.0, nn.Parameter(torch.tensor(1.0)))), learns(dist.Normal(0.0, 1.0))
        (True, False)
    """
    tensors: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    map_tensors(prior, note)
    return any(tensor.requires_grad for tensor in tensors)


def _rebuilt(value: Any, replace: Replace, name: str = "", constraint: Any = None) -> Any:
    """A distribution made anew of its constructor's arguments, with its tensors replaced."""
    if isinstance(value, Tensor):
        return replace(name, value, constraints.real if constraint is None else constraint)
    if isinstance(value, list | tuple):
        return [_rebuilt(item, replace, f"{name}_{at}") for at, item in enumerate(value)]
    if isinstance(value, Distribution):
        return type(value)(
            **{
                argument: _rebuilt(
                    getattr(value, attribute),
                    replace,
                    f"{name}_{argument}".removeprefix("_"),
                    _constraint(value, argument),
                )
                for argument, attribute in constructor_arguments(value).items()
            }
        )
    if isinstance(value, Transform):
        numbers = itertools.count()
        return map_tensors(
            value, lambda tensor: replace(f"{name}_{next(numbers)}", tensor, constraints.real)
        )
    return value


def _constraint(value: Distribution, argument: str) -> Any:
    """What an argument of a distribution has to obey."""
    if isinstance(type(value).arg_constraints, property):  # then it is another for other arguments
        return constraints.dependent
    return value.arg_constraints.get(argument)


def _leaf(name: str, tensor: Tensor) -> Tensor:
    """The parameter that an argument is, or is expanded from."""
    base = tensor if tensor._base is None else tensor._base
    if base.is_leaf and base.dim() <= tensor.dim():
        ones = (1,) * (tensor.dim() - base.dim()) + tuple(base.shape)
        fits = all(size in (1, full) for size, full in zip(ones, tensor.shape, strict=True))
        if fits and base.expand(tensor.shape).stride() == tensor.stride():
            return base
    raise SpecificationError(
        f"the prior's {name} requires a gradient, but is computed from a parameter: what it was "
        "computed by is gone after the first step. Give the nn.Parameter itself, as in "
        "Normal(0, parameter), which stays positive where it must; or as the prior a module of "
        "your own, whose forward() computes the distribution at every step"
    )


def _unexpanded(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The tensor of that shape which was expanded to this one."""
    tensor = tensor[(0,) * (tensor.dim() - len(shape))]
    for axis, size in enumerate(shape):
        tensor = tensor.narrow(axis, 0, size)
    return tensor


def _freed(name: str, leaf: Tensor, constraint: Any) -> nn.Parameter:
    """A parameter that may be any real number, for one that has to obey a constraint."""
    if elementwise(constraint) is constraints.real:
        return leaf if isinstance(leaf, nn.Parameter) else nn.Parameter(leaf.detach().clone())
    try:
        return nn.Parameter(transform_to(constraint).inv(leaf.detach()).clone())
    except NotImplementedError:
        raise SpecificationError(
            f"the prior's {name} can't be learned, since its range depends on other arguments: "
            "give as the prior a module of your own, whose forward() computes the distribution "
            "at every step"
        ) from None
