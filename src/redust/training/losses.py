"""What is minimised. Pixels that are not to be judged add nothing to any loss.

The region losses are MONAI's. They get probabilities and truth that are both zero where not judged, so that
such pixels enter no sum. They are pooled over the batch: a clean patch alone has no overlap to speak of.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.losses import DiceLoss, SoftclDiceLoss, TverskyLoss
from torch import Tensor, nn
from torch.nn import functional

from redust.core.labels import Label
from redust.training.config import LossConfig, LossName

_USUAL_SHARE = 0.02  # of a patch that is damaged: such a patch counts once
_SURE = 0.5  # from which chance on a teacher counts as sure of damage
_MOST = 8.0  # times that a patch counts, and the least is one in so many


class MaskedLoss(nn.Module):
    """A loss of logits against a truth in which 128 means not judged.

    Parameters
    ----------
    config
        Which loss, and its weights.
    """

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        self.region: Callable[[Tensor, Tensor], Tensor] | None = _region(config)

    def forward(self, logits: Tensor, truth: Tensor) -> Tensor:
        """The loss, a scalar float32.

        Parameters
        ----------
        logits : (N, 1, H, W) float
        truth : (N, 1, H, W) uint8
            255 damage, 128 not judged, 0 sound.
        """
        # Sums over a batch lose too much in 8 or 11 bits of mantissa.
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            target, judged = (truth == Label.damage).float(), (truth != Label.ignore).float()
            if self.config.loss is LossName.focal_tversky:
                return self._tversky(logits, target, judged)
            entropy = self._entropy(logits, target, judged)
            if self.region is None:
                return entropy
            overlap = self.region(torch.sigmoid(logits) * judged, target)
            return (1 - self.config.mix) * entropy + self.config.mix * overlap

    def _entropy(self, logits: Tensor, target: Tensor, judged: Tensor) -> Tensor:
        weight = logits.new_tensor(self.config.positive_weight)
        pixels = functional.binary_cross_entropy_with_logits(
            logits, target, weight=judged, pos_weight=weight, reduction="none"
        )
        if not self.config.balance:
            return pixels.sum() / judged.sum().clamp(min=1)
        sizes = judged.sum((1, 2, 3)).clamp(min=1)
        counts = _counts(target.sum((1, 2, 3)) / sizes, self.config.balance)
        return (pixels.sum((1, 2, 3)) / sizes * counts).sum() / counts.sum()

    def _tversky(self, logits: Tensor, target: Tensor, judged: Tensor) -> Tensor:
        """Focal Tversky loss: Abraham and Khan, 2019, https://arxiv.org/abs/1810.07842."""
        assert self.region is not None
        loss = self.region(torch.sigmoid(logits) * judged, target)
        # The power's slope is infinite at 0, which a perfect batch reaches.
        return loss.clamp(min=1e-6) ** self.config.focus_power


def taught_loss(logits: Tensor, opinion: Tensor, balance: float = 0.0) -> Tensor:
    """The cross-entropy of logits against a teacher's, both (N, 1, H, W): least where the two are the same.

    With `balance`, each patch counts by the share of it that the teacher is sure is damaged, as by its masks otherwise.
    """
    with torch.autocast(logits.device.type, enabled=False):
        chance = torch.sigmoid(opinion.float())
        pixels = functional.binary_cross_entropy_with_logits(logits.float(), chance, reduction="none")
        counts = _counts((chance >= _SURE).float().mean((1, 2, 3)), balance)
        return (pixels.mean((1, 2, 3)) * counts).sum() / counts.sum()


def _counts(share: Tensor, balance: float) -> Tensor:
    """How often each patch counts, (N,): the less of it is damaged, the more often; without damage, once."""
    counts = (_USUAL_SHARE / share.clamp(min=1e-6)) ** balance
    return torch.where(share > 0, counts.clamp(1 / _MOST, _MOST), torch.ones_like(counts))


def _region(config: LossConfig) -> Callable[[Tensor, Tensor], Tensor] | None:
    match config.loss:
        case LossName.bce:
            return None
        case LossName.bce_dice:
            made: Callable[[Tensor, Tensor], Tensor] = DiceLoss(batch=True, smooth_nr=1.0, smooth_dr=1.0)
        case LossName.focal_tversky:
            share = config.false_positives
            made = TverskyLoss(alpha=share, beta=1 - share, batch=True, smooth_nr=1.0, smooth_dr=1.0)
        case LossName.cldice:
            made = SoftclDiceLoss(iter_=5)
    return made
