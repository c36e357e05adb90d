"""Worker processes on this machine. Each has a pipe of its own, so that one that dies or hangs breaks nothing else."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
from concurrent.futures import Future
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from queue import SimpleQueue
from threading import Event, Thread

from redust.batch.executors import NO_LIMITS, Limits, WorkerDeath
from redust.batch.worker import ScanOutcome, ScanTask, prepare_process, restore_task

TASKS_PER_PROCESS = 200
"""After so many scans a worker process is replaced: what a codec leaks ends with it."""

_END_SECONDS = 5.0
_LOG = logging.getLogger(__name__)


class WorkerStartError(WorkerDeath):
    """A worker process ended before it was up: the system lets none be started."""


class LocalExecutor:
    """Worker processes on this machine; where none can be started, this process, with a warning.

    Parameters
    ----------
    workers
        Processes.
    limits
        What one scan may take.
    """

    def __init__(self, *, workers: int = 1, limits: Limits = NO_LIMITS) -> None:
        self.capacity = workers
        self._limits = limits
        self._queue: SimpleQueue[tuple[bytes, Future[ScanOutcome]] | None] = SimpleQueue()
        self._processes = [WorkerProcess(limits) for _ in range(workers)]
        self._threads = [Thread(target=self._serve, args=[process], daemon=True) for process in self._processes]
        for thread in self._threads:
            thread.start()

    def submit(self, task: ScanTask) -> Future[ScanOutcome]:
        """Run a task; see :class:`redust.batch.executors.Executor`."""
        future: Future[ScanOutcome] = Future()
        self._queue.put((bytes(ForkingPickler.dumps(task)), future))
        return future

    def stop(self) -> None:
        """Kill what runs."""
        for process in self._processes:
            process.refuse()
        self.close()

    def close(self) -> None:
        """End once no task is left."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, process: WorkerProcess) -> None:
        """Pass tasks to a process, until there are no more."""
        while (item := self._queue.get()) is not None:
            task, future = item
            try:
                future.set_result(self._run_task(process, task))
            except (WorkerDeath, TimeoutError, OSError) as error:
                future.set_exception(error)
        process.end()

    def _run_task(self, process: WorkerProcess, task: bytes) -> ScanOutcome:
        try:
            return process.run_task(task)
        except WorkerStartError as error:
            if self._limits != NO_LIMITS:  # which this process cannot keep to
                raise
            _LOG.warning("No worker process can be started (%s): scans are restored one after the other.", error)
            return restore_task(pickle.loads(task))


class WorkerProcess:
    """A process that restores one scan at a time; it is started when there is work, and again after it has died.

    Parameters
    ----------
    limits
        What one scan may take.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._context = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._tasks = 0
        self._refused = Event()

    def run_task(self, task: bytes) -> ScanOutcome:
        """Run a pickled task.

        Raises
        ------
        WorkerStartError
            If no process can be started.
        WorkerDeath
            If the process dies.
        TimeoutError
            If the task takes longer than the limit; the process is killed.
        """
        if self._tasks >= TASKS_PER_PROCESS:
            self.end()
        try:
            connection = self._connection or self._start()
            connection.send_bytes(task)
            if not connection.poll(self._limits.seconds):
                raise TimeoutError
            outcome: ScanOutcome = connection.recv()
        except (EOFError, ConnectionError) as error:
            raise WorkerDeath(self._end_dead()) from error
        except TimeoutError:
            self._kill()
            raise
        self._tasks += 1
        return outcome

    def end(self) -> None:
        """End the process; it has nothing to do."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.join(_END_SECONDS)
        self._kill()

    def refuse(self) -> None:
        """Kill the process and start no other; may be called from another thread."""
        self._refused.set()
        if self._process is not None:
            self._process.kill()

    def _start(self) -> Connection:
        if self._refused.is_set():
            raise WorkerDeath("stopped")
        connection, far_end = self._context.Pipe()
        self._process = self._context.Process(target=serve_tasks, args=(far_end, self._limits.megabytes), daemon=True)
        self._process.start()
        far_end.close()
        self._connection, self._tasks = connection, 0
        if self._refused.is_set():
            self._process.kill()
        try:
            connection.recv()  # it is up: time limits begin now
        except (EOFError, ConnectionError) as error:
            kind = WorkerDeath if self._refused.is_set() else WorkerStartError
            raise kind(self._end_dead()) from error
        return connection

    def _end_dead(self) -> str:
        """Clear away a process that has died, and say with which exit code."""
        process = self._process
        self._kill()
        return f"exit code {None if process is None else process.exitcode}"

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None


def serve_tasks(connection: Connection, megabytes: int | None) -> None:
    """Restore what comes through a pipe: what a worker process runs."""
    prepare_process(megabytes)
    connection.send(None)
    try:
        while True:
            connection.send(restore_task(connection.recv()))
    except (EOFError, ConnectionError):  # the parent has closed the pipe
        return
