"""A network that gives light being trained, as Lightning sees it, with a discriminator that joins later."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from redust.evaluation.plots import Picture
from redust.training.config import Task, TrainConfig
from redust.training.generative.losses import Critic, RestoringLoss
from redust.training.generative.measuring import (
    USUAL_LEVEL,
    Figures,
    answer,
    blind_figures,
    fill_figures,
    mean_figures,
)
from redust.training.generative.results import restored_sheet
from redust.training.generative.samples import HeldBack
from redust.training.module import Row, TrainingModule

_MEASURES = {Task.fill: ("val_inside", "inside dB"), Task.generator: ("val_gain", "gain dB")}


class RestoringModule(TrainingModule):
    """A network that fills or restores blindly, its loss, its discriminator, and an optimiser for each.

    Only the network's steps count as steps of the run: the discriminator's optimiser is stepped by itself.

    Parameters
    ----------
    config, network, steps, steps_per_epoch, data_sha256
        See :class:`~redust.training.module.TrainingModule`.
    validation
        Samples scored at every validation with the averaged weights.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: nn.Module,
        validation: HeldBack,
        *,
        steps: int,
        steps_per_epoch: float,
        data_sha256: str = "",
    ) -> None:
        super().__init__(config, network, steps=steps, steps_per_epoch=steps_per_epoch, data_sha256=data_sha256)
        self.automatic_optimization = False
        self.monitor, self.measure = _MEASURES[config.run.task]
        self.loss = RestoringLoss(config.loss)
        torch.manual_seed(config.run.seed)
        self.critic = Critic(config.loss, int(network.in_channels))  # type: ignore[arg-type]
        self.pictures: HeldBack = validation
        self._rows: list[Figures] = []

    @property
    def contested(self) -> bool:
        """Whether the discriminator has joined."""
        loss = self.config.loss
        return loss.adversarial > 0 and self.progress >= loss.adversarial_start

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One for the network, one for the discriminator."""
        return [self.optimiser_of(self.network), self.optimiser_of(self.critic, betas=(0.5, 0.99))]

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """One step of the discriminator, if it has joined, and one of the network."""
        given, clean, where = batch
        made = self.network(given.contiguous(memory_format=torch.channels_last))
        total = loss = self.loss(made, clean, where)
        if self.contested:
            self._teach_critic(given, made, clean)
            self.critic.requires_grad_(False)
            total = loss + self.config.loss.adversarial * self.critic.loss_of(given, made)
        optimiser, _ = self.optimizers()
        optimiser.zero_grad()
        self.manual_backward(total)
        self.critic.requires_grad_(True)
        self._clip(self.network)
        optimiser.step()
        self.follow()
        self.keep_loss(loss, batch_idx)

    def _teach_critic(self, given: Tensor, made: Tensor, clean: Tensor) -> None:
        _, wrapped = self.optimizers()
        optimiser: torch.optim.Optimizer = wrapped.optimizer  # the bare one: its steps are none of the run's
        ratio = self.config.loss.discriminator_rate
        for group, main in zip(optimiser.param_groups, self.trainer.optimizers[0].param_groups, strict=True):
            group["lr"] = ratio * main["lr"]
        optimiser.zero_grad()
        self.manual_backward(self.critic.own_loss(given, made, clean))
        self._clip(self.critic)
        optimiser.step()

    def _clip(self, network: nn.Module) -> None:
        if self.config.optimiser.gradient_clip:
            nn.utils.clip_grad_norm_(network.parameters(), self.config.optimiser.gradient_clip)

    def on_validation_epoch_start(self) -> None:
        """Start counting."""
        self._rows = []

    def validation_step(self, number: int) -> None:
        """Score one sample."""
        sample = self.pictures[int(number)]
        made = answer(self.best_network, sample.given)
        if self.config.run.task is Task.fill:
            self._rows.append(fill_figures(sample, made))
        else:
            self._rows.append(blind_figures(sample, made, USUAL_LEVEL))

    def on_validation_epoch_end(self) -> None:
        """Write down the means."""
        row: Row = self.place() | {f"val_{name}": value for name, value in mean_figures(self._rows).items()}
        self.history.append(row)
        self.log_dict({name: value for name, value in row.items() if name != "step"})

    def sample_sheet(self, number: int) -> Picture:
        """What was given, what was made of it, and what it should be."""
        chosen = np.linspace(0, len(self.pictures) - 1, number).astype(int)
        samples = [self.pictures[int(index)] for index in chosen]
        return restored_sheet([(sample, answer(self.best_network, sample.given)) for sample in samples])
