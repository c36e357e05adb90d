"""A scan's file replaced by the restored one: for programs that hand a file to an external editor and read it again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from redust.core.atomic import check_original, replace_original, sweep_folders
from redust.core.errors import TargetError
from redust.core.report import Report
from redust.pipeline.job import Job
from redust.pipeline.report_builder import Progress

if TYPE_CHECKING:
    from redust.pipeline.pipeline import Pipeline

_FOLDER = ".redust-in-place-"
ORIGINAL = ".original"
"""What the name of a replaced scan ends with, before its suffix."""


def original_name(source: Path) -> Path:
    """Where the original of a scan restored in place is kept: `scan.tif` as `scan.original.tif`."""
    return source.with_name(f"{source.stem}{ORIGINAL}{source.suffix}")


def restore_in_place(pipeline: Pipeline, job: Job, progress: Progress | None = None) -> Report:
    """Restore a scan and put the result in its place, in one step; a scan without damage stays as it is.

    The result is made in a hidden folder beside the scan; such folders of killed runs are deleted a day later.
    Symbolic links stay: the file that they lead to is replaced.

    Raises
    ------
    TargetExists
        If there is an original already, which would be lost.
    TargetError
        If the original cannot be kept, or the file was changed by somebody else meanwhile; it is then as it was.
    RedustError
        As :meth:`redust.pipeline.pipeline.Pipeline.run`.
    """
    source = job.source.resolve()
    original = original_name(source)
    if source.is_file():  # if not, reading it will say so
        check_original(original, source)
    sweep_folders(source.parent, _FOLDER)
    before = _stamp_of(source)
    try:
        folder = TemporaryDirectory(dir=source.parent, prefix=_FOLDER)
    except OSError as error:
        raise TargetError(f"{source.parent} may not be written to: {error.strerror}. Check its permissions.") from error
    with folder:
        result = Path(folder.name, source.name)
        report = pipeline.run(replace(job, target=result, in_place=False), progress=progress)
        if report.regions == 0 or report.status == "review":
            return report.model_copy(update={"target": None})
        if _stamp_of(source) != before:
            raise TargetError(f"{source} was changed while it was restored, and is left as it is. Restore it again.")
        replace_original(result, source, original)
    return report.model_copy(update={"target": str(job.source), "original_file": str(original)})


def _stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of change; zeros where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
