"""Masks and damage maps: what is written comes back, and what people's programs write is understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_array_equal
from PIL import Image

from redust.core.errors import MaskMismatch, ScanError, TargetError, TargetExists
from redust.files import is_scan_path, lossless, read_map, read_mask, read_scan, write_map, write_mask

SHAPE = (37, 53)
MASK = np.random.default_rng(3).random(SHAPE) < 0.2


@given(
    mask=arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    suffix=st.sampled_from([".png", ".tif"]),
)
def test_a_mask_comes_back(tmp_path_factory: pytest.TempPathFactory, mask: Any, suffix: str) -> None:
    path = tmp_path_factory.mktemp("mask") / f"mask{suffix}"
    write_mask(mask, path)
    assert_array_equal(read_mask(path, mask.shape), mask)
    samples = read_scan(path).pixels
    assert samples.dtype == np.uint8
    assert_array_equal(samples[..., 0], mask * 255)


@given(
    damage=arrays.arrays(np.float32, (9, 11), elements=st.floats(0, 1, width=32)),
    suffix=st.sampled_from([".png", ".tif"]),
)
def test_a_map_comes_back_within_half_a_step(
    tmp_path_factory: pytest.TempPathFactory, damage: Any, suffix: str
) -> None:
    path = tmp_path_factory.mktemp("map") / f"map{suffix}"
    write_map(damage, path)
    again = read_map(path)
    assert again.dtype == np.float32
    assert np.abs(again - damage).max() <= 0.5 / 65535 + 1e-7
    assert again.min() >= 0
    assert again.max() <= 1


def test_full_damage_is_full_scale(tmp_path: Path) -> None:
    write_map(np.ones((2, 3), np.float32), tmp_path / "map.png")
    assert read_scan(tmp_path / "map.png").pixels.tolist() == [[[65535]] * 3] * 2
    assert read_map(tmp_path / "map.png").tolist() == [[1.0] * 3] * 2


def _grey(path: Path, mask: Any) -> None:
    Image.fromarray(mask * np.uint8(1)).save(path)  # 1, not 255: not black is what counts


def _bilevel(path: Path, mask: Any) -> None:
    Image.fromarray(mask).save(path)


def _palette(path: Path, mask: Any) -> None:
    image = Image.new("P", mask.shape[::-1])
    image.putdata((~mask).astype(np.uint8).ravel().tolist())
    image.putpalette([255, 255, 255, 0, 0, 0])  # index 0 is white
    image.save(path)


def _colour(path: Path, mask: Any) -> None:
    Image.fromarray(np.repeat(mask[..., None] * np.uint8(200), 3, axis=2)).save(path)


def _layer(path: Path, mask: Any) -> None:
    """White everywhere, opaque where painted."""
    layer = np.full((*mask.shape, 4), 255, np.uint8)
    layer[..., 3] = mask * 255
    Image.fromarray(layer).save(path)


def _sixteen(path: Path, mask: Any) -> None:
    path.write_bytes(imagecodecs.png_encode(mask.astype(np.uint16) * 65535))


def _tiff(**options: Any) -> Any:
    def save(path: Path, mask: Any) -> None:
        white = options.get("photometric") == "miniswhite"
        tifffile.imwrite(path.with_suffix(".tif"), ~mask if white else mask, metadata=None, **options)

    return save


@pytest.mark.parametrize(
    "save",
    [
        _grey,
        _bilevel,
        _palette,
        _colour,
        _layer,
        _sixteen,
        _tiff(photometric="minisblack"),
        _tiff(photometric="miniswhite"),
        _tiff(photometric="minisblack", compression="zlib", rowsperstrip=5),
    ],
)
def test_masks_of_other_programs(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "mask.png", MASK)
    (path,) = tmp_path.iterdir()
    assert_array_equal(read_mask(path, SHAPE), MASK)


def test_a_mask_of_another_scan(tmp_path: Path) -> None:
    write_mask(MASK, tmp_path / "mask.png")
    with pytest.raises(MaskMismatch, match="53 x 37 pixels, the scan 37 x 53"):
        read_mask(tmp_path / "mask.png", (53, 37))


@pytest.mark.parametrize("alpha", [False, True])
def test_a_coloured_picture_that_is_nowhere_transparent_is_no_mask(tmp_path: Path, alpha: bool) -> None:
    red = np.zeros((*SHAPE, 4), np.uint8)
    red[MASK, 0], red[..., 3] = 255, 255
    Image.fromarray(red[..., : 3 + alpha]).save(tmp_path / "mask.png")
    with pytest.raises(MaskMismatch, match="coloured and nowhere transparent"):
        read_mask(tmp_path / "mask.png", SHAPE)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 90), (255, 255, 255), (1, 2, 3)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("opacity", [255, 7])
def test_paint_of_any_colour_on_a_transparent_layer_marks(
    tmp_path: Path, colour: tuple[int, int, int], suffix: str, opacity: int
) -> None:
    layer = np.zeros((*SHAPE, 4), np.uint8)
    layer[~MASK, :3] = 200  # what nobody can see
    layer[MASK] = (*colour, opacity)
    Image.fromarray(layer).save(tmp_path / f"mask{suffix}")
    assert_array_equal(read_mask(tmp_path / f"mask{suffix}", SHAPE), MASK)


def test_black_paint_takes_away_and_alone_is_refused(tmp_path: Path) -> None:
    layer = np.zeros((*SHAPE, 4), np.uint8)
    layer[:20] = (255, 0, 0, 255)
    layer[:5] = (0, 0, 0, 255)
    Image.fromarray(layer).save(tmp_path / "mask.png")
    assert_array_equal(read_mask(tmp_path / "mask.png", SHAPE), layer[..., 0] > 0)
    layer[..., :3] = 0
    Image.fromarray(layer).save(tmp_path / "black.png")
    with pytest.raises(MaskMismatch, match="black is left alone"):
        read_mask(tmp_path / "black.png", SHAPE)
    Image.fromarray(0 * layer).save(tmp_path / "empty.png")
    assert not read_mask(tmp_path / "empty.png", SHAPE).any()


def test_what_is_no_mask_or_map(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="bool"):
        write_mask(MASK.astype(np.uint8), tmp_path / "mask.png")
    with pytest.raises(ValueError, match=r"0\.\.1"):
        write_map(np.full((2, 2), 2, np.float32), tmp_path / "map.png")
    write_mask(MASK, tmp_path / "mask.png")
    with pytest.raises(MaskMismatch, match="16-bit"):
        read_map(tmp_path / "mask.png")
    with pytest.raises(ScanError, match="does not exist"):
        read_mask(tmp_path / "none.png", SHAPE)


def test_masks_are_never_written_over_or_lossily(tmp_path: Path) -> None:
    write_mask(MASK, tmp_path / "mask.png")
    with pytest.raises(TargetExists):
        write_mask(~MASK, tmp_path / "mask.png")
    write_mask(~MASK, tmp_path / "mask.png", overwrite=True)
    assert_array_equal(read_mask(tmp_path / "mask.png", SHAPE), ~MASK)
    for suffix in (".jpg", ".webp", ".jp2"):
        with pytest.raises(TargetError, match=r"\.png or \.tif"):
            write_mask(MASK, tmp_path / f"mask{suffix}")


def test_formats_by_name() -> None:
    assert [is_scan_path(Path(name)) for name in ("a.TIF", "b.jpeg", "c.webp", "d.gif", "e")] == [True] * 3 + [
        False
    ] * 2
    assert [lossless(Path(name)) for name in ("a.tif", "b.png", "c.webp", "d.jp2", "e.jpg")] == [True] * 4 + [False]
    with pytest.raises(TargetError, match="no suffix"):
        lossless(Path("a.gif"))
