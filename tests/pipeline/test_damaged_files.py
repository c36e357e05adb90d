"""A scan whose file is cut is refused; the user may insist, and the report says so."""

from __future__ import annotations

from pathlib import Path

import pytest

import redust
from golden import make
from golden.jpegs import coded
from redust.core.errors import UnreadableScan


def test_a_cut_jpeg_is_restored_only_if_the_user_insists(tmp_path: Path) -> None:
    jpeg = coded(quality=95)
    start = jpeg.index(b"\xff\xda")
    (tmp_path / "cut.jpg").write_bytes(jpeg[: start + (len(jpeg) - start) // 2].rstrip(b"\xff") + b"\xff\xd9")
    engines = {"detector": "tophat", "fill": "telea"}
    with pytest.raises(UnreadableScan, match="--damaged-files keep"):
        redust.restore(tmp_path / "cut.jpg", tmp_path / "out.jpg", **engines)
    report = redust.restore(tmp_path / "cut.jpg", tmp_path / "out.jpg", damaged_files="keep", **engines)
    assert any("is damaged" in warning for warning in report.warnings)


def test_what_a_target_cannot_hold_is_in_the_report_piece_by_piece(tmp_path: Path) -> None:
    scan = make("tiff-alpha-infrared", tmp_path)
    report = redust.restore(scan, tmp_path / "out.jpg", detector="tophat", fill="telea", allow_loss=True)
    for name in ("16 bit samples", "the alpha channel", "the infrared channel"):
        assert any(warning.startswith("Lost in JPEG: ") and name in warning for warning in report.warnings)
