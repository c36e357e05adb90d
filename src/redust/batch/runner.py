"""Runs many scans: keeps workers busy, and writes every outcome into the ledger."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from redust.batch.executors import WORKER_DIED, Executor, collect_outcome
from redust.batch.failures import Failure, catch_failure
from redust.batch.ledger import MAX_ATTEMPTS, Ledger
from redust.batch.ledger_entry import LedgerEntry, OutputFile
from redust.batch.plan import check_unclaimed_outputs
from redust.batch.receipts import Receipt, write_receipt
from redust.batch.storage import file_exists
from redust.batch.worker import ScanOutcome, ScanTask, describe_output
from redust.core.settings import RestoreSettings
from redust.pipeline.job import Job

LEASE_SECONDS = 120.0
"""How long a scan stays leased to a process that no longer renews."""

_WAIT_SECONDS = 1.0
_WINDOW = 64  # scans of which one lease is chosen

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
    root
        The output folder.
    checksums
        Expected SHA-256 by ledger key.
    receipts, premis
        Whether to write a receipt beside each result, and its PREMIS document.
    thumbnails
        Whether to draw small pictures for a report.
    """

    jobs: Mapping[str, Job]
    settings: RestoreSettings
    root: Path
    checksums: Mapping[str, str] = field(default_factory=dict)
    receipts: bool = False
    premis: bool = False
    thumbnails: bool = False


