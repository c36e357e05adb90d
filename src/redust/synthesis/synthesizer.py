"""Damaged pictures and their true masks, deterministic by seed."""

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
from redust.core.labels import Label
from redust.synthesis.appearance import RAISED, lay_over, multiply_by, random_look, relief
from redust.synthesis.ground import after_damage, before_damage
from redust.synthesis.material import Cracks, Folds, Outlines, Overlays
from redust.synthesis.negatives import NEGATIVES, NIGHT
from redust.synthesis.recipe import Recipe
from redust.synthesis.shapes import SHAPES, Canvas, Coverage, soften
from redust.synthesis.transplants import Transplants

VISIBLE, RIM = 0.28, 0.08  # coverage from which a pixel is damaged, and from which it is at least a rim
_CHANGED = (0.35, 0.10)  # the same for a change of linear light, as a natural logarithm

AROUND = 17  # pixels across within which light counts as texture: several times as wide as a hair
TOO_MUCH = 0.3  # a layer that hides more teaches nothing about its surroundings


@dataclass(frozen=True)
class Pair:
    """A drawn picture.

    Parameters
    ----------
    damaged, clean : (H, W, 3) float32 in 0..1
    target : (H, W) uint8
        255 damage, 128 not to be judged, 0 sound.
    kinds
        What was drawn.
    """

    damaged: Light
    clean: Light
    target: NDArray[np.uint8]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """One layer of damage.

    Parameters
    ----------
    kind
        What it is, for its look.
    coverage : (H, W) float32 in 0..1
        How much of the light it hides; all 0 where `log_ratio` is given.
    marked, rim : (H, W) bool
        What counts as damaged, and what is not to be judged besides.
    log_ratio : (H, W) or (H, W, 3) float32, optional
        For damage whose effect on light is known: logarithm of the factor on linear light.
    """

    kind: str
    coverage: Coverage
    marked: NDArray[np.bool_]
    rim: NDArray[np.bool_]
    log_ratio: NDArray[np.float32] | None = None

    @classmethod
    def of_coverage(cls, kind: str, coverage: Coverage) -> Layer:
        """A layer whose mask follows from its coverage."""
        return cls(kind, coverage, coverage >= VISIBLE, coverage >= RIM)

    @classmethod
    def of_ratio(cls, kind: str, log_ratio: NDArray[np.float32], marked: NDArray[np.bool_] | None = None) -> Layer:
        """A layer that changes light by a known factor; `marked` follows from it unless given."""
        change = np.abs(log_ratio) if log_ratio.ndim == 2 else np.abs(log_ratio).max(axis=2)
        marked = change >= _CHANGED[0] if marked is None else marked
        return cls(kind, np.zeros_like(change), marked, change >= _CHANGED[1], log_ratio)

    def lay_over(self, encoded: Light, rng: np.random.Generator, recipe: Recipe) -> None:
        """Change a picture as this layer does, in place."""
        if self.log_ratio is None and self.kind in RAISED and rng.random() < recipe.relief:
            multiply_by(encoded, relief(self.coverage, rng))
        elif self.log_ratio is None:
            lay_over(encoded, self.coverage, random_look(rng, self.kind, recipe))
        else:
            multiply_by(encoded, self.log_ratio)


