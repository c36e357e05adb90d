"""What is minimised by a network that gives light, and what a discriminator says of it.

The discriminator and its hinge loss are MONAI's. The spectral term is not: MONAI's ``JukeboxLoss`` compares
amplitudes, whose slope is infinite at 0, and the spectrum of a grey patch across its channels is full of zeros.
"""

from __future__ import annotations

import torch
from monai.losses import PatchAdversarialLoss
from monai.networks.nets import PatchDiscriminator
from torch import Tensor, nn

from redust.models.networks.gated import blurred
from redust.training.config import LossConfig

_DETAIL, _AROUND = 9, 25  # pixels: what is finer is detail; as far around its strength is measured
_LEAST_SHARE = 0.01  # of the pixels: a batch with next to no damage counts as one with this much


class RestoringLoss(nn.Module):
    """How far light is from what it should be, per damaged pixel: difference and difference of the spectra.

    Parameters
    ----------
    config
        The weight of the spectra, and whether differences count relative to the detail around them.
    """

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.frequency = config.frequency
        self.relative = config.relative

    def forward(self, made: Tensor, clean: Tensor, where: Tensor) -> Tensor:
        """The loss, a scalar float32.

        Parameters
        ----------
        made, clean : (N, 3, H, W) float in 0..1
        where : (N, 1, H, W) float
            1 where damaged. A change elsewhere costs as much as a pixel left damaged.
        """
        # Sums over a batch lose too much in 8 or 11 bits of mantissa; a Fourier transform does not know them.
        with torch.autocast(made.device.type, enabled=False):
            off = made.float() - clean.float()
            if self.relative:
                off = off * _weights(clean.float(), self.relative)
            count = 3 * where.sum().clamp(min=_LEAST_SHARE * where.numel())
            loss = off.abs().sum() / count
            if self.frequency:
                spectrum = torch.fft.rfft2(off, norm="ortho")
                loss = loss + self.frequency * torch.view_as_real(spectrum).abs().sum() / count
            return loss


def _weights(clean: Tensor, least: float) -> Tensor:
    """The inverse of the detail around each pixel (N, 1, H, W), 1 on the average of the batch."""
    detail = (clean - blurred(clean, _DETAIL)).abs().mean(1, keepdim=True)
    weights = 1 / (blurred(detail, _AROUND) + least)
    return weights / weights.mean()


class Critic(nn.Module):
    """A discriminator of patches that sees the picture and what the network was given, as in pix2pix.

    Parameters
    ----------
    config
        Its width.
    given
        Channels of what the network is given.

    References
    ----------
    Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
    https://arxiv.org/abs/1611.07004; hinge: Lim and Ye, "Geometric GAN", 2017, https://arxiv.org/abs/1705.02894
    """

    def __init__(self, config: LossConfig, given: int) -> None:
        super().__init__()
        # Instance norm: with batch norm a sound batch would be told from a made one by its statistics alone.
        self.judge = PatchDiscriminator(
            spatial_dims=2, channels=config.discriminator_channels, in_channels=3 + given, num_layers_d=3,
            norm="INSTANCE",
        )  # fmt: skip
        self.hinge = PatchAdversarialLoss(criterion="hinge")

    def own_loss(self, given: Tensor, made: Tensor, clean: Tensor) -> Tensor:
        """What the discriminator minimises: it is to tell made pictures from sound ones."""
        sound = self.hinge(self._say(given, clean), target_is_real=True, for_discriminator=True)
        false = self.hinge(self._say(given, made.detach()), target_is_real=False, for_discriminator=True)
        loss: Tensor = 0.5 * (sound + false)
        return loss

    def loss_of(self, given: Tensor, made: Tensor) -> Tensor:
        """What the network minimises besides: its pictures are to pass as sound."""
        loss: Tensor = self.hinge(self._say(given, made), target_is_real=True, for_discriminator=False)
        return loss

    def _say(self, given: Tensor, picture: Tensor) -> Tensor:
        """One verdict for each overlapping patch."""
        verdicts: Tensor = self.judge(torch.cat([picture.float(), given.float()], dim=1))[-1]
        return verdicts.float()
