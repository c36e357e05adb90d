"""TIFFs of 10, 12 and 14 packed bits and of half floats: read and written in their own depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from drawing import draw
from redust.core.errors import UnsupportedScan
from redust.files import read_scan, write_scan

_OPTIONS: list[dict[str, Any]] = [
    {},
    {"rowsperstrip": 7},
    {"compression": "zlib", "predictor": True},
    {"compression": "lzw", "byteorder": ">"},
    {"tile": (32, 32), "compression": "zlib"},
    {"planarconfig": "separate", "rowsperstrip": 9},
]


def _write_packed(path: Path, bits: int, channels: int = 3, **options: Any) -> np.ndarray:
    """A TIFF of so many bits per sample, its width no multiple of a byte's; its stored values (H, W, C)."""
    stored = (draw(41, 67, channels=channels, dtype=np.uint16) >> (16 - bits)).astype(np.uint16)
    data = np.moveaxis(stored, 2, 0) if options.get("planarconfig") else stored if channels == 3 else stored[..., 0]
    photometric = "rgb" if channels == 3 else options.pop("photometric", "minisblack")
    tifffile.imwrite(path, data, bitspersample=bits, photometric=photometric, metadata=None, **options)
    return stored


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize(
    ("channels", "options"), [(3, {}), (3, {"rowsperstrip": 7}), (1, {}), (1, {"photometric": "miniswhite"})]
)
def test_packed_bits_come_back_packed(bits: int, channels: int, options: dict[str, Any], tmp_path: Path) -> None:
    stored = _write_packed(tmp_path / "a.tif", bits, channels, **options)
    scan = read_scan(tmp_path / "a.tif")
    assert (scan.pixels.dtype, scan.bits) == (np.uint16, bits)
    if "photometric" not in options:
        assert int(scan.pixels.max()) == round(int(stored.max()) * 65535 / ((1 << bits) - 1))
    pixels = scan.pixels.copy()
    pixels[3, 5] = 65535
    write_scan(scan.with_pixels(pixels), tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        page = tiff.pages[0]
        again = page.asarray().reshape(stored.shape)
        assert page.bitspersample == bits
    changed = (again != stored).any(axis=2)
    assert np.argwhere(changed).tolist() == [[3, 5]]
    np.testing.assert_array_equal(read_scan(tmp_path / "b.tif").pixels, pixels)


@pytest.mark.parametrize("options", _OPTIONS)
def test_half_floats_come_back_as_half_floats(options: dict[str, Any], tmp_path: Path) -> None:
    stored = draw(41, 67, dtype=np.float32).astype(np.float16)
    data = np.moveaxis(stored, 2, 0) if options.get("planarconfig") else stored
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", metadata=None, **options)
    scan = read_scan(tmp_path / "a.tif")
    assert (scan.pixels.dtype, scan.bits) == (np.float32, 16)
    pixels = scan.pixels.copy()
    pixels[3, 5] = 0.25
    write_scan(scan.with_pixels(pixels), tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        again = tiff.pages[0].asarray()
    again = np.moveaxis(again, 0, 2) if options.get("planarconfig") else again
    assert again.dtype == np.float16
    assert np.argwhere((again != stored).any(axis=2)).tolist() == [[3, 5]]


def test_a_page_of_another_depth_is_still_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", draw(dtype=np.uint16) >> 5, bitspersample=11, photometric="rgb", metadata=None)
    with pytest.raises(UnsupportedScan, match="11-bit"):
        read_scan(tmp_path / "a.tif")
