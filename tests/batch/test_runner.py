"""A batch run: what it does, skips, does again, and how it ends when something dies."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing import resource_tracker, spawn
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest

from redust.batch.executors import NO_LIMITS, InlineExecutor, Limits
from redust.batch.ledger import MAX_ATTEMPTS, Ledger
from redust.batch.ledger_database import LedgerError, is_network_share
from redust.batch.ledger_entry import ScanState
from redust.batch.local_executor import LocalExecutor
from redust.batch.plan import hash_models, in_shard, key_of, make_plan, plan_run
from redust.batch.runner import BatchRun, Runner
from redust.batch.worker import ScanOutcome, ScanTask
from redust.core.settings import Method, RestoreSettings
from redust.models import shipped_folder
from redust.pipeline.job import Job

SETTINGS = RestoreSettings(detector="tophat", fill="navier-stokes", threads=1)


class RecordingExecutor(InlineExecutor):
    """Runs each task at once, in this process, and remembers its key."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def submit(self, task: ScanTask) -> Future[ScanOutcome]:
        self.keys.append(task.key)
        return super().submit(task)


@pytest.fixture
def roll(tmp_path: Path, scan_file: Callable[..., Path]) -> dict[str, Job]:
    """Three scans in two folders, and where they go."""
    out = tmp_path / "out"
    out.mkdir()
    names = ("a/0001.png", "a/0002.png", "b/0001.png")
    sources = [scan_file(f"in/{name}", seed=number) for number, name in enumerate(names)]
    jobs = [Job(source, out / name) for source, name in zip(sources, names, strict=True)]
    return {key_of(job, out): job for job in jobs}


def run_batch(
    jobs: dict[str, Job], folder: Path, settings: RestoreSettings = SETTINGS, **options: bool
) -> tuple[list[str], list[ScanOutcome]]:
    """Keys that were worked on, and the outcomes."""
    outcomes: list[ScanOutcome] = []
    executor = RecordingExecutor()
    with Ledger(folder) as ledger:
        plan = plan_run(jobs, settings, ledger, folder, **options)
        Runner(BatchRun(jobs, settings, folder), ledger, executor, lambda _, outcome: outcomes.append(outcome)).run(
            plan.keys
        )
    return executor.keys, outcomes


