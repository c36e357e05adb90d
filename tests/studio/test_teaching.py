"""Corrections teach: regions like those that were dropped go, on other scans too; undone, kept, or said why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from redust.core.labels import Label
from redust.core.scan import Scan
from redust.core.settings import Sensitivity
from redust.decision.region_features import FEATURES
from redust.files import write_scan
from redust.models.card import read_card
from redust.studio.refusals import BadRequest
from redust.studio.teaching_samples import LabelledRegions, fit_corrections
from studio_desk import Desk


def draw_plate(seed: int) -> np.ndarray:
    """Noise with white specks and with white rings of a scene, (900, 900, 1) uint8."""
    random = np.random.default_rng(seed)
    pixels = random.normal(110, 5, (900, 900)).clip(0, 255).astype(np.uint8)
    for number, (x, y) in enumerate(random.integers(20, 880, (120, 2)).tolist()):
        if number % 2:
            cv2.circle(pixels, (x, y), 7, 250, 2, cv2.LINE_AA)
        else:
            cv2.circle(pixels, (x, y), 2, 250, -1, cv2.LINE_AA)
    return pixels[..., None]


@pytest.fixture
def plates(open_desk: Callable[..., Desk], tmp_path: Path) -> Desk:
    """Two such plates, detected."""
    (tmp_path / "roll").mkdir()
    for seed in range(2):
        write_scan(Scan(draw_plate(seed)), tmp_path / f"roll/{seed}.png")
    desk = open_desk(tmp_path / "roll", detector="unet")
    for scan in desk.ids:
        desk.detect(scan)
    return desk


def count_rings(desk: Desk, scan_id: str) -> tuple[int, int]:
    """How many large and how many small regions are marked."""
    regions = desk.get(f"/api/scans/{scan_id}/regions", limit=1000)["regions"]
    boxes = [region["box"] for region in regions if region["state"] == "kept"]
    large = sum(max(box[2:]) > 10 for box in boxes)
    return large, len(boxes) - large


def test_regions_like_the_dropped_ones_go_everywhere(plates: Desk) -> None:
    first, second = plates.ids
    before = count_rings(plates, second)
    assert min(before) > 10
    regions = plates.get(f"/api/scans/{first}/regions", limit=1000)["regions"]
    for region in [region for region in regions if max(region["box"][2:]) > 10][:20]:
        plates.edit(first, kind="region", x=region["point"][0], y=region["point"][1])
    job = plates.wait(plates.send("POST", "/api/teach", {"scans": "corrected"}))
    changes = {change["id"]: change for change in job["result"]["changes"]}
    after = count_rings(plates, second)
    assert after[0] < before[0] / 4  # the rings
    assert after[1] > before[1] / 2  # the specks
    assert changes[second]["removed"] >= before[0] - after[0]
    assert plates.get("/api/settings")["taught"]

    path = plates.send("POST", "/api/teach/keep", {"name": "mine"})["path"]
    assert path == "models/mine"
    assert read_card(plates.studio.output / path).regions == "regions"
    assert plates.client.post("/api/teach/keep", json={"name": "mine"}).status_code == 409

    plates.send("POST", "/api/teach/undo")
    for scan in plates.ids:
        plates.detect(scan)
    assert count_rings(plates, second) == before
    assert not plates.get("/api/settings")["taught"]


def test_teaching_says_what_to_install(desk: Desk, scan_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redust.studio.teaching.find_spec", lambda name: None)
    answer = desk.client.post("/api/teach", json={"scans": [scan_id]})
    assert answer.status_code == 501
    assert "pip install 'redust[train]'" in answer.json()["error"]


def test_a_detector_without_a_network_cannot_be_taught(desk: Desk, scan_id: str) -> None:
    answer = desk.client.post("/api/teach", json={"scans": [scan_id]})
    assert answer.status_code == 400
    assert "no network" in answer.json()["error"]


def test_without_corrections_there_is_nothing_to_teach_or_undo(desk: Desk, scan_id: str) -> None:
    assert desk.client.post("/api/teach", json={"scans": "corrected"}).status_code == 400
    assert desk.client.post("/api/teach/undo").status_code == 409
    assert desk.client.post("/api/teach/keep", json={"name": "mine"}).status_code == 409
    assert desk.client.post("/api/teach/keep", json={"name": "../mine"}).status_code == 400


@pytest.fixture
def labelled() -> LabelledRegions:
    """400 regions, all marked; 10 of the 200 that have a high first feature were dropped."""
    random = np.random.default_rng(0)
    values = random.normal(0, 1, (400, len(FEATURES))).astype(np.float32)
    labels = np.full(400, Label.damage, np.int16)
    values[200:, 0] += 8
    labels[200:210] = Label.background
    corrected = np.zeros(400, np.bool_)
    corrected[200:210] = True
    return LabelledRegions(values, labels, corrected)


def test_a_few_corrections_spread_to_what_is_alike(labelled: LabelledRegions) -> None:
    fitted, levels = fit_corrections([labelled])
    scores = fitted.predict(labelled.values)
    assert (scores[210:] < levels[Sensitivity.normal]).mean() > 0.8  # like those that were dropped
    assert (scores[:200] >= levels[Sensitivity.normal]).mean() > 0.9
    assert levels[Sensitivity.shy] > levels[Sensitivity.normal] > levels[Sensitivity.eager]


def test_corrections_of_nothing_that_is_measured_are_refused(labelled: LabelledRegions) -> None:
    nothing = LabelledRegions(labelled.values, labelled.labels, np.zeros(400, np.bool_))
    with pytest.raises(BadRequest, match="Drop or mark some"):
        fit_corrections([nothing])
