"""The task generator: damaged pictures, with a detector's damage map, restored without a mask."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from redust.core.arrays import DamageMap, Light, Mask
from redust.core.engines import Detector
from redust.core.labels import Label
from redust.core.logits import shift_logits
from redust.core.settings import Weights
from redust.detectors import make_detector
from redust.detectors.run_detector import detect_damage
from redust.files.pairs import Library, find_photos, find_restored, fingerprint
from redust.generators.onnx_generator import OnnxGenerator
from redust.generators.run_generator import run_generator
from redust.models import read_card
from redust.synthesis.synthesizer import Synthesizer
from redust.training.checkpoint import BEST
from redust.training.config import Augmentation, Task, TrainConfig, find_model_folder
from redust.training.data import (
    CACHE_MEGABYTES,
    TrainingData,
    choose_patch,
    count_patches,
    make_synthesizer,
    measure_area,
    split_validation,
)
from redust.training.export import export_restorer
from redust.training.loader import Key
from redust.training.network import predict_light
from redust.training.restoration import RestorationModule, decibels, finish_restoration, mean_figures
from redust.training.restored_pictures import HeldPictures, RestoredPatches, RestoredPictures
from redust.training.result import Figures, FittedRun, TrainingResult, describe_run
from redust.training.samples import (
    HeldPhotos,
    HeldSamples,
    MixedPatches,
    PhotoPatches,
    Sample,
    Tensors,
)

_LEVELS = (0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16)
_VALIDATION_LEVEL = 0.04
_LOGIT_JITTER = 0.8
_JITTER_STREAM = 3  # tells the random streams of one number apart


@dataclass(frozen=True)
class DrawnDamage:
    """Makes samples by drawing damage on light, by the recipe."""

    synthesizer: Synthesizer

    def __call__(self, light: Light, damaged: Mask, number: int) -> Sample:
        """A sample of light (H, W, 3) in 0..1."""
        pair = self.synthesizer.draw(light, number)
        return Sample(pair.damaged, pair.clean, (pair.target != Label.background) & ~damaged)


class MapInput:
    """Adds the damage map of a detector to the input of samples.

    Parameters
    ----------
    name
        Of a detector, or the path of a model folder.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._opened: tuple[int, Detector] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the detector: a process that loads data opens its own."""
        return self.__dict__ | {"_opened": None}

    @property
    def detector(self) -> Detector:
        """The detector of this process: sessions of ONNX Runtime do not outlive a fork."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), make_detector(self.name, threads=1, weights=Weights.auto)
        return self._opened[1]

    @property
    def fingerprint(self) -> str:
        """What decides the maps: the checksums of a model's weights; the name of any other detector."""
        folder = find_model_folder(self.name)
        return f" {sorted(read_card(folder).sha256.values()) if folder.is_dir() else self.name}"

    def predict(self, light: Light) -> DamageMap:
        """The damage map (H, W) float32 of light (H, W, 3) float32, both in 0..1."""
        return detect_damage(self.detector, light)

    def wrap(self, make_sample: Callable[[int], Sample]) -> Callable[[int], Sample]:
        """Samples with the map as a fourth channel of the input."""

        def make_mapped(index: int) -> Sample:
            sample = make_sample(index)
            return replace(sample, inputs=np.dstack([sample.light, self.predict(sample.light)]))

        return make_mapped


class MappedPatches(Dataset[Tensors]):
    """Patches with the damage map as a fourth channel of the input.

    Parameters
    ----------
    patches
        Of light alone.
    map_input
        Gives the maps.
    logit_jitter
        Each map's logits are lowered by a random number of this mean and deviation: a detector is more confident on
        pictures it was trained on than on new ones.
    seed
        Of the run.
    """

    def __init__(self, patches: Dataset[Tensors], map_input: MapInput, logit_jitter: float, seed: int) -> None:
        self.patches = patches
        self.map_input = map_input
        self.logit_jitter = logit_jitter
        self.seed = seed

    def __getitem__(self, key: Key) -> Tensors:
        """See :meth:`redust.training.samples.Sample.to_tensors`."""
        light, clean, damaged = self.patches[key]
        damage = self.map_input.predict(np.ascontiguousarray(light.permute(1, 2, 0).numpy()))
        if self.logit_jitter:
            rng = np.random.default_rng([self.seed, key[0], _JITTER_STREAM])
            damage = shift_logits(damage, rng.normal(-self.logit_jitter, self.logit_jitter))
        return torch.cat([light, torch.from_numpy(damage)[None]]), clean, damaged


class GeneratorModule(RestorationModule):
    """A network that restores without a mask."""

    monitor = "val_gain"
    measure = "gain dB"

    def measure_sample(self, sample: Sample, restored: Light) -> Figures:
        """See :func:`measure_restoration`."""
        return measure_restoration(sample, restored, _VALIDATION_LEVEL)


def find_changes(light: Light, restored: Light, level: float) -> Mask:
    """The pixels that restoring keeps of a generator's answer: changed enough, no single pixels, grown by one.

    Parameters
    ----------
    light, restored : (H, W, 3) float32 in 0..1
    level : 0..1
        The least change of light.

    Returns
    -------
    mask : (H, W) bool
    """
    changed = (np.abs(restored - light).max(axis=2) >= np.float32(level)).astype(np.uint8)
    neighbours = cv2.filter2D(changed, -1, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT)
    connected = changed & (neighbours > 1)
    return cv2.dilate(connected, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))).astype(np.bool_)


