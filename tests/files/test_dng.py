"""Linear DNGs, drawn by tifffile: read, and written as a copy in which only what was touched differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from drawing import draw
from redust.core.errors import LossyTarget, TargetError, UnsupportedScan
from redust.core.scan import Scan
from redust.files import read_scan, write_scan

_LINEAR = 34892
_LOSSLESS = {"lossless": True, "bitspersample": 16}
_KINDS: dict[str, dict[str, Any]] = {
    "strips": {"rowsperstrip": 8},
    "one strip": {},
    "big-endian": {"rowsperstrip": 8, "byteorder": ">"},
    "deflate": {"rowsperstrip": 8, "compression": "zlib", "predictor": True},
    "lossless JPEG": {
        "tile": (32, 32),
        "compression": "jpeg",
        "compressionargs": _LOSSLESS,
    },
}


def _write_dng(
    path: Path, pixels: np.ndarray, *, preview: bool = False, tags: tuple[Any, ...] = (), **options: Any
) -> np.ndarray:
    """A linear DNG; with a preview it is a sub-image of a small RGB page, as in SilverFast's."""
    facts = [(50706, 1, 4, b"\x01\x04\x00\x00", True), (50972, 1, 16, bytes(range(16)), True), *tags]
    byteorder = options.pop("byteorder", None)
    kind = {"photometric": _LINEAR, "planarconfig": "contig", "metadata": None, **options}
    with tifffile.TiffWriter(path, byteorder=byteorder) as tiff:
        if preview:
            small = (pixels[::4, ::4] >> 8).astype(np.uint8)
            tiff.write(small, photometric="rgb", subfiletype=1, subifds=1, extratags=facts, metadata=None)
            tiff.write(pixels, subfiletype=0, **kind)
        else:
            tiff.write(pixels, extratags=facts, **kind)
    return pixels


def _repair(scan: Scan, rows: slice = slice(20, 22)) -> Scan:
    pixels = scan.pixels.copy()
    pixels[rows, 5:9] = np.random.default_rng(0).integers(0, 65535, pixels[rows, 5:9].shape)
    return scan.with_pixels(pixels)


def _decoded(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0].pages[0] if tiff.pages[0].pages else tiff.pages[0]
        return np.asarray(page.asarray())


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("kind", _KINDS)
def test_only_touched_strips_of_the_copy_differ(kind: str, preview: bool, tmp_path: Path) -> None:
    stored = _write_dng(tmp_path / "a.dng", draw(64, 96, dtype=np.uint16), preview=preview, **_KINDS[kind])
    scan = read_scan(tmp_path / "a.dng")
    assert (scan.format, scan.linear, scan.bits) == ("DNG", True, 16)
    np.testing.assert_array_equal(scan.pixels, stored)
    restored = _repair(scan)
    write_scan(restored, tmp_path / "b.dng")
    np.testing.assert_array_equal(_decoded(tmp_path / "b.dng"), restored.pixels)
    np.testing.assert_array_equal(read_scan(tmp_path / "b.dng").pixels, restored.pixels)
    before, after = ((tmp_path / name).read_bytes() for name in ("a.dng", "b.dng"))
    with tifffile.TiffFile(tmp_path / "a.dng") as tiff:
        page = tiff.pages[0].pages[0] if preview else tiff.pages[0]
        spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        lists = [page.tags[code] for code in (273, 279, 324, 325) if code in page.tags]
        allowed = [(tag.valueoffset, tag.valuebytecount) for tag in lists]
        allowed += [(tiff.pages[0].tags[50972].valueoffset, 16)]
    rows = 8 if len(spans) > 6 else 32 if len(spans) > 1 else 64
    touched = [spans[i] for i in range(len(spans)) if _touches(i, len(spans), rows)]
    changed = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(after[: len(before)], np.uint8))
    assert changed.size
    for position in changed:
        assert any(start <= position < start + count for start, count in touched + allowed)


def _touches(number: int, count: int, rows: int) -> bool:
    """Whether a strip, or one of 2 x 3 tiles, holds rows 20 and 21 at columns 5 to 8."""
    return number == 0 if count in (1, 6) else number == 20 // rows


def test_an_untouched_scan_is_copied_byte_for_byte(tmp_path: Path) -> None:
    _write_dng(tmp_path / "a.dng", draw(64, 96, dtype=np.uint16), **_KINDS["deflate"])
    write_scan(read_scan(tmp_path / "a.dng"), tmp_path / "b.dng")
    assert (tmp_path / "b.dng").read_bytes() == (tmp_path / "a.dng").read_bytes()


def test_a_strip_that_no_longer_fits_goes_to_the_end(tmp_path: Path) -> None:
    flat = np.full((64, 96, 3), 9000, np.uint16)
    _write_dng(tmp_path / "a.dng", flat, **_KINDS["deflate"])
    restored = _repair(read_scan(tmp_path / "a.dng"))
    write_scan(restored, tmp_path / "b.dng")
    assert (tmp_path / "b.dng").stat().st_size > (tmp_path / "a.dng").stat().st_size
    np.testing.assert_array_equal(_decoded(tmp_path / "b.dng"), restored.pixels)


def test_a_digest_that_is_no_longer_true_becomes_unknown(tmp_path: Path) -> None:
    _write_dng(tmp_path / "a.dng", draw(64, 96, dtype=np.uint16))
    write_scan(_repair(read_scan(tmp_path / "a.dng")), tmp_path / "b.dng")
    with tifffile.TiffFile(tmp_path / "b.dng") as tiff:
        assert bytes(tiff.pages[0].tags[50972].value) == bytes(16)


@pytest.mark.parametrize("channels", [3, 4])
def test_white_level_and_channels(channels: int, tmp_path: Path) -> None:
    pixels = np.dstack([draw(64, 96, dtype=np.uint16)] * 2)[..., :channels] >> 2
    _write_dng(tmp_path / "a.dng", pixels, tags=((50717, 3, channels, (16383,) * channels, True),))
    scan = read_scan(tmp_path / "a.dng")
    assert (scan.channels, scan.bits) == (3, 14)
    assert (scan.infrared is not None) == (channels == 4)
    assert abs(int(scan.pixels.max()) - 4 * int(pixels[..., :3].max())) <= 4
    restored = _repair(scan)
    write_scan(restored, tmp_path / "b.dng")
    again = _decoded(tmp_path / "b.dng").reshape(pixels.shape)
    assert set(np.argwhere((again != pixels).any(axis=2))[:, 0]) == {20, 21}


def test_a_dng_becomes_a_tiff_only_without_its_colours(tmp_path: Path) -> None:
    _write_dng(tmp_path / "a.dng", draw(64, 96, dtype=np.uint16))
    scan = read_scan(tmp_path / "a.dng")
    with pytest.raises(LossyTarget, match="colours"):
        write_scan(scan, tmp_path / "b.tif")
    write_scan(scan, tmp_path / "b.tif", allow_loss=True)
    np.testing.assert_array_equal(read_scan(tmp_path / "b.tif").pixels, scan.pixels)


def test_no_other_scan_becomes_a_dng(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"\.tif"):
        write_scan(Scan(draw()), tmp_path / "a.dng")


def test_a_dng_without_a_picture_to_read_is_refused(tmp_path: Path) -> None:
    _write_dng(tmp_path / "a.dng", draw(64, 96), photometric="rgb")
    with pytest.raises(UnsupportedScan, match="no linear picture"):
        read_scan(tmp_path / "a.dng")
