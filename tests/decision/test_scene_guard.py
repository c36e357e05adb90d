"""The scene guard: rows of letters and pairs of pupils are left alone, dust and hairs are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from redust.core.arrays import Mask, Pixels
from redust.decision.filters import filter_components
from redust.decision.scene_guard import SceneResult, apply_scene_guard

SHAPE = (400, 600)
GROUND, INK = 190, 40


def draw_text(text: str, *, turned: bool = False) -> Mask:
    canvas = np.zeros(SHAPE[::-1] if turned else SHAPE, np.uint8)
    cv2.putText(canvas, text, (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 1, 2)
    return np.ascontiguousarray(np.rot90(canvas) if turned else canvas).view(np.bool_)


def scan_of(mask: Mask, ink: int = INK) -> Pixels:
    pixels = np.random.default_rng(0).normal(GROUND, 3, (*mask.shape, 3))
    pixels[mask] = ink
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("turned", [False, True])
def test_a_row_of_letters_is_left_alone(turned: bool) -> None:
    mask = draw_text("Photographic film", turned=turned)
    left, result = apply_scene_guard(mask, scan_of(mask))
    assert result.letters >= 13
    assert left.sum() < 0.15 * mask.sum()
    assert "lettering" in result.warnings()[0]
    assert "--no-guard" in result.warnings()[0]


def test_a_few_letters_may_as_well_be_hairs() -> None:
    mask = draw_text("film")
    left, result = apply_scene_guard(mask, scan_of(mask))
    assert left is mask
    assert result == SceneResult()
    assert result.warnings() == []


def test_dust_and_hairs_are_no_letters() -> None:
    rng = np.random.default_rng(7)
    canvas = np.zeros((1200, 1800), np.uint8)
    for row, column in rng.integers(30, 1170, (250, 2)).tolist():
        cv2.circle(canvas, (column, row), int(rng.integers(1, 6)), 1, -1)
    for row, column in rng.integers(40, 1100, (60, 2)).tolist():
        turn, reach = rng.uniform(0, np.pi), rng.integers(8, 60)
        end = round(column + reach * np.cos(turn)), round(row + reach * np.sin(turn))
        cv2.line(canvas, (column, row), end, 1, 2)
    mask = canvas.view(np.bool_)
    left, _ = apply_scene_guard(mask, scan_of(mask))
    assert left.sum() > 0.98 * mask.sum()


def draw_spots(*spots: tuple[int, int, int]) -> Mask:
    canvas = np.zeros(SHAPE, np.uint8)
    for column, row, radius in spots:
        cv2.circle(canvas, (column, row), radius, 1, -1)
    return canvas.view(np.bool_)


def test_two_round_dark_spots_side_by_side_are_pupils() -> None:
    mask = draw_spots((200, 150, 6), (270, 154, 6))
    left, result = apply_scene_guard(mask, scan_of(mask))
    assert result == SceneResult(pupils=2)
    assert not left.any()
    assert "pupils" in result.warnings()[0]


@pytest.mark.parametrize(
    ("spots", "ink"),
    [
        (((200, 150, 6), (270, 154, 6), (330, 200, 6)), INK),  # a third one
        (((200, 150, 6), (270, 154, 6)), 250),  # bright
        (((200, 150, 6), (270, 154, 3)), INK),  # of another size
        (((200, 100, 6), (230, 190, 6)), INK),  # one above the other
    ],
)
def test_other_spots_are_no_pupils(spots: tuple[tuple[int, int, int], ...], ink: int) -> None:
    mask = draw_spots(*spots)
    assert apply_scene_guard(mask, scan_of(mask, ink))[1].pupils == 0


def test_the_guard_can_be_left_out() -> None:
    mask = draw_text("Photographic film")
    pixels = scan_of(mask)
    assert filter_components(mask, pixels=pixels).mask.sum() == mask.sum()
    guarded = filter_components(mask, pixels=pixels, scene_guard=True)
    assert guarded.ungrown.sum() < 0.15 * mask.sum()
    assert guarded.warnings(1.0) == guarded.scene.warnings() != []
    with pytest.raises(ValueError, match="pixels"):
        filter_components(mask, scene_guard=True)
