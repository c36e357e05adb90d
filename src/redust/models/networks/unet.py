"""The network ReDust ships: a narrow U-Net behind a space-to-depth stem.

After Ronneberger et al., U-Net, 2015 (doi:10.1007/978-3-319-24574-4_28). Where it differs: the first step folds
2 x 2 pixels into channels and the last unfolds them, so no convolution runs at full resolution, which is where
most of a U-Net's time goes; skips are added, not concatenated; down-sampling is a strided convolution.
With the default channels it costs about 35 GFLOP per megapixel (a multiply-add counts as 2).
"""

from __future__ import annotations

from collections.abc import Sequence

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


_SURE = 11.5  # a logit farther from 0 counts as this one
_DILATIONS = (1, 2)  # of the residual blocks at an eighth, one after the other


class _Block(nn.Module):
    """A bottleneck that adds to what it is given; fresh weights add nothing.

    After He et al., Deep Residual Learning for Image Recognition, 2016 (doi:10.1109/CVPR.2016.90), without the
    activation after the sum, so that a trained network can be given more of them and goes on from where it was.
    """

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        inner = channels // 2
        self.change = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        nn.init.zeros_(self.change[-1].weight)  # type: ignore[arg-type]  # a batch norm has one

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, channels, H, W) to features of the same shape."""
        changed: Tensor = features + self.change(features)
        return changed


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
    finish
        Convolutions after the last enlargement: a second one costs 4.6 of the 35 GFLOP.
    blocks
        Residual blocks at 1/8 and at 1/16 of the resolution, after what is there: 0.9 and 0.4 GFLOP each. They see
        farther: a hair over busy ground is known by where it goes on.
    scales
        Factors by which a scan is shrunk before the network sees it; see :meth:`judged`.
    """

    surplus: tuple[str, ...] = ("leave_2.1.",)
    """What a network that it starts from may have beyond its own."""

    fresh: tuple[str, ...] = ("far_",)
    """What a network that it starts from may lack; it begins by adding nothing."""

    exact_convolutions = 2
    """So many from the beginning stay float32 where the rest becomes INT8 (decision 18 says what that buys)."""

    stride = 16
    """Height and width must be multiples of this."""

    halo: int = 96
    """A pixel farther away than this has no influence (see the test that measures it); more with `blocks`."""

    def __init__(
        self,
        channels: tuple[int, int, int, int] = (32, 48, 96, 128),
        in_channels: int = 3,
        dropout: float = 0.0,
        finish: int = 2,
        scales: tuple[int, ...] = (1,),
        blocks: tuple[int, ...] = (0, 0),
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        a, b, c, d = channels
        self.fold = nn.PixelUnshuffle(2)
        self.enter_2 = nn.Sequential(_convolve(4 * in_channels, a), _convolve(a, a))
        self.enter_4 = nn.Sequential(_convolve(a, b, stride=2), _convolve(b, b))
        self.enter_8 = nn.Sequential(_convolve(b, c, stride=2), _convolve(c, c))
        self.deepest = nn.Sequential(_convolve(c, d, stride=2), nn.Dropout2d(dropout), _convolve(d, d), _convolve(d, d))
        at_8, at_16 = blocks
        dilations = [_DILATIONS[place % len(_DILATIONS)] for place in range(at_8)]
        self.far_8 = nn.Sequential(*(_Block(c, dilation) for dilation in dilations))
        self.far_16 = nn.Sequential(*(_Block(d) for _ in range(at_16)))
        self.halo = type(self).halo + 8 * sum(dilations) + 16 * at_16
        self.raise_8, self.leave_8 = nn.Conv2d(d, c, 1), _convolve(c, c)
        self.raise_4, self.leave_4 = nn.Conv2d(c, b, 1), nn.Sequential(_convolve(b, b), _convolve(b, b))
        self.raise_2, self.leave_2 = nn.Conv2d(b, a, 1), nn.Sequential(*(_convolve(a, a) for _ in range(finish)))
        self.head = nn.Conv2d(a + 4 * in_channels, 4, 1)
        self.unfold = nn.PixelShuffle(2)
        nn.init.constant_(self.head.bias, -4.0)  # type: ignore[arg-type]  # damage is rare: start by saying no

    def features(self, light: Tensor) -> Tensor:
        """What the head judges by: (N, a + 4 in_channels, H/2, W/2)."""
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
        deepest = self.far_16(self.deepest(eighth))  # (N, d, H/16, W/16)
        eighth = self.far_8(self.leave_8(eighth + _double(self.raise_8(deepest))))
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

    def judged(self, light: Tensor, shares: Sequence[float] = ()) -> Tensor:
        """Give the mean of the logits at all scales, as detecting does (:mod:`redust.detectors.multiscale`).

        Parameters
        ----------
        light : (N, in_channels, H, W) float in 0..1
            H and W multiples of `stride` times the largest of `scales`.
        shares
            How much each scale counts; all alike unless given.

        Returns
        -------
        logits : (N, 1, H, W)
        """
        found = []
        for factor in self.scales:
            small = functional.avg_pool2d(light, factor) if factor > 1 else light
            logits = self(small).float().clamp(-_SURE, _SURE)
            found.append(_enlarged(logits, factor) if factor > 1 else logits)
        counts = tuple(shares) or (1.0,) * len(found)
        counted = [count * logits for count, logits in zip(counts, found, strict=True)]
        mean: Tensor = sum(counted[1:], counted[0]) / sum(counts)
        return mean  # (N, 1, H, W)


def _double(features: Tensor) -> Tensor:
    """Nearest-neighbour enlargement by 2."""
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")


def _enlarged(logits: Tensor, factor: int) -> Tensor:
    """Linear enlargement."""
    return functional.interpolate(logits, scale_factor=float(factor), mode="bilinear", align_corners=False)
