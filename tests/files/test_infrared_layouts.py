"""The infrared plane is found wherever scanner programs keep it, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from infrared_layouts import LAYOUTS, write_rgbi, write_sibling
from redust.core.errors import ScanError
from redust.files import read_scan, write_scan
from redust.files.infrared import find_infrared, find_sibling, is_infrared_path, read_infrared_file
from redust.synthesis.infrared_film import InfraredFrame, draw_infrared_frame


@pytest.fixture(scope="module")
def frame() -> InfraredFrame:
    return draw_infrared_frame((40, 56), seed=1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_and_written_bit_for_bit(layout: str, frame: InfraredFrame, tmp_path: Path) -> None:
    choice, write = LAYOUTS[layout]
    write(tmp_path / "scan.tif", frame)
    scan = read_scan(tmp_path / "scan.tif")
    infrared = find_infrared(scan, choice)
    assert infrared is not None
    np.testing.assert_array_equal(infrared.plane, frame.infrared)
    np.testing.assert_array_equal(scan.pixels, frame.pixels)
    assert scan.further_pages == ()
    assert find_infrared(scan, "off") is None
    write_scan(scan.with_pixels(scan.pixels // 2), tmp_path / "written.tif")
    written = find_infrared(read_scan(tmp_path / "written.tif"), choice)
    if layout != "sibling":
        assert written is not None
        np.testing.assert_array_equal(written.plane, frame.infrared)


@pytest.mark.parametrize("ending", ["_IR.tif", "_IR.tiff", "-ir.tif", "-IR.TIF"])
def test_a_sibling_is_found_by_its_name(ending: str, frame: InfraredFrame, tmp_path: Path) -> None:
    write_sibling(tmp_path / "a.tif", frame, ending)
    assert find_sibling(tmp_path / "a.tif") == tmp_path / f"a{ending}"
    assert find_sibling(tmp_path / f"a{ending}") is None
    assert is_infrared_path(tmp_path / f"a{ending}")


def test_what_was_not_measured_is_left_out(frame: InfraredFrame, tmp_path: Path) -> None:
    write_sibling(tmp_path / "a.tif", frame)
    valid = np.full((40, 56), 255, np.uint8)
    valid[:, :9] = 0
    tifffile.imwrite(tmp_path / "a_IR_valid.tif", valid, metadata=None)
    infrared = find_infrared(read_scan(tmp_path / "a.tif"))
    assert infrared is not None
    assert infrared.valid is not None
    np.testing.assert_array_equal(infrared.valid, valid > 0)


def test_a_named_file_may_be_a_scan_with_infrared_or_grey(frame: InfraredFrame, tmp_path: Path) -> None:
    write_rgbi(tmp_path / "raw.tif", frame)
    raw = read_infrared_file(tmp_path / "raw.tif")
    assert raw.red is not None
    np.testing.assert_array_equal(raw.red, frame.pixels[..., 0])
    tifffile.imwrite(tmp_path / "grey.tif", frame.infrared, metadata=None)
    np.testing.assert_array_equal(read_infrared_file(tmp_path / "grey.tif").plane, frame.infrared)
    tifffile.imwrite(tmp_path / "rgb.tif", frame.pixels, photometric="rgb", metadata=None)
    with pytest.raises(ScanError, match="holds no infrared"):
        read_infrared_file(tmp_path / "rgb.tif")
    with pytest.raises(ScanError, match="no further channel"):
        find_infrared(read_scan(tmp_path / "rgb.tif"), "channel")


def test_pages_that_are_pictures_of_their_own_are_no_infrared(frame: InfraredFrame, tmp_path: Path) -> None:
    grey = frame.infrared
    for name, pages in {
        "two-greys": [frame.pixels, grey, grey],
        "other-size": [frame.pixels, grey[:-8]],
        "grey-first": [grey, frame.pixels],
        "two-pictures": [frame.pixels, frame.clean],
    }.items():
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as tiff:
            for page in pages:
                tiff.write(page, photometric="rgb" if page.ndim == 3 else "minisblack", metadata=None)
        scan = read_scan(tmp_path / f"{name}.tif")
        assert find_infrared(scan) is None
        assert len(scan.further_pages) == len(pages) - 1


def test_a_jpeg_compressed_tiff_of_four_channels_is_refused_with_a_remedy(tmp_path: Path) -> None:
    samples = np.zeros((4, 32, 32), np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif",
        samples,
        photometric="rgb",
        extrasamples=["unspecified"],
        compression="jpeg",
        planarconfig="separate",
        metadata=None,
    )
    with pytest.raises(ScanError, match="Save it uncompressed"):
        read_scan(tmp_path / "a.tif")
