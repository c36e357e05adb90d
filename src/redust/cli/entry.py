"""Where `redust` starts. It loads nothing before it knows what is asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with an exit code.

    Parameters
    ----------
    arguments
        Without the program's name; those the process was started with unless given.

    Raises
    ------
    SystemExit
        Always, with 0 or the code of :mod:`redust.core.errors`; 70 if the failure has no class there,
        130 if interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        from redust import __version__

        print(f"redust {__version__}")  # noqa: T201  # a door
        raise SystemExit(0)
    raise SystemExit(_run(given))


def _run(arguments: list[str]) -> int:
    from redust.cli.app import app
    from redust.cli.attempt import INTERRUPTED, Failure, attempt

    _end_on_terminate()
    try:
        ended = attempt(lambda: app(arguments, prog_name="redust"))
    except KeyboardInterrupt:
        return INTERRUPTED
    if isinstance(ended, Failure):
        if "--verbose" in arguments:
            print(ended.trace, file=sys.stderr)  # noqa: T201  # a door
        print(f"error: {ended.sentence}", file=sys.stderr)  # noqa: T201  # a door
        return ended.exit_code
    return 0


def _end_on_terminate() -> None:
    """Let a request to terminate unwind the program, so that no temporary file stays behind."""
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
