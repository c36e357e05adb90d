"""The plain convolutional network the project began with."""

from __future__ import annotations

import torch
from torch import nn


class CellCNN(nn.Module):
    """Three pairs of convolutions, then one dense layer that paints the whole mask at once.

    Six 3 x 3 convolutions without padding, pooled after every second, and a dense layer with one output per
    pixel of the cell. The dense layer fixes the size: a picture is cut into cells of `side` x `side`, and each
    is judged alone. With the thesis's 100 x 100 cells that is 104 million weights, 103.7 of them dense.
    The thesis gave it B, G, R in 0..1; here it is R, G, B, which makes no difference to fresh weights. It
    ends in logits here; the sigmoid belongs to the loss and to the detector.

    Parameters
    ----------
    side
        Height and width of a cell in pixels, at least 36.
    channels
        Channels of the three pairs.
    dropout : 0..1
        Share of features dropped before the dense layer while training.
    in_channels
        Channels of the light.

    References
    ----------
    ReDust, bachelor's thesis code, ``CNN/model.py``, https://github.com/ostrowskaaa/ReDust
    """

    halo = 0

    def __init__(
        self,
        side: int = 100,
        channels: tuple[int, int, int] = (32, 64, 128),
        dropout: float = 0.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        left = _left_after(side, pairs=len(channels))
        if left < 1:
            raise ValueError(f"a cell of {side} pixels is too small for {len(channels)} pairs of convolutions")
        self.stride = side
        pairs, before = [], in_channels
        for width in channels:
            pairs += [nn.Conv2d(before, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        self.features = nn.Sequential(*pairs)
        self.dense = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(before * left * left, side * side))

    def forward(self, light: torch.Tensor) -> torch.Tensor:
        """Light (N, C, H, W) in 0..1 to logits (N, 1, H, W), H and W multiples of the side."""
        number, _, height, width = light.shape
        side, down, across = self.stride, height // self.stride, width // self.stride
        cells = light.reshape(number, -1, down, side, across, side)  # (N, C, down, side, across, side)
        cells = cells.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)  # (N * down * across, C, side, side)
        logits: torch.Tensor = self.dense(self.features(cells))  # (N * down * across, side * side)
        logits = logits.reshape(number, down, across, side, side)
        return logits.permute(0, 1, 3, 2, 4).reshape(number, 1, height, width)


def _left_after(side: int, pairs: int) -> int:
    """What remains of `side` pixels after `pairs` of unpadded convolutions and poolings."""
    for _ in range(pairs):
        side = (side - 4) // 2
    return side
