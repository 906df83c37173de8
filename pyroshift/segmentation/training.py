"""Training of the segmenting network."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from pyroshift.errors import DataError, SpecificationError, TrainingError
from pyroshift.model.parts import seed_all
from pyroshift.segmentation.labelled import Labelled
from pyroshift.segmentation.network import UNet
from pyroshift.segmentation.scaling import SPACING
from pyroshift.segmentation.segmenter import Segmenter
from pyroshift.segmentation.simulation import Simulated, Source

_STEEPEST = 1.0  # norm that gradients are clipped to
_WARM_UP = 0.1  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class Options:
    """How a segmenter is trained, checked.

    Args:
        steps: steps of the optimiser.
        batch_size: images per step.
        size: their height and width in pixels.
        learning_rate: the highest one.
        seed: of all random numbers.

    Raises:
        SpecificationError: if one makes no sense.
    """

    steps: int
    batch_size: int
    size: int
    learning_rate: float
    seed: int

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("size", 16), ("seed", 0)):
            value = getattr(self, name)
            if not (isinstance(value, int | np.integer) and value >= least):
                raise SpecificationError(f"{name}={value!r} must be a whole number from {least} up")
        if not 0 < self.learning_rate < math.inf:
            raise SpecificationError(f"learning_rate={self.learning_rate!r} must be more than 0")

    def rate(self, step: int) -> float:
        """The learning rate of a step: up in a line, then down along half a cosine."""
        risen = (step + 1) / max(1.0, _WARM_UP * self.steps)
        fallen = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.learning_rate * min(risen, fallen)


def train_segmenter(
    images: Any = None,
    atoms: Any = None,
    *,
    dark: bool = False,
    start: Segmenter | None = None,
    steps: int = 2000,
    batch_size: int = 4,
    size: int = 112,
    learning_rate: float = 3e-3,
    seed: int = 0,
    progress: bool = True,
) -> Segmenter:
    """Train a network to tell atoms from all else, on simulated micrographs or on labelled images.

    Every simulated image is another one, so that there is nothing to overfit: neighbours 5.2 to
    13.6 pixels apart, in square, hexagonal and honeycomb lattices of up to three sublattices, with
    grains, edges, vacancies, drift, jitter, uneven light, counting and noise. Pieces of labelled
    images are brought to 6.6 pixels between atoms, turned by quarters and mirrored.

    Ctrl-C ends the training, and what has been learnt is returned.

    Args:
        images: height x width, or frame x height x width; None: simulated micrographs.
        atoms: all atoms in the images: a Dataset as `find_atoms` gives it, or positions in pixels,
            `atom x 2` (y, x) or `atom x 3` (frame, y, x).
        dark: whether the atoms in the images are darker than what is around them.
        start: a segmenter to go on from, such as `load_segmenter()`; None: start anew.
        steps: steps of the optimiser.
        batch_size: images per step.
        size: their height and width in pixels.
        learning_rate: the highest one; it rises, then falls along a cosine to nothing.
        seed: of the initial weights and of the images drawn.
        progress: whether to show a progress bar.

    Returns:
        The segmenter, with ``history``: ``loss`` over ``step``, binary cross-entropy per pixel.

    Raises:
        DataError: if the images or the atoms can't be used.
        ImportError: if there are labelled images, and the extra `atoms` isn't installed.
        SpecificationError: if an option makes no sense.
        TrainingError: if the loss is no longer a number.

    Example:
        >>> segmenter = train_segmenter(steps=2, batch_size=1, size=32, progress=False)
        >>> segmenter.history.loss.sizes["step"]
        2
    """
    options = Options(steps, batch_size, size, learning_rate, seed)
    if (images is None) != (atoms is None):
        raise DataError("labelled images need both: give images= and atoms=, or neither")
    if start is not None and start.spacing != SPACING:
        raise SpecificationError(
            f"start= has a spacing of {start.spacing}, but must have {SPACING}"
        )
    source: Source = Simulated() if images is None else Labelled(images, atoms, dark=dark)
    network = _network(start, options.seed)
    losses, stopped = _train(network, source, options, progress)
    history = xr.Dataset(
        {"loss": ("step", losses, {"long_name": "binary cross-entropy per pixel", "units": "nat"})},
        {"step": np.arange(1, len(losses) + 1)},
        {"stopped": stopped},
    )
    return Segmenter(network, history=history)


def _network(start: Segmenter | None, seed: int) -> UNet:
    """A copy of the network to go on from, or a new one."""
    with torch.random.fork_rng(devices=[]):
        seed_all(seed)
        if start is None:
            return UNet()
        network = UNet(start.network.widths, start.network.dilations)
    network.load_state_dict(start.network.state_dict())
    return network


def _train(
    network: UNet, source: Source, options: Options, progress: bool
) -> tuple[list[float], str]:
    """Train a network; the loss of each step, and why it ended."""
    rng = np.random.default_rng(options.seed)
    optimizer = torch.optim.Adam(network.parameters())
    losses: list[float] = []
    network.train()
    with tqdm(total=options.steps, unit="step", disable=not progress) as bar:
        try:
            for step in range(options.steps):
                pairs = [source.draw(rng, options.size) for _ in range(options.batch_size)]
                image, target = (torch.stack(part) for part in zip(*pairs, strict=True))
                optimizer.param_groups[0]["lr"] = options.rate(step)
                optimizer.zero_grad()
                loss = functional.binary_cross_entropy_with_logits(network(image), target)
                loss.backward()
                norm = clip_grad_norm_(network.parameters(), _STEEPEST)
                if not math.isfinite(norm.item()):
                    raise TrainingError(
                        f"the loss is no longer a finite number at step {step + 1}: try a learning "
                        f"rate of a tenth of {options.learning_rate:g}"
                    )
                optimizer.step()
                losses.append(loss.item())
                bar.set_postfix_str(f"loss {np.mean(losses[-50:]):.4f}", refresh=False)
                bar.update()
        except KeyboardInterrupt:
            if progress:
                bar.write(f"interrupted after {len(losses)} steps: what was learnt is kept")
            return losses, "interrupted"
    return losses, "completed"
