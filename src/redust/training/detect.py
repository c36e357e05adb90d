"""The task detect: patches with masks, the module, and the end of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from redust.core.arrays import Light, Pixels, from_light, three_channels, to_light
from redust.core.labels import Label, Truth
from redust.core.settings import Weights
from redust.detectors import make_detector
from redust.detectors.onnx_detector import OnnxDetector
from redust.detectors.run_detector import detect_damage
from redust.evaluation.metrics import MetricCounter
from redust.evaluation.plots import Picture, draw_precision_recall, sample_sheet, write_picture
from redust.evaluation.scoring import PictureSubset, score_detector
from redust.files.pairs import Library, PairPaths, Pictures, find_photos, find_splits, fingerprint
from redust.models import ModelCard
from redust.models.card import FLOAT32, INT8
from redust.synthesis.synthesizer import Synthesizer
from redust.training.augmentation import UPRIGHT, augment_light, choose_centre, choose_window, crop_patch
from redust.training.checkpoint import BEST, SAMPLE_COUNT
from redust.training.config import TrainConfig
from redust.training.data import (
    CACHE_MEGABYTES,
    VALIDATION_NUMBERS,
    TrainingData,
    choose_patch,
    count_patches,
    make_synthesizer,
    measure_area,
    split_validation,
)
from redust.training.distillation import clean_labels, fingerprint_teachers, load_teachers
from redust.training.export import export_detector
from redust.training.film_data import prepare_film
from redust.training.hard_negatives import HardNegatives
from redust.training.loader import Key
from redust.training.losses import MaskedLoss, distillation_loss
from redust.training.module import Row, TrainingModule
from redust.training.network import predict_map
from redust.training.result import FittedRun, TrainingResult, describe_run, spread_indices, write_metrics

_DRAWN_SIDE, _MIN_DRAWN = 256, 32
_CALIBRATION_PICTURES = 32  # with 16, INT8 lost 0.009 of f1 on real plates; with 24, nothing
_LEVELS = (0.05, 0.95)
_CARD_METRICS = ("f1", "f1_strict", "precision", "recall", "iou", "ap", "objects", "false_ppm", "accuracy", "ece")


@dataclass(frozen=True)
class DrawnPictures:
    """Photos with damage drawn on them: the same pictures every time.

    Parameters
    ----------
    photos
        Undamaged pictures.
    synthesizer
        Draws the damage.
    count
        How many pictures.
    """

    photos: Library
    synthesizer: Synthesizer
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]:
        """Pixels (256, 256, 3) uint8 and truth (256, 256)."""
        rng = np.random.default_rng([self.synthesizer.seed, VALIDATION_NUMBERS, index])
        pixels, truth = self.photos[index % len(self.photos)]
        centre = choose_centre(truth, _DRAWN_SIDE, 0.0, rng)
        photo, _ = crop_patch(pixels, truth, centre, UPRIGHT, _DRAWN_SIDE)
        pair = self.synthesizer.draw(three_channels(to_light(photo)), VALIDATION_NUMBERS + index)
        return from_light(pair.damaged, np.dtype(np.uint8)), pair.target


class MaskPatches(Dataset[tuple[Tensor, Tensor]]):
    """Patches with their masks by key, see :data:`redust.training.loader.Key`.

    Parameters
    ----------
    config
        How patches are chosen and augmented.
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

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor]:
        """Light (3, patch, patch) float32 in 0..1 and truth (1, patch, patch) uint8."""
        number, item = key
        rng = np.random.default_rng([self.config.run.seed, number])
        library = self.photos if rng.random() < self._drawn_share else self.pairs
        assert library is not None
        light, target = self._crop(*library[item % len(library)], rng)
        if library is self.photos:
            pair = self.synthesizer.draw(light, number)
            light, target = pair.damaged, pair.target
        light = augment_light(light, self.config.data.augment, self.config.data.grey_share, rng)
        return torch.from_numpy(np.ascontiguousarray(light.transpose(2, 0, 1))), torch.from_numpy(target)[None]

    def _crop(self, pixels: Pixels, truth: Truth, rng: np.random.Generator) -> tuple[Light, Truth]:
        data = self.config.data
        centre, rotation = choose_window(truth, self.patch, data.foreground_share, data.augment, rng)
        crop, target = crop_patch(pixels, truth, centre, rotation, self.patch)
        return three_channels(to_light(crop)), target


