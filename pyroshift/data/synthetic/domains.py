"""Synthetic piezoresponse of ferroelectric domains, as an amplitude and a phase, with the truth."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.channels import channel_coords
from pyroshift.data.synthetic._common import (
    Array,
    blurred,
    check,
    check_shape,
    extremes,
    scan_coordinates,
    variable,
)

_FULL = 100.0  # amplitude far from walls, pm


def domains(
    shape: tuple[int, int] = (128, 128),
    share: float | Sequence[float] = 0.5,
    size: float = 8.0,
    wall_width: float = 1.5,
    offset: float = -40.0,
    noise: float = 0.1,
    pixel: float = 10.0,
    seed: int = 0,
) -> xr.Dataset:
    """Amplitude and phase of domains of two opposite polarizations, or a movie of their growth.

    Domains are where a smooth random field is above a level. The response is the polarization as
    blurred by the tip; a lock-in amplifier sees it turned by a constant phase, with noise of its
    own in both quadratures. So the amplitude falls to the noise at walls, and the phase goes to its
    opposite.

    Args:
        shape: height and width in pixels.
        share: of the area that is polarized upwards, between 0 and 1; several for a movie, each
            frame of which has the share of its own and the domains of those with smaller ones.
        size: standard deviation of the Gaussian that makes the random field smooth, pixels; domains
            are some four times as wide.
        wall_width: standard deviation of the tip's blur, pixels.
        offset: phase of domains polarized upwards, degrees. Phases are told from -180 to 180.
        noise: its standard deviation in either quadrature, as a share of the full amplitude.
        pixel: width of a pixel, nm.
        seed: of the random numbers.

    Returns:
        ``image`` (channel × y × x; frame first of a movie) with the channels "amplitude" in pm and
        "phase" in degrees; ``polarization`` (y × x), 1 or -1; ``response`` (y × x), its blurred
        one, without noise.

    Raises:
        DataError: if an argument is out of its range.

    Source:
        Gruverman, Alexe and Meier, "Piezoresponse force microscopy and nanoferroic phenomena",
        Nature Communications 10, 1661 (2019), for what amplitude and phase are.

    Example:
        >>> truth = domains((48, 64), share=0.3)
        >>> truth["image"].sizes, round(float((truth["polarization"] > 0).mean()), 2)
        (Frozen({'channel': 2, 'y': 48, 'x': 64}), 0.3)
    """
    check_shape(shape)
    extremes("share", np.atleast_1d(share).tolist(), 0.0, 1.0)
    check(size=(size, 0, math.inf), wall_width=(wall_width, 0, math.inf))
    check(offset=(offset, -math.inf, math.inf), noise=(noise, 0, math.inf))
    check(pixel=(pixel, 1e-6, math.inf))
    rng = np.random.default_rng(seed)
    field = blurred(rng.standard_normal(shape), size)
    polarization = np.stack(
        [np.where(field > _level(field, each), 1.0, -1.0) for each in np.atleast_1d(share)]
    )
    response = blurred(polarization, wall_width)
    quadratures = noise * rng.standard_normal((2, *response.shape))
    measured = response * np.exp(1j * math.radians(offset)) + quadratures[0] + 1j * quadratures[1]
    image = np.stack([_FULL * np.abs(measured), np.rad2deg(np.angle(measured))], 1)
    movie = np.ndim(share) > 0
    dims = ("frame", "y", "x") if movie else ("y", "x")
    image, polarization, response = (
        each if movie else each[0] for each in (image, polarization, response)
    )
    variables = {
        "image": variable(
            (*dims[:-2], "channel", *dims[-2:]), image.astype(np.float32), "piezoresponse"
        ),
        "polarization": variable(dims, polarization, "sign of the polarization"),
        "response": variable(dims, response, "polarization as blurred by the tip"),
    }
    del variables["image"][2]["units"]  # each channel has its own
    coordinates: dict[Any, Any] = {
        **scan_coordinates(shape, pixel),
        **channel_coords(["amplitude", "phase"], ["pm", "deg"]),
    }
    if movie:
        coordinates["frame"] = variable("frame", np.arange(len(image)), "index of the frame")
    return xr.Dataset(variables, coordinates, {"generator": "domains", "seed": seed})


def _level(field: Array, share: float) -> float:
    """The level above which there is a share of the field's values."""
    if share in (0.0, 1.0):
        return math.inf if share == 0.0 else -math.inf
    return float(np.quantile(field, 1 - share))
