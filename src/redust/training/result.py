"""Folders and result of a run, and the files that people read."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from redust import __version__
from redust.core.settings_base import Settings
from redust.evaluation.metrics import MetricCounter
from redust.evaluation.plots import draw_curves
from redust.models import ModelCard
from redust.training.config import TrainConfig
from redust.training.data import TrainingData
from redust.training.module import Row, TrainingModule
from redust.training.network import NetworkPlan

Figures = dict[str, float]


@dataclass(frozen=True)
class RunFolders:
    """The folders of a run: its state, its model, its results."""

    state: Path
    model: Path
    results: Path

    @classmethod
    def of(cls, config: TrainConfig) -> RunFolders:
        """The folders of a run, not yet made."""
        out, name = config.run.out, config.run.name
        return cls(out / "runs" / name, out / "models" / name, out / "results" / name)

    def make(self) -> None:
        """Make those that are used from the start."""
        for folder in (self.state, self.results):
            folder.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class FittedRun:
    """A trained network, not yet exported."""

    module: TrainingModule
    data: TrainingData
    plan: NetworkPlan
    folders: RunFolders
    interrupted: bool


@dataclass(frozen=True)
class TrainingResult:
    """The result of a run.

    ``card`` is None where it was interrupted; ``counters`` hold the counts of detectors, ``figures`` those of networks
    that fill or restore, and of what they are compared with.
    """

    folders: RunFolders
    card: ModelCard | None = None
    counters: Mapping[str, MetricCounter] = field(default_factory=dict)
    figures: Mapping[str, Figures] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the run is complete."""
        return self.card is not None


class CardText(Settings):
    """What a model card says that a run cannot know: whose the data is, under which licence, what the model is for."""

    summary: str = ""
    resolution: str = ""
    data: tuple[str, ...] = ()
    licence: str = ""
    limits: tuple[str, ...] = ()

    @classmethod
    def of_run(cls, config: TrainConfig) -> CardText:
        """The text that a configuration names; empty where it names none.

        Raises
        ------
        SettingsError
            If the file cannot be read, or a key is unknown.
        """
        return cls.from_preset(config.run.card) if config.run.card else cls()


def describe_run(fitted: FittedRun, level: float = 0.5) -> dict[str, Any]:
    """The facts of a model card that follow from the run, not from the weights."""
    config, plan, history = fitted.module.config, fitted.plan, fitted.module.history
    text = CardText.of_run(config)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return {
        "name": config.run.name,
        "task": config.run.task.value,
        "summary": text.summary or f"{plan.architecture} trained on {'; '.join(fitted.data.facts)}",
        "architecture": plan.architecture,
        "options": {name: list(value) if isinstance(value, tuple) else value for name, value in plan.options.items()},
        "patch": fitted.data.patch,
        "level": level,
        "resolution": text.resolution,
        "data": [*text.data, *fitted.data.facts, f"sha256 {fitted.data.sha256}"],
        "licence": text.licence,
        "limits": list(text.limits),
        "cost": f"{history[-1]['step']:.0f} steps of {config.optimiser.batch_size} patches in "
        f"{history[-1]['seconds']:.0f} s on {platform.machine()}, {os.cpu_count()} CPU cores{gpu}",
        "made_with": f"redust {__version__}, torch {torch.__version__}",
    }


def write_metrics(fitted: FittedRun, figures: Mapping[str, Any]) -> None:
    """Write ``metrics.json`` and ``curves.png`` into the results."""
    metrics = {
        "figures": figures,
        "data_sha256": fitted.module.data_sha256,
        "history": finite_rows(fitted.module.history),
    }
    folder = fitted.folders.results
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    draw_curves(fitted.module.history, folder / "curves.png")


def finite_rows(history: Sequence[Row]) -> list[dict[str, float | None]]:
    """The rows of a history for JSON, which knows no NaN."""
    return [{name: value if np.isfinite(value) else None for name, value in row.items()} for row in history]


def spread_indices(length: int, count: int) -> list[int]:
    """At most `count` of `length` indices, evenly spread."""
    return [int(index) for index in np.linspace(0, length - 1, min(length, count)).astype(int)]
