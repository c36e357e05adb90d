"""The files of scans are a person's: they turn out damaged, vanish, or change while the studio is open."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from PIL import Image

from redust.core.scan import Scan
from redust.files import read_scan, write_scan
from studio_desk import Desk

Opens: TypeAlias = Callable[..., Desk]
Writes: TypeAlias = Callable[..., Path]


def summary(desk: Desk) -> dict[str, Any]:
    """The only scan in the list."""
    (scan,) = desk.client.get("/api/scans").json()["scans"]
    return dict(scan)


@pytest.mark.parametrize("request_path", ["?open=1", "/thumbnail"])
def test_a_damaged_file_has_failed_and_says_why(open_desk: Opens, scan_file: Writes, request_path: str) -> None:
    scan = scan_file("roll/a.png")
    content = scan.read_bytes()
    scan.write_bytes(content[: len(content) // 2])
    desk = open_desk(scan)
    answer = desk.client.get(f"/api/scans/{desk.ids[0]}{request_path}")
    assert answer.status_code == 415
    assert (summary(desk)["state"], summary(desk)["error"]) == ("failed", answer.json()["error"])
    scan.write_bytes(content)
    desk.detect(desk.ids[0])
    assert (summary(desk)["state"], summary(desk)["error"]) == ("detected", None)


def test_a_file_that_is_gone_is_named(desk: Desk) -> None:
    desk.studio.library.find(desk.ids[0]).source.unlink()
    answer = desk.client.get(f"/api/scans/{desk.ids[0]}?open=1")
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("The file a.tif is gone.")


def test_an_open_scan_shows_while_its_file_is_gone(desk: Desk, scan_id: str) -> None:
    desk.studio.library.find(scan_id).source.unlink()
    assert desk.client.get(f"/api/scans/{scan_id}/dzi/scan/10/0_0").status_code == 200
    assert desk.edit(scan_id, kind="stroke", tool="brush", points=[[20, 20]], radius=4)["history"]["undo"] == 1


def test_a_file_that_changed_while_open_is_detected_and_exported_anew(
    desk: Desk, scan_id: str, scan_file: Writes, redust_command: Callable[..., Any], tmp_path: Path
) -> None:
    desk.export(scan_id)
    scan = scan_file("roll/a.tif", height=500, width=600, specks=90)
    desk.detect(scan_id)
    target = desk.export(scan_id)
    redust_command("restore", scan, "-o", tmp_path / "cli.tif", "--detector", "wary")
    assert target.read_bytes() == (tmp_path / "cli.tif").read_bytes()
    restored = desk.client.get(f"/api/scans/{scan_id}/dzi/restored/10/0_0").content
    shown = np.asarray(Image.open(io.BytesIO(restored)).convert("L"), np.int64)
    exported = read_scan(target).pixels[:500, :512].mean(axis=2)
    full = np.iinfo(read_scan(target).pixels.dtype).max
    assert np.abs(shown - exported / full * 255).mean() < 3


def test_corrections_of_another_size_are_no_longer_exported(desk: Desk, scan_id: str, scan_file: Writes) -> None:
    desk.edit(scan_id, kind="stroke", tool="brush", points=[[20, 20]], radius=4)
    scan_file("roll/a.tif", height=300, width=400, specks=90)
    answer = desk.client.get(f"/api/scans/{scan_id}?open=1")
    assert answer.status_code == 409
    assert "another size" in answer.json()["error"]
    assert summary(desk)["state"] == "failed"


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_thumbnails_are_upright(open_desk: Opens, tmp_path: Path, orientation: int, corner: tuple[int, int]) -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:20, :20] = 255  # its first corner as stored
    write_scan(Scan(pixels, orientation=orientation), tmp_path / "a.tif")
    desk = open_desk(tmp_path / "a.tif")
    content = desk.client.get(f"/api/scans/{desk.ids[0]}/thumbnail").content
    thumbnail = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    assert thumbnail.shape == ((80, 60) if orientation in (6, 8) else (60, 80))
    assert thumbnail[corner] > 200
    assert (thumbnail > 128).sum() == pytest.approx(400, abs=40)


def test_a_mask_is_named_after_its_scan_and_a_wrong_one_after_nothing_of_the_server(desk: Desk, scan_id: str) -> None:
    answer = desk.client.get(f"/api/scans/{scan_id}/mask")
    assert 'filename="a.png"' in answer.headers["content-disposition"]
    buffer = io.BytesIO()
    Image.new("L", (40, 40)).save(buffer, "PNG")
    refusal = desk.client.put(f"/api/scans/{scan_id}/mask", content=buffer.getvalue())
    assert refusal.status_code == 400
    assert refusal.json()["error"].startswith("The mask is 40 x 40 pixels")
