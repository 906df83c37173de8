"""Train AtomAI's ImSpec on pairs in a file, and write what it expects of those held out.

    PYTHON imspec.py pairs.npz told.npy SEED EPOCHS

with the interpreter of an environment that has atomai 0.8.1, which breaks on torch from 2.10 on:

    python -m venv atomai; atomai/bin/pip install "torch<2.10" atomai==0.8.1 six

Settings are those of its documentation's example: 10 latents, batches of 64, stochastic weight
averaging; there, 120 epochs. Sources and targets are stretched to [0, 1] by those trained on, as it
expects.
"""

import sys

import atomai
import numpy as np

BATCH, LATENTS = 64, 10
WATCHED = 0.1  # share of the pairs by which it reports its progress


def main(pairs: str, told: str, seed: int, epochs: int) -> None:
    """Read, train, write."""
    data = np.load(pairs)
    source, target, held_out = (data[name] for name in ("source", "target", "held_out"))
    low, range_ = source.min(), np.ptp(source)
    base, height = target.min(), np.ptp(target)
    source, held_out = ((each - low) / range_ for each in (source, held_out))
    target = (target - base) / height
    order = np.random.default_rng(seed).permutation(len(source))
    watched, training = np.split(order, [round(WATCHED * len(order))])
    model = atomai.models.ImSpec(source.shape[1:], target.shape[1:], latent_dim=LATENTS, seed=seed)
    model.fit(
        source[training][:, None], target[training][:, None],
        source[watched][:, None], target[watched][:, None],
        full_epoch=True, training_cycles=epochs, batch_size=BATCH, swa=True,
    )  # fmt: skip
    found = model.predict(held_out[:, None], norm=False)
    np.save(told, np.asarray(found).reshape(len(held_out), *target.shape[1:]) * height + base)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
