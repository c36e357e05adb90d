"""Where tasks run. Every executor hands out ``concurrent.futures`` futures; others come by entry point."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from redust.batch.failures import Failure, describe_failure
from redust.batch.worker import ScanOutcome, ScanTask, restore_task
from redust.core.catalogue import Catalogue

catalogue = Catalogue(
    "executor",
    {
        "local": "redust.batch.local_executor:LocalExecutor",
        "inline": "redust.batch.executors:InlineExecutor",
        "dask": "redust.batch.dask_executor:DaskExecutor",
    },
    "redust.executors",
)

WORKER_DIED = "WorkerDied"
"""The kind of failure of a scan whose process died."""

_TIMEOUT_CODE, _CRASH_CODE = 3, 3


class WorkerDeath(Exception):
    """A worker process ended before its task."""


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
    if isinstance(error, TimeoutError):
        return Failure(
            f"{source} took longer than the time limit and was stopped. Allow more with --scan-timeout.",
            "ScanTimeout",
            _TIMEOUT_CODE,
        )
    if isinstance(error, WorkerDeath) or type(error).__name__ == "KilledWorker":  # of Dask
        return Failure(
            f"The process that worked on {source} died ({error}). The file may crash a decoder or need more memory "
            "than there is: try it alone, with --workers 1.",
            WORKER_DIED,
            _CRASH_CODE,
        )
    return describe_failure(error) if isinstance(error, Exception) else Failure(str(error), type(error).__name__, 1)
