"""The eight turns of a square picture: four quarters, each mirrored or not."""

from __future__ import annotations

import torch
from torch import Tensor

from redust.core.settings import TTA_COUNTS

TURNS = max(TTA_COUNTS)


def turned(planes: Tensor, turn: int) -> Tensor:
    """Planes (..., H, H) turned by so many quarters; from turn 4 on mirrored as well."""
    quarters = torch.rot90(planes, turn % 4, (-2, -1))
    return quarters.flip(-1) if turn >= 4 else quarters


def turned_back(planes: Tensor, turn: int) -> Tensor:
    """What :func:`turned` was given."""
    return torch.rot90(planes.flip(-1) if turn >= 4 else planes, -(turn % 4), (-2, -1))
