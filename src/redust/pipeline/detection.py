"""What detecting comes to, before anything is filtered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from redust.core.arrays import DamageMap, Mask
from redust.core.scan import Scan

ProgressCallback: TypeAlias = Callable[[float], None] | None


@dataclass(frozen=True, eq=False)
class Detection:
    """The damage of a scan before it is filtered.

    Parameters
    ----------
    candidates : (H, W) bool
        The thresholded damage map.
    level
        Where it was thresholded, 0..1.
    damage : (H, W) float32 in 0..1, optional
        The map, where it was to be kept.
    restored
        A generator's raw answer.
    """

    candidates: Mask
    level: float
    damage: DamageMap | None = None
    restored: Scan | None = None


def split_progress(progress: ProgressCallback) -> tuple[ProgressCallback, ProgressCallback]:
    """One callback for the first half of a step, one for the second."""
    if progress is None:
        return None, None
    return lambda share: progress(share / 2), lambda share: progress(0.5 + share / 2)
