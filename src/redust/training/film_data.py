"""Patches of real film, drawn while the network trains: authentic scans first, drawn damage beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from redust.core.arrays import Light, three_channels, to_light
from redust.core.labels import Truth
from redust.files.pairs import fingerprint
from redust.synthesis.appearance import multiply_light
from redust.synthesis.film_chain import FilmChain, Mark, draw_chain
from redust.synthesis.film_marks import draw_marks
from redust.synthesis.film_simulation import add_film_grain
from redust.synthesis.film_stages import finish_scan, store_file
from redust.synthesis.negatives import NEGATIVES, NIGHT
from redust.synthesis.simulate_scan import damage_scan, label_change, simulate_scan
from redust.training.augmentation import UPRIGHT, augment_light, choose_rotation, crop_patch, remove_colour
from redust.training.config import Augmentation, TrainConfig
from redust.training.data import TrainingData, choose_patch
from redust.training.film_copies import make_web_copy, resize_square, shrink_truth
from redust.training.film_material import (
    FILM,
    PHOTOS,
    PLATES,
    SKIES,
    SOUND,
    Material,
    ScanSet,
    find_material,
    read_material,
)
from redust.training.film_validation import HeldScans
from redust.training.loader import Key

Tensors = tuple[torch.Tensor, torch.Tensor]
Drawn = tuple[Light, Truth]

_EPOCH = 3000  # patches
_PATCH = 192  # pixels, unless the configuration says otherwise
_INVERTED = 0.12  # share of the patches that are shown as negatives
_LARGEST_SCAN = 768  # pixels: side of what a patch is shrunk from


class Source(StrEnum):
    """Where a patch comes from."""

    film = "film"
    film_shrunk = "film, shrunk"
    film_drawn = "film with drawn damage"
    transplants = "sound film with transplanted damage"
    film_sound = "sound film"
    plates = "plates"
    photos_on_film = "photos through the chain of film"
    photos_drawn = "photos with damage of all kinds"
    photos = "undamaged photos"
    night_skies = "night skies"


SHARES = {
    Source.film: 0.20,
    Source.film_shrunk: 0.12,
    Source.film_drawn: 0.06,
    Source.transplants: 0.06,
    Source.film_sound: 0.08,
    Source.plates: 0.10,
    Source.photos_on_film: 0.11,
    Source.photos_drawn: 0.08,
    Source.photos: 0.09,
    Source.night_skies: 0.10,
}
"""How often each source is drawn: near half of the patches are authentic film, with its own damage or with more; a
fifth are undamaged photos, for what looks like dust there is loudest in the sky at night."""
_NOT_INVERTED = (Source.photos_drawn, Source.night_skies)  # photos_drawn: its recipe inverts; inverted, stars are dust


@dataclass(frozen=True)
class Window:
    """A square of a scan: which set, which scan, and its centre (row, column)."""

    scans: ScanSet
    index: int
    centre: tuple[float, float]


class FilmPatches(Dataset[Tensors]):
    """Patches with their masks by key, see :data:`redust.training.loader.Key`; the item is not used.

    Parameters
    ----------
    config
        How patches are chosen and augmented.
    patch
        Side in pixels.
    material
        What they are cropped from and drawn with.
    """

    def __init__(self, config: TrainConfig, patch: int, material: Material) -> None:
        self.config = config
        self.patch = patch
        self.material = material
        self._draw_by_source: dict[Source, Callable[[int, np.random.Generator], Drawn]] = {
            Source.film: self._draw_film,
            Source.film_shrunk: self._draw_shrunk_film,
            Source.film_drawn: self._draw_on_film,
            Source.transplants: self._draw_transplants,
            Source.film_sound: self._draw_sound_film,
            Source.plates: self._draw_plate,
            Source.photos_on_film: self._draw_photo_on_film,
            Source.photos_drawn: self._draw_damaged_photo,
            Source.photos: self._draw_photo,
            Source.night_skies: self._draw_night_sky,
        }

    def __getitem__(self, key: Key) -> Tensors:
        """Light (3, patch, patch) float32 in 0..1 and truth (1, patch, patch) uint8."""
        data, number = self.config.data, key[0]
        rng = np.random.default_rng([self.config.run.seed, number])
        source = list(SHARES)[int(rng.choice(len(SHARES), p=list(SHARES.values())))]
        light, truth = self.draw_patch(source, number, rng)
        light = augment_light(light, data.augment, data.grey_share, rng)
        if source not in _NOT_INVERTED and rng.random() < _INVERTED:
            light = 1 - light
        pixels = torch.from_numpy(np.ascontiguousarray(light.transpose(2, 0, 1), np.float32))
        return pixels, torch.from_numpy(np.ascontiguousarray(truth))[None]

    def draw_patch(self, source: Source, number: int, rng: np.random.Generator) -> Drawn:
        """Light (patch, patch, 3) in 0..1 and truth (patch, patch) of one source."""
        return self._draw_by_source[source](number, rng)

    def _choose_object(self, scans: ScanSet, reach: float, rng: np.random.Generator) -> Window:
        """A window about an object: scans evenly, then objects evenly."""
        index = scans.damaged[int(rng.integers(len(scans.damaged)))]
        objects = scans.objects[index]
        row, column = objects[int(rng.integers(len(objects)))] + rng.uniform(-reach, reach, 2)
        return Window(scans, index, (float(row), float(column)))

    def _choose_anywhere(self, kind: str, rng: np.random.Generator) -> Window:
        """A window anywhere: scans evenly."""
        scans = self.material.sets[kind]
        index = int(rng.integers(len(scans)))
        height, width = scans[index][1].shape
        return Window(scans, index, (rng.uniform(0, height), rng.uniform(0, width)))

    def _choose_window(self, kind: str, reach: float, rng: np.random.Generator) -> Window:
        """A window about an object, as often as the configuration says, or anywhere."""
        scans = self.material.sets[kind]
        if scans.damaged and rng.random() < self.config.data.foreground_share:
            return self._choose_object(scans, reach, rng)
        return self._choose_anywhere(kind, rng)

    def _crop_square(self, window: Window, side: int, rng: np.random.Generator) -> Drawn:
        """A turned square of `side` pixels, inside the scan if it fits."""
        pixels, truth = window.scans[window.index]
        row, column = (
            float(np.floor(np.clip(middle, side / 2, max(side / 2, length - side / 2)))) + (side - 1) % 2 / 2
            for middle, length in zip(window.centre, truth.shape, strict=True)
        )
        rotation = UPRIGHT if self.config.data.augment is Augmentation.none else choose_rotation((), rng)
        square, target = crop_patch(pixels, truth, (row, column), rotation, side)
        return three_channels(to_light(square)), target

    def _crop_shrunk(self, window: Window, shrink: float, rng: np.random.Generator) -> Drawn:
        """A square of the patch's side, out of one `shrink` times as large (or small)."""
        light, truth = self._crop_square(window, round(self.patch * shrink), rng)
        return resize_square(light, self.patch), shrink_truth(truth, self.patch)

    def _draw_film(self, _: int, rng: np.random.Generator) -> Drawn:
        window = self._choose_window(FILM, self.patch / 3, rng)
        return self._crop_shrunk(window, 1.0 if rng.random() < 0.65 else _log_uniform(rng, 0.65, 1.5), rng)

    def _draw_shrunk_film(self, _: int, rng: np.random.Generator) -> Drawn:
        shrink = _log_uniform(rng, 1.5, 3.2)
        light, truth = self._crop_shrunk(self._choose_window(FILM, self.patch * shrink / 3, rng), shrink, rng)
        return make_web_copy(light, rng), truth

    def _draw_on_film(self, _: int, rng: np.random.Generator) -> Drawn:
        window = self._choose_anywhere(FILM if rng.random() < 0.7 else SOUND, rng)
        chain = self._draw_chain(rng)
        side = chain.scan_side(self.patch)
        light, known = self._crop_square(window, side, rng)
        drawn, truth = damage_scan(light, self._draw_marks(side, chain, rng), chain)
        return drawn, np.maximum(truth, shrink_truth(known, self.patch))

    def _draw_transplants(self, _: int, rng: np.random.Generator) -> Drawn:
        kind = (FILM, SOUND, PHOTOS)[int(rng.choice(3, p=(0.5, 0.3, 0.2)))]
        chain = self._draw_chain(rng)
        side = chain.scan_side(self.patch)
        light, known = self._crop_square(self._choose_anywhere(kind, rng), side, rng)
        damaged = light.copy()
        multiply_light(damaged, self.material.transplants.paste_spots((side, side), 1.0, rng)[0])
        clean, damaged = (finish_scan(scan, chain, (self.patch, self.patch)) for scan in (light, damaged))
        truth = np.maximum(label_change(damaged, clean), shrink_truth(known, self.patch))
        return store_file(damaged, chain), truth

    def _draw_sound_film(self, _: int, rng: np.random.Generator) -> Drawn:
        window = self._choose_anywhere(SOUND, rng)
        if rng.random() < 0.5:
            return self._crop_square(window, self.patch, rng)
        light, truth = self._crop_shrunk(window, _log_uniform(rng, 1.3, 3.2), rng)
        return make_web_copy(light, rng), truth

    def _draw_plate(self, _: int, rng: np.random.Generator) -> Drawn:
        window = self._choose_window(PLATES, self.patch / 3, rng)
        return self._crop_shrunk(window, 1.0 if rng.random() < 0.6 else _log_uniform(rng, 0.8, 1.6), rng)

    def _draw_photo_on_film(self, _: int, rng: np.random.Generator) -> Drawn:
        chain = self._draw_chain(rng)
        side = chain.scan_side(self.patch)
        scene = self._draw_scene(side, rng)
        return simulate_scan(scene, self._draw_marks(side, chain, rng) if rng.random() < 0.8 else [], chain, rng)

    def _draw_damaged_photo(self, number: int, rng: np.random.Generator) -> Drawn:
        light, _ = self._crop_square(self._choose_anywhere(PHOTOS, rng), self.patch, rng)
        pair = self.material.synthesizer.draw(light, number)
        return pair.damaged, pair.target

    def _draw_photo(self, _: int, rng: np.random.Generator) -> Drawn:
        light, truth = self._crop_shrunk(self._choose_anywhere(PHOTOS, rng), _log_uniform(rng, 1.0, 2.5), rng)
        if rng.random() < 0.5:
            self._draw_hard_negative(light, rng)
        if rng.random() < 0.2:
            light = remove_colour(light, rng)
        return make_web_copy(light, rng) if rng.random() < 0.3 else light, truth

    def _draw_night_sky(self, _: int, rng: np.random.Generator) -> Drawn:
        if SKIES in self.material.sets and rng.random() < 0.5:
            light, truth = self._crop_sky(rng)
        else:
            light, truth = self._crop_shrunk(self._choose_anywhere(PHOTOS, rng), _log_uniform(rng, 1.0, 2.5), rng)
            NEGATIVES[str(rng.choice(NIGHT, p=(0.25, 0.6, 0.15)))](light, rng)
        if rng.random() < 0.3:
            light = add_film_grain(light, rng)
        return make_web_copy(light, rng) if rng.random() < 0.4 else light, truth

    def _crop_sky(self, rng: np.random.Generator) -> Drawn:
        """A patch of a photo of the night sky, enlarged by up to 1.7 or shrunk as far as the photo goes."""
        window = self._choose_anywhere(SKIES, rng)
        largest = min(window.scans[window.index][1].shape) / self.patch
        return self._crop_shrunk(window, min(_log_uniform(rng, 0.6, 2.5), largest), rng)

    def _draw_scene(self, side: int, rng: np.random.Generator) -> Light:
        """A photo as the scene before a camera, as large as the scan: film resolves less than its scan has pixels."""
        window = self._choose_anywhere(PHOTOS, rng)
        sharp_side = min(round(side / _log_uniform(rng, 1.0, 2.5)), *window.scans[window.index][1].shape)
        scene = resize_square(self._crop_square(window, sharp_side, rng)[0], side)
        if rng.random() < 0.2:
            self._draw_hard_negative(scene, rng)
        return scene

    def _draw_hard_negative(self, light: Light, rng: np.random.Generator) -> None:
        """Something of the scene that looks like damage, in place."""
        weights = self.material.synthesizer.recipe.hard
        share = np.array(list(weights.values()))
        NEGATIVES[str(rng.choice(list(weights), p=share / share.sum()))](light, rng)
        np.clip(light, 0, 1, out=light)

    def _draw_marks(self, side: int, chain: FilmChain, rng: np.random.Generator) -> list[Mark]:
        return list(draw_marks((side, side), chain, self.material.synthesizer, rng))

    def _draw_chain(self, rng: np.random.Generator) -> FilmChain:
        return draw_chain(rng, _LARGEST_SCAN / self.patch)


def prepare_film(config: TrainConfig, folder: Path, stride: int) -> TrainingData:
    """Read a folder of material; see :func:`redust.training.detect.prepare_detection`."""
    paths = find_material(folder, config.data.held_rolls)
    material = read_material(paths, config)
    patch = choose_patch(config, stride, float(_PATCH**2))
    return TrainingData(
        patches=FilmPatches(config, patch, material),
        patch=patch,
        items=_EPOCH,
        validation=HeldScans(paths),
        test=(),
        sha256=fingerprint(paths.pairs, None, material.synthesizer.recipe.model_dump_json()),
        facts=[f"{len(pairs)} scans of {kind}" for kind, pairs in paths.train.items()],
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
