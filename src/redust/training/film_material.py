"""A folder of material to learn damage of film from: authentic scans with masks, sound ones, photos, shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels, three_channels, to_light
from redust.core.errors import TrainingError
from redust.core.labels import Label, Truth
from redust.files.pairs import Library, PairPaths, find_photos, find_splits
from redust.synthesis.synthesizer import Synthesizer
from redust.synthesis.transplants import Spot, Transplants, cut_spots
from redust.training.config import TrainConfig
from redust.training.data import make_synthesizer

_IN_MEMORY = 1e6  # megabytes: all of it
_SPOTS_PER_SCAN = 120
FILM, SOUND, PLATES, PHOTOS, SKIES = "film", "film_sound", "plates", "photos", "skies"


@dataclass(frozen=True)
class ScanSet:
    """Scans of one kind in memory, with what patches are laid on."""

    library: Library

    def __len__(self) -> int:
        return len(self.library)

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]:
        """Pixels (H, W, C) and truth (H, W) of one scan."""
        return self.library[index]

    @cached_property
    def objects(self) -> list[NDArray[np.float64]]:
        """The centres (row, column) of each scan's damage, (N, 2)."""
        return [_find_centres(self.library[index][1]) for index in range(len(self))]

    @cached_property
    def damaged(self) -> list[int]:
        """The numbers of the scans with any damage."""
        return [index for index, centres in enumerate(self.objects) if len(centres)]


def _find_centres(truth: Truth) -> NDArray[np.float64]:
    """A pixel inside or near the middle of each damaged region."""
    _, _, _, middles = cv2.connectedComponentsWithStats((truth == Label.damage).astype(np.uint8), connectivity=8)
    return np.asarray(middles[1:, ::-1], np.float64)


@dataclass(frozen=True)
class Material:
    """All that is learned from: scans by kind, as their folders are named, and what draws on them."""

    sets: dict[str, ScanSet]
    synthesizer: Synthesizer
    transplants: Transplants


@dataclass(frozen=True)
class MaterialPaths:
    """The files of a folder of material, split by rolls.

    Parameters
    ----------
    folder
    train, held
        Pairs by kind (film, film_sound, plates, photos, skies) to learn from, and to choose the best weights by.
    """

    folder: Path
    train: dict[str, tuple[PairPaths, ...]]
    held: dict[str, tuple[PairPaths, ...]]

    @property
    def pairs(self) -> Iterator[PairPaths]:
        """All of them."""
        for half in (self.train, self.held):
            for pairs in half.values():
                yield from pairs


def find_material(folder: Path, held_rolls: Iterable[str]) -> MaterialPaths:
    """Find the scans of a folder of material: film/ and plates/ with NAME_mask.png beside each, film_sound/, photos/.

    Photos of night skies, skies/, may be missing.

    Parameters
    ----------
    held_rolls
        How the names begin of the scans that are kept back. Frames of one roll belong on one side.

    Raises
    ------
    TrainingError
        If one of the folders is missing, or nothing is held back or left to learn from.
    """
    rolls = tuple(held_rolls)
    pairs = {FILM: find_splits(folder / FILM).train, PLATES: find_splits(folder / PLATES).train,
             SOUND: find_photos(folder / SOUND), PHOTOS: find_photos(folder / PHOTOS)}  # fmt: skip
    if (folder / SKIES).is_dir():
        pairs[SKIES] = find_photos(folder / SKIES)
    held = {kind: tuple(pair for pair in scans if pair.name.startswith(rolls)) for kind, scans in pairs.items()}
    train = {kind: tuple(pair for pair in scans if pair not in held[kind]) for kind, scans in pairs.items()}
    if not held[FILM]:
        raise TrainingError(
            f"No scan in {folder / FILM} has a name that begins with {', '.join(rolls) or 'a held roll'}. "
            "Name the rolls to choose the best weights by with --held-rolls."
        )
    for kind, left in train.items():
        if not left:
            raise TrainingError(f"All scans in {folder / kind} are held back. Hold back fewer rolls.")
    return MaterialPaths(folder, train, held)


def read_material(paths: MaterialPaths, config: TrainConfig) -> Material:
    """Read all that is learned from into memory.

    Raises
    ------
    TrainingError
        If a file cannot be used.
    """
    sets = {kind: ScanSet(Library(pairs, None, _IN_MEMORY)) for kind, pairs in paths.train.items()}
    sets[FILM].library.check()
    sets[PLATES].library.check()
    transplants = _cut_transplants(sets[FILM])
    synthesizer = replace(make_synthesizer(config.data, config.run.seed), transplants=transplants)
    return Material(sets, synthesizer, transplants)


def _cut_transplants(film: ScanSet) -> Transplants:
    """Real marks of the frames that are learned from: none of a held roll.

    Raises
    ------
    TrainingError
        If no mark is clear enough.
    """
    spots: list[Spot] = []
    for index in film.damaged:
        pixels, truth = film[index]
        spots += cut_spots(three_channels(to_light(pixels)), truth, _SPOTS_PER_SCAN)
    if not spots:
        raise TrainingError("No damage of the film stands out clearly. Give film with clearer marks.")
    return Transplants(tuple(spots))
