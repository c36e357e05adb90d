"""A network that maps a damaged picture to a sound one, without being told where the damage is.

The U-Net that ReDust ships to find damage, with a second head: where the first says how likely a pixel is damaged,
the second says by how much its light is off. Their product is what is added, so a pixel that is thought sound stays
nearly as it is. As the layers are those of the detector, its weights can be taken over: ``--from unet``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from redust.models.networks.unet import UNet


class ResidualUNet(UNet):
    """Restored light for every pixel; fresh weights change nothing.

    Parameters
    ----------
    channels, in_channels, dropout, finish
        As of :class:`~redust.models.networks.unet.UNet`.
    """

    fresh = ("paint.",)
    """What a detector that it starts from lacks."""

    surplus = (*UNet.surplus, "far_")
    """What a detector that it starts from may have beyond its own."""

    def __init__(
        self,
        channels: tuple[int, int, int, int] = (32, 48, 96, 128),
        in_channels: int = 3,
        dropout: float = 0.0,
        finish: int = 2,
    ) -> None:
        super().__init__(channels, in_channels, dropout, finish)
        self.in_channels = in_channels
        self.paint = nn.Conv2d(channels[0] + 4 * in_channels, 4 * in_channels, 1)
        nn.init.zeros_(self.paint.weight)
        nn.init.zeros_(self.paint.bias)  # type: ignore[arg-type]  # it has one
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]  # a gate that is shut learns nothing

    def forward(self, light: Tensor) -> Tensor:
        """Light (N, in_channels, H, W) in 0..1 to light of the same shape; H and W multiples of `stride`."""
        features = self.features(light)  # (N, a + 4 in_channels, H/2, W/2)
        gate = torch.sigmoid(self.unfold(self.head(features)).float())  # (N, 1, H, W)
        change = self.unfold(self.paint(features)).float()  # (N, in_channels, H, W)
        restored: Tensor = light + gate * change
        return restored
