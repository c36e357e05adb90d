"""Cuts damage maps at levels that follow the scan: how much damage it shows (:mod:`redust.core.logits`), and which
polarity (:mod:`redust.decision.polarity`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.engines import Detector, Generator
from redust.core.logits import (
    BINS,
    BINS_PER_UNIT,
    LogitBins,
    bin_posteriors,
    bin_probability,
    count_bins,
    logit_bias,
    prior_shift_of,
    quantise_logits,
    shift_logits,
    threshold_bin,
)
from redust.core.prior_shift import PriorShift
from redust.core.tiles import Place
from redust.decision.polarity import find_minority_polarity, unpack_mask


def threshold_for_engine(
    engine: Detector | Generator, damage: DamageMap, pixels: Pixels, level: float | None = None
) -> tuple[Mask, float]:
    """Cut a whole map of an engine: at `level` to the letter, or at its own, which may follow the scan.

    Parameters
    ----------
    damage : (H, W) float32 in 0..1
    pixels : (H, W, C)
        The scan.

    Returns
    -------
    mask : (H, W) bool
    level : 0..1
        Where it was cut; damage of the polarity that the scan shows less of may have been cut at a higher one.
    """
    if level is not None:
        return threshold_map(None, damage, pixels, level)
    return threshold_map(prior_shift_of(engine), damage, pixels, engine.level)


def threshold_map(
    prior_shift: PriorShift | None, damage: DamageMap, pixels: Pixels, level: float
) -> tuple[Mask, float]:
    """Cut a whole map as :func:`threshold_for_engine` does; at `level` to the letter where there is no prior_shift."""
    if prior_shift is None:
        return damage >= np.float32(level), level
    graded = quantise_logits(damage)
    return threshold_bins(prior_shift, graded, pixels, level)


def threshold_bins(prior_shift: PriorShift, graded: LogitBins, pixels: Pixels, level: float) -> tuple[Mask, float]:
    """Cut a map that is kept as grades, in place: the mask takes their bytes."""
    histogram = count_bins(graded)
    step = threshold_bin(prior_shift, histogram, level)
    spared = _against(prior_shift, graded, pixels, histogram, step) if prior_shift.minority_exponent else []
    mask = graded.view(np.bool_)
    np.greater_equal(graded, step, out=mask)
    for place, packed in spared:
        mask[place] &= ~unpack_mask(packed, mask[place].shape)
    return mask, bin_probability(step)


def _against(
    prior_shift: PriorShift, graded: LogitBins, pixels: Pixels, histogram: NDArray[np.int64], step: int
) -> list[tuple[Place, NDArray[np.uint8]]]:
    """By blocks, the pixels that pass the step, but are of the rarer polarity and do not pass its own, packed."""
    found = find_minority_polarity(pixels, graded, bin_posteriors(prior_shift, histogram))
    own = min(step + int(np.ceil(found.loss(prior_shift.minority_exponent) * BINS_PER_UNIT - 1e-6)), BINS - 1)
    spared = []
    for place, against in found.places():
        here = graded[place]
        spared.append((place, np.packbits(against & (here >= step) & (here < own))))
    return spared


def adapt_posteriors(prior_shift: PriorShift | None, damage: DamageMap, pixels: Pixels, more: float = 0.0) -> DamageMap:
    """The map of a scan as its detector would have stated it, had it known the scan's damage: how much, and of which
    polarity.

    Parameters
    ----------
    prior_shift
        None leaves the map as it is but for `more`.
    damage : (H, W) float32 in 0..1
    pixels : (H, W, C)
        The scan.
    more
        Log odds that are added besides.
    """
    if prior_shift is None:
        return shift_logits(damage, more)
    graded = quantise_logits(damage)
    histogram = count_bins(graded)
    more += logit_bias(prior_shift, histogram)
    found = shift_logits(damage, more)
    if prior_shift.minority_exponent:
        against = find_minority_polarity(pixels, graded, bin_posteriors(prior_shift, histogram))
        less = more - against.loss(prior_shift.minority_exponent)
        for place, where in against.places():
            found[place][where] = shift_logits(damage[place][where], less)
    return found
