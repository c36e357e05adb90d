"""Judge masks by a second take of the same scene: what both takes show is scene, what one shows alone is damage.

    python scripts/judge_masks.py SCANS -o JUDGED [--detector unet] [--looks 4]

SCANS holds takes with masks, in any layout that `redust train --data` reads, named SCENE_TAKE: colour separations, or
two scans of one slide between which it was cleaned. Masks that were derived from such takes leave most of a busy scene
not judged, and call what differs by colour damage. Here a trained model says where damage may be, and the other take,
laid over the first, says what it is. Each spot that the mask marks and the model does not believe, and each that the
model marks, strongly or faintly, is looked at in both takes:

- both show it alike, or the model marks it in both: scene, which becomes sound (0);
- the other take shows nothing of it: damage (255); a faint spot must stand out of its surroundings as well;
- neither is clear: not judged (128) where mask and model disagree, else as it was.

What was not judged becomes sound where the takes agree pixel by pixel and the model marks nothing. JUDGED holds the
same scans and the new masks, NAME.jpg beside NAME_mask.png. A scene must have two takes; where they do not show the
same, it is left out with a sentence, and the rest goes on.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import new_masks
import plainly
from doubt_masks import shares
from new_masks import Target
from redust.core.arrays import DamageMap, Mask, three_channels, to_light
from redust.core.engines import Detector
from redust.core.errors import RedustError, TrainingError
from redust.core.tiles import Place
from redust.detectors import make_detector
from redust.detectors.looks import looking
from redust.detectors.running import find_damage
from redust.training.pairs import PairPaths, find_splits
from redust.training.synthesis.synthesizer import DAMAGE, SOUND, UNJUDGED

Plane = NDArray[np.float32]

LIKELY, FAINT, NOTHING = 0.2, 0.1, 0.06  # chances of damage: a spot, a faint one, and where there is none
SHIFT = 5  # pixels by which a spot may lie elsewhere in the other take: glass plates were exposed one after another
SHIFTS = [(row, column) for row in range(-SHIFT, SHIFT + 1) for column in range(-SHIFT, SHIFT + 1)]
AROUND = 12  # pixels around a spot by which the takes are compared
STANDS_OUT = 3.0  # a faint spot must differ so many times as much as its surroundings vary
SAME_PLACE = 0.5  # correlation of what surrounds a spot; below it what is alike may be so by chance
UNASKED = 1  # where no spot is; any value but those of masks
MATCHES = 50  # fewer places that fit are no alignment


@dataclass(frozen=True)
class Take:
    """One scan of a scene.

    Parameters
    ----------
    light : (H, W) float32 in 0..255
    truth : (H, W) uint8
        255 damage, 128 not judged, 0 sound.
    damage : (H, W) float32 in 0..1
    """

    light: Plane
    truth: Target
    damage: DamageMap

    @cached_property
    def places(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Places that are found again in another take, (N, 2) columns and rows, and what they look like (SIFT)."""
        found, words = cv2.SIFT.create(6000, contrastThreshold=0.02).detectAndCompute(_evened(self.light), None)
        return np.array([one.pt for one in found], np.float32).reshape(-1, 2), words

    def laid_over(self, first: Take) -> tuple[Plane, DamageMap]:
        """Light and damage of this take, moved to where the first one shows the same."""
        matrix, size = alignment(self, first), first.light.shape[::-1]
        light, damage = (
            np.asarray(cv2.warpPerspective(plane, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT))
            for plane, flags in ((self.light, cv2.INTER_CUBIC), (self.damage, cv2.INTER_LINEAR))
        )
        return light, damage


def alignment(take: Take, first: Take) -> NDArray[np.float64]:
    """The homography (3, 3) that takes places of a take to the same places of the first (by RANSAC).

    Raises
    ------
    TrainingError
        If the two do not show the same.
    """
    (places, words), (first_places, first_words) = take.places, first.places
    found = cv2.BFMatcher().knnMatch(words, first_words, k=2) if len(places) and len(first_places) > 1 else []
    pairs = [best for best, next_best in found if best.distance < 0.8 * next_best.distance]
    if len(pairs) >= MATCHES:
        ours, theirs = places[[one.queryIdx for one in pairs]], first_places[[one.trainIdx for one in pairs]]
        matrix, fit = cv2.findHomography(ours, theirs, cv2.RANSAC, 6)
        if matrix is not None and int(fit.sum()) >= MATCHES:
            return np.asarray(matrix)
    raise TrainingError("two takes of a scene do not show the same: leave the scene out.")


