"""Runs a worklist over many scans with a ledger: finished work is skipped, an interrupted run goes on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from redust.batch.batch_settings import BatchSettings
from redust.batch.checksums import match_checksums, read_manifest
from redust.batch.estimate import DEFAULT_PACE, choose_workers, count_cores, estimate_megapixels
from redust.batch.executors import Executor, Limits, catalogue
from redust.batch.failures import INTERRUPTED_EXIT_CODE, Failure, describe_failure
from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import LEDGER_NAME, LedgerEntry
from redust.batch.plan import BatchPlan, in_shard, key_of, make_plan, plan_run
from redust.batch.receipts import complete_receipts
from redust.batch.run_report import check_report, write_report
from redust.batch.runner import BatchRun, Runner
from redust.batch.storage import is_remote
from redust.batch.worker import ScanOutcome
from redust.batch.worklist import Worklist
from redust.cli.run_jobs import describe_scan, describe_skipped, load_engines, refuse_review, summarise_skipped
from redust.cli.screen import Screen
from redust.core.errors import SettingsError, TargetError
from redust.core.report import Report
from redust.core.settings import RestoreSettings
from redust.pipeline.job import Job
from redust.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class Display:
    """What a run shows; see :class:`redust.cli.screen.Screen`."""

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False


def run_batch(
    worklist: Worklist,
    settings: RestoreSettings,
    batch: BatchSettings,
    root: Path,
    report_file: Path | None = None,
    display: Display = Display(),  # frozen
) -> None:
    """Do what is left of a worklist.

    Parameters
    ----------
    root
        The output folder.
    report_file
        The report of everything the ledger knows, written at the end.

    Raises
    ------
    typer.Exit
        With the first failure's exit code if any scan has failed, now or in an earlier run; 130 after Ctrl-C.
    ReviewNeeded
        If scans were left alone.
    RedustError
        Before any work, if something the run needs is missing.
    """
    jobs = select_jobs(worklist, batch, root)
    if batch.dry_run:
        show_dry_run(jobs, settings, batch, root)
        return
    if report_file is not None:
        check_report(report_file, overwrite=settings.overwrite)
    checksums = match_checksums(jobs, read_manifest(batch.checksums), batch.checksums) if batch.checksums else {}
    with Ledger(prepare_ledger_folder(batch, root)) as ledger:
        plan = plan_run(jobs, settings, ledger, root, retry_failed=batch.retry_failed)
        run = BatchRun(
            jobs, settings, root, checksums, batch.receipts, batch.premis,
            thumbnails=report_file is not None and report_file.suffix.lower() == ".html",
        )  # fmt: skip
        with Screen(max(2, len(plan.keys)), **vars(display)) as screen:
            progress = BatchProgress(screen, worklist, plan, jobs)
            try:
                work_off(run, plan, ledger, batch, progress)
            finally:
                if report_file is not None:
                    write_report(ledger, report_file, root, passed_over=progress.passed_over, overwrite=True)
                progress.show_end()
    progress.exit()


def select_jobs(worklist: Worklist, batch: BatchSettings, root: Path) -> dict[str, Job]:
    """The jobs of this run's share, by key."""
    jobs = {key_of(job, root): job for job in worklist.jobs}
    share = batch.share
    return jobs if share is None else {key: job for key, job in jobs.items() if in_shard(key, *share)}


