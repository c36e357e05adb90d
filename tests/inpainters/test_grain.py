"""Grain: what is filled looks like its ground, in strength and kind, and nothing else changes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from redust.core.arrays import PIXEL_DTYPES, Mask, Pixels, from_light, full_scale
from redust.core.scan import Scan
from redust.core.settings import RepairSettings, RestoreSettings
from redust.decision.filters import dilate_mask
from redust.inpainters import make_inpainter
from redust.inpainters.fill_damage import fill_damage
from redust.pipeline.pipeline import Pipeline

every_depth = pytest.mark.parametrize("dtype", PIXEL_DTYPES, ids=str)


def grainy(height: int, width: int, dtype: Any, deviation: float = 0.03, coarse: float = 0.7) -> Pixels:
    """A grey ramp with grain: fine, the same in red and green up to a factor of two, and its own in blue."""
    random = np.random.default_rng(3)
    white = random.normal(size=(height, width, 2))
    one, other = (cv2.GaussianBlur(plane, (0, 0), coarse) for plane in np.moveaxis(white, 2, 0))
    grain = np.stack([one, one / 2, other], axis=2) * deviation / one.std()
    light = 0.4 + 0.2 * np.arange(width)[None, :, None] / width + grain
    return from_light(light.astype(np.float32), np.dtype(dtype))


def spots(height: int, width: int, radius: int = 7) -> Mask:
    """A disc every 40 pixels."""
    rows, columns = np.mgrid[:height, :width]
    return np.asarray(np.hypot(rows % 40 - 20, columns % 40 - 20) <= radius)


def filled(pixels: Pixels, mask: Mask, grain: float = 1.0, fill: str = "navier-stokes", **how: Any) -> Pixels:
    return fill_damage(make_inpainter(fill), pixels, mask, grain=grain, **how)


def fine(pixels: Pixels) -> NDArray[np.float64]:
    """What a blur of 1.5 pixels takes away."""
    light = pixels.astype(np.float64)
    return np.asarray(light - cv2.GaussianBlur(light, (0, 0), 1.5).reshape(light.shape))


@every_depth
@pytest.mark.parametrize("fill", ["navier-stokes", "kriging"])
def test_its_strength_is_that_of_the_ground_in_every_channel(dtype: Any, fill: str) -> None:
    pixels, mask = grainy(200, 240, dtype), spots(200, 240)
    result = filled(pixels, mask, fill=fill)
    assert result.dtype == pixels.dtype
    kept = fine(result)[mask].std(axis=0) / fine(pixels)[mask].std(axis=0)
    np.testing.assert_allclose(kept, 1, atol=0.15)
    smooth = fine(filled(pixels, mask, 0.0, fill))[mask].std(axis=0) / fine(pixels)[mask].std(axis=0)
    assert (smooth < 0.7).all()


def test_channels_that_belong_together_stay_together() -> None:
    pixels, mask = grainy(200, 240, np.float32), spots(200, 240)
    found = np.corrcoef(fine(filled(pixels, mask))[mask].T)
    assert found[0, 1] > 0.9
    assert abs(found[0, 2]) < 0.2


@pytest.mark.parametrize("coarse", [0.45, 0.7, 1.0])
def test_its_spectrum_is_that_of_the_ground(coarse: float) -> None:
    pixels, mask = grainy(400, 400, np.float32, coarse=coarse), spots(400, 400, 12)
    inside = cv2.erode(mask.view(np.uint8), np.ones((7, 7), np.uint8)).view(np.bool_)

    def likeness(of: Pixels, step: int) -> float:
        """Correlation with the pixel `step` columns on."""
        values = fine(of)[..., 0]
        return float(np.corrcoef(values[inside], np.roll(values, -step, axis=1)[inside])[0, 1])

    for step in (1, 2, 3):
        assert likeness(filled(pixels, mask), step) == pytest.approx(likeness(pixels, step), abs=0.15)


@every_depth
def test_an_even_ground_gets_none(dtype: Any) -> None:
    pixels = from_light(np.full((80, 120, 3), 0.3, np.float32), np.dtype(dtype))
    np.testing.assert_array_equal(filled(pixels, spots(80, 120)), filled(pixels, spots(80, 120), 0.0))


def test_an_edge_of_the_scene_is_no_grain() -> None:
    pixels = np.full((80, 80, 1), 60, np.uint8)
    pixels[:, 34:] = 180
    mask = np.zeros((80, 80), np.bool_)
    mask[30:50, 42:60] = True
    np.testing.assert_array_equal(filled(pixels, mask)[mask], 180)


def test_grain_follows_a_hair_from_rough_ground_to_smooth() -> None:
    pixels = grainy(100, 400, np.uint16, 0.03)
    calm = grainy(100, 400, np.uint16, 0.003)
    pixels[:, 200:] = calm[:, 200:]
    mask = np.zeros((100, 400), np.bool_)
    mask[46:54, 20:380] = True
    result = filled(pixels, mask)
    for part in (slice(20, 180), slice(220, 380)):
        kept = fine(result)[46:54, part].std() / fine(pixels)[46:54, part].std()
        assert kept == pytest.approx(1, abs=0.25)


def test_a_hole_too_wide_to_see_across_is_grained_to_its_middle() -> None:
    pixels = grainy(420, 420, np.uint8)
    mask = np.zeros((420, 420), np.bool_)
    mask[100:320, 100:320] = True
    kept = fine(filled(pixels, mask))[190:230, 190:230].std() / fine(pixels)[190:230, 190:230].std()
    assert kept == pytest.approx(1, abs=0.25)


@every_depth
def test_half_of_it_is_less_and_none_is_the_fill_itself(dtype: Any) -> None:
    pixels, mask = grainy(120, 160, dtype), spots(120, 160)
    none, half, whole = (fine(filled(pixels, mask, grain))[mask].std() for grain in (0.0, 0.5, 1.0))
    assert none < half < whole
    np.testing.assert_array_equal(filled(pixels, mask, 0.0), fill_damage(make_inpainter("navier-stokes"), pixels, mask))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 999), height=st.integers(1, 90), width=st.integers(2, 90), channels=st.sampled_from([1, 3]),
    dtype=st.sampled_from(PIXEL_DTYPES), share=st.sampled_from([0.01, 0.3, 0.95]),
)  # fmt: skip
def test_only_masked_pixels_change_whatever_the_threads(
    seed: int, height: int, width: int, channels: int, dtype: Any, share: float
) -> None:
    random = np.random.default_rng(seed)
    pixels = from_light(random.random((height, width, channels)).astype(np.float32), np.dtype(dtype))
    if dtype == np.float32:
        pixels[random.random((height, width)) < 0.02] = np.nan
    mask = random.random((height, width)) < share
    pixels[0, 0], mask[0, 0] = full_scale(pixels.dtype) / 2, False
    result = filled(pixels, mask, threads=1)
    np.testing.assert_array_equal(result[~mask], pixels[~mask])
    assert np.isfinite(result[mask]).all()
    np.testing.assert_array_equal(filled(pixels, mask, threads=3), result)


def test_what_lies_under_the_mask_and_far_away_has_no_influence() -> None:
    pixels, mask = grainy(150, 400, np.uint16), np.zeros((150, 400), np.bool_)
    mask[30:37, 33:39] = mask[100:108, 290:340] = True
    result = filled(pixels, mask)
    spoilt = pixels.copy()
    spoilt[mask] = 65535
    np.testing.assert_array_equal(filled(spoilt, mask), result)
    first = mask.copy()
    first[100:] = False
    np.testing.assert_array_equal(filled(pixels, first)[first], result[first])


@pytest.mark.parametrize("grain", [0.0, RepairSettings().grain, 1.0])
def test_a_soft_spot_leaves_no_halo_when_the_mask_is_grown_as_restore_does(grain: float) -> None:
    pixels = grainy(120, 120, np.uint8, 0.008)
    rows, columns = np.mgrid[:120, :120]
    off = np.hypot(rows - 60, columns - 60)
    covers = 1 / (1 + np.exp((off - 6) / 0.5))  # a speck of radius 6 with a rim of about 2 pixels
    damaged = np.rint(pixels * (1 - 0.9 * covers[..., None])).astype(np.uint8)
    seen = np.abs(damaged.astype(int) - pixels).max(axis=2) > 6  # what a detector marks: well above the grain
    mask = dilate_mask(seen, RestoreSettings().grow)
    result = Pipeline(RestoreSettings(grain=grain)).repair(Scan(damaged), mask).pixels.astype(float) - pixels
    deviation = 255 * 0.008
    for inner, outer in ((0, 3), (3, 5), (5, 7), (7, 9), (9, 11)):
        ring = (off >= inner) & (off < outer)
        assert abs(result[ring].mean()) < 1.0 * deviation
