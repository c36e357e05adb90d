"""How many threads work at once, and work that is spread over them in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


_limit: int | None = None


def limit_threads(limit: int | None) -> None:
    """Let this process use at most so many cores from now on; None: all that it may use.

    For a process that shares the machine with others of its kind. What is given its number of threads, such as a
    network, is not limited.
    """
    global _limit
    _limit = limit


def count_cores() -> int:
    """How many cores this process may use."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return min(cores, _limit or cores)


def in_order(
    work: Callable[[T], R], items: Iterable[T], limit: int | None = None, *, queue: bool = True
) -> Iterator[R]:
    """Like :func:`map`, in at most `limit` threads.

    However many items come, two per thread are held at most; where `queue` is off, for large items, one.
    """
    threads = min(count_cores(), limit or count_cores())
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > (2 * threads if queue else threads):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
