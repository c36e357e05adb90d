"""Runs tasks on a Dask cluster: its workers read and write the same paths, or an object store."""

from __future__ import annotations

from concurrent.futures import Future

from redust.batch.executors import NO_LIMITS, Limits
from redust.batch.worker import ScanOutcome, ScanTask, restore_task
from redust.core.errors import SettingsError
from redust.core.heap import restore_thresholds

_CONNECT_SECONDS = 15


class DaskExecutor:
    """The workers of a Dask scheduler. Start each with one thread: a process restores one scan at a time.

    Parameters
    ----------
    scheduler
        Its address, such as ``tcp://10.0.0.5:8786``.
    limits
        A time limit cannot be kept here, since Dask does not stop a task that runs; memory is limited by
        ``dask worker --memory-limit``.

    Raises
    ------
    SettingsError
        If there is no address, a limit, no scheduler that answers, or no worker.
    """

    def __init__(self, *, scheduler: str | None = None, limits: Limits = NO_LIMITS) -> None:
        from distributed import Client

        if scheduler is None:
            raise SettingsError("The executor dask needs the address of a scheduler: --scheduler tcp://HOST:8786.")
        if limits != NO_LIMITS:
            raise SettingsError(
                "Dask keeps neither --scan-timeout nor --memory-limit. Leave them out, and limit memory by "
                "`dask worker --memory-limit`."
            )
        try:
            self._client = Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except OSError as error:
            raise SettingsError(f"No Dask scheduler answers at {scheduler}: {error}. Check the address.") from error
        workers = len(self._client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            self._client.close()
            raise SettingsError(f"The Dask scheduler at {scheduler} has no workers. Start some with `dask worker`.")
        self.capacity = 2 * workers  # one scan waits at each worker while its outcome is on the way
        self._pool = self._client.get_executor(pure=False, retries=0)

    def submit(self, task: ScanTask) -> Future[ScanOutcome]:
        """Run a task; see :class:`redust.batch.executors.Executor`."""
        future: Future[ScanOutcome] = self._pool.submit(_restore_on_worker, task)
        return future

    def stop(self) -> None:
        """Cancel what waits; a scan that runs is finished by its worker, and its result replaced by the next run."""
        self._pool.shutdown(wait=False)
        self._client.close()

    def close(self) -> None:
        """End once no task is left."""
        self._pool.shutdown()
        self._client.close()


def _restore_on_worker(task: ScanTask) -> ScanOutcome:
    restore_thresholds()
    return restore_task(task)
