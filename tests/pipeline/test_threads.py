"""A process that shares the machine keeps to its threads."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import pytest

from redust.core.threads import count_cores, in_order
from redust.pipeline.threads import use_threads


@pytest.fixture(autouse=True)
def _all_threads_afterwards() -> Iterator[None]:
    yield
    use_threads(None)


def test_a_process_keeps_to_its_threads() -> None:
    before = count_cores()
    use_threads(1)
    assert (count_cores(), cv2.getNumThreads()) == (1, 1)
    drawn: list[int] = []
    next(in_order(lambda item: item, (drawn.append(item) or item for item in range(99))))
    assert len(drawn) == 3  # one thread: two wait
    drawn.clear()
    next(in_order(lambda item: item, (drawn.append(item) or item for item in range(99)), queue=False))
    assert len(drawn) == 2
    use_threads(None)
    assert count_cores() == before


def test_no_more_threads_than_cores() -> None:
    before = count_cores()
    use_threads(1000)
    assert count_cores() == before
