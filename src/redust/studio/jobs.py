"""Work that takes a while: one lane for heavy work, a fast one for what a person waits for, and
one for counts that may come later; bounded, cancellable.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from secrets import token_hex
from typing import Any, TypeAlias

from redust.batch.failures import Failure, catch_failure
from redust.core.errors import RedustError
from redust.studio.records import JobRecord, JobState
from redust.studio.refusals import Busy, Conflict, NotKnown

JobResult: TypeAlias = dict[str, Any] | None

MAX_QUEUED = 64
"""Jobs of a lane that wait; one more is refused."""

_KEPT_RECORDS = 200
_PUBLISH_SECONDS = 0.1

# Where each step begins and ends, as shares of a job on one scan.
_STEPS = {
    "hash": (0.0, 0.05), "read": (0.0, 0.05), "detect": (0.05, 0.8), "judge": (0.8, 0.95), "decide": (0.1, 0.2),
    "fill": (0.2, 0.85), "write": (0.85, 1.0),
}  # fmt: skip


class JobCancelled(RedustError):
    """A person has cancelled the job."""


class Job:
    """One piece of work; `work` is called with it and reports progress to it."""

    def __init__(self, kind: str, work: Callable[[Job], JobResult], scan: str | None, publish: Callable[[Job], None]):
        self.id = token_hex(8)
        self.kind, self.scan = kind, scan
        self.state, self.share, self.step = JobState.queued, 0.0, ""
        self.message: str | None = None
        self.result: JobResult = None
        self.failure: Failure | None = None
        self.ended = threading.Event()
        self._work, self._publish = work, publish
        self._cancelled = threading.Event()
        self._start, self._span = 0.0, 1.0
        self._published_at = 0.0

    def record(self) -> JobRecord:
        """The job as the API shows it."""
        return JobRecord(
            id=self.id, kind=self.kind, scan=self.scan, state=self.state, progress=round(self.share, 4),
            step=self.step, message=self.message, result=self.result,
        )  # fmt: skip

    def report_progress(self, step: str, share: float) -> None:
        """Report the share of a step that is done, 0..1.

        Raises
        ------
        JobCancelled
            If the job is to end.
        """
        if self._cancelled.is_set():
            raise JobCancelled("The job was cancelled. Start it again to go on.")
        start, end = _STEPS.get(step, (0.0, 1.0))
        share = self._start + self._span * (start + (end - start) * min(max(share, 0.0), 1.0))
        self.step, self.share = step, max(self.share, share)
        if time.monotonic() - self._published_at > _PUBLISH_SECONDS:
            self._published_at = time.monotonic()
            self._publish(self)

    def begin_item(self, number: int, total: int) -> None:
        """Begin one of several items: further progress is that of this item."""
        self._start, self._span = number / total, 1 / total
        self.report_progress("read", 0.0)

    def pause(self, seconds: float) -> None:
        """Wait, or end where the job is cancelled meanwhile; errors as for :meth:`report_progress`."""
        self._cancelled.wait(seconds)
        self.report_progress(self.step, 0.0)

    def cancel(self) -> None:
        """End at the next report of progress."""
        self._cancelled.set()
        if self.state is JobState.queued:
            self._end(JobState.cancelled)

    def run(self) -> None:
        """Do the work; whatever goes wrong becomes the job's message."""
        if self.state is not JobState.queued:
            return
        self.state = JobState.running
        self._publish(self)
        outcome = catch_failure(lambda: self._work(self))
        if not isinstance(outcome, Failure):
            self.result, self.share = outcome, 1.0
            self._end(JobState.done)
            return
        self.failure, self.message = outcome, outcome.sentence
        self._end(JobState.cancelled if outcome.kind == JobCancelled.__name__ else JobState.failed)

    def _end(self, state: JobState) -> None:
        self.state = state
        self.ended.set()
        self._publish(self)


