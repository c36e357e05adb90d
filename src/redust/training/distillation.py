"""Detectors that another one learns from: what they say with several looks is what the other is to say with one.

After G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015, https://arxiv.org/abs/1503.02531.
The teacher may be the very network that the student starts from: the mean of its opinions on a patch as it is, turned
and mirrored is better than any of them, and restoring need not pay for it. In every step it is asked for a few of the
eight, drawn at random: over many steps the student learns the mean of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from redust.core.errors import TrainingError
from redust.models import networks, read_card
from redust.models.card import weights_path
from redust.training.config import ModelConfig
from redust.training.dihedral import TURNS, turned, turned_back
from redust.training.opinion import judged


class Teacher:
    """Asks a trained network. No part of the student: it is not trained, averaged or saved.

    Parameters
    ----------
    folder
        The model folder of a detector with weights to train from.
    looks
        1 to 8: how many of the eight turns it is asked for in a step.

    Raises
    ------
    ModelError
        If the folder is no model, or its weights are missing or damaged.
    TrainingError
        If it does not detect, or its weights do not fit its card.
    """

    def __init__(self, folder: Path, looks: int) -> None:
        card = read_card(folder)
        if card.task != "detect":
            raise TrainingError(f"The teacher {card.name} was made to {card.task}: choose a model that detects.")
        self.network: nn.Module = networks.build(card.architecture, **card.options).eval().requires_grad_(False)
        try:
            self.network.load_state_dict(load_file(weights_path(folder, "safetensors")))
        except RuntimeError as error:
            raise TrainingError(f"The weights of the teacher {folder} do not fit its card. Copy it again.") from error
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        self.looks = looks

    @torch.no_grad()
    def opinion(self, light: Tensor) -> Tensor:
        """Its mean logits.

        Parameters
        ----------
        light : (N, 3, H, H) float32
            In 0..1, square.

        Returns
        -------
        logits : (N, 1, H, H) float32
        """
        self.network.to(light.device)
        total = light.new_zeros((len(light), 1, *light.shape[2:]))
        for turn in torch.randperm(TURNS)[: self.looks].tolist():
            seen = turned(light, turn).contiguous(memory_format=torch.channels_last)
            total += turned_back(judged(self.network, seen).float(), turn)
        return total / self.looks


class Teachers:
    """Several at once: the mean of their logits is better than any one's, as that of several looks is.

    Parameters
    ----------
    teachers
        At least one.
    """

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        self.teachers = tuple(teachers)

    def opinion(self, light: Tensor) -> Tensor:
        """Their mean logits, (N, 1, H, H) float32, of light (N, 3, H, H) in 0..1."""
        total = sum((one.opinion(light) for one in self.teachers[1:]), self.teachers[0].opinion(light))
        return total / len(self.teachers)


def teachers_of(config: ModelConfig) -> Teachers | None:
    """The teachers of a run, if it has any."""
    folders = config.teacher_folders
    return Teachers([Teacher(folder, config.teacher_looks) for folder in folders]) if folders else None


def fingerprint_of(config: ModelConfig) -> str:
    """What decides the teachers' opinions, whatever their folders are named; empty without any."""
    return "".join(f" {sorted(read_card(folder).sha256.values())}" for folder in config.teacher_folders)
