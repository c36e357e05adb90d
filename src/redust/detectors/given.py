"""The user's own mask as detector: nothing is looked for."""

from __future__ import annotations

from redust.core.arrays import DamageMap, Mask

NAME = "given"


def mask_to_map(mask: Mask) -> DamageMap:
    """A mask (H, W) bool as a damage map (H, W) float32 of certainties, 0 and 1."""
    return mask.astype("float32")
