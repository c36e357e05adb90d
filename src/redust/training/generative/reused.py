"""Samples that took long to make, used again and again."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from redust.training.data import Key
from redust.training.dihedral import turned
from redust.training.generative.samples import Tensors

_WHICH, _TURN = 3, 4  # tell the random streams of one number apart


class Reused(Dataset[Tensors]):
    """A stock of samples by key (number, item), each made once, then mirrored and turned by quarters anew every time.

    Kriging is most of the time of a step that learns to fill; a network that sees a hole again, the other way round,
    still learns from it. The stock is kept in half precision: an eighth of a step of 8 bit.

    Parameters
    ----------
    patches
        Make the samples, by the same kind of key.
    number
        Samples in stock.
    items
        Of the stock, each is of one item out of so many, by chance.
    seed
    """

    def __init__(self, patches: Dataset[Tensors], number: int, items: int, seed: int) -> None:
        self.patches = patches
        self.number = number
        self.items = items
        self.seed = seed
        self._kept: dict[int, list[torch.Tensor]] = {}

    def __getitem__(self, key: Key) -> Tensors:
        """The number decides which of the stock, and how it is turned; rounds go through the whole stock."""
        number, _ = key
        order = np.random.default_rng([self.seed, number // self.number, _WHICH]).permutation(self.number)
        given, clean, where = self._sample(int(order[number % self.number]))
        rng = np.random.default_rng([self.seed, number, _TURN])
        turn = int(rng.integers(4)) + 4 * (rng.random() < 0.5)
        given, clean, where = (turned(one, turn).float().contiguous() for one in (given, clean, where))
        return given, clean, where

    def _sample(self, slot: int) -> list[torch.Tensor]:
        if slot not in self._kept:
            item = int(np.random.default_rng([self.seed, slot, _WHICH]).integers(self.items))
            self._kept[slot] = [one.half() for one in self.patches[slot, item]]
        return self._kept[slot]
