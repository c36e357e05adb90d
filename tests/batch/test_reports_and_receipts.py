"""What is left behind for people: receipts, checks of results, reports of a run."""

from __future__ import annotations

import csv
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from redust.batch.checksums import match_checksums, read_manifest
from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import LedgerEntry, OutputFile, ScanState
from redust.batch.receipts import PREMIS, Receipt, complete_receipts, write_receipt
from redust.batch.run_report import sort_by_need, write_report
from redust.batch.thumbnails import draw_thumbnails
from redust.batch.verify import Fault, verify_receipts, verify_results
from redust.batch.worker import describe_output
from redust.core.errors import SettingsError
from redust.core.scan import Scan
from redust.files import write_mask, write_scan
from redust.pipeline.job import Job

HOSTILE = "</script><img src=x onerror=alert(1)>\udcff.tif"


def entry_of(key: str, **values: object) -> LedgerEntry:
    return LedgerEntry(
        key=key, source=f"/in/{key}", size=1, mtime_ns=1, settings_sha256="s", models_sha256="m", **values
    )  # type: ignore[arg-type]


def report_of(coverage: float = 0.01) -> dict[str, object]:
    return {
        "redust": "9.9", "status": "restored", "coverage": coverage, "regions": 3, "classes": {"dust": 3, "hair": 0},
        "fill": "kriging", "models": {"unet onnx": "ab" * 32}, "settings": {}, "warnings": [], "seconds": {"read": 1.0},
    }  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Two finished scans, one of them with a hostile name, and a failed one."""
    ledger = Ledger(tmp_path)
    keys = ["a.tif", HOSTILE, "broken.tif"]
    ledger.queue(entry_of(key, position=number) for number, key in enumerate(keys))
    (tmp_path / "a.tif").write_bytes(b"result")
    output = describe_output(tmp_path / "a.tif", tmp_path)
    ledger.record_done("a.tif", report=report_of(), outputs=[output], input_sha256="0" * 64)
    ledger.record_done(HOSTILE, report=report_of(0.2), outputs=[], input_sha256="0" * 64)
    ledger.record_failure("broken.tif", kind="UnreadableScan", sentence="=It is <b>broken</b>.", exit_code=3)
    return ledger


def test_verify_tells_missing_and_changed_files(ledger: Ledger, tmp_path: Path) -> None:
    assert verify_results(ledger, tmp_path).faults == ()
    assert verify_results(ledger, tmp_path).files == 1
    (tmp_path / "a.tif").write_bytes(b"resulT")
    assert [fault.fault for fault in verify_results(ledger, tmp_path).faults] == [Fault.changed]
    (tmp_path / "a.tif").unlink()
    assert [fault.fault for fault in verify_results(ledger, tmp_path).faults] == [Fault.missing]


def test_verify_compares_receipts_with_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    receipt = Receipt("a.tif", "0" * 64, {"a.tif": "1" * 64}, report_of(), datetime(2026, 1, 2, tzinfo=UTC))
    write_receipt(receipt, tmp_path / "a.tif", premis=True)
    assert [fault.fault for fault in verify_results(ledger, tmp_path).faults] == [Fault.receipt_differs]
    assert [fault.fault for fault in verify_receipts(tmp_path).faults] == [Fault.changed]
    (tmp_path / "a.tif.receipt.json").unlink()
    complete = {"receipts": True, "premis": True}
    assert complete_receipts(ledger.entries().values(), ledger, {"a.tif": tmp_path / "a.tif"}, **complete) == 1
    assert verify_results(ledger, tmp_path).faults == verify_receipts(tmp_path).faults == ()


def test_a_receipt_names_both_files_by_their_hashes() -> None:
    receipt = Receipt("in/a.tif", "0" * 64, {"a.tif": "1" * 64}, report_of(), datetime(2026, 1, 2, tzinfo=UTC))
    facts = json.loads(receipt.to_json())
    assert facts["input_sha256"] == "0" * 64
    assert facts["outputs"] == {"a.tif": "1" * 64}
    assert facts["coverage"] == 0.01
    assert facts["date"] == "2026-01-02T00:00:00+00:00"


def test_premis_has_the_elements_in_the_order_of_its_schema() -> None:
    receipt = Receipt("in/\x07a.tif", "0" * 64, {"a.tif": "1" * 64}, report_of(), datetime(2026, 1, 2, tzinfo=UTC))
    root = ElementTree.fromstring(receipt.to_premis())
    assert [child.tag for child in root] == [f"{{{PREMIS}}}{name}" for name in ("object", "object", "event", "agent")]
    event = root.find(f"{{{PREMIS}}}event")
    assert event is not None
    names = [child.tag.removeprefix(f"{{{PREMIS}}}") for child in event]
    assert names == [
        "eventIdentifier", "eventType", "eventDateTime", "eventDetailInformation", "eventOutcomeInformation",
        "linkingAgentIdentifier", "linkingObjectIdentifier", "linkingObjectIdentifier",
    ]  # fmt: skip


def test_the_html_report_cannot_be_broken_out_of(ledger: Ledger, tmp_path: Path) -> None:
    write_report(ledger, tmp_path / "report.html", tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 2
    assert "<img" not in page.split('type="application/json">')[1].split("</script>")[0]
    data = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    assert [row["key"] for row in data["rows"]] == ["broken.tif", HOSTILE, "a.tif"]


def test_csv_and_json_tell_the_same(ledger: Ledger, tmp_path: Path) -> None:
    write_report(ledger, tmp_path / "report.csv", tmp_path)
    write_report(ledger, tmp_path / "report.json", tmp_path)
    rows = list(csv.DictReader((tmp_path / "report.csv").read_text(encoding="utf-8").splitlines()))
    lines = [json.loads(line) for line in (tmp_path / "report.json").read_text().splitlines()]
    assert [row["state"] for row in rows] == ["failed", "done", "done"]
    assert [line["status"] for line in lines] == ["restored", "restored", "failed"]
    assert rows[0]["error"] == "'=It is <b>broken</b>."
    with pytest.raises(SettingsError, match=r"\.html, \.csv"):
        write_report(ledger, tmp_path / "report.pdf", tmp_path)


def test_what_needs_a_look_comes_first() -> None:
    entries = [
        entry_of("little", coverage=0.01),
        entry_of("much", coverage=0.3),
        entry_of("no", state=ScanState.failed),
    ]
    assert [entry.key for entry in sort_by_need(entries)] == ["no", "much", "little"]


def test_a_warning_asks_for_a_look_but_not_that_a_format_is_lossy(ledger: Ledger) -> None:
    lossy = report_of(0.1) | {"warnings": ["The target's format is lossy."], "largest_change_outside": 4.0}
    for key, report in (("lossy.jpg", lossy), ("doubtful.tif", report_of(0.001) | {"warnings": ["Look."]})):
        ledger.queue([entry_of(key)])
        ledger.record_done(key, report=report, outputs=[], input_sha256="0" * 64)
    order = [entry.key for entry in sort_by_need(ledger.entries().values())]
    assert order == ["broken.tif", "doubtful.tif", HOSTILE, "lossy.jpg", "a.tif"]


def test_thumbnails_show_a_single_repaired_pixel_in_red(tmp_path: Path) -> None:
    pixels = np.full((900, 600, 3), 120, np.uint8)
    write_scan(Scan(pixels), tmp_path / "after.png")
    pixels[450, 300] = 255
    write_scan(Scan(pixels), tmp_path / "before.png")
    import cv2

    before, after = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        for data in draw_thumbnails(tmp_path / "before.png", tmp_path / "after.png")
    )
    assert before.shape == after.shape == (240, 160, 3)
    assert before[120, 80, 2] > before[120, 80, 0] + 40  # red, in B G R
    assert abs(int(after[120, 80, 2]) - 120) < 8


def test_manifests_of_sha256sum_and_bagit_are_read(tmp_path: Path) -> None:
    sums = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a.tif", "b c.tif")}
    manifest = tmp_path / "manifest-sha256.txt"
    manifest.write_text(f"{sums['a.tif']}  a.tif\n{sums['b c.tif'].upper()} *b c.tif\n")
    checksums = read_manifest(manifest)
    assert checksums == {tmp_path / name: sha256 for name, sha256 in sums.items()}
    jobs = {"a.tif": Job(tmp_path / "a.tif", tmp_path / "out/a.tif")}
    assert match_checksums(jobs, checksums, manifest) == {"a.tif": sums["a.tif"]}
    jobs["z.tif"] = Job(tmp_path / "z.tif", tmp_path / "out/z.tif")
    with pytest.raises(SettingsError, match=r"does not name .*z\.tif"):
        match_checksums(jobs, checksums, manifest)
    manifest.write_text("no checksum\n")
    with pytest.raises(SettingsError, match="Line 1"):
        read_manifest(manifest)


def test_outputs_outside_the_folder_are_known_by_their_whole_path(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(b"m")
    (tmp_path / "out").mkdir()
    assert describe_output(tmp_path / "mask.png", tmp_path / "out") == OutputFile(
        str(tmp_path / "mask.png"), 1, (tmp_path / "mask.png").stat().st_mtime_ns, hashlib.sha256(b"m").hexdigest()
    )


def test_thumbnails_of_a_lossy_result_show_the_mask_and_not_its_noise(tmp_path: Path) -> None:
    import cv2

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (240, 160, 3), dtype=np.uint8)
    write_scan(Scan(pixels), tmp_path / "before.png")
    write_scan(Scan(pixels), tmp_path / "after.jpg")
    mask = np.zeros((240, 160), np.bool_)
    mask[200:210, 20:30] = True
    write_mask(mask, tmp_path / "mask.png")
    data, _ = draw_thumbnails(tmp_path / "before.png", tmp_path / "after.jpg", mask_file=tmp_path / "mask.png")
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert shown[205, 25, 2] > shown[205, 25, 0] + 40
    assert abs(int(shown[:100, :, 2].mean()) - int(shown[:100, :, 0].mean())) < 10
