"""What a worker does with one scan: check it, restore it, hash what was written. It runs in a process of its own."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from redust.batch.failures import Failure, catch_failure
from redust.batch.ledger import OutputFile
from redust.core.errors import UnreadableScan
from redust.core.settings import RestoreSettings
from redust.pipeline.job import Job
from redust.pipeline.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class ScanTask:
    """One scan to restore.

    Parameters
    ----------
    key
        Its key in the ledger.
    job
        The scan, the person's masks, and where results go.
    settings
        Every choice.
    root
        The output folder: paths of results are reported relative to it.
    expected_sha256
        What the input must hash to, by a checksum manifest; None where there is none.
    """

    key: str
    job: Job
    settings: RestoreSettings
    root: Path
    expected_sha256: str | None = None


@dataclass(frozen=True)
class ScanOutcome:
    """What became of a scan.

    Parameters
    ----------
    key
        Its key in the ledger.
    report
        :class:`redust.core.report.Report` as JSON data; empty after a failure.
    outputs
        The files that were written.
    input_sha256
        Of the input's bytes as they were read.
    failure
        Why it was not restored; None if it was.
    """

    key: str
    report: dict[str, Any]
    outputs: tuple[OutputFile, ...] = ()
    input_sha256: str = ""
    failure: Failure | None = None


def limit_memory(megabytes: int | None) -> None:
    """Let allocations of this process fail beyond a limit, where the system can do that.

    A worker's initializer: a scan that asks for more fails with a ``MemoryError`` in place of filling the machine.
    """
    if megabytes is None or sys.platform == "win32":
        return
    import resource

    limit = megabytes * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def restore_task(task: ScanTask) -> ScanOutcome:
    """Restore one scan; whatever goes wrong is part of the outcome."""
    outcome = catch_failure(lambda: _restore(task))
    return ScanOutcome(task.key, {}, failure=outcome) if isinstance(outcome, Failure) else outcome


def hash_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_output(path: Path, root: Path) -> OutputFile:
    """Size, time and hash of a written file."""
    status = path.stat()
    return OutputFile(relative_to_root(path, root), status.st_size, status.st_mtime_ns, hash_file(path))


def relative_to_root(path: Path, root: Path) -> str:
    """A path below the output folder as a POSIX path relative to it, any other one absolute."""
    absolute, base = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    return absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else str(absolute)


def _restore(task: ScanTask) -> ScanOutcome:
    source = task.job.source
    input_sha256 = _hash_input(source)
    if task.expected_sha256 is not None and input_sha256 != task.expected_sha256:
        raise UnreadableScan(
            f"{source} is not what the checksum file says: sha256 {input_sha256} for {task.expected_sha256}. "
            "Copy the scan again from its source."
        )
    report = _pipeline(task.settings).run(task.job)
    outputs = tuple(describe_output(path, task.root) for path in task.job.outputs if path.exists())
    return ScanOutcome(task.key, report.model_dump(mode="json"), outputs, input_sha256)


def _hash_input(source: Path) -> str:
    try:
        return hash_file(source)
    except OSError as error:
        raise UnreadableScan(
            f"{source} cannot be read: {error.strerror}. Check the path and its permissions."
        ) from error


@lru_cache(maxsize=1)
def _pipeline(settings: RestoreSettings) -> Pipeline:
    """The worker's pipeline: engines are loaded once and kept."""
    return Pipeline(settings)
