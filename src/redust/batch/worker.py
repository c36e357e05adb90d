"""What a worker does with one scan: check it, restore it, hash what was written. It runs in a process of its own."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redust.batch.failures import Failure, catch_failure
from redust.batch.ledger_entry import OutputFile
from redust.batch.storage import absolute_path, hash_file, stage_job, stat_file
from redust.core.errors import ScanError, UnreadableScan
from redust.core.settings import RestoreSettings
from redust.detectors.common_marks import FrameResiduals
from redust.pipeline.job import Job
from redust.pipeline.pipeline import Pipeline
from redust.pipeline.threads import use_threads

_ONE_SCAN = threading.Lock()  # an executor may give a process several threads; engines are for one


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
    thumbnails
        Whether to draw small pictures for the report of the run.
    survey
        Measure what the scan has in common with others, and restore nothing; see :mod:`redust.batch.roll`.
    """

    key: str
    job: Job
    settings: RestoreSettings
    root: Path
    expected_sha256: str | None = None
    thumbnails: bool = False
    survey: bool = False


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
        Of the input's bytes before they were decoded.
    failure
        Why it was not restored; None if it was.
    thumbnails
        Small pictures before and after, encoded as JPEG.
    residuals
        Of a survey.
    """

    key: str
    report: dict[str, Any]
    outputs: tuple[OutputFile, ...] = ()
    input_sha256: str = ""
    failure: Failure | None = None
    thumbnails: tuple[bytes, bytes] | None = None
    residuals: FrameResiduals | None = None


def prepare_process(megabytes: int | None) -> None:
    """Prepare a worker process: it leaves Ctrl-C to its parent, ends with it, prints nothing, and keeps to its memory.

    Parameters
    ----------
    megabytes
        What it may allocate, where the system can limit that: a scan that needs more fails with a ``MemoryError`` in
        place of filling the machine. None for no limit.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger().addHandler(logging.NullHandler())  # warnings are in the report, which the parent shows
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if megabytes is not None and sys.platform != "win32":
        import resource

        limit = megabytes * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _end_with_parent() -> None:
    """Wait for the end of the parent process, also by SIGKILL, and end with it."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def restore_task(task: ScanTask) -> ScanOutcome:
    """Restore one scan; whatever goes wrong is part of the outcome."""
    with _ONE_SCAN:
        outcome = catch_failure(lambda: _survey(task) if task.survey else _restore(task))
    return ScanOutcome(task.key, {}, failure=outcome) if isinstance(outcome, Failure) else outcome


def _restore(task: ScanTask) -> ScanOutcome:
    job, settings = task.job, task.settings
    with stage_job(job) as staged, _with_mask(staged, needed=task.thumbnails) as masked:
        input_sha256 = _hash_input(staged.source)
        _check_sha256(job.source, input_sha256, task.expected_sha256)
        report = _load_pipeline(settings).run(masked).model_dump(mode="json")
        hashes = [hash_file(path) if path.exists() else "" for path in staged.outputs]
        thumbnails = _draw_thumbnails(masked, report, settings.first_page) if task.thumbnails else None
    outputs = [
        describe_output(path, task.root, sha256) for path, sha256 in zip(job.outputs, hashes, strict=True) if sha256
    ]
    return ScanOutcome(task.key, _name_files(report, job), tuple(outputs), input_sha256, thumbnails=thumbnails)


def _survey(task: ScanTask) -> ScanOutcome:
    scan = _load_pipeline(task.settings).read(task.job.source)
    return ScanOutcome(task.key, {}, residuals=FrameResiduals.of_frame(scan.pixels))


def _name_files(report: dict[str, Any], job: Job) -> dict[str, Any]:
    """The report with the job's own paths: those of a remote job were staged."""
    paths = {
        "target": job.target,
        "mask_file": job.mask_out,
        "map_file": job.map_out,
        "compare_file": job.compare,
        "layers_file": job.layers,
    }
    return report | {
        "source": str(job.source),
        **{name: str(path) if path and report.get(name) else None for name, path in paths.items()},
    }


def describe_output(path: Path, root: Path, sha256: str | None = None) -> OutputFile:
    """Size, time and hash of a written file."""
    status = stat_file(path)
    return OutputFile(relative_to_root(path, root), status.size, status.mtime_ns, sha256 or hash_file(path))


def relative_to_root(path: Path, root: Path) -> str:
    """A path below the output folder as a POSIX path relative to it, any other one absolute."""
    absolute, base = absolute_path(path), absolute_path(root)
    prefix = base.rstrip(os.sep) + ("/" if "://" in base else os.sep)
    return absolute[len(prefix) :].replace(os.sep, "/") if absolute.startswith(prefix) else absolute


def _hash_input(source: Path) -> str:
    if source.exists() and not source.is_file():
        raise ScanError(f"{source} is a folder or a device, not a file. Give a file.")
    try:
        return hash_file(source)
    except FileNotFoundError as error:
        raise ScanError(f"{source} does not exist. Check the path.") from error
    except OSError as error:
        raise ScanError(f"{source} cannot be read: {error.strerror}. Check its permissions and the disk.") from error


def _check_sha256(source: Path, sha256: str, expected_sha256: str | None) -> None:
    if expected_sha256 is not None and sha256 != expected_sha256:
        raise UnreadableScan(
            f"{source} is not what the checksum file says: sha256 {sha256} for {expected_sha256}. "
            "Copy the scan again from its source."
        )


def _draw_thumbnails(job: Job, report: dict[str, Any], page: int) -> tuple[bytes, bytes] | None:
    from redust.batch.thumbnails import draw_thumbnails

    if report["status"] == "review" and job.mask_out is not None and job.mask_out.exists():
        return draw_thumbnails(job.source, job.source, page=page, mask_file=job.mask_out)
    if not report["target"] or job.target is None:
        return None
    return draw_thumbnails(job.source, job.target, page=page, mask_file=job.mask_out)


@contextmanager
def _with_mask(job: Job, *, needed: bool) -> Iterator[Job]:
    """The job, writing its mask into a temporary folder where nobody else wants it: small pictures show it."""
    if not needed or job.mask_out is not None or job.target is None:
        yield job
        return
    with TemporaryDirectory() as folder:
        yield replace(job, mask_out=Path(folder) / "mask.png")


@lru_cache(maxsize=1)
def _load_pipeline(settings: RestoreSettings) -> Pipeline:
    """The worker's pipeline: engines are loaded once and kept. Its threads are all that the process uses."""
    use_threads(settings.threads)
    return Pipeline(settings)
