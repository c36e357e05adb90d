"""One picture to judge a restoration by."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from drawing import draw
from redust.core.arrays import Pixels
from redust.core.scan import Scan
from redust.pipeline.compare import draw_comparison, find_busiest_window


def reds(picture: Pixels) -> int:
    """Pixels drawn as mask."""
    red, green, blue = (picture[..., channel].astype(int) for channel in range(3))
    return int(np.count_nonzero((red - green > 60) & (red - blue > 60)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_small_scan_is_drawn_once_and_as_it_is(dtype: type, channels: int) -> None:
    before = Scan(draw(40, 60, channels=channels, dtype=dtype))
    mask = np.zeros((40, 60), np.bool_)
    mask[5:8, 5:9] = True
    picture = draw_comparison(before, mask, before.with_pixels(before.pixels // 2))
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape == (34 + 40 + 16, 3 * 60 + 4 * 16, 3)
    assert reds(picture.pixels) == 12
    panel = picture.pixels[34:74, 16:76, 0].astype(float)
    full = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    assert np.abs(panel - before.pixels[..., 0] / full * 255).max() <= 1.0


def test_a_large_scan_gets_a_second_row_at_1_to_1() -> None:
    pixels = np.full((700, 2000, 1), 100, np.uint8)
    pixels[600:604, 1900:1904] = 255
    mask = pixels[..., 0] == 255
    picture = draw_comparison(Scan(pixels), mask, Scan(np.full_like(pixels, 100))).pixels
    assert picture.shape == (34 + 224 + 16 + 28 + 640 + 16, 3 * 640 + 4 * 16, 3)
    assert reds(picture[-640:]) == 16


def test_a_hair_stays_visible_when_shrunk() -> None:
    pixels = np.full((2000, 1200, 3), 100, np.uint16)
    mask = np.zeros((2000, 1200), np.bool_)
    mask[:, 700] = True
    scan = Scan(pixels)
    assert reds(draw_comparison(scan, mask, scan).pixels[34 : 34 + 640]) >= 600


def test_the_busiest_window_holds_the_damage_and_lies_inside() -> None:
    mask = np.zeros((1000, 3000), np.bool_)
    mask[990:, 2990:] = True
    mask[3, 5] = True
    rows, columns = find_busiest_window(mask, 640)
    assert (rows.stop, columns.stop) == (1000, 3000)
    assert (rows.start, columns.start) == (360, 2360)
    assert find_busiest_window(np.zeros((10, 10), np.bool_), 640)[0].start == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_stands_upright_as_viewers_show_the_scan(orientation: int) -> None:
    pixels = draw(30, 50)
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = Image.fromarray(pixels)
    shown.info["exif"] = exif.tobytes()
    expected = np.asarray(ImageOps.exif_transpose(shown))
    scan = Scan(pixels, orientation=orientation)
    picture = draw_comparison(scan, np.zeros((30, 50), np.bool_), scan).pixels
    height, width = expected.shape[:2]
    np.testing.assert_array_equal(picture[34 : 34 + height, 16 : 16 + width], expected)


def test_colours_keep_their_profile_and_grey_has_none_that_fits() -> None:
    mask = np.zeros((48, 64), np.bool_)
    colour, grey = Scan(draw(), icc=b"profile"), Scan(draw(channels=1), icc=b"grey profile")
    assert draw_comparison(colour, mask, colour).icc == b"profile"
    assert draw_comparison(grey, mask, grey).icc is None
