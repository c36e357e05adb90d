"""What each fill does with what surrounds the damage."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.core.arrays import Mask, Pixels
from redust.core.catalogue import Catalogue
from redust.core.errors import EngineError, RedustError, UnknownEngine
from redust.core.settings import RepairSettings
from redust.inpainters import catalogue, make_inpainter
from redust.inpainters.fill_damage import fill_damage
from redust.inpainters.fill_windows import cut_boxes

every_fill = pytest.mark.parametrize("name", catalogue.names())


def filled(name: str, pixels: Pixels, mask: Mask, **choices: Any) -> Pixels:
    """The result, with white damage under the mask."""
    try:
        inpainter = make_inpainter(name, **choices)
    except RedustError as error:
        pytest.skip(f"not installed: {error}")
    white = 1.0 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
    return fill_damage(inpainter, np.where(mask[..., None], pixels.dtype.type(white), pixels), mask)


def error_of(name: str, pixels: Pixels, mask: Mask) -> float:
    """Root mean square error inside the mask, in the pixels' own steps."""
    off = filled(name, pixels, mask)[mask].astype(np.float64) - pixels[mask]
    return float(np.sqrt(np.square(off).mean()))


def hair(height: int, width: int, thickness: int = 5) -> Mask:
    """A slanted line from side to side."""
    rows, columns = np.mgrid[:height, :width]
    return np.asarray(np.abs(rows - height / 2 - (columns - width / 2) / 3) <= thickness / 2)


def weave(height: int, width: int) -> Pixels:
    """Stripes 7 pixels wide on a ramp, 16 bit grey."""
    rows, columns = np.mgrid[:height, :width]
    light = 30_000 + 8_000 * np.sin(2 * np.pi * (rows * 0.2 + columns) / 7) + 20 * rows
    return light[..., None].astype(np.uint16)


@every_fill
def test_a_faint_16_bit_ramp_keeps_its_steps(name: str) -> None:
    rows, columns = np.mgrid[:60, :80]
    pixels = (30_000 + 2 * columns + rows)[..., None].astype(np.uint16)  # 220 steps in all: less than one of 8 bit
    mask = hair(60, 80, 7)
    result = filled(name, pixels, mask)
    assert len(np.unique(result[mask])) > 60
    assert np.abs(result.astype(int) - pixels)[mask].max() < 12


@every_fill
def test_a_16_bit_gradient_comes_back_finer_than_8_bit(name: str) -> None:
    rows, columns = np.mgrid[:64, :64]
    pixels = (1_000 * columns + 37 * rows)[..., None].astype(np.uint16)
    mask = np.zeros((64, 64), np.bool_)
    mask[8:56:6, 8:56] = True
    values = filled(name, pixels, mask)[mask]
    assert len(np.unique(values)) > 256
    assert len(np.unique(values % 257)) > 128


@every_fill
@pytest.mark.parametrize("light", [1e-4, 1.0, 300.0])
def test_float_light_of_any_brightness_is_filled(name: str, light: float) -> None:
    rows, columns = np.mgrid[:50, :50]
    pixels = (light * (0.5 + 0.2 * rows / 50 + 0.1 * columns / 50))[..., None].astype(np.float32)
    assert error_of(name, pixels, hair(50, 50)) < 0.02 * light


@every_fill
def test_8_and_16_bit_are_filled_alike(name: str) -> None:
    small = (weave(50, 70) >> 8).astype(np.uint8)
    mask = hair(50, 70)
    large = small.astype(np.uint16) * np.uint16(257)
    off = filled(name, large, mask)[mask] / 257 - filled(name, small, mask)[mask]
    assert np.abs(off).max() < 1


@every_fill
def test_colour_is_filled_with_its_own_colours(name: str) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = 200, 90, 20
    np.testing.assert_allclose(filled(name, pixels, hair(40, 60)), pixels, atol=1)


@pytest.mark.parametrize("name", ["kriging", "fsr"])
def test_a_weave_is_carried_on(name: str) -> None:
    pixels, mask = weave(90, 120), hair(90, 120, 9)
    assert error_of(name, pixels, mask) < 600  # of an amplitude of 8,000
    assert error_of("telea", pixels, mask) > 3000


@pytest.mark.parametrize("name", ["kriging", "fsr"])
def test_an_edge_is_carried_on(name: str) -> None:
    rows, columns = np.mgrid[:70, :90]
    pixels = np.where(rows - columns / 4 > 25, 200, 60).astype(np.uint8)[..., None]
    mask = np.zeros((70, 90), np.bool_)
    mask[:, 40:46] = True
    assert error_of(name, pixels, mask) < 0.7 * error_of("telea", pixels, mask)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_telea_brightens_nothing(dtype: Any) -> None:
    pixels = np.full((40, 40, 1), 0.3 if dtype is np.float32 else 77, dtype)
    mask = np.zeros((40, 40), np.bool_)
    mask[10:30, 10:30] = True
    np.testing.assert_allclose(filled("telea", pixels, mask), pixels, rtol=1e-5)


@pytest.mark.parametrize("name", ["telea", "navier-stokes"])
def test_the_radius_reaches_the_fills_that_have_one(name: str) -> None:
    pixels, mask = weave(40, 60), hair(40, 60)
    near, far = (filled(name, pixels, mask, radius=radius) for radius in (1.0, 9.0))
    assert (near != far).any()
    assert make_inpainter(name, radius=9.0).spec.needs.context > make_inpainter(name, radius=1.0).spec.needs.context


def test_an_unknown_fill_is_named() -> None:
    with pytest.raises(UnknownEngine, match="no fill named `tella`"):
        make_inpainter("tella")


def test_biharmonic_says_what_it_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    with pytest.raises(EngineError, match=r"needs scikit-image.*or choose another"):
        make_inpainter("biharmonic")


def test_the_default_fill_is_listed_and_built_in() -> None:
    assert RepairSettings().fill in catalogue.names()
    assert isinstance(catalogue, Catalogue)


@given(seed=st.integers(0, 999), height=st.integers(1, 120), width=st.integers(1, 120))
def test_boxes_hold_every_masked_pixel_once_and_are_small(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < random.choice([0.001, 0.05, 0.9, 1.0])
    times = np.zeros(mask.shape, np.int64)
    for top, left, bottom, right in cut_boxes(mask):
        assert max(bottom - top, right - left) <= 32
        times[top:bottom, left:right] += 1
    assert times.max(initial=0) <= 1
    assert (times[mask] == 1).all()


def test_boxes_are_cut_between_specks() -> None:
    mask = np.zeros((30, 60), np.bool_)
    mask[10:20, 5:25] = mask[12:16, 34:50] = True
    assert sorted(cut_boxes(mask)) == [(10, 5, 20, 25), (12, 34, 16, 50)]
