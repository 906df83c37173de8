"""What the segmenter asks a frame's lattice: how far neighbours are apart, and what is noise."""

import numpy as np

from pyroshift.analysis.spectrum import Array
from pyroshift.atoms import candidates, frames
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

# Noise over what the lattice repeats, standard deviations, that is left. With 1, a few more atoms
# are found in strong noise, and missing ones are taken for faint ones at a third of it already.
STRONGEST = 1.5
_LEAST = 1e-9  # noise, in a frame without any


def typical_separation(image: Array) -> float:
    """Distance of neighbouring bright atoms in pixels, median over frames.

    Args:
        image: height x width, or frame x height x width.

    Raises:
        DataError: if no frame shows a lattice.
        ImportError: if the extra `atoms` isn't installed.

    Example:
        >>> from pyroshift import synthetic
        >>> image = synthetic.lattice_image((128, 128), period=15)["image"].values
        >>> round(typical_separation(image))
        15
    """
    distances = []
    for frame in image.reshape(-1, *image.shape[-2:]):
        seen = _seen(frame)
        if seen is not None:
            scale = seen.filtered.scale
            blobs = candidates.lattice_blobs(seen.filtered, scale, 2 * scale)
            distances.append(candidates.nearest_distance(blobs))
    if not distances or not np.isfinite(np.median(distances)):
        raise DataError(
            "the image shows no lattice that tells how far neighbouring atoms are apart: give "
            "separation=, in pixels"
        )
    return float(np.median(distances))


def denoised(frame: Array) -> Array:
    """A frame in which noise isn't much stronger than what the lattice repeats.

    A Wiener filter divides the frame into these two. Where noise is weak, as in most images, it
    stays, and with it all that doesn't repeat, such as a missing atom; else it is taken down, and
    atoms become as clear as their neighbours make them.

    Args:
        frame: height x width; NaN where a pixel is missing.

    Returns:
        The frame, in another unit and without slow background; as it was if it shows no lattice.

    Raises:
        ImportError: if the extra `atoms` isn't installed.

    Example:
        >>> from pyroshift import synthetic
        >>> clear, noisy = (
        ...     synthetic.lattice_image((128, 128), period=12, noise=noise)["image"].values
        ...     for noise in (0, 1)
        ... )
        >>> found = denoised(noisy)
        >>> before, after = (np.corrcoef(clear.flat, some.flat)[0, 1] for some in (noisy, found))
        >>> bool(after > 1.5 * before)
        True
    """
    seen = _seen(frame)
    if seen is None:
        return frame
    repeated, rest = seen.filtered.frame, seen.values - seen.filtered.frame
    share = STRONGEST * np.std(repeated[seen.known]) / max(np.std(rest[seen.known]), _LEAST)
    return np.where(seen.known, repeated + min(share, 1.0) * rest, np.nan)


def _seen(frame: Array) -> frames.Frame | None:
    """What a frame shows above its noise, if that is a lattice."""
    check_installed("scipy", "skimage", extra="atoms")
    values, known = frame.astype(float), np.isfinite(frame)
    if min(frame.shape) < frames.SMALLEST_SIDE or known.mean() < 0.5 or not np.ptp(values[known]):
        return None
    seen = frames.prepared(values)
    return seen if np.isfinite(seen.filtered.scale) else None
