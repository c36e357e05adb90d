"""The scales at which a detector tta, and how much each counts. Cards need this too, so nothing heavy is loaded."""

from __future__ import annotations

from collections.abc import Sequence

_ROUNDING = 1e-6


def check_scales(scales: Sequence[int], shares: Sequence[float]) -> None:
    """Refuse scales that are not different factors with 1 among them, and shares that do not go with them.

    Raises
    ------
    ValueError
        Saying which.
    """
    if 1 not in scales or len(set(scales)) < len(scales):
        raise ValueError("scales are different factors, 1 among them")
    if shares and (len(shares) != len(scales) or min(shares) <= 0 or abs(sum(shares) - 1) > _ROUNDING):
        raise ValueError("scale_weights are one positive share for each of the scales, adding up to 1")
