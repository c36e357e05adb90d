"""Patches for training, each decided by one number, so that any worker, or a resumed run, makes the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from redust.core.arrays import Light, Pixels, from_light, three_channels, to_light
from redust.core.errors import ScanError, SettingsError, TrainingError
from redust.core.labels import Truth
from redust.core.tiles import round_up
from redust.files.pairs import Library, PairPaths, Pictures, find_photos, find_splits, fingerprint
from redust.synthesis.synthesizer import Synthesizer
from redust.training.augmentation import UPRIGHT, choose_centre, choose_place, cut, vary_light
from redust.training.config import Architecture, DataConfig, TrainConfig
from redust.training.distillation import fingerprint_of

Key = tuple[int, int]
Patch = tuple[torch.Tensor, torch.Tensor]

_USUAL_PATCH = 192
_MOST_PATCHES = 64
_DRAWN_SIDE = 256
_VALIDATION_DRAWS = 2**40  # numbers of validation pictures: no training patch ever has one


@dataclass(frozen=True)
class Drawn:
    """Photos with damage drawn on them: the same pictures every time.

    Parameters
    ----------
    photos
        Undamaged pictures.
    synthesizer
        Draws the damage.
    number
        How many pictures.
    """

    photos: Library
    synthesizer: Synthesizer
    number: int

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]:
        """Pixels (256, 256, 3) uint8 and truth (256, 256)."""
        rng = np.random.default_rng([self.synthesizer.seed, _VALIDATION_DRAWS, index])
        pixels, truth = self.photos[index % len(self.photos)]
        centre = choose_centre(truth, _DRAWN_SIDE, 0.0, rng)
        ground, _ = cut(pixels, truth, centre, UPRIGHT, _DRAWN_SIDE)
        pair = self.synthesizer.draw(three_channels(to_light(ground)), _VALIDATION_DRAWS + index)
        return from_light(pair.damaged, np.dtype(np.uint8)), pair.target


class Patches(Dataset[Patch]):
    """Patches by key (number, item): the number decides all that is random, the item says which picture.

    Parameters
    ----------
    config
        How patches are laid and varied.
    patch
        Side in pixels.
    pairs
        Damaged pictures with masks, if any.
    photos, synthesizer
        Undamaged pictures and what draws on them, if any.
    """

    def __init__(
        self, config: TrainConfig, patch: int, pairs: Library | None, photos: Library | None, synthesizer: Synthesizer
    ) -> None:
        self.config = config
        self.patch = patch
        self.pairs = pairs
        self.photos = photos
        self.synthesizer = synthesizer
        self._drawn_share = config.data.photos_share if pairs and photos else float(photos is not None)

    def __getitem__(self, key: Key) -> Patch:
        """Light (3, patch, patch) float32 in 0..1 and truth (1, patch, patch) uint8."""
        number, item = key
        rng = np.random.default_rng([self.config.run.seed, number])
        library = self.photos if rng.random() < self._drawn_share else self.pairs
        assert library is not None
        pixels, truth = library[item % len(library)]
        light, target = self._cut(pixels, truth, rng)
        if library is self.photos:
            pair = self.synthesizer.draw(light, number)
            light, target = pair.damaged, pair.target
        if self.config.augment.augment:
            light = vary_light(light, self.config.augment, rng)
        return torch.from_numpy(np.ascontiguousarray(light.transpose(2, 0, 1))), torch.from_numpy(target)[None]

    def _cut(self, pixels: Pixels, truth: Truth, rng: np.random.Generator) -> tuple[Light, Truth]:
        centre, turn = choose_place(truth, self.patch, self.config.data.focus, self.config.augment, rng)
        cutting, target = cut(pixels, truth, centre, turn, self.patch)
        return three_channels(to_light(cutting)), target


class Stream(Sampler[list[Key]]):
    """An endless stream of batches of keys, epoch after epoch, that can start at any step.

    Parameters
    ----------
    items
        Patches per epoch.
    batch_size
        Patches per step and process.
    seed
        Decides the order.
    step
        Called when iteration starts; gives the step to start at.
    rank, world
        Which of how many processes this is; together they see what one process with a batch
        `world` times as large would see.
    """

    def __init__(
        self, items: int, batch_size: int, seed: int, step: Callable[[], int] = lambda: 0, rank: int = 0, world: int = 1
    ) -> None:
        self.items = items
        self.batch_size = batch_size
        self.seed = seed
        self.step = step
        self.rank = rank
        self.world = world

    def __iter__(self) -> Iterator[list[Key]]:
        batch = self.step() * self.world + self.rank
        epoch, order = -1, np.zeros(0, np.int64)
        while True:
            keys = []
            for number in range(batch * self.batch_size, (batch + 1) * self.batch_size):
                if number // self.items != epoch:
                    epoch = number // self.items
                    order = np.random.default_rng([self.seed, epoch]).permutation(self.items)
                keys.append((number, int(order[number % self.items])))
            yield keys
            batch += self.world


class Ahead:
    """Batches of a loader, made one ahead in a thread of their own while the network computes.

    OpenCV makes them without threads of its own meanwhile: for patches they bring nothing, and between calls they spin
    on the cores that the network computes on.

    Parameters
    ----------
    loader
        Iterated anew each time this is.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        with _one_opencv_thread(), ThreadPoolExecutor(1, thread_name_prefix="patches") as pool:
            waiting = pool.submit(next, batches, None)
            while (batch := waiting.result()) is not None:
                waiting = pool.submit(next, batches, None)
                yield batch


