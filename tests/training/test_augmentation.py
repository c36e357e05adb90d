from __future__ import annotations

import numpy as np
import pytest
import torch

from redust.training.augmentation import (
    DIHEDRAL_COUNT,
    apply_dihedral,
    augment_light,
    choose_centre,
    choose_rotation,
    compress_jpeg,
    crop_patch,
    invert_dihedral,
    remove_colour,
)
from redust.training.config import Augmentation
from training_samples import picture

UPRIGHT = np.eye(2)


def test_an_upright_patch_is_a_copy() -> None:
    pixels, truth = picture(0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        centre = choose_centre(truth, 16, 0.5, rng)
        top, left = round(centre[0] - 7.5), round(centre[1] - 7.5)
        patch, target = crop_patch(pixels, truth, centre, UPRIGHT, 16)
        np.testing.assert_array_equal(patch, pixels[top : top + 16, left : left + 16])
        np.testing.assert_array_equal(target, truth[top : top + 16, left : left + 16])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_quarter_turns_and_flips_are_exact_at_every_depth(dtype: type) -> None:
    pixels, truth = picture(1)
    pixels = pixels.astype(dtype)
    rng = np.random.default_rng(0)
    square, mask = pixels[:32, :32], truth[:32, :32]
    wanted = [np.rot90(one, turns) for one in (square, square[:, ::-1]) for turns in range(4)]
    seen = set()
    for _ in range(60):
        patch, target = crop_patch(square, mask, (15.5, 15.5), choose_rotation((), rng), 32)
        (which,) = [index for index, one in enumerate(wanted) if np.array_equal(one, patch)]
        np.testing.assert_array_equal(target == 255, (patch == 250).all(axis=2))
        seen.add(which)
    assert seen == set(range(8))


def test_picture_and_mask_turn_together() -> None:
    truth = np.zeros((64, 64), np.uint8)
    truth[20:24, 10:50] = 255
    pixels = np.repeat(truth[..., None], 3, axis=2)
    rng = np.random.default_rng(3)
    for _ in range(10):
        patch, target = crop_patch(pixels, truth, (31.5, 31.5), choose_rotation((10.0, 15.0, 20.0), rng), 48)
        agree = (patch[..., 0] >= 128) == (target == 255)
        assert agree.mean() > 0.98  # linear against nearest differs on the rim alone
        assert target.any()


def test_small_pictures_are_lengthened_as_tiles_are() -> None:
    pixels, truth = picture(2)
    centre = choose_centre(truth, 64, 0.0, np.random.default_rng(0))
    patch, target = crop_patch(pixels, truth, centre, UPRIGHT, 64)
    assert patch.shape == (64, 64, 3)
    # It begins with the picture, as a tile does: a network learns by heart what it will see.
    np.testing.assert_array_equal(patch[:40, :48], pixels)
    np.testing.assert_array_equal(patch[40, :48], pixels[39])
    np.testing.assert_array_equal(target[:40, 48], truth[:, 47])
    rng = np.random.default_rng(0)
    begins = {choose_centre(truth, 64, 0.0, rng, shift=True)[0] - 31.5 for _ in range(200)}
    assert begins == set(range(-24, 1))


def test_focus_lays_patches_on_damage() -> None:
    truth = np.zeros((400, 400), np.uint8)
    truth[300, 100] = 255
    rng = np.random.default_rng(0)
    for _ in range(20):
        row, column = choose_centre(truth, 32, 1.0, rng)
        assert abs(row - 300) <= 16
        assert abs(column - 100) <= 16
    clean = np.zeros((40, 40), np.uint8)
    assert choose_centre(clean, 32, 1.0, rng)[0] >= 15.5


def test_light_varies_within_bounds_and_leaves_its_input_alone() -> None:
    light = np.linspace(0, 1, 32 * 32 * 3, dtype=np.float32).reshape(32, 32, 3)
    before = light.copy()
    rng = np.random.default_rng(0)
    varied = [augment_light(light, Augmentation.full, 0.0, rng) for _ in range(30)]
    np.testing.assert_array_equal(light, before)
    assert all(one.dtype == np.float32 and one.min() >= 0 and one.max() <= 1 for one in varied)
    assert len({one.tobytes() for one in varied}) == 30
    for still in (Augmentation.none, Augmentation.flips):
        np.testing.assert_allclose(augment_light(light, still, 0.0, rng), light, atol=1e-6)
    toned = augment_light(light, Augmentation.tone, 0.0, rng)
    assert np.abs(np.diff(toned, axis=0) - np.diff(light, axis=0)).max() < 0.05  # neither noise nor blur


def test_jpeg_keeps_the_channels_in_order() -> None:
    light = np.zeros((16, 16, 3), np.float32)
    light[..., 0] = 1.0
    np.testing.assert_allclose(compress_jpeg(light, 95), light, atol=0.05)


def test_patches_lose_their_colours_as_often_as_asked() -> None:
    rng = np.random.default_rng(1)
    light = rng.random((12, 12, 3)).astype(np.float32)
    varied = [augment_light(light, Augmentation.flips, 0.5, rng) for _ in range(200)]
    grey = sum(bool((np.ptp(one, axis=2) < 1e-6).all()) for one in varied)
    assert 70 < grey < 130
    assert all(np.allclose(one, light, atol=1e-6) for one in varied if np.ptp(one, axis=2).max() > 1e-6)


def test_black_and_white_is_luma_or_one_channel() -> None:
    rng = np.random.default_rng(2)
    light = rng.random((5, 6, 3)).astype(np.float32)
    kinds = [light @ np.float32([0.299, 0.587, 0.114]), *np.moveaxis(light, 2, 0)]
    seen = []
    for _ in range(60):
        grey = remove_colour(light, rng)
        assert grey.shape == light.shape
        (kind,) = [n for n, one in enumerate(kinds) if np.allclose(grey, one[..., None], atol=1e-6)]
        seen.append(kind)
    assert 15 < seen.count(0) < 45
    assert set(seen) == {0, 1, 2, 3}


def test_each_of_the_eight_transforms_has_its_inverse() -> None:
    planes = torch.arange(32.0).reshape(2, 4, 4)
    views = [apply_dihedral(planes, index) for index in range(DIHEDRAL_COUNT)]
    assert len({tuple(view.ravel().tolist()) for view in views}) == 8
    assert all(torch.equal(invert_dihedral(view, index), planes) for index, view in enumerate(views))
