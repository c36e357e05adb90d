"""Draw damage on photographs: pairs of a damaged picture and its true mask, reproducible by seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light
from redust.core.errors import SettingsError
from redust.core.labels import Label, Truth
from redust.synthesis.film_simulation import simulate_film
from redust.synthesis.layers import EDGE, MAX_SHARE, Layer
from redust.synthesis.material import Cracks, Folds, Outlines, Overlays
from redust.synthesis.negatives import NEGATIVES, NIGHT
from redust.synthesis.painting import Canvas, Coverage, blur_coverage
from redust.synthesis.recipe import MATERIAL, Recipe
from redust.synthesis.scanner_simulation import simulate_scanner
from redust.synthesis.shapes import SHAPES
from redust.synthesis.transplants import Transplants

TEXTURE_SIDE = 17  # pixels: window in which light counts as texture, several times as wide as a hair


@dataclass(frozen=True)
class Pair:
    """A damaged picture, the same without damage, and the truth.

    Parameters
    ----------
    damaged, clean : (H, W, 3) float32 in 0..1
    target : (H, W) uint8
        Values of :class:`redust.core.labels.Label`: 255 damage, 128 ignore, 0 background.
    kinds
        Kinds of damage drawn.
    """

    damaged: Light
    clean: Light
    target: Truth
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Synthesizer:
    """Draws damage over sound photographs.

    Parameters
    ----------
    recipe
        Kinds of damage, and how often each is drawn.
    overlays, outlines, cracks, folds, transplants
        Material besides the procedural shapes; kinds without material are not drawn.
    seed
        With the same seed, `draw` gives the same pair for the same photo and number, in any process.
    """

    recipe: Recipe = field(default_factory=Recipe)
    overlays: Overlays | None = None
    outlines: tuple[Outlines, ...] = ()
    cracks: Cracks | None = None
    seed: int = 0
    folds: Folds | None = None
    transplants: Transplants | None = None

    @classmethod
    def from_files(
        cls,
        *,
        recipe: Path | None = None,
        overlays: Path | None = None,
        outlines: Iterable[Path] = (),
        cracks: Path | None = None,
        folds: Path | None = None,
        transplant: Path | None = None,
        seed: int = 0,
    ) -> Synthesizer:
        """Read the recipe and all material.

        Raises
        ------
        SettingsError, ScanError
            If the recipe, or material, cannot be used.
        """
        return cls(
            recipe=Recipe.from_preset(recipe) if recipe else Recipe(),
            overlays=Overlays.from_folder(overlays) if overlays else None,
            outlines=tuple(Outlines.from_file(path) for path in outlines),
            cracks=Cracks.from_file(cracks) if cracks else None,
            folds=Folds.from_folder(folds) if folds else None,
            transplants=Transplants.from_folder(transplant) if transplant else None,
            seed=seed,
        )

    def __post_init__(self) -> None:
        if self.recipe.clean < 1 and not sum(self.available_kinds().values()) > 0:
            raise SettingsError(
                "The recipe draws only kinds for which there is no material. Give the material (--overlays, "
                "--outlines, --cracks, --folds, --transplant), or give a kind such as `dust` a weight."
            )

    def draw(self, photo: Light, number: int, known: Truth | None = None) -> Pair:
        """Damage one photo.

        Parameters
        ----------
        photo : (H, W, 3) float32 in 0..1
            Undamaged.
        number
            Number of the pair; with the seed it determines all random numbers.
        known : (H, W) uint8, optional
            Truth of damage that the photo already has (a real scan with its mask); more is drawn over it.
        """
        rng = np.random.default_rng([self.seed, number])
        clean = photo.copy()
        kinds: list[str] = []
        recipe = self.recipe
        if known is None and rng.random() < recipe.negatives:
            name = _pick_weighted(recipe.hard, rng)
            NEGATIVES[name](clean, rng)
            if name in NIGHT:  # without colour, or inverted, a starry sky cannot be distinguished from a dusty plate
                recipe = recipe.model_copy(update={"negative": 0.0, "black_and_white": 0.0, "sepia": 0.0})
        clean = simulate_film(clean, rng, recipe)
        damaged, target = clean.copy(), np.zeros(clean.shape[:2], np.uint8)
        if rng.random() >= self.recipe.clean:
            kinds = self._damage_picture(damaged, target, rng)
            damaged = self._blur_damage(damaged, clean, rng)
        _ignore_barely_visible(damaged, clean, target, self.recipe)
        _dilate_damage(target, self.recipe.margin)
        if known is not None:
            np.maximum(target, known, out=target)
        # The same seed for both: the clean picture gets the same noise as the damaged one.
        seed = rng.integers(2**63)
        clean = simulate_scanner(clean, np.random.default_rng(seed), self.recipe)
        damaged = simulate_scanner(damaged, np.random.default_rng(seed), self.recipe)
        return Pair(damaged, clean, target, tuple(kinds))

    def _damage_picture(self, damaged: Light, target: Truth, rng: np.random.Generator) -> list[str]:
        """Blend layers of damage over a picture and label them, both in place; returns the kinds."""
        low, high = np.log(self.recipe.scale_low), np.log(self.recipe.scale_high)
        scale = float(np.exp(rng.uniform(low, high)))
        kinds = []
        for _ in range(int(rng.integers(1, self.recipe.layers + 1))):
            layer = self.draw_layer(
                _pick_weighted(self.available_kinds(), rng), (target.shape[0], target.shape[1]), scale, rng
            )
            if layer.damaged.mean() > MAX_SHARE:
                continue
            layer.blend_over(damaged, rng, self.recipe)
            np.maximum(target, np.where(layer.edge, np.uint8(Label.ignore), np.uint8(Label.background)), out=target)
            target[layer.damaged] = Label.damage
            kinds.append(layer.kind)
        return kinds

    def draw_layer(self, kind: str, canvas: Canvas, scale: float, rng: np.random.Generator) -> Layer:
        """Draw one layer of a kind of :data:`redust.synthesis.recipe.KINDS` for which there is material."""
        if kind == "outlines":
            outlines = self.outlines[int(rng.integers(len(self.outlines)))]
            coverage, damaged = outlines.draw_coverage(canvas, scale, rng)
            coverage = self._defocus(coverage, scale, rng)
            return Layer(kind, coverage, damaged, coverage >= EDGE)
        if kind == "folds" and self.folds is not None:
            return Layer.from_ratio(kind, self.folds.draw_log_ratio(canvas, scale, rng))
        if kind == "transplants" and self.transplants is not None:
            return Layer.from_ratio(kind, *self.transplants.paste_spots(canvas, scale, rng))
        if kind == "overlays" and self.overlays is not None:
            kind, coverage = self.overlays.draw_coverage(canvas, scale, rng)
        elif kind == "cracks" and self.cracks is not None:
            kind, coverage = "crack", self.cracks.draw_coverage(canvas, scale, rng)
        else:
            coverage = SHAPES[kind](canvas, scale, rng)
        if self.recipe.rim:
            coverage = blur_coverage(coverage, rng.uniform(0, self.recipe.rim))
        return Layer.from_coverage(kind, self._defocus(coverage, scale, rng))

    def _blur_damage(self, damaged: Light, clean: Light, rng: np.random.Generator) -> Light:
        """Blur the difference that damage makes, not the picture: (H, W, 3)."""
        if not self.recipe.optics:
            return damaged
        blurred: Light = np.clip(clean + blur_coverage(damaged - clean, rng.uniform(0, self.recipe.optics)), 0, 1)
        return blurred

    def _defocus(self, coverage: Coverage, scale: float, rng: np.random.Generator) -> Coverage:
        if not self.recipe.defocus or rng.random() >= self.recipe.defocus:
            return coverage
        return blur_coverage(coverage, scale * rng.uniform(1.0, 3.0))

    def material(self) -> Iterator[bytes]:
        """Bytes that identify the material."""
        for kind, paths in (self.overlays.paths if self.overlays else {}).items():
            yield repr([kind, [(path.as_posix(), path.stat().st_size) for path in paths]]).encode()
        arrays: list[NDArray[Any]] = [points for outlines in self.outlines for points in outlines.points]
        arrays += [self.cracks.masks] if self.cracks else []
        arrays += self.folds.log_ratios if self.folds else ()
        arrays += [spot.log_ratio for spot in self.transplants.spots] if self.transplants else []
        for array in arrays:
            yield repr((array.shape, array.dtype.str)).encode() + array.tobytes()

    def has_material(self, kind: str) -> bool:
        """Whether a kind can be drawn: procedural kinds always, the others if their material was given."""
        return kind not in MATERIAL or bool(getattr(self, kind))

    def available_kinds(self) -> dict[str, float]:
        """The weights of the kinds that can be drawn."""
        return {kind: weight for kind, weight in self.recipe.kinds.items() if self.has_material(kind)}


def _pick_weighted(weights: dict[str, float], rng: np.random.Generator) -> str:
    """A random key, with a probability proportional to its weight."""
    share = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=share / share.sum()))


def _dilate_damage(target: Truth, margin: int) -> None:
    """Dilate what is labelled damage by `margin` pixels, in place."""
    if margin:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
        target[cv2.dilate((target == Label.damage).astype(np.uint8), disc) > 0] = Label.damage


def _ignore_barely_visible(damaged: Light, clean: Light, target: Truth, recipe: Recipe) -> None:
    """Label spots as ignored that changed the picture too little to be visible, in place.

    A spot's mean change is compared with the fine detail under it and, if the recipe says so, with the texture around
    it: a spot no darker than the leaves beside it is invisible among them.
    """
    count, labels = cv2.connectedComponents((target == Label.damage).astype(np.uint8), connectivity=8)
    if count < 2:
        return
    change = np.abs(damaged - clean).max(axis=2)
    grey = clean.mean(axis=2)
    detail = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.5))
    flat = labels.ravel()
    area = np.bincount(flat, minlength=count)
    contrast = np.bincount(flat, change.ravel(), count) / area
    noise = np.bincount(flat, detail.ravel(), count) / area
    # The mean over n pixels has a standard error of noise / sqrt(n): a larger spot is visible through more noise.
    hidden = (contrast < recipe.barely / 255) | (contrast < 4.0 * noise / np.sqrt(np.maximum(area, 1)) + 1.2 * noise)
    if recipe.against_texture:
        hidden |= contrast < recipe.against_texture * np.bincount(flat, local_deviation(grey).ravel(), count) / area
    hidden[0] = False
    target[hidden[labels]] = Label.ignore


def local_deviation(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standard deviation (H, W) of light within 17 x 17 pixels."""
    mean, square = (cv2.blur(plane, (TEXTURE_SIDE, TEXTURE_SIDE)) for plane in (grey, grey * grey))
    deviation: NDArray[np.float32] = np.sqrt(np.maximum(square - mean * mean, 0))
    return deviation
