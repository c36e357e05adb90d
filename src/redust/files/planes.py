"""Colour and alpha, side by side in files, apart in a scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels, Plane
from redust.core.scan import Scan


def split_planes(decoded: NDArray[Any]) -> tuple[Pixels, Plane | None]:
    """Part samples as decoders return them.

    Parameters
    ----------
    decoded : (H, W) or (H, W, 1..4) uint8 or uint16
        Grey, grey and alpha, R G B, or R G B and alpha.

    Returns
    -------
    pixels : (H, W, C)
        C = 1 or 3, contiguous.
    alpha : (H, W) or None
    """
    if decoded.ndim == 2:
        return decoded[..., None], None
    if decoded.shape[2] in (1, 3):
        return decoded, None
    return np.ascontiguousarray(decoded[..., :-1]), np.ascontiguousarray(decoded[..., -1])


def join_planes(scan: Scan) -> NDArray[Any]:
    """The samples (H, W) or (H, W, 2..4) as encoders take them, alpha last."""
    if scan.alpha is not None:
        return np.dstack([scan.pixels, scan.alpha])
    return np.ascontiguousarray(scan.pixels[..., 0] if scan.channels == 1 else scan.pixels)
