"""Does a list of jobs with one pipeline: a scan that fails is told, the others go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

import redust
from redust.cli.attempt import Failure, attempt
from redust.cli.screen import Screen
from redust.core.report import Report
from redust.core.settings import RestoreSettings, ScanSettings
from redust.files import check_path, whole_file
from redust.pipeline.job import Job
from redust.pipeline.pipeline import Pipeline


def run_jobs(
    jobs: Sequence[Job],
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
        One JSON object per line and scan; written at the end, also when interrupted.
    quiet, verbose, as_json
        See :class:`redust.cli.screen.Screen`.

    Raises
    ------
    typer.Exit
        With the first failure's exit code, if any scan failed.
    RedustError
        Before any work, if an engine cannot be made or the report cannot be written.
    """
    pipeline = Pipeline(RestoreSettings.covering(settings))
    if report_file is not None:
        check_path(report_file, source=[job.source for job in jobs], overwrite=settings.overwrite)
    reports: list[Report] = []
    failures: list[Failure] = []
    with Screen(len(jobs), quiet=quiet, verbose=verbose, as_json=as_json) as screen:
        load_engines(pipeline, jobs)
        try:
            for job in jobs:
                reports.append(do(job, pipeline, screen, failures))
        finally:
            if report_file is not None:
                write_reports(reports, report_file, overwrite=settings.overwrite)
            if len(jobs) > 1:
                screen.remark(summary(reports, len(jobs)))
    if failures:
        raise typer.Exit(failures[0].exit_code)


def load_engines(pipeline: Pipeline, jobs: Sequence[Job]) -> None:
    """Load what the jobs need: an engine that cannot be made stops the run before the first scan."""
    pipeline.method.load_engines(
        detects=any(job.mask is None for job in jobs),
        fills=any(job.target is not None or job.compare is not None for job in jobs),
    )


def do(job: Job, pipeline: Pipeline, screen: Screen, failures: list[Failure]) -> Report:
    """Do one job and show what became of it; a failure is added to `failures` and reported as such."""
    progress = screen.scan(job.source.name)
    done = attempt(lambda: pipeline.run(job, progress=progress))
    if isinstance(done, Failure):
        failures.append(done)
        screen.complain(str(job.source), done)
        done = failed(job, done)
    screen.result(done)
    return done


def failed(job: Job, failure: Failure) -> Report:
    """The report of a scan that failed."""
    return Report(
        redust=redust.__version__,
        source=str(job.source),
        status="failed",
        error=failure.sentence,
        error_kind=failure.kind,
    )


def summary(reports: Sequence[Report], total: int) -> str:
    """The run in one line."""
    broken = sum(report.status == "failed" for report in reports)
    left = total - len(reports)
    parts = [f"{len(reports) - broken} of {total} scans done"]
    parts += [f"{broken} failed"] if broken else []
    parts += [f"{left} not begun"] if left else []
    return ", ".join(parts) + "."


def write_reports(reports: Sequence[Report], path: Path, *, overwrite: bool) -> None:
    """Write one JSON object per line."""
    lines = "".join(f"{report.model_dump_json()}\n" for report in reports)
    with whole_file(path, overwrite=overwrite) as file:
        file.write(lines.encode())
