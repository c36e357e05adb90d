"""Runs a worklist over many scans with a ledger: finished work is skipped, an interrupted run goes on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from redust.batch.batch_settings import BatchSettings
from redust.batch.checksums import match_checksums, read_manifest
from redust.batch.estimate import DEFAULT_PACE, choose_workers, estimate_megapixels
from redust.batch.executors import Executor, Limits, catalogue
from redust.batch.failures import Failure
from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import LEDGER_NAME, LedgerEntry
from redust.batch.plan import BatchPlan, in_shard, key_of, make_plan, plan_run
from redust.batch.receipts import complete_receipts
from redust.batch.roll import (
    RollKnowledge,
    check_roll,
    compare_frames,
    load_knowledge,
    read_blank,
    save_knowledge,
)
from redust.batch.run_report import check_report, write_report
from redust.batch.runner import BatchRun, Runner
from redust.batch.storage import is_remote
from redust.batch.watching import SettleTracker, wait_for_changes
from redust.batch.worklist import Worklist
from redust.cli.batch_progress import BatchProgress, format_seconds, summarise_plan
from redust.cli.run_jobs import load_engines
from redust.cli.screen import Screen
from redust.core.atomic import make_folder
from redust.core.errors import SettingsError
from redust.core.report import Report
from redust.core.settings import RestoreSettings
from redust.core.threads import count_cores
from redust.pipeline.job import Job
from redust.pipeline.pipeline import Pipeline


@dataclass(frozen=True)
class Display:
    """What a run shows; see :class:`redust.cli.screen.Screen`."""

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False


def run_batch(
    find_work: Callable[[], Worklist],
    settings: RestoreSettings,
    batch: BatchSettings,
    root: Path,
    report_file: Path | None = None,
    display: Display = Display(),  # frozen
    *,
    watched: Sequence[Path] = (),
) -> None:
    """Do what is left of a worklist.

    Parameters
    ----------
    find_work
        Makes the worklist.
    root
        The output folder.
    report_file
        The report of everything the ledger knows, written at the end.
    watched
        Folders to search again as they change, until Ctrl-C.

    Raises
    ------
    typer.Exit
        With the first failure's exit code if any scan has failed, now or in an earlier run; 130 after Ctrl-C.
    ReviewNeeded
        If scans were left alone.
    RedustError
        Before any work, if something the run needs is missing.
    """
    worklist = Worklist([]) if watched else find_work()
    if batch.roll or batch.blank is not None:
        check_roll(worklist.jobs, settings)
    if batch.dry_run:
        show_dry_run(worklist, settings, batch, root)
        return
    if report_file is not None:
        _make_report_folder(report_file, root)
        check_report(report_file, overwrite=settings.overwrite)
    batch_run = Batch(settings, batch, root, report_file, display)
    if watched:
        batch_run.watch(find_work, watched)
    else:
        batch_run.run(worklist)


class Batch:
    """Runs over worklists with one ledger; see :func:`run_batch`."""

    def __init__(
        self, settings: RestoreSettings, batch: BatchSettings, root: Path, report_file: Path | None, display: Display
    ) -> None:
        self._settings, self._batch, self._root = settings, batch, root
        self._report_file, self._display = report_file, display

    def run(self, worklist: Worklist) -> None:
        """Do what is left, and leave with an exit code unless all is well."""
        worklist = replace(worklist, jobs=self._learn_roll(worklist.jobs).assign(worklist.jobs))
        jobs = select_jobs(worklist, self._batch, self._root)
        checksums = self._match_checksums(jobs)
        with self._open_ledger() as ledger:
            plan = plan_run(jobs, self._settings, ledger, self._root, retry_failed=self._batch.retry_failed)
            with Screen(max(2, len(plan.keys)), **vars(self._display)) as screen:
                progress = BatchProgress(screen, worklist, plan, jobs)
                try:
                    self._complete_receipts(plan, ledger, jobs)
                    if plan.keys:
                        load_engines(Pipeline(self._settings), list(jobs.values()))  # or stop before it begins
                        with self._open_executor(len(plan.keys)) as executor:
                            self._work_off(plan, ledger, jobs, checksums, executor, progress)
                finally:
                    progress.record_elsewhere(ledger)
                    self._write_report(ledger, progress.passed_over)
                    progress.show_end()
        progress.exit()

    def watch(self, find_work: Callable[[], Worklist], folders: Sequence[Path]) -> None:
        """Do scans as they appear, until Ctrl-C."""
        tracker, known_refusals, failures = SettleTracker(), set[Path](), list[tuple[str, Failure]]()
        roll = self._learn_roll([])
        with self._open_ledger() as ledger, self._open_executor(count_cores()) as executor:
            for has_changed in wait_for_changes(folders):
                if not has_changed and not tracker.is_waiting:
                    continue
                worklist = _find_work(find_work)
                worklist = replace(worklist, jobs=roll.assign(worklist.jobs))
                refusals = [refusal for refusal in worklist.refusals if refusal.path not in known_refusals]
                known_refusals.update(refusal.path for refusal in refusals)
                jobs = select_jobs(worklist, self._batch, self._root)
                plan = make_plan(jobs, self._settings, ledger.entries(jobs), self._root)
                ready = {key: jobs[key] for key in plan.keys if tracker.is_settled(jobs[key].source)}
                tracker.retain({jobs[key].source for key in plan.keys if key not in ready})
                if not ready and not refusals:
                    continue
                plan = plan_run(ready, self._settings, ledger, self._root)
                with Screen(max(2, len(ready)), **vars(self._display)) as screen:
                    progress = BatchProgress(screen, Worklist([], refusals), plan, ready)
                    self._work_off(plan, ledger, ready, self._match_checksums(ready), executor, progress)
                failures += progress.failures
                if progress.stopped:
                    break
            self._write_report(ledger, [])
        if failures:
            raise typer.Exit(failures[0][1].exit_code)

    def _learn_roll(self, jobs: Sequence[Job]) -> RollKnowledge:
        """What the frames have in common with each other and with a blank frame, as far as that is wanted."""
        batch, knowledge = self._batch, RollKnowledge()
        if batch.blank is None and not batch.roll:
            return knowledge
        with Screen(len(jobs), **vars(self._display)) as screen:
            if batch.blank is not None:
                knowledge = read_blank(batch.blank, self._settings)
            if batch.roll:
                knowledge = self._compare_frames(jobs, screen).merge(knowledge)
            for note in knowledge.notes:
                screen.print_note(note)
        return knowledge

    def _compare_frames(self, jobs: Sequence[Job], screen: Screen) -> RollKnowledge:
        folder = prepare_ledger_folder(self._batch, self._root)
        if (earlier := load_knowledge(jobs, folder)) is not None:
            return earlier
        with self._open_executor(len(jobs)) as executor:
            knowledge = compare_frames(
                jobs,
                self._settings,
                executor,
                self._root,
                lambda count: screen.show_progress(count, "comparing"),
            )
        save_knowledge(knowledge, jobs, folder)
        return knowledge

    def _open_ledger(self) -> Ledger:
        return Ledger(prepare_ledger_folder(self._batch, self._root))

    def _match_checksums(self, jobs: Mapping[str, Job]) -> dict[str, str]:
        manifest = self._batch.checksums
        return match_checksums(jobs, read_manifest(manifest), manifest) if manifest else {}

    def _complete_receipts(self, plan: BatchPlan, ledger: Ledger, jobs: Mapping[str, Job]) -> None:
        receipts, premis = self._batch.receipts, self._batch.premis
        if receipts or premis:
            targets = {key: job.target for key, job in jobs.items() if job.target is not None}
            complete_receipts(plan.skipped, ledger, targets, receipts=receipts, premis=premis)

    @contextmanager
    def _open_executor(self, tasks: int) -> Iterator[Executor]:
        batch, limits = self._batch, Limits(self._batch.scan_timeout, self._batch.memory_limit)
        workers = batch.workers or choose_workers(tasks)
        executor: Executor = catalogue.make(batch.executor, workers=workers, limits=limits, scheduler=batch.scheduler)
        if self._settings.threads is None and batch.executor == "local":
            threads = max(1, count_cores() // workers)
            self._settings = self._settings.model_copy(update={"threads": threads})
        try:
            yield executor
        except BaseException:
            executor.stop()
            raise
        executor.close()

    def _work_off(
        self,
        plan: BatchPlan,
        ledger: Ledger,
        jobs: Mapping[str, Job],
        checksums: Mapping[str, str],
        executor: Executor,
        progress: BatchProgress,
    ) -> None:
        batch = self._batch
        thumbnails = self._report_file is not None and self._report_file.suffix.lower() == ".html"
        run = BatchRun(jobs, self._settings, self._root, checksums, batch.receipts, batch.premis, thumbnails)
        progress.prints_warnings = batch.executor != "inline"
        runner = Runner(run, ledger, executor, progress.record_outcome)
        with stop_on_interrupt(runner, progress):
            runner.run(plan.keys)

    def _write_report(self, ledger: Ledger, passed_over: Sequence[Report]) -> None:
        if self._report_file is not None:
            write_report(ledger, self._report_file, self._root, passed_over=passed_over, overwrite=True)


def _find_work(find_work: Callable[[], Worklist]) -> Worklist:
    """The worklist; an empty one while there is nothing to do."""
    try:
        return find_work()
    except SettingsError:  # the folders are empty as yet
        return Worklist([])


def select_jobs(worklist: Worklist, batch: BatchSettings, root: Path) -> dict[str, Job]:
    """The jobs of this run's share, by key."""
    jobs = {key_of(job, root): job for job in worklist.jobs}
    share = batch.share
    return jobs if share is None else {key: job for key, job in jobs.items() if in_shard(key, *share)}


