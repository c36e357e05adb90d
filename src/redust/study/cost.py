"""How long the cells of a study take, and by how much their epochs are scaled to fit a budget."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from redust.files.pairs import Splits, read_picture
from redust.study.grid import Cell, StudyPlan
from redust.training.config import TrainConfig
from redust.training.network import make_network, predict_map
from redust.training.run import choose_precision

TRAIN_SAMPLE = 64
"""Training pairs on which a finished cell is scored."""

REPORT_SHARE = 0.15
"""Share of a budget that is kept for the report."""

_TRIAL_STEPS, _TRIAL_BATCH, _TRIAL_SIDE = 2, 4, 112
_HELD_SHARE, _MAX_HELD, _MAX_VALIDATIONS = 0.1, 100, 50  # as training has it


@dataclass(frozen=True)
class CellCost:
    """Seconds of a cell: for each epoch, for each validation, and at its end."""

    epoch: float
    validation: float
    end: float

    def total_seconds(self, epochs: int) -> float:
        """Seconds of a run of so many epochs."""
        return self.epoch * epochs + self.validation * min(epochs, _MAX_VALIDATIONS) + self.end


_TRIALS: dict[str, tuple[float, float]] = {}


def estimate_cost(plan: StudyPlan, cell: Cell, splits: Splits) -> CellCost:
    """The cost of a cell on this machine, by a few trial steps of its network."""
    config = plan.make_config(cell, cell.epochs)
    key = repr((plan.plan_network(cell), config.run.accelerator))
    if key not in _TRIALS:
        _TRIALS[key] = _measure_network(plan, cell, config, splits)
    patch_seconds, picture_seconds = _TRIALS[key]
    held = min(max(1, round(_HELD_SHARE * len(splits.train))), _MAX_HELD)
    train = min(len(splits.train) - held, cell.train_size or len(splits.train))
    if config.data.overfit:
        held = train = config.data.overfit
    scored = held + len(splits.test) + min(train, TRAIN_SAMPLE)
    return CellCost(patch_seconds * train, picture_seconds * held, picture_seconds * scored)


def choose_scale(cells: Sequence[tuple[Cell, CellCost]], budget_seconds: float) -> float:
    """The largest factor of all epochs, 0..1, with which the cells fit the budget; 0 where none does."""
    for scale in np.geomspace(1.0, 1e-3, 200):
        seconds = sum(cost.total_seconds(cell.scale_epochs(scale)) for cell, cost in cells)
        if seconds <= (1 - REPORT_SHARE) * budget_seconds:
            return float(scale)
    return 0.0


def _measure_network(plan: StudyPlan, cell: Cell, config: TrainConfig, splits: Splits) -> tuple[float, float]:
    """Seconds of a patch in training, and of a whole picture in prediction."""
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    network = make_network(config, plan.plan_network(cell))
    patch_seconds = _time_training(network, choose_precision(config.run.precision, "cpu") == "bf16-mixed")
    pixels = read_picture(splits.test[0].picture)
    predict_map(network, pixels)  # the first one warms up
    started = time.perf_counter()
    predict_map(network, pixels)
    return patch_seconds, time.perf_counter() - started


def _time_training(network: nn.Module, mixed: bool) -> float:
    stride = int(network.stride)  # type: ignore[arg-type]
    side = max(1, round(_TRIAL_SIDE / stride)) * stride
    light = torch.rand(_TRIAL_BATCH, 3, side, side).contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    started = 0.0
    for step in range(_TRIAL_STEPS + 1):
        if step == 1:  # the first one warms up
            started = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            loss = network(light).float().square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return (time.perf_counter() - started) / (_TRIAL_STEPS * _TRIAL_BATCH)
