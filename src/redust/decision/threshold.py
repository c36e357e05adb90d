"""Threshold a damage map: at a level, or at one that follows how much damage the scan shows, and of which polarity.

The one way from a damage map to candidate pixels, for the pipeline, calibration and scoring alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.engines import MapSpec, PriorShift
from redust.core.logits import (
    BINS,
    BINS_PER_UNIT,
    Histogram,
    LogitBins,
    QuantisedMap,
    bin_posteriors,
    bin_probability,
    level_bin,
    logit_bias,
    shift_logits,
)
from redust.core.settings import Sensitivity
from redust.core.tiles import Rectangle
from redust.decision.polarity import find_minority_polarity, unpack_mask

_PackedMask = NDArray[np.uint8]

_USUAL_PRIOR = 0.01  # of a detector without a prior shift


@dataclass(frozen=True)
class Threshold:
    """The level at or above which pixels count as damaged.

    Parameters
    ----------
    level : 0..1
    prior_shift
        How the level follows the scan; None to apply it exactly.

    Raises
    ------
    ValueError
        If `level` is outside 0..1.
    """

    level: float
    prior_shift: PriorShift | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.level <= 1.0:
            raise ValueError(f"level must lie in 0..1, not {self.level}")

    @classmethod
    def of_engine(cls, spec: MapSpec, level: float | None = None, sensitivity: Sensitivity | None = None) -> Self:
        """The user's level exactly; unless given, the engine's for the sensitivity, with its prior shift."""
        return cls(spec.level_for(sensitivity), spec.prior_shift) if level is None else cls(level)

    @property
    def assumed_prior(self) -> float:
        """Share of damaged pixels from which the estimate of a scan's share starts."""
        return _USUAL_PRIOR if self.prior_shift is None else self.prior_shift.prior

    def first_bin(self, histogram: Histogram) -> int:
        """The lowest bin that counts as damaged on a scan with this histogram (256,), 1..255."""
        return level_bin(self.level, 0.0 if self.prior_shift is None else logit_bias(self.prior_shift, histogram))

    def apply(self, damage: DamageMap | QuantisedMap, pixels: Pixels) -> tuple[Mask, float]:
        """Threshold a damage map.

        Parameters
        ----------
        damage : (H, W) float32 in 0..1, or QuantisedMap
            Not changed.
        pixels : (H, W, C)
            The scan.

        Returns
        -------
        mask : (H, W) bool
        level : 0..1
            The level that this came to; damage of the rarer polarity may have had to reach a higher one.
        """
        if isinstance(damage, QuantisedMap):
            return self._apply_to_bins(damage, pixels, np.empty(damage.bins.shape, np.bool_))
        if self.prior_shift is None:
            return damage >= np.float32(self.level), self.level
        quantised = QuantisedMap.from_map(damage)
        return self._apply_to_bins(quantised, pixels, quantised.bins.view(np.bool_))

    def apply_to_tiles(self, tiles: Iterable[tuple[Rectangle, DamageMap]], pixels: Pixels) -> tuple[Mask, float]:
        """Threshold a damage map that comes in tiles, as :meth:`apply` does: one byte per pixel is held."""
        shape = pixels.shape[0], pixels.shape[1]
        if self.prior_shift is not None:
            quantised = QuantisedMap.from_tiles(tiles, shape)
            return self._apply_to_bins(quantised, pixels, quantised.bins.view(np.bool_))
        mask = np.empty(shape, np.bool_)
        for rectangle, damage in tiles:
            mask[rectangle] = damage >= np.float32(self.level)
        return mask, self.level

    def _apply_to_bins(self, quantised: QuantisedMap, pixels: Pixels, mask: Mask) -> tuple[Mask, float]:
        """Write the mask of a quantised map into `mask`, which may take the bytes of its bins."""
        bins, shift = quantised.bins, self.prior_shift
        if shift is None:
            first = level_bin(self.level) if self.level > 0 else 0
            return np.greater_equal(bins, first, out=mask), bin_probability(first) if first else 0.0
        histogram = quantised.histogram()
        first = self.first_bin(histogram)
        rejected = _reject_minority(shift, quantised, pixels, histogram, first) if shift.minority_exponent else []
        np.greater_equal(bins, first, out=mask)
        for rectangle, packed in rejected:
            mask[rectangle] &= ~unpack_mask(packed, mask[rectangle].shape)
        return mask, bin_probability(first)


def _reject_minority(
    prior_shift: PriorShift, quantised: QuantisedMap, pixels: Pixels, histogram: Histogram, first: int
) -> list[tuple[Rectangle, _PackedMask]]:
    """By blocks, packed: the pixels that reach the bin `first`, but have the rarer polarity and miss its threshold."""
    minority = find_minority_polarity(pixels, quantised.bins, bin_posteriors(prior_shift, histogram))
    penalty = minority.logit_penalty(prior_shift.minority_exponent)
    first_of_minority = minority_bin(first, penalty)
    rejected = []
    for rectangle, in_minority in minority.blocks():
        block: LogitBins = quantised.bins[rectangle]
        rejected.append((rectangle, np.packbits(in_minority & (block >= first) & (block < first_of_minority))))
    return rejected


def minority_bin(first: int, penalty: float) -> int:
    """The first marked bin of the rarer polarity, whose log odds lose `penalty`; `first` is that of the other."""
    return min(first + int(np.ceil(penalty * BINS_PER_UNIT - 1e-6)), BINS - 1)


def adapt_posteriors(prior_shift: PriorShift | None, damage: DamageMap, pixels: Pixels, bias: float = 0.0) -> DamageMap:
    """The damage map with its logits moved by the prior shift, so that one level suits every scan.

    Parameters
    ----------
    prior_shift
        None to add `bias` alone.
    damage : (H, W) float32 in 0..1
    pixels : (H, W, C)
        The scan.
    bias
        Log odds that are added besides.

    Returns
    -------
    adapted : (H, W) float32 in 0..1
    """
    if prior_shift is None:
        return shift_logits(damage, bias)
    quantised = QuantisedMap.from_map(damage)
    histogram = quantised.histogram()
    bias += logit_bias(prior_shift, histogram)
    adapted = shift_logits(damage, bias)
    if prior_shift.minority_exponent:
        minority = find_minority_polarity(pixels, quantised.bins, bin_posteriors(prior_shift, histogram))
        minority_bias = bias - minority.logit_penalty(prior_shift.minority_exponent)
        for rectangle, in_minority in minority.blocks():
            adapted[rectangle][in_minority] = shift_logits(damage[rectangle][in_minority], minority_bias)
    return adapted
