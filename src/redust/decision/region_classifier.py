"""Which regions are damage: a small ensemble of trees over the table of region features.

A damage map tells how much a pixel resembles damage. Whether a region is damage depends on what only the region as a
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
from redust.core.logits import QuantisedMap
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

    def score(self, table: RegionTable) -> NDArray[np.float32]:
        """The scores of regions, (count,) float32 in 0..1: 0 on too little evidence, 1 where the map is certain."""
        scores = np.zeros(len(table.values), np.float32)
        (rows,) = np.nonzero(table.has_evidence)
        for start in range(0, len(rows), _ROWS):
            chunk = rows[start : start + _ROWS]
            scores[chunk] = self._session.run_table(table.values[chunk][:, self._columns])[:, 0]
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
    scores : (count,) float32 in 0..1
        In the order of `regions`.
    """

    regions: Regions
    scores: NDArray[np.float32]

    def mask(self, level: float) -> Mask:
        """The regions whose score is at least `level`, (H, W) bool; a lower level never marks less."""
        return self.regions.keep(self.scores >= np.float32(level))


def score_regions(classifier: RegionClassifier, quantised: QuantisedMap, pixels: Pixels) -> ScoredRegions:
    """Find the candidate regions of a scan, (H, W, C) uint8, uint16 or float32, and score them."""
    tone = measure_tone(pixels)
    regions = Regions(find_candidates(quantised.bins, tone))
    return ScoredRegions(regions, classifier.score(measure_regions(regions, pixels, quantised.bins, tone)))


@dataclass(frozen=True, eq=False)
class RegionThreshold:
    """The score at or above which regions count as damaged; applied as :class:`redust.decision.threshold.Threshold` is.

    Parameters
    ----------
    classifier
        Scores the candidate regions.
    level : above 0, up to 1
    """

    classifier: RegionClassifier
    level: float

    def apply(self, damage: DamageMap | QuantisedMap, pixels: Pixels) -> tuple[Mask, float]:
        """The mask (H, W) bool of a damage map (H, W), and the level."""
        quantised = damage if isinstance(damage, QuantisedMap) else QuantisedMap.from_map(damage)
        return score_regions(self.classifier, quantised, pixels).mask(self.level), self.level

    def apply_to_tiles(self, tiles: Iterable[tuple[Rectangle, DamageMap]], pixels: Pixels) -> tuple[Mask, float]:
        """The same for a damage map that comes in tiles: one byte per pixel of it is held."""
        return self.apply(QuantisedMap.from_tiles(tiles, (pixels.shape[0], pixels.shape[1])), pixels)


def threshold_of(
    spec: MapSpec, level: float | None = None, sensitivity: Sensitivity | None = None
) -> Threshold | RegionThreshold:
    """How a damage map becomes candidates: by regions where its detector has a classifier and no level is given."""
    folder = spec.regions if isinstance(spec, DetectorSpec) else None
    if level is not None or folder is None:
        return Threshold.of_engine(spec, level, sensitivity)
    classifier = load_classifier(folder)
    return RegionThreshold(classifier, classifier.level_for(sensitivity))