class Lane:
    """A thread that does jobs one after the other."""

    def __init__(self, name: str) -> None:
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._running: Job | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._work_off, name=name, daemon=True)
        self._thread.start()

    def add(self, job: Job) -> None:
        """Add a job at the end.

        Raises
        ------
        Busy
            If too many wait.
        """
        with self._changed:
            if len(self._waiting) >= MAX_QUEUED:
                raise Busy(f"{MAX_QUEUED} jobs wait already. Try again when some of them are done.")
            self._waiting.append(job)
            self._changed.notify()

    def replace(self, job: Job) -> None:
        """Add a job in place of that of the same kind on the same scan; one that runs is cancelled."""
        with self._changed:
            alike = [waiting for waiting in self._waiting if (waiting.kind, waiting.scan) == (job.kind, job.scan)]
            for waiting in alike:
                self._waiting.remove(waiting)
            running = self._running
        for earlier in [*alike, *([running] if running is not None else [])]:
            if (earlier.kind, earlier.scan) == (job.kind, job.scan):
                earlier.cancel()
        self.add(job)

    def active(self) -> list[Job]:
        """The job that runs and those that wait."""
        with self._changed:
            running = [self._running] if self._running is not None else []
            return [*running, *(job for job in self._waiting if job.state is JobState.queued)]

    def close(self, seconds: float = 5.0) -> None:
        """Cancel all jobs and end the thread."""
        for job in self.active():
            job.cancel()
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)

    def _work_off(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                self._running = self._waiting.popleft()
            self._running.run()
            with self._changed:
                self._running = None


class JobBoard:
    """All jobs of the server.

    Parameters
    ----------
    on_change
        Called with the record of a job that has changed, from any thread.
    """

    def __init__(self, on_change: Callable[[JobRecord], None]) -> None:
        self._on_change = on_change
        self._heavy, self._fast, self._counting = Lane("redust-heavy"), Lane("redust-fast"), Lane("redust-counting")
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()

    def submit(self, kind: str, work: Callable[[Job], JobResult], scan: str | None = None) -> JobRecord:
        """Queue heavy work; that of the same kind on the same scan, if it waits or runs, is answered instead."""
        with self._lock:
            for job in self._heavy.active():
                if scan is not None and (job.kind, job.scan) == (kind, scan):
                    return job.record()
            job = Job(kind, work, scan, lambda changed: self._on_change(changed.record()))
            self._heavy.add(job)
            self._jobs[job.id] = job
            self._forget_oldest()
        self._on_change(job.record())
        return job.record()

    def run_fast(self, kind: str, work: Callable[[Job], JobResult], scan: str) -> JobResult:
        """Do work in the fast lane and wait for its end.

        Raises
        ------
        Conflict
            With the sentence of what failed.
        """
        job = Job(kind, work, scan, lambda _: None)
        self._fast.add(job)
        job.ended.wait()
        if job.state is not JobState.done:
            raise Conflict(job.message or "It was cancelled. Try again.")
        return job.result

    def count_later(self, work: Callable[[Job], JobResult], scan: str) -> None:
        """Queue what nobody waits for, in place of the same on the same scan."""
        self._counting.replace(Job("count", work, scan, lambda _: None))

    @property
    def is_counting(self) -> bool:
        """Whether anything of that waits or runs."""
        return bool(self._counting.active())

    def records(self) -> list[JobRecord]:
        """All jobs that are known, the newest first."""
        with self._lock:
            return [job.record() for job in reversed(self._jobs.values())]

    def find(self, job_id: str) -> JobRecord:
        """A job by its identifier.

        Raises
        ------
        NotKnown
            If there is none.
        """
        return self._find(job_id).record()

    def cancel(self, job_id: str) -> JobRecord:
        """Cancel a job; errors as for :meth:`find`."""
        job = self._find(job_id)
        job.cancel()
        return job.record()

    def is_active(self, kind: str, scan: str) -> bool:
        """Whether such a job waits or runs."""
        return any((job.kind, job.scan) == (kind, scan) and not job.ended.is_set() for job in self._heavy.active())

    def close(self) -> None:
        """Cancel everything and end the threads."""
        for lane in (self._heavy, self._fast, self._counting):
            lane.close()

    def _find(self, job_id: str) -> Job:
        with self._lock:
            if job_id not in self._jobs:
                raise NotKnown("There is no such job. List them with GET /api/jobs.")
            return self._jobs[job_id]

    def _forget_oldest(self) -> None:
        ended = [job.id for job in self._jobs.values() if job.ended.is_set()]
        for job_id in ended[: max(0, len(self._jobs) - _KEPT_RECORDS)]:
            del self._jobs[job_id]
