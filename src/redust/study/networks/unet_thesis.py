"""The U-Net of the thesis this project grew out of."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class ThesisUNet(nn.Module):
    """Four levels down and up, 64 to 512 channels, batch norm, bilinear upsampling.

    Where we differ: it ends in logits (the sigmoid belongs to the loss and to the detector), and it takes
    sizes that are multiples of 16 instead of padding each level on the top and left.

    Parameters
    ----------
    channels
        Channels of each level from the top; one entry more than there are poolings.
    dropout : 0..1
        Share of channels dropped at the lowest level while training.
    in_channels
        Channels of the light.

    References
    ----------
    Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015, https://doi.org/10.1007/978-3-319-24574-4_28;
    ReDust, bachelor's thesis code, ``models.py``, https://github.com/ostrowskaaa/ReDust
    """

    def __init__(
        self,
        channels: tuple[int, ...] = (64, 128, 256, 512, 512),
        dropout: float = 0.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        levels = len(channels) - 1
        self.stride = 2**levels
        self.halo = _halo(levels)
        self.top = _double(in_channels, channels[0])
        self.down = nn.ModuleList(_double(channels[i], channels[i + 1]) for i in range(levels))
        # Each step up already leaves as many channels as the level above will hand it: 256, 128, 64, 64.
        out = [channels[max(i - 1, 0)] for i in range(levels)]
        below = [out[i + 1] if i + 1 < levels else channels[-1] for i in range(levels)]
        self.up = nn.ModuleList(_double(channels[i] + below[i], out[i]) for i in range(levels))
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(out[0], 1, 1)

    def forward(self, light: torch.Tensor) -> torch.Tensor:
        """Light (N, C, H, W) in 0..1 to logits (N, 1, H, W), H and W multiples of the stride."""
        skips = [self.top(light)]  # (N, 64, H, W)
        for down in self.down:
            skips.append(down(functional.max_pool2d(skips[-1], 2)))
        features = self.dropout(skips.pop())  # (N, 512, H/16, W/16)
        for up in reversed(self.up):
            wide = functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            features = up(torch.cat((skips.pop(), wide), dim=1))
        logits: torch.Tensor = self.head(features)  # (N, 1, H, W)
        return logits


def _double(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _halo(levels: int) -> int:
    """Radius in pixels beyond which nothing is seen: convolutions, poolings and upsamplings added up."""
    radius = 2
    for level in range(1, levels + 1):
        radius += 2 ** (level - 1) + 2 * 2**level  # pooling, two convolutions below it
        radius += 2**level + 2 * 2 ** (level - 1)  # upsampling, two convolutions above it
    return radius
