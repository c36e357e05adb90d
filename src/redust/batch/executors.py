"""Where tasks run. Every executor hands out ``concurrent.futures`` futures; others come by entry point."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Protocol

from redust.batch.failures import Failure, describe_failure
from redust.batch.worker import ScanOutcome, ScanTask, prepare_process, restore_task
from redust.core.catalogue import Catalogue

catalogue = Catalogue(
    "executor",
    {
        "local": "redust.batch.executors:LocalExecutor",
        "inline": "redust.batch.executors:InlineExecutor",
        "dask": "redust.batch.dask_executor:DaskExecutor",
    },
    "redust.executors",
)

TASKS_PER_PROCESS = 200
"""After so many scans a worker process is replaced: what a codec leaks ends with it."""

_TIMEOUT_CODE, _CRASH_CODE = 3, 3


@dataclass(frozen=True)
class Limits:
    """What one scan may take.

    Parameters
    ----------
    seconds
        Time; None for no limit.
    megabytes
        Memory a worker process may allocate; None for no limit.
    """

    seconds: float | None = None
    megabytes: int | None = None


NO_LIMITS = Limits()


class Executor(Protocol):
    """Runs tasks somewhere. Its factory gets those of ``workers``, ``limits`` and ``scheduler`` that it has parameters
    for.
    """

    @property
    def capacity(self) -> int:
        """How many tasks it holds at a time, those that wait for a worker included."""
        ...

    def submit(self, task: ScanTask) -> Future[ScanOutcome]:
        """Run a task; a worker that dies, hangs or runs out of memory ends in an exception of the future."""
        ...

    def stop(self) -> None:
        """End at once: tasks that run are killed."""
        ...

    def close(self) -> None:
        """End once no task is left."""
        ...


class LocalExecutor:
    """Processes on this machine, by ``pebble``: a process that dies or hangs takes only its own scan with it.

    Parameters
    ----------
    workers
        Processes.
    limits
        What one scan may take.
    """

    def __init__(self, *, workers: int = 1, limits: Limits = NO_LIMITS) -> None:
        from pebble import ProcessPool

        self.capacity = workers
        self.limits = limits
        self._pool = ProcessPool(
            max_workers=workers,
            max_tasks=TASKS_PER_PROCESS,
            initializer=prepare_process,
            initargs=[limits.megabytes],
            context=multiprocessing.get_context("spawn"),
        )

    def submit(self, task: ScanTask) -> Future[ScanOutcome]:
        """Run a task; see :class:`Executor`."""
        future: Future[ScanOutcome] = self._pool.schedule(restore_task, args=[task], timeout=self.limits.seconds)
        return future

    def stop(self) -> None:
        """Kill what runs."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def close(self) -> None:
        """End once no task is left."""
        self._pool.close()  # type: ignore[no-untyped-call]
        self._pool.join()


class InlineExecutor:
    """This process, one scan after the other: for a few small scans, and to debug."""

    capacity = 1

    def submit(self, task: ScanTask) -> Future[ScanOutcome]:
        """Run a task now; see :class:`Executor`."""
        future: Future[ScanOutcome] = Future()
        future.set_result(restore_task(task))
        return future

    def stop(self) -> None:
        """Nothing runs between tasks."""

    def close(self) -> None:
        """Nothing is open."""


def collect_outcome(task: ScanTask, future: Future[ScanOutcome]) -> ScanOutcome:
    """The outcome of a finished future; the death of its worker becomes a failure of the scan."""
    error = future.exception()
    if error is None:
        return future.result()
    return ScanOutcome(task.key, {}, failure=_explain_death(task, error))


def _explain_death(task: ScanTask, error: BaseException) -> Failure:
    source = task.job.source
    if isinstance(error, FutureTimeout | TimeoutError):
        return Failure(
            f"{source} took longer than the time limit and was stopped. Allow more with --scan-timeout.",
            "ScanTimeout",
            _TIMEOUT_CODE,
        )
    if type(error).__name__ in ("ProcessExpired", "KilledWorker"):
        return Failure(
            f"The process that worked on {source} died ({error}). The file may crash a decoder or need more memory "
            "than there is: try it alone, with --workers 1.",
            "WorkerDied",
            _CRASH_CODE,
        )
    return describe_failure(error) if isinstance(error, Exception) else Failure(str(error), type(error).__name__, 1)
