"""Promise 3 has one door: in place, and then the original stays beside the result, or nothing happens."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doubles import Bright, Mean
from drawing import draw
from redust.core.errors import RedustError, TargetError, TargetExists
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.files import read_scan, write_scan
from redust.pipeline.job import Job
from redust.pipeline.pipeline import Pipeline


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_scan(Scan(draw(dtype=np.uint16)), tmp_path / "scan.tif")
    return tmp_path / "scan.tif"


def _restore(source: Path, **choices: Any) -> Report:
    pipeline = Pipeline(RestoreSettings(grow=0, **choices), detector=Bright(), inpainter=Mean())
    return pipeline.run(Job(source, in_place=True))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_result_takes_the_scan_s_name_and_the_original_stays_beside_it(source: Path, tmp_path: Path) -> None:
    before, status = source.read_bytes(), source.stat()
    source.chmod(0o640)
    report = _restore(source)
    original = tmp_path / "scan.original.tif"
    assert (report.status, report.target, report.original_file) == ("restored", str(source), str(original))
    assert original.read_bytes() == before
    assert original.stat().st_mtime_ns == status.st_mtime_ns
    assert source.stat().st_mode & 0o777 == 0o640
    changed = (read_scan(source).pixels != read_scan(original).pixels).any(axis=2)
    assert 0 < changed.sum() <= report.coverage * changed.size
    assert _names(tmp_path) == ["scan.original.tif", "scan.tif"]


def test_a_second_time_is_refused_since_it_would_lose_the_original(source: Path) -> None:
    _restore(source)
    after = source.read_bytes()
    with pytest.raises(TargetExists, match=r"scan\.original\.tif exists already.*Move it away first\.$"):
        _restore(source, overwrite=True)
    assert source.read_bytes() == after


def test_a_run_that_was_killed_before_the_last_step_is_done_again(source: Path, tmp_path: Path) -> None:
    before, original = source.read_bytes(), tmp_path / "scan.original.tif"
    os.link(source, original)
    _restore(source)
    assert original.read_bytes() == before != source.read_bytes()
    assert _names(tmp_path) == ["scan.original.tif", "scan.tif"]


def test_a_link_under_the_original_s_name_is_no_original(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    (tmp_path / "scan.original.tif").symlink_to(source)
    with pytest.raises(TargetExists, match="Move it away first"):
        _restore(source)
    assert source.read_bytes() == before


def test_folders_of_runs_that_were_killed_a_day_ago_are_deleted(source: Path, tmp_path: Path) -> None:
    for name, age in (("old", 90_000), ("new", 60)):
        folder = tmp_path / f".redust-in-place-{name}"
        folder.mkdir()
        (folder / "scan.tif").write_bytes(b"half")
        os.utime(folder, (time.time() - age,) * 2)
    _restore(source)
    assert _names(tmp_path) == [".redust-in-place-new", "scan.original.tif", "scan.tif"]


def test_a_scan_without_damage_is_not_touched(tmp_path: Path) -> None:
    write_scan(Scan(draw(specks=0)), tmp_path / "scan.tif")
    before = (tmp_path / "scan.tif").read_bytes()
    report = _restore(tmp_path / "scan.tif")
    assert (report.target, report.original_file, report.regions) == (None, None, 0)
    assert (tmp_path / "scan.tif").read_bytes() == before
    assert _names(tmp_path) == ["scan.tif"]


def _fail(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(("call", "code"), [("link", errno.EIO), ("replace", errno.ENOSPC)])
def test_whatever_fails_leaves_the_scan_as_it_was(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    before = source.read_bytes()
    pipeline = Pipeline(RestoreSettings(grow=0), detector=Bright(), inpainter=Mean())
    write_scan_whole = pipeline.run

    def run_then_fail(job: Job, **options: Any) -> Report:
        report = write_scan_whole(job, **options)
        if not job.in_place:
            monkeypatch.setattr(os, call, _fail(code))
        return report

    monkeypatch.setattr(pipeline, "run", run_then_fail)
    with pytest.raises(TargetError):
        pipeline.run(Job(source, in_place=True))
    assert source.read_bytes() == before
    assert _names(tmp_path) == ["scan.tif"]


def test_without_hard_links_the_original_is_copied(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, changed = source.read_bytes(), source.stat().st_mtime_ns
    monkeypatch.setattr(os, "link", _fail(errno.EPERM))
    _restore(source)
    original = source.with_name("scan.original.tif")
    assert original.read_bytes() == before
    assert original.stat().st_mtime_ns == changed


def test_a_scan_that_somebody_else_changes_meanwhile_is_left_alone(source: Path) -> None:
    class Meddler(Bright):
        def detect(self, light: Any) -> Any:
            source.write_bytes(b"edited meanwhile")
            return super().detect(light)

    pipeline = Pipeline(RestoreSettings(grow=0), detector=Meddler(), inpainter=Mean())
    with pytest.raises(RedustError, match="changed"):
        pipeline.run(Job(source, in_place=True))
    assert source.read_bytes() == b"edited meanwhile"


def test_a_symbolic_link_stays_one(source: Path, tmp_path: Path) -> None:
    link = tmp_path / "links" / "a.tif"
    link.parent.mkdir()
    link.symlink_to(source)
    report = _restore(link)
    assert link.is_symlink()
    assert report.original_file == str(tmp_path / "scan.original.tif")


def test_what_would_change_too_much_is_left_for_review(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    report = _restore(source, max_change=1e-6)
    assert (report.status, report.target) == ("review", None)
    assert source.read_bytes() == before
    assert _names(tmp_path) == ["scan.tif"]
