"""Material of the user: read from files, scattered over the canvas, refused when unusable."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from redust.core.errors import ScanError
from redust.synthesis.material import Cracks, Folds, Outlines, Overlays

CANVAS = (120, 150)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def write_disc(path: Path, side: int = 40) -> None:
    path.parent.mkdir(exist_ok=True)
    disc = cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), side // 3, 255, -1)
    assert cv2.imwrite(str(path), disc)


def test_overlays_are_grouped_by_folder(tmp_path: Path) -> None:
    write_disc(tmp_path / "dots" / "a.png")
    write_disc(tmp_path / "lint" / "b.png")
    (tmp_path / "empty").mkdir()
    overlays = Overlays.from_folder(tmp_path)
    assert sorted(overlays.paths) == ["dots", "lint"]
    kinds = {overlays.draw_coverage(CANVAS, 1.0, rng(seed))[0] for seed in range(20)}
    assert kinds == {"dots", "lint"}


def test_a_flat_folder_is_one_kind(tmp_path: Path) -> None:
    write_disc(tmp_path / "a.png")
    kind, coverage = Overlays.from_folder(tmp_path).draw_coverage(CANVAS, 1.0, rng(2))
    assert kind == "overlay"
    assert coverage.shape == CANVAS
    assert 0 <= coverage.min() <= coverage.max() <= 1


def test_an_unreadable_overlay_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ScanError, match=r"broken\.png.*Remove it"):
        Overlays.from_folder(tmp_path).draw_coverage(CANVAS, 1.0, rng())
    with pytest.raises(ScanError, match="no folder"):
        Overlays.from_folder(tmp_path / "nowhere")


def outlines(path: Path, *artefacts: tuple[str, list[list[int]]]) -> Outlines:
    path.write_text(json.dumps({"artefacts": [{"class": kind, "points": points} for kind, points in artefacts]}))
    return Outlines.from_file(path)


SQUARE = [[100, 100], [100, 130], [130, 130], [130, 100]]


def test_outlines_are_drawn_at_the_resolution(tmp_path: Path) -> None:
    frame = outlines(tmp_path / "frame.json", ("dirt", SQUARE))
    areas = []
    for scale in (0.5, 1.0):
        masks = [frame.draw_coverage((200, 200), scale, rng(seed))[1] for seed in range(20)]
        areas.append(max(int(mask.sum()) for mask in masks))
    assert areas[0] == pytest.approx(15**2, rel=0.25)
    assert areas[1] == pytest.approx(30**2, rel=0.15)


def test_the_coverage_of_outlines_stays_at_the_polygon(tmp_path: Path) -> None:
    frame = outlines(tmp_path / "frame.json", ("dirt", SQUARE))
    for seed in range(10):
        coverage, damaged = frame.draw_coverage((200, 200), 1.0, rng(seed))
        far = cv2.dilate(damaged.astype(np.uint8), np.ones((15, 15), np.uint8)) == 0
        assert coverage[far].max(initial=0) == 0


def test_rare_kinds_are_drawn_often(tmp_path: Path) -> None:
    hair = [[9000, 9000], [9000, 9010], [9200, 9010]]
    frame = outlines(tmp_path / "frame.json", ("hair", hair), *[("dust", SQUARE)] * 99)
    picked = [frame._pick_artefact(rng(seed)) for seed in range(400)]
    assert np.mean(np.equal(picked, 0)) == pytest.approx(0.25, abs=0.08)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"artefacts": []}', '{"artefacts": [{"class": "dust", "points": [[1, 2]]}]}']
)
def test_files_without_outlines_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "frame.json").write_text(content)
    with pytest.raises(ScanError, match="holds no outlines"):
        Outlines.from_file(tmp_path / "frame.json")


def test_cracks_are_unpacked_and_cross_the_canvas(tmp_path: Path) -> None:
    np.savez(tmp_path / "cracks.npz", masks=np.packbits(np.eye(224, dtype=np.uint8).reshape(1, -1), axis=1))
    cracks = Cracks.from_file(tmp_path / "cracks.npz")
    np.testing.assert_array_equal(cracks.masks[0], np.eye(224))
    drawn = [cracks.draw_coverage(CANVAS, 1.0, rng(seed)) for seed in range(10)]
    assert all(coverage.shape == CANVAS for coverage in drawn)
    assert sum(coverage.max() > 0.3 for coverage in drawn) >= 5


def test_files_without_cracks_are_refused(tmp_path: Path) -> None:
    for name, arrays in (
        ("other.npz", {"shapes": np.zeros(3)}),
        ("empty.npz", {"masks": np.zeros((0, 6272), np.uint8)}),
    ):
        np.savez(tmp_path / name, **arrays)
        with pytest.raises(ScanError, match="holds no cracks"):
            Cracks.from_file(tmp_path / name)
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(ScanError, match="holds no cracks"):
        Cracks.from_file(tmp_path / "broken.npz")


def test_a_folder_without_folds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="No pictures of folds"):
        Folds.from_folder(tmp_path)


def test_folds_are_drawn_at_any_size(tmp_path: Path) -> None:
    paper = np.full((90, 120), 200, np.uint8)
    paper[:, 58:62] = 90
    cv2.imwrite(str(tmp_path / "paper.png"), paper)
    folds = Folds.from_folder(tmp_path)
    for canvas in ((30, 40), (300, 200)):
        ratio = folds.draw_log_ratio(canvas, 1.0, rng())
        assert ratio.shape == canvas
        assert ratio.min() < -0.2


def test_synthesis_imports_no_torch() -> None:
    rooms = "redust.synthesis.write_pairs, redust.synthesis.sheet, redust.synthesis.holes"
    program = f"import sys, {rooms}; print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
