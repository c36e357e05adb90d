"""A hot folder: which scans are whole, and when to search again."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from redust.core.errors import SettingsError

SETTLE_SECONDS = 2.0
"""How long a file's size and time have to stay the same before it counts as whole."""

_POLL_MILLISECONDS = 500


class SettleTracker:
    """Remembers files' sizes and times, to tell when they have been written to their end.

    Parameters
    ----------
    seconds
        How long they have to stay the same.
    """

    def __init__(self, seconds: float = SETTLE_SECONDS) -> None:
        self._seconds = seconds
        self._observations: dict[Path, tuple[tuple[int, int], float]] = {}

    def is_settled(self, path: Path) -> bool:
        """Whether a regular file has not changed for long enough since it was first looked at."""
        try:
            status = os.lstat(path)
        except OSError:
            self._observations.pop(path, None)
            return False
        if not stat.S_ISREG(status.st_mode):
            return False
        state, moment = (status.st_size, status.st_mtime_ns), time.monotonic()
        known_state, since = self._observations.get(path, (state, moment))
        self._observations[path] = state, since if known_state == state else moment
        return known_state == state and moment - since >= self._seconds

    def retain(self, paths: Collection[Path]) -> None:
        """Forget all other files."""
        self._observations = {path: state for path, state in self._observations.items() if path in paths}

    @property
    def is_waiting(self) -> bool:
        """Whether files are being observed."""
        return bool(self._observations)


def check_watched(sources: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Refuse to watch what is no folder, or folders that results go to.

    Raises
    ------
    SettingsError
        If a source is no folder, or an output lies below a source.
    """
    for source in sources:
        if not source.is_dir():
            raise SettingsError(f"{source} is no folder of this machine, and only those can be watched. Name a folder.")
        for output in outputs:
            if Path(os.path.realpath(output)).is_relative_to(os.path.realpath(source)):
                raise SettingsError(
                    f"{output} lies in {source}, which is watched: results would be taken for scans. "
                    "Choose an output outside."
                )


def wait_for_changes(folders: Sequence[Path]) -> Iterator[bool]:
    """Yield about twice a second whether anything has changed in the folders, at first True, until Ctrl-C."""
    from watchfiles import watch

    yield True
    changes = watch(*folders, watch_filter=None, rust_timeout=_POLL_MILLISECONDS, yield_on_timeout=True)
    while True:
        try:
            yield bool(next(changes))
        except (KeyboardInterrupt, StopIteration):
            return
