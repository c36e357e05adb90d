"""What every task shares of a network in training, as Lightning expects it.

Everything random is a function of the seed and the step, so an interrupted run ends as an uninterrupted one.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from redust.core.errors import TrainingError
from redust.evaluation.plots import Picture
from redust.training.config import OptimiserConfig, TrainConfig

Row = dict[str, float]

_EMA_DECAY = 0.998
_WARMUP_SHARE = 0.03  # of the run in which the learning rate rises
_FIRST_RATE, _LAST_RATE = 0.02, 0.01  # of the highest: before warm-up, and at the end of the cosine
_MAX_GRADIENT_NORM = 1.0
_LOSS_CHECK_STEPS = 25  # reading the loss makes a GPU wait


class RunClock:
    """Seconds that a run has taken, over all sessions.

    Parameters
    ----------
    started
        When the command began, by ``time.monotonic``, before it loaded what it needs; now unless given.

    Attributes
    ----------
    startup_seconds
        How long that took; 0 where it is not known.
    """

    def __init__(self, started: float | None = None) -> None:
        now = time.monotonic()
        self.earlier_seconds = 0.0
        self._start = now if started is None else started
        self.startup_seconds = now - self._start

    @property
    def total_seconds(self) -> float:
        """Seconds of all sessions."""
        return self.earlier_seconds + time.monotonic() - self._start


class TrainingModule(pl.LightningModule):  # type: ignore[misc]  # Lightning has no types
    """A network and its moving average, the progress of the run, and the state of a checkpoint.

    Parameters
    ----------
    config
        The run.
    network
        The network to train; see :mod:`redust.models.networks`.
    validation
        Items scored at every validation, by number.
    steps, steps_per_epoch
        Optimiser steps of the whole run, and of one epoch.
    data_sha256
        Written into checkpoints, so that a run is not resumed on other data.
    """

    monitor: str
    """The column of the history by which the best weights are selected: the highest."""

    measure: str
    """Its name for people."""

    def __init__(
        self, config: TrainConfig, network: nn.Module, validation: Any, *, steps: int, steps_per_epoch: float,
        data_sha256: str = "",
    ) -> None:  # fmt: skip
        super().__init__()
        self.automatic_optimization = False
        self.config = config
        self.network = network
        self.validation = validation
        self.averaged = AveragedModel(network, use_buffers=True)
        self.averaged.requires_grad_(False)
        self.steps = steps
        self.steps_per_epoch = steps_per_epoch
        self.data_sha256 = data_sha256
        self.clock = RunClock()
        self.reserved_seconds = self.item_seconds = 0.0  # for the end of a run; for one validation item
        self.history: list[Row] = []
        self.last_loss = float("nan")
        self.finished = False
        self._losses: list[Tensor] = []

    @property
    def best_network(self) -> nn.Module:
        """The averaged weights: these are scored and shipped."""
        average: nn.Module = self.averaged.module
        return average

    @property
    def progress(self) -> float:
        """Share of the run that is done, by steps or by the time for training, whichever is farther."""
        share = self.global_step / self.steps
        if self.config.run.budget_minutes:
            available = max(60 * self.config.run.budget_minutes - self.reserved_seconds, 1.0)
            share = max(share, self.clock.total_seconds / available)
        return float(min(1.0, share))

    @abstractmethod
    def compute_loss(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The loss to minimise for a batch, and the loss to report."""

    @abstractmethod
    def score_validation(self) -> Row:
        """The figures of the averaged network on the validation items."""

    @abstractmethod
    def score_item(self, index: int) -> None:
        """Predict one validation item: to know how long it takes."""

    @abstractmethod
    def sample_sheet(self, count: int) -> Picture:
        """At most `count` validation items with what the averaged network makes of them."""

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """AdamW for the network."""
        return [make_optimiser(self.network, self.config.optimiser)]

    def on_train_batch_start(self, *_: Any) -> None:
        """Set what this step depends on: the random state, the learning rate, and whether batch norms learn."""
        words = np.random.SeedSequence([self.config.run.seed, self.global_step, 0]).generate_state(1, np.uint64)
        torch.manual_seed(int(words[0]))
        set_learning_rate(self.trainer.optimizers[0], self.config.optimiser.learning_rate * rate_factor(self.progress))
        if self.config.model.freeze_batchnorm:
            freeze_batchnorm(self.network)

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """One step of the network, and of its average."""
        total, reported = self.compute_loss(batch)
        optimisers = self.optimizers()
        optimiser = optimisers[0] if isinstance(optimisers, list) else optimisers
        optimiser.zero_grad()
        self.manual_backward(total)
        self.after_backward()
        clip_gradient(self.network)
        optimiser.step()
        update_average(self.averaged, self.network, self.global_step)
        self._keep_loss(reported, batch_idx)

    def after_backward(self) -> None:  # most tasks have nothing to do
        """Called between the backward pass and the optimiser step."""

    def _keep_loss(self, loss: Tensor, batch_idx: int) -> None:
        """Record the loss of a step; check now and then that it is finite."""
        self._losses.append(loss.detach())
        if loss.device.type == "cpu" or batch_idx % _LOSS_CHECK_STEPS == 0:
            self.last_loss = float(loss.detach())
            _check_loss(self.last_loss, self.global_step)

    def record_validation(self) -> None:
        """Score the validation items, and append a row to the history."""
        losses = torch.stack(self._losses).mean().item() if self._losses else float("nan")
        self._losses = []
        self.history.append(
            {
                "step": float(self.global_step),
                "epoch": self.global_step / self.steps_per_epoch,
                "seconds": self.clock.total_seconds,
                "learning_rate": self.config.optimiser.learning_rate * rate_factor(self.progress),
                "train_loss": losses,
            }
            | self.score_validation()
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know."""
        checkpoint["redust"] = {
            "config": self.config.model_dump(mode="json"),
            "data": self.data_sha256,
            "finished": self.finished,
            "seconds": self.clock.total_seconds,
            "history": self.history,
            "losses": [float(loss) for loss in self._losses],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore it."""
        saved = checkpoint["redust"]
        self.clock.earlier_seconds, self.history = saved["seconds"], saved["history"]
        self._losses = [torch.tensor(loss) for loss in saved["losses"]]


def make_optimiser(network: nn.Module, config: OptimiserConfig, **options: Any) -> torch.optim.Optimizer:
    """AdamW, fused; weight decay on matrices and kernels, none on norms and biases."""
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True, **options)


