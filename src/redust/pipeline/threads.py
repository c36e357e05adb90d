"""How many threads the whole process may use."""

from __future__ import annotations

import cv2

from redust.core.threads import limit_threads


def use_threads(threads: int | None) -> None:
    """Let everything in this process use so many threads: codecs, OpenCV and our own loops; networks get theirs when
    they are loaded.

    For a process that does nothing else, such as a worker or a command; in others, nobody but their owner may decide.

    Parameters
    ----------
    threads
        How many; None for one for each core.
    """
    limit_threads(threads)
    cv2.setNumThreads(-1 if threads is None else threads)
