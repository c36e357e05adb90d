"""Batches of patches, each patch decided by one number, so that any worker, or a resumed run, makes the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

Key = tuple[int, int]
"""(number, item): the number decides everything random about a patch, the item names the picture."""


class PatchStream(Sampler[list[Key]]):
    """An endless stream of batches of keys, epoch after epoch, that can start at any step.

    Parameters
    ----------
    items
        Patches per epoch.
    batch_size
        Patches per step.
    seed
        Decides the order.
    first_step
        Called when iteration starts; returns the step to start at.
    """

    def __init__(self, items: int, batch_size: int, seed: int, first_step: Callable[[], int] = lambda: 0) -> None:
        self.items = items
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step

    def __iter__(self) -> Iterator[list[Key]]:
        step = self.first_step()
        epoch, order = -1, np.zeros(0, np.int64)
        while True:
            keys = []
            for number in range(step * self.batch_size, (step + 1) * self.batch_size):
                if number // self.items != epoch:
                    epoch = number // self.items
                    order = np.random.default_rng([self.seed, epoch]).permutation(self.items)
                keys.append((number, int(order[number % self.items])))
            yield keys
            step += 1


class Prefetcher:
    """Batches of a loader, each made in a thread while the network computes on the one before.

    OpenCV uses a single thread meanwhile: for patches more bring nothing, and between calls they spin on the cores
    that the network computes on.

    Parameters
    ----------
    loader
        Iterated anew each time this is.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        with _one_opencv_thread(), ThreadPoolExecutor(1, thread_name_prefix="patches") as pool:
            future = pool.submit(next, batches, None)
            while (batch := future.result()) is not None:
                future = pool.submit(next, batches, None)
                yield batch


@contextlib.contextmanager
def _one_opencv_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def stack_samples(samples: Sequence[tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
    """Batch patches, tensor by tensor.

    By NumPy: torch's own stacking, called in a second thread, wakes a second team of OpenMP threads, which then spin on
    the cores that the network computes on.
    """
    return tuple(
        torch.from_numpy(np.stack([plane.numpy() for plane in planes])) for planes in zip(*samples, strict=True)
    )


def make_loader(patches: Dataset[Any], stream: PatchStream, workers: int) -> Iterable[Any]:
    """The batches of `stream`, made by so many processes, or by a thread if there are none."""
    loader = DataLoader(
        patches,
        batch_sampler=stream,
        collate_fn=stack_samples,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
    return loader if workers else Prefetcher(loader)
