"""Tensors have the shapes that annotations say, in every model and both guides.

By jaxtyping and beartype, in a process of its own: every call is checked, which makes the small
models of these tests twice as slow or more, and the whole suite would be. So trainings, which call
the same functions a hundred times, are left out.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WITH_CHECKS = os.environ | {"PYROSHIFT_CHECK_SHAPES": "1", "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("files", "which"),
    [
        (
            ["model/test_contract.py"],
            "(brightness or scales) and gaussian-canvas and not training",
        ),
        (["model/test_pose.py", "model/test_decoders.py"], ""),
        (
            ["guides/test_vector.py", "guides/test_bins.py", "guides/test_refinement.py"],
            "not (at_a_maximum or scipys or whatever_the_prior or cell_of or bernoulli or student)"
            " and not (of_any_prior and not HalfNormal)",
        ),
    ],
    ids=["models", "pose", "guides"],
)
def test_shapes_are_as_annotated(files, which, pytestconfig):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += ["-p", "no:xdist", "-k", which, *(str(HERE / file) for file in files)]
    for ignored in pytestconfig.getoption("pythonwarnings") or ():  # of this run, for that one
        command += ["-W", ignored]
    done = subprocess.run(
        command, env=WITH_CHECKS, cwd=HERE.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


WRONG = """
import sys
sys.path.insert(0, {here!r})
from checked import check_shapes
check_shapes()
import torch
from pyroshift.model.pose import unshift
unshift(torch.zeros(3, 5, 4, 2), torch.zeros(3, {axes}))
"""


@pytest.mark.parametrize(("axes", "told"), [(2, False), (1, True)])
def test_other_shapes_are_told(axes, told):
    code = WRONG.format(here=str(HERE), axes=axes)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE.parent, capture_output=True, text=True, check=False
    )
    assert ("TypeCheckError" in done.stderr) is told