def measure_restoration(sample: Sample, restored: Light, level: float) -> Figures:
    """`gain` of the whole picture and PSNR `inside` the damage in dB; `harm_ppm`: changed pixels of the undamaged."""
    mask, undamaged = find_changes(sample.light, restored, level), ~sample.damaged
    composed = np.where(mask[..., None], restored, sample.light)
    figures = {
        "gain": decibels(composed, sample.clean) - decibels(sample.light, sample.clean),
        "harm_ppm": 1e6 * float((mask & undamaged).sum()) / max(int(undamaged.sum()), 1),
    }
    if sample.damaged.any():
        figures["inside"] = decibels(composed, sample.clean, sample.damaged)
    return figures


def prepare_generator(config: TrainConfig, stride: int, train_size: int | None = None) -> TrainingData:
    """Restored pictures, photos with drawn damage, or both: found, split and checked before training.

    Raises
    ------
    TrainingError
        If a file cannot be used, pictures do not pair up, or too few are left.
    SettingsError
        If the patch does not suit the network.
    """
    data = config.data
    train, held = split_validation(find_restored(data.data), config, train_size) if data.data else ((), ())
    sound, held_sound = split_validation(find_photos(data.photos), config, train_size) if data.photos else ((), ())
    pictures, held_pictures = RestoredPictures(train), RestoredPictures(held)
    pictures.check()
    held_pictures.check()
    photos = Library(sound, None, CACHE_MEGABYTES)
    area = min(measure_area(library) for library in (pictures.damaged, photos) if library.pairs)
    patch = choose_patch(config, stride, area)
    synthesizer = make_synthesizer(data, config.run.seed)
    damage, map_input = DrawnDamage(synthesizer), MapInput(config.model.attention)
    drawn = PhotoPatches(config, patch, photos, damage)
    restored = RestoredPatches(config, patch, pictures)
    patches: Dataset[Tensors] = restored if train else drawn
    if train and sound:
        patches = MixedPatches(drawn, restored, data.photos_share, config.run.seed)
    jitter = 0.0 if data.augment is Augmentation.none else _LOGIT_JITTER
    validation = HeldSamples(map_input.wrap(HeldPictures(held_pictures, stride)), len(held))
    if not held:
        photos_held = HeldPhotos(Library(held_sound, None, CACHE_MEGABYTES), damage, stride)
        validation = HeldSamples(map_input.wrap(photos_held), len(HeldSamples.of_photos(photos_held)))
    recipe = f"{Task.generator} {synthesizer.recipe.model_dump_json()}{map_input.fingerprint}"
    facts = [f"{len(train)} pictures and the same restored"] if train else []
    facts += [f"{len(sound)} photos with drawn damage"] if sound else []
    return TrainingData(
        patches=MappedPatches(patches, map_input, jitter, config.run.seed),
        patch=patch,
        items=(len(train) + len(sound)) * count_patches(data, patch, area),
        validation=validation,
        test=(),
        sha256=fingerprint((*train, *held, *sound, *held_sound), data.mask_level, recipe),
        facts=facts,
    )


def finish_generator(fitted: FittedRun, _: int | None = None) -> TrainingResult:
    """Export the best weights, and score them as the engine runs them, beside the damaged pictures."""
    folder, held = fitted.folders.model, fitted.module.validation
    samples = [held[index] for index in range(len(held))]
    network = fitted.plan.load(fitted.folders.state / BEST)
    facts = describe_run(fitted, _choose_level(network, samples)) | {"attention": fitted.module.config.model.attention}
    card = export_restorer(network, folder, samples[0].inputs, facts)
    engine = OnnxGenerator(folder, threads=1)
    restored = [_run_engine(engine, sample) for sample in samples]
    rows = [measure_restoration(sample, light, card.level) for sample, light in zip(samples, restored, strict=True)]
    damaged = [sample for sample in samples if sample.damaged.any()]
    before = mean_figures([{"inside": decibels(item.light, item.clean, item.damaged)} for item in damaged])
    figures = {card.name: mean_figures(rows), "untouched": {"gain": 0.0, "harm_ppm": 0.0} | before}
    return finish_restoration(fitted, card, restored, figures)


def _choose_level(network: torch.nn.Module, samples: Sequence[Sample]) -> float:
    """The level, of a few, at which the mean gain is highest."""
    restored = [predict_light(network, sample.inputs) for sample in samples]
    gains = [
        np.mean([measure_restoration(*pair, level)["gain"] for pair in zip(samples, restored, strict=True)])
        for level in _LEVELS
    ]
    return _LEVELS[int(np.argmax(gains))]


def _run_engine(engine: OnnxGenerator, sample: Sample) -> Light:
    """The raw answer of the engine, (H, W, 3) float32."""
    light, damage = np.ascontiguousarray(sample.light), sample.inputs[..., 3]
    return np.asarray(run_generator(engine, light, damage=damage)[0], np.float32)
