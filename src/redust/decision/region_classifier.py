"""Which regions are damage: a small ensemble of trees over the table of region features.

A damage map says how much a pixel resembles damage. Whether a region is damage depends on what only the region as a
whole shows: its contrast in units of the local noise, its outline, its colour, whether a line goes on beyond it, its
company. The trees run in ONNX Runtime; `redust learn` fits them (:mod:`redust.training.regions`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.engines import DetectorSpec, MapSpec
from redust.core.errors import ModelError
from redust.core.logits import QuantisedMap, estimate_prior
from redust.core.settings import Sensitivity
from redust.core.tiles import Rectangle
from redust.decision.candidates import find_candidates, measure_tone
from redust.decision.region_features import FEATURES, RegionTable, measure_regions
from redust.decision.regions import Regions
from redust.decision.threshold import Threshold

_ROWS = 65_536  # regions that are scored at a time


class RegionClassifier:
    """Scores regions, 0..1, by how likely they are damage.

    Parameters
    ----------
    folder
        A model folder for the task ``regions``. Its card's option ``features`` names the columns it takes.
    threads
        Threads of ONNX Runtime; all cores unless given.

    Raises
    ------
    ModelError
        If the card or the weights are missing or damaged, or the card names a feature that this version lacks.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        from redust.models.runtime import open_model  # loads ONNX Runtime: only where regions are judged

        self.card, self._session = open_model(folder, "regions", threads=threads)
        names = list(self.card.options.get("features", ()))
        if not names or not set(names) <= set(FEATURES):
            raise ModelError(f"{folder} judges regions by features that this ReDust lacks. Fit it again: redust learn.")
        self._columns = [FEATURES.index(name) for name in names]

    @property
    def sha256(self) -> dict[str, str]:
        """The hash of its weights, by its name and their kind."""
        return {f"{self.card.name} {kind}": digest for kind, digest in self.card.sha256.items()}

    def level_for(self, sensitivity: Sensitivity | None) -> float:
        """The score, 0..1, from which on a region counts as damage."""
        return self.card.level if sensitivity is None else self.card.levels.get(sensitivity, self.card.level)

    @property
    def pixel_share(self) -> float:
        """The estimated share of damage, 0..1, from which on a scan is heavily damaged."""
        return float(self.card.options.get("pixel_share", 1.0))

    @property
    def scene_level(self) -> float:
        """The score, 0..1, below which a region of a heavily damaged scan is taken for a part of the scene."""
        return float(self.card.options.get("scene_level", 0.0))

    def score(self, table: RegionTable) -> NDArray[np.float32]:
        """The scores of regions as of an ordinary and of a heavily damaged scan, (count, 2) float32 in 0..1.

        0 on too little evidence, 1 where the map is certain. Both are the same for a model with one committee of trees.
        """
        scores = np.zeros((len(table.values), 2), np.float32)
        (rows,) = np.nonzero(table.has_evidence)
        for start in range(0, len(rows), _ROWS):
            chunk = rows[start : start + _ROWS]
            scores[chunk] = self._session.run_table(table.values[chunk][:, self._columns])
        scores[table.is_certain] = 1
        return scores


@lru_cache(maxsize=4)
def load_classifier(folder: Path) -> RegionClassifier:
    """The classifier in a model folder, loaded once; errors as for :class:`RegionClassifier`."""
    return RegionClassifier(folder)


@dataclass(frozen=True, eq=False)
class ScoredRegions:
    """The candidate regions of a scan and their scores.

    Parameters
    ----------
    regions
        The candidates.
    scores : (count, 2) float32 in 0..1
        In the order of `regions`, as of an ordinary and of a heavily damaged scan.
    highest_bins : (count,) float32
        The highest bin of the damage map in each.
    """

    regions: Regions
    scores: NDArray[np.float32]
    highest_bins: NDArray[np.float32]

    def accept(self, level: float, first_bin: int | None = None) -> NDArray[np.bool_]:
        """Which regions are damage, (count,) bool; a lower level, or first bin, never accepts less.

        Those whose score reaches the level as of an ordinary scan; and, of those that the damage map marks from
        `first_bin` on, those whose score reaches it as of a heavily damaged one.
        """
        likely = self.scores >= np.float32(level)
        if first_bin is None:
            return likely[:, 0]
        return likely[:, 0] | (likely[:, 1] & (self.highest_bins >= first_bin))

    def drop_scene(self, mask: Mask, level: float) -> Mask:
        """Drop the regions of a mask (H, W) that touch no candidate of this score as of a heavily damaged scan.

        In place; returns it.
        """
        marked = Regions(mask, self.regions.rows)
        highest = np.zeros(marked.count + 1, np.float32)
        scores = np.concatenate([[0], self.scores[:, 1]]).astype(np.float32)
        for (_, marked_labels), (_, labels) in zip(marked.bands(), self.regions.bands(), strict=True):
            positions = np.flatnonzero(marked_labels)
            np.maximum.at(highest, marked_labels.ravel()[positions], scores[labels.ravel()[positions]])
        return marked.remove_from(mask, highest[1:] < np.float32(level))


