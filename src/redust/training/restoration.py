"""What the tasks fill and generator share: a module with a discriminator, figures in decibels, the end of a run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from redust.core.arrays import Light, Mask, from_light
from redust.evaluation.plots import Picture, write_picture
from redust.models import ModelCard
from redust.training.checkpoint import SAMPLE_COUNT
from redust.training.losses import PatchDiscriminator, RestorationLoss
from redust.training.module import Row, TrainingModule, clip_gradient, make_optimiser, set_learning_rate
from redust.training.network import predict_light
from redust.training.result import Figures, FittedRun, TrainingResult, spread_indices, write_metrics
from redust.training.samples import Sample

_ADVERSARIAL_WEIGHT = 0.002
_DISCRIMINATOR_RATE = 0.5  # of the learning rate
_MIN_SQUARE = 1e-6  # mean square: 60 dB, more than eye or 8 bit can tell
_SIDE, _GAP, _FRAME_GREY = 160, 4, 24
_ERROR_GAIN = 4.0  # differences are shown this much stronger


class RestorationModule(TrainingModule):
    """A network that fills or restores, its loss, its discriminator, and an optimiser for each.

    Only the network's steps count as steps of the run: the discriminator's optimiser is stepped by itself.
    See :class:`~redust.training.module.TrainingModule`.
    """

    relative_loss = 0.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.loss = RestorationLoss(self.relative_loss)
        torch.manual_seed(self.config.run.seed)
        self.discriminator = PatchDiscriminator(int(self.network.in_channels))  # type: ignore[arg-type]

    @abstractmethod
    def measure_sample(self, sample: Sample, restored: Light) -> Figures:
        """The figures of one restored sample."""

    @property
    def is_adversarial(self) -> bool:
        """Whether the discriminator has joined."""
        return self.progress >= self.config.loss.adversarial_start

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One for the network, one for the discriminator."""
        discriminator = make_optimiser(self.discriminator, self.config.optimiser, betas=(0.5, 0.99))
        return [*super().configure_optimizers(), discriminator]

    def compute_loss(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The loss of a batch (see :meth:`Sample.to_tensors`) with and without the adversarial term."""
        inputs, clean, damaged = batch
        restored = self.network(inputs.contiguous(memory_format=torch.channels_last))
        loss = self.loss(restored, clean, damaged)
        if not self.is_adversarial:
            return loss, loss
        self._train_discriminator(inputs, restored, clean)
        self.discriminator.requires_grad_(False)
        return loss + _ADVERSARIAL_WEIGHT * self.discriminator.generator_loss(inputs, restored), loss

    def after_backward(self) -> None:
        """Let the discriminator learn again."""
        self.discriminator.requires_grad_(True)

    def _train_discriminator(self, inputs: Tensor, restored: Tensor, clean: Tensor) -> None:
        _, wrapped = self.optimizers()
        optimiser: torch.optim.Optimizer = wrapped.optimizer  # the bare one: its steps are none of the run's
        set_learning_rate(optimiser, _DISCRIMINATOR_RATE * self.trainer.optimizers[0].param_groups[0]["lr"])
        optimiser.zero_grad()
        self.manual_backward(self.discriminator.discriminator_loss(inputs, restored, clean))
        clip_gradient(self.discriminator)
        optimiser.step()

    def score_item(self, index: int) -> None:
        """Restore one sample."""
        predict_light(self.best_network, self.validation[index].inputs)

    def score_validation(self) -> Row:
        """The mean figures of all validation samples."""
        samples = [self.validation[index] for index in range(len(self.validation))]
        rows = [self.measure_sample(sample, predict_light(self.best_network, sample.inputs)) for sample in samples]
        return {f"val_{name}": value for name, value in mean_figures(rows).items()}

    def sample_sheet(self, count: int) -> Picture:
        """Input, restored and clean picture, and the error."""
        samples = [self.validation[index] for index in spread_indices(len(self.validation), count)]
        return draw_restorations([(sample, predict_light(self.best_network, sample.inputs)) for sample in samples])


def decibels(light: Light, clean: Light, inside: Mask | None = None) -> float:
    """PSNR of light in 0..1, `inside` a mask if given; at most 60."""
    square = np.square(light.astype(np.float64) - clean)
    mean = float((square if inside is None else square[inside]).mean())
    return float(-10 * np.log10(max(mean, _MIN_SQUARE)))


def mean_figures(rows: Sequence[Figures]) -> Figures:
    """The mean of each figure over the samples that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}


def finish_restoration(
    fitted: FittedRun, card: ModelCard, restored: Sequence[Light], figures: dict[str, Figures]
) -> TrainingResult:
    """Write the figures of the exported model into its card, and the results.

    Parameters
    ----------
    restored
        The validation samples as the engine restores them.
    figures
        Of the model, under its name, and of what it is compared with.
    """
    metrics = {name: round(value, 4) for name, value in figures[card.name].items()}
    card = card.model_copy(update={"metrics": {"validation": metrics}})
    card.to_folder(fitted.folders.model)
    write_metrics(fitted, figures)
    samples = fitted.module.validation
    rows = [(samples[index], restored[index]) for index in spread_indices(len(restored), SAMPLE_COUNT)]
    write_picture(draw_restorations(rows), fitted.folders.results / "predictions.png")
    return TrainingResult(fitted.folders, card, figures=figures)


def draw_restorations(rows: Sequence[tuple[Sample, Light]]) -> Picture:
    """One row per sample: input, restored, clean, and four times the error.

    Returns
    -------
    sheet : (H, W, 3) uint8, R G B
    """
    return np.vstack([np.hstack([_frame_view(view) for view in _list_views(*row)]) for row in rows])


def _list_views(sample: Sample, restored: Light) -> list[Light]:
    """Windows around the middle of the damage."""
    damaged = np.nonzero(sample.damaged) if sample.damaged.any() else (np.zeros(1), np.zeros(1))
    top, left = (
        int(np.clip(np.median(coordinates) - _SIDE / 2, 0, max(0, length - _SIDE)))
        for coordinates, length in zip(damaged, restored.shape[:2], strict=True)
    )
    views = (sample.light, restored, sample.clean, _ERROR_GAIN * np.abs(restored - sample.clean))
    return [light[top : top + _SIDE, left : left + _SIDE] for light in views]


def _frame_view(light: Light) -> Picture:
    canvas = np.full((_SIDE + _GAP, _SIDE + _GAP, 3), _FRAME_GREY, np.uint8)
    canvas[: light.shape[0], : light.shape[1]] = from_light(np.clip(light, 0, 1), np.dtype(np.uint8))
    return canvas