@contextlib.contextmanager
def _one_opencv_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def stack(samples: Sequence[tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
    """Batch patches, tensor by tensor.

    By NumPy: torch's own stacking, called in a second thread, wakes a second team of OpenMP threads, which then spin on
    the cores that the network computes on.
    """
    return tuple(torch.from_numpy(np.stack([one.numpy() for one in parts])) for parts in zip(*samples, strict=True))


class Numbers(Dataset[int]):
    """0, 1, 2 ...: the validation loop asks for pictures by number."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        return index


@dataclass(frozen=True)
class TrainingData:
    """All that a run learns from and is judged by.

    Parameters
    ----------
    patches, patch, items
        What is learned from, a dataset by keys; the side of a patch; patches per epoch. What a patch holds depends on
        the task.
    validation
        What chooses the best weights, by number; what one holds depends on the task.
    test
        Pairs that are only measured at the end; empty if the folder has none.
    sha256
        Of all files and of how masks are cut.
    facts
        Sentences for the model card.
    """

    patches: Any
    patch: int
    items: int
    validation: Any
    test: tuple[PairPaths, ...]
    sha256: str
    facts: list[str]


def prepare(config: TrainConfig, stride: int) -> TrainingData:
    """Find, split and check the data of a run before any time is spent on training.

    Parameters
    ----------
    stride
        The patch side will be a multiple of it.

    Raises
    ------
    TrainingError
        If a file cannot be used, pairs do not fit, masks are all black, or too few are left.
    SettingsError
        If the patch does not suit the network.
    """
    data = config.data
    splits = find_splits(data.data) if data.data else None
    train, held = hold_back(splits.train, config) if splits else ((), ())
    photos, held_photos = hold_back(find_photos(data.photos), config) if data.photos else ((), ())
    facts, areas = [], []
    pairs = Library(train, data.mask_level, data.cache_megabytes) if train else None
    if pairs:
        coverage, area = pairs.check()
        facts.append(f"{len(pairs)} pairs to learn from, {100 * coverage:.2f} % of the pixels damaged")
        areas.append(area)
    ground = Library(photos, None, data.cache_megabytes) if photos else None
    if ground:
        areas.append(float(np.mean([ground[index][1].size for index in range(len(ground))])))
        facts.append(f"{len(ground)} photos with drawn damage")
    patch = patch_side(config, stride, min(areas))
    synthesizer = make_synthesizer(data, config.run.seed)
    items = sum(len(library) for library in (pairs, ground) if library) * patches_per_picture(data, patch, min(areas))
    return TrainingData(
        patches=Patches(config, patch, pairs, ground, synthesizer),
        patch=patch,
        items=items,
        validation=_validation(config, held, held_photos, synthesizer),
        test=splits.test if splits else (),
        sha256=fingerprint(
            (*train, *held, *photos, *held_photos),
            data.mask_level,
            synthesizer.recipe.model_dump_json() + fingerprint_of(config.model),
        ),
        facts=facts,
    )


def _validation(
    config: TrainConfig, held: tuple[PairPaths, ...], photos: tuple[PairPaths, ...], synthesizer: Synthesizer
) -> Pictures:
    """Real pairs where there are any: what is drawn is only a stand-in for them."""
    if held:
        library = Library(held, config.data.mask_level, config.data.cache_megabytes)
        library.check()
        return library
    return Drawn(Library(photos, None, config.data.cache_megabytes), synthesizer, max(32, 2 * len(photos)))


def hold_back(pairs: tuple[PairPaths, ...], config: TrainConfig) -> tuple[tuple[PairPaths, ...], tuple[PairPaths, ...]]:
    """Split into what is learned from and what chooses the best weights."""
    order = np.random.default_rng(config.run.seed).permutation(len(pairs))
    mixed = [pairs[index] for index in order]
    if config.data.overfit:
        few = tuple(mixed[: config.data.overfit])
        return few, few
    if len(pairs) < 2:
        raise TrainingError(
            "One picture is too few: some are kept back to choose the best weights by. "
            "Add pictures, or learn it by heart with --overfit 1."
        )
    held = min(max(1, round(config.data.val_share * len(pairs))), len(pairs) - 1)
    return tuple(mixed[held:][: config.data.train_size]), tuple(mixed[:held])


def patch_side(config: TrainConfig, stride: int, area: float) -> int:
    """The patch side for a network of this `stride` and pictures of this mean `area` in pixels.

    Raises
    ------
    SettingsError
        If the configured side does not suit the network.
    """
    wanted = config.data.patch
    if config.model.architecture is Architecture.cnn:
        wanted = wanted or stride
    if wanted is None:
        return round_up(min(int(area**0.5), _USUAL_PATCH), stride)
    if wanted % stride:
        raise SettingsError(
            f"The network {config.model.architecture.value} takes patches whose side is a multiple of {stride}, "
            f"not {wanted}. Say --patch {round_up(wanted, stride)}."
        )
    return wanted


def patches_per_picture(data: DataConfig, patch: int, area: float) -> int:
    """How many patches of a picture make an epoch: about as many as cover it."""
    return data.patches_per_picture or int(np.clip(np.ceil(area / patch**2), 1, _MOST_PATCHES))


def make_synthesizer(data: DataConfig, seed: int) -> Synthesizer:
    """What draws damage on photos, by the recipe and the material of the configuration.

    Raises
    ------
    TrainingError
        If material cannot be used.
    """
    try:
        return Synthesizer.from_files(
            recipe=data.recipe,
            overlays=data.overlays,
            outlines=data.outlines,
            cracks=data.cracks,
            folds=data.folds,
            transplant=data.transplant,
            seed=seed,
        )
    except (ScanError, OSError) as error:
        raise TrainingError(f"The material to draw with cannot be used: {error}") from error
