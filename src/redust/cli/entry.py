"""Where `redust` starts. It loads nothing before it knows the command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redust.batch.failures import Failure

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with an exit code.

    Parameters
    ----------
    arguments
        Without the program's name; those the process was started with unless given.

    Raises
    ------
    SystemExit
        Always, with 0 or the code of :mod:`redust.core.errors`; 4 if standard output could not be written, 70 if the
        failure has no class there, 130 if interrupted, 128 and its number for another signal.
    """
    if arguments is None:
        from redust.cli.streams import open_streams

        open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        from redust import __version__

        print(f"redust {__version__}")  # noqa: T201  # a door
        raise SystemExit(0)
    raise SystemExit(_run(words))


def _run(arguments: list[str]) -> int:
    from redust.batch.failures import Failure, catch_failure

    _end_on_terminate()
    try:
        ended = catch_failure(lambda: _call_command(arguments))
        if isinstance(ended, Failure):
            _print_failure(ended, traced="--verbose" in arguments or "-v" in arguments)
            return ended.exit_code
        return ended or _check_output()
    except KeyboardInterrupt:
        return _INTERRUPTED


def _call_command(arguments: list[str]) -> int:
    """Call the command that the arguments name; its exit code."""
    from redust.cli.app import app
    from redust.cli.usage import explained_usage

    with explained_usage():
        return app(arguments, prog_name="redust", standalone_mode=False) or 0


def _print_failure(failure: Failure, *, traced: bool) -> None:
    from redust.core.escape import escape_controls

    if traced:
        from redust.cli.screen import indent_trace

        print(indent_trace(failure.trace), file=sys.stderr)  # noqa: T201  # a door
    print(f"error: {escape_controls(failure.sentence)}", file=sys.stderr)  # noqa: T201  # a door


def _check_output() -> int:
    """The exit code of a run whose work is done: 4 if what it printed is lost."""
    from redust.cli.streams import output_failure
    from redust.core.errors import TargetError

    if not (sentence := output_failure()):
        return 0
    print(f"error: {sentence}", file=sys.stderr)  # noqa: T201  # a door
    return TargetError.exit_code


def _end_on_terminate() -> None:
    """Let a request to terminate unwind the program, so that no temporary file stays behind."""
    from redust.cli.signals import end_on_signals

    end_on_signals()
