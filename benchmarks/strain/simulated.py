"""Images of lattices whose displacement is known at every place, and so their strain."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from benchmarks.common.metrics import Array

SIDE, PERIOD, WIDTH = 256, 12.0, 2.0  # pixels
PIXEL = 0.03  # nm
NOISE = 0.3  # of an atom's brightness, at each pixel
DOSE = 8.0  # counts at the middle of an atom, in images of the second kind
JITTER = 0.5  # pixels, by which a scan line is off along itself
POISSON = 0.3

# What is seen at a place (..., axis) is displaced by; and its gradient there, ..., component, axis.
Field = Callable[[Array], Array]


@dataclass(frozen=True)
class Scene:
    """An image, what is true of it, and where its lattice is.

    Args:
        image: with coordinates in nm.
        move: displacement in pixels, of positions in pixels where it is seen.
        vectors: of the lattice before the displacement, vector x axis, pixels.
        cores: of dislocations, and their Burgers vectors, (y, x, b_y, b_x) in pixels.
    """

    image: xr.DataArray
    move: Field
    vectors: Array
    cores: Array

    def gradient(self, places: Array) -> Array:
        """The displacement's gradient, place x component x axis, by central differences."""
        step = 1e-4 * np.eye(2)
        return np.stack(
            [(self.move(places + move) - self.move(places - move)) / 2e-4 for move in step], -1
        )


def smooth(rng: np.random.Generator) -> tuple[Field, Array]:
    """Strains and rotations of up to some 2%, that change over half of the image."""
    phases, waves = rng.uniform(0, 2 * np.pi, (2, 3)), rng.normal(0, 1, (2, 3, 2))
    waves *= (
        2
        * np.pi
        / SIDE
        * rng.uniform(0.7, 1.5, (2, 3, 1))
        / np.linalg.norm(waves, axis=-1, keepdims=True)
    )

    def move(places: Array) -> Array:
        along = np.einsum("...a,cka->...ck", places, waves) + phases
        return 0.012 * (np.sin(along) / np.linalg.norm(waves, axis=-1)).sum(-1)

    return move, np.empty((0, 4))


def step(rng: np.random.Generator) -> tuple[Field, Array]:
    """A film on a substrate: from one column on, the lattice is 3% longer along x."""
    start = SIDE * rng.uniform(0.45, 0.55)

    def move(places: Array) -> Array:
        y, x = np.moveaxis(places, -1, 0)
        beyond = np.maximum(x - start, 0)
        return np.stack([0.0 * y, 0.03 * beyond], -1)

    return move, np.empty((0, 4))


def dislocations(rng: np.random.Generator) -> tuple[Field, Array]:
    """Two edge dislocations of opposite Burgers vectors along x, above each other."""
    middle = SIDE / 2 + rng.uniform(-8, 8, 2)
    cores = middle + np.array([[-45, 0], [45, 0]])
    burgers = np.array([PERIOD, -PERIOD])

    def move(places: Array) -> Array:
        moved = np.zeros(places.shape)
        for core, length in zip(cores, burgers, strict=True):
            y, x = np.moveaxis(places - core, -1, 0)
            square = np.maximum(x**2 + y**2, 1e-9)
            share = length / (2 * np.pi)
            moved[..., 1] += share * (np.arctan2(y, x) + x * y / (2 * (1 - POISSON) * square))
            moved[..., 0] -= (
                share
                / (4 * (1 - POISSON))
                * ((1 - 2 * POISSON) * np.log(square / PERIOD**2) + (x**2 - y**2) / square)
            )
        return moved

    return move, np.column_stack([cores, 0 * burgers, burgers])


FIELDS = {"smooth": smooth, "step": step, "dislocations": dislocations, "scan noise": smooth}


def scene(case: str, seed: int, held_out: bool = False) -> Scene:
    """One image of a case.

    Args:
        case: which displacement.
        seed: of all that is drawn.
        held_out: whether it is one of the second kind: hexagonal, with atoms of another width, and
            noise of counts on a background, from other seeds.
    """
    rng = np.random.default_rng([seed, held_out])
    move, cores = FIELDS[case](rng)
    turn = rng.uniform(-0.1, 0.1) if not len(cores) else 0.0
    cell = np.array([[np.sqrt(3) / 2, 0.5], [0.0, 1.0]]) if held_out else np.eye(2)
    vectors = PERIOD * cell @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    width = 0.8 * WIDTH if held_out else WIDTH
    jitter = rng.normal(0, JITTER, SIDE) if case == "scan noise" else np.zeros(SIDE)
    pixels = picture(positions(move, vectors, rng), jitter, width)
    if held_out:
        pixels = rng.poisson(DOSE * (0.3 + pixels)).astype(float)
    else:
        pixels += rng.normal(0, NOISE, pixels.shape)
    coords = {name: (name, PIXEL * np.arange(SIDE), {"units": "nm"}) for name in "yx"}
    return Scene(xr.DataArray(pixels, coords, ("y", "x")), move, vectors, cores)


def positions(move: Field, vectors: Array, rng: np.random.Generator) -> Array:
    """Where the sites of the lattice are seen, as seen - move(seen) is one of them."""
    reach = int(1.2 * SIDE / PERIOD)
    cells = np.indices((2 * reach + 1,) * 2).reshape(2, -1).T - reach
    ideal = SIDE / 2 + (cells + rng.uniform(size=2)) @ vectors
    seen = ideal
    for _ in range(200):  # slowly, as branches of a multivalued field attract each other
        seen = seen + 0.5 * (ideal + move(seen) - seen)
    found = np.abs(ideal + move(seen) - seen).max(1) < 1e-3
    seen = seen[found & (np.abs(seen - SIDE / 2) < SIDE / 2 + 4 * WIDTH).all(1)]
    return apart(seen)


def apart(seen: Array) -> Array:
    """Without the sites that a cut of the field shows twice."""
    distance = np.linalg.norm(seen[:, None] - seen, axis=-1)
    again = np.tril(distance < 0.6 * PERIOD, -1).any(1)
    return seen[~again]


def picture(atoms: Array, jitter: Array, width: float) -> Array:
    """Gaussian atoms, each scan line off along itself by a jitter."""
    rows = np.exp(-0.5 * ((np.arange(SIDE)[:, None] - atoms[:, 0]) / width) ** 2)
    found = np.empty((SIDE, SIDE))
    for row in range(SIDE):
        near = rows[row] > 1e-4
        along = np.arange(SIDE)[:, None] + jitter[row] - atoms[near, 1]
        found[row] = np.exp(-0.5 * (along / width) ** 2) @ rows[row, near]
    return found
