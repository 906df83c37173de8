"""The same trainings by pyroVED, with its own decoder, guide and defaults.

pyroVED is no dependency: `pip install --no-deps pyroved==0.3.0`.
"""

from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.common.metrics import Array
from benchmarks.common.peer_packages import pyroved
from benchmarks.common.run import Settings
from benchmarks.pose.found import Found, Trained, as_float32


def train(data: Array, seed: int, settings: Settings) -> Trained:
    """Train pyroVED's invariant VAE.

    Args:
        data: sample x height x width, or sample x length; clipped to [0, 1] for its Bernoulli.
        seed: of the weights and of the training.
        settings: the task's, of which "model" (latent_dim), "turns", "guides" and "peer" count.
    """
    options = dict(settings["guides"]["pyroved"])
    clipped = options.get("sampler_d", "bernoulli") != "gaussian"
    model, trainer, loader = pyroved(
        _tensor(data, clipped), settings["model"]["latent_dim"], settings["turns"], seed, **options
    )
    start = perf_counter()
    for _ in range(settings["peer"]["epochs"]):
        trainer.step(loader)
    seconds = perf_counter() - start

    def find(other: Array) -> Found:
        mean, stddev = model.encode(_tensor(other, clipped))
        return found(model, mean.double().numpy(), stddev.double().numpy(), other.shape[1:])

    return Trained(find, find(data), seconds, float(trainer.loss_history["training_loss"][-1]))


def found(model: Any, mean: Array, stddev: Array, window: tuple[int, ...]) -> Found:
    """Latents of pyroVED in pixels, with this project's signs.

    Its grid goes from -1 to 1 between the centres of the first and the last pixel; for signals and
    along x it is reversed. It shifts after it has turned, so that its shift is read in the motif's
    frame: turned back, it is an offset in the window.
    """
    unit = (np.array(window) - 1) / 2 * model.t_prior.cpu().numpy()
    if len(window) == 1:
        return Found(mean[:, :1] * unit, stddev[:, :1] * unit, mean[:, 1:], stddev[:, 1:])
    turns = "r" in model.invariances
    angle = mean[:, 0] if turns else np.zeros(len(mean))
    pose, pose_std = mean[:, int(turns) :], stddev[:, int(turns) :]
    offset = _turned(pose[:, :2] * unit * (-1, 1), angle)
    cos, sin = np.cos(angle) ** 2, np.sin(angle) ** 2
    y_var, x_var = ((pose_std[:, :2] * unit) ** 2).T
    offset_std = np.sqrt(np.stack([cos * y_var + sin * x_var, sin * y_var + cos * x_var], 1))
    if not turns:
        return Found(offset, offset_std, pose[:, 2:], pose_std[:, 2:])
    return Found(offset, offset_std, pose[:, 2:], pose_std[:, 2:], angle, stddev[:, 0])


def _turned(vector: Array, angle: Array) -> Array:
    """Vectors (sample x axis) turned counter-clockwise as displayed."""
    y, x = vector.T
    return np.stack(
        [np.cos(angle) * y - np.sin(angle) * x, np.sin(angle) * y + np.cos(angle) * x], 1
    )


def _tensor(data: Array, clipped: bool) -> torch.Tensor:
    return torch.from_numpy(as_float32(data.clip(0, 1) if clipped else data))
