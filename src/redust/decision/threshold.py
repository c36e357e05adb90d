"""Cuts damage maps at levels that follow the scan: how much damage it shows (:mod:`redust.core.logits`), and which
polarity (:mod:`redust.decision.polarity`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.engines import Detector, Generator
from redust.core.logits import (
    GRADES,
    PER_UNIT,
    Grades,
    adaptation_of,
    chances_of,
    grades,
    histogram_of,
    level_of,
    moved,
    shift,
    step_of,
)
from redust.core.prior_shift import Adaptation
from redust.core.tiles import Place
from redust.decision.polarity import rarer, unpacked


def cut_for(
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
        return cut_following(None, damage, pixels, level)
    return cut_following(adaptation_of(engine), damage, pixels, engine.level)


def cut_following(adaptation: Adaptation | None, damage: DamageMap, pixels: Pixels, level: float) -> tuple[Mask, float]:
    """Cut a whole map as :func:`cut_for` does; at `level` to the letter where there is no adaptation."""
    if adaptation is None:
        return damage >= np.float32(level), level
    graded = grades(damage)
    return cut_graded(adaptation, graded, pixels, level)


def cut_graded(adaptation: Adaptation, graded: Grades, pixels: Pixels, level: float) -> tuple[Mask, float]:
    """Cut a map that is kept as grades, in place: the mask takes their bytes."""
    histogram = histogram_of(graded)
    step = step_of(adaptation, histogram, level)
    spared = _against(adaptation, graded, pixels, histogram, step) if adaptation.polarity else []
    mask = graded.view(np.bool_)
    np.greater_equal(graded, step, out=mask)
    for place, packed in spared:
        mask[place] &= ~unpacked(packed, mask[place].shape)
    return mask, level_of(step)


def _against(
    adaptation: Adaptation, graded: Grades, pixels: Pixels, histogram: NDArray[np.int64], step: int
) -> list[tuple[Place, NDArray[np.uint8]]]:
    """By blocks, the pixels that pass the step, but are of the rarer polarity and do not pass its own, packed."""
    found = rarer(pixels, graded, chances_of(adaptation, histogram))
    own = min(step + int(np.ceil(found.loss(adaptation.polarity) * PER_UNIT - 1e-6)), GRADES - 1)
    spared = []
    for place, against in found.places():
        here = graded[place]
        spared.append((place, np.packbits(against & (here >= step) & (here < own))))
    return spared


def adapted(adaptation: Adaptation | None, damage: DamageMap, pixels: Pixels, more: float = 0.0) -> DamageMap:
    """The map of a scan as its detector would have stated it, had it known the scan's damage: how much, and of which
    polarity.

    Parameters
    ----------
    adaptation
        None leaves the map as it is but for `more`.
    damage : (H, W) float32 in 0..1
    pixels : (H, W, C)
        The scan.
    more
        Log odds that are added besides.
    """
    if adaptation is None:
        return moved(damage, more)
    graded = grades(damage)
    histogram = histogram_of(graded)
    more += shift(adaptation, histogram)
    found = moved(damage, more)
    if adaptation.polarity:
        against = rarer(pixels, graded, chances_of(adaptation, histogram))
        less = more - against.loss(adaptation.polarity)
        for place, where in against.places():
            found[place][where] = moved(damage[place][where], less)
    return found
