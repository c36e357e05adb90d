"""What is printed: safe on any terminal, to the right stream, and never in the way of the work."""

from __future__ import annotations

import errno
import io
import json
import logging
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redust.batch.failures import Failure
from redust.cli.screen import Screen, indent_trace, summarise_scan
from redust.cli.signals import Terminated, end_on_signals
from redust.cli.streams import TolerantWriter
from redust.core.report import Report

FAILURE = Failure("The file ends too early. Use a sound copy.", "UnreadableScan", 3, "Traceback\n  line\n")


class Raw(io.RawIOBase):
    """A raw stream that takes a few bytes at a time and fails at the end of its room."""

    def __init__(self, room: int) -> None:
        self.room, self.taken = room, b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        piece = bytes(data)[: min(3, self.room)]
        self.room -= len(piece)
        self.taken += piece
        return len(piece)


@given(data=st.binary(max_size=40), room=st.integers(0, 50))
def test_a_full_stream_takes_what_fits_and_never_raises(data: bytes, room: int) -> None:
    raw = Raw(room)
    writer = TolerantWriter(raw)
    buffered = io.BufferedWriter(writer, buffer_size=5)
    buffered.write(data)
    buffered.flush()
    assert raw.taken == data[:room]
    assert (writer.failure is not None) == (len(data) > room)


def test_after_its_first_failure_a_stream_is_not_tried_again() -> None:
    raw = Raw(0)
    writer = TolerantWriter(raw)
    assert writer.write(b"lost") == 4
    raw.room = 100
    assert writer.write(b"more") == 4
    assert raw.taken == b""
    assert isinstance(writer.failure, OSError)
    assert writer.failure.errno == errno.ENOSPC


def report(**changes: Any) -> Report:
    facts: dict[str, Any] = {"redust": "1", "source": "a.tif", "target": "b.tif", "status": "restored"}
    return Report(**facts | changes)


@given(name=st.text(min_size=1))
def test_a_summary_is_one_line_whatever_a_file_is_called(name: str) -> None:
    text = summarise_scan(report(source=name, regions=1))
    assert text.startswith(name)
    assert " -> b.tif: " in text


def test_results_go_to_standard_output_and_failures_to_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(2) as screen:
        screen.print_report(report())
        screen.print_failure("c.tif", FAILURE)
        screen.print_note("2 files are no scans.")
    printed = capsys.readouterr()
    assert printed.out == "a.tif -> b.tif: nothing to repair, 0.0 s\n"
    assert printed.err == "error: c.tif: The file ends too early. Use a sound copy.\n2 files are no scans.\n"


def test_json_alone_stands_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(2, as_json=True) as screen:
        screen.print_report(report())
        screen.print_report(report(status="failed", error="It is damaged.", target=None))
        screen.print_failure("a.tif", FAILURE)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["restored", "failed"]


def test_quiet_shows_failures_once_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(2, quiet=True) as screen:
        screen.print_report(report())
        screen.print_note("good to know")
        logging.getLogger("redust.files").warning("a warning")
        screen.print_failure("c.tif", FAILURE)
        screen.print_failure("c.tif", FAILURE, again=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("c.tif") == 1
    assert "warning" not in printed.err


def test_a_failure_that_names_its_file_does_not_name_it_twice(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(1) as screen:
        screen.print_failure("c.tif", Failure("c.tif is a folder. Give a file.", "ScanError", 3))
        screen.print_failure("c.tif", FAILURE, again=True)
    assert capsys.readouterr().err == (
        "error: c.tif is a folder. Give a file.\nfailed: c.tif: The file ends too early. Use a sound copy.\n"
    )


@pytest.mark.parametrize(("verbose", "traced"), [(False, 0), (True, 1)])
def test_a_traceback_is_for_those_who_want_it(capsys: pytest.CaptureFixture[str], verbose: bool, traced: int) -> None:
    with Screen(1, verbose=verbose) as screen:
        screen.print_failure("c.tif", FAILURE)
        screen.print_failure("c.tif", FAILURE, again=True)
    assert capsys.readouterr().err.count("Traceback") == traced


@given(st.text())
def test_no_line_of_a_traceback_looks_like_one_of_redusts(text: str) -> None:
    indented = indent_trace(text)
    assert all(line.startswith("  ") or not line.strip() for line in indented.split("\n"))


def test_logging_is_as_it_was_after_a_run() -> None:
    logger = logging.getLogger("redust")
    before = logger.level, logger.propagate, list(logger.handlers), list(logging.getLogger().handlers)
    with pytest.raises(KeyError), Screen(1, verbose=True):
        {}["no such scan"]
    assert (logger.level, logger.propagate, list(logger.handlers), list(logging.getLogger().handlers)) == before


def test_warnings_of_another_process_are_shown_with_their_scan(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(2) as screen:
        screen.print_warnings(report(warnings=["It is very \x1b[31mdirty."]))
    assert capsys.readouterr().err == "warning: a.tif: It is very \\x1b[31mdirty.\n"


@pytest.fixture
def _own_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Handlers of signals as they were, after a test that sets them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_own_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_becomes_an_exit_of_its_number(number: int) -> None:
    end_on_signals()
    with pytest.raises(Terminated) as caught:
        signal.raise_signal(number)
    assert caught.value.code == 128 + number


@pytest.mark.usefixtures("_own_signals")
def test_a_request_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_on_signals()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)
