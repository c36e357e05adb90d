"""Things break. Seen from each door: the others go on, nothing is half written, originals stay."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import redust
from doubles import Bright, Explains, FailsOnWhite, Mean, NoFill
from drawing import draw
from redust.core.errors import EngineError, TargetError
from redust.files import read_scan
from redust.pipeline.pipeline import Pipeline

Command = Callable[..., Any]
BRIGHT = ("--detector", "bright", "--fill", "mean")


def pink() -> np.ndarray:
    """A scan that the detector `blind-to-pink` fails on."""
    pixels = draw()
    pixels[0, 0] = 255
    return pixels


@pytest.fixture
def roll(scan_file: Callable[..., Path], tmp_path: Path) -> Iterator[Path]:
    """A folder of four scans, the second pink. Afterwards they are what they were."""
    for number in range(4):
        scan_file(f"roll/{number}.tif", pixels=pink() if number == 1 else draw(seed=number))
    before = fingerprints(tmp_path / "roll")
    yield tmp_path / "roll"
    assert fingerprints(tmp_path / "roll") == before


def fingerprints(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def contents(folder: Path) -> list[str]:
    """All files below a folder, temporary ones included, without the ledger."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".sqlite"]
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def test_a_detector_that_breaks_on_one_scan(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    ended = redust_command("restore", roll, "-o", tmp_path / "o", "--detector", "blind-to-pink", "--fill", "mean")
    assert ended.code == 70
    assert contents(tmp_path / "o") == ["0.tif", "2.tif", "3.tif"]
    assert "1.tif: Something unexpected went wrong (ZeroDivisionError: pink)" in ended.err
    assert "Traceback" not in ended.err
    assert "3 of 4 scans done, 1 failed." in ended.err
    ended = redust_command(
        "restore", roll / "1.tif", "-o", tmp_path / "p", "--detector", "blind-to-pink", "--fill", "mean", "--verbose"
    )
    assert 'raise ZeroDivisionError("pink")' in ended.err


def test_a_detector_that_explains_itself_is_quoted(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    ended = redust_command("detect", roll / "0.tif", "-o", tmp_path / "m.png", "--detector", "explains")
    assert ended.code == 5
    assert ended.err == f"error: {roll / '0.tif'}: The detector has gone fishing. Choose another.\n"


def test_a_fill_that_breaks_leaves_the_mask_and_no_scan(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    ended = redust_command(
        "restore", roll / "0.tif", "-o", tmp_path / "o/0.tif", "--mask-out", tmp_path / "o/m.png",
        "--detector", "bright", "--fill", "no-fill",
    )  # fmt: skip
    assert ended.code != 0
    assert "no paint left" in ended.err
    assert contents(tmp_path / "o") == ["m.png"]


def test_python_gets_the_exception(roll: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="gone fishing"):
        Pipeline(detector=Explains()).restore(roll / "0.tif", tmp_path / "o.tif")
    with pytest.raises(ZeroDivisionError, match="pink"):
        Pipeline(detector=FailsOnWhite()).restore(roll / "1.tif", tmp_path / "o.tif")
    with pytest.raises(Exception, match="no paint left"):
        Pipeline(detector=Bright(), inpainter=NoFill()).restore(roll / "0.tif", tmp_path / "o.tif")
    assert not (tmp_path / "o.tif").exists()


def test_a_pipeline_survives_a_scan_that_broke_it(roll: Path, tmp_path: Path) -> None:
    pipeline = Pipeline(detector=FailsOnWhite(), inpainter=Mean())
    with pytest.raises(ZeroDivisionError):
        pipeline.restore(roll / "1.tif", tmp_path / "1.tif")
    assert pipeline.restore(roll / "2.tif", tmp_path / "2.tif").status == "restored"


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[str]:
    """A disk on which the second file cannot be finished: `fsync` or the final name fails."""
    names = {"fsync": ("fsync",), "name": ("replace", "link", "rename")}[request.param]
    calls: list[str] = []

    def break_down(name: str) -> None:
        real = getattr(os, name)

        def broken(*arguments: Any, **others: Any) -> Any:
            calls.append(name)
            if len(calls) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **others)

        monkeypatch.setattr(os, name, broken)

    for name in names:
        break_down(name)
    return calls


def skip_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the flushing of files only, not that of their folders."""
    monkeypatch.setattr("redust.core.atomic._sync_folder", lambda folder: None)


@pytest.mark.parametrize("full_disk", ["fsync", "name"], indirect=True)
def test_a_full_disk_costs_one_scan_not_the_roll(
    redust_command: Command, roll: Path, tmp_path: Path, full_disk: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_folders(monkeypatch)
    ended = redust_command("restore", roll, "-o", tmp_path / "o", *BRIGHT, "--json")
    assert ended.code == 4
    assert contents(tmp_path / "o") == ["0.tif", "2.tif", "3.tif"]
    assert "No space left on device. Free space" in ended.err
    states = [json.loads(line)["status"] for line in ended.out.splitlines()]
    assert states == ["restored", "failed", "restored", "restored"]
    for name in contents(tmp_path / "o"):
        assert read_scan(tmp_path / "o" / name).pixels.max() < 230


@pytest.mark.parametrize("full_disk", ["fsync", "name"], indirect=True)
def test_a_full_disk_leaves_what_was_there_before(
    roll: Path, tmp_path: Path, full_disk: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_folders(monkeypatch)
    choices = {"detector": "tophat", "fill": "telea", "overwrite": True}
    redust.restore(roll / "0.tif", tmp_path / "o" / "0.tif", **choices)
    before = (tmp_path / "o" / "0.tif").read_bytes()
    with pytest.raises(TargetError, match="Free space"):
        redust.restore(roll / "2.tif", tmp_path / "o" / "0.tif", **choices)
    assert (tmp_path / "o" / "0.tif").read_bytes() == before
    assert contents(tmp_path / "o") == ["0.tif"]


def test_a_folder_that_may_not_be_made_is_explained(redust_command: Command, roll: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"a file")
    ended = redust_command("restore", roll / "0.tif", "-o", tmp_path / "taken/deep/0.tif", *BRIGHT)
    assert ended.code == 4
    assert "cannot be made" in ended.err


def test_an_interruption_keeps_what_is_done_and_reports_it(
    redust_command: Command, roll: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def interrupted(self: Bright, light: np.ndarray) -> np.ndarray:
        calls.append(light.shape)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return (light.max(axis=2) >= 0.9).astype(np.float32)

    monkeypatch.setattr(Bright, "detect", interrupted)
    ended = redust_command("restore", roll, "-o", tmp_path / "o", "--report", tmp_path / "r.jsonl", *BRIGHT)
    assert ended.code == 130
    assert contents(tmp_path / "o") == ["0.tif", "1.tif"]
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2
    assert "2 of 4 scans done, 2 not finished: run again to go on." in ended.err


def install(folder: Path) -> None:
    """Make a package of another author, found by its entry points only: the detector `stuck`."""
    facts = folder / "stuck-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[redust.detectors]\nstuck = doubles:Stuck\n")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_in_the_middle_and_run_again(roll: Path, tmp_path: Path, how: signal.Signals) -> None:
    install(tmp_path / "site")
    paths = os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parents[1]), *sys.path])
    arguments = ["restore", str(roll / "0.tif"), "-o", str(tmp_path / "o/0.tif"), "--fill", "telea"]
    # A test run started in the background ignores Ctrl-C, and its children would inherit that.
    hearing = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start = [sys.executable, "-c", f"{hearing}; from redust.cli.entry import main; main()", *arguments]
    stuck = subprocess.Popen([*start, "--detector", "stuck"], env=os.environ | {"PYTHONPATH": paths})
    try:
        wait_for(lambda: (tmp_path / "o").exists(), stuck)  # the scan is read, the detector has it
        stuck.send_signal(how)
        code = stuck.wait(timeout=60)
    finally:
        stuck.kill()
        stuck.wait()
    assert code == {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}[how]
    assert contents(tmp_path / "o") == []
    subprocess.run([*start, "--detector", "tophat"], check=True, stdout=subprocess.DEVNULL)
    redust.restore(roll / "0.tif", tmp_path / "never-killed.tif", detector="tophat", fill="telea")
    assert contents(tmp_path / "o") == ["0.tif"]
    assert (tmp_path / "o/0.tif").read_bytes() == (tmp_path / "never-killed.tif").read_bytes()


def test_killed_while_writing_leaves_no_half_file_under_its_name(roll: Path, tmp_path: Path) -> None:
    choices = f"{str(roll / '0.tif')!r}, {str(tmp_path / 'o/0.tif')!r}, detector='tophat', fill='telea'"
    program = f"import os, redust\nos.fsync = lambda file: os.kill(os.getpid(), 9)\nredust.restore({choices})"
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "o/0.tif").exists()
    assert len(contents(tmp_path / "o")) == 1  # what was written so far, hidden and under no scan's name
    redust.restore(roll / "0.tif", tmp_path / "o/0.tif", detector="tophat", fill="telea")
    assert read_scan(tmp_path / "o/0.tif").pixels.shape == (48, 64, 3)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the program ended by itself"
        assert time.monotonic() < limit, "the program is too slow"
        time.sleep(0.02)
