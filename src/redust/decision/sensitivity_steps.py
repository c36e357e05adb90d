"""A slider between the shy and the eager level of an engine: at how many of its steps each pixel is marked.

Computed once per damage map. The candidates at any step are then one comparison of bytes, and the same as those of
the threshold at that step's level; where regions are judged, at the ends and in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.engines import DetectorSpec, MapSpec
from redust.core.logits import QuantisedMap, bin_posteriors, level_bin, log_odds, logit_bias
from redust.core.settings import Sensitivity
from redust.core.tiles import bands
from redust.decision.polarity import find_minority_polarity
from redust.decision.region_classifier import RegionClassifier, RegionThreshold, score_regions, threshold_of
from redust.decision.threshold import Threshold, minority_bin

MarkedSteps: TypeAlias = NDArray[np.uint8]

LAST_STEP = 200
"""The step at the eager end; step 0 is the shy end, the middle one `normal`."""

# Where regions are judged: the least and the most steps of a pixel that none, one, two or all three levels mark.
_LOWEST = np.array([0, 1, LAST_STEP // 2 + 1, LAST_STEP + 1], np.uint8)
_HIGHEST = np.array([0, LAST_STEP // 2, LAST_STEP, LAST_STEP + 1], np.uint8)
_SPREAD = 2.0  # log odds to either side of the level of an engine with no other
_MIN_LEVEL = 1e-6


@dataclass(frozen=True)
class SensitivityScale:
    """The levels, 0..1, of a slider's ends and its middle: ``shy >= normal >= eager``."""

    shy: float
    normal: float
    eager: float

    @classmethod
    def of_engine(cls, spec: MapSpec) -> Self:
        """The levels of an engine, or of what judges its regions; spread around its one level where it has no more."""
        threshold = threshold_of(spec)
        return cls.of_levels(threshold.classifier if isinstance(threshold, RegionThreshold) else spec)

    @classmethod
    def of_levels(cls, source: MapSpec | RegionClassifier) -> Self:
        """The levels of an engine's map, or of a classifier of regions, alone."""
        shy, normal, eager = (source.level_for(sensitivity) for sensitivity in Sensitivity)
        if shy > eager:
            return cls(shy, normal, eager)
        middle = _safe_log_odds(normal)
        return cls(float(_sigmoid(middle + _SPREAD)), normal, float(_sigmoid(middle - _SPREAD)))

    def from_eager(self) -> tuple[float, float, float]:
        """The levels in the order in which marked pixels become fewer."""
        return self.eager, self.normal, self.shy

    def levels(self) -> NDArray[np.float64]:
        """The level at each step, (LAST_STEP + 1,) float64: log odds in even steps on either side of the middle."""
        known = np.array([_safe_log_odds(level) for level in (self.shy, self.normal, self.eager)])
        exact = {0: self.shy, LAST_STEP // 2: self.normal, LAST_STEP: self.eager}
        levels = _sigmoid(np.interp(np.arange(LAST_STEP + 1), list(exact), known))
        levels[list(exact)] = list(exact.values())
        return np.asarray(np.minimum.accumulate(levels), np.float64)


def step_of(position: float) -> int:
    """The step of a slider's position, 0..1."""
    return round(min(max(position, 0.0), 1.0) * LAST_STEP)


def takes_quantised_map(spec: MapSpec) -> bool:
    """Whether candidates come from a damage map's bins; from its exact values otherwise."""
    return spec.prior_shift is not None or (isinstance(spec, DetectorSpec) and spec.regions is not None)


def count_marked_steps(spec: MapSpec, damage: DamageMap | QuantisedMap, pixels: Pixels) -> MarkedSteps:
    """Count the steps at which each pixel is a candidate.

    Parameters
    ----------
    spec
        Of the engine that the map comes from.
    damage : (H, W) float32 in 0..1, or QuantisedMap
        Quantised where :func:`takes_quantised_map` says so.
    pixels : (H, W, C)
        The scan.

    Returns
    -------
    marked_steps : (H, W) uint8
        0 for a pixel that is never marked, ``LAST_STEP + 1`` for one that always is; see :func:`candidates_at`.
    """
    threshold = threshold_of(spec)
    if isinstance(threshold, RegionThreshold):
        quantised = damage if isinstance(damage, QuantisedMap) else QuantisedMap.from_map(damage)
        return _count_by_region(spec, threshold, quantised, pixels)
    levels = SensitivityScale.of_engine(spec).levels()
    if isinstance(damage, QuantisedMap):
        return _count_by_bin(threshold, damage, pixels, levels)
    counts = np.empty(damage.shape, np.uint8)
    for rows in bands(len(damage)):
        counts[rows] = _count_levels(levels.astype(np.float32), damage[rows])
    return counts


def candidates_at(marked_steps: MarkedSteps, step: int) -> Mask:
    """The candidates at a step, (H, W) bool."""
    return np.asarray(marked_steps > LAST_STEP - step)


def _count_by_region(spec: MapSpec, threshold: RegionThreshold, quantised: QuantisedMap, pixels: Pixels) -> MarkedSteps:
    """Exact at the ends and the middle; between them a pixel follows its region's score and its value of the map."""
    by_score, by_pixel = SensitivityScale.of_levels(threshold.classifier), SensitivityScale.of_levels(spec)
    scored = score_regions(threshold.classifier, quantised, pixels)
    anchors = np.zeros(quantised.bins.shape, np.uint8)  # at how many of them a pixel is marked
    for level, pixel_level in zip(by_score.from_eager(), by_pixel.from_eager(), strict=True):
        at_step = replace(threshold, level=level, by_pixel=replace(threshold.by_pixel, level=pixel_level))
        anchors += at_step.apply_to_regions(scored, quantised, pixels)[0]
    lookup = np.zeros(len(scored.scores) + 1, np.uint8)
    lookup[1:] = _count_levels(by_score.levels().astype(np.float32), scored.scores.max(axis=1))
    counts = _count_by_bin(threshold.by_pixel, quantised, pixels, by_pixel.levels())
    for rows, labels in scored.regions.bands():
        np.maximum(counts[rows], lookup[labels], out=counts[rows])
        np.clip(counts[rows], _LOWEST[anchors[rows]], _HIGHEST[anchors[rows]], out=counts[rows])
    return counts


def _count_by_bin(
    threshold: Threshold, quantised: QuantisedMap, pixels: Pixels, levels: NDArray[np.float64]
) -> MarkedSteps:
    shift, bins = threshold.prior_shift, quantised.bins
    if shift is None:
        return _count_bins([level_bin(level) for level in levels])[bins]
    histogram = quantised.histogram()
    bias = logit_bias(shift, histogram)
    first_bins = [level_bin(level, bias) for level in levels]
    counts = _count_bins(first_bins)[bins]
    if shift.minority_exponent:
        minority = find_minority_polarity(pixels, bins, bin_posteriors(shift, histogram))
        penalty = minority.logit_penalty(shift.minority_exponent)
        lookup = _count_bins([minority_bin(first, penalty) for first in first_bins])
        for rectangle, in_minority in minority.blocks():
            counts[rectangle][in_minority] = lookup[bins[rectangle][in_minority]]
    return counts


def _count_bins(first_bins: list[int]) -> MarkedSteps:
    """For each bin, at how many steps it is marked; (256,) uint8."""
    return np.asarray(np.searchsorted(np.sort(first_bins), np.arange(256), side="right"), np.uint8)


def _count_levels(levels: NDArray[np.float32], values: NDArray[np.float32]) -> MarkedSteps:
    """How many of falling levels each value reaches; uint8 of the shape of `values`."""
    return np.asarray(np.searchsorted(levels[::-1], values, side="right"), np.uint8)


def _safe_log_odds(level: float) -> float:
    return log_odds(min(max(level, _MIN_LEVEL), 1 - _MIN_LEVEL))


def _sigmoid(logits: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.asarray(logits, np.float64))))
