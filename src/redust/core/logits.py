"""Quantised damage maps, and the share of damage estimated from their histogram.

A network states probabilities as if every scan were as damaged as its training pictures. How much of a scan is damaged
can be estimated from the map itself (Saerens, Latinne and Decaestecker, Adjusting the outputs of a classifier to new a
priori probabilities, 2002, doi:10.1162/089976602753284446). Where we differ: the odds follow that share by a power, not
in proportion, for neighbouring pixels are not independent; and the threshold moves instead of the map.

Only a histogram of the map is needed, so the map may come tile by tile and be held as one byte per pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap
from redust.core.engines import PriorShift
from redust.core.tiles import Rectangle, bands

LogitBins = NDArray[np.uint8]
Histogram = NDArray[np.int64]

BINS = 256
BINS_PER_UNIT = 10  # bins per unit of log odds
_EVEN = 81  # the bin that begins at even odds: bin 1 begins at log odds of -8, 255 at +17.4, where float32 ends
_LOWEST = -11.5  # log odds that stand for bin 0, about 1e-5: nearly all pixels lie in it
_MIN_PRIOR, _MAX_PRIOR = 1e-5, 0.05  # shares of damage beyond which a threshold does not follow
_ITERATIONS = 30  # after which the estimate no longer moves


@dataclass(frozen=True, eq=False)
class QuantisedMap:
    """A damage map in 256 bins of its logits: one byte per pixel.

    Parameters
    ----------
    bins : (H, W) uint8
        10 bins to a unit of log odds, 81 at even odds; 0 holds all that is below 3e-4.
    """

    bins: LogitBins

    @classmethod
    def from_map(cls, damage: DamageMap) -> Self:
        """Quantise a damage map (H, W) float32 in 0..1."""
        return cls(quantise_logits(damage))

    @classmethod
    def from_tiles(cls, tiles: Iterable[tuple[Rectangle, DamageMap]], shape: tuple[int, int]) -> Self:
        """Quantise a damage map of `shape` (height, width) that comes in tiles which cover each pixel once."""
        bins = np.empty(shape, np.uint8)
        for rectangle, damage in tiles:
            bins[rectangle] = quantise_logits(damage)
        return cls(bins)

    def histogram(self) -> Histogram:
        """Pixels in each bin, (256,) int64."""
        counts = np.zeros(BINS, np.int64)
        for rows in bands(self.bins.shape[0]):  # counting takes eight bytes per pixel for a while
            counts += np.bincount(self.bins[rows].ravel(), minlength=BINS)
        return counts

    def to_probabilities(self) -> DamageMap:
        """The damage map (H, W) float32 in 0..1 that the bins stand for: the middle of each."""
        odds = _bin_odds()
        return np.asarray(odds / (1 + odds), np.float32)[self.bins]


def quantise_logits(damage: DamageMap) -> LogitBins:
    """The bin of each pixel of a damage map or a tile of it: (H, W) uint8; see :class:`QuantisedMap`."""
    bins = np.zeros(damage.shape, np.uint8)
    likely = damage >= np.float32(bin_probability(1))  # few pixels of any scan
    probabilities = damage[likely].astype(np.float64)
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities) - np.log1p(-probabilities)
        bins[likely] = np.clip(np.floor(logits * BINS_PER_UNIT + 1e-9) + _EVEN, 0, BINS - 1)
    return bins


def level_bin(level: float, logit_bias: float = 0.0) -> int:
    """The lowest bin, 1..255, whose pixels all reach a level, 0..1, after `logit_bias` is added to their log odds.

    Rounded up, so that no more is marked than at the exact level.
    """
    exact = (log_odds(float(np.clip(level, 1e-6, 1 - 1e-7))) - logit_bias) * BINS_PER_UNIT + _EVEN
    return int(np.clip(np.ceil(exact - 1e-6), 1, BINS - 1))


def bin_probability(index: int) -> float:
    """The probability at which a bin begins."""
    return float(1.0 / (1.0 + np.exp(-(index - _EVEN) / BINS_PER_UNIT)))


def logit_bias(prior_shift: PriorShift, histogram: Histogram) -> float:
    """Log odds by which a scan's damage is likelier than its detector assumes, given its histogram (256,) int64."""
    return _bias_at(prior_shift, min(estimate_prior(histogram, prior_shift.prior), prior_shift.max_prior))


def _bias_at(prior_shift: PriorShift, share: float) -> float:
    return prior_shift.exponent * (log_odds(share) - log_odds(prior_shift.prior))


def estimate_prior(histogram: Histogram, prior: float) -> float:
    """Estimate the share of damaged pixels of a scan by expectation maximisation, starting from the assumed `prior`."""
    likelihood = _bin_odds() * (1 - prior) / prior
    total, share = max(int(histogram.sum()), 1), prior
    for _ in range(_ITERATIONS):
        posterior = likelihood * share / (likelihood * share + 1 - share)
        share = float(np.clip((histogram * posterior).sum() / total, _MIN_PRIOR, _MAX_PRIOR))
    return share


def bin_posteriors(prior_shift: PriorShift, histogram: Histogram) -> NDArray[np.float32]:
    """How likely a pixel of each bin is damaged on a scan with this histogram, (256,) float32 in 0..1."""
    # Of the scan as it is: `max_prior` limits the threshold, not the estimate.
    odds = _bin_odds() * np.exp(_bias_at(prior_shift, estimate_prior(histogram, prior_shift.prior)))
    return np.asarray(odds / (1 + odds), np.float32)


def _bin_odds() -> NDArray[np.float64]:
    """The odds in the middle of each bin, (256,)."""
    odds = np.exp((np.arange(BINS) - _EVEN + 0.5) / BINS_PER_UNIT)
    odds[0] = np.exp(_LOWEST)
    return odds


def shift_logits(damage: DamageMap, bias: float) -> DamageMap:
    """A damage map, or some of its values, with `bias` added to the log odds."""
    factor, shifted = np.exp(bias), np.empty_like(damage)
    for rows in bands(damage.shape[0]):
        odds = factor * damage[rows].astype(np.float64)
        shifted[rows] = odds / (odds + (1.0 - damage[rows]))
    return shifted


def log_odds(probability: float) -> float:
    """The natural logarithm of the odds."""
    return float(np.log(probability / (1 - probability)))
