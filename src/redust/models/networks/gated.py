"""A small network that fills masked pixels: gated convolutions over what a plain fill has prepared.

After Yu et al., Free-Form Image Inpainting with Gated Convolution, ICCV 2019 (doi:10.1109/ICCV.2019.00457): each
convolution is weighed by a second one, so that the network learns which features are to be trusted where. We differ:
one stage instead of two; it does not begin from nothing but corrects a fill (kriging), in units of the detail around
each pixel, so that it treats faint and strong texture alike, side by side too, leaves even ground even, and with fresh
weights gives back what it was given; dilated convolutions give it reach instead of attention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_BLUR = 9  # pixels: what is finer is detail
_AROUND = 25  # pixels across: as far the strength of the detail is measured
_GLOBAL = 0.05  # share of the whole picture in it: where nothing around is sound, it is all there is
_MIN_DETAIL = 1e-3  # light: detail weaker than that is taken as none
_GAIN = 2.5  # of a fresh value before its gate: ten times the signal at the head that the usual start gives
_STRONG = 4.0  # detail is cut at so many times four its mean


class Gated(nn.Module):
    """A 3 x 3 convolution whose every value is weighed by a learned gate."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.both = nn.Conv2d(inputs, 2 * outputs, 3, stride=stride, padding=dilation, dilation=dilation)
        # A value times a gate of about a half shrinks, layer by layer, until nothing is learned.
        with torch.no_grad():
            nn.init.normal_(self.both.weight[:outputs], std=_GAIN / (9 * inputs) ** 0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        value, gate = self.both(features).chunk(2, dim=1)
        gated: Tensor = functional.silu(value) * torch.sigmoid(gate)
        return gated


class GatedFill(nn.Module):
    """Filled light for every pixel.

    Parameters
    ----------
    channels
        Width at 1/2, 1/4 and 1/8 of the resolution.
    """

    stride = 8
    """Height and width must be multiples of this."""

    in_channels = 4

    halo = 128
    """A pixel farther away has no influence but through the means that scale the input."""

    def __init__(self, channels: tuple[int, int, int] = (24, 32, 48)) -> None:
        super().__init__()
        a, b, c = channels
        self.fold = nn.PixelUnshuffle(2)
        self.enter_2 = nn.Sequential(Gated(28, a), Gated(a, a))
        self.enter_4 = nn.Sequential(Gated(a, b, stride=2), Gated(b, b))
        self.deepest = nn.Sequential(
            Gated(b, c, stride=2), Gated(c, c), Gated(c, c, dilation=2), Gated(c, c, dilation=4)
        )
        self.raise_4, self.leave_4 = nn.Conv2d(c, b, 1), Gated(b, b)
        self.raise_2, self.leave_2 = nn.Conv2d(b, a, 1), Gated(a, a)
        self.head = nn.Conv2d(a, 12, 1)
        self.unfold = nn.PixelShuffle(2)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, light_and_mask: Tensor) -> Tensor:
        """Correct a fill.

        Parameters
        ----------
        light_and_mask : (N, 4, H, W) float32
            Light in 0..1 whose masked pixels were filled somehow, and the mask, 1 where they are. H and W multiples
            of `stride`.

        Returns
        -------
        filled : (N, 3, H, W) float32
            The light; it differs from what was given only where the mask is 1.
        """
        light, hole = light_and_mask[:, :3], light_and_mask[:, 3:]
        features, strength = _scaled(light, hole)
        filled: Tensor = light + strength * self.correction(features).float() * hole
        return filled

    def correction(self, features: Tensor) -> Tensor:
        """What is to be added, (N, 3, H, W), in units of the detail, from what the network looks at (N, 7, H, W)."""
        half = self.enter_2(self.fold(features))  # (N, a, H/2, W/2)
        quarter = self.enter_4(half)  # (N, b, H/4, W/4)
        deepest = self.deepest(quarter)  # (N, c, H/8, W/8)
        quarter = self.leave_4(quarter + _double(self.raise_4(deepest)))
        half = self.leave_2(half + _double(self.raise_2(quarter)))
        change: Tensor = self.unfold(self.head(half))
        return change


def _scaled(light: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """What the network looks at (N, 7, H, W), and the strength of the sound detail around each pixel (N, 1, H, W)."""
    sound = 1 - hole
    count = sound.sum((2, 3), keepdim=True).clamp(min=1)
    mean = (light * sound).sum((2, 3), keepdim=True) / count
    detail = light - blurred(light, _BLUR)
    strong = detail.abs().mean(1, keepdim=True) * sound
    everywhere = strong.sum((2, 3), keepdim=True) / count
    strength = (blurred(strong, _AROUND) + _GLOBAL * everywhere) / (blurred(sound, _AROUND) + _GLOBAL)
    relative = (detail / (4 * (strength + _MIN_DETAIL))).clamp(-_STRONG, _STRONG)
    return torch.cat([2 * (light - mean), relative, hole], 1), strength


def blurred(planes: Tensor, width: int) -> Tensor:
    """The mean of a square of so many pixels, of what lies within the picture: by rows, then by columns."""
    across = functional.avg_pool2d(planes, (1, width), 1, (0, width // 2), count_include_pad=False)
    return functional.avg_pool2d(across, (width, 1), 1, (width // 2, 0), count_include_pad=False)


def _double(features: Tensor) -> Tensor:
    """Nearest-neighbour enlargement by 2."""
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")
