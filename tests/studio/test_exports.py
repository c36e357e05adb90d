"""An export is what the command line writes, byte for byte, and stands in the ledger as a batch run would have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawing import draw
from redust.batch.ledger import Ledger
from redust.core.scan import Scan
from redust.files import write_scan
from redust.synthesis.infrared_film import InfraredFrame, InfraredScanner, draw_infrared_frame
from studio_desk import Desk, wait_until

FLAGS = ("--detector", "wary")


@pytest.mark.parametrize(
    ("choices", "flags"),
    [
        ({}, ()),
        ({"sensitivity": 0}, ("--sensitivity", "shy")),
        ({"sensitivity": 1}, ("--sensitivity", "eager")),
        ({"grow": 0, "min_size": 3, "max_size": 40}, ("--grow", 0, "--min-size", 3, "--max-size", 40)),
        ({"classes": ["hair", "dust"], "polarity": "bright"},
         ("--only", "dust", "--only", "hair", "--polarity", "bright")),
        ({"fill": "telea", "grain": False, "exposure": 2, "invert": True}, ("--fill", "telea", "--grain", 0)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_export_is_what_restore_writes(
    open_desk: Callable[..., Desk], scan_file: Callable[..., Path], redust_command: Callable[..., Any], tmp_path: Path,
    choices: dict[str, Any], flags: tuple[object, ...], dtype: Any,
) -> None:  # fmt: skip
    scan = scan_file("roll/a.tif", height=300, width=400, specks=300, dtype=dtype)
    desk = open_desk(scan)
    desk.send("PATCH", f"/api/scans/{desk.ids[0]}/settings", choices)
    target = desk.export(desk.ids[0])
    ended = redust_command("restore", scan, "-o", tmp_path / "cli.tif", *FLAGS, *flags)
    assert ended.code == 0, ended.err
    assert target.read_bytes() == (tmp_path / "cli.tif").read_bytes()
    assert target.read_bytes() != scan.read_bytes()


@pytest.mark.parametrize("detector", ["unet", "tophat"])
def test_so_it_is_with_the_detectors_that_ship(
    open_desk: Callable[..., Desk], scan_file: Callable[..., Path], redust_command: Callable[..., Any], tmp_path: Path,
    detector: str,
) -> None:  # fmt: skip
    scan = scan_file("roll/a.png", height=300, width=400, specks=300)
    desk = open_desk(scan, detector=detector)
    target = desk.export(desk.ids[0])
    redust_command("restore", scan, "-o", tmp_path / "cli.png", "--detector", detector)
    assert target.read_bytes() == (tmp_path / "cli.png").read_bytes()


def test_a_corrected_export_is_what_restore_writes_with_the_exported_mask(
    desk: Desk, scan_id: str, redust_command: Callable[..., Any], tmp_path: Path
) -> None:
    desk.edit(scan_id, kind="stroke", tool="brush", points=[[20, 20], [200, 90]], radius=4)
    desk.edit(scan_id, kind="polygon", tool="erase", points=[[300, 200], [500, 200], [400, 480]])
    desk.send("PATCH", f"/api/scans/{scan_id}/settings", {"sensitivity": 0.73})
    (tmp_path / "mask.png").write_bytes(desk.client.get(f"/api/scans/{scan_id}/mask").content)
    target = desk.export(scan_id)
    source = desk.studio.library.find(scan_id).source
    redust_command("restore", source, "-o", tmp_path / "cli.tif", "--mask", tmp_path / "mask.png", *FLAGS)
    assert target.read_bytes() == (tmp_path / "cli.tif").read_bytes()
    assert desk.client.get(f"/api/scans/{scan_id}/result").content == target.read_bytes()


def test_the_exported_mask_is_what_detect_writes(
    desk: Desk, scan_id: str, redust_command: Callable[..., Any], tmp_path: Path
) -> None:
    source = desk.studio.library.find(scan_id).source
    redust_command("detect", source, "-o", tmp_path / "masks", *FLAGS)
    assert desk.client.get(f"/api/scans/{scan_id}/mask").content == (tmp_path / "masks/a.png").read_bytes()


def test_a_later_batch_run_sees_exports_as_done(
    open_desk: Callable[..., Desk], scan_file: Callable[..., Path], redust_command: Callable[..., Any]
) -> None:
    scan_file("roll/a.tif")
    roll = scan_file("roll/sub/b.tif", seed=1).parent.parent
    desk = open_desk(roll)
    target = desk.export(desk.ids[1])
    output = desk.studio.output
    assert target == output / "sub/b.tif"
    written = target.stat().st_mtime_ns
    assert redust_command("status", output).out.startswith("1 done")
    ended = redust_command("restore", roll, "-o", output, *FLAGS)
    assert ended.code == 0, ended.err
    assert redust_command("status", output).out.startswith("2 done")
    assert target.stat().st_mtime_ns == written
    assert redust_command("verify", output).code == 0
    with Ledger(output) as ledger:
        reports = [ledger.read_report(key) for key in ledger.entries()]
    assert [report["status"] for report in reports] == ["restored", "restored"]
    assert reports[0].keys() == reports[1].keys()
    assert [report["detector"] for report in reports] == ["wary", "wary"]


def test_a_strangers_file_is_not_replaced(desk: Desk, scan_id: str) -> None:
    (desk.studio.output / "a.tif").write_bytes(b"mine")
    job = desk.wait(desk.send("POST", f"/api/scans/{scan_id}/export", {}), "failed")
    assert "exists already" in job["message"]
    assert (desk.studio.output / "a.tif").read_bytes() == b"mine"


def test_an_export_can_be_repeated_after_corrections(desk: Desk, scan_id: str) -> None:
    first = desk.export(scan_id).read_bytes()
    assert desk.get(f"/api/scans/{scan_id}")["state"] == "exported"
    desk.edit(scan_id, kind="stroke", tool="brush", points=[[20, 20], [200, 90]], radius=4)
    assert desk.get(f"/api/scans/{scan_id}")["state"] == "corrected"
    assert desk.export(scan_id).read_bytes() != first


def test_one_scan_that_fails_does_not_stop_the_others(
    open_desk: Callable[..., Desk], scan_file: Callable[..., Path]
) -> None:
    roll = scan_file("roll/a.tif").parent
    (roll / "b.tif").write_bytes((roll / "a.tif").read_bytes()[:2000])
    scan_file("roll/c.tif", seed=3)
    desk = open_desk(roll)
    result = desk.wait(desk.send("POST", "/api/exports", {"scans": "all"}))["result"]
    assert (result["exported"], [failure["id"] for failure in result["failed"]]) == (2, [desk.ids[1]])
    states = [scan["state"] for scan in desk.get("/api/scans")["scans"]]
    assert states == ["exported", "failed", "exported"]
    assert desk.get("/api/scans", state="failed")["scans"][0]["error"]


def test_corrected_scans_become_training_pairs(desk: Desk, scan_id: str) -> None:
    from redust.files.pairs import find_splits, read_truth

    desk.edit(scan_id, kind="stroke", tool="brush", points=[[20, 20], [200, 90]], radius=4)
    desk.wait(desk.send("POST", "/api/training-pairs", {"scans": [scan_id]}))
    (pair,) = find_splits(desk.studio.output / "training-pairs").train
    assert pair.picture.read_bytes() == desk.studio.library.find(scan_id).source.read_bytes()
    assert pair.mask is not None
    assert read_truth(pair.mask, (500, 600), None)[20, 20] == 255


def test_what_is_on_the_screen_is_repaired_at_once(desk: Desk, scan_id: str) -> None:
    tile = f"/api/scans/{scan_id}/dzi/restored/10/0_0"
    assert desk.client.get(tile).status_code == 404
    before = desk.get(f"/api/scans/{scan_id}")["revision"]
    assert desk.send("POST", f"/api/scans/{scan_id}/repair", {"box": [0, 0, 600, 500]})["revision"] > before
    restored = desk.client.get(tile).content
    assert restored != desk.client.get(tile.replace("restored", "scan")).content
    desk.export(scan_id)
    assert desk.client.get(tile).content == restored


def test_a_box_that_is_too_large_is_refused(open_desk: Callable[..., Desk], scan_file: Callable[..., Path]) -> None:
    desk = open_desk(scan_file("a.png", height=2100, width=2100))
    answer = desk.client.post(f"/api/scans/{desk.ids[0]}/repair", json={"box": [0, 0, 2100, 2100]})
    assert answer.status_code == 400
    assert "4 megapixels" in answer.json()["error"]


def test_an_export_can_be_cancelled(desk: Desk, scan_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from redust.pipeline.pipeline import Pipeline

    run = Pipeline.run

    def run_slowly(pipeline: Pipeline, *arguments: Any, **choices: Any) -> Any:
        job = desk.studio.jobs.records()[0]
        desk.send("DELETE", f"/api/jobs/{job.id}")
        return run(pipeline, *arguments, **choices)

    monkeypatch.setattr(Pipeline, "run", run_slowly)
    desk.wait(desk.send("POST", f"/api/scans/{scan_id}/export", {}), "cancelled")
    assert not (desk.studio.output / "a.tif").exists()
    assert desk.get(f"/api/scans/{scan_id}")["state"] == "detected"
    monkeypatch.undo()
    wait_until(lambda: desk.export(scan_id))


def test_a_negative_is_exported_as_restore_does(
    open_desk: Callable[..., Desk], tmp_path: Path, redust_command: Callable[..., Any]
) -> None:
    light = draw(300, 400, specks=300, dtype=np.float32)
    orange = (0.08 + 0.9 * (1 - 0.9 * light)) * np.array([0.95, 0.6, 0.4])
    write_scan(Scan(np.rint(orange * 65535).astype(np.uint16)), tmp_path / "a.tif")
    desk = open_desk(tmp_path / "a.tif")
    target = desk.export(desk.ids[0])
    redust_command("restore", tmp_path / "a.tif", "-o", tmp_path / "cli.tif", *FLAGS)
    assert target.read_bytes() == (tmp_path / "cli.tif").read_bytes() != (tmp_path / "a.tif").read_bytes()
    with Ledger(desk.studio.output) as ledger:
        assert ledger.read_report("a.tif")["film"] == "negative"


@pytest.fixture
def film_frame() -> InfraredFrame:
    """A frame of colour film with dust, and its infrared."""
    return draw_infrared_frame((600, 700), InfraredScanner(), seed=1)


def test_a_scan_with_infrared_is_exported_as_restore_does(
    open_desk: Callable[..., Desk], tmp_path: Path, redust_command: Callable[..., Any], film_frame: InfraredFrame
) -> None:
    write_scan(Scan(film_frame.pixels, infrared=film_frame.infrared), tmp_path / "a.tif")
    desk = open_desk(tmp_path / "a.tif")
    target = desk.export(desk.ids[0])
    ended = redust_command("restore", tmp_path / "a.tif", "-o", tmp_path / "cli.tif", *FLAGS)
    assert ended.code == 0, ended.err
    assert target.read_bytes() == (tmp_path / "cli.tif").read_bytes() != (tmp_path / "a.tif").read_bytes()


def test_when_the_infrared_beside_a_scan_changes_it_is_searched_again(
    open_desk: Callable[..., Desk], tmp_path: Path, redust_command: Callable[..., Any], film_frame: InfraredFrame
) -> None:
    (tmp_path / "roll").mkdir()
    write_scan(Scan(film_frame.pixels), tmp_path / "roll/a.tif")
    infrared = film_frame.infrared.copy()
    desk = open_desk(tmp_path / "roll")
    restored = []
    for name in ("whole.tif", "half.tif"):
        write_scan(Scan(infrared[..., None]), tmp_path / "roll/a_IR.tif", overwrite=True)
        desk.detect(desk.ids[0])
        target = desk.export(desk.ids[0])
        redust_command("restore", tmp_path / "roll/a.tif", "-o", tmp_path / name, *FLAGS)
        assert target.read_bytes() == (tmp_path / name).read_bytes()
        restored.append(target.read_bytes())
        infrared[:300] = np.median(infrared)
    assert restored[0] != restored[1]
    again = redust_command("restore", tmp_path / "roll", "-o", desk.studio.output, *FLAGS)
    assert "to do: 0; finished already: 1" in again.err