@dataclass(frozen=True)
class Likeness:
    """How a spot looks in another take.

    Parameters
    ----------
    ratio
        Its contrast there, over that in its own take.
    correlation
        Of both takes in and around the spot, -1..1.
    marked
        Mean chance of damage there, 0..1.
    clearness
        Its contrast over the standard deviation of what surrounds it.
    """

    ratio: float
    correlation: float
    marked: float
    clearness: float

    @property
    def alike(self) -> bool:
        """Whether both takes show the spot."""
        return (self.ratio > 0.45 and self.correlation > 0.6) or self.marked > 0.35

    @property
    def absent(self) -> bool:
        """Whether the other take shows nothing of it."""
        return abs(self.ratio) < 0.3 and self.correlation < 0.45 and self.marked < 0.05


def judged(take: Take, other: Take) -> Target:
    """The mask of a take, judged by another one of the same scene, wherever that lies; (H, W) uint8."""
    light, damage = other.laid_over(take)
    own, there, marked = _details(take.light), _details(light), _widened(damage, 5)
    wanted = take.truth == DAMAGE
    found = take.truth.copy()
    found[wanted & (shares(wanted, take.damage >= LIKELY) == 0)] = UNJUDGED
    suspect = _widened(_differing(own, there, _grain(take.light)), 3) | _widened(take.damage >= NOTHING, 5)
    found[(take.truth == UNJUDGED) & ~suspect] = SOUND
    verdicts = np.full(take.truth.shape, UNASKED, np.uint8)
    for faint, spots in _spots(take):
        for spot, place in spots:
            verdicts[place][spot] = _verdict(own, there, marked, spot, place, faint)
    return _settled(take, found, verdicts)


def _settled(take: Take, found: Target, verdicts: Target) -> Target:
    """What is known of a mask already, with the verdicts on spots: damage with a rim that is not judged."""
    damage, unsure, scene = (verdicts == one for one in (DAMAGE, UNJUDGED, SOUND))
    believed = found == DAMAGE
    found[_widened(scene, 5) & ~_widened(damage | believed | unsure, 3)] = SOUND
    found[_widened(damage, 5) & (found != DAMAGE)] = UNJUDGED
    found[damage & ((take.damage >= 1.5 * LIKELY) | (take.damage < LIKELY) | (take.truth == DAMAGE))] = DAMAGE
    found[unsure & (found == SOUND) & ((take.truth != SOUND) | (take.damage >= 0.5))] = UNJUDGED
    return found


def _spots(take: Take) -> Iterator[tuple[bool, Iterable[tuple[Mask, Place]]]]:
    """What is to be compared: whether it is faint, and the spots; later ones overrule those before."""
    yield True, _between(take.damage >= NOTHING, take.damage, FAINT, 1.5 * LIKELY)
    yield True, _between(take.truth == DAMAGE, take.damage, 0, LIKELY)
    yield False, _between(take.damage >= LIKELY, take.damage, 1.5 * LIKELY, np.inf)


def _between(regions: Mask, damage: DamageMap, least: float, most: float) -> Iterator[tuple[Mask, Place]]:
    """Regions whose greatest chance lies between: the pixels of each in a window, and the window."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(regions.astype(np.uint8), connectivity=8)
    peaks = np.zeros(count, np.float32)
    np.maximum.at(peaks, labels.ravel(), damage.ravel())
    for label, (left, top, wide, tall, _) in enumerate(boxes[1:], 1):
        rows, columns = (
            slice(max(start - AROUND, SHIFT), min(start + length + AROUND, side - SHIFT))
            for start, length, side in ((top, tall, labels.shape[0]), (left, wide, labels.shape[1]))
        )
        spot = labels[rows, columns] == label
        if least <= peaks[label] < most and spot.sum() >= 3:
            yield spot, (rows, columns)


def _verdict(own: Plane, there: Plane, marked: Plane, spot: Mask, place: Place, faint: bool) -> int:
    """SOUND for a spot that is scene, DAMAGE, or UNJUDGED."""
    near = _widened(spot, 7)
    ring = _widened(spot, 21) & ~near
    if not ring.any():
        return UNJUDGED

    def fit(by: tuple[int, int]) -> float:  # of what surrounds the spot; of places that fit alike the nearer one
        return _correlation(own[place][ring], there[_moved(place, by)][ring]) - 0.004 * float(np.hypot(*by))

    fits, shift = max(((fit(by), by) for by in SHIFTS), key=itemgetter(0))
    moved = _moved(place, shift)
    likeness = _compared(own[place], there[moved], marked[moved], spot, near, ring)
    if likeness.alike and fits > SAME_PLACE:
        return SOUND
    return DAMAGE if likeness.absent and (not faint or likeness.clearness > STANDS_OUT) else UNJUDGED


def _compared(ours: Plane, theirs: Plane, marked: Plane, spot: Mask, near: Mask, ring: Mask) -> Likeness:
    """How a spot, its rim (`near`, with it) and what surrounds it look in two windows."""
    contrast, contrast_there = (float(one[spot].mean() - np.median(one[ring])) for one in (ours, theirs))
    return Likeness(
        contrast_there / contrast if abs(contrast) > 1 else 0.0,
        _correlation(ours[near], theirs[near]),
        float(marked[spot].mean()),
        abs(contrast) / max(float(ours[ring].std()), 1.0),
    )


def _moved(place: Place, by: tuple[int, int]) -> Place:
    rows, columns = (slice(one.start + step, one.stop + step) for one, step in zip(place, by, strict=True))
    return rows, columns


def _correlation(one: Plane, other: Plane) -> float:
    """Of two lists of values, -1..1; about 0 where one does not vary."""
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / np.sqrt(((one * one).sum() + 1e-6) * ((other * other).sum() + 1e-6)))


def _differing(own: Plane, there: Plane, grain: float) -> Mask:
    """Where a take shows what the other, at its contrast, shows nowhere within two pixels."""
    contrast = np.clip(_deviation(own) / _deviation(there), 0.3, 3)
    expected = there * contrast
    square = np.ones((5, 5), np.uint8)
    return (own > cv2.dilate(expected, square) + 1.8 * grain) | (own < cv2.erode(expected, square) - 1.8 * grain)


def _grain(light: Plane) -> float:
    """About the standard deviation of what is a pixel wide, in light's units, by the median."""
    rough = np.abs(light - cv2.medianBlur(light.astype(np.uint8), 3))
    return 1.48 * float(np.median(rough)) + 1


