"""How the scripts here read what they are told, and how they end: an error of ReDust in its sentence, no traceback."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from redust.core.errors import RedustError, TrainingError
from redust.core.settings import explain

Wanted = TypeVar("Wanted", bound=BaseModel)
INTERRUPTED = 130  # what a shell says of a program that Ctrl-C ended


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`; an error that says what to do ends it with exit code 1 and that sentence."""
    name = Path(sys.argv[0]).name
    try:
        main()
    except RedustError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: interrupted; what it has written under its final name is whole.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def read(kind: type[Wanted], path: Path) -> Wanted:
    """What a TOML file says.

    Raises
    ------
    TrainingError
        If there is no such file, or it says something else.
    """
    try:
        return kind.model_validate(tomllib.loads(path.read_text()))
    except ValidationError as error:
        raise TrainingError(f"{path} is no {kind.__name__.lower()}: {explain(error)}.") from error
    except (OSError, ValueError) as error:  # tomllib's errors are such
        raise TrainingError(f"{path} is no {kind.__name__.lower()}: {error}") from error