def hashes_of(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*.png"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_unchanged_work_is_skipped(roll: dict[str, Job], tmp_path: Path) -> None:
    assert len(run_batch(roll, tmp_path / "out")[0]) == 3
    before = hashes_of(tmp_path / "out")
    assert run_batch(roll, tmp_path / "out") == ([], [])
    assert hashes_of(tmp_path / "out") == before


def test_the_hash_of_models_covers_weights_fill_and_nested_folders(model: Path, tmp_path: Path) -> None:
    fill = tmp_path / "fill"
    shutil.copytree(shipped_folder("fill"), fill)
    settings = RestoreSettings(detector=str(model), fill=str(fill))
    hashes = [hash_models(settings)]
    for path in (model / "model.onnx", model / "soft/card.json", model / "soft/model.onnx", fill / "card.json"):
        path.write_bytes(path.read_bytes() + b"\n")
        hashes.append(hash_models(settings))
    assert len(set(hashes)) == 5
    (model / "notes.txt").write_text("no model")
    assert hash_models(settings) == hashes[-1]
    assert hash_models(settings.model_copy(update={"method": Method.generator})) != hashes[-1]
    assert hash_models(SETTINGS) == hash_models(SETTINGS.model_copy(update={"generator": "another"}))


def test_changed_settings_inputs_and_lost_results_are_done_again(roll: dict[str, Job], tmp_path: Path) -> None:
    run_batch(roll, tmp_path / "out")
    assert run_batch(roll, tmp_path / "out", SETTINGS.model_copy(update={"threads": 2}))[0] == []
    assert len(run_batch(roll, tmp_path / "out", SETTINGS.model_copy(update={"level": 0.4}))[0]) == 3
    run_batch(roll, tmp_path / "out")
    (tmp_path / "out/a/0002.png").unlink()
    assert run_batch(roll, tmp_path / "out")[0] == ["a/0002.png"]
    source = roll["b/0001.png"].source
    source.write_bytes(roll["a/0001.png"].source.read_bytes())
    assert run_batch(roll, tmp_path / "out")[0] == ["b/0001.png"]


def test_a_touched_input_is_compared_by_its_bytes(roll: dict[str, Job], tmp_path: Path) -> None:
    run_batch(roll, tmp_path / "out")
    roll["a/0001.png"].source.touch()
    assert run_batch(roll, tmp_path / "out")[0] == []


def test_a_result_that_somebody_edited_is_not_replaced(roll: dict[str, Job], tmp_path: Path) -> None:
    run_batch(roll, tmp_path / "out")
    edited = tmp_path / "out/a/0001.png"
    edited.write_bytes(edited.read_bytes() + b"edited")
    (outcome,) = run_batch(roll, tmp_path / "out")[1]
    assert outcome.failure is not None
    assert "was changed since" in outcome.failure.sentence
    assert edited.read_bytes().endswith(b"edited")


def test_a_file_that_was_there_before_is_not_replaced(roll: dict[str, Job], tmp_path: Path) -> None:
    (tmp_path / "out/a").mkdir()
    (tmp_path / "out/a/0001.png").write_bytes(b"mine")
    outcomes = run_batch(roll, tmp_path / "out")[1]
    assert [outcome.failure is None for outcome in outcomes] == [False, True, True]
    assert (tmp_path / "out/a/0001.png").read_bytes() == b"mine"
    assert run_batch(roll, tmp_path / "out") == ([], [])  # failed scans wait for --retry-failed
    (tmp_path / "out/a/0001.png").unlink()
    assert run_batch(roll, tmp_path / "out", retry_failed=True)[0] == ["a/0001.png"]


def test_one_broken_scan_does_not_stop_the_others(roll: dict[str, Job], tmp_path: Path) -> None:
    roll["a/0002.png"].source.write_bytes(b"no picture")
    outcomes = run_batch(roll, tmp_path / "out")[1]
    assert [outcome.failure.kind if outcome.failure else "" for outcome in outcomes] == ["", "UnsupportedScan", ""]
    with Ledger(tmp_path / "out") as ledger:
        summary = ledger.summarise()
    assert summary.counts[ScanState.done] == 2
    assert summary.failures == {"UnsupportedScan": 1}


def begin_elsewhere(ledger: Ledger, roll: dict[str, Job], out: Path, *, times: int = 1) -> None:
    """Begin the first scan in a process that then dies."""
    plan_run(roll, SETTINGS, ledger, out)
    for _ in range(times):
        ledger.lease("elsewhere:1:x", list(roll), count=1, seconds=0)
        ledger.claim(["a/0001.png"])


def test_a_scan_whose_process_died_is_done_last_over_its_own_result(roll: dict[str, Job], tmp_path: Path) -> None:
    with Ledger(tmp_path / "out") as ledger:
        begin_elsewhere(ledger, roll, tmp_path / "out")
    (tmp_path / "out/a").mkdir()
    (tmp_path / "out/a/0001.png").write_bytes(b"written before the ledger knew")
    keys, outcomes = run_batch(roll, tmp_path / "out")
    assert keys == ["a/0002.png", "b/0001.png", "a/0001.png"]
    assert all(outcome.failure is None for outcome in outcomes)


def test_a_lease_alone_allows_no_file_to_be_replaced(roll: dict[str, Job], tmp_path: Path) -> None:
    with Ledger(tmp_path / "out") as ledger:
        plan_run(roll, SETTINGS, ledger, tmp_path / "out")
        ledger.lease("elsewhere:1:x", list(roll), count=3, seconds=0)
    (tmp_path / "out/a").mkdir()
    (tmp_path / "out/a/0001.png").write_bytes(b"mine")
    outcomes = run_batch(roll, tmp_path / "out")[1]
    assert [outcome.failure.kind for outcome in outcomes if outcome.failure] == ["TargetExists"]
    assert (tmp_path / "out/a/0001.png").read_bytes() == b"mine"


def test_a_scan_that_kills_its_process_again_and_again_fails(roll: dict[str, Job], tmp_path: Path) -> None:
    with Ledger(tmp_path / "out") as ledger:
        begin_elsewhere(ledger, roll, tmp_path / "out", times=MAX_ATTEMPTS)
    keys, outcomes = run_batch(roll, tmp_path / "out")
    assert keys == ["a/0002.png", "b/0001.png"]
    assert [outcome.failure.kind for outcome in outcomes if outcome.failure] == ["WorkerDied"]


def test_two_processes_never_take_one_scan(roll: dict[str, Job], tmp_path: Path) -> None:
    with Ledger(tmp_path / "out") as first, Ledger(tmp_path / "out") as second:
        plan_run(roll, SETTINGS, first, tmp_path / "out")
        plan_run(roll, SETTINGS, second, tmp_path / "out")
        leases = [
            ledger.lease(f"worker:{number}:x", list(roll), count=1, seconds=60)
            for _ in range(2)
            for number, ledger in enumerate((first, second))
        ]
    assert sorted(entry.key for lease in leases for entry in lease.entries) == sorted(roll)
    assert leases[-1].busy == set(roll)


def test_what_another_process_finished_after_the_plan_is_not_done_again(roll: dict[str, Job], tmp_path: Path) -> None:
    with Ledger(tmp_path / "out") as ledger:
        plan = make_plan(roll, SETTINGS, ledger.entries(roll), tmp_path / "out")
        assert len(run_batch(roll, tmp_path / "out")[0]) == 3
        assert ledger.queue(plan.queued) == 0
        assert {entry.state for entry in ledger.entries().values()} == {ScanState.done}


def test_a_failed_scan_is_tried_again_once_its_file_changed(roll: dict[str, Job], tmp_path: Path) -> None:
    source = roll["a/0002.png"].source
    picture = source.read_bytes()
    source.write_bytes(b"no picture")
    run_batch(roll, tmp_path / "out")
    assert run_batch(roll, tmp_path / "out")[0] == []
    source.write_bytes(picture)
    assert run_batch(roll, tmp_path / "out")[0] == ["a/0002.png"]


class StoppingExecutor(RecordingExecutor):
    """Ends the process's work in the middle, as a second Ctrl-C does."""

    def submit(self, task: ScanTask) -> Future[ScanOutcome]:
        super().submit(task)
        raise KeyboardInterrupt


def test_a_run_that_was_stopped_at_once_goes_on_over_what_it_wrote(roll: dict[str, Job], tmp_path: Path) -> None:
    with Ledger(tmp_path / "out") as ledger:
        plan = plan_run(roll, SETTINGS, ledger, tmp_path / "out")
        runner = Runner(BatchRun(roll, SETTINGS, tmp_path / "out"), ledger, StoppingExecutor(), lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            runner.run(plan.keys)
        assert {entry.attempts for entry in ledger.entries().values()} == {0}
    assert (tmp_path / "out/a/0001.png").exists()
    assert all(outcome.failure is None for outcome in run_batch(roll, tmp_path / "out")[1])


class HangingPath(PosixPath):
    """A scan that takes forever to open."""

    def open(self, *_: Any, **__: Any) -> Any:
        time.sleep(600)


class KillingPath(PosixPath):
    """A scan that kills the process that opens it, as a broken decoder may."""

    def open(self, *_: Any, **__: Any) -> Any:
        os._exit(9)


def run_in_processes(jobs: dict[str, Job], folder: Path, limits: Limits) -> dict[str, ScanOutcome]:
    outcomes: dict[str, ScanOutcome] = {}
    executor = LocalExecutor(workers=1, limits=limits)
    with Ledger(folder) as ledger:
        plan = plan_run(jobs, SETTINGS, ledger, folder)
        Runner(
            BatchRun(jobs, SETTINGS, folder),
            ledger,
            executor,
            lambda _, outcome: outcomes.update({outcome.key: outcome}),
        ).run(plan.keys)
    executor.close()
    return outcomes


def test_a_scan_that_hangs_or_kills_its_process_fails_alone(roll: dict[str, Job], tmp_path: Path) -> None:
    out = tmp_path / "out"
    jobs = {
        "hanging.png": Job(HangingPath(roll["a/0001.png"].source), out / "hanging.png"),
        "killing.png": Job(KillingPath(roll["a/0001.png"].source), out / "killing.png"),
        "b/0001.png": roll["b/0001.png"],
    }
    outcomes = run_in_processes(jobs, out, Limits(seconds=6.0))
    kinds = {key: outcome.failure.kind if outcome.failure else "" for key, outcome in outcomes.items()}
    assert kinds == {"hanging.png": "ScanTimeout", "killing.png": "WorkerDied", "b/0001.png": ""}
    assert [path.name for path in out.rglob("*.png")] == ["0001.png"]


@pytest.fixture
def _no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that lets no worker process be started."""
    resource_tracker.ensure_running()  # it is one of Python's own
    monkeypatch.setattr(spawn, "_python_exe", b"/bin/false")


@pytest.mark.usefixtures("_no_processes")
def test_where_no_process_can_be_started_this_one_restores_and_says_so(
    roll: dict[str, Job], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = run_in_processes(roll, tmp_path / "out", NO_LIMITS)
    assert [outcome.failure for outcome in outcomes.values()] == [None, None, None]
    assert "No worker process can be started" in caplog.text


@pytest.mark.usefixtures("_no_processes")
def test_a_limit_that_only_a_process_can_keep_to_is_not_forgotten(roll: dict[str, Job], tmp_path: Path) -> None:
    outcomes = run_in_processes(roll, tmp_path / "out", Limits(seconds=60.0))
    assert {outcome.failure.kind for outcome in outcomes.values() if outcome.failure} == {"WorkerDied"}
    assert list((tmp_path / "out").rglob("*.png")) == []


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shards_share_out_every_scan(count: int) -> None:
    keys = [f"roll-{number:03}/0001.tif" for number in range(200)]
    shares = [[key for key in keys if in_shard(key, index, count)] for index in range(1, count + 1)]
    assert sorted(key for share in shares for key in share) == keys
    assert all(len(share) > 200 / count / 2 for share in shares)


def test_a_ledger_on_a_network_share_serves_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redust.batch.ledger_database.is_network_share", lambda folder: True)
    with Ledger(tmp_path) as first:
        first.queue([])
        with pytest.raises(LedgerError, match=r"--ledger DIR .*--shard"):
            Ledger(tmp_path)
    with Ledger(tmp_path) as again:
        assert again.entries() == {}


def test_network_shares_are_told_by_their_mounts(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path}/share nfs4 rw 0 0\n")
    assert is_network_share(tmp_path / "share/deep", mounts)
    assert not is_network_share(tmp_path / "shared", mounts)
    assert not is_network_share(tmp_path, tmp_path / "no such file")


def test_a_damaged_ledger_is_explained(tmp_path: Path) -> None:
    (tmp_path / "redust-ledger.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 9)
    with pytest.raises(LedgerError, match="Move it away"):
        Ledger(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_scan_that_needs_too_much_memory_fails_alone(
    roll: dict[str, Job], scan_file: Callable[..., Path], tmp_path: Path
) -> None:
    big = scan_file("in/big.tif", pixels=np.zeros((5000, 5000, 3), np.uint16))
    jobs = {"big.tif": Job(big, tmp_path / "out/big.tif"), "b/0001.png": roll["b/0001.png"]}
    outcomes = run_in_processes(jobs, tmp_path / "out", Limits(megabytes=400))
    assert outcomes["b/0001.png"].failure is None
    failure = outcomes["big.tif"].failure
    assert failure is not None
    assert "memory" in failure.sentence