def prepare_detection(config: TrainConfig, stride: int, train_size: int | None = None) -> TrainingData:
    """Find, split and check the data of a run before any time is spent on training.

    Parameters
    ----------
    stride
        The patch side will be a multiple of it.
    train_size
        Train on at most so many pictures.

    Raises
    ------
    TrainingError
        If a file cannot be used, pairs do not fit, masks are all black, or too few are left.
    SettingsError
        If the patch does not suit the network.
    """
    data = config.data
    if data.material and data.learns_from_material:
        return prepare_film(config, data.material, stride)
    splits = find_splits(data.data) if data.data else None
    train, held = split_validation(splits.train, config, train_size) if splits else ((), ())
    sound, held_sound = split_validation(find_photos(data.photos), config, train_size) if data.photos else ((), ())
    facts, areas = [], []
    pairs = Library(train, data.mask_level, CACHE_MEGABYTES) if train else None
    if pairs:
        coverage, area = pairs.check()
        facts.append(f"{len(pairs)} pairs to learn from, {100 * coverage:.2f} % of the pixels damaged")
        areas.append(area)
    photos = Library(sound, None, CACHE_MEGABYTES) if sound else None
    if photos:
        areas.append(measure_area(photos))
        facts.append(f"{len(photos)} photos with drawn damage")
    patch = choose_patch(config, stride, min(areas))
    synthesizer = make_synthesizer(data, config.run.seed)
    recipe = synthesizer.recipe.model_dump_json() + fingerprint_teachers(config.model)
    return TrainingData(
        patches=MaskPatches(config, patch, pairs, photos, synthesizer),
        patch=patch,
        items=(len(train) + len(sound)) * count_patches(data, patch, min(areas)),
        validation=_open_validation(data.mask_level, held, held_sound, synthesizer),
        test=splits.test if splits else (),
        sha256=fingerprint((*train, *held, *sound, *held_sound), data.mask_level, recipe),
        facts=facts,
    )


def _open_validation(
    mask_level: int | None, held: tuple[PairPaths, ...], photos: tuple[PairPaths, ...], synthesizer: Synthesizer
) -> Pictures:
    """Real pairs where there are any: drawn damage is only a stand-in for them."""
    if held:
        library = Library(held, mask_level, CACHE_MEGABYTES)
        library.check()
        return library
    return DrawnPictures(Library(photos, None, CACHE_MEGABYTES), synthesizer, max(_MIN_DRAWN, 2 * len(photos)))


