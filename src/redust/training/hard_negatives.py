"""Hard-negative mining: patches without damage that the network marks are trained on more often.

A replay buffer, after A. Shrivastava, A. Gupta, R. Girshick, "Training Region-based Object Detectors with Online Hard
Example Mining", CVPR 2016, https://arxiv.org/abs/1604.03540; we differ in that whole patches are kept between steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from redust.core.labels import Label
from redust.training.augmentation import DIHEDRAL_COUNT, apply_dihedral

_CAPACITY = 64  # patches


class HardNegatives:
    """The undamaged patches that the network marked most.

    Parameters
    ----------
    share
        Of a batch that is replaced, 0..1; less while the buffer holds fewer patches.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.light = torch.empty(0)
        self.scores = torch.empty(0)

    def mix_in(self, light: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Replace the last patches of a batch by some of the buffer, flipped and turned at random; these leave it.

        Parameters
        ----------
        light : (N, 3, H, H) float32
        truth : (N, 1, H, H) uint8
        """
        count = min(int(self.share * len(light)), len(self.scores))
        if not count:
            return light, truth
        order = torch.randperm(len(self.scores))
        index = int(torch.randint(DIHEDRAL_COUNT, ()))
        patches = apply_dihedral(self.light[order[:count]].float(), index).to(light.device)
        self._keep(order[count:])
        background = truth.new_full((count, *truth.shape[1:]), Label.background)
        return torch.cat([light[:-count], patches]), torch.cat([truth[:-count], background])

    @torch.no_grad()
    def add(self, light: Tensor, truth: Tensor, logits: Tensor) -> None:
        """Keep the patches of a batch without damage of which the network marks some pixels, the worst first."""
        undamaged = (truth == Label.background).all(dim=3).all(dim=2)[:, 0]
        marked = (logits > 0).float().mean((1, 2, 3)) * undamaged
        hard = marked > 0
        if hard.any():
            self.light = torch.cat([self.light.reshape(-1, *light.shape[1:]), light[hard].half().cpu()])
            self.scores = torch.cat([self.scores, marked[hard].cpu()])
            self._keep(torch.argsort(self.scores, descending=True, stable=True)[:_CAPACITY])

    def _keep(self, order: Tensor) -> None:
        self.light, self.scores = self.light[order], self.scores[order]

    def state_dict(self) -> dict[str, Tensor]:
        """The buffer, for a checkpoint."""
        return {"light": self.light, "scores": self.scores}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the buffer of :meth:`state_dict`."""
        self.light, self.scores = state["light"], state["scores"]
