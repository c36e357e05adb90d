"""What a network that gives light learns from: sound photos, and what is taken from or drawn on them.

Each sample is decided by one number, as in :mod:`redust.training.data`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from redust.core.arrays import Light, Mask, to_light
from redust.inpainters.kriging import KrigingInpainter
from redust.inpainters.network import with_mask
from redust.inpainters.running import fill_damage
from redust.training.augmentation import choose_centre, choose_turn, cut, three_channels, vary_light
from redust.training.config import Task, TrainConfig
from redust.training.data import (
    Key,
    TrainingData,
    hold_back,
    make_synthesizer,
    patch_side,
    patches_per_picture,
)
from redust.training.pairs import Library, find_photos, fingerprint
from redust.training.synthesis.holes import draw_holes
from redust.training.synthesis.synthesizer import SOUND, Synthesizer

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

_VALIDATION_SIDE = 256
_VALIDATION_NUMBERS = 2**40  # no training patch ever has one of these numbers
_FEWEST = 8
_UPRIGHT = np.eye(2)
_GREY_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Sample:
    """What a network is given, and what it should answer.

    Parameters
    ----------
    given : (H, W, C) float32 in 0..1
        To restore blindly: damaged light, C = 3. To fill: light filled by kriging, and the mask, C = 4.
    clean : (H, W, 3) float32 in 0..1
    where : (H, W) bool
        The mask, or where damage (with its rim) was drawn.
    """

    given: Light
    clean: Light
    where: Mask


class Maker(Protocol):
    """Makes a sample from sound light (H, W, 3), all by its number."""

    def __call__(self, light: Light, number: int) -> Sample: ...


@dataclass(frozen=True)
class Holes:
    """Makes samples to learn filling from."""

    seed: int

    def __call__(self, light: Light, number: int) -> Sample:
        """Mask some of the light and let kriging fill it."""
        rng = np.random.default_rng([self.seed, number, 1])
        if rng.random() < _GREY_SHARE:
            light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
        mask = draw_holes((light.shape[0], light.shape[1]), rng)
        return Sample(with_mask(fill_damage(KrigingInpainter(), light, mask, threads=1), mask), light, mask)


@dataclass(frozen=True)
class Damage:
    """Makes samples to learn restoring blindly from."""

    synthesizer: Synthesizer

    def __call__(self, light: Light, number: int) -> Sample:
        """Draw damage, by the recipe."""
        pair = self.synthesizer.draw(light, number)
        return Sample(pair.damaged, pair.clean, pair.target != SOUND)


class SoundPatches(Dataset[Tensors]):
    """Samples by key (number, item): the number decides all that is random, the item says which photo.

    Parameters
    ----------
    config
        How patches are laid and varied.
    patch
        Side in pixels.
    photos
        Undamaged pictures.
    make
        What is done to them.
    """

    def __init__(self, config: TrainConfig, patch: int, photos: Library, make: Maker) -> None:
        self.config = config
        self.patch = patch
        self.photos = photos
        self.make = make

    def __getitem__(self, key: Key) -> Tensors:
        """What is given (C, patch, patch), clean light (3, patch, patch), where (1, patch, patch), all float32."""
        number, item = key
        augment = self.config.augment
        rng = np.random.default_rng([self.config.run.seed, number])
        pixels, truth = self.photos[item % len(self.photos)]
        centre = choose_centre(truth, self.patch, 0.0, rng, shift=augment.augment)
        turn = choose_turn(augment, rng) if augment.augment else _UPRIGHT
        light = three_channels(to_light(cut(pixels, truth, centre, turn, self.patch)[0]))
        if augment.augment:
            light = vary_light(light, augment, rng)
        sample = self.make(light, number)
        return _planes(sample.given), _planes(sample.clean), _planes(sample.where[..., None].astype(np.float32))


class HeldBack:
    """Samples to choose the best weights by: the same every time, kept in memory as far as they fit.

    Parameters
    ----------
    photos
        Undamaged pictures that nothing is learned from.
    make
        What is done to them.
    number
        How many samples.
    stride
        Their sides are multiples of it.
    megabytes
        How much to keep.
    """

    def __init__(self, photos: Library, make: Maker, number: int, stride: int, megabytes: float) -> None:
        self.photos = photos
        self.stride = stride
        self.make = make
        self.number = number
        self._room = megabytes * 1e6
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Sample:
        """A sample of 256 x 256, or as much of it as the photo is large."""
        if index in self._kept:
            return self._kept[index]
        rng = np.random.default_rng([_VALIDATION_NUMBERS, index])
        pixels, truth = self.photos[index % len(self.photos)]
        side = max(self.stride, min(_VALIDATION_SIDE, *truth.shape) // self.stride * self.stride)
        centre = choose_centre(truth, side, 0.0, rng)
        light = three_channels(to_light(cut(pixels, truth, centre, _UPRIGHT, side)[0]))
        sample = self.make(light, _VALIDATION_NUMBERS + index)
        self._room -= sample.given.nbytes + sample.clean.nbytes
        if self._room > 0:
            self._kept[index] = sample
        return sample


def prepare_restoring(config: TrainConfig, stride: int) -> TrainingData:
    """Find, split and check the photos of a run before any time is spent on training.

    Parameters
    ----------
    stride
        The patch side will be a multiple of it.

    Raises
    ------
    TrainingError
        If a file cannot be used, or too few are left.
    SettingsError
        If the patch does not suit the network.
    """
    data = config.data
    assert data.photos is not None
    learned, held = hold_back(find_photos(data.photos), config)
    photos = Library(learned, None, data.cache_megabytes)
    area = float(np.mean([photos[index][1].size for index in range(len(photos))]))
    patch = patch_side(config, stride, area)
    make: Maker
    if config.run.task is Task.fill:
        make, drawn = Holes(config.run.seed), "holes filled by kriging"
        fact = f"{len(photos)} photos with drawn masks, holes filled by kriging first"
    else:
        synthesizer = make_synthesizer(data, config.run.seed)
        make, drawn = Damage(synthesizer), synthesizer.recipe.model_dump_json()
        fact = f"{len(photos)} photos with drawn damage"
    count = max(_FEWEST, 2 * len(held))
    return TrainingData(
        patches=SoundPatches(config, patch, photos, make),
        items=len(photos) * patches_per_picture(data, patch, area),
        validation=HeldBack(Library(held, None, data.cache_megabytes), make, count, stride, data.cache_megabytes),
        test=(),
        sha256=fingerprint((*learned, *held), data.mask_level, f"{config.run.task} {drawn}"),
        facts=[fact],
    )


def _planes(light: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(light.transpose(2, 0, 1), np.float32))