class DetectionModule(TrainingModule):
    """A network that detects, its loss, its teachers and its hard negatives; see :class:`TrainingModule`."""

    # At the best level: while a network is unsure of everything, f1 at 0.5 is 0 and says nothing.
    monitor = "val_f1_best_level"
    measure = "f1"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.loss = MaskedLoss(self.config.loss)
        # No module of torch's: what is registered here is saved and moved with the student.
        self.teachers = load_teachers(self.config.model)
        self.hard_negatives = HardNegatives(self.config.data.hard_negatives)
        if self.config.data.learns_from_material:  # pooled over pixels, one marked road line outweighs all dust
            self.monitor, self.measure = "val_ap_per_picture", "ap"

    def compute_loss(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The loss of a batch of light (N, 3, H, W) and truth (N, 1, H, W), twice."""
        light, truth = batch
        if self.hard_negatives.share:
            light, truth = self.hard_negatives.mix_in(light, truth)
        logits = self.network(light.contiguous(memory_format=torch.channels_last))
        if self.hard_negatives.share:
            self.hard_negatives.add(light, truth, logits.detach())
        loss = self.loss(logits, truth) if self.teachers is None else self._distil(logits, light, truth)
        return loss, loss

    def _distil(self, logits: Tensor, light: Tensor, truth: Tensor) -> Tensor:
        """The loss against the teachers and, for the remaining weight, against the masks."""
        assert self.teachers is not None
        config, target = self.config.loss, self.teachers.predict_logits(light)
        weight = config.distillation_weight
        loss: Tensor = weight * distillation_loss(logits, target, config.prevalence_weighting)
        if weight == 1:
            return loss
        if config.label_cleaning:
            truth = clean_labels(truth, target, config.label_cleaning)
        masked: Tensor = self.loss(logits, truth)
        return loss + (1 - weight) * masked

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the hard negatives."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["redust"]["hard_negatives"] = self.hard_negatives.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore them."""
        super().on_load_checkpoint(checkpoint)
        self.hard_negatives.load_state_dict(checkpoint["redust"]["hard_negatives"])

    def score_item(self, index: int) -> None:
        """Predict one picture."""
        predict_map(self.best_network, self.validation[index][0])

    def score_validation(self) -> Row:
        """The figures of all validation pictures, at full size."""
        counter, precisions = MetricCounter(), []
        for index in range(len(self.validation)):
            pixels, truth = self.validation[index]
            picture_counter = MetricCounter()
            picture_counter.add(truth, predict_map(self.best_network, pixels))
            counter.merge(picture_counter)
            precisions.append(picture_counter.figures().ap)
        figures = counter.figures().model_dump(exclude={"objects_by_area", "files", "level", "tolerance"})
        figures["f1_best_level"] = counter.best()[1]
        figures["ap_per_picture"] = np.nanmean(precisions) if np.isfinite(precisions).any() else np.nan
        return {f"val_{name}": float(value) for name, value in figures.items()}

    def sample_sheet(self, count: int) -> Picture:
        """Pictures, truth, damage map and verdict."""
        chosen = [self.validation[index] for index in spread_indices(len(self.validation), count)]
        rows = [(pixels, truth, predict_map(self.best_network, pixels)) for pixels, truth in chosen]
        return sample_sheet(rows, level=0.5)


def choose_level(network: torch.nn.Module, pictures: Pictures) -> float:
    """The level, 0.05 to 0.95, at which strict f1 on the validation pictures is highest."""
    counter = MetricCounter()
    for index in range(len(pictures)):
        pixels, truth = pictures[index]
        counter.add(truth, predict_map(network, pixels))
    return round(float(np.clip(counter.best()[0], *_LEVELS)), 3)


def finish_detection(fitted: FittedRun, max_pictures: int | None = None) -> TrainingResult:
    """Export the best weights, and score them as the engine runs them, on at most so many pictures."""
    data, folders = fitted.data, fitted.folders
    network = fitted.plan.load(folders.state / BEST)
    level = choose_level(network, fitted.module.validation)
    card = export_detector(network, folders.model, _draw_calibration(data), describe_run(fitted, level))
    pictures: Pictures = fitted.module.validation
    if data.test:
        pictures = PictureSubset(Library(data.test, fitted.module.config.data.mask_level), max_pictures)
    detector = OnnxDetector(folders.model, weights=Weights.float32)
    counters = score_detector([detector, make_detector("tophat")], pictures)
    int8 = score_detector([OnnxDetector(folders.model, weights=Weights.int8)], pictures)[detector.spec.name]
    card = _add_metrics(card, counters[detector.spec.name], int8, "test" if data.test else "validation")
    card.to_folder(folders.model)
    write_metrics(fitted, {name: json.loads(counter.figures().model_dump_json()) for name, counter in counters.items()})
    mapped = {name: counter for name, counter in counters.items() if np.isfinite(counter.figures().ap)}
    draw_precision_recall(mapped, folders.results / "precision_recall.png")
    _draw_predictions(fitted, detector, pictures)
    return TrainingResult(folders, card, counters)


def _draw_calibration(data: TrainingData) -> list[Light]:
    """Training patches, to calibrate INT8 by."""
    return [
        data.patches[(number, number % data.items)][0].permute(1, 2, 0).numpy()
        for number in range(_CALIBRATION_PICTURES)
    ]


def _add_metrics(card: ModelCard, float32: MetricCounter, int8: MetricCounter, subset: str) -> ModelCard:
    figures = {"": float32.figures(), ", int8": int8.figures()}
    metrics = {
        f"{subset}{kind}": {
            name: round(value, 6) for name in _CARD_METRICS if np.isfinite(value := getattr(measured, name))
        }
        for kind, measured in figures.items()
    }
    f1 = {FLOAT32: figures[""].f1, INT8: figures[", int8"].f1}
    f1 = {kind: round(value, 6) for kind, value in f1.items() if np.isfinite(value)}
    return card.model_copy(update={"metrics": metrics, "f1_by_weights": f1})


def _draw_predictions(fitted: FittedRun, detector: OnnxDetector, pictures: Pictures) -> None:
    """Write ``predictions.png``: damaged pictures with their damage maps."""
    damaged = [index for index in range(len(pictures)) if (pictures[index][1] == Label.damage).any()]
    chosen = [pictures[damaged[index]] for index in spread_indices(len(damaged), SAMPLE_COUNT)]
    if chosen:
        rows = [(pixels, truth, detect_damage(detector, pixels)) for pixels, truth in chosen]
        write_picture(sample_sheet(rows, detector.spec.level), fitted.folders.results / "predictions.png")