class Runner:
    """Works off the queued scans of a run.

    Parameters
    ----------
    run
        What to do.
    ledger
        Where scans are leased from and outcomes are written to. Only the thread that calls :meth:`run` uses it.
    executor
        Where tasks run.
    on_outcome
        Called after each scan, in the order in which they end.
    on_wait
        Called about every second.
    """

    def __init__(
        self,
        run: BatchRun,
        ledger: Ledger,
        executor: Executor,
        on_outcome: OutcomeCallback,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._run, self._ledger, self._executor = run, ledger, executor
        self._on_outcome, self._on_wait = on_outcome, on_wait
        self._worker = f"{platform.node()}:{os.getpid()}:{token_hex(4)}"
        self._pending: deque[str] = deque()
        self._running: dict[Future[ScanOutcome], tuple[LedgerEntry, ScanTask]] = {}
        self._retried: set[str] = set()
        self._renewed_at = time.monotonic()
        self._stopping = False

    @property
    def in_hand(self) -> int:
        """Scans that were begun and have not ended."""
        return len(self._running)

    def request_stop(self) -> None:
        """Begin no further scan; those in hand are finished."""
        self._stopping = True

    def run(self, keys: Sequence[str]) -> None:
        """Work until no scan is left, or a stop was requested and the scans in hand are finished.

        Parameters
        ----------
        keys
            Of the run's jobs: those to do, in order.
        """
        self._pending.extend(keys)
        self._ledger.expire_leases(_is_dead)
        try:
            while self._running or (self._pending and not self._stopping):
                self._submit_more()
                self._collect_finished()
                self._renew_leases()
                self._on_wait()
        except BaseException:
            self._executor.stop()  # before the leases end: nobody else begins what is still being written
            raise
        finally:
            self._ledger.release(self._worker)

    def _submit_more(self) -> None:
        """Fill the executor."""
        while not self._stopping and self._pending and (free := self._executor.capacity - len(self._running)) > 0:
            window = [self._pending.popleft() for _ in range(min(_WINDOW, len(self._pending)))]
            lease = self._ledger.lease(self._worker, window, count=free, seconds=LEASE_SECONDS)
            gone = lease.finished | {entry.key for entry in lease.entries}
            self._pending.extendleft(key for key in reversed(window) if key not in gone and key not in lease.busy)
            self._pending.extend(key for key in window if key in lease.busy)  # whose process may yet die
            self._begin(lease.entries)
            if not lease.entries and not lease.finished:
                return

    def _begin(self, entries: Sequence[LedgerEntry]) -> None:
        refusals = {entry.key: self._refuse(entry) for entry in entries}
        self._ledger.claim([key for key, refusal in refusals.items() if refusal is None])
        for entry in entries:
            if (refusal := refusals[entry.key]) is None:
                task = self._make_task(entry)
                self._running[self._executor.submit(task)] = entry, task
            else:
                self._record(entry, ScanOutcome(entry.key, {}, failure=refusal))

    def _make_task(self, entry: LedgerEntry) -> ScanTask:
        run = self._run
        # What lies at the outputs' paths was found to be this run's own.
        settings = run.settings.model_copy(update={"overwrite": True})
        checksum = run.checksums.get(entry.key)
        return ScanTask(entry.key, run.jobs[entry.key], settings, run.root, checksum, run.thumbnails)

    def _refuse(self, entry: LedgerEntry) -> Failure | None:
        """Why a scan must not be begun; None where it may."""
        if entry.attempts >= MAX_ATTEMPTS:
            return _describe_repeated_death(entry)
        if entry.claimed:
            return None
        return check_unclaimed_outputs(entry, self._run.jobs[entry.key], self._run.settings, self._run.root)

    def _collect_finished(self) -> None:
        if not self._running:
            if self._pending and not self._stopping:  # all are in other processes' hands
                time.sleep(_WAIT_SECONDS)
            return
        wait(self._running, timeout=_WAIT_SECONDS, return_when=FIRST_COMPLETED)
        for future in [future for future in self._running if future.done()]:  # in the order they were begun
            entry, task = self._running.pop(future)
            outcome = collect_outcome(task, future)
            if outcome.failure is not None and outcome.failure.kind == WORKER_DIED and entry.key not in self._retried:
                self._retried.add(entry.key)  # another may have killed it, or another scan may have taken the memory
                self._ledger.requeue(entry.key)
                self._pending.append(entry.key)
            else:
                self._record(entry, outcome)

    def _record(self, entry: LedgerEntry, outcome: ScanOutcome) -> None:
        moment = time.time()
        if outcome.failure is None:
            failure = catch_failure(lambda: self._write_receipt(entry, outcome, moment))
            outcome = outcome if failure is None else ScanOutcome(entry.key, {}, failure=failure)
        if outcome.failure is None:
            if outcome.thumbnails is not None:
                self._ledger.store_thumbnails(entry.key, *outcome.thumbnails)
            self._ledger.record_done(
                entry.key,
                report=outcome.report,
                outputs=outcome.outputs,
                input_sha256=outcome.input_sha256,
                now=moment,
            )
        else:
            failure = outcome.failure
            self._ledger.record_failure(
                entry.key,
                kind=failure.kind,
                sentence=failure.sentence,
                exit_code=failure.exit_code,
                outputs=self._describe_outputs(entry, outcome),
                now=moment,
            )
        self._on_outcome(entry, outcome)

    def _write_receipt(self, entry: LedgerEntry, outcome: ScanOutcome, moment: float) -> None:
        target = self._run.jobs[entry.key].target
        if (self._run.receipts or self._run.premis) and outcome.report["target"] and target is not None:
            receipt = Receipt.make(entry.source, outcome.input_sha256, outcome.outputs, outcome.report, moment)
            write_receipt(receipt, target, receipts=self._run.receipts, premis=self._run.premis)

    def _describe_outputs(self, entry: LedgerEntry, outcome: ScanOutcome) -> tuple[OutputFile, ...]:
        """What is there after a failure: files of this run, unless it was refused because they are not."""
        if outcome.failure is not None and outcome.failure.kind == "TargetExists":
            return entry.outputs
        paths = [path for path in self._run.jobs[entry.key].outputs if file_exists(path)]
        return tuple(describe_output(path, self._run.root) for path in paths)

    def _renew_leases(self) -> None:
        if time.monotonic() - self._renewed_at > LEASE_SECONDS / 4:
            self._ledger.renew(self._worker, seconds=LEASE_SECONDS)
            self._renewed_at = time.monotonic()


def _describe_repeated_death(entry: LedgerEntry) -> Failure:
    return Failure(
        f"{entry.source} was begun {MAX_ATTEMPTS} times and the process ended each time before it was finished. "
        "Try it alone; run again with --retry-failed when the cause is mended.",
        WORKER_DIED,
        3,
    )


def _is_dead(worker: str) -> bool:
    """Whether a worker was a process of this machine that no longer runs."""
    host, pid, _ = worker.rsplit(":", 2)
    if host != platform.node() or sys.platform == "win32":  # where a signal 0 would be Ctrl-C
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
