"""How the scripts here end: an error of ReDust is told in its sentence, without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from redust.core.errors import RedustError


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`; an error that says what to do ends it with exit code 1 and that sentence."""
    try:
        main()
    except RedustError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
