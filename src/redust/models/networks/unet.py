"""The network ReDust ships: a narrow U-Net behind a space-to-depth stem.

After Ronneberger et al., U-Net, 2015 (doi:10.1007/978-3-319-24574-4_28). Where it differs: the first step folds
2 x 2 pixels into channels and the last unfolds them, so no convolution runs at full resolution, which is where
most of a U-Net's time goes; skips are added, not concatenated; down-sampling is a strided convolution.
With the default channels it costs about 35 GFLOP per megapixel (a multiply-add counts as 2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def _convolve(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution, batch norm and ReLU: shapes that fold into one quantisable operator."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """Damage logits for every pixel.

    Parameters
    ----------
    channels
        Width at 1/2, 1/4, 1/8 and 1/16 of the resolution. Multiples of 16 run best on CPUs.
    in_channels
        3: grey scans are repeated.
    dropout
        Share of channels dropped at the coarsest level while training.
    """

    float32_convs = 2
    """So many convolutions from the input stay float32 where the others become INT8."""

    stride = 16
    """Height and width must be multiples of this."""

    halo = 96
    """A pixel farther away than this has no influence (see the test that measures it)."""

    def __init__(
        self,
        channels: tuple[int, int, int, int] = (32, 48, 96, 128),
        in_channels: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        a, b, c, d = channels
        self.fold = nn.PixelUnshuffle(2)
        self.enter_2 = nn.Sequential(_convolve(4 * in_channels, a), _convolve(a, a))
        self.enter_4 = nn.Sequential(_convolve(a, b, stride=2), _convolve(b, b))
        self.enter_8 = nn.Sequential(_convolve(b, c, stride=2), _convolve(c, c))
        self.deepest = nn.Sequential(_convolve(c, d, stride=2), nn.Dropout2d(dropout), _convolve(d, d), _convolve(d, d))
        self.raise_8, self.leave_8 = nn.Conv2d(d, c, 1), _convolve(c, c)
        self.raise_4, self.leave_4 = nn.Conv2d(c, b, 1), nn.Sequential(_convolve(b, b), _convolve(b, b))
        self.raise_2, self.leave_2 = nn.Conv2d(b, a, 1), nn.Sequential(_convolve(a, a), _convolve(a, a))
        self.head = nn.Conv2d(a + 4 * in_channels, 4, 1)
        self.unfold = nn.PixelShuffle(2)
        nn.init.constant_(self.head.bias, -4.0)  # type: ignore[arg-type]  # damage is rare: a fresh network gives 2 %

    def features(self, light: Tensor) -> Tensor:
        """The input of the head: (N, a + 4 in_channels, H/2, W/2)."""
        folded = self.fold(self.centred(light))  # (N, 12, H/2, W/2)
        half = self.levels(folded)
        # Of one type: under autocast both would be widened, joined and narrowed again, a tenth of a training step.
        return torch.cat([half, folded.to(half.dtype)], 1)

    @staticmethod
    def centred(light: Tensor) -> Tensor:
        """Light 0..1 as -2..2."""
        return (light - 0.5) * 4.0

    def levels(self, folded: Tensor) -> Tensor:
        """The last features (N, a, H/2, W/2), of centred light folded into channels (N, 4 in_channels, H/2, W/2)."""
        half = self.enter_2(folded)  # (N, a, H/2, W/2)
        quarter = self.enter_4(half)  # (N, b, H/4, W/4)
        eighth = self.enter_8(quarter)  # (N, c, H/8, W/8)
        deepest = self.deepest(eighth)  # (N, d, H/16, W/16)
        eighth = self.leave_8(eighth + _double(self.raise_8(deepest)))
        quarter = self.leave_4(quarter + _double(self.raise_4(eighth)))
        last: Tensor = self.leave_2(half + _double(self.raise_2(quarter)))
        return last

    def forward(self, light: Tensor) -> Tensor:
        """Give logits.

        Parameters
        ----------
        light : (N, in_channels, H, W) float in 0..1
            H and W multiples of `stride`.

        Returns
        -------
        logits : (N, 1, H, W)
        """
        logits: Tensor = self.unfold(self.head(self.features(light)))
        return logits  # (N, 1, H, W)


def _double(features: Tensor) -> Tensor:
    """Nearest-neighbour enlargement by 2."""
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")
