"""Batches of patches: which patch comes when follows from the seed and the step alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset

from redust.training.loader import Key, PatchStream, Prefetcher, make_loader, stack_samples


class Numbers(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Patches that hold their key."""

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, torch.Tensor]:
        number, item = key
        return torch.full((3, 2, 2), float(number)), torch.tensor([item])


def take(stream: PatchStream, steps: int) -> list[list[Key]]:
    return list(islice(iter(stream), steps))


@given(items=st.integers(1, 12), batch_size=st.integers(1, 20), seed=st.integers(0, 99))
def test_each_epoch_holds_each_picture_once(items: int, batch_size: int, seed: int) -> None:
    steps = -(-3 * items // batch_size)
    keys = [key for batch in take(PatchStream(items, batch_size, seed), steps) for key in batch]
    assert [number for number, _ in keys] == list(range(steps * batch_size))
    for epoch in range(3):
        assert sorted(item for _, item in keys[epoch * items : (epoch + 1) * items]) == list(range(items))


@given(items=st.integers(1, 12), batch_size=st.integers(1, 20), step=st.integers(0, 30))
def test_a_stream_goes_on_where_it_was_left(items: int, batch_size: int, step: int) -> None:
    complete = take(PatchStream(items, batch_size, 3), step + 4)
    assert take(PatchStream(items, batch_size, 3, lambda: step), 4) == complete[step:]


def test_the_order_is_another_with_each_seed_and_epoch() -> None:
    orders = [tuple(item for _, item in batch) for seed in range(3) for batch in take(PatchStream(40, 40, seed), 2)]
    assert len(set(orders)) == 6


@given(count=st.integers(1, 5))
def test_samples_are_stacked_tensor_by_tensor(count: int) -> None:
    samples = [(torch.rand(3, 4, 5), torch.full((1, 2), index, dtype=torch.uint8)) for index in range(count)]
    light, labels = stack_samples(samples)
    assert torch.equal(light, torch.stack([sample[0] for sample in samples]))
    assert torch.equal(labels, torch.stack([sample[1] for sample in samples]))
    assert labels.dtype == torch.uint8


def test_batches_made_ahead_are_all_there_in_order_each_time() -> None:
    ahead = Prefetcher(range(5))
    assert list(ahead) == list(ahead) == [0, 1, 2, 3, 4]
    assert list(Prefetcher([])) == []


def test_opencv_has_its_threads_back_also_after_an_unfinished_epoch() -> None:
    cv2.setNumThreads(2)
    batches = iter(Prefetcher(range(5)))
    assert next(batches) == 0
    assert cv2.getNumThreads() == 1
    batches.close()  # type: ignore[attr-defined]  # a generator
    assert cv2.getNumThreads() == 2


def test_what_fails_while_a_batch_is_made_reaches_the_run() -> None:
    def fail() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    class Fails:
        def __iter__(self) -> Iterator[int]:
            return fail()

    batches = iter(Prefetcher(Fails()))
    assert next(batches) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)


def test_a_loader_makes_what_its_stream_names() -> None:
    stream = PatchStream(6, 4, seed=1)
    batches: list[Any] = list(islice(make_loader(Numbers(), stream, workers=0), 3))
    for keys, (light, items) in zip(take(stream, 3), batches, strict=True):
        np.testing.assert_array_equal(light[:, 0, 0, 0], [number for number, _ in keys])
        np.testing.assert_array_equal(items[:, 0], [item for _, item in keys])
