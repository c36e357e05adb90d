"""Labelled regions to learn from: scans with masks are detected, and their candidate regions measured and labelled.

A map of a scan takes seconds, so maps may be kept in a folder. A map that the detector learnt is too good to learn
from: give scans that it was not trained on.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels
from redust.core.atomic import whole_file
from redust.core.engines import Detector, MapSpec
from redust.core.errors import TrainingError
from redust.core.labels import Label, Truth
from redust.core.logits import LogitBins, QuantisedMap, quantise_logits
from redust.core.settings import Sensitivity
from redust.decision.candidates import find_candidates, measure_tone
from redust.decision.region_features import measure_regions
from redust.decision.regions import Regions
from redust.decision.threshold import Threshold
from redust.detectors.choose_view import choose_view
from redust.detectors.run_detector import detect_damage
from redust.files.pairs import PairPaths, read_picture, read_truth
from redust.training.region_trees import RegionSample, ScanKind
from redust.training.region_variants import Picture, vary_picture

_MIN_DAMAGED = 0.5  # share of a region within 2 pixels of true damage from which on it is damage
_MAX_IGNORED = 0.3  # share of a region that is not judged from which on it is not learnt
_DISC = (np.hypot(*np.ogrid[-2:3, -2:3]) <= 2).astype(np.uint8)
_DUST_REACH = 8  # pixels around a known speck of dust that are not judged

Spots = Sequence[tuple[int, int]]


def _calibrate_none(name: str) -> bool:  # noqa: ARG001
    return False


@dataclass(frozen=True)
class Source:
    """Scans to learn from.

    Parameters
    ----------
    pairs
        Scans with masks; one without a mask is sound.
    weight
        Of each scan beside those of other sources.
    vary
        Gives the pictures that are learnt in place of each.
    has_unmarked
        Whether some of their damage may not be marked.
    kinds
        Of scans, whose trees learn from them.
    calibrates
        Of a name: whether false spots on that scan, as it is, set the levels.
    has_rolls
        Whether names tell rolls; else each picture is a roll of its own.
    dust
        Rows and columns of specks on sound scans, by the scan's name; they are not judged.
    """

    pairs: Sequence[PairPaths]
    weight: float = 1.0
    vary: Callable[[Picture, str], Iterator[Picture]] = vary_picture
    has_unmarked: bool = True
    kinds: frozenset[ScanKind] = frozenset(ScanKind)
    calibrates: Callable[[str], bool] = _calibrate_none
    has_rolls: bool = True
    dust: Mapping[str, Spots] = field(default_factory=dict)


@dataclass(frozen=True)
class MapCache:
    """Maps of pictures by a detector, kept in a folder.

    Parameters
    ----------
    detector
        Its weights and the pixels name a map.
    folder
        None to keep nothing.
    """

    detector: Detector
    folder: Path | None = None

    def read_or_detect(self, pixels: Pixels) -> LogitBins:
        """The quantised damage map of a picture, (H, W) uint8."""
        if self.folder is None:
            return self._detect(pixels)
        path = self.folder / f"{self._hash(pixels)}.png"
        if path.is_file() and (stored := cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) is not None:
            return np.asarray(stored, np.uint8)
        bins = self._detect(pixels)
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path, overwrite=True) as draft:
            draft.write(cv2.imencode(".png", bins)[1].tobytes())
        return bins

    def _detect(self, pixels: Pixels) -> LogitBins:
        return quantise_logits(detect_damage(choose_view(self.detector, pixels), pixels))

    def _hash(self, pixels: Pixels) -> str:
        digest = hashlib.sha256("".join(sorted(self.detector.spec.sha256.values())).encode())
        digest.update(f"{pixels.shape} {pixels.dtype}".encode())
        digest.update(np.ascontiguousarray(pixels).data)
        return digest.hexdigest()[:40]


def read_spots(path: Path) -> dict[str, Spots]:
    """Specks on scans, by their name, of a CSV file with the columns name, row and column.

    Raises
    ------
    TrainingError
        If it cannot be read so.
    """
    spots: dict[str, list[tuple[int, int]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            for line in csv.DictReader(lines):
                spots.setdefault(line["name"], []).append((int(line["row"]), int(line["column"])))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} holds no columns name, row and column of whole numbers. Mend it.") from error
    return dict(spots)


def roll_of(name: str, pattern: str = "") -> str:
    """The roll that a scan belongs to: what the pattern matches of its name, or the name without its last number.

    >>> roll_of("Zorki1-14"), roll_of("HP5_scan"), roll_of("swiss-ui_japan2", "swiss-ui")
    ('Zorki1', 'HP5_scan', 'swiss-ui')
    """
    if pattern and (match := re.search(pattern, name)):
        return match.group()
    return re.sub(r"[-_ ]?\d+$", "", name) or name


def label_regions(regions: Regions, truth: Truth) -> NDArray[np.int16]:
    """The :class:`Label` of each region, (count,) int16, by what the truth (H, W) says of its pixels."""
    damage = cv2.dilate((truth == Label.damage).view(np.uint8), _DISC)
    overlap, ignored = np.zeros((2, regions.count + 1))
    for rows, labels in regions.bands():
        overlap += np.bincount(labels.ravel(), weights=damage[rows].ravel(), minlength=regions.count + 1)
        ignored += np.bincount(labels[truth[rows] == Label.ignore], minlength=regions.count + 1)
    share, unknown = overlap[1:] / regions.sizes(), ignored[1:] / regions.sizes()
    labels = np.where((share > 0) | (unknown > _MAX_IGNORED), Label.ignore, Label.background)
    return np.where(share >= _MIN_DAMAGED, Label.damage, labels).astype(np.int16)


def sample_regions(picture: Picture, maps: MapCache, roll: str) -> RegionSample:
    """Detect a scan, and measure and label its candidate regions."""
    pixels, truth = picture
    quantised = QuantisedMap(maps.read_or_detect(pixels))
    tone = measure_tone(pixels)
    regions = Regions(find_candidates(quantised.bins, tone))
    table = measure_regions(regions, pixels, quantised.bins, tone)
    rows = table.has_evidence
    marked = _marked_by_pixel(maps.detector.spec, quantised, table.highest_bins[rows])
    judged = np.count_nonzero(truth != Label.ignore) / 1e6
    return RegionSample(roll, judged, table.values[rows], label_regions(regions, truth)[rows], marked=marked)


def _marked_by_pixel(
    spec: MapSpec, quantised: QuantisedMap, highest_bins: NDArray[np.float32]
) -> dict[Sensitivity, NDArray[np.bool_]]:
    """Whether the detector's own threshold marks regions of these highest bins, by sensitivity."""
    histogram = quantised.histogram()
    return {
        sensitivity: highest_bins >= Threshold.of_engine(spec, None, sensitivity).first_bin(histogram)
        for sensitivity in Sensitivity
    }


