"""The end of a run: the best weights exported and measured as engines, and what people look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from redust.core.arrays import Light
from redust.evaluation.plots import draw_curves, write_picture
from redust.generators.onnx_generator import OnnxGenerator
from redust.generators.run_generator import run_generator
from redust.inpainters.fill_damage import fill_damage
from redust.inpainters.onnx_inpainter import OnnxInpainter
from redust.models import ModelCard
from redust.training.config import Task
from redust.training.export import export_restorer
from redust.training.generative.measuring import (
    LEVELS,
    Figures,
    answer,
    blind_figures,
    decibels,
    fill_figures,
    mean_figures,
)
from redust.training.generative.module import RestoringModule
from redust.training.generative.results import restored_sheet
from redust.training.generative.samples import HeldBack, Sample

BEFORE = "untouched"
FIRST = "kriging"


def export_and_measure(
    network: nn.Module, module: RestoringModule, folder: Path, results: Path, facts: dict[str, Any]
) -> tuple[ModelCard, dict[str, Figures]]:
    """Write the model folder and the results.

    Parameters
    ----------
    network
        With the best weights, on the CPU.
    folder, results
        Of the model, and of what people look at.
    facts
        What the card says of the run.

    Returns
    -------
    card, figures
        The model's figures on the validation samples, and those of what it is to be compared with.
    """
    samples = module.pictures
    if module.config.run.task is Task.generator:
        facts = facts | {"level": choose_level(network, samples)}
    card = export_restorer(network, folder, np.ascontiguousarray(samples[0].given.transpose(2, 0, 1)[None]), facts)
    measure = _measured_fill if module.config.run.task is Task.fill else _measured_blind
    made, figures = measure(folder, card, samples)
    known = {name: round(value, 4) for name, value in figures[card.name].items()}
    card = card.model_copy(update={"metrics": {"validation": known}})
    card.to_folder(folder)
    _write(results, module, made, figures)
    return card, figures


def choose_level(network: nn.Module, samples: HeldBack) -> float:
    """The level, of a few, at which the mean gain is highest."""
    answers = [(samples[index], answer(network, samples[index].given)) for index in range(len(samples))]
    gains = [np.mean([blind_figures(sample, made, level)["gain"] for sample, made in answers]) for level in LEVELS]
    return LEVELS[int(np.argmax(gains))]


def _measured_fill(folder: Path, card: ModelCard, samples: HeldBack) -> tuple[list[Light], dict[str, Figures]]:
    """What the model fills, and its figures beside those of the fill that it begins with."""
    engine = OnnxInpainter(folder)
    every = [samples[index] for index in range(len(samples))]
    made = [fill_damage(engine, sample.clean, sample.where, threads=1) for sample in every]
    own = mean_figures([fill_figures(sample, light) for sample, light in zip(every, made, strict=True)])
    first = mean_figures([fill_figures(sample, sample.light) for sample in every])
    return made, {card.name: own, FIRST: first}


def _measured_blind(folder: Path, card: ModelCard, samples: HeldBack) -> tuple[list[Light], dict[str, Figures]]:
    """What the model restores, and its figures beside those of the damaged pictures."""
    engine = OnnxGenerator(folder, threads=1)
    every = [samples[index] for index in range(len(samples))]
    made = [_restored(engine, sample) for sample in every]
    rows = [blind_figures(sample, light, card.level) for sample, light in zip(every, made, strict=True)]
    inside = mean_figures([{"inside": decibels(one.light, one.clean, one.where)} for one in every if one.where.any()])
    return made, {card.name: mean_figures(rows), BEFORE: {"gain": 0.0, "harm_ppm": 0.0} | inside}


def _restored(engine: OnnxGenerator, sample: Sample) -> Light:
    """The engine's raw answer, (H, W, 3) float32."""
    damage = sample.given[..., 3] if engine.spec.needs.attention else None
    return np.asarray(run_generator(engine, np.ascontiguousarray(sample.light), damage=damage)[0], np.float32)


def _write(results: Path, module: RestoringModule, made: Sequence[Light], figures: dict[str, Figures]) -> None:
    """Write ``metrics.json``, ``curves.png`` and ``predictions.png``."""
    metrics = {
        "figures": figures,
        "data_sha256": module.data_sha256,
        "history": [{name: value if np.isfinite(value) else None for name, value in row.items()}
                    for row in module.history],
    }  # fmt: skip
    (results / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    draw_curves(module.history, results / "curves.png")
    count = min(module.config.run.samples, len(made))
    if count:
        chosen: list[tuple[Sample, Light]] = [
            (module.pictures[int(index)], made[int(index)])
            for index in np.linspace(0, len(made) - 1, count).astype(int)
        ]
        write_picture(restored_sheet(chosen), results / "predictions.png")
