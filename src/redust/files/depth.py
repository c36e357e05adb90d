"""One notion of white: pixels in memory always span the full range of their dtype.

A scan of 12 significant bits is spread from 0..4095 to 0..65535 when it is read and shrunk back when it is written.
Both round to the nearest step, so that every stored value returns exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 256


def expand_depth(samples: NDArray[Any], bits: int) -> None:
    """Spread samples of `bits` significant bits over the full range of their dtype, in place.

    Parameters
    ----------
    samples : (H, W) or (H, W, C) uint8 or uint16
        Values 0 .. 2**bits - 1.
    bits
        Significant bits; 0, or all of the dtype's, changes nothing.

    Examples
    --------
    >>> samples = np.array([[0, 2048, 4095]], np.uint16)
    >>> expand_depth(samples, 12)
    >>> samples.tolist()
    [[0, 32776, 65535]]
    """
    full = int(np.iinfo(samples.dtype).max) if bits else 0
    top = (1 << bits) - 1
    if not bits or top >= full:
        return
    table = np.rint(np.minimum(np.arange(full + 1), top) * (full / top)).astype(samples.dtype)
    for row in range(0, len(samples), _BLOCK_ROWS):
        samples[row : row + _BLOCK_ROWS] = table[samples[row : row + _BLOCK_ROWS]]


def shrink_depth(samples: NDArray[Any], bits: int) -> NDArray[Any]:
    """Samples in `bits` significant bits: what :func:`expand_depth` spread returns exactly.

    Parameters
    ----------
    samples : (H, W) or (H, W, C) uint8 or uint16
        Values over the full range of the dtype.
    bits
        Significant bits; 0, or all of the dtype's, returns the same array.

    Returns
    -------
    samples : like the input
        Values 0 .. 2**bits - 1, rounded to the nearest step.
    """
    full = int(np.iinfo(samples.dtype).max) if bits else 0
    top = (1 << bits) - 1
    if not bits or top >= full:
        return samples
    table = np.rint(np.arange(full + 1) * (top / full)).astype(samples.dtype)
    shrunk = np.empty_like(samples)
    for row in range(0, len(samples), _BLOCK_ROWS):
        shrunk[row : row + _BLOCK_ROWS] = table[samples[row : row + _BLOCK_ROWS]]
    return shrunk


def is_exact(samples: NDArray[Any], bits: int) -> bool:
    """Whether samples over the full range survive :func:`shrink_depth` and :func:`expand_depth` unchanged."""
    for row in range(0, len(samples), _BLOCK_ROWS):
        block = samples[row : row + _BLOCK_ROWS]
        again = shrink_depth(block, bits).copy()
        expand_depth(again, bits)
        if not np.array_equal(again, block):
            return False
    return True
