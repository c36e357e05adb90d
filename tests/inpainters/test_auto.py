"""The fill `auto` is the mean of two fills."""

from __future__ import annotations

import numpy as np
import pytest

from redust.core.arrays import PIXEL_DTYPES, Mask, Pixels, full_scale
from redust.core.errors import UnknownEngine
from redust.inpainters import make_inpainter
from redust.inpainters.auto import MeanInpainter
from redust.inpainters.fill_damage import fill_damage

TWO = ("telea", "navier-stokes")


def picture(dtype: np.dtype[np.generic]) -> Pixels:
    rows, columns = np.mgrid[:120, :150]
    light = 0.5 + 0.2 * np.sin(rows / 9) * np.cos(columns / 13)
    return (light * full_scale(np.dtype(dtype)))[..., None].astype(dtype)


def hair_and_chip() -> Mask:
    mask = np.zeros((120, 150), np.bool_)
    mask[20:25, 10:140] = mask[60:81, 30:55] = True
    return mask


@pytest.mark.parametrize("dtype", PIXEL_DTYPES, ids=str)
def test_each_pixel_is_the_mean_of_both(dtype: np.dtype[np.generic]) -> None:
    pixels, mask = picture(dtype), hair_and_chip()
    mean = fill_damage(MeanInpainter(TWO), pixels, mask)
    first, second = (fill_damage(make_inpainter(name), pixels, mask).astype(np.float64) for name in TWO)
    assert (first != second).any()
    half_a_step = 1e-6 if dtype == np.float32 else 0.5
    np.testing.assert_allclose(mean[mask], (first + second)[mask] / 2, atol=half_a_step)
    assert mean.dtype == pixels.dtype


def test_auto_is_the_mean_of_network_and_fsr() -> None:
    pixels, mask = picture(np.dtype(np.uint16)), np.zeros((120, 150), np.bool_)
    mask[50:55, 40:60] = True
    auto, expected = (fill_damage(fill, pixels, mask) for fill in (make_inpainter("auto"), MeanInpainter()))
    np.testing.assert_array_equal(auto, expected)
    both = [fill_damage(make_inpainter(name), pixels, mask)[mask].astype(float) for name in ("network", "fsr")]
    assert np.abs(auto[mask] - np.mean(both, axis=0)).max() < 0.002 * 65535


def test_a_missing_fill_is_an_error_and_not_replaced() -> None:
    with pytest.raises(UnknownEngine, match="no-such-fill"):
        MeanInpainter(("telea", "no-such-fill"))
