"""A contact sheet: every kind of damage, hard negative and film or scanner effect, drawn by the code of the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light
from redust.core.errors import SettingsError
from redust.files import whole_file
from redust.synthesis.film_simulation import simulate_film
from redust.synthesis.negatives import NEGATIVES
from redust.synthesis.painting import blur_coverage
from redust.synthesis.recipe import KINDS, Recipe
from redust.synthesis.scanner_simulation import simulate_scanner
from redust.synthesis.synthesizer import Synthesizer

Picture = NDArray[np.uint8]

_CELL, _LABEL, _GAP = 132, 18, 3
_ACROSS = 6  # cells of one strip
_STRIPS = 2  # side by side
_SCALES = (0.4, 1.0)
_ATTEMPTS = 12  # a shape may lie outside a cell

# Shares of a recipe that show one film or scanner effect each.
_EFFECTS = ("black_and_white", "sepia", "cast", "fading", "negative", "blur", "halftone", "grain",
            "soft_scan", "sharpened", "noise", "jpeg")  # fmt: skip


def draw_sheet(synthesizer: Synthesizer, photos: Sequence[Light] = ()) -> Picture:
    """Draw every kind, on photos or, without any, on synthetic landscapes.

    Parameters
    ----------
    synthesizer
        Supplies material, recipe and seed; kinds without material are left out.
    photos : (H, W, 3) float32 in 0..1
        Backgrounds; crops of 132 x 132 pixels are used.

    Returns
    -------
    sheet : (H, W, 3) uint8
        Strips of six cells. Damage: bright, dark and mask, at a low and at a high resolution. Hard negatives:
        six examples. Film and scanner: one cell per share of the recipe, its right half changed.
    """
    backgrounds = [_crop_photo(photo, number) for number, photo in enumerate(photos)]
    backgrounds = backgrounds or [_draw_landscape(seed) for seed in range(6)]
    strips = [_label_strip(kind, _damage_cells(synthesizer, kind, backgrounds)) for kind in drawable_kinds(synthesizer)]
    strips += [
        _label_strip(f"not damage: {name}", _negative_cells(name, synthesizer.seed, backgrounds)) for name in NEGATIVES
    ]
    changed = [_effect_cell(name, number, backgrounds) for number, name in enumerate(_EFFECTS)]
    for first in range(0, len(_EFFECTS), _ACROSS):
        names = ", ".join(_EFFECTS[first : first + _ACROSS]).replace("_", " ")
        strips.append(_label_strip(f"film and scanner: {names}", changed[first : first + _ACROSS]))
    strips += [np.full_like(strips[0], 255)] * (-len(strips) % _STRIPS)
    rows = [np.hstack(strips[first : first + _STRIPS]) for first in range(0, len(strips), _STRIPS)]
    return np.vstack(rows)


def drawable_kinds(synthesizer: Synthesizer) -> list[str]:
    """The procedural kinds, and those for which there is material."""
    return [kind for kind in KINDS if synthesizer.has_material(kind)]


def write_sheet(sheet: Picture, path: Path, *, overwrite: bool = False) -> None:
    """Write a sheet as JPEG or PNG, by the suffix.

    Raises
    ------
    SettingsError
        If the suffix is neither.
    TargetError
        If the file is there already and `overwrite` is off, or it cannot be written.
    """
    options = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 70], ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 70], ".png": []}
    if path.suffix.lower() not in options:
        raise SettingsError(f"A contact sheet is a .jpg or a .png, not `{path.name}`. Choose another name.")
    packed = cv2.imencode(path.suffix.lower(), sheet[..., ::-1], options[path.suffix.lower()])[1]
    with whole_file(path, overwrite=overwrite) as file:
        file.write(packed.tobytes())


def _label_strip(label: str, cells: list[Picture]) -> Picture:
    """Six cells under a label."""
    row = np.hstack([np.pad(cell, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255) for cell in cells])
    head = np.full((_LABEL, row.shape[1], 3), 255, np.uint8)
    cv2.putText(head, label, (2, _LABEL - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([head, row])


def _damage_cells(synthesizer: Synthesizer, kind: str, backgrounds: list[Light]) -> list[Picture]:
    """Bright, dark and mask, at each scale."""
    cells = []
    order = KINDS.index(kind)
    for scale in _SCALES:
        pictures = {}
        for share in (1.0, 0.0):
            obvious = {"bright": share, "opacity_low": 0.75, "opacity_high": 1.0, "faint": 0.0, "relief": 0.0}
            recipe = synthesizer.recipe.model_copy(update=obvious)
            rng = np.random.default_rng([synthesizer.seed, order, int(10 * scale)])
            layer = next(
                (drawn for drawn in (synthesizer.draw_layer(kind, (_CELL, _CELL), scale, rng) for _ in range(_ATTEMPTS))
                 if 0.002 < drawn.damaged.mean() < 0.3),
                synthesizer.draw_layer(kind, (_CELL, _CELL), scale, rng),
            )  # fmt: skip
            picture = backgrounds[(order + int(2 * scale) + int(share)) % len(backgrounds)].copy()
            layer.blend_over(picture, rng, recipe)
            pictures[share] = _to_bytes(simulate_scanner(picture, rng, _plain_recipe(soft_scan=0.5, noise=1.0)))
        mask = np.where(layer.damaged, 255, np.where(layer.edge, 128, 0)).astype(np.uint8)
        cells += [pictures[1.0], pictures[0.0], np.repeat(mask[..., None], 3, axis=2)]
    return cells


def _negative_cells(name: str, seed: int, backgrounds: list[Light]) -> list[Picture]:
    cells = []
    for number in range(_ACROSS):
        picture = backgrounds[(number + len(name)) % len(backgrounds)].copy()
        NEGATIVES[name](picture, np.random.default_rng([seed, number, len(name)]))
        cells.append(_to_bytes(picture))
    return cells


def _effect_cell(name: str, number: int, backgrounds: list[Light]) -> Picture:
    """The left half unchanged, the right half changed by one effect."""
    before, rng = backgrounds[number % len(backgrounds)], np.random.default_rng(number)
    recipe = _plain_recipe(**{name: 1.0})
    after = _to_bytes(simulate_scanner(simulate_film(before.copy(), rng, recipe), rng, recipe))
    after[:, : _CELL // 2] = _to_bytes(before)[:, : _CELL // 2]
    return after


def _plain_recipe(**shares: float) -> Recipe:
    """A recipe without film and scanner effects but the given shares."""
    return Recipe(**{name: shares.get(name, 0.0) for name in _EFFECTS})  # type: ignore[arg-type]


def _crop_photo(photo: Light, number: int) -> Light:
    """A crop of a photo with little detail (third lowest of eight), on which damage is visible."""
    rng = np.random.default_rng(number)
    if min(photo.shape[:2]) < _CELL:
        photo = cv2.resize(photo, (max(_CELL, photo.shape[1]), max(_CELL, photo.shape[0]))).astype(np.float32)
    corners = [[int(rng.integers(side - _CELL + 1)) for side in photo.shape[:2]] for _ in range(8)]
    crops = [photo[row : row + _CELL, column : column + _CELL] for row, column in corners]
    spread = [float(crop.std()) for crop in crops]
    quiet: Light = crops[int(np.argsort(spread)[2])].copy()
    return quiet


def _draw_landscape(seed: int) -> Light:
    """A synthetic landscape: a sky, hills of several tones, and some texture."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((_CELL, _CELL), dtype=np.float32) / _CELL
    picture = np.stack([0.75 - 0.3 * rows, 0.8 - 0.2 * rows, 0.9 - 0.1 * rows], axis=2)
    for depth in range(3):
        ridge = 0.3 + 0.22 * depth + 0.08 * np.sin(columns * rng.uniform(3, 12) + rng.uniform(0, 6))
        tone = rng.uniform(0.15, 0.6) * np.array([rng.uniform(0.5, 1), rng.uniform(0.7, 1), rng.uniform(0.4, 0.9)])
        texture = 1 + 0.15 * blur_coverage(rng.standard_normal((_CELL, _CELL)).astype(np.float32), 1.2)
        picture = np.where((rows > ridge)[..., None], tone * texture[..., None], picture)
    landscape: Light = np.clip(picture, 0, 1).astype(np.float32)
    return landscape


def _to_bytes(light: Light) -> Picture:
    return np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)
