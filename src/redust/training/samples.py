"""Samples for a network that returns light: its input, the clean picture, and the damaged pixels.

Each sample is decided by one number, as in :mod:`redust.training.loader`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from redust.core.arrays import Light, Mask, Pixels, three_channels, to_light
from redust.core.labels import Label, Truth
from redust.files.pairs import Library
from redust.inpainters.fill_damage import fill_damage
from redust.inpainters.kriging import KrigingInpainter
from redust.training.augmentation import UPRIGHT, augment_light, choose_centre, choose_window, crop_patch
from redust.training.config import TrainConfig
from redust.training.data import CACHE_MEGABYTES, VALIDATION_NUMBERS
from redust.training.loader import Key

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

_VALIDATION_SIDE, _MIN_VALIDATION = 256, 8
_RIM = np.ones((5, 5), np.uint8)  # light fades over two pixels around damage, and a rotated mask is half a pixel off
_MIX_STREAM = 2  # tells the random streams of one number apart


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample.

    Parameters
    ----------
    inputs : (H, W, C) float32 in 0..1
        Task generator: damaged light and a damage map, C = 4. Task fill: light filled by kriging, and the mask, C = 4.
    clean : (H, W, 3) float32 in 0..1
    damaged : (H, W) bool
        The mask, or where damage (with its rim) was drawn.
    """

    inputs: Light
    clean: Light
    damaged: Mask

    @property
    def light(self) -> Light:
        """The light of the input, (H, W, 3)."""
        return self.inputs[..., :3]

    def to_tensors(self) -> Tensors:
        """Input (C, H, W), clean light (3, H, W), damaged pixels (1, H, W), all float32."""
        damaged = self.damaged[..., None].astype(np.float32)
        return _to_planes(self.inputs), _to_planes(self.clean), _to_planes(damaged)


def _to_planes(light: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(light.transpose(2, 0, 1), np.float32))


class SampleMaker(Protocol):
    """Makes a sample of light (H, W, 3), decided by a number. What was `damaged` (H, W) is not scored."""

    def __call__(self, light: Light, damaged: Mask, number: int) -> Sample: ...


class PhotoPatches(Dataset[Tensors]):
    """Samples of photos by key, see :data:`redust.training.loader.Key`.

    Parameters
    ----------
    config
        How patches are chosen and augmented.
    patch
        Side in pixels.
    photos
        Undamaged pictures, or damaged ones with their masks.
    make_sample
        Makes a sample of a patch.
    """

    def __init__(self, config: TrainConfig, patch: int, photos: Library, make_sample: SampleMaker) -> None:
        self.config = config
        self.patch = patch
        self.photos = photos
        self.make_sample = make_sample

    def __getitem__(self, key: Key) -> Tensors:
        """See :meth:`Sample.to_tensors`."""
        number, item = key
        data = self.config.data
        rng = np.random.default_rng([self.config.run.seed, number])
        pixels, truth = self.photos[item % len(self.photos)]
        centre, rotation = choose_window(truth, self.patch, 0.0, data.augment, rng)
        light, damaged = _fill_known_damage(*crop_patch(pixels, truth, centre, rotation, self.patch))
        return self.make_sample(augment_light(light, data.augment, data.grey_share, rng), damaged, number).to_tensors()


def _fill_known_damage(pixels: Pixels, truth: Truth) -> tuple[Light, Mask]:
    """Light (H, W, 3) whose damaged pixels, and their rim, are filled by kriging; and which these are."""
    damaged = cv2.dilate((truth == Label.damage).view(np.uint8), _RIM).view(np.bool_)
    if damaged.all():  # nothing to fill it from, and nothing to learn from it
        return three_channels(to_light(pixels)), damaged
    return three_channels(to_light(fill_damage(KrigingInpainter(), pixels, damaged, threads=1))), damaged


@dataclass(frozen=True)
class HeldPhotos:
    """Makes samples of photos that are held back; their sides are multiples of the stride."""

    photos: Library
    make_sample: SampleMaker
    stride: int

    def __call__(self, index: int) -> Sample:
        """A window of a photo."""
        rng = np.random.default_rng([VALIDATION_NUMBERS, index])
        pixels, truth = self.photos[index % len(self.photos)]
        side = choose_validation_side(truth.shape, self.stride)
        centre = choose_centre(truth, side, 0.0, rng)
        light, damaged = _fill_known_damage(*crop_patch(pixels, truth, centre, UPRIGHT, side))
        return self.make_sample(light, damaged, VALIDATION_NUMBERS + index)


def choose_validation_side(shape: Sequence[int], stride: int) -> int:
    """The side of a validation sample of a picture (H, W, ...): 256, or as much of it as the picture is large."""
    return max(stride, min(_VALIDATION_SIDE, *shape[:2]) // stride * stride)


class HeldSamples:
    """Samples for validation: the same every time, in memory as far as they fit.

    Parameters
    ----------
    make_sample
        Makes the sample of an index.
    count
        How many samples.
    """

    def __init__(self, make_sample: Callable[[int], Sample], count: int) -> None:
        self.make_sample = make_sample
        self.count = count
        self._free_bytes = CACHE_MEGABYTES * 1e6
        self._cache: dict[int, Sample] = {}

    @classmethod
    def of_photos(cls, held: HeldPhotos) -> HeldSamples:
        """Two of each photo, at least eight."""
        return cls(held, max(_MIN_VALIDATION, 2 * len(held.photos)))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        if index in self._cache:
            return self._cache[index]
        sample = self.make_sample(index)
        self._free_bytes -= sample.inputs.nbytes + sample.clean.nbytes
        if self._free_bytes > 0:
            self._cache[index] = sample
        return sample


class MixedPatches(Dataset[Tensors]):
    """Samples of two datasets by key: the number decides of which.

    Parameters
    ----------
    first, second
        The datasets.
    share
        Of the first, 0..1.
    seed
        Of the run.
    """

    def __init__(self, first: Dataset[Tensors], second: Dataset[Tensors], share: float, seed: int) -> None:
        self.first, self.second = first, second
        self.share, self.seed = share, seed

    def __getitem__(self, key: Key) -> Tensors:
        """See :meth:`Sample.to_tensors`."""
        of_first = np.random.default_rng([self.seed, key[0], _MIX_STREAM]).random() < self.share
        return self.first[key] if of_first else self.second[key]
