"""What a network never saw: disturbances and other damage, the same every time, at any depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drawing import draw
from redust.core.arrays import Pixels, full_scale
from redust.core.labels import Label, Truth
from redust.study.unseen import DISTURBANCES, OTHER_KINDS, DisturbedPictures, OtherDamage, measure_thesis_loss


class DrawnPictures:
    """Two drawn pictures of 96 x 128 with a damaged square each."""

    def __init__(self, **drawn: Any) -> None:
        self.pixels = [draw(96, 128, seed=seed, **drawn) for seed in range(2)]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]:
        truth = np.zeros((96, 128), np.uint8)
        truth[10:20, 10 + index : 20] = Label.damage
        return self.pixels[index], truth


@pytest.mark.parametrize("kind", DISTURBANCES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_disturbances_keep_depth_and_scale_and_repeat(kind: str, dtype: Any) -> None:
    pictures = DisturbedPictures(DrawnPictures(dtype=dtype), kind)
    assert len(pictures) == 2
    first, again = pictures[0][0], pictures[0][0]
    assert (first.dtype, first.shape) == (dtype, (96, 128, 3))
    np.testing.assert_array_equal(first, again)
    before = pictures.pictures[0][0]
    assert abs(first.mean() - before.mean()) < 0.02 * full_scale(first.dtype)


def test_pictures_are_disturbed_each_by_itself() -> None:
    pictures = DrawnPictures()
    pictures.pixels[1] = pictures.pixels[0]
    noisy = DisturbedPictures(pictures, "Gaussian noise, 5 %")
    assert (noisy[0][0] != noisy[1][0]).any()


def test_gaussian_noise_has_its_deviation() -> None:
    pictures = DrawnPictures(dtype=np.float32, specks=0)
    noisy = DisturbedPictures(pictures, "Gaussian noise, 5 %")[0][0]
    assert np.std(noisy - pictures[0][0]) == pytest.approx(0.05, rel=0.05)


def test_salt_and_pepper_change_one_pixel_in_a_hundred_to_black_or_white() -> None:
    pictures = DrawnPictures(specks=0)
    salted = DisturbedPictures(pictures, "salt and pepper, 1 %")[0][0]
    changed = (salted != pictures[0][0]).any(axis=2)
    assert 0.004 < changed.mean() < 0.02
    assert set(np.unique(salted[changed])) == {0, 255}


def test_a_grey_picture_is_disturbed_in_three_equal_or_noisy_channels() -> None:
    grey = DrawnPictures(channels=1)
    for kind in ("none", "blur, 1 pixel", "salt and pepper, 1 %"):
        pixels, _ = DisturbedPictures(grey, kind)[0]
        assert pixels.shape == (96, 128, 3)
        np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_other_damage_is_the_same_every_time_and_only_where_its_truth_says(kind: str) -> None:
    pictures = DrawnPictures(specks=0)
    pixels, truth = OtherDamage(pictures, kind)[0]
    repeated, repeated_truth = OtherDamage(pictures, kind)[0]
    np.testing.assert_array_equal(pixels, repeated)
    np.testing.assert_array_equal(truth, repeated_truth)
    before, earlier = pictures[0]
    assert pixels.dtype == before.dtype
    assert not (truth[earlier == Label.damage] == Label.background).any()  # what was damaged before is not scored
    assert set(np.unique(truth)) <= set(Label)


def test_the_thesis_loss_of_undamaged_rows_is_none() -> None:
    figures = measure_thesis_loss([np.zeros((5, 7), np.uint8)])
    assert figures["perfect_loss"] == figures["grey_loss"] == 0.0
    assert figures["perfect_row_accuracy"] == 1.0


@pytest.mark.parametrize("count", [1, 2, 10])
def test_the_perfect_answer_is_blamed_the_more_is_damaged(count: int) -> None:
    truth = np.zeros((4, 100), np.uint8)
    truth[:, :count] = Label.damage
    truth[:, count : 2 * count] = Label.ignore  # not damage to the thesis
    assert measure_thesis_loss([truth])["perfect_loss"] == pytest.approx(count * np.log(count), abs=1e-5)


def test_pictures_are_pooled_row_by_row() -> None:
    damaged = np.full((3, 10), Label.damage, np.uint8)
    clean = np.zeros((9, 10), np.uint8)
    pooled = measure_thesis_loss([damaged, clean])
    assert pooled["grey_loss"] == pytest.approx(measure_thesis_loss([damaged])["grey_loss"] / 4)
