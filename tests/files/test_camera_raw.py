"""Camera raw: developed through rawpy, refused with a remedy without it, never written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from redust.core.errors import ScanTooLarge, TargetError, UnreadableScan, UnsupportedScan
from redust.files import read_scan, write_scan
from redust.pipeline.job import beside, writable_name

_MODEL = b"ReDust Test\0"


def _write_mosaic(path: Path) -> None:
    """A raw DNG of a camera: a mosaic of 64 x 96, in which green is brightest."""
    mosaic = np.full((64, 96), 4000, np.uint16)
    mosaic[::2, 1::2] = mosaic[1::2, ::2] = 9000
    matrix = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags = [
        (50706, 1, 4, b"\x01\x04\x00\x00", True),
        (50708, 2, len(_MODEL), _MODEL, True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, b"\x00\x01\x01\x02", True),
        (50717, 4, 1, 16383, True),
        (50721, 10, 9, matrix, True),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
        (50778, 3, 1, 21, True),
        (274, 3, 1, 6, True),
    ]
    tifffile.imwrite(path, mosaic, photometric=32803, subfiletype=0, extratags=tags, metadata=None)


def test_a_mosaic_is_developed_to_16_bit_and_not_turned(tmp_path: Path) -> None:
    _write_mosaic(tmp_path / "a.dng")
    scan = read_scan(tmp_path / "a.dng")
    assert scan.pixels.dtype == np.uint16
    assert scan.shape == (64, 96)
    assert (scan.format, scan.orientation) == ("camera raw", 6)
    assert (np.median(scan.pixels[..., 1]) > np.median(scan.pixels[..., 0])).all()
    assert any("exiftool" in warning for warning in scan.warnings)
    write_scan(scan, tmp_path / "b.tif")
    np.testing.assert_array_equal(read_scan(tmp_path / "b.tif").pixels, scan.pixels)
    with pytest.raises(TargetError):
        write_scan(scan, tmp_path / "b.dng")


def test_without_the_extra_a_raw_is_refused_with_the_command_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    _write_mosaic(tmp_path / "a.dng")
    with pytest.raises(UnsupportedScan, match=r"redust\[raw\]"):
        read_scan(tmp_path / "a.dng")


def test_what_libraw_cannot_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nef").write_bytes(b"II*\0" + bytes(100))
    with pytest.raises(UnreadableScan, match="developed"):
        read_scan(tmp_path / "a.nef")


def test_the_limit_on_size_counts_for_raw_too(tmp_path: Path) -> None:
    _write_mosaic(tmp_path / "a.dng")
    with pytest.raises(ScanTooLarge):
        read_scan(tmp_path / "a.dng", max_megapixels=0.001)


def test_the_result_of_a_raw_is_a_tiff(tmp_path: Path) -> None:
    assert beside(Path("roll/a.NEF")) == Path("roll/a.restored.tif")
    assert writable_name(Path("roll/a.cr2")) == Path("roll/a.tif")
    assert writable_name(Path("roll/a.png")) == Path("roll/a.png")
    _write_mosaic(tmp_path / "a.dng")
    with pytest.raises(TargetError):
        write_scan(read_scan(tmp_path / "a.dng"), tmp_path / "a.nef")
