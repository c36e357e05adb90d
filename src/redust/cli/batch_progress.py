"""What a run over many scans shows, and the exit code it leaves with."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import typer

from redust.batch.failures import INTERRUPTED_EXIT_CODE, Failure, describe_failure
from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import LedgerEntry, ScanState
from redust.batch.plan import BatchPlan
from redust.batch.worker import ScanOutcome
from redust.batch.worklist import Worklist
from redust.cli.run_jobs import describe_scan, describe_skipped, refuse_review, summarise_skipped
from redust.cli.screen import Screen
from redust.core.report import Report
from redust.pipeline.job import Job

_SAME_WARNINGS = 3  # that are shown in full
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


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
        self._finished_keys, self._begun_at = set[str](), time.monotonic()
        self._warnings: dict[str, tuple[str, int]] = {}  # without their numbers: the first, and how many there were
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
        self._finished_keys.add(entry.key)
        if outcome.failure is not None:
            source = self._jobs[entry.key].source
            self._show_failure(str(source), outcome.failure)
            self._screen.print_report(describe_scan(source, "failed", outcome.failure))
        else:
            report = Report.model_validate(outcome.report)
            self.reviews += report.status == "review"
            if self.prints_warnings:
                fresh = [sentence for sentence in report.warnings if self._count_warning(sentence) <= _SAME_WARNINGS]
                self._screen.print_warnings(report.model_copy(update={"warnings": fresh}))
            self._screen.print_report(report)
        finished = len(self._finished_keys)
        rate = 3600 * finished / max(time.monotonic() - self._begun_at, 1e-3)
        failed = f", {len(self.failures)} failed" if self.failures else ""
        self._screen.show_progress(finished, f"{rate:,.0f} scans/h{failed}")

    def record_elsewhere(self, ledger: Ledger) -> None:
        """Count what other processes have finished meanwhile."""
        keys = [key for key in self._plan.keys if key not in self._finished_keys]
        for entry in ledger.entries(keys).values():
            if entry.state not in (ScanState.queued, ScanState.leased):
                self._finished_keys.add(entry.key)
                self.reviews += entry.state is ScanState.review
            if entry.state is ScanState.failed:
                failure = Failure(entry.error or "", entry.error_kind or "", entry.exit_code or 1)
                self.failures.append((entry.source, failure))

    def print_note(self, sentence: str) -> None:
        """Print what is good to know."""
        self._screen.print_note(sentence)

    def show_end(self) -> None:
        """Show once more what failed, and the run in one line."""
        for sentence, count in self._warnings.values():
            if count > _SAME_WARNINGS:
                self._screen.print_note(f"{count - _SAME_WARNINGS} more warnings of this kind: {sentence}")
        for note in summarise_skipped(self._worklist):
            self._screen.print_note(note)
        for source, failure in self.failures:
            self._screen.print_failure(source, failure, again=True)
        total = len(self._plan.keys) + len(self._plan.skipped) + len(self._plan.failed)
        refused = sum(report.status == "failed" for report in self.passed_over)
        failed = len(self.failures) + len(self._plan.failed)
        done = len(self._plan.skipped) + len(self._finished_keys) + refused - len(self.failures)
        clauses = [f"{done} of {total + refused} scans done"]
        clauses += [f"{failed} failed"] if failed else []
        clauses += [f"{self.reviews} of them left for review"] if self.reviews else []
        left = len(self._plan.keys) - len(self._finished_keys)
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

    def _count_warning(self, sentence: str) -> int:
        """How often a warning was given so far, whatever its numbers; a report of the run has all of them."""
        kind = _NUMBER.sub("#", sentence)
        first, count = self._warnings.get(kind, (sentence, 0))
        self._warnings[kind] = first, count + 1
        return count + 1

    def _show_failure(self, source: str, failure: Failure) -> None:
        self.failures.append((source, failure))
        self._screen.print_failure(source, failure)


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
    return "1 second" if seconds < 1.5 else f"{seconds:.0f} seconds"