def collect_samples(
    sources: Sequence[Source],
    maps: MapCache,
    *,
    roll_pattern: str = "",
    mask_level: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[RegionSample], list[bool]]:
    """Detect and measure all scans: the samples, and whether each is a sound scan that sets the levels."""
    samples: list[RegionSample] = []
    calibrating: list[bool] = []
    total, done = sum(len(source.pairs) for source in sources), 0
    for source in sources:
        for pair in source.pairs:
            roll = roll_of(pair.name, roll_pattern) if source.has_rolls else pair.name
            picture = _read_pair(pair, source, mask_level)
            for number, variant in enumerate(source.vary(picture, pair.name)):
                sample = sample_regions(variant, maps, roll)
                samples.append(
                    replace(sample, weight=source.weight, has_unmarked=source.has_unmarked, kinds=source.kinds)
                )
                calibrating.append(number == 0 and source.calibrates(pair.name))
            done += 1
            if progress:
                progress(done / total)
    return samples, calibrating


def _read_pair(pair: PairPaths, source: Source, mask_level: int | None) -> Picture:
    """A scan, and its truth; known dust on a sound one is not judged."""
    pixels = read_picture(pair.picture)
    if pair.mask is not None:
        return pixels, read_truth(pair.mask, pixels.shape[:2], mask_level)
    truth = np.zeros(pixels.shape[:2], np.uint8)
    for row, column in source.dust.get(pair.name, ()):
        top, left = max(0, row - _DUST_REACH), max(0, column - _DUST_REACH)
        truth[top : row + _DUST_REACH + 1, left : column + _DUST_REACH + 1] = Label.ignore
    return pixels, truth
