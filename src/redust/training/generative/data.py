"""What a network that gives light learns from: sound photos, with what is taken from or drawn on them.

Or pictures that were restored, see :mod:`redust.training.generative.restored`; to fill, what is sound in damaged scans.

Each sample is decided by one number, as in :mod:`redust.training.data`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from torch.utils.data import Dataset

from redust.core.arrays import Light, Mask, Pixels, three_channels, to_light
from redust.core.errors import TrainingError
from redust.core.labels import Label, Truth
from redust.files.pairs import Library, find_photos, find_restored, find_splits, fingerprint
from redust.inpainters.fill_damage import fill_damage
from redust.inpainters.kriging import KrigingInpainter
from redust.inpainters.onnx_inpainter import with_mask
from redust.synthesis.holes import draw_holes
from redust.synthesis.synthesizer import Synthesizer
from redust.training.augmentation import UPRIGHT, choose_centre, choose_place, cut, vary_light
from redust.training.config import Architecture, Task, TrainConfig
from redust.training.data import (
    Key,
    TrainingData,
    hold_back,
    make_synthesizer,
    patch_side,
    patches_per_picture,
)
from redust.training.generative.attention import AttendedPatches, Attention
from redust.training.generative.restored import HeldPairs, Mixed, Restored, RestoredPatches
from redust.training.generative.reused import Reused
from redust.training.generative.samples import VALIDATION_NUMBERS, HeldBack, Sample, Tensors, validation_side

_FEWEST = 8
_GREY_SHARE = 0.25
_RIM = np.ones((5, 5), np.uint8)  # light fades in over two pixels around damage, and a turned mask is half a pixel off


class Maker(Protocol):
    """Makes a sample from light (H, W, 3), all by its number. What was `damaged` (H, W) is no truth."""

    def __call__(self, light: Light, damaged: Mask, number: int) -> Sample: ...


@dataclass(frozen=True)
class Holes:
    """Makes samples to learn filling from."""

    seed: int

    def __call__(self, light: Light, damaged: Mask, number: int) -> Sample:
        """Mask some of the light, none of what was damaged, and let kriging fill it."""
        rng = np.random.default_rng([self.seed, number, 1])
        if rng.random() < _GREY_SHARE:
            light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
        mask = draw_holes((light.shape[0], light.shape[1]), rng) & ~damaged
        return Sample(with_mask(fill_damage(KrigingInpainter(), light, mask, threads=1), mask), light, mask)


@dataclass(frozen=True)
class Damage:
    """Makes samples to learn restoring blindly from."""

    synthesizer: Synthesizer

    def __call__(self, light: Light, damaged: Mask, number: int) -> Sample:
        """Draw damage, by the recipe."""
        pair = self.synthesizer.draw(light, number)
        return Sample(pair.damaged, pair.clean, (pair.target != Label.background) & ~damaged)


class SoundPatches(Dataset[Tensors]):
    """Samples by key (number, item): the number decides all that is random, the item says which photo.

    Parameters
    ----------
    config
        How patches are laid and varied.
    patch
        Side in pixels.
    photos
        Undamaged pictures, or damaged ones with their masks.
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
        centre, turn = choose_place(truth, self.patch, 0.0, augment, rng)
        light, damaged = _mended(*cut(pixels, truth, centre, turn, self.patch))
        if augment.augment:
            light = vary_light(light, augment, rng)
        return self.make(light, damaged, number).tensors()


def _mended(pixels: Pixels, truth: Truth) -> tuple[Light, Mask]:
    """Light (H, W, 3) in which what a mask says is damaged, and its rim, was filled by kriging; and where that is."""
    damaged = cv2.dilate((truth == Label.damage).view(np.uint8), _RIM).view(np.bool_)
    if damaged.all():  # nothing to fill it from, and no truth in it
        return three_channels(to_light(pixels)), damaged
    return three_channels(to_light(fill_damage(KrigingInpainter(), pixels, damaged, threads=1))), damaged


@dataclass(frozen=True)
class HeldPhotos:
    """Makes samples of pictures that nothing is learned from; their sides are multiples of the stride."""

    photos: Library
    make: Maker
    stride: int

    def __call__(self, index: int) -> Sample:
        """A window of a photo, and what is done to it."""
        rng = np.random.default_rng([VALIDATION_NUMBERS, index])
        pixels, truth = self.photos[index % len(self.photos)]
        side = validation_side(truth.shape, self.stride)
        centre = choose_centre(truth, side, 0.0, rng)
        light, damaged = _mended(*cut(pixels, truth, centre, UPRIGHT, side))
        return self.make(light, damaged, VALIDATION_NUMBERS + index)


def prepare_restoring(config: TrainConfig, stride: int) -> TrainingData:
    """Find, split and check what a run learns from before any time is spent on training.

    Parameters
    ----------
    stride
        The patch side will be a multiple of it.

    Raises
    ------
    TrainingError
        If a file cannot be used, pictures do not pair up, or too few are left.
    SettingsError
        If the patch does not suit the network.
    """
    return _prepare_fill(config, stride) if config.run.task is Task.fill else _prepare_blind(config, stride)


