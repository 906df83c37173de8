"""Windows that start between pixels, by cubic splines."""

import numpy as np

from pyroshift.extras import check_installed

_ATOMS_AT_ONCE = 1024  # bounds the memory for coordinates
_BORDER = 12  # pixels, by which a spline's coefficients have forgotten how the image goes on


def interpolated(
    frames: np.ndarray, starts: np.ndarray, window: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Windows that start anywhere in an image, sampled by cubic splines.

    Splines keep what an image resolves; linear interpolation would blur a window the more, the
    nearer to half a pixel it starts, which latents would learn.

    Args:
        frames: `frame x height x width`, or with channels `frame x channel x height x width`, NaN
            where pixels are missing.
        starts: `patch x 3`: frame, and first pixel along y and x, which may be a fraction.
        window: height and width, pixels.

    Returns:
        `patch x height x width`, or `patch x channel x height x width`, float32, within the range
        of each frame, NaN where a missing pixel is touched; and where each window starts in that.

    Raises:
        ImportError: if SciPy isn't installed.

    Example:
        >>> ramp = np.arange(100, dtype=np.float32).reshape(1, 10, 10)
        >>> windows, _ = interpolated(ramp, np.array([[0, 2.5, 4.25]]), (2, 3))
        >>> windows[0].round(3).tolist()
        [[29.25, 30.25, 31.25], [39.25, 40.25, 41.25]]
    """
    check_installed("scipy", extra="atoms")
    windows = np.empty((len(starts), *frames.shape[1:-2], *window), np.float32)
    for frame in np.unique(starts[:, 0]):
        chosen = np.flatnonzero(starts[:, 0] == frame)
        for channel in np.ndindex(frames.shape[1:-2]):
            part = windows[(slice(None), *channel)]
            _fill(part, chosen, frames[(int(frame), *channel)], starts[:, 1:])
    own = np.zeros((len(starts), 3), np.int32)
    own[:, 0] = np.arange(len(starts))
    return windows, own


def _fill(windows: np.ndarray, chosen: np.ndarray, frame: np.ndarray, starts: np.ndarray) -> None:
    """Sample the chosen windows from one frame."""
    from scipy import ndimage

    missing = np.isnan(frame)
    if missing.all():
        windows[chosen] = np.nan
        return
    known = frame.astype(float)
    if missing.any():
        # What stands in for them must not ring far: the nearest pixel that is known.
        known = known[
            tuple(
                ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
            )
        ]
    low, high = known.min(), known.max()
    # Turned about its border, an image goes on without a kink.
    known = np.pad(known, _BORDER, mode="reflect", reflect_type="odd")
    coefficients = ndimage.spline_filter(known, order=3)
    pixels = np.indices(windows.shape[1:]).reshape(2, 1, -1)
    for part in np.array_split(chosen, -(-len(chosen) // _ATOMS_AT_ONCE)):
        places = (starts[part].T[..., None] + pixels).reshape(2, -1)
        values = ndimage.map_coordinates(coefficients, places + _BORDER, order=3, prefilter=False)
        values = np.clip(values, low, high)
        if missing.any():
            values[ndimage.map_coordinates(missing.astype(float), places, order=1) > 0] = np.nan
        windows[part] = values.reshape(len(part), *windows.shape[1:])