def update_average(average: AveragedModel, network: nn.Module, steps: int) -> None:
    """Move an average towards a network; more closely in the first steps, while it changes fast."""
    decay = min(_EMA_DECAY, (1 + steps) / (10 + steps))
    average.multi_avg_fn = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average.update_parameters(network)


def clip_gradient(network: nn.Module) -> None:
    """Clip the norm of the gradient."""
    nn.utils.clip_grad_norm_(network.parameters(), _MAX_GRADIENT_NORM)


def freeze_batchnorm(network: nn.Module) -> None:
    """Let batch norms use their running statistics, until the network is put into training mode again."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def rate_factor(progress: float) -> float:
    """The learning rate as a share of the highest, at a `progress` of 0..1: a linear rise, then a cosine."""
    if progress < _WARMUP_SHARE:
        return _FIRST_RATE + (1 - _FIRST_RATE) * progress / _WARMUP_SHARE
    falling = (progress - _WARMUP_SHARE) / (1 - _WARMUP_SHARE)
    return _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + float(np.cos(np.pi * falling)))


def _check_loss(loss: float, step: int) -> None:
    if not np.isfinite(loss):
        raise TrainingError(
            f"The loss became {loss} at step {step}. The best weights so far are kept. Try a third of the learning "
            "rate (--learning-rate), or --precision float32."
        )