@dataclass(frozen=True)
class Synthesizer:
    """Draws damage over sound photographs.

    Parameters
    ----------
    recipe
        What is drawn, how often.
    overlays, outlines, cracks, folds, transplants
        Material besides the procedural shapes; what is absent is not drawn.
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
        if self.recipe.clean < 1 and not sum(self._available().values()) > 0:
            raise SettingsError(
                "The recipe draws only kinds for which there is no material. Give the material (--overlays, "
                "--outlines, --cracks, --folds, --transplant), or give a kind such as `dust` a weight."
            )

    def draw(self, photo: Light, number: int, known: NDArray[np.uint8] | None = None) -> Pair:
        """Damage one photo.

        Parameters
        ----------
        photo : (H, W, 3) float32 in 0..1
            Undamaged.
        number
            Which pair this is; with the seed it decides everything random.
        known : (H, W) uint8, optional
            Target of damage the photo has already (a real scan with its mask): more is drawn on top.
        """
        rng = np.random.default_rng([self.seed, number])
        ground = photo.copy()
        drawn: list[str] = []
        recipe = self.recipe
        if known is None and rng.random() < recipe.negatives:
            name = _pick(recipe.hard, rng)
            NEGATIVES[name](ground, rng)
            if name in NIGHT:  # without colour, or inverted, a starry sky is not to be told from a dusty plate
                recipe = recipe.model_copy(update={"negative": 0.0, "black_and_white": 0.0, "sepia": 0.0})
        ground = before_damage(ground, rng, recipe)
        damaged, target = ground.copy(), np.zeros(ground.shape[:2], np.uint8)
        if rng.random() >= self.recipe.clean:
            drawn = self._damage(damaged, target, rng)
            damaged = self._through_optics(damaged, ground, rng)
        _excuse_barely_visible(damaged, ground, target, self.recipe)
        _widen(target, self.recipe.margin)
        if known is not None:
            np.maximum(target, known, out=target)
        # One generator state for both: the clean picture gets the same noise as the damaged one.
        state = rng.integers(2**63)
        clean = after_damage(ground, np.random.default_rng(state), self.recipe)
        damaged = after_damage(damaged, np.random.default_rng(state), self.recipe)
        return Pair(damaged, clean, target, tuple(drawn))

    def _damage(self, damaged: Light, target: NDArray[np.uint8], rng: np.random.Generator) -> list[str]:
        """Lay layers of damage over a picture and mark them, both in place; returns the kinds."""
        low, high = np.log(self.recipe.scale_low), np.log(self.recipe.scale_high)
        scale = float(np.exp(rng.uniform(low, high)))
        kinds = []
        for _ in range(int(rng.integers(1, self.recipe.layers + 1))):
            layer = self.layer(_pick(self._available(), rng), (target.shape[0], target.shape[1]), scale, rng)
            if layer.marked.mean() > TOO_MUCH:
                continue
            layer.lay_over(damaged, rng, self.recipe)
            np.maximum(target, np.where(layer.rim, np.uint8(Label.ignore), np.uint8(Label.background)), out=target)
            target[layer.marked] = Label.damage
            kinds.append(layer.kind)
        return kinds

    def layer(self, kind: str, canvas: Canvas, scale: float, rng: np.random.Generator) -> Layer:
        """Draw one layer of a kind of :data:`redust.synthesis.recipe.KINDS` (there must be material)."""
        if kind == "outlines":
            outlines = self.outlines[int(rng.integers(len(self.outlines)))]
            coverage, marked = outlines.coverage(canvas, scale, rng)
            coverage = self._out_of_focus(coverage, scale, rng)
            return Layer(kind, coverage, marked, coverage >= RIM)
        if kind == "folds" and self.folds is not None:
            return Layer.of_ratio(kind, self.folds.log_ratio(canvas, scale, rng))
        if kind == "transplants" and self.transplants is not None:
            return Layer.of_ratio(kind, *self.transplants.layer(canvas, scale, rng))
        if kind == "overlays" and self.overlays is not None:
            kind, coverage = self.overlays.coverage(canvas, scale, rng)
        elif kind == "cracks" and self.cracks is not None:
            kind, coverage = "crack", self.cracks.coverage(canvas, scale, rng)
        else:
            coverage = SHAPES[kind](canvas, scale, rng)
        if self.recipe.rim:
            coverage = soften(coverage, rng.uniform(0, self.recipe.rim))
        return Layer.of_coverage(kind, self._out_of_focus(coverage, scale, rng))

    def _through_optics(self, damaged: Light, ground: Light, rng: np.random.Generator) -> Light:
        """The damage, not the ground, a little softer: (H, W, 3)."""
        if not self.recipe.optics:
            return damaged
        seen: Light = np.clip(ground + soften(damaged - ground, rng.uniform(0, self.recipe.optics)), 0, 1)
        return seen

    def _out_of_focus(self, coverage: Coverage, scale: float, rng: np.random.Generator) -> Coverage:
        if not self.recipe.defocus or rng.random() >= self.recipe.defocus:
            return coverage
        return soften(coverage, scale * rng.uniform(1.0, 3.0))

    def material(self) -> Iterator[bytes]:
        """Bytes that differ when the material does."""
        for kind, paths in (self.overlays.paths if self.overlays else {}).items():
            yield repr([kind, [(path.as_posix(), path.stat().st_size) for path in paths]]).encode()
        arrays: list[NDArray[Any]] = [points for outlines in self.outlines for points in outlines.points]
        arrays += [self.cracks.masks] if self.cracks else []
        arrays += self.folds.log_ratios if self.folds else ()
        arrays += [spot.log_ratio for spot in self.transplants.spots] if self.transplants else []
        for array in arrays:
            yield repr((array.shape, array.dtype.str)).encode() + array.tobytes()

    def _available(self) -> dict[str, float]:
        """The weights of the kinds for which there is material."""
        present = {
            "outlines": bool(self.outlines),
            "overlays": self.overlays is not None,
            "cracks": self.cracks is not None,
            "folds": self.folds is not None,
            "transplants": self.transplants is not None,
        }
        return {kind: weight for kind, weight in self.recipe.kinds.items() if present.get(kind, True)}


def _pick(weights: dict[str, float], rng: np.random.Generator) -> str:
    """A key, as often as its weight says."""
    share = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=share / share.sum()))


def _widen(target: NDArray[np.uint8], margin: int) -> None:
    """Let what is damaged reach `margin` pixels farther, in place."""
    if margin:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
        target[cv2.dilate((target == Label.damage).astype(np.uint8), disc) > 0] = Label.damage


def _excuse_barely_visible(damaged: Light, ground: Light, target: NDArray[np.uint8], recipe: Recipe) -> None:
    """Mark spots that changed the picture too little to be seen as not judged, in place.

    What counts is the spot's mean change against the busyness of the ground under it, and, if the recipe says so,
    against the texture of what is around: a spot no darker than the leaves beside it is lost among them.
    """
    marked = (target == Label.damage).astype(np.uint8)
    count, labels = cv2.connectedComponents(marked, connectivity=8)
    if count < 2:
        return
    change = np.abs(damaged - ground).max(axis=2)
    grey = ground.mean(axis=2)
    busy = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.5))
    flat = labels.ravel()
    area = np.bincount(flat, minlength=count)
    seen = np.bincount(flat, change.ravel(), count) / area
    noise = np.bincount(flat, busy.ravel(), count) / area
    # A larger spot is seen through more noise: the mean of n pixels is sure to noise / sqrt(n).
    hidden = (seen < recipe.barely / 255) | (seen < 4.0 * noise / np.sqrt(np.maximum(area, 1)) + 1.2 * noise)
    if recipe.against_texture:
        hidden |= seen < recipe.against_texture * np.bincount(flat, texture(grey).ravel(), count) / area
    hidden[0] = False
    target[hidden[labels]] = Label.ignore


def texture(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standard deviation (H, W) of light within 17 x 17 pixels."""
    mean, square = (cv2.blur(one, (AROUND, AROUND)) for one in (grey, grey * grey))
    spread: NDArray[np.float32] = np.sqrt(np.maximum(square - mean * mean, 0))
    return spread
