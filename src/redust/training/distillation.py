"""Knowledge distillation: the logits of trained detectors as training targets.

After G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015,
https://arxiv.org/abs/1503.02531. The teacher may be the very network that the student starts from: its mean over flips
and quarter turns is better than any of its predictions, and the student learns to give it at once. Each step averages a
few of the eight transforms, drawn at random; over many steps the student learns the mean of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from redust.core.errors import TrainingError
from redust.core.labels import Label
from redust.models import networks, read_card
from redust.models.card import weights_path
from redust.training.augmentation import DIHEDRAL_COUNT, apply_dihedral, invert_dihedral
from redust.training.config import ModelConfig

_TRANSFORMS = 2  # of the eight, per step
_MAX_LOGIT = 11.5  # a larger one would decide the mean alone


class Teacher:
    """A trained detector. No part of the student: it is not trained, averaged or saved.

    Parameters
    ----------
    folder
        The model folder of a detector with weights to train from.
    transforms
        1 to 8: how many of the eight D4 transforms are averaged.

    Raises
    ------
    ModelError
        If the folder is no model, or its weights are missing or damaged.
    TrainingError
        If it does not detect, or its weights do not fit its card.
    """

    def __init__(self, folder: Path, transforms: int = _TRANSFORMS) -> None:
        card = read_card(folder)
        if card.task != "detect":
            raise TrainingError(f"The teacher {card.name} was made to {card.task}: choose a model that detects.")
        self.network: nn.Module = networks.build(card.architecture, **card.options).eval().requires_grad_(False)
        try:
            self.network.load_state_dict(load_file(weights_path(folder, "safetensors")))
        except RuntimeError as error:
            raise TrainingError(f"The weights of the teacher {folder} do not fit its card. Copy it again.") from error
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        self.transforms = transforms

    @torch.no_grad()
    def predict_logits(self, light: Tensor) -> Tensor:
        """The mean logits (N, 1, H, H) float32 of square light (N, 3, H, H) float32 in 0..1."""
        self.network.to(light.device)
        total = light.new_zeros((len(light), 1, *light.shape[2:]))
        for index in torch.randperm(DIHEDRAL_COUNT)[: self.transforms].tolist():
            view = apply_dihedral(light, index).contiguous(memory_format=torch.channels_last)
            total += invert_dihedral(self.network(view).float().clamp(-_MAX_LOGIT, _MAX_LOGIT), index)
        return total / self.transforms


class Teachers:
    """An ensemble of teachers: the mean of their logits.

    Parameters
    ----------
    teachers
        At least one.
    """

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        self.teachers = tuple(teachers)

    def predict_logits(self, light: Tensor) -> Tensor:
        """Their mean logits, (N, 1, H, H) float32, of light (N, 3, H, H) in 0..1."""
        first, *further = (teacher.predict_logits(light) for teacher in self.teachers)
        return sum(further, first) / len(self.teachers)


def load_teachers(config: ModelConfig) -> Teachers | None:
    """The teachers of a run, if it has any."""
    folders = config.teacher_folders
    return Teachers([Teacher(folder) for folder in folders]) if folders else None


def fingerprint_teachers(config: ModelConfig) -> str:
    """The checksums of the teachers' weights, whatever their folders are named; empty without any."""
    return "".join(f" {sorted(read_card(folder).sha256.values())}" for folder in config.teacher_folders)


def clean_labels(truth: Tensor, teacher_logits: Tensor, below: float) -> Tensor:
    """Ignore the pixels of a mask that a teacher contradicts.

    Parameters
    ----------
    truth : (N, 1, H, W) uint8
        255 damage, 128 ignored, 0 background.
    teacher_logits : (N, 1, H, W) float
    below : 0..0.5
        A label with a lower probability than this becomes 128.

    Returns
    -------
    cleaned : (N, 1, H, W) uint8
    """
    damage = torch.sigmoid(teacher_logits.float())
    wrong = ((truth == Label.damage) & (damage < below)) | ((truth == Label.background) & (1 - damage < below))
    return torch.where(wrong, torch.full_like(truth, Label.ignore), truth)
