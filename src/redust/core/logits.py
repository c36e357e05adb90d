"""Levels that follow the scan: a clean one is judged more strictly, a dirty one less.

A network learns from pictures of which a certain share is damaged, and states probabilities as if every scan were
like them. On a scan of which next to nothing is damaged, nearly all it marks is false; on a dirty one, much that it
holds for only half likely is damage. How much of a scan is damaged can be estimated from the map itself (Saerens,
Latinne and Decaestecker, Adjusting the outputs of a classifier to new a priori probabilities, 2002,
doi:10.1162/089976602753284446). Where we differ: the odds follow that share by a power, not in proportion, for
neighbouring pixels are no independent witnesses; and the level moves instead of the map, which stays what the network
said.

Only a histogram of the map is needed, so the map may come tile by tile and be kept as one byte per pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap
from redust.core.engines import Detector, Generator
from redust.core.prior_shift import PriorShift
from redust.core.tiles import bands

LogitBins = NDArray[np.uint8]
Histogram = NDArray[np.int64]

BINS = 256
BINS_PER_UNIT = 10  # grades per unit of log odds
_EVEN = 81  # the grade from even odds on: 1 begins at log odds of -8, 255 at +17.4, where float32 ends
_LOWEST = -11.5  # log odds that stand for grade 0, about 1e-5: nearly all pixels have it
_LEAST, _MOST = 1e-5, 0.05  # shares of damage beyond which a level does not follow
_ROUNDS = 30  # after which the estimate no longer moves


def logit_bias(prior_shift: PriorShift, histogram: Histogram) -> float:
    """By how much a scan's damage is judged by other log odds than its detector took for granted.

    Parameters
    ----------
    histogram : (256,) int64
        Pixels of the scan by :func:`quantise_logits`.
    """
    return _shift_at(prior_shift, min(estimate_prior(histogram, prior_shift.prior), prior_shift.max_prior))


def _shift_at(prior_shift: PriorShift, share: float) -> float:
    return prior_shift.exponent * (log_odds(share) - log_odds(prior_shift.prior))


def threshold_bin(prior_shift: PriorShift, histogram: Histogram, level: float) -> int:
    """The grade, 1..255, from which on the pixels of a scan count as damaged.

    Rounded up, so that no more is marked than at the exact level.
    """
    wanted = (
        log_odds(float(np.clip(level, 1e-6, 1 - 1e-7))) - logit_bias(prior_shift, histogram)
    ) * BINS_PER_UNIT + _EVEN
    return int(np.clip(np.ceil(wanted - 1e-6), 1, BINS - 1))


def prior_shift_of(engine: Detector | Generator) -> PriorShift | None:
    """How an engine's levels follow the scan; None where they do not."""
    found: PriorShift | None = getattr(engine, "prior_shift", None)
    return found


def quantise_logits(damage: DamageMap) -> LogitBins:
    """A damage map in 256 steps of its log odds, (H, W) uint8: 10 to a unit, 81 where the odds are even."""
    found = np.zeros(damage.shape, np.uint8)
    some = damage >= np.float32(bin_probability(1))  # few pixels of any scan
    likely = damage[some].astype(np.float64)
    with np.errstate(divide="ignore"):
        graded = np.floor((np.log(likely) - np.log1p(-likely)) * BINS_PER_UNIT + 1e-9) + _EVEN
    found[some] = np.clip(graded, 0, BINS - 1)
    return found


def count_bins(graded: LogitBins) -> Histogram:
    """How many pixels have each grade, (256,) int64."""
    counted = np.zeros(BINS, np.int64)
    for rows in bands(graded.shape[0]):  # counting takes eight bytes per pixel for a while
        counted += np.bincount(graded[rows].ravel(), minlength=BINS)
    return counted


def bin_probability(step: int) -> float:
    """The probability from which on pixels have at least this grade."""
    return float(1.0 / (1.0 + np.exp(-(step - _EVEN) / BINS_PER_UNIT)))


def estimate_prior(histogram: Histogram, prior: float) -> float:
    """Estimate which share of a scan is damaged, by expectation and maximisation from the share taken for granted."""
    likelihood = _odds() * (1 - prior) / prior
    total, share = max(int(histogram.sum()), 1), prior
    for _ in range(_ROUNDS):
        posterior = likelihood * share / (likelihood * share + 1 - share)
        share = float(np.clip((histogram * posterior).sum() / total, _LEAST, _MOST))
    return share


def bin_posteriors(prior_shift: PriorShift, histogram: Histogram) -> NDArray[np.float32]:
    """How likely a pixel of each grade is damaged on a scan, (256,) in 0..1, once its share of damage is known."""
    # Of the scan as it is: `most` says how it is judged, not what is likely.
    odds = _odds() * np.exp(_shift_at(prior_shift, estimate_prior(histogram, prior_shift.prior)))
    return np.asarray(odds / (1 + odds), np.float32)


def _odds() -> NDArray[np.float64]:
    """The odds that each grade stands for, (256,)."""
    odds = np.exp((np.arange(BINS) - _EVEN + 0.5) / BINS_PER_UNIT)
    odds[0] = np.exp(_LOWEST)
    return odds


def shift_logits(damage: DamageMap, more: float) -> DamageMap:
    """A map, or some of its values, with so much added to the log odds."""
    factor, found = np.exp(more), np.empty_like(damage)
    for rows in bands(damage.shape[0]):
        odds = factor * damage[rows].astype(np.float64)
        found[rows] = odds / (odds + (1.0 - damage[rows]))
    return found


def log_odds(probability: float) -> float:
    """The natural logarithm of the odds."""
    return float(np.log(probability / (1 - probability)))
