"""A network that maps a damaged picture to a sound one, and is told what a detector thinks of each pixel.

After Qian et al., Attentive Generative Adversarial Network for Raindrop Removal, CVPR 2018
(https://arxiv.org/abs/1711.10098), where a map of what is to be removed goes beside the picture into the generator.
We differ: the map is a detector's, trained for itself; and what the map says is damaged is first painted over smoothly
from around, by a pyramid of weighted means (after Burt, Moment Images, Polynomial Fit Filters, and the Problem of
Surface Interpolation, CVPR 1988). The network corrects that painting and the map. With fresh weights it gives back the
painting where the map says so, and the rest as it was.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from redust.models.networks.unet import UNet

_SOUND, _DAMAGED = 0.2, 0.6  # below the one nothing is painted over, above the other all
_RIM = 1  # pixels by which what is painted over grows: damage has soft rims
_DEPTH = 4  # halvings of the pyramid
_SURE = 6.0  # logit of the gate where the map is sure
_MIN_WEIGHT = 1e-4  # weight: a mean of less is of nothing
_TRUSTED = 0.25  # a mean of pixels that weigh so much in all counts fully


class AttentiveUNet(UNet):
    """Restored light for every pixel, from light and a damage map.

    Parameters
    ----------
    channels, dropout
        As of :class:`~redust.models.networks.unet.UNet`.
    """

    missing_keys = ("head.", "paint.")
    """Weights that a network of another kind that it starts from lacks; they begin fresh."""

    expand_in_channels = ("enter_2.0.0.weight",)
    """Weights with more input channels than in such a network; the new ones begin at 0."""

    in_channels = 4

    halo = 176
    """A pixel farther away than this has no influence (see the test that measures it)."""

    def __init__(self, channels: tuple[int, int, int, int] = (32, 48, 96, 128), dropout: float = 0.0) -> None:
        super().__init__(channels, 7, dropout)  # light, the painting, the map
        self.paint = nn.Conv2d(channels[0] + 28, 12, 1)
        for output in (self.paint, self.head):
            nn.init.zeros_(output.weight)
            nn.init.zeros_(output.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, light_and_map: Tensor) -> Tensor:
        """Restore.

        Parameters
        ----------
        light_and_map : (N, 4, H, W) float32 in 0..1
            Light and the damage map; H and W multiples of `stride`.

        Returns
        -------
        restored : (N, 3, H, W) float32
        """
        with torch.autocast(light_and_map.device.type, enabled=False):
            light, damage = light_and_map[:, :3], light_and_map[:, 3:]
            hole = _hole(damage)
            painting = _painted(light, 1 - hole)
        features = self.features(torch.cat([light, painting, damage], 1))  # (N, a + 28, H/2, W/2)
        gate = torch.sigmoid(self.unfold(self.head(features)).float() + _SURE * (2 * hole - 1))  # (N, 1, H, W)
        change = self.unfold(self.paint(features)).float()  # (N, 3, H, W)
        restored: Tensor = light + gate * (painting - light + change)
        return restored


def _hole(damage: Tensor) -> Tensor:
    """How far each pixel is to be painted over, 0..1: the map, sharpened and grown."""
    sharp = ((damage - _SOUND) / (_DAMAGED - _SOUND)).clamp(0, 1)
    return functional.max_pool2d(sharp, 2 * _RIM + 1, stride=1, padding=_RIM)


def _painted(light: Tensor, weight: Tensor) -> Tensor:
    """Light (N, 3, H, W) where it weighs 1 (N, 1, H, W), and where it weighs less smoothly what lies around."""
    sums, weights = [light * weight], [weight]
    for _ in range(_DEPTH):
        sums.append(functional.avg_pool2d(sums[-1], 2))
        weights.append(functional.avg_pool2d(weights[-1], 2))
    # Where a hole is so wide that even here nothing sound is in sight, the mean of a wider window stands in.
    around = [functional.avg_pool2d(level, 5, stride=1, padding=2) for level in (sums[-1], weights[-1])]
    trust = _trust(weights[-1])
    painting = trust * _mean(sums[-1], weights[-1]) + (1 - trust) * _mean(*around)
    for level in range(_DEPTH - 1, -1, -1):
        wide = functional.interpolate(painting, scale_factor=2.0, mode="bilinear", align_corners=False)
        trust = _trust(weights[level]) if level else weights[0]
        painting = trust * _mean(sums[level], weights[level]) + (1 - trust) * wide
    return painting


def _mean(total: Tensor, weight: Tensor) -> Tensor:
    """What a sum of weighted light comes to."""
    return total / (weight + _MIN_WEIGHT)


def _trust(weight: Tensor) -> Tensor:
    """How far a mean of pixels that weigh so much in all counts, 0..1."""
    return (weight / _TRUSTED).clamp(max=1)
