"""The data of the speed benchmark against the peers, the same for all packages."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.common.data import DATA
from benchmarks.common.metrics import Array
from benchmarks.common.run import Settings
from pyroshift import Patches, extract_patches, load_image, synthetic

GRAPHITE = DATA / "stm_graphite.tif"


@dataclass(frozen=True)
class Split:
    """The same data for all packages, grey levels in [0, 1].

    Args:
        training: sample x height x width, or sample x length.
        held_out: the same, of samples that no package trains on.
    """

    training: Array
    held_out: Array

    @property
    def window(self) -> tuple[int, ...]:
        """Shape of a sample."""
        return self.training.shape[1:]


class Portions:
    """Training data of which one portion after another passes for an epoch of `fit`.

    So its callbacks come several times per true epoch.

    Args:
        patches: all of them.
        count: of portions; what is left over waits for another order.
        seed: of the order, which is new for every pass.
    """

    def __init__(self, patches: Patches, count: int, seed: int) -> None:
        self.patches, self.count = patches, count
        self.generator = torch.Generator().manual_seed(seed)
        self.order, self.current = self._shuffled(), 0

    def __len__(self) -> int:
        """Patches in a portion."""
        return len(self.patches) // self.count

    def gather(self, index: Tensor) -> Tensor:
        """Some of the patches of the current portion."""
        return self.patches.gather(self.order[self.current * len(self) + index])

    def to(self, device: torch.device) -> "Portions":
        """The same, since all of this is measured where the data are."""
        return self

    def statistics(self) -> dict[str, float]:
        """Range, mean and spread of all patches."""
        return self.patches.statistics()

    def turn_over(self) -> None:
        """Go on to the next portion."""
        self.current = (self.current + 1) % self.count
        if self.current == 0:
            self.order = self._shuffled()

    def _shuffled(self) -> Tensor:
        return torch.randperm(len(self.patches), generator=self.generator)


def split(task: str, seed: int, settings: Settings) -> Split:
    """A task's data, a tenth of them, chosen at random, held out.

    Args:
        task: "motifs", "sines" or "lattice".
        seed: of the data and of the choice.
        settings: arguments of the task's generator.

    Raises:
        FileNotFoundError: if the task's measurement isn't there.
    """
    data = GENERATORS[task](seed, settings).astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(data))
    held_out, training = np.split(order, [len(data) // 10])
    return Split(data[training], data[held_out])


def _motifs(seed: int, settings: Settings) -> Array:
    return synthetic.motifs(seed=seed, **settings).patch.values.clip(0, 1)


def _sines(seed: int, settings: Settings) -> Array:
    signal = synthetic.sines(seed=seed, **settings).signal
    return Patches.from_array(signal, normalize="image").gather().numpy()


def _lattice(seed: int, settings: Settings) -> Array:
    """Windows of graphite by STM, each stretched to [0, 1]."""
    if not GRAPHITE.is_file():
        raise FileNotFoundError(f"there is no {GRAPHITE.name} in {GRAPHITE.parent}")
    patches = extract_patches(load_image(GRAPHITE), settings["window"], settings["step"])
    chosen = np.random.default_rng(seed).permutation(len(patches))[: settings["n"]]
    return patches.gather(torch.from_numpy(chosen)).numpy()


GENERATORS: dict[str, Callable[[int, Settings], Array]] = {
    "motifs": _motifs,
    "sines": _sines,
    "lattice": _lattice,
}
