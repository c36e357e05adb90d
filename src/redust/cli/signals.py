"""Requests to end (SIGTERM, SIGHUP, Ctrl-C) unwind the program wherever it is, so that no temporary file stays."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any

_REQUESTS = ("SIGTERM", "SIGHUP")  # the latter is unknown to Windows


class Terminated(SystemExit):
    """The program was told to end; the code is 128 and the signal's number."""


def end_on_signals() -> None:
    """Let requests to end unwind the program; those that are ignored, as under nohup, stay so."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in _REQUESTS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise_terminated)
    sys.unraisablehook = _raise_again


def _raise_terminated(number: int, _: FrameType | None) -> None:
    raise Terminated(128 + number)


def _raise_again(unraisable: Any) -> None:
    """Raise a request to end once more, one line later.

    A signal that arrives while a finaliser or the callback of a weak reference runs cannot leave it: Python hands the
    exception to this hook and goes on.
    """
    error = unraisable.exc_value
    if not isinstance(error, Terminated | KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return

    def leave(*_: Any) -> None:
        sys.settrace(None)
        raise error

    waiting: FrameType | None = sys._getframe(1)
    while waiting is not None:
        waiting.f_trace = leave
        waiting = waiting.f_back
    sys.settrace(leave)