def score_regions(classifier: RegionClassifier, quantised: QuantisedMap, pixels: Pixels) -> ScoredRegions:
    """Find the candidate regions of a scan, (H, W, C) uint8, uint16 or float32, and score them."""
    tone = measure_tone(pixels)
    regions = Regions(find_candidates(quantised.bins, tone))
    table = measure_regions(regions, pixels, quantised.bins, tone)
    return ScoredRegions(regions, classifier.score(table), table.highest_bins)


@dataclass(frozen=True, eq=False)
class RegionThreshold:
    """Which candidates count as damaged, by the kind of the scan; applied as :class:`Threshold` is.

    On ordinary scans regions are judged (:meth:`ScoredRegions.accept`). On a heavily damaged scan, one whose damage map
    estimates at least the classifier's ``pixel_share``, pixels are thresholded as well, and of their regions those are
    dropped that the classifier takes for a part of the scene. A higher sensitivity never marks less, on either kind.

    Parameters
    ----------
    classifier
        Scores the candidate regions.
    level : above 0, up to 1
        Score at or above which regions are damage.
    by_pixel
        Threshold of the damage map.
    """

    classifier: RegionClassifier
    level: float
    by_pixel: Threshold

    def apply(self, damage: DamageMap | QuantisedMap, pixels: Pixels) -> tuple[Mask, float]:
        """The mask (H, W) bool of a damage map (H, W), and the level: of scores, or of the map on a heavy scan."""
        quantised = damage if isinstance(damage, QuantisedMap) else QuantisedMap.from_map(damage)
        return self.apply_to_regions(score_regions(self.classifier, quantised, pixels), quantised, pixels)

    def apply_to_regions(self, scored: ScoredRegions, quantised: QuantisedMap, pixels: Pixels) -> tuple[Mask, float]:
        """The same where the candidate regions are scored."""
        histogram = quantised.histogram()
        share = estimate_prior(histogram, self.by_pixel.assumed_prior)
        if share < self.classifier.pixel_share:
            return scored.regions.keep(scored.accept(self.level, self.by_pixel.first_bin(histogram))), self.level
        mask, level = self.by_pixel.apply(quantised, pixels)
        mask = scored.drop_scene(mask, self._scene_level(share))
        return scored.regions.add_to(mask, scored.accept(self.level)), level

    def _scene_level(self, share: float) -> float:
        """From the level of ordinary scans down to the classifier's own while the share of damage doubles."""
        doubled = min(float(np.log2(share / self.classifier.pixel_share)), 1.0)
        lowest = min(self.classifier.scene_level, self.level)
        return self.level + doubled * (lowest - self.level)

    def apply_to_tiles(self, tiles: Iterable[tuple[Rectangle, DamageMap]], pixels: Pixels) -> tuple[Mask, float]:
        """The same for a damage map that comes in tiles: one byte per pixel of it is held."""
        return self.apply(QuantisedMap.from_tiles(tiles, (pixels.shape[0], pixels.shape[1])), pixels)


def threshold_of(
    spec: MapSpec, level: float | None = None, sensitivity: Sensitivity | None = None
) -> Threshold | RegionThreshold:
    """How a damage map becomes candidates: by regions where its detector has a classifier and no level is given."""
    by_pixel = Threshold.of_engine(spec, level, sensitivity)
    folder = spec.regions if isinstance(spec, DetectorSpec) else None
    if level is not None or folder is None:
        return by_pixel
    classifier = load_classifier(folder)
    return RegionThreshold(classifier, classifier.level_for(sensitivity), by_pixel)