def _deviation(details: Plane) -> Plane:
    """Standard deviation of details around each pixel."""
    return np.sqrt(_blurred(details * details, 12)) + 1


def _details(light: Plane) -> Plane:
    """A picture without what is larger than some ten pixels."""
    fine = _blurred(light, 0.8)
    return fine - _blurred(fine, 12)


def _evened(light: Plane) -> Target:
    """A picture of even contrast, by which places are found again."""
    details = _blurred(light, 1.2) - _blurred(light, 12)
    return np.clip(128 + 40 * details / (np.sqrt(_blurred(details * details, 20)) + 2), 0, 255).astype(np.uint8)


def _blurred(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma))


def _widened(plane: NDArray[np.generic], side: int) -> NDArray[np.generic]:
    """The greatest value in a square around each pixel; masks stay masks."""
    kernel = np.ones((side, side), np.uint8)
    if plane.dtype == np.bool_:
        return np.asarray(cv2.dilate(plane.astype(np.uint8), kernel)).astype(np.bool_)
    return np.asarray(cv2.dilate(plane, kernel))


def scenes_of(pairs: Iterable[PairPaths]) -> Iterator[tuple[PairPaths, PairPaths]]:
    """Takes with masks in twos: those whose names are alike up to the last underscore."""
    scenes: dict[str, list[PairPaths]] = defaultdict(list)
    for pair in pairs:
        if pair.mask is not None:
            scenes[pair.name.rpartition("_")[0]].append(pair)
    for scene, takes in scenes.items():
        if len(takes) != 2:
            names = ", ".join(take.name for take in takes)
            raise TrainingError(f"{names}: give two takes of a scene, named {scene or 'SCENE'}_ONE and _OTHER.")
        yield takes[0], takes[1]


def read_take(pair: PairPaths, detector: Detector) -> Take:
    """A scan and its mask, with what a detector says."""
    pixels, truth = new_masks.read(pair)
    light = three_channels(to_light(pixels)).mean(axis=2) * np.float32(255)
    return Take(light, truth, find_damage(detector, pixels))


def main() -> None:
    """Write the masks, and print how much of each was judged anew."""
    options = new_masks.arguments(__doc__, looks=4)
    detector = looking(make_detector(options.detector), options.looks)
    scenes = list(scenes_of(find_splits(options.scans).train))
    failed = [pairs for pairs in scenes if not _judge(pairs, detector, options.output)]
    if failed:
        raise TrainingError(f"scenes left out, as said above: {len(failed)}")


def _judge(pairs: tuple[PairPaths, PairPaths], detector: Detector, output: Path) -> bool:
    """Write both takes of a scene with their masks; False, and a sentence that says why, if they cannot be judged."""
    try:
        takes = [read_take(pair, detector) for pair in pairs]
        found = [judged(take, other) for take, other in zip(takes, takes[::-1], strict=True)]
    except RedustError as error:
        print(f"{pairs[0].name}, {pairs[1].name}: {error}", file=sys.stderr, flush=True)
        return False
    for pair, take, mask in zip(pairs, takes, found, strict=True):
        new_masks.write(pair, mask, output)
        counts = (f"{int((take.truth == one).sum())} to {int((mask == one).sum())}" for one in (DAMAGE, UNJUDGED))
        print("{}: damaged {}, not judged {}".format(pair.name, *counts), flush=True)
    return True


if __name__ == "__main__":
    plainly.run(main)
