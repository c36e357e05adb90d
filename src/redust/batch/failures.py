"""The boundary of one scan: whatever goes wrong with it becomes a sentence, and the rest of the run goes on."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from redust.core.errors import RedustError

T = TypeVar("T")

UNEXPECTED_EXIT_CODE = 70


@dataclass(frozen=True)
class Failure:
    """Why something did not work.

    Parameters
    ----------
    sentence
        What is wrong and what to do.
    kind
        The error's class name.
    exit_code
        What the program ends with.
    trace
        The traceback.
    """

    sentence: str
    kind: str
    exit_code: int
    trace: str = ""


def catch_failure(work: Callable[[], T]) -> T | Failure:
    """Call `work`; an exception comes back as a :class:`Failure`."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001  # the boundary: one scan's failure never stops the rest
        return describe_failure(error)


def describe_failure(error: Exception) -> Failure:
    """What a user is told of an exception."""
    kind = type(error).__name__
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, RedustError):
        return Failure(str(error), kind, error.exit_code, trace)
    detail = f"{kind}: {error}" if str(error) else kind
    return Failure(
        f"Something unexpected went wrong ({detail}). Run again with --verbose for the traceback, and report it.",
        kind,
        UNEXPECTED_EXIT_CODE,
        trace,
    )
