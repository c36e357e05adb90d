"""The grid of a study: its cells, their configurations, their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from redust.core.errors import SettingsError
from redust.evaluation.metrics import Metrics
from redust.study.networks import build_study_network
from redust.training.config import TrainConfig
from redust.training.network import NetworkPlan
from redust.training.result import RunFolders

BASE = "base"
_EPOCHS = 45
_CNN_SIDE = 100
_UNREGULARISED: dict[str, Any] = {"weight_decay": 0.0, "augment": "none"}


@dataclass(frozen=True)
class Cell:
    """One network, one configuration, one result.

    Parameters
    ----------
    name, question
        Cells of one question are compared with each other.
    title
        Its name in the report.
    choices
        Fields of :class:`TrainConfig` that differ from the base.
    architecture, dropout
        Of the network.
    train_size
        Train on at most so many pairs.
    epochs
        As the thesis would have it, before the budget scales it.
    fixed_epochs
        The budget does not scale it: a check that means nothing when it is cut short, and costs little.
    """

    name: str
    question: str
    title: str
    choices: dict[str, Any] = field(default_factory=dict)
    architecture: str = "unet"
    dropout: float = 0.1
    train_size: int | None = None
    epochs: int = _EPOCHS
    fixed_epochs: bool = False

    def scale_epochs(self, scale: float) -> int:
        """The epochs it gets in a study whose epochs are scaled by `scale`."""
        return self.epochs if self.fixed_epochs else max(1, round(self.epochs * scale))


class CellResult(BaseModel):
    """The result of a cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    epochs: float
    planned_epochs: int
    seconds: float
    parameters: int
    device: str
    level: float
    figures: Metrics
    train_figures: Metrics
    history: list[dict[str, float | None]]


@dataclass(frozen=True)
class StudyPlan:
    """What is studied, where, how.

    Parameters
    ----------
    data
        Pairs in two halves.
    out
        The report's folder; the cells lie in it.
    mask_level
        Threshold for grey masks.
    grid
        The cells; :func:`thesis_grid` unless given.
    shared
        Fields that all cells share, over the base's.
    """

    data: Path
    out: Path
    mask_level: int = 128
    seed: int = 0
    threads: int | None = None
    grid: tuple[Cell, ...] = ()
    shared: dict[str, Any] = field(default_factory=dict)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The grid of this study."""
        return self.grid or thesis_grid(torch.cuda.is_available())

    def choose_cells(self, only: Sequence[str] | None) -> tuple[Cell, ...]:
        """The cells of these names, or all of them.

        Raises
        ------
        SettingsError
            If there is no cell of a name.
        """
        names = {cell.name for cell in self.cells}
        unknown = set(only or ()) - names
        if unknown:
            listed = ", ".join(sorted(names))
            raise SettingsError(f"There is no cell {', '.join(sorted(unknown))}. Choose of: {listed}.")
        return tuple(cell for cell in self.cells if not only or cell.name in only)

    def make_config(self, cell: Cell, epochs: int) -> TrainConfig:
        """The run of one cell."""
        choices = {
            "data": self.data, "mask_level": self.mask_level, "name": cell.name, "out": self.out / "cells",
            "seed": self.seed, "threads": self.threads, "epochs": epochs, "accelerator": "cpu",
        }  # fmt: skip
        return TrainConfig.load(flags=choices | self.shared | cell.choices)

    def plan_network(self, cell: Cell) -> NetworkPlan:
        """The network of one cell."""
        channels = self.make_config(cell, 1).model.channels
        options = {"dropout": cell.dropout} | ({"channels": channels} if channels else {})
        return NetworkPlan(cell.architecture, options, build_study_network)

    def find_folders(self, cell: Cell) -> RunFolders:
        """The folders of one cell."""
        return RunFolders.of(self.make_config(cell, 1))

    def read_result(self, cell: Cell) -> CellResult | None:
        """The result of a cell, if it is done."""
        path = self.find_folders(cell).results / "cell.json"
        return CellResult.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def thesis_grid(gpu: bool) -> tuple[Cell, ...]:
    """The thesis's questions as cells; those for a GPU only where there is one."""
    slow = {"learning_rate": 1e-3}
    cells = [
        Cell(BASE, "architecture", "ReDust's network, trained afresh (the base of all comparisons)"),
        Cell("cnn", "architecture", "plain CNN of the thesis", slow | {"patch": _CNN_SIDE}, architecture="cnn"),
        Cell("unet-thesis", "architecture", "U-Net of the thesis", slow, architecture="unet-thesis"),
        Cell("batch-8", "batch size", "8 patches", {"batch_size": 8}),
        Cell("batch-32", "batch size", "32 patches", {"batch_size": 32}),
        Cell("batch-128", "batch size", "128 patches", {"batch_size": 128}),
        Cell("epochs-500", "epochs", "500 epochs", epochs=500),
        Cell("plain", "regularisation", "none", _UNREGULARISED, dropout=0.0),
        Cell("l2", "regularisation", "L2 (weight decay) only", _UNREGULARISED | {"weight_decay": 0.1}, dropout=0.0),
        Cell("dropout", "regularisation", "dropout only", _UNREGULARISED, dropout=0.3),
        Cell("augmented", "regularisation", "augmentation only", _UNREGULARISED | {"augment": "full"}, dropout=0.0),
        Cell(
            "overfit-8", "overfitting", "8 pairs by heart",
            _UNREGULARISED | {"overfit": 8, "batch_size": 8, "learning_rate": 5e-3},
            dropout=0.0, epochs=800, fixed_epochs=True,
        ),
        Cell("cut-1", "mask level", "masks cut at 1", {"mask_level": 1}),
        Cell("size-100", "training size", "100 pairs", train_size=100),
        Cell("size-300", "training size", "300 pairs", train_size=300),
        Cell("loss-bce", "loss", "cross-entropy", {"loss": "bce"}),
        Cell("loss-tversky", "loss", "focal Tversky", {"loss": "focal-tversky"}),
        Cell("loss-cldice", "loss", "cross-entropy + clDice", {"loss": "cldice"}),
    ]  # fmt: skip
    if gpu:
        cells.append(Cell("gpu", "device", "GPU", {"accelerator": "gpu"}))
    return tuple(cells)
