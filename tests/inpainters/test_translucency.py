"""What still shines through damage comes back; what does not is filled as ever."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels, from_light
from redust.inpainters import make_inpainter
from redust.inpainters.fill_damage import fill_damage
from redust.inpainters.translucency import is_measurable

SIDE = 160
DEPTHS = ("uint8", "uint16", "float32")


def ground(seed: int = 0, channels: int = 3) -> NDArray[np.float32]:
    """Light as in scenes, large shapes with finer and finer detail, (160, 160, C): a fill knows the large ones."""
    noise = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    layers = [cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (24, 12, 2, 1)]
    light = 0.6 + 0.05 * sum(layer / layer.std() for layer in layers)
    tint = np.linspace(1.0, 0.7, channels)
    return np.clip(light[..., None] * tint, 0, 1).astype(np.float32)


def stroke() -> NDArray[np.float32]:
    """The coverage of a wide soft stroke across the picture, (160, 160) in 0..1."""
    drawn = np.zeros((SIDE, SIDE), np.float32)
    cv2.line(drawn, (20, 60), (140, 100), 1.0, 18)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), 1.0))


def damaged(light: NDArray[np.float32], opacity: float, veil: float = 0.05) -> NDArray[np.float32]:
    """The ground under a stroke that lets 1 - opacity of it through."""
    cover = opacity * stroke()[..., None]
    return np.asarray(light * (1 - cover) + veil * cover, np.float32)


def mask() -> Mask:
    """The stroke and its rim."""
    return np.asarray(cv2.dilate((stroke() > 0.05).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)


def off(pixels: Pixels, light: NDArray[np.float32]) -> float:
    """How far what was filled is from what was there, root mean square of light."""
    scale = 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
    return float(np.sqrt(np.square(pixels[mask()] / scale - light[mask()]).mean()))


def filled(light: NDArray[np.float32], depth: str = "uint8", fill: str = "kriging", **options: object) -> Pixels:
    pixels = from_light(light, np.dtype(depth))
    return fill_damage(make_inpainter(fill), pixels, mask(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_shines_through_comes_back(depth: str, channels: int) -> None:
    light = ground(channels=channels)
    seen = damaged(light, 0.5)
    assert off(filled(seen, depth, recover=True), light) < 0.85 * off(filled(seen, depth), light)


@pytest.mark.parametrize("fill", ["kriging", "telea", "fsr"])
def test_it_does_so_behind_any_fill(fill: str) -> None:
    light = ground(1)
    seen = damaged(light, 0.5)
    assert off(filled(seen, fill=fill, recover=True), light) < 0.92 * off(filled(seen, fill=fill), light)


def test_the_fainter_the_damage_the_more_comes_back() -> None:
    light = ground(1)
    errors = [off(filled(damaged(light, opacity), recover=True), light) for opacity in (0.5, 0.7, 0.9)]
    assert errors == sorted(errors)


@pytest.mark.parametrize("texture", [0.0, 0.03])
def test_opaque_damage_is_filled_as_ever(texture: float) -> None:
    light = ground(2)
    seen = damaged(light, 1.0)
    dirt = np.random.default_rng(9).normal(0, texture, light.shape).astype(np.float32) * stroke()[..., None]
    seen = np.clip(seen + dirt, 0, 1)
    plain, kept = filled(seen), filled(seen, recover=True)
    assert off(kept, light) < 1.01 * off(plain, light)
    assert np.median(np.abs(kept[mask()].astype(float) - plain[mask()])) < 3


@pytest.mark.parametrize("lines", [1, 2])
def test_of_a_scratch_in_a_wider_mask_nothing_comes_back(lines: int) -> None:
    light, middle = ground(1), 80
    rows = [middle] if lines == 1 else [middle - 3, middle - 2, middle + 2]
    around = np.zeros((SIDE, SIDE), np.bool_)
    around[middle - 7 : middle + 7] = True
    seen = light.copy()
    seen[rows] = 1.0
    plain, kept = (
        fill_damage(make_inpainter("kriging"), from_light(seen, np.dtype(np.uint8)), around, recover=on)
        for on in (False, True)
    )
    beside = np.setdiff1d(np.arange(middle - 6, middle + 6), rows)
    lighter = [float(one[rows].mean() - one[beside].mean()) for one in (plain, kept)]
    assert abs(lighter[1] - lighter[0]) < 2


def test_only_masked_pixels_change_whatever_the_threads() -> None:
    seen = from_light(damaged(ground(5), 0.5), np.dtype(np.uint16))
    one, four = (fill_damage(make_inpainter("kriging"), seen, mask(), recover=True, threads=n) for n in (1, 4))
    assert np.array_equal(one, four)
    assert np.array_equal(one[~mask()], seen[~mask()])


def test_pixels_that_are_no_number_are_filled() -> None:
    seen = damaged(ground(6), 0.5)
    holes = np.argwhere(mask())[::7]
    seen[holes[:, 0], holes[:, 1]] = np.nan
    plain, kept = (fill_damage(make_inpainter("kriging"), seen, mask(), recover=on) for on in (False, True))
    assert np.isfinite(kept).all()
    assert np.array_equal(kept[holes[:, 0], holes[:, 1]], plain[holes[:, 0], holes[:, 1]])


def test_light_beyond_white_is_kept() -> None:
    light = 3.0 * ground(7)
    kept = fill_damage(make_inpainter("kriging"), light, mask(), recover=True)
    assert kept[mask()].max() > 1.2


def test_specks_are_too_small_to_tell() -> None:
    speck, spot, line = (np.zeros((40, 40), np.bool_) for _ in range(3))
    speck[18:23, 18:23] = True
    spot[10:30, 10:30] = True
    line[18:20] = True
    assert not is_measurable(speck)
    assert not is_measurable(line)
    assert is_measurable(spot)


def test_an_even_ground_stays_even() -> None:
    light = np.full((SIDE, SIDE, 3), 0.4, np.float32)
    seen = damaged(light, 0.5)
    kept = filled(seen, recover=True).astype(int)
    assert np.ptp(kept[mask()], axis=0).max() <= 2
