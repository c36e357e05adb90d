"""What a truth says of each pixel."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Truth: TypeAlias = NDArray[np.uint8]
"""(H, W) uint8 of :class:`Label` values."""


class Label(IntEnum):
    """The label of one pixel, as a mask file stores it."""

    background = 0
    ignore = 128
    """Not judged: it counts neither for nor against, in losses and in scores."""
    damage = 255
