"""The task fill: holes in undamaged light, filled by kriging, which the network corrects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from redust.core.arrays import Light, Mask
from redust.core.errors import TrainingError
from redust.core.labels import Label
from redust.files.pairs import Library, find_photos, find_splits, fingerprint
from redust.inpainters.fill_damage import fill_damage
from redust.inpainters.kriging import KrigingInpainter
from redust.inpainters.onnx_inpainter import OnnxInpainter, with_mask
from redust.synthesis.holes import draw_holes
from redust.training.augmentation import DIHEDRAL_COUNT, apply_dihedral
from redust.training.checkpoint import BEST
from redust.training.config import Task, TrainConfig
from redust.training.data import (
    CACHE_MEGABYTES,
    TrainingData,
    choose_patch,
    count_patches,
    measure_area,
    split_validation,
)
from redust.training.export import export_restorer
from redust.training.loader import Key
from redust.training.restoration import RestorationModule, decibels, finish_restoration, mean_figures
from redust.training.result import Figures, FittedRun, TrainingResult, describe_run
from redust.training.samples import HeldPhotos, HeldSamples, MixedPatches, PhotoPatches, Sample, Tensors

_GREY_SHARE = 0.25
_MAX_CACHED, _CACHE_BYTES, _BYTES_PER_PIXEL = 12_000, 1_500_000_000, 16  # input, clean and mask in half precision
_HOLE_STREAM, _ORDER_STREAM, _TRANSFORM_STREAM = 1, 3, 4  # tell the random streams of one number apart


@dataclass(frozen=True)
class DrawnHoles:
    """Makes samples with holes: some of the light is masked, none of it damaged, and filled by kriging."""

    seed: int

    def __call__(self, light: Light, damaged: Mask, number: int) -> Sample:
        """A sample of light (H, W, 3) in 0..1."""
        rng = np.random.default_rng([self.seed, number, _HOLE_STREAM])
        if rng.random() < _GREY_SHARE:
            light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
        mask = draw_holes((light.shape[0], light.shape[1]), rng) & ~damaged
        return Sample(with_mask(fill_damage(KrigingInpainter(), light, mask, threads=1), mask), light, mask)


class SampleCache(Dataset[Tensors]):
    """Samples that are each made once, then flipped and turned by quarters anew every time.

    Kriging takes most of the time of a step, and a network still learns from a hole that it meets again in another
    orientation. The samples are kept in half precision.

    Parameters
    ----------
    patches
        Make the samples, by the same kind of key.
    count
        Samples in the cache.
    items
        Each is of one item out of so many, at random.
    seed
        Of the run.
    """

    def __init__(self, patches: Dataset[Tensors], count: int, items: int, seed: int) -> None:
        self.patches = patches
        self.count = count
        self.items = items
        self.seed = seed
        self._cache: dict[int, list[torch.Tensor]] = {}

    def __getitem__(self, key: Key) -> Tensors:
        """The number decides which sample, and its transform; rounds go through the whole cache."""
        number, _ = key
        order = np.random.default_rng([self.seed, number // self.count, _ORDER_STREAM]).permutation(self.count)
        sample = self._load_sample(int(order[number % self.count]))
        index = int(np.random.default_rng([self.seed, number, _TRANSFORM_STREAM]).integers(DIHEDRAL_COUNT))
        inputs, clean, damaged = (apply_dihedral(planes, index).float().contiguous() for planes in sample)
        return inputs, clean, damaged

    def _load_sample(self, slot: int) -> list[torch.Tensor]:
        if slot not in self._cache:
            item = int(np.random.default_rng([self.seed, slot, _ORDER_STREAM]).integers(self.items))
            self._cache[slot] = [planes.half() for planes in self.patches[slot, item]]
        return self._cache[slot]


class FillModule(RestorationModule):
    """A network that fills."""

    monitor = "val_inside"
    measure = "inside dB"
    relative_loss = 0.004

    def measure_sample(self, sample: Sample, restored: Light) -> Figures:
        """See :func:`measure_fill`."""
        return measure_fill(sample, restored)


def measure_fill(sample: Sample, filled: Light) -> Figures:
    """PSNR `inside` the mask, and its `gain` over the fill that the network starts with, in dB."""
    if not sample.damaged.any():  # all of its holes lay over damage
        return {}
    inside = decibels(filled, sample.clean, sample.damaged)
    return {"inside": inside, "gain": inside - decibels(sample.light, sample.clean, sample.damaged)}


def prepare_fill(config: TrainConfig, stride: int, train_size: int | None = None) -> TrainingData:
    """Holes in photos, in the undamaged part of scans, or in both: found, split and checked before training.

    Raises
    ------
    TrainingError
        If a file cannot be used, pictures do not pair up, or too few are left.
    SettingsError
        If the patch does not suit the network.
    """
    data, seed = config.data, config.run.seed
    sources = [find_photos(data.photos)] if data.photos else []
    sources += [find_splits(data.data).train] if data.data else []
    halves = [split_validation(pairs, config, train_size) for pairs in sources]
    train = tuple(pair for half, _ in halves for pair in half)
    held = tuple(pair for _, half in halves for pair in half)
    libraries = [Library(half, data.mask_level, CACHE_MEGABYTES / len(halves)) for half, _ in halves]
    held_back = Library(held, data.mask_level, CACHE_MEGABYTES)
    area = min(measure_area(library) for library in libraries)
    for library in (*libraries, held_back):
        _check_undamaged(library)
    patch = choose_patch(config, stride, area)
    holes = DrawnHoles(seed)
    datasets = [PhotoPatches(config, patch, library, holes) for library in libraries]
    patches: Dataset[Tensors] = datasets[0]
    if len(datasets) > 1:
        patches = MixedPatches(datasets[0], datasets[1], data.photos_share, seed)
    return TrainingData(
        patches=SampleCache(patches, min(_MAX_CACHED, _CACHE_BYTES // (_BYTES_PER_PIXEL * patch**2)), len(train), seed),
        patch=patch,
        items=len(train) * count_patches(data, patch, area),
        validation=HeldSamples.of_photos(HeldPhotos(held_back, holes, stride)),
        test=(),
        sha256=fingerprint((*train, *held), data.mask_level, f"{Task.fill} holes filled by kriging"),
        facts=[
            f"{len(library)} {'scans' if library.pairs[0].mask else 'photos'} with drawn masks, holes filled by "
            "kriging first"
            for library in libraries
        ],
    )


def _check_undamaged(pictures: Library) -> None:
    """Refuse masks that leave nothing to learn filling from."""
    for index, pair in enumerate(pictures.pairs):
        if pair.mask and (pictures[index][1] == Label.damage).all():
            raise TrainingError(
                f"The mask {pair.mask} says that all of its picture is damaged: nothing sound is left to learn from. "
                "Damage is 255 (white) and the rest 0; turn the mask round, or take the pair away."
            )


def finish_fill(fitted: FittedRun, _: int | None = None) -> TrainingResult:
    """Export the best weights, and score them as the engine runs them, beside the fill that they correct."""
    folder, held = fitted.folders.model, fitted.module.validation
    samples = [held[index] for index in range(len(held))]
    network = fitted.plan.load(fitted.folders.state / BEST)
    card = export_restorer(network, folder, samples[0].inputs, describe_run(fitted))
    engine = OnnxInpainter(folder)
    filled = [fill_damage(engine, sample.clean, sample.damaged, threads=1) for sample in samples]
    figures = {
        card.name: mean_figures([measure_fill(*pair) for pair in zip(samples, filled, strict=True)]),
        "kriging": mean_figures([measure_fill(sample, sample.light) for sample in samples]),
    }
    return finish_restoration(fitted, card, filled, figures)
