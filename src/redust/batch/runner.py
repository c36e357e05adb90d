"""Runs many scans: plans what is left to do, keeps workers busy, and writes every outcome into the ledger."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from secrets import token_hex

from redust.batch.executors import Executor, collect_outcome
from redust.batch.failures import Failure
from redust.batch.ledger import MAX_ATTEMPTS, Ledger, LedgerEntry, OutputFile
from redust.batch.plan import check_unclaimed_outputs
from redust.batch.worker import ScanOutcome, ScanTask, describe_output
from redust.core.settings import RestoreSettings
from redust.pipeline.job import Job

LEASE_SECONDS = 120.0
"""How long a scan stays leased to a process that no longer renews."""

_WAIT_SECONDS = 1.0

OutcomeCallback = Callable[[LedgerEntry, ScanOutcome], None]


@dataclass(frozen=True)
class BatchRun:
    """What one process is to do.

    Parameters
    ----------
    jobs
        By ledger key.
    settings
        Every choice.
    checksums
        Expected SHA-256 by ledger key.
    """

    jobs: Mapping[str, Job]
    settings: RestoreSettings
    checksums: Mapping[str, str] = field(default_factory=dict)


class Runner:
    """Works off the queued scans of a run.

    Parameters
    ----------
    run
        What to do.
    ledger
        Where scans are leased from and outcomes are written to. Only this process's main thread uses it.
    executor
        Where tasks run.
    on_outcome
        Called after each scan, in the order in which they end.
    """

    def __init__(self, run: BatchRun, ledger: Ledger, executor: Executor, on_outcome: OutcomeCallback) -> None:
        self._run = run
        self._ledger = ledger
        self._executor = executor
        self._on_outcome = on_outcome
        self._worker = f"{platform.node()}:{os.getpid()}:{token_hex(4)}"
        self._running: dict[Future[ScanOutcome], tuple[LedgerEntry, ScanTask]] = {}
        self._renewed_at = time.monotonic()
        self._stopping = False

    def request_stop(self) -> None:
        """Begin no further scan; those in hand are finished."""
        self._stopping = True

    def run(self) -> None:
        """Work until nothing is left to lease, or a stop was requested and the scans in hand are finished."""
        self._ledger.select_keys(list(self._run.jobs))
        self._ledger.expire_leases(_is_dead)
        try:
            while self._submit_more() or self._running or self._is_waiting():
                self._collect_finished()
                self._renew_leases()
        finally:
            self._ledger.release(self._worker)

    def _is_waiting(self) -> bool:
        """Whether scans of this run are in another process's hands, which may yet die."""
        return not self._stopping and self._ledger.count_open() > 0

    def _submit_more(self) -> bool:
        """Fill the executor's queue: one scan waits for each that runs. Whether any was submitted."""
        free = 2 * self._executor.workers - len(self._running)
        if self._stopping or free <= 0:
            return False
        entries = self._ledger.lease(self._worker, count=free, seconds=LEASE_SECONDS)
        for entry in entries:
            self._submit(entry)
        return bool(entries)

    def _submit(self, entry: LedgerEntry) -> None:
        job = self._run.jobs[entry.key]
        refusal = self._refuse(entry, job)
        if refusal is not None:
            self._record(entry, ScanOutcome(entry.key, {}, failure=refusal))
            return
        # From here on, files at the result's paths are this run's own: a leased scan whose process died is done again.
        settings = self._run.settings.model_copy(update={"overwrite": True})
        task = ScanTask(entry.key, job, settings, self._ledger.folder, self._run.checksums.get(entry.key))
        self._running[self._executor.submit(task)] = entry, task

    def _refuse(self, entry: LedgerEntry, job: Job) -> Failure | None:
        """Why a scan must not be begun; None where it may. What an attempt before this one wrote may be replaced."""
        if entry.attempts > MAX_ATTEMPTS:
            return _describe_repeated_death(entry)
        if entry.attempts > 1:
            return None
        return check_unclaimed_outputs(entry, job, self._run.settings, self._ledger.folder)

    def _collect_finished(self) -> None:
        if not self._running:
            time.sleep(_WAIT_SECONDS)
            return
        wait(self._running, timeout=_WAIT_SECONDS, return_when=FIRST_COMPLETED)
        for future in [future for future in self._running if future.done()]:  # in the order they were begun
            entry, task = self._running.pop(future)
            self._record(entry, collect_outcome(task, future))

    def _record(self, entry: LedgerEntry, outcome: ScanOutcome) -> None:
        if outcome.failure is None:
            self._ledger.record_done(
                entry.key, report=outcome.report, outputs=outcome.outputs, input_sha256=outcome.input_sha256
            )
        else:
            failure = outcome.failure
            self._ledger.record_failure(
                entry.key,
                kind=failure.kind,
                sentence=failure.sentence,
                exit_code=failure.exit_code,
                outputs=self._describe_outputs(entry, outcome),
            )
        self._on_outcome(entry, outcome)

    def _describe_outputs(self, entry: LedgerEntry, outcome: ScanOutcome) -> tuple[OutputFile, ...]:
        """What is there after a failure: files of this run, unless it was refused because they are not."""
        if outcome.failure is not None and outcome.failure.kind == "TargetExists":
            return entry.outputs
        paths = [path for path in self._run.jobs[entry.key].outputs if path.is_file()]
        return tuple(describe_output(path, self._ledger.folder) for path in paths)

    def _renew_leases(self) -> None:
        if time.monotonic() - self._renewed_at > LEASE_SECONDS / 4:
            self._ledger.renew(self._worker, seconds=LEASE_SECONDS)
            self._renewed_at = time.monotonic()


def _describe_repeated_death(entry: LedgerEntry) -> Failure:
    return Failure(
        f"{entry.source} was begun {MAX_ATTEMPTS} times and the process ended each time before it was finished. "
        "Try it alone; run again with --retry-failed when the cause is mended.",
        "WorkerDied",
        3,
    )


def _is_dead(worker: str) -> bool:
    """Whether a worker was a process of this machine that no longer runs."""
    host, pid, _ = worker.rsplit(":", 2)
    if host != platform.node():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