def _make_report_folder(report_file: Path, root: Path) -> None:
    """Make the folder of a report below the output folder, which the run makes anyway."""
    if not is_remote(root) and report_file.resolve().is_relative_to(root.resolve()):
        make_folder(report_file.parent)


def prepare_ledger_folder(batch: BatchSettings, root: Path) -> Path:
    """The folder of the ledger; made if it is missing."""
    folder = batch.ledger or root
    if is_remote(folder):
        raise SettingsError(
            f"A ledger cannot lie in an object store such as {folder}. Name a folder with --ledger DIR."
        )
    make_folder(folder)
    return folder


def show_dry_run(worklist: Worklist, settings: RestoreSettings, batch: BatchSettings, root: Path) -> None:
    """Print what would be done and how long it may take; nothing is written, and frames are not compared."""
    folder, known, pace = batch.ledger or root, dict[str, LedgerEntry](), None
    knowledge = read_blank(batch.blank, settings) if batch.blank is not None else RollKnowledge()
    if batch.roll:
        knowledge = (load_knowledge(worklist.jobs, folder) or RollKnowledge()).merge(knowledge)
    jobs = select_jobs(replace(worklist, jobs=knowledge.assign(worklist.jobs)), batch, root)
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
        f"About {megapixels:,.1f} megapixels with {workers} worker{'s' if workers > 1 else ''}: "
        f"{format_seconds(megapixels * measured / workers)} ({measured:.2f} s per megapixel and worker, {source}).",
        err=True,
    )


@contextmanager
def stop_on_interrupt(runner: Runner, progress: BatchProgress) -> Iterator[None]:
    """Let the first Ctrl-C finish the scans in hand, and the second end at once."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as of a job in the background
    if ignored or threading.current_thread() is not threading.main_thread():
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
