"""The peers' own trainings, timed, and their held-out losses by one evaluation for all.

The peers are no dependencies: `pip install --no-deps pyroved==0.3.0 atomai==0.8.1`.
"""

import math
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pyro
import torch
from torch import Tensor

from benchmarks.common.metrics import Array
from benchmarks.common.peer_packages import import_peer, pyroved
from benchmarks.common.run import Settings
from benchmarks.speed.peer_data import Split

# Samples of the posterior per held-out patch, by the same random numbers every time, so that the
# losses of neighbouring epochs compare.
PARTICLES = 2
# Patches evaluated at once: a coordinate network keeps all its layers at every pixel.
BATCH = 100


@dataclass
class Curve:
    """Held-out loss over the time of training, evaluation not counted.

    Args:
        method: package and decoder.
        portions: evaluations per epoch.
        seconds: of training until each evaluation, by the clock on the wall.
        processor_seconds: the same by the processor's, which other processes don't slow.
        losses: held-out negative ELBO at each evaluation, nats per pixel.
        agreement: the package's own last training loss over what the evaluation here says of the
            training data; NaN where that was not compared.
    """

    method: str
    portions: int = 1
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    agreement: float = math.nan

    def start(self) -> None:
        """Start the clocks: what follows is training."""
        self._started = perf_counter(), process_time()

    def until(self, loss: float) -> tuple[float, float, float]:
        """Processor's seconds, seconds and epochs until the held-out loss was at most this.

        NaN if it never was.
        """
        for index, found in enumerate(self.losses):
            if found <= loss:
                epochs = (index + 1) / self.portions
                return self.processor_seconds[index], self.seconds[index], epochs
        return math.nan, math.nan, math.nan

    def stop(self) -> None:
        """Stop the clocks and add what they say to the times so far."""
        wall, processor = perf_counter() - self._started[0], process_time() - self._started[1]
        self.seconds.append(wall + sum(self.seconds[-1:]))
        self.processor_seconds.append(processor + sum(self.processor_seconds[-1:]))


def train_pyroved(
    split: Split,
    seed: int,
    settings: Settings,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    target: float = -math.inf,
) -> Curve:
    """Train pyroVED's invariant VAE with its own defaults.

    Args:
        split: the data.
        seed: of the weights and of the training.
        settings: the task's, of which "turns", "latent_dim" and "peer_epochs" count.
        batch_size: its default.
        learning_rate: its default.
        target: held-out loss at which to stop.
    """
    data = torch.from_numpy(split.training)
    model, trainer, loader = pyroved(
        data, settings["latent_dim"], settings["turns"], seed, batch_size, learning_rate
    )
    curve = Curve("pyroVED")
    # Its own evaluation takes steps of the optimiser. This one only evaluates a Pyro bound.
    bound = pyro.infer.TraceMeanField_ELBO()

    def loss(x: Tensor) -> float:
        return bound.loss(model.model, model.guide, x)

    for _ in range(settings["peer_epochs"]):
        curve.start()
        trainer.step(loader)
        curve.stop()
        curve.losses.append(_unmoved(model, lambda: per_pixel(loss, split.held_out)))
        if curve.losses[-1] <= target:
            break
    own = trainer.loss_history["training_loss"][-1] / np.prod(split.window)
    curve.agreement = float(own / per_pixel(loss, split.training[:1000]))
    return curve


def train_atomai(split: Split, seed: int, settings: Settings) -> Curve:
    """Train AtomAI's rVAE with its own defaults, but the Bernoulli likelihood and this prior.

    Its likelihood is by default a Gaussian of width 1, and its angle's prior 0.1 wide: left so,
    its loss would be another quantity. It has no KL term for the angle's mean, but the evaluation
    here does, as a bound must.

    Args:
        split: the data, images.
        seed: of the training; the package's own initial weights don't follow it.
        settings: the task's, of which "latent_dim" and "peer_epochs" count.
    """
    absent = ("cv2", "torchvision", "torchvision.utils", "torchvision.models", "gpytorch",
              "mendeleev", "progressbar", "networkx")  # fmt: skip
    # Its cross-entropy calls numpy by a name that numpy 2 has dropped.
    vars(np).setdefault("product", np.prod)
    atomai = import_peer("atomai", "0.8.1", absent)
    model = atomai.models.rVAE(split.window, latent_dim=settings["latent_dim"], seed=seed)
    curve = Curve("AtomAI")

    def after_epoch(_: int) -> None:
        curve.stop()
        curve.losses.append(per_pixel(lambda x: _atomai_loss(model, x), split.held_out))
        curve.start()

    model.print_statistics = after_epoch
    with tempfile.TemporaryDirectory() as folder:  # it saves itself after every epoch
        curve.start()
        model.fit(
            split.training,
            loss="ce",
            rotation_prior=1.0,
            training_cycles=settings["peer_epochs"],
            filename=str(Path(folder) / "model"),
        )
    return curve


def per_pixel(loss: Callable[[Tensor], float], data: Array) -> float:
    """Mean loss per pixel of data, the random state of the training left as it is.

    Args:
        loss: negative ELBO summed over a batch, estimated by one sample of the posterior.
        data: sample x height x width, or sample x length.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        batches = torch.from_numpy(data).split(BATCH)
        total = sum(loss(x) for x in batches for _ in range(PARTICLES))
    return total / (PARTICLES * data.size)


def _atomai_loss(model: Any, x: Tensor) -> float:
    """Negative ELBO of a batch: Bernoulli, standard Normal priors, closed-form KL terms."""
    mean, log_stddev = model.encoder_net(x)
    posterior = torch.distributions.Normal(mean, log_stddev.exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    latent = posterior.sample()
    coordinates = sys.modules["atomai"].utils.transform_coordinates(
        model.x_coord.expand(len(x), *model.x_coord.shape),
        latent[:, 0],
        (latent[:, 1:3] * model.dx_prior).unsqueeze(1),
    )
    logits = model.decoder_net(coordinates, latent[:, 3:])
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return float(entropy + torch.distributions.kl_divergence(posterior, prior).sum())


def _unmoved(model: torch.nn.Module, evaluate: Callable[[], float]) -> float:
    """What an evaluation gives, once it is sure that no weight was moved by it."""
    before = [parameter.detach().clone() for parameter in model.parameters()]
    result = evaluate()
    if not all(map(torch.equal, before, model.parameters())):
        raise AssertionError("the evaluation moved the weights")
    return result
