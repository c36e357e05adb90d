"""Synthesis: deterministic, honest masks, every kind draws something."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from redust.core.errors import ScanError
from redust.synthesis.material import Cracks, Outlines, Overlays
from redust.synthesis.negatives import NEGATIVES
from redust.synthesis.recipe import Recipe
from redust.synthesis.shapes import SHAPES
from redust.synthesis.synthesizer import Synthesizer

SIDE = 96


@pytest.fixture
def photo() -> np.ndarray:
    rows, columns = np.indices((SIDE, SIDE), dtype=np.float32) / SIDE
    return np.stack([rows, columns, 0.5 * (rows + columns)], axis=2)


def material(folder: Path) -> dict[str, object]:
    """One of each kind of material, made here."""
    (folder / "hair").mkdir()
    cv2.imwrite(str(folder / "hair" / "one.png"), np.eye(40, dtype=np.uint8) * 255)
    square = [[10, 10], [10, 22], [22, 22], [22, 10]]
    (folder / "frame.json").write_text(json.dumps({"artefacts": [{"class": "dust", "points": square}]}))
    np.savez(folder / "cracks.npz", masks=np.packbits(np.eye(224, dtype=np.uint8).reshape(1, -1), axis=1))
    return {
        "overlays": Overlays.from_folder(folder),
        "outlines": (Outlines.from_file(folder / "frame.json"),),
        "cracks": Cracks.from_file(folder / "cracks.npz"),
    }


@pytest.mark.parametrize("kind", sorted(SHAPES))
@pytest.mark.parametrize("scale", [0.25, 1.0])
def test_every_shape_is_a_coverage(kind: str, scale: float) -> None:
    drawn = [SHAPES[kind]((SIDE, SIDE + 8), scale, np.random.default_rng(seed)) for seed in range(6)]
    assert all(one.shape == (SIDE, SIDE + 8) and one.dtype == np.float32 for one in drawn)
    assert all(one.min() >= 0 and one.max() <= 1 for one in drawn)
    assert any(one.max() > 0.3 for one in drawn)


@pytest.mark.parametrize("kind", sorted(NEGATIVES))
def test_hard_negatives_change_the_scene_and_stay_in_range(kind: str, photo: np.ndarray) -> None:
    scene = photo.copy()
    NEGATIVES[kind](scene, np.random.default_rng(1))
    assert not np.array_equal(scene, photo)
    assert scene.min() >= -1e-6
    assert scene.max() <= 1 + 1e-6


def test_same_seed_same_pair_other_number_other_pair(photo: np.ndarray, tmp_path: Path) -> None:
    drawn = [Synthesizer(seed=5, **material_of(tmp_path)).draw(photo, number) for number in (1, 1, 2)]  # type: ignore[arg-type]
    np.testing.assert_array_equal(drawn[0].damaged, drawn[1].damaged)
    np.testing.assert_array_equal(drawn[0].target, drawn[1].target)
    assert not np.array_equal(drawn[0].damaged, drawn[2].damaged)


def material_of(folder: Path) -> dict[str, object]:
    """The material in a folder, made once."""
    return material(folder) if not (folder / "hair").exists() else {
        "overlays": Overlays.from_folder(folder),
        "outlines": (Outlines.from_file(folder / "frame.json"),),
        "cracks": Cracks.from_file(folder / "cracks.npz"),
    }  # fmt: skip


def test_the_photo_is_not_written_to(photo: np.ndarray) -> None:
    before = photo.copy()
    for number in range(8):
        Synthesizer().draw(photo, number)
    np.testing.assert_array_equal(photo, before)


def test_masks_are_honest(photo: np.ndarray, tmp_path: Path) -> None:
    """Sound pixels of the target are those the damage left alone; damaged ones are visibly changed."""
    synthesizer = Synthesizer(Recipe(clean=0.0, negatives=0.0), seed=3, **material(tmp_path))  # type: ignore[arg-type]
    changed, unchanged, shares = [], [], []
    for number in range(30):
        pair = synthesizer.draw(photo, number)
        change = np.abs(pair.damaged - pair.clean).max(axis=2)
        far = cv2.dilate((pair.target > 0).astype(np.uint8), np.ones((19, 19))) == 0
        changed.extend(change[pair.target == 255])
        unchanged.extend(change[far])
        shares.append((pair.target == 255).mean())
    assert np.median(changed) > 10 * max(np.median(unchanged), 1e-3)
    assert 0.001 < np.mean(shares) < 0.3


def test_clean_share_one_draws_nothing(photo: np.ndarray) -> None:
    pair = Synthesizer(Recipe(clean=1.0)).draw(photo, 4)
    assert pair.kinds == ()
    assert not pair.target.any()
    np.testing.assert_array_equal(pair.damaged, pair.clean)


def test_known_damage_is_kept(photo: np.ndarray) -> None:
    known = np.zeros((SIDE, SIDE), np.uint8)
    known[3:6, 3:6], known[50:60, 50:60] = 255, 128
    target = Synthesizer(Recipe(clean=1.0)).draw(photo, 4, known).target
    np.testing.assert_array_equal(target, known)


def test_unusable_material_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="overlay"):
        Overlays.from_folder(tmp_path)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ScanError, match="outlines"):
        Outlines.from_file(tmp_path / "bad.json")


def test_spots_lost_in_texture_are_not_judged_if_the_recipe_says_so() -> None:
    squares = np.kron(np.indices((12, 12)).sum(0) % 2, np.ones((8, 8))).astype(np.float32)
    busy = np.repeat((0.3 + 0.4 * squares)[..., None], 3, axis=2)  # a standard deviation of 0.2
    plain = {"clean": 0.0, "negatives": 0.0, "grain": 0.0, "kinds": {"dirt": 1.0}, "opacity_high": 0.4, "faint": 0.0}
    judged = [
        np.count_nonzero(Synthesizer(Recipe(against_texture=times, **plain)).draw(ground, number).target == 255)
        for ground in (busy, np.full_like(busy, 0.5))
        for times in (0.0, 3.0)
        for number in range(4)
    ]
    on_busy, on_busy_excused, on_even, on_even_excused = np.reshape(judged, (4, 4)).sum(axis=1)
    assert on_busy > 0
    assert on_busy_excused == 0
    assert on_even_excused == on_even > 0


def test_optics_soften_the_damage_and_not_the_scene() -> None:
    plain = {"clean": 0.0, "negatives": 0.0, "grain": 0.0, "blur": 0.0, "halftone": 0.0, "fading": 0.0, "negative": 0.0,
             "soft_scan": 0.0, "sharpened": 0.0, "noise": 0.0, "jpeg": 0.0, "faint": 0.0, "opacity_low": 0.9,
             "kinds": {"hair": 1.0}}  # fmt: skip
    ground = np.full((96, 96, 3), 0.5, np.float32)
    for number in range(4):
        sharp, soft = (Synthesizer(Recipe(optics=sigma, **plain)).draw(ground, number) for sigma in (0.0, 1.5))
        np.testing.assert_array_equal(sharp.clean, soft.clean)
        np.testing.assert_array_equal(sharp.target == 255, soft.target == 255)
        change, softened = (one.damaged - one.clean for one in (sharp, soft))
        assert np.abs(np.diff(softened, axis=1)).max() < np.abs(np.diff(change, axis=1)).max()
        assert softened.sum() == pytest.approx(change.sum(), rel=0.1)
