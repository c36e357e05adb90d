"""Training data of the task generator: damaged pictures and the same restored."""

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
from redust.training.augmentation import (
    UPRIGHT,
    Affine,
    Centre,
    augment_light,
    choose_centre,
    choose_window,
    crop_patch,
)
from redust.training.config import TrainConfig
from redust.training.data import CACHE_MEGABYTES, VALIDATION_NUMBERS
from redust.training.loader import Key
from redust.training.samples import Sample, Tensors, choose_validation_side

_MIN_DIFFERENCE = 1.5 / 255  # of light: JPEG or rounding change less, a retoucher more


class RestoredPictures:
    """Damaged pictures and the same restored, in memory as far as they fit.

    Parameters
    ----------
    pairs
        As :func:`redust.files.pairs.find_restored` finds them.
    """

    def __init__(self, pairs: Sequence[PairPaths]) -> None:
        self.damaged = Library(pairs, None, CACHE_MEGABYTES / 2)
        self.clean = Library([PairPaths(pair.name, Path(str(pair.clean))) for pair in pairs], None, CACHE_MEGABYTES / 2)

    def __len__(self) -> int:
        return len(self.damaged)

    def check(self) -> None:
        """Read every picture, so that a bad one is known before training starts.

        Raises
        ------
        TrainingError
            If a file cannot be read, or the two of a pair, or its mask, differ in size.
        """
        for index in range(len(self)):
            (height, width), clean = self.damaged[index][1].shape, self.clean[index][1].shape
            if clean != (height, width):
                raise TrainingError(
                    f"{self.clean.pairs[index].picture} is {clean[1]} x {clean[0]}, "
                    f"{self.damaged.pairs[index].picture} {width} x {height} pixels. "
                    "A restored picture has the size of the damaged one; save it again, or take the pair away."
                )

    def crop_sample(self, index: int, centre: Centre, rotation: Affine, side: int) -> Sample:
        """A window of a pair. Without a mask, damage is where the two differ."""
        (pixels, truth), (clean_pixels, _) = self.damaged[index], self.clean[index]
        crop, target = crop_patch(pixels, truth, centre, rotation, side)
        light = three_channels(to_light(crop))
        clean = three_channels(to_light(crop_patch(clean_pixels, truth, centre, rotation, side)[0]))
        if self.damaged.pairs[index].mask:
            return Sample(light, clean, target != Label.background)
        return Sample(light, clean, np.abs(light - clean).max(axis=2) > _MIN_DIFFERENCE)


class RestoredPatches(Dataset[Tensors]):
    """Samples of restored pictures by key, see :data:`redust.training.loader.Key`.

    Parameters
    ----------
    config
        How patches are chosen and augmented.
    patch
        Side in pixels.
    pictures
        Damaged and restored.
    """

    def __init__(self, config: TrainConfig, patch: int, pictures: RestoredPictures) -> None:
        self.config = config
        self.patch = patch
        self.pictures = pictures

    def __getitem__(self, key: Key) -> Tensors:
        """See :meth:`redust.training.samples.Sample.to_tensors`."""
        number, item = key
        data, index = self.config.data, item % len(self.pictures)
        rng = np.random.default_rng([self.config.run.seed, number])
        truth = self.pictures.damaged[index][1]
        centre, rotation = choose_window(truth, self.patch, data.foreground_share, data.augment, rng)
        sample = self.pictures.crop_sample(index, centre, rotation, self.patch)
        seed = int(rng.integers(2**63))  # used twice: both get the same tone, noise and blur
        light, clean = (
            augment_light(planes, data.augment, data.grey_share, np.random.default_rng(seed))
            for planes in (sample.inputs, sample.clean)
        )
        return Sample(light, clean, sample.damaged).to_tensors()


@dataclass(frozen=True)
class HeldPictures:
    """Makes samples of restored pictures that are held back; their sides are multiples of the stride."""

    pictures: RestoredPictures
    stride: int

    def __call__(self, index: int) -> Sample:
        """A window of a pair, over damage if a mask says where there is some."""
        rng = np.random.default_rng([VALIDATION_NUMBERS, index])
        truth = self.pictures.damaged[index][1]
        side = choose_validation_side(truth.shape, self.stride)
        return self.pictures.crop_sample(index, choose_centre(truth, side, 1.0, rng), UPRIGHT, side)
