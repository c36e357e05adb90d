"""What a network that gives light is given and should answer, and the samples that choose its best weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from redust.core.arrays import Light, Mask

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

VALIDATION_NUMBERS = 2**40  # no training patch ever has one of these numbers
_VALIDATION_SIDE = 256


@dataclass(frozen=True, eq=False)
class Sample:
    """What a network is given, and what it should answer.

    Parameters
    ----------
    given : (H, W, C) float32 in 0..1
        To restore blindly: damaged light, C = 3, or with a detector's damage map, C = 4. To fill: light filled by
        kriging, and the mask, C = 4.
    clean : (H, W, 3) float32 in 0..1
    where : (H, W) bool
        The mask, or where damage (with its rim) was drawn.
    """

    given: Light
    clean: Light
    where: Mask

    @property
    def light(self) -> Light:
        """The light of what is given, (H, W, 3)."""
        return self.given[..., :3]

    def tensors(self) -> Tensors:
        """What is given (C, H, W), clean light (3, H, W), where (1, H, W), all float32."""
        return _planes(self.given), _planes(self.clean), _planes(self.where[..., None].astype(np.float32))


class HeldBack:
    """Samples to choose the best weights by: the same every time, kept in memory as far as they fit.

    Parameters
    ----------
    make
        Makes the sample of a number.
    number
        How many samples.
    megabytes
        How much to keep.
    """

    def __init__(self, make: Callable[[int], Sample], number: int, megabytes: float) -> None:
        self.make = make
        self.number = number
        self._room = megabytes * 1e6
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Sample:
        """The sample of a number."""
        if index in self._kept:
            return self._kept[index]
        sample = self.make(index)
        self._room -= sample.given.nbytes + sample.clean.nbytes
        if self._room > 0:
            self._kept[index] = sample
        return sample


def validation_side(shape: tuple[int, ...], stride: int) -> int:
    """The side of a sample of a picture (H, W, ...): 256, or as much of it as the picture is large."""
    return max(stride, min(_VALIDATION_SIDE, *shape[:2]) // stride * stride)


def _planes(light: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(light.transpose(2, 0, 1), np.float32))
