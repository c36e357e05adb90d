"""Corrections: what each edit does, that it can be undone, and that it outlives the server."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from redust.core.scan import Scan
from redust.files import write_mask, write_scan
from redust.studio.corrections import PixelState
from studio_desk import Desk

LEVEL = 10  # the level that shows every pixel of a scan of 600 x 500


def states_of(desk: Desk, scan_id: str) -> NDArray[np.uint8]:
    """The states of all pixels, put together of the tiles of the mask."""
    tiles = [
        np.asarray(Image.open(io.BytesIO(desk.client.get(f"/api/scans/{scan_id}/dzi/mask/{LEVEL}/{x}_0").content)))
        for x in range(2)
    ]
    return np.concatenate(tiles, axis=1)


def mask_of(desk: Desk, scan_id: str) -> NDArray[np.bool_]:
    """The exported mask."""
    content = desk.client.get(f"/api/scans/{scan_id}/mask").content
    return np.asarray(Image.open(io.BytesIO(content))) > 0


def test_the_tiles_show_the_mask_that_is_exported(desk: Desk, scan_id: str) -> None:
    desk.edit(scan_id, kind="stroke", tool="brush", points=[[20, 20], [200, 90]], radius=4)
    desk.edit(scan_id, kind="stroke", tool="erase", points=[[100, 0], [110, 480]], radius=30)
    states = states_of(desk, scan_id)
    assert set(np.unique(states)) == {0, 1, 2, 3}
    assert np.array_equal(mask_of(desk, scan_id), (states == 1) | (states == 2))


@pytest.mark.parametrize("tool", ["brush", "erase", "protect"])
def test_a_stroke_is_round_and_as_wide_as_it_says(desk: Desk, scan_id: str, tool: str) -> None:
    result = desk.edit(scan_id, kind="stroke", tool=tool, points=[[300, 250]], radius=20)
    state = {"brush": 2, "erase": 3, "protect": 4}[tool]
    painted = states_of(desk, scan_id) == state
    assert np.count_nonzero(painted) == pytest.approx(np.pi * 20**2, rel=0.05)
    assert painted[250, 300]
    assert not painted[225, 300]
    assert sorted(result["dirty"]) == [[256, 0, 256, 256], [256, 256, 256, 244]]


def test_a_thin_stroke_marks_at_least_a_pixel(desk: Desk, scan_id: str) -> None:
    desk.edit(scan_id, kind="stroke", tool="brush", points=[[300.4, 250.4]], radius=0.3)
    assert states_of(desk, scan_id)[250, 300] == 2


def test_what_is_protected_is_touched_by_no_brush(desk: Desk, scan_id: str) -> None:
    desk.edit(scan_id, kind="polygon", tool="protect", points=[[100, 100], [300, 100], [300, 300], [100, 300]])
    desk.edit(scan_id, kind="stroke", tool="brush", points=[[50, 200], [350, 200]], radius=10)
    desk.edit(scan_id, kind="stroke", tool="erase", points=[[50, 250], [350, 250]], radius=10)
    assert (states_of(desk, scan_id)[100:300, 100:300] == PixelState.protected).all()
    assert not mask_of(desk, scan_id)[100:300, 100:300].any()
    desk.edit(scan_id, kind="unprotect", points=[[100, 200], [300, 200]], radius=10)
    assert (states_of(desk, scan_id)[195:205, 110:290] <= PixelState.automatic).all()


def test_a_click_drops_a_region_and_brings_it_back(desk: Desk, scan_id: str) -> None:
    before = mask_of(desk, scan_id)
    (region,) = desk.get(f"/api/scans/{scan_id}/regions", limit=1, sort="size")["regions"]
    x, y = region["point"]
    desk.edit(scan_id, kind="region", x=x, y=y)
    dropped = mask_of(desk, scan_id)
    _, labels = cv2.connectedComponents(before.view(np.uint8))
    assert np.array_equal(dropped, before & (labels != labels[y, x]))
    states = {record["id"]: record["state"] for record in desk.get(f"/api/scans/{scan_id}/regions")["regions"]}
    assert states[region["id"]] == "dropped"
    desk.edit(scan_id, kind="region", x=x, y=y)
    assert np.array_equal(mask_of(desk, scan_id), before)


def test_a_region_drawn_by_hand_is_dropped_and_brought_back(desk: Desk, scan_id: str) -> None:
    desk.edit(scan_id, kind="clear")
    desk.edit(scan_id, kind="polygon", tool="brush", points=[[10, 10], [590, 10], [590, 490], [10, 490]])
    drawn = mask_of(desk, scan_id)
    desk.edit(scan_id, kind="region", x=300, y=250)  # it reaches far beyond the window that is searched first
    assert not mask_of(desk, scan_id)[20:480, 20:580].any()
    desk.edit(scan_id, kind="region", x=300, y=250)
    assert np.array_equal(mask_of(desk, scan_id), drawn)


def test_a_click_on_nothing_says_so_and_is_no_edit(desk: Desk, scan_id: str) -> None:
    desk.edit(scan_id, kind="polygon", tool="protect", points=[[0, 0], [600, 0], [600, 500], [0, 500]])
    result = desk.edit(scan_id, kind="region", x=300, y=250)
    assert "no region" in result["message"]
    assert result["history"] == {"undo": 1, "redo": 0}
    assert result["dirty"] == []


def test_a_boost_marks_what_was_missed_and_goes_on(open_desk: Callable[..., Desk], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(100, 104, (400, 400, 3)).astype(np.uint8)
    for row, light in ((100, 220), (150, 150), (200, 125)):  # below the detector's notice, ever fainter
        pixels[row : row + 4, 200:204] = light
    write_scan(Scan(pixels), tmp_path / "a.png")
    desk = open_desk(tmp_path / "a.png")
    (scan,) = desk.ids
    assert "Nothing was found" in desk.detect(scan)["message"]
    marked = []
    for _ in range(3):
        desk.edit(scan, kind="boost", box=[150, 50, 100, 200])
        marked.append([bool(mask_of(desk, scan)[row + 1, 201]) for row in (100, 150, 200)])
    assert marked[0][0]
    assert marked[-1] == [True, True, True]
    assert not mask_of(desk, scan)[:, :150].any()


def test_two_clicks_mark_a_scratch_along_its_bends(open_desk: Callable[..., Desk], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(100, 110, (500, 600), dtype=np.uint8)
    x = np.arange(50, 551)
    y = np.rint(250 + 40 * np.sin(x / 80)).astype(int)
    cv2.polylines(pixels, [np.stack([x, y], axis=1).reshape(-1, 1, 2)], False, 150, 2)
    write_scan(Scan(pixels[..., None]), tmp_path / "a.png")
    desk = open_desk(tmp_path / "a.png")
    (scan,) = desk.ids
    desk.detect(scan)
    desk.edit(scan, kind="scratch", **{"from": [50, int(y[0])], "to": [550, int(y[-1])], "width": 4})
    mask = mask_of(desk, scan)
    assert mask[y, x].mean() > 0.97
    assert np.count_nonzero(mask) < 8 * len(x)


def test_500_edits_are_undone_and_redone(desk: Desk, scan_id: str) -> None:
    generator, masks = random.Random(0), [states_of(desk, scan_id)]
    for number in range(500):
        tool = generator.choice(["brush", "erase"])
        points = [[generator.uniform(-20, 620), generator.uniform(-20, 520)] for _ in range(3)]
        desk.edit(scan_id, kind="stroke", tool=tool, points=points, radius=generator.uniform(1, 9))
        if number % 50 == 0:
            masks.append(states_of(desk, scan_id))
    last = states_of(desk, scan_id)
    undone = 0
    while desk.get(f"/api/scans/{scan_id}")["history"]["undo"]:
        desk.send("POST", f"/api/scans/{scan_id}/undo")
        undone += 1
    assert undone > 450  # a stroke that changes nothing is no edit
    assert np.array_equal(states_of(desk, scan_id), masks[0])
    assert desk.get(f"/api/scans/{scan_id}")["state"] == "detected"
    for _ in range(undone):
        desk.send("POST", f"/api/scans/{scan_id}/redo")
    assert np.array_equal(states_of(desk, scan_id), last)
    assert "nothing to redo" in desk.send("POST", f"/api/scans/{scan_id}/redo")["message"]


def test_an_edit_after_an_undo_forgets_what_was_undone(desk: Desk, scan_id: str) -> None:
    for x in (100, 200):
        desk.edit(scan_id, kind="stroke", tool="brush", points=[[x, 100]], radius=9)
    desk.send("POST", f"/api/scans/{scan_id}/undo")
    result = desk.edit(scan_id, kind="stroke", tool="brush", points=[[300, 100]], radius=9)
    assert result["history"] == {"undo": 2, "redo": 0}
    states = states_of(desk, scan_id)
    assert [states[100, x] for x in (100, 200, 300)] == [2, 0, 2]


def test_clear_takes_all_back_and_can_itself_be_undone(desk: Desk, scan_id: str) -> None:
    before = states_of(desk, scan_id)
    desk.edit(scan_id, kind="stroke", tool="erase", points=[[0, 0], [600, 500]], radius=40)
    corrected = states_of(desk, scan_id)
    desk.edit(scan_id, kind="clear")
    assert np.array_equal(states_of(desk, scan_id), before)
    desk.send("POST", f"/api/scans/{scan_id}/undo")
    assert np.array_equal(states_of(desk, scan_id), corrected)


def test_a_mask_is_loaded_in_place_of_everything(desk: Desk, scan_id: str, tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((500, 600)) > 0.9
    write_mask(mask, tmp_path / "mask.png")
    answer = desk.client.put(f"/api/scans/{scan_id}/mask", content=(tmp_path / "mask.png").read_bytes())
    assert answer.status_code == 200
    assert np.array_equal(mask_of(desk, scan_id), mask)
    assert desk.settle(scan_id)["coverage"] == pytest.approx(mask.mean())


def test_a_mask_of_another_size_is_refused(desk: Desk, scan_id: str, tmp_path: Path) -> None:
    write_mask(np.ones((5, 5), np.bool_), tmp_path / "mask.png")
    answer = desk.client.put(f"/api/scans/{scan_id}/mask", content=(tmp_path / "mask.png").read_bytes())
    assert answer.status_code == 400
    assert "600 x 500" in answer.json()["error"]


def test_a_new_server_goes_on_where_one_was_killed(desk: Desk, scan_id: str, open_desk: Callable[..., Desk]) -> None:
    desk.send("PATCH", f"/api/scans/{scan_id}/settings", {"sensitivity": 0.9, "grow": 4})
    desk.edit(scan_id, kind="stroke", tool="brush", points=[[20, 20], [200, 90]], radius=4)
    desk.edit(scan_id, kind="stroke", tool="erase", points=[[300, 20], [400, 490]], radius=40)
    desk.send("POST", f"/api/scans/{scan_id}/undo")
    before, states = desk.settle(scan_id), states_of(desk, scan_id)
    again = open_desk(desk.studio.library.find(scan_id).source.parent)  # while the first still runs: it ends no way
    assert again.ids == [scan_id]
    detail = again.get(f"/api/scans/{scan_id}", open=1)
    assert detail["state"] in ("corrected", "detecting")
    job = again.get("/api/jobs")["jobs"][0]
    again.wait(job)
    assert "detect" not in {record["step"] for record in again.get("/api/jobs")["jobs"]}  # the map was on the disk
    after = again.get(f"/api/scans/{scan_id}")
    shared = ("settings", "history", "coverage", "regions", "counts", "state")
    assert {name: after[name] for name in shared} == {name: before[name] for name in shared}
    assert np.array_equal(states_of(again, scan_id), states)
    again.send("POST", f"/api/scans/{scan_id}/redo")
    assert not np.array_equal(states_of(again, scan_id), states)


def test_coverage_and_regions_follow(desk: Desk, scan_id: str) -> None:
    desk.edit(scan_id, kind="stroke", tool="brush", points=[[20, 20], [200, 90]], radius=4)
    desk.edit(scan_id, kind="stroke", tool="erase", points=[[300, 20], [400, 490]], radius=40)
    detail: dict[str, Any] = desk.settle(scan_id)
    mask = mask_of(desk, scan_id)
    assert detail["coverage"] == pytest.approx(mask.mean())
    regions = desk.get(f"/api/scans/{scan_id}/regions", limit=5000)["regions"]
    marked = [region for region in regions if region["state"] in ("kept", "by_hand")]
    assert detail["regions"] == len(marked)
    assert [region["state"] for region in regions].count("by_hand") == 1
    assert all(mask[region["point"][1], region["point"][0]] for region in marked)


def test_corrections_are_not_put_onto_a_file_of_another_size(
    desk: Desk, scan_id: str, open_desk: Callable[..., Desk]
) -> None:
    desk.edit(scan_id, kind="stroke", tool="brush", points=[[590, 490]], radius=4)
    source = desk.studio.library.find(scan_id).source
    write_scan(Scan(np.full((100, 120, 3), 90, np.uint8)), source, overwrite=True)
    answer = open_desk(source.parent).client.get(f"/api/scans/{scan_id}/dzi/mask/0/0_0")
    assert answer.status_code == 409
    assert "another size" in answer.json()["error"]
