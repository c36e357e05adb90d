"""What a run shows: a progress bar on a terminal, plain lines elsewhere, JSON where programs read.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from textwrap import indent
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from redust.batch.failures import Failure
from redust.core.escape import escape_controls
from redust.core.report import Report
from redust.core.settings import Film

# Where each step begins and ends on the bar: their usual share of the time.
_STEPS = {
    "read": (0.0, 0.05), "detect": (0.05, 0.7), "decide": (0.7, 0.72), "fill": (0.72, 0.92),
    "compare": (0.92, 0.93), "write": (0.93, 1.0),
}  # fmt: skip


class Screen:
    """Shows a run over several scans.

    Parameters
    ----------
    total
        How many scans there are.
    quiet
        Show failures only.
    verbose
        Show what the library logs, tracebacks included.
    as_json
        One report per line on standard output, and nothing else there.
    """

    def __init__(self, total: int, *, quiet: bool = False, verbose: bool = False, as_json: bool = False) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        self._quiet, self._verbose, self._as_json = quiet, verbose, as_json
        self._total, self._begun = total, 0
        self._handler = _Handler(self._console, logging.DEBUG if verbose else logging.WARNING)
        self._handler.setLevel(logging.ERROR if quiet else self._handler.level)
        self._bar = _make_bar(self._console, shown=not quiet)
        self._task: TaskID | None = None
        self._batch = self._bar.add_task("all scans", total=total, step="") if total > 1 else None

    def __enter__(self) -> Self:
        logger = logging.getLogger("redust")
        self._before = logger.level, logger.propagate
        logger.addHandler(self._handler)
        logger.setLevel(self._handler.level)
        logger.propagate = False
        logging.getLogger().addHandler(_SILENT)  # codecs log what their exceptions say as well
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
        logging.getLogger().removeHandler(_SILENT)
        logger = logging.getLogger("redust")
        logger.removeHandler(self._handler)
        logger.level, logger.propagate = self._before

    def begin_scan(self, name: str) -> Callable[[str, float], None]:
        """Begin a scan; returns the pipeline's progress callback."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._begun += 1
        label = name if self._total == 1 else f"{self._begun}/{self._total} {name}"
        self._task = task = self._bar.add_task(escape_controls(label), total=1.0, step="read")

        def report_progress(step: str, share: float) -> None:
            start, end = _STEPS.get(step, (0.0, 1.0))
            completed = start + share * (end - start)
            self._bar.update(task, completed=completed, step=step)
            if self._batch is not None:
                self._bar.update(self._batch, completed=self._begun - 1 + completed)

        return report_progress

    def show_progress(self, finished: int, text: str) -> None:
        """Show how many of all scans are finished, with a few words."""
        if self._batch is not None:
            self._bar.update(self._batch, completed=finished, step=text)

    def print_warnings(self, report: Report) -> None:
        """Print the warnings of a scan that another process has worked on."""
        for sentence in report.warnings:
            self._handler.handle(logging.makeLogRecord({
                "name": "redust", "levelno": logging.WARNING, "levelname": "WARNING",
                "msg": f"{report.source}: {sentence}",
            }))  # fmt: skip

    def print_report(self, report: Report) -> None:
        """Print what became of a scan; of a failure, standard output shows the JSON only."""
        if self._as_json:
            _print_result(report.to_json())
        elif not self._quiet and report.error is None:
            _print_result(escape_controls(summarise_scan(report)))

    def print_failure(self, source: str, failure: Failure, *, again: bool = False) -> None:
        """Print a failure; `again` in the list at the end of a run, which `quiet` leaves out."""
        if again and self._quiet:
            return
        if self._verbose and not again:
            self._console.print(indent_trace(failure.trace))
        sentence = failure.sentence if source in failure.sentence else f"{source}: {failure.sentence}"
        self._console.print(escape_controls(f"failed: {sentence}" if again else f"error: {sentence}"))

    def print_note(self, sentence: str) -> None:
        """Print what is good to know."""
        if not self._quiet:
            self._console.print(escape_controls(sentence))


def indent_trace(trace: str) -> str:
    """A traceback whose lines, some of which may be a file's name, cannot be taken for others."""
    return indent(escape_controls(trace, keep="\n"), "  ")


def summarise_scan(report: Report) -> str:
    """A report in one line."""
    paths = [report.target, report.mask_file, report.map_file, report.compare_file, report.layers_file]
    results = ", ".join(path for path in paths if path is not None)
    if report.original_file is not None:
        results += f" (original: {report.original_file})"
    if report.status == "review":
        return f"{report.source}: left alone, {report.coverage:.3%} would be repaired"
    verb = "marked" if report.status == "detected" else "repaired"
    kinds = ", ".join(f"{count} {name}" for name, count in report.classes.items() if count)
    # Classes count components as they were detected, regions after growing: both in one line would contradict.
    share = f"{report.coverage:.3%} {verb}{f': {kinds}' if kinds else f' in {report.regions} regions'}"
    share = share if report.regions else "nothing to repair"
    share += " (a negative)" if report.film == Film.negative else ""
    share += "" if report.level is None else f" (level {report.level:.2g})"
    return f"{report.source} -> {results}: {share}, {sum(report.seconds.values()):.1f} s"


def _print_result(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a door


def _make_bar(console: Console, *, shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[step]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # results in a file or pipe must not end up on the terminal
        disable=not (shown and console.is_terminal),
    )


class _Handler(logging.Handler):
    """Log lines above the progress bar."""

    def __init__(self, console: Console, level: int) -> None:
        super().__init__(level)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(f"{record.levelname.lower()}: {escape_controls(record.getMessage())}")


_SILENT = logging.NullHandler()
