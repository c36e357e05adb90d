"""The boundary of one scan: whatever goes wrong with it becomes a sentence, and the rest of the run goes on."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from redust.core.errors import RedustError, ScanError

T = TypeVar("T")

UNEXPECTED_EXIT_CODE = 70
INTERRUPTED_EXIT_CODE = 130

_STORES = ("aiobotocore", "botocore", "s3fs", "gcsfs", "google", "adlfs", "azure", "aiohttp")


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
    """Describe an exception to a user."""
    sentence, exit_code = _explain_error(error)
    return Failure(sentence, type(error).__name__, exit_code, "".join(traceback.format_exception(error)))


def _explain_error(error: Exception) -> tuple[str, int]:
    """A sentence and an exit code; what the machine refuses is no fault of ReDust."""
    if isinstance(error, RedustError):
        return str(error), error.exit_code
    if isinstance(error, MemoryError):
        return "There is not enough memory. Close other programs, or use a machine with more.", ScanError.exit_code
    if isinstance(error, OSError):
        return f"The system refused: {error}. Check the path, its permissions and the disk.", ScanError.exit_code
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if type(error).__module__.partition(".")[0] in _STORES:
        return f"The object store refused: {text}. Check its address, your rights and the network.", ScanError.exit_code
    return (
        f"Something unexpected went wrong ({text}). Run again with --verbose for the traceback, and report it.",
        UNEXPECTED_EXIT_CODE,
    )
