"""What a search varies."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroshift.errors import SpecificationError
from pyroshift.search.space import Space, build_space

SHAPES = st.lists(st.integers(1, 4), max_size=4)


@given(SHAPES)
def test_every_combination_once(shape):
    space = Space({f"axis {number}": tuple(range(size)) for number, size in enumerate(shape)})
    settings = {tuple(space.settings(point).values()) for point in space}
    assert len(list(space)) == len(space) == len(settings) == math.prod(shape)
    assert settings == set(np.ndindex(*shape))


@given(SHAPES)
def test_along_axes_meets_every_value(shape):
    space = Space({f"axis {number}": tuple(range(size)) for number, size in enumerate(shape)})
    points = list(space.along_axes())
    assert len(points) == len(set(points)) == 1 + sum(size - 1 for size in shape)
    for axis, size in enumerate(shape):
        assert {point[axis] for point in points} == set(range(size))


def test_values_become_plain():
    space = build_space(
        np.geomspace(0.1, 10, 3), [1], {"latent_dim": np.array([1, 2]), "window": [20, [24, 30]]}
    )
    assert space.labels() == {
        "initial": [0.1, 1.0, 10.0], "final": [1.0], "latent_dim": [1, 2], "window": [20, "24x30"],
    }  # fmt: skip
    assert all(
        type(value) in (int, float, str) for axis in space.labels().values() for value in axis
    )


@pytest.mark.parametrize(
    ("initial", "vary", "told"),
    [
        ([], None, r"initial=\[\] can't be searched: give a list"),
        (1.0, None, "initial=1.0 can't be searched"),
        ([0.0], None, "initial=0.0 is no KL weight"),
        ([math.nan], None, "initial=nan can't be searched"),
        (["a"], None, "initial='a' is no KL weight"),
        ([1, 1], None, "has a value twice"),
        ([1], {"decoder": "canvas"}, "decoder='canvas' can't be searched: give a list"),
        ([1], {"decoder": [object()]}, "finite numbers or text"),
        ([1], {"final": [1]}, "no settings to vary"),
    ],
)
def test_axes_that_make_no_sense(initial, vary, told):
    with pytest.raises(SpecificationError, match=told):
        build_space(initial, [1], vary)
