"""Does a worklist's jobs with one pipeline: a scan that fails is reported, the others go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

import redust
from redust.batch.failures import Failure, catch_failure, describe_failure
from redust.batch.worklist import Worklist
from redust.cli.screen import Screen
from redust.core.atomic import check_path, growing_file
from redust.core.errors import ReviewNeeded, UnsupportedScan
from redust.core.report import Report
from redust.core.settings import RestoreSettings, ScanSettings
from redust.pipeline.job import Job
from redust.pipeline.pipeline import Pipeline
from redust.pipeline.threads import use_threads

_NAMED = 5  # skipped files that the screen names


def run_jobs(
    worklist: Worklist,
    settings: ScanSettings,
    report_file: Path | None = None,
    *,
    quiet: bool = False,
    verbose: bool = False,
    as_json: bool = False,
) -> None:
    """Do the jobs one after the other.

    Parameters
    ----------
    report_file
        One JSON object per line and scan, on the disk before the next scan begins.
    quiet, verbose, as_json
        See :class:`redust.cli.screen.Screen`.

    Raises
    ------
    typer.Exit
        With the first failure's exit code, if any scan failed or the report could not be written.
    RedustError
        Before any work, if an engine cannot be made or the report cannot be written.
    """
    jobs = worklist.jobs
    use_threads(settings.threads)
    pipeline = Pipeline(RestoreSettings.covering(settings))
    if report_file is not None:
        check_path(report_file, source=[job.source for job in jobs], overwrite=settings.overwrite)
    with Screen(len(jobs), quiet=quiet, verbose=verbose, as_json=as_json) as screen:
        load_engines(pipeline, jobs)
        with _open_report(report_file, overwrite=settings.overwrite) as write_line:
            run = Run(screen, write_line)
            run.do_worklist(worklist, pipeline)
    if run.failures:
        raise typer.Exit(run.failures[0][1].exit_code)
    refuse_review(run.reviews)


@contextmanager
def _open_report(path: Path | None, *, overwrite: bool) -> Iterator[Callable[[str], None]]:
    """What adds a line to the report; it does nothing where there is no report."""
    if path is None:
        yield lambda _: None
        return
    with growing_file(path, overwrite=overwrite) as append:
        yield lambda line: append(f"{line}\n".encode())


def load_engines(pipeline: Pipeline, jobs: Sequence[Job]) -> None:
    """Load what the jobs need: an engine that cannot be made stops the run before the first scan."""
    pipeline.method.load_engines(
        detects=any(job.mask is None for job in jobs),
        fills=any(job.repairs for job in jobs),
    )


def refuse_review(count: int) -> None:
    """Raise a :class:`ReviewNeeded` if scans were left alone."""
    if count:
        raise ReviewNeeded(
            f"{count} of the scans would be changed by more than --max-change: they were left alone. Look at them, "
            "and restore them with a higher limit or by hand."
        )


class Run:
    """What became of the scans so far.

    Parameters
    ----------
    screen
        Shows it.
    write_line
        Adds a line to the report.

    Attributes
    ----------
    failures
        What failed, and why.
    reviews
        How many scans were left alone for review.
    """

    def __init__(self, screen: Screen, write_line: Callable[[str], None]) -> None:
        self._screen, self._write_line = screen, write_line
        self._finished = 0
        self.failures: list[tuple[str, Failure]] = []
        self.reviews = 0

    def do_worklist(self, worklist: Worklist, pipeline: Pipeline) -> None:
        """Do all jobs; an interruption shows what was done before it."""
        try:
            for refusal in worklist.refusals:
                self.record_failure(refusal.path, describe_failure(refusal.error))
            for job in worklist.jobs:
                self.do_job(job, pipeline)
            self.record_skipped(worklist)
        finally:
            self.show_end(len(worklist.jobs) + len(worklist.refusals))

    def do_job(self, job: Job, pipeline: Pipeline) -> None:
        """Do one job and show what became of it."""
        report_progress = self._screen.begin_scan(job.source.name)
        report = catch_failure(lambda: pipeline.run(job, progress=report_progress))
        if isinstance(report, Failure):
            self.record_failure(job.source, report)
            return
        self._finished += 1
        self.reviews += report.status == "review"
        self._add_report(report)

    def record_failure(self, source: Path, failure: Failure) -> None:
        """Show and report why a scan failed."""
        self._show_failure(str(source), failure)
        self._add_report(describe_scan(source, "failed", failure))

    def record_skipped(self, worklist: Worklist) -> None:
        """Show and report the files of folders that were passed over."""
        for report in describe_skipped(worklist):
            self._add_report(report, shown=False)
        for note in summarise_skipped(worklist):
            self._screen.print_note(note)

    def show_end(self, total: int) -> None:
        """Show once more what failed, and the run in one line."""
        if total < 2:
            return
        for source, failure in self.failures:
            self._screen.print_failure(source, failure, again=True)
        self._screen.print_note(summarise_run(self._finished, len(self.failures), total))

    def _add_report(self, report: Report, *, shown: bool = True) -> None:
        if shown:
            self._screen.print_report(report)
        written = catch_failure(lambda: self._write_line(report.to_json()))
        if isinstance(written, Failure):
            self._show_failure("The report", written)

    def _show_failure(self, source: str, failure: Failure) -> None:
        self.failures.append((source, failure))
        self._screen.print_failure(source, failure)


def describe_skipped(worklist: Worklist) -> list[Report]:
    """The reports of files that were passed over."""
    reasons = {
        "is no scan by its name, or a link; it was passed over. Name it to restore it.": worklist.skipped,
        "belongs to the scan beside it; it was left alone. Name it by itself to restore it.": worklist.companions,
    }
    return [
        describe_scan(path, "skipped", describe_failure(UnsupportedScan(f"{path} {reason}")))
        for reason, paths in reasons.items()
        for path in paths
    ]


def describe_scan(source: Path, status: str, failure: Failure) -> Report:
    """The report of a scan that was not worked on to its end."""
    return Report.model_validate(
        {
            "redust": redust.__version__,
            "source": str(source),
            "status": status,
            "error": failure.sentence,
            "error_kind": failure.kind,
        }
    )


def summarise_run(finished: int, failed: int, total: int) -> str:
    """The run in one line."""
    waiting = total - finished - failed
    clauses = [f"{finished} of {total} scans done"]
    clauses += [f"{failed} failed"] if failed else []
    clauses += [f"{waiting} not begun"] if waiting > 0 else []
    return ", ".join(clauses) + "."


def summarise_skipped(worklist: Worklist) -> list[str]:
    """The files that were passed over, by their suffix, and the first of them by name."""
    notes = []
    if worklist.skipped:
        kinds = _count_suffixes(worklist.skipped)
        count = len(worklist.skipped)
        files = "1 file that is no scan" if count == 1 else f"{count} files that are no scans"
        notes.append(f"Passed over {files} ReDust takes from a folder {kinds}")
    if worklist.companions:
        kinds = _count_suffixes(worklist.companions)
        count = len(worklist.companions)
        files = "1 companion of a scan" if count == 1 else f"{count} companions of scans"
        notes.append(f"Left alone {files}, such as infrared channels {kinds}")
    return notes


def _count_suffixes(paths: Sequence[Path]) -> str:
    counts = Counter(path.suffix.lower() or "no suffix" for path in paths)
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(_NAMED))
    names = ", ".join(str(path) for path in paths[:_NAMED])
    return f"({kinds}): {names}{', ...' if len(paths) > _NAMED else ''}"