def _prepare_fill(config: TrainConfig, stride: int) -> TrainingData:
    """Holes in photos, in what is sound of damaged scans, or in both."""
    data, seed = config.data, config.run.seed
    found = [find_photos(data.photos)] if data.photos else []
    found += [find_splits(data.data).train] if data.data else []
    halves = [hold_back(some, config) for some in found]
    learned, held = (tuple(pair for half in halves for pair in half[which]) for which in (0, 1))
    kinds = [Library(some, data.mask_level, data.cache_megabytes / len(halves)) for some, _ in halves]
    areas = [_area(kind) for kind in kinds]
    kept_back = Library(held, data.mask_level, data.cache_megabytes)
    for kind in (*kinds, kept_back):
        _check_sound(kind)
    patch = patch_side(config, stride, min(areas))
    make = Holes(seed)
    parts = [SoundPatches(config, patch, kind, make) for kind in kinds]
    patches: Dataset[Tensors] = parts[0] if len(parts) == 1 else Mixed(parts[0], parts[1], data.photos_share, seed)
    if data.reuse:
        patches = Reused(patches, data.reuse, len(learned), seed)
    look = HeldPhotos(kept_back, make, stride)
    return TrainingData(
        patches=patches,
        patch=patch,
        items=len(learned) * patches_per_picture(data, patch, min(areas)),
        validation=HeldBack(look, max(_FEWEST, 2 * len(held)), data.cache_megabytes),
        test=(),
        sha256=fingerprint((*learned, *held), data.mask_level, f"{Task.fill} holes filled by kriging"),
        facts=[
            f"{len(kind)} {'scans' if kind.pairs[0].mask else 'photos'} with drawn masks, holes filled by kriging first"
            for kind in kinds
        ],
    )


def _prepare_blind(config: TrainConfig, stride: int) -> TrainingData:
    """Damaged pictures and the same restored, photos with drawn damage, or both."""
    data = config.data
    learned, held = hold_back(find_restored(data.data), config) if data.data else ((), ())
    sound, held_photos = hold_back(find_photos(data.photos), config) if data.photos else ((), ())
    pairs, held_pairs = (Restored(some, data.cache_megabytes) if some else None for some in (learned, held))
    photos = Library(sound, None, data.cache_megabytes) if sound else None
    areas = [(pairs.area() + held_pairs.area()) / 2] if pairs and held_pairs else []
    areas += [_area(photos)] if photos else []
    patch = patch_side(config, stride, min(areas))
    synthesizer = make_synthesizer(data, config.run.seed)
    make, drawn = Damage(synthesizer), synthesizer.recipe.model_dump_json()
    attention = attention_of(config)
    facts = [f"{len(pairs)} pictures and the same restored"] if pairs else []
    facts += [f"{len(photos)} photos with drawn damage"] if photos else []
    look: Callable[[int], Sample]
    if held_pairs:
        look, number = HeldPairs(held_pairs, stride), len(held)
    else:
        look = HeldPhotos(Library(held_photos, None, data.cache_megabytes), make, stride)
        number = max(_FEWEST, 2 * len(held_photos))
    patches = _patches(config, patch, pairs, photos, make)
    if attention:
        doubt = config.augment.doubt if config.augment.augment else 0.0
        look, patches = attention.beside(look), AttendedPatches(patches, attention, doubt, config.run.seed)
        drawn += attention.fingerprint
    return TrainingData(
        patches=patches,
        patch=patch,
        items=sum(len(one) for one in (pairs, photos) if one) * patches_per_picture(data, patch, min(areas)),
        validation=HeldBack(look, number, data.cache_megabytes),
        test=(),
        sha256=fingerprint((*learned, *held, *sound, *held_photos), data.mask_level, f"{Task.generator} {drawn}"),
        facts=facts,
    )


def _area(pictures: Library) -> float:
    """Mean pixels per picture; every one is read, so that a bad one is known before training starts."""
    return float(np.mean([pictures[index][1].size for index in range(len(pictures))]))


def _check_sound(pictures: Library) -> None:
    """Refuse masks that leave nothing to learn filling from."""
    for index, pair in enumerate(pictures.pairs):
        if pair.mask and (pictures[index][1] == Label.damage).all():
            raise TrainingError(
                f"The mask {pair.mask} says that all of its picture is damaged: nothing sound is left to learn from. "
                "Damage is 255 (white) and the rest 0; turn the mask round, or take the pair away."
            )


def attention_of(config: TrainConfig) -> Attention | None:
    """What tells an attentive network of the damage; None for any other.

    Raises
    ------
    UnknownEngine, ModelError
        If the detector cannot be made.
    """
    return Attention(config.model.attention) if config.model.architecture is Architecture.attentive else None


def _patches(
    config: TrainConfig, patch: int, pairs: Restored | None, photos: Library | None, make: Maker
) -> Dataset[Tensors]:
    """What is learned from: restored pictures, photos, or both."""
    restored = RestoredPatches(config, patch, pairs) if pairs else None
    drawn = SoundPatches(config, patch, photos, make) if photos else None
    if restored and drawn:
        return Mixed(drawn, restored, config.data.photos_share, config.run.seed)
    found = restored or drawn
    assert found is not None  # the configuration says one of them
    return found
