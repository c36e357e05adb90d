"""Learning to restore from pictures that were restored: by hand, or before damage was drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from redust.core.arrays import three_channels, to_light
from redust.core.errors import TrainingError
from redust.core.labels import Label
from redust.files.pairs import Library, PairPaths
from redust.training.augmentation import UPRIGHT, Affine, Centre, choose_centre, choose_place, cut, vary_light
from redust.training.config import TrainConfig
from redust.training.data import Key
from redust.training.generative.samples import VALIDATION_NUMBERS, Sample, Tensors, validation_side

_DIFFERENT = 1.5 / 255  # of light: what JPEG or rounding does not change, a hand did


class Restored:
    """Damaged pictures and the same restored, in memory as far as they fit.

    Parameters
    ----------
    pairs
        As :func:`redust.files.pairs.find_restored` finds them.
    megabytes
        How much to keep.
    """

    def __init__(self, pairs: Sequence[PairPaths], megabytes: float) -> None:
        self.damaged = Library(pairs, None, megabytes / 2)
        self.clean = Library([PairPaths(one.name, Path(str(one.clean))) for one in pairs], None, megabytes / 2)

    def __len__(self) -> int:
        return len(self.damaged)

    def area(self) -> float:
        """Mean pixels per picture; every one is read, so that a bad one is known before training starts.

        Raises
        ------
        TrainingError
            If a file cannot be read, or the two of a pair, or its mask, differ in size.
        """
        areas = []
        for index in range(len(self)):
            height, width = self.damaged[index][1].shape
            sound = self.clean[index][1].shape
            if sound != (height, width):
                raise TrainingError(
                    f"{self.clean.pairs[index].picture} is {sound[1]} x {sound[0]}, "
                    f"{self.damaged.pairs[index].picture} {width} x {height} pixels. "
                    "A restored picture has the size of the damaged one; save it again, or take the pair away."
                )
            areas.append(height * width)
        return float(np.mean(areas))

    def sample(self, index: int, centre: Centre, turn: Affine, side: int) -> Sample:
        """A window of a pair. Without a mask, damage is where the two differ."""
        (pixels, truth), (sound, _) = self.damaged[index], self.clean[index]
        damaged, target = cut(pixels, truth, centre, turn, side)
        given = three_channels(to_light(damaged))
        clean = three_channels(to_light(cut(sound, truth, centre, turn, side)[0]))
        if self.damaged.pairs[index].mask:
            return Sample(given, clean, target != Label.background)
        return Sample(given, clean, np.abs(given - clean).max(axis=2) > _DIFFERENT)


class RestoredPatches(Dataset[Tensors]):
    """Samples by key (number, item): the number decides all that is random, the item says which pair.

    Parameters
    ----------
    config
        How patches are laid and varied.
    patch
        Side in pixels.
    pairs
        What is learned from.
    """

    def __init__(self, config: TrainConfig, patch: int, pairs: Restored) -> None:
        self.config = config
        self.patch = patch
        self.pairs = pairs

    def __getitem__(self, key: Key) -> Tensors:
        """See :meth:`redust.training.generative.samples.Sample.tensors`."""
        number, item = key
        index = item % len(self.pairs)
        augment = self.config.augment
        rng = np.random.default_rng([self.config.run.seed, number])
        truth = self.pairs.damaged[index][1]
        centre, turn = choose_place(truth, self.patch, self.config.data.focus, augment, rng)
        sample = self.pairs.sample(index, centre, turn, self.patch)
        if not augment.augment:
            return sample.tensors()
        dice = int(rng.integers(2**63))  # thrown twice: both get the same tone, noise and blur
        given, clean = (
            vary_light(light, augment, np.random.default_rng(dice)) for light in (sample.given, sample.clean)
        )
        return Sample(given, clean, sample.where).tensors()


class Mixed(Dataset[Tensors]):
    """Samples of two kinds by key (number, item): the number decides which.

    Parameters
    ----------
    drawn, restored
        The two kinds.
    share
        Of the first, 0..1.
    seed
        Of the run.
    """

    def __init__(self, drawn: Dataset[Tensors], restored: Dataset[Tensors], share: float, seed: int) -> None:
        self.drawn, self.restored = drawn, restored
        self.share, self.seed = share, seed

    def __getitem__(self, key: Key) -> Tensors:
        """See :meth:`redust.training.generative.samples.Sample.tensors`."""
        first = np.random.default_rng([self.seed, key[0], 2]).random() < self.share
        return self.drawn[key] if first else self.restored[key]


@dataclass(frozen=True)
class HeldPairs:
    """Makes samples of pairs that nothing is learned from; their sides are multiples of the stride."""

    pairs: Restored
    stride: int

    def __call__(self, index: int) -> Sample:
        """A window of a pair, over damage if a mask says where there is some."""
        rng = np.random.default_rng([VALIDATION_NUMBERS, index])
        truth = self.pairs.damaged[index][1]
        side = validation_side(truth.shape, self.stride)
        return self.pairs.sample(index, choose_centre(truth, side, 1.0, rng), UPRIGHT, side)
