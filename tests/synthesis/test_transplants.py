"""Real damage cut out and pasted: what was known to be there comes back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from redust.core.errors import ScanError
from redust.synthesis.appearance import GAMMA, multiply_light
from redust.synthesis.material import Folds
from redust.synthesis.recipe import Recipe
from redust.synthesis.synthesizer import Synthesizer
from redust.synthesis.transplants import Transplants, cut_spots

FACTOR = 0.3  # of linear light, under each speck


def specked(contrast: float = FACTOR, noise: float = 0.005) -> tuple[np.ndarray, np.ndarray]:
    """A grey gradient with twelve specks of one known transmittance; light (H, W, 1) and truth (H, W)."""
    rng = np.random.default_rng(0)
    light = np.linspace(0.4, 0.8, 160, dtype=np.float32)[None, :, None] * np.ones((120, 1, 1), np.float32)
    light += rng.normal(0, noise, light.shape).astype(np.float32)
    truth = np.zeros((120, 160), np.uint8)
    for row in (25, 60, 95):
        for column in (25, 60, 95, 130):
            truth[row : row + 5, column : column + 4] = 255
    light[truth == 255] *= contrast ** (1 / GAMMA)
    return np.clip(light, 0, 1), truth


def folder_of(path: Path) -> Path:
    light, truth = specked()
    cv2.imwrite(str(path / "plate.png"), np.rint(light[..., 0] * 255).astype(np.uint8))
    cv2.imwrite(str(path / "plate_mask.png"), truth)
    return path


def test_the_ratio_is_that_of_the_damage() -> None:
    spots = list(cut_spots(*specked(), limit=100))
    assert len(spots) == 12
    for spot in spots:
        assert spot.damaged.astype(bool).sum() == 20
        assert np.exp(spot.log_ratio[spot.damaged > 0].mean()) == pytest.approx(FACTOR, abs=0.06)
        # Nothing of the surroundings travels along.
        assert np.abs(spot.log_ratio[0]).max() == 0


def test_most_is_kept_to_and_noise_is_skipped() -> None:
    assert len(list(cut_spots(*specked(), limit=5))) == 5
    assert not list(cut_spots(*specked(contrast=0.97, noise=0.05), limit=100))


def test_spots_at_the_edge_are_left_out() -> None:
    light, truth = specked()
    truth[:] = 0
    truth[0:4, 50:54] = 255
    assert not list(cut_spots(light, truth, limit=10))


def test_pasted_with_an_honest_mask(tmp_path: Path) -> None:
    synthesizer = Synthesizer(
        Recipe(clean=0, negatives=0, kinds={"transplants": 1.0}),
        transplants=Transplants.from_folder(folder_of(tmp_path)),
    )
    ground = np.full((96, 96, 3), 0.5, np.float32)
    layer = synthesizer.draw_layer("transplants", (96, 96), 1.0, np.random.default_rng(4))
    damaged = ground.copy()
    layer.blend_over(damaged, np.random.default_rng(0), synthesizer.recipe)
    assert layer.damaged.any()
    assert np.abs(damaged - ground)[layer.damaged].mean() > 0.05
    np.testing.assert_array_equal(damaged[~layer.damaged & ~layer.edge].round(1), 0.5)
    assert synthesizer.draw(ground, 1).kinds == ("transplants",) * len(synthesizer.draw(ground, 1).kinds)


def test_folders_without_damage_or_with_other_sizes_are_refused(tmp_path: Path) -> None:
    folder_of(tmp_path)
    cv2.imwrite(str(tmp_path / "plate_mask.png"), np.zeros((120, 160), np.uint8))
    with pytest.raises(ScanError, match="No clear damage"):
        Transplants.from_folder(tmp_path)
    cv2.imwrite(str(tmp_path / "plate_mask.png"), np.zeros((12, 16), np.uint8))
    with pytest.raises(ScanError, match="Correct the mask"):
        Transplants.from_folder(tmp_path)


def test_folds_keep_creases_and_leave_shading_out(tmp_path: Path) -> None:
    paper = np.tile(np.linspace(200, 240, 120), (90, 1))  # slow shading
    paper[:, 58:62] *= 0.6  # a crease
    cv2.imwrite(str(tmp_path / "paper.png"), np.rint(paper).astype(np.uint8))
    layer = Folds.from_folder(tmp_path).log_ratios[0]
    assert layer[:, 59:61].max() < -0.5
    assert np.abs(layer[:, 20:40]).max() < 0.05
    drawn = Synthesizer(Recipe(kinds={"folds": 1.0}), folds=Folds.from_folder(tmp_path))
    masks = [drawn.draw_layer("folds", (96, 96), 1.0, np.random.default_rng(seed)).damaged for seed in range(6)]
    assert any(mask.any() for mask in masks)
    with pytest.raises(ScanError, match="folds"):
        Folds.from_folder(tmp_path / "nowhere")


def test_a_ratio_of_one_leaves_every_pixel_as_it_was() -> None:
    light = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    same = light.copy()
    multiply_light(same, np.zeros((8, 8), np.float32))
    np.testing.assert_array_equal(same, light)
