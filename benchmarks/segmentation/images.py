"""Atoms by the segmenter: of simulated micrographs beside the truth, and of real images."""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

import pyroshift as ps
from benchmarks.common import data
from benchmarks.common.atoms import find_atoms, is_highest, mutual_pairs
from benchmarks.common.metrics import Array

LATTICES = {  # period, brightness of the sublattices, separation: pixels; atoms' width is 2.2
    "square": (14.0, (1.0,), 14.0),
    "square, two": (20.0, (1.0, 0.5), 14.1),
    "hexagonal": (14.0, (1.0,), 14.0),
    "honeycomb": (22.0, (1.0,), 12.7),
}
LEAST = 0.25  # probability of a peak, smoothed
SMOOTHED, APART = 0.1, 0.4  # separations: the smoothing before, and that no other peak is higher in
MATCHED = 3  # pixels, on real images


def simulated(segmenter: ps.Segmenter, seeds: list[int], denoise: bool) -> None:
    """Precision, recall and error at three levels of noise, beside smoothing and maxima."""
    print("| lattice | signal to noise | precision | recall | error, px | maxima: prec. | recall |")
    print("|---|---|---|---|---|---|---|")
    for name, (period, brightness, separation) in LATTICES.items():
        for ratio in (10, 3, 1):
            rows = []
            for seed in seeds:
                seen = ps.synthetic.micrograph(
                    (384, 384), name.split(",")[0], period, 2.2, brightness=brightness,
                    rotation=0.1 * seed, vacancies=0.02, displacement=0.3, drift=5, jitter=0.3,
                    illumination=0.3, background=0.3, noise=1 / ratio, seed=seed,
                )  # fmt: skip
                image, atoms = seen["image"].values, seen["atoms"].values
                probability = segmenter.probability(image, denoise=denoise)
                smooth = find_atoms(image, max(1.5, separation / 6), separation, separation / 2)
                rows.append(
                    [
                        *scores(peaks(probability, separation), atoms, separation, image.shape),
                        *scores(smooth, atoms, separation, image.shape)[:2],
                    ]
                )
            precision, recall, error, *plain = np.mean(rows, axis=0)
            print(
                f"| {name} | {ratio} | {precision:.3f} | {recall:.3f} | {error:.2f} "
                f"| {plain[0]:.3f} | {plain[1]:.3f} |"
            )


def real(segmenter: ps.Segmenter, name: str, dark: bool, denoise: bool, out: Path | None) -> None:
    """How many atoms there are, how many of those that others find, and a picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files without a pixel size
        image = ps.load_image(data.measurement(name))
    image = image[0] if image.ndim == 3 else image
    found = ps.segment(image, segmenter, dark=dark, denoise=denoise)
    separation = found.attrs["separation"]
    atoms = peaks(found.values, separation)
    line = f"{name}: separation {separation:.1f} px, {len(atoms)} atoms"
    if name == data.GRAPHENE:
        given = data.graphene_atoms()
        recall = (cKDTree(atoms).query(given)[0] < MATCHED).mean()
        precision = (cKDTree(given).query(atoms)[0] < MATCHED).mean()
        line += f"; {recall:.1%} of the {len(given)} given within {MATCHED} px"
        line += f"; {precision:.1%} of these are near a given one"
    print(line)
    if out is not None:
        draw(image.values, found.values, atoms, separation, out / f"{Path(name).stem}.png")


def peaks(probability: Array, separation: float) -> Array:
    """Maxima of a smoothed probability (atom x axis), to a fraction of a pixel."""
    smooth = gaussian_filter(probability, SMOOTHED * separation)
    highest = is_highest(smooth, APART * separation)
    found = np.argwhere(highest & (smooth > LEAST)).reshape(-1, 2).astype(float)
    for axis in np.eye(2):  # the summit of the parabola through three values along each axis
        before, here, after = (
            map_coordinates(smooth, (found + step * axis).round().T, order=0, mode="nearest")
            for step in (-1, 0, 1)
        )
        bend = np.minimum(before - 2 * here + after, -1e-9)
        found += np.clip((before - after) / (2 * bend), -0.5, 0.5)[:, None] * axis
    return found


def scores(
    found: Array, atoms: Array, separation: float, shape: tuple[int, ...]
) -> tuple[float, float, float]:
    """Precision and recall within half the separation, one to one, and the root mean square error.

    Atoms nearer to the border than half the separation don't count, as they are cut.
    """
    if not len(found):
        return 0.0, 0.0, np.nan

    def inner(points: Array) -> Array:
        near = separation / 2
        return ((points > near) & (points < np.array(shape) - 1 - near)).all(1)

    right, hit = mutual_pairs(found, atoms, separation / 2)
    distance = np.linalg.norm(found[right] - atoms[hit], axis=1)
    precision = np.isin(np.flatnonzero(inner(found)), right).mean()
    recall = np.isin(np.flatnonzero(inner(atoms)), hit).mean()
    error = np.sqrt(np.mean(distance[inner(found)[right]] ** 2))
    return float(precision), float(recall), float(error)


def draw(image: Array, probability: Array, atoms: Array, separation: float, path: Path) -> None:
    """The image with its atoms, and the probability."""
    figure, axes = plt.subplots(1, 3, figsize=(18, 6.4), layout="constrained")
    smooth = gaussian_filter(image.astype(float), separation / 10)
    low, high = np.percentile(smooth, (1, 99))
    axes[0].imshow(smooth, cmap="gray", vmin=low, vmax=high)
    axes[1].imshow(smooth, cmap="gray", vmin=low, vmax=high)
    axes[1].plot(atoms[:, 1], atoms[:, 0], "r.", markersize=3)
    axes[2].imshow(probability, vmin=0, vmax=1)
    for axis in axes:
        axis.set(xlim=(100, 300), ylim=(300, 100), xticks=[], yticks=[])
    figure.savefig(path, dpi=70)
    plt.close(figure)
