"""`restore` over many scans, `status` and `verify`, as a user types them."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from redust.batch.estimate import choose_workers, estimate_megapixels, read_megapixels
from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import LedgerEntry
from redust.core.settings import RestoreSettings

Command = Callable[..., Any]
FAST = ("--detector", "tophat", "--fill", "navier-stokes")
START = (sys.executable, "-c", "from redust.cli.entry import main; main()")


@pytest.fixture
def roll(scan_file: Callable[..., Path], tmp_path: Path) -> Path:
    """Three scans in two folders."""
    for number, name in enumerate(("a/1.tif", "a/2.png", "b/1.tif")):
        scan_file(f"in/{name}", seed=number)
    return tmp_path / "in"


def test_a_second_run_skips_what_is_finished_and_says_so(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    command = ("restore", roll, "-o", tmp_path / "out", "--report", tmp_path / "r.json", *FAST)
    assert redust_command(*command).code == 0
    ended = redust_command(*command)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines() == ["Scans to do: 0; finished already: 3.", "3 of 3 scans done."]
    assert len((tmp_path / "r.json").read_text().splitlines()) == 3


def test_a_scan_is_done_again_when_the_infrared_beside_it_changes(
    redust_command: Command, roll: Path, scan_file: Callable[..., Path], tmp_path: Path
) -> None:
    scan_file("in/a/1_IR.tif", seed=0, channels=1)
    command = ("restore", roll, "-o", tmp_path / "out", *FAST)
    assert redust_command(*command).code == 0
    assert "to do: 0; finished already: 3" in redust_command(*command).err
    scan_file("in/a/1_IR.tif", seed=5, channels=1)
    assert "to do: 1; finished already: 2" in redust_command(*command).err
    (roll / "a/1_IR.tif").unlink()
    assert "to do: 1; finished already: 2" in redust_command(*command).err


def test_a_warning_that_many_scans_give_is_shown_a_few_times_and_counted(
    scan_file: Callable[..., Path], tmp_path: Path
) -> None:
    for number in range(7):
        scan_file(f"in/{number}.jpg", seed=number, height=80 + number)
    command = [*START, "restore", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *FAST, "--workers", "1"]
    ended = subprocess.run([*command, "--report", str(tmp_path / "r.json")], capture_output=True, text=True, check=True)
    lines = [line for line in ended.stderr.splitlines() if "format is lossy" in line]
    assert [line.partition(":")[0] for line in lines] == ["warning"] * 3 + ["4 more warnings of this kind"]
    assert (tmp_path / "r.json").read_text().count("format is lossy") == 7


def test_failed_scans_wait_for_retry_and_decide_the_exit_code(
    redust_command: Command, roll: Path, tmp_path: Path
) -> None:
    (roll / "b/2.tif").write_bytes(b"no picture")
    command = ("restore", roll, "-o", tmp_path / "out", *FAST)
    assert redust_command(*command).code == 3
    ended = redust_command(*command)
    assert (ended.code, "failed earlier: 1" in ended.err) == (3, True)
    assert "It is no picture" in redust_command(*command, "--retry-failed").err
    (roll / "b/2.tif").write_bytes((roll / "b/1.tif").read_bytes())
    assert redust_command(*command).code == 0


def test_shares_together_do_every_scan_once(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    lines = [
        redust_command("restore", roll, "-o", tmp_path / "out", "--shard", f"{index}/2", *FAST).out.splitlines()
        for index in (1, 2)
    ]
    assert sorted(line.split(" -> ")[0] for share in lines for line in share) == [
        str(roll / name) for name in ("a/1.tif", "a/2.png", "b/1.tif")
    ]
    assert redust_command("restore", roll, "-o", tmp_path / "out", "--shard", "3/2", *FAST).code == 2


def test_a_dry_run_writes_nothing(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    ended = redust_command("restore", roll, "-o", tmp_path / "out", "--dry-run", *FAST)
    assert ended.code == 0
    assert len(ended.out.splitlines()) == 3
    assert "Scans to do: 3." in ended.err
    assert not (tmp_path / "out").exists()


def test_receipts_come_also_to_what_is_finished(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    command = ("restore", roll, "-o", tmp_path / "out", *FAST)
    redust_command(*command)
    assert redust_command(*command, "--receipts", "--premis").code == 0
    assert len(list((tmp_path / "out").rglob("*.receipt.json"))) == 3
    assert len(list((tmp_path / "out").rglob("*.premis.xml"))) == 3
    receipt = json.loads((tmp_path / "out/a/1.tif.receipt.json").read_text())
    assert receipt["input_sha256"] == hashlib.sha256((roll / "a/1.tif").read_bytes()).hexdigest()
    assert len(receipt["mask_sha256"]) == 64
    assert redust_command("verify", tmp_path / "out").code == 0
    (tmp_path / "out/redust-ledger.sqlite").unlink()
    assert redust_command("verify", tmp_path / "out").code == 0


def test_a_scan_that_is_not_what_the_manifest_says_fails(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    sums = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(roll.rglob("*.*"))}
    manifest = tmp_path / "in/manifest-sha256.txt"
    manifest.write_text("".join(f"{sha256}  {path.relative_to(roll)}\n" for path, sha256 in sums.items()))
    (roll / "a/1.tif").write_bytes((roll / "a/1.tif").read_bytes() + b"x")
    ended = redust_command("restore", roll, "-o", tmp_path / "out", "--checksums", manifest, *FAST)
    assert ended.code == 3
    assert "1.tif is not what the checksum file says" in ended.err
    assert not (tmp_path / "out/a/1.tif").exists()


def test_scans_that_would_be_changed_too_much_are_left_for_review(
    redust_command: Command, roll: Path, tmp_path: Path
) -> None:
    command = ("restore", roll, "-o", tmp_path / "out", "--mask-out", tmp_path / "masks", *FAST)
    ended = redust_command(*command, "--max-change", "0.01%")
    assert ended.code == 8
    assert "3 of the scans would be changed by more" in ended.err
    assert not (tmp_path / "out/a/1.tif").exists()
    assert (tmp_path / "masks/a/1.png").exists()
    assert redust_command(*command, "--max-change", "0.01%").code == 8  # they are not done again, and still there
    assert redust_command("status", tmp_path / "out").out == "3 review\n"
    assert redust_command(*command, "--max-change", "90%").code == 0
    assert (tmp_path / "out/a/1.tif").exists()
    one = ("restore", roll / "a/1.tif", "-o", tmp_path / "one.tif", "--max-change", "0.0001", *FAST)
    assert redust_command(*one).code == 8
    assert RestoreSettings.of(max_change="2%").max_change == 0.02


def test_status_and_verify_tell_what_is_there(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    (roll / "b/2.tif").write_bytes(b"no picture")
    redust_command("restore", roll, "-o", tmp_path / "out", *FAST)
    ended = redust_command("status", tmp_path / "out", "--report", tmp_path / "r.html")
    assert ended.out.splitlines() == ["3 done, 1 failed", "  1 failed with UnsupportedScan"]
    page = (tmp_path / "r.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count('"before": ') == 3
    facts = json.loads(redust_command("status", tmp_path / "out", "--json").out)
    assert (facts["done"], facts["failures"]) == (3, {"UnsupportedScan": 1})
    assert redust_command("verify", tmp_path / "out", "--inputs").out == "6 files are as they were written.\n"
    (tmp_path / "out/a/1.tif").unlink()
    (roll / "a/2.png").write_bytes(b"other")
    ended = redust_command("verify", tmp_path / "out", "--inputs")
    assert ended.code == 9
    assert ended.out.splitlines() == [f"{tmp_path / 'out/a/1.tif'}: missing", f"{roll / 'a/2.png'}: changed"]
    assert redust_command("status", roll).code == 2


def test_a_foreign_file_is_no_report_to_replace(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"mine": 1}')
    ended = redust_command("restore", roll, "-o", tmp_path / "out", "--report", tmp_path / "r.json", *FAST)
    assert (ended.code, (tmp_path / "out").exists()) == (4, False)


def test_flags_for_many_scans_need_an_output_folder(redust_command: Command, roll: Path) -> None:
    ended = redust_command("restore", roll, "--workers", 2, *FAST)
    assert (ended.code, "--workers" in ended.err) == (2, True)
    ended = redust_command("restore", roll, "--report", roll.parent / "r.html", *FAST)
    assert (ended.code, ".html" in ended.err) == (2, True)


def test_the_html_report_shows_pictures(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    redust_command("restore", roll, "-o", tmp_path / "out", "--report", tmp_path / "r.html", *FAST)
    assert (tmp_path / "r.html").read_text().count('"before": ') == 3


@pytest.mark.parametrize("report_later", [False, True])
def test_scans_left_for_review_are_shown_with_what_would_be_repaired(
    redust_command: Command, roll: Path, tmp_path: Path, report_later: bool
) -> None:
    report = ("--report", tmp_path / "r.html")
    command = ("restore", roll, "-o", tmp_path / "out", "--max-change", "0.01%", *FAST)
    assert redust_command(*command, *(("--mask-out", tmp_path / "masks") if report_later else report)).code == 8
    if report_later:
        redust_command("status", tmp_path / "out", *report)
    page = (tmp_path / "r.html").read_text()
    assert page.count('"before": ') == 3
    (before, after), *_ = re.findall(r'"before": "([^"]+)", "after": "([^"]+)"', page)
    pictures = [np.asarray(Image.open(BytesIO(b64decode(data)))).astype(int) for data in (before, after)]
    redness = [(picture[..., 0] - picture[..., 1]).max() for picture in pictures]
    assert redness[0] > 100 > 50 > redness[1]


def start(roll: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    command = [*START, "restore", str(roll), "-o", str(out), "--workers", "1", *flags, *FAST]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_share_one_ledger(scan_file: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(30):
        scan_file(f"in/{number:02}.tif", seed=number)
    (tmp_path / "in/bad.tif").write_bytes(b"no picture")
    processes = [start(tmp_path / "in", tmp_path / "out", "--executor", "inline") for _ in range(2)]
    ended = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [3, 3]
    lines = [line.partition(" -> ")[0] for out, _ in ended for line in out.splitlines()]
    assert sorted(lines) == [str(tmp_path / f"in/{number:02}.tif") for number in range(30)]
    assert all(err.strip().endswith("30 of 31 scans done, 1 failed.") for _, err in ended)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_first_interrupt_finishes_the_scan_in_hand(scan_file: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(40):
        scan_file(f"in/{number:02}.tif", seed=number)
    process = start(tmp_path / "in", tmp_path / "out")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "in hand" in err
    results = len(list((tmp_path / "out").glob("*.tif")))
    assert 1 + len(out.splitlines()) == results < 40
    again = start(tmp_path / "in", tmp_path / "out")
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert len(list((tmp_path / "out").glob("*.tif"))) == 40


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_watched_folder_is_worked_on_as_scans_appear(scan_file: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    process = start(tmp_path / "in", tmp_path / "out", "--watch", "--executor", "inline")
    assert process.stdout is not None
    whole = scan_file("elsewhere.tif", seed=1).read_bytes()
    os.mkfifo(tmp_path / "in/pipe.tif")
    (tmp_path / "in/link.tif").symlink_to(tmp_path / "elsewhere.tif")
    with (tmp_path / "in/a.tif").open("wb") as file:
        file.write(whole[:2000])
        file.flush()
        time.sleep(1.0)
        file.write(whole[2000:])
    assert "a.tif ->" in process.stdout.readline()
    scan_file("in/deep/b.tif", seed=2)
    assert "b.tif ->" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert out == ""
    assert set(err.splitlines()) <= {"Finishing 0 scans in hand. Ctrl-C once more ends at once; both can go on."}
    assert process.returncode in (0, 130)
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.tif")) == ["a.tif", "b.tif"]


def test_results_must_lie_outside_a_watched_folder(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(roll)
    for output in (roll / "out", tmp_path / "link/out", roll):
        ended = redust_command("restore", roll, "-o", output, "--watch", *FAST)
        assert (ended.code, "which is watched" in ended.err) == (2, True)
    ended = redust_command("restore", roll / "a/1.tif", roll / "b", "-o", tmp_path / "out", "--watch", *FAST)
    assert (ended.code, "is no folder" in ended.err) == (2, True)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_their_parent(scan_file: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(200):
        scan_file(f"in/{number:03}.tif", seed=number)
    process = start(tmp_path / "in", tmp_path / "out")
    assert process.stdout is not None
    process.stdout.readline()
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    workers = [pid for path in children for pid in path.read_text().split()]
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_workers_fit_into_the_machine(roll: Path) -> None:
    assert choose_workers(100, cores=8, memory=64 * 2**30) == 8
    assert choose_workers(100, cores=8, memory=4 * 2**30) == 2
    assert choose_workers(3, cores=8, memory=64 * 2**30) == 3
    assert choose_workers(3, cores=1, memory=0) == 1
    assert read_megapixels(roll / "a/1.tif") == read_megapixels(roll / "a/2.png") == 48 * 64 / 1e6
    assert estimate_megapixels([]) == 0


@pytest.mark.filterwarnings("error")
def test_a_damaged_header_tells_no_size(roll: Path, tmp_path: Path) -> None:
    """A fault of one scan must not stop --roll, --dry-run or an upload, which read headers before scans."""
    whole, damaged, chance = (roll / "a/1.tif").read_bytes(), tmp_path / "damaged.tif", random.Random(1)
    for _ in range(300):
        content = bytearray(whole[: chance.choice([4, 6, len(whole)])])
        for position in chance.sample(range(len(content)), min(len(content), 40)):
            content[position] = chance.randrange(256)
        content[:4] = whole[:4]
        damaged.write_bytes(content)
        assert (read_megapixels(damaged) or 0) >= 0


def test_status_of_a_run_that_was_killed(redust_command: Command, tmp_path: Path) -> None:
    entries = [LedgerEntry(f"{number}.tif", "a.tif", 1, 1, "settings", "models") for number in range(3)]
    with Ledger(tmp_path) as ledger:
        ledger.queue(entries)
        ledger.lease("killed", [entry.key for entry in entries], count=1, seconds=60)
    assert redust_command("status", tmp_path).out == "2 left, 1 begun\n"
