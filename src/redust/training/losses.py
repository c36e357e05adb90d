"""Losses of the three tasks. Ignored pixels add nothing to any of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from redust.core.labels import Label
from redust.models.networks.gated import blurred
from redust.training.config import LossConfig, LossName

_TYPICAL_SHARE = 0.02  # of a patch that is damaged: such a patch has the weight 1
_MAX_WEIGHT = 8.0  # of a patch; the smallest is its inverse
_TVERSKY_FALSE_POSITIVES, _FOCAL_POWER = 0.3, 0.75
_SKELETON_STEPS = 5
_DETAIL, _AROUND = 9, 25  # pixels: what is finer is detail; as far around its strength is measured
_MIN_SHARE = 0.01  # of the pixels: a batch with next to no damage counts as one with this much
_SPECTRUM_WEIGHT = 0.1
_DISCRIMINATOR_LAYERS = 3


class MaskedLoss(nn.Module):
    """The loss of a detector: logits against a truth in which 128 means ignored.

    Dice, Tversky and clDice get probabilities and truth that are both zero where ignored, so that such pixels enter no
    sum. Dice and Tversky are pooled over the batch: a clean patch alone has no overlap to speak of.

    Parameters
    ----------
    config
        Which loss, and its weights.
    """

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, logits: Tensor, truth: Tensor) -> Tensor:
        """The loss, a scalar float32.

        Parameters
        ----------
        logits : (N, 1, H, W) float
        truth : (N, 1, H, W) uint8
            255 damage, 128 ignored, 0 background.
        """
        # Sums over a batch lose too much in 8 or 11 bits of mantissa.
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            target, judged = (truth == Label.damage).float(), (truth != Label.ignore).float()
            probability = torch.sigmoid(logits) * judged
            match self.config.loss:
                case LossName.focal_tversky:
                    return focal_tversky_loss(probability, target)
                case LossName.bce:
                    return self._cross_entropy(logits, target, judged)
                case LossName.bce_dice:
                    region = tversky_loss(probability, target, 0.5, smooth=0.5)
                case LossName.cldice:
                    region = cldice_loss(probability, target)
            weight = self.config.region_weight
            return (1 - weight) * self._cross_entropy(logits, target, judged) + weight * region

    def _cross_entropy(self, logits: Tensor, target: Tensor, judged: Tensor) -> Tensor:
        pixels = functional.binary_cross_entropy_with_logits(logits, target, weight=judged, reduction="none")
        if not self.config.prevalence_weighting:
            return pixels.sum() / judged.sum().clamp(min=1)
        sizes = judged.sum((1, 2, 3)).clamp(min=1)
        weights = prevalence_weights(target.sum((1, 2, 3)) / sizes, self.config.prevalence_weighting)
        return (pixels.sum((1, 2, 3)) / sizes * weights).sum() / weights.sum()


def prevalence_weights(share: Tensor, power: float) -> Tensor:
    """The weight of each patch, (N,): the less of it is damaged, the larger; 1 without damage."""
    weights = (_TYPICAL_SHARE / share.clamp(min=1e-6)) ** power
    return torch.where(share > 0, weights.clamp(1 / _MAX_WEIGHT, _MAX_WEIGHT), torch.ones_like(weights))


def distillation_loss(logits: Tensor, teacher_logits: Tensor, prevalence_weighting: float = 0.0) -> Tensor:
    """The cross-entropy of logits against a teacher's, both (N, 1, H, W); least where the two are the same.

    With `prevalence_weighting`, patches are weighted by the share of pixels to which the teacher gives at least 0.5.
    """
    with torch.autocast(logits.device.type, enabled=False):
        target = torch.sigmoid(teacher_logits.float())
        pixels = functional.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
        weights = prevalence_weights((target >= 0.5).float().mean((1, 2, 3)), prevalence_weighting)
        return (pixels.mean((1, 2, 3)) * weights).sum() / weights.sum()


def tversky_loss(probability: Tensor, target: Tensor, false_positives: float, smooth: float = 1.0) -> Tensor:
    """Tversky loss of a batch; with 0.5 it is the Dice loss (Salehi et al., 2017, https://arxiv.org/abs/1706.05721).

    Parameters
    ----------
    probability, target : (N, 1, H, W) float in 0..1
    false_positives : 0..1
        Weight of false positives; the remainder goes to false negatives.
    """
    hits = (probability * target).sum()
    wrong = false_positives * (probability * (1 - target)).sum()
    missed = (1 - false_positives) * ((1 - probability) * target).sum()
    return 1 - (hits + smooth) / (hits + wrong + missed + smooth)


def focal_tversky_loss(probability: Tensor, target: Tensor) -> Tensor:
    """Focal Tversky loss: Abraham and Khan, 2019, https://arxiv.org/abs/1810.07842."""
    loss = tversky_loss(probability, target, _TVERSKY_FALSE_POSITIVES)
    # The power's slope is infinite at 0, which a perfect batch reaches.
    return loss.clamp(min=1e-6) ** _FOCAL_POWER


def cldice_loss(probability: Tensor, target: Tensor) -> Tensor:
    """Centre-line Dice, for thin structures: Shit et al., CVPR 2021, https://arxiv.org/abs/2003.07311."""
    thin, true_thin, axes = _skeletonise(probability), _skeletonise(target), (1, 2, 3)
    precision = ((thin * target).sum(axes) + 1) / (thin.sum(axes) + 1)
    recall = ((true_thin * probability).sum(axes) + 1) / (true_thin.sum(axes) + 1)
    return (1 - 2 * precision * recall / (precision + recall + 1e-4)).mean()


def _skeletonise(planes: Tensor) -> Tensor:
    """A soft skeleton, by erosions and openings."""
    skeleton = functional.relu(planes - _dilate(_erode(planes)))
    for _ in range(_SKELETON_STEPS):
        planes = _erode(planes)
        ridge = functional.relu(planes - _dilate(_erode(planes)))
        skeleton = skeleton + functional.relu(ridge - skeleton * ridge)
    return skeleton


def _erode(planes: Tensor) -> Tensor:
    """The minimum of each pixel and its four neighbours."""
    down = -functional.max_pool2d(-planes, (3, 1), 1, (1, 0))
    across = -functional.max_pool2d(-planes, (1, 3), 1, (0, 1))
    return torch.min(down, across)


def _dilate(planes: Tensor) -> Tensor:
    return functional.max_pool2d(planes, 3, 1, 1)


class RestorationLoss(nn.Module):
    """The loss of a network that returns light: difference of light and of its spectrum, per damaged pixel.

    Parameters
    ----------
    relative
        If above 0, differences count relative to the detail around them plus this much of full light, so that even
        ground is not neglected for strong texture.
    spectrum_weight
        Weight of the difference of the spectra.
    """

    def __init__(self, relative: float = 0.0, spectrum_weight: float = _SPECTRUM_WEIGHT) -> None:
        super().__init__()
        self.relative = relative
        self.spectrum_weight = spectrum_weight

    def forward(self, restored: Tensor, clean: Tensor, damaged: Tensor) -> Tensor:
        """The loss, a scalar float32.

        Parameters
        ----------
        restored, clean : (N, 3, H, W) float in 0..1
        damaged : (N, 1, H, W) float
            1 where damaged. A change elsewhere costs as much as a pixel left damaged.
        """
        # Sums over a batch lose too much in 8 or 11 bits of mantissa; a Fourier transform does not know them.
        with torch.autocast(restored.device.type, enabled=False):
            error = restored.float() - clean.float()
            if self.relative:
                error = error * _detail_weights(clean.float(), self.relative)
            count = 3 * damaged.sum().clamp(min=_MIN_SHARE * damaged.numel())
            loss = error.abs().sum() / count
            if self.spectrum_weight:
                spectrum = torch.fft.rfft2(error, norm="ortho")
                loss = loss + self.spectrum_weight * torch.view_as_real(spectrum).abs().sum() / count
            return loss


def _detail_weights(clean: Tensor, floor: float) -> Tensor:
    """The inverse of the detail around each pixel (N, 1, H, W), 1 on the average of the batch."""
    detail = (clean - blurred(clean, _DETAIL)).abs().mean(1, keepdim=True)
    weights = 1 / (blurred(detail, _AROUND) + floor)
    return weights / weights.mean()


class PatchDiscriminator(nn.Module):
    """A discriminator of patches, conditioned on the input of the network, with the hinge loss.

    Parameters
    ----------
    in_channels
        Channels of the network's input.
    channels
        Width of the first layer.

    References
    ----------
    Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
    https://arxiv.org/abs/1611.07004; hinge: Lim and Ye, "Geometric GAN", 2017, https://arxiv.org/abs/1705.02894
    """

    def __init__(self, in_channels: int, channels: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3 + in_channels, channels, 4, 2, 1), nn.LeakyReLU(0.2)]
        for layer in range(_DISCRIMINATOR_LAYERS):
            stride = 1 if layer == _DISCRIMINATOR_LAYERS - 1 else 2
            # Instance norm: with batch norm real and restored batches would differ by their statistics alone.
            layers += [
                nn.Conv2d(channels, 2 * channels, 4, stride, 1, bias=False),
                nn.InstanceNorm2d(2 * channels),
                nn.LeakyReLU(0.2),
            ]
            channels *= 2
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 1, 1))
        for convolution in self.modules():
            if isinstance(convolution, nn.Conv2d):
                nn.init.normal_(convolution.weight, std=0.02)

    def forward(self, picture: Tensor, inputs: Tensor) -> Tensor:
        """A score in -1..1 for each overlapping patch of pictures (N, 3, H, W): 1 for real ones."""
        scores: Tensor = self.layers(torch.cat([picture.float(), inputs.float()], dim=1))
        return torch.tanh(scores.float())

    def discriminator_loss(self, inputs: Tensor, restored: Tensor, clean: Tensor) -> Tensor:
        """The loss of the discriminator: tell restored pictures from clean ones."""
        real = functional.relu(1 - self(clean, inputs)).mean()
        fake = functional.relu(1 + self(restored.detach(), inputs)).mean()
        return 0.5 * (real + fake)

    def generator_loss(self, inputs: Tensor, restored: Tensor) -> Tensor:
        """The adversarial loss of the network: its pictures are to pass as clean."""
        return functional.relu(1 - self(restored, inputs)).mean()