def prepare_ledger_folder(batch: BatchSettings, root: Path) -> Path:
    """The folder of the ledger; made if it is missing."""
    folder = batch.ledger or root
    if is_remote(folder):
        raise SettingsError(
            f"A ledger cannot lie in an object store such as {folder}. Name a folder with --ledger DIR."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(f"The folder {folder} cannot be made: {error.strerror}. Choose another output.") from error
    return folder


def show_dry_run(jobs: Mapping[str, Job], settings: RestoreSettings, batch: BatchSettings, root: Path) -> None:
    """Print what would be done and how long it may take; nothing is written."""
    folder, known, pace = batch.ledger or root, dict[str, LedgerEntry](), None
    if (folder / LEDGER_NAME).is_file():
        with Ledger(folder, create=False) as ledger:
            known, pace = ledger.entries(jobs), ledger.summarise().seconds_per_megapixel
    plan = make_plan(jobs, settings, known, root, retry_failed=batch.retry_failed)
    for key in plan.keys:
        typer.echo(f"{jobs[key].source} -> {', '.join(str(path) for path in jobs[key].outputs)}")
    typer.echo(summarise_plan(plan), err=True)
    workers = batch.workers or choose_workers(len(plan.keys))
    megapixels = estimate_megapixels(plan.queued)
    measured = pace or DEFAULT_PACE * workers / count_cores()
    source = "as measured in this ledger" if pace else "as measured on one server, not here"
    typer.echo(
        f"About {megapixels:,.0f} megapixels with {workers} worker{'s' if workers > 1 else ''}: "
        f"{format_seconds(megapixels * measured / workers)} ({measured:.2f} s per megapixel and worker, {source}).",
        err=True,
    )


def summarise_plan(plan: BatchPlan) -> str:
    """The plan in one line."""
    clauses = [f"to do: {len(plan.keys)}"]
    clauses += [f"finished already: {len(plan.skipped)}"] if plan.skipped else []
    clauses += [f"failed earlier: {len(plan.failed)} (--retry-failed tries them again)"] if plan.failed else []
    return f"Scans {'; '.join(clauses)}."


def format_seconds(seconds: float) -> str:
    """A duration in the unit that suits it."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


class BatchProgress:
    """Shows what becomes of a run's scans.

    Parameters
    ----------
    screen
        Where.
    worklist
        Its refusals count as failures.
    plan
        What is to be done.
    jobs
        By key.
    """

    def __init__(self, screen: Screen, worklist: Worklist, plan: BatchPlan, jobs: Mapping[str, Job]) -> None:
        self._screen, self._plan, self._jobs, self._worklist = screen, plan, jobs, worklist
        self._finished, self._begun_at = 0, time.monotonic()
        self.reviews = sum(entry.state == "review" for entry in plan.skipped)
        self.failures: list[tuple[str, Failure]] = []
        self.prints_warnings = True
        self.stopped = False
        self.passed_over = describe_skipped(worklist)
        for refusal in worklist.refusals:
            failure = describe_failure(refusal.error)
            self._show_failure(str(refusal.path), failure)
            self.passed_over.insert(0, describe_scan(refusal.path, "failed", failure))
        if plan.skipped or plan.failed:
            screen.print_note(summarise_plan(plan))

    def record_outcome(self, entry: LedgerEntry, outcome: ScanOutcome) -> None:
        """Show what became of a scan."""
        self._finished += 1
        if outcome.failure is not None:
            source = self._jobs[entry.key].source
            self._show_failure(str(source), outcome.failure)
            self._screen.print_report(describe_scan(source, "failed", outcome.failure))
        else:
            report = Report.model_validate(outcome.report)
            self.reviews += report.status == "review"
            if self.prints_warnings:
                self._screen.print_warnings(report)
            self._screen.print_report(report)
        rate = 3600 * self._finished / max(time.monotonic() - self._begun_at, 1e-3)
        failed = f", {len(self.failures)} failed" if self.failures else ""
        self._screen.show_progress(self._finished, f"{rate:,.0f} scans/h{failed}")

    def print_note(self, sentence: str) -> None:
        """Print what is good to know."""
        self._screen.print_note(sentence)

    def show_end(self) -> None:
        """Show once more what failed, and the run in one line."""
        for note in summarise_skipped(self._worklist):
            self._screen.print_note(note)
        for source, failure in self.failures:
            self._screen.print_failure(source, failure, again=True)
        total = len(self._plan.keys) + len(self._plan.skipped) + len(self._plan.failed)
        refused = sum(report.status == "failed" for report in self.passed_over)
        failed = len(self.failures) + len(self._plan.failed)
        done = len(self._plan.skipped) + self._finished + refused - len(self.failures)
        clauses = [f"{done} of {total + refused} scans done"]
        clauses += [f"{failed} failed"] if failed else []
        clauses += [f"{self.reviews} of them left for review"] if self.reviews else []
        left = len(self._plan.keys) - self._finished
        clauses += [f"{left} not finished: run again to go on"] if left > 0 else []
        self._screen.print_note(", ".join(clauses) + ".")

    def exit(self) -> None:
        """Leave with an exit code unless everything is done."""
        if self.stopped:
            raise typer.Exit(INTERRUPTED_EXIT_CODE)
        codes = [failure.exit_code for _, failure in self.failures]
        codes += [entry.exit_code or 1 for entry in self._plan.failed]
        if codes:
            raise typer.Exit(codes[0])
        refuse_review(self.reviews)

    def _show_failure(self, source: str, failure: Failure) -> None:
        self.failures.append((source, failure))
        self._screen.print_failure(source, failure)


def work_off(run: BatchRun, plan: BatchPlan, ledger: Ledger, batch: BatchSettings, progress: BatchProgress) -> None:
    """Do what a plan says."""
    if run.receipts or run.premis:
        targets = {key: job.target for key, job in run.jobs.items() if job.target is not None}
        complete_receipts(plan.skipped, ledger, targets, receipts=run.receipts, premis=run.premis)
    if not plan.keys:
        return
    with open_executor(run, batch, len(plan.keys)) as (executor, settings):
        progress.prints_warnings = batch.executor != "inline"
        run = BatchRun(**vars(run) | {"settings": settings})
        runner = Runner(run, ledger, executor, progress.record_outcome)
        with stop_on_interrupt(runner, progress):
            runner.run(plan.keys)


@contextmanager
def open_executor(run: BatchRun, batch: BatchSettings, tasks: int) -> Iterator[tuple[Executor, RestoreSettings]]:
    """The executor, and the settings that share out the cores between its workers."""
    load_engines(Pipeline(run.settings), list(run.jobs.values()))  # what cannot be made stops the run before it begins
    workers = batch.workers or choose_workers(tasks)
    limits = Limits(batch.scan_timeout, batch.memory_limit)
    executor: Executor = catalogue.make(batch.executor, workers=workers, limits=limits, scheduler=batch.scheduler)
    threads = run.settings.threads
    if threads is None and batch.executor == "local":
        threads = max(1, count_cores() // workers)
    try:
        yield executor, run.settings.model_copy(update={"threads": threads})
    except BaseException:
        executor.stop()
        raise
    executor.close()


@contextmanager
def stop_on_interrupt(runner: Runner, progress: BatchProgress) -> Iterator[None]:
    """Let the first Ctrl-C finish the scans in hand, and the second end at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        if progress.stopped:
            raise KeyboardInterrupt
        progress.stopped = True
        runner.request_stop()
        progress.print_note(f"Finishing {runner.in_hand} scans in hand. Ctrl-C once more ends at once; both can go on.")

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
