"""A scan keeps its shape and depth; a report is data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from redust.core.report import Report
from redust.core.scan import Scan


def test_a_scan_says_what_it_is() -> None:
    scan = Scan(np.zeros((2, 3, 1), np.uint16), source=Path("roll/0001.tif"))
    assert (scan.shape, scan.channels, scan.bits, scan.name) == ((2, 3), 1, 16, "0001.tif")
    assert scan.megapixels == pytest.approx(6e-6)
    assert Scan(np.zeros((2, 3, 3), np.float32)).name == "array"


def test_significant_bits_are_kept() -> None:
    assert Scan(np.zeros((2, 3, 1), np.uint16), bits=12).bits == 12


@pytest.mark.parametrize("plane", ["alpha", "infrared"])
def test_a_plane_of_another_size_is_refused(plane: str) -> None:
    with pytest.raises(ValueError, match=plane):
        Scan(np.zeros((2, 3, 3), np.uint8), **{plane: np.zeros((3, 2), np.uint8)})  # type: ignore[arg-type]


def test_new_pixels_keep_all_else() -> None:
    scan = Scan(np.zeros((2, 3, 3), np.uint8), icc=b"profile", dpi=(300.0, 300.0), orientation=6)
    after = scan.with_pixels(np.ones((2, 3, 3), np.uint8))
    assert after.pixels.all()
    assert not scan.pixels.any()
    assert (after.icc, after.dpi, after.orientation) == (b"profile", (300.0, 300.0), 6)


@pytest.mark.parametrize(
    "pixels", [np.ones((2, 3, 1), np.uint8), np.ones((2, 3, 3), np.uint16), np.ones((3, 2, 3), np.uint8)]
)
def test_a_scan_never_changes_its_depth_or_size(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="the scan is uint8"):
        Scan(np.zeros((2, 3, 3), np.uint8)).with_pixels(pixels)


def test_a_report_survives_json() -> None:
    report = Report(redust="1", source="a.tif", status="restored", coverage=0.01, seconds={"fill": 0.5})
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_a_report_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError):
        Report(redust="1", source="a.tif", status="restored", regoins=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Report(redust="1", source="a.tif", status="done")  # type: ignore[arg-type]
