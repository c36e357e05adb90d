from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_run import interrupt_at
from torch.nn import functional

from redust.core.errors import SettingsError, TrainingError
from redust.core.settings import Weights
from redust.detectors.onnx_detector import OnnxDetector
from redust.detectors.wrappers import AugmentedDetector
from redust.models import shipped_folder
from redust.models.networks import build
from redust.training.config import TrainConfig
from redust.training.distillation import Teacher, teachers_of
from redust.training.export import card_of, export_model
from redust.training.keeper import LAST, save_weights
from redust.training.losses import taught_loss
from redust.training.run import fit, train
from training_samples import changed

CHANNELS = {"channels": [8, 8, 8, 8]}
OLD = {"name": "old", "summary": "", "architecture": "unet", "options": CHANNELS}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder whose network has opinions: its batch norms do not hide what its weights say."""
    torch.manual_seed(5)
    network = build("unet", **CHANNELS).eval()
    with torch.no_grad():
        for one in network.parameters():
            one.add_(0.5 * torch.randn_like(one))
    sample = np.random.default_rng(0).random((64, 64, 3), np.float32)
    export_model(network, tmp_path / "old", [sample], OLD)
    return tmp_path / "old"


def another(folder: Path, target: Path) -> Path:
    """A model folder whose network says the opposite of that of `folder`."""
    weights = load_file(folder / "weights.safetensors")
    weights["head.weight"] *= -1
    network = build("unet", **CHANNELS)
    network.load_state_dict(weights)
    export_model(network.eval(), target, [np.zeros((32, 32, 3), np.float32)], OLD)
    return target


def test_with_eight_looks_it_says_what_detecting_with_eight_looks_says(folder: Path) -> None:
    light = np.random.default_rng(1).random((64, 64, 3), np.float32)
    batch = torch.from_numpy(light.transpose(2, 0, 1).copy())[None]
    asked = AugmentedDetector(OnnxDetector(folder, weights=Weights.float32), 8).detect(light)
    said = Teacher(folder, 8).opinion(batch)
    assert asked.std() > 0.1
    np.testing.assert_allclose(torch.sigmoid(said)[0, 0].numpy(), asked, atol=1e-3)


def test_fewer_looks_are_drawn_anew_each_time_and_are_right_on_the_average(folder: Path) -> None:
    batch = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    whole, one = Teacher(folder, 8), Teacher(folder, 1)
    torch.manual_seed(0)
    said = torch.stack([one.opinion(batch) for _ in range(200)])
    assert len(torch.unique(said.reshape(200, -1).round(decimals=3), dim=0)) == 8
    spread = said.std(0).max() / 200**0.5
    assert (said.mean(0) - whole.opinion(batch)).abs().max() < 5 * spread


def test_the_loss_is_least_where_the_student_agrees() -> None:
    opinion = torch.tensor([[[[-2.0, 0.5], [3.0, -7.0]]]])
    student = opinion.clone().requires_grad_(True)
    loss = taught_loss(student, opinion)
    loss.backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-7
    for step in (-0.5, 0.5):
        assert taught_loss(opinion + step, opinion) > loss
    # Against certain opinions it is the usual cross-entropy.
    sure = 30 * opinion.sign()
    assert taught_loss(opinion + 1, sure) == pytest.approx(
        float(functional.binary_cross_entropy_with_logits(opinion + 1, (opinion > 0).float())), rel=1e-5
    )


def test_several_teachers_say_their_mean(config: TrainConfig, folder: Path, tmp_path: Path) -> None:
    other = another(folder, tmp_path / "other")
    batch = torch.rand((1, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    one, two = (Teacher(path, 8).opinion(batch) for path in (folder, other))
    assert (one - two).abs().max() > 0.1
    teachers = teachers_of(changed(config, teacher=(str(folder), str(other)), teacher_looks=8).model)
    assert teachers is not None
    assert torch.allclose(teachers.opinion(batch), (one + two) / 2, atol=1e-5)


def test_a_patch_of_which_little_is_damaged_counts_more_to_a_teacher_too() -> None:
    sure = torch.full((2, 1, 32, 32), -4.0)
    sure[0, 0, 3, 3], sure[1, 0, :16] = 4.0, 4.0
    said = torch.zeros_like(sure)
    said[0] = sure[0]  # the student agrees on the speck, not on the large patch
    each = [float(taught_loss(said[[place]], sure[[place]])) for place in (0, 1)]
    assert float(taught_loss(said, sure)) == pytest.approx(sum(each) / 2, rel=1e-5)
    few, much = (0.02 / (1 / 32**2)) ** 0.5, (0.02 / 0.5) ** 0.5
    expected = (few * each[0] + much * each[1]) / (few + much)
    assert float(taught_loss(said, sure, balance=0.5)) == pytest.approx(expected, rel=1e-5)


def test_a_student_learns_the_opinion_and_not_the_masks(config: TrainConfig) -> None:
    config = changed(config, dropout=0.0, ema=0.0, epochs=30, learning_rate=1e-2, focus=0.0)
    old = train(changed(config, name="old")).folders.model
    assert config.data.data is not None
    for path in (config.data.data / "train/masks").iterdir():
        cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    taught = fit(changed(config, teacher=str(old)))
    batch = torch.stack([taught.data.patches[number, number][0] for number in range(8)])
    truth = torch.stack([taught.data.patches[number, number][1] for number in range(8)]) == 0
    with torch.no_grad():
        said, learned = Teacher(old, 8).opinion(batch), taught.module.network.eval()(batch)
    for logits in (said, learned):
        assert logits[truth].mean() > logits[~truth].mean() + 1
    assert (torch.sigmoid(said) - torch.sigmoid(learned)).abs().mean() < 0.1


def test_the_masks_count_as_much_as_is_said(config: TrainConfig, folder: Path) -> None:
    light, truth = torch.rand((2, 3, 32, 32)), torch.zeros((2, 1, 32, 32), dtype=torch.uint8)
    truth[:, :, 8:12] = 255
    losses = []
    for teaching in (1.0, 0.25, 0.0):
        config = changed(config, teacher=str(folder), teacher_looks=8, teaching=teaching, name=f"share-{teaching}")
        module = fit(config, listener=interrupt_at(1)).module
        said = torch.full((2, 1, 32, 32), 0.3)
        losses.append(float(module._taught(said, light, truth)))  # type: ignore[operator]
    assert losses[1] == pytest.approx(0.25 * losses[0] + 0.75 * losses[2], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=0.01)


def test_the_teacher_is_not_saved_with_the_student(config: TrainConfig, folder: Path) -> None:
    config = changed(config, teacher=str(folder))
    fit(config, listener=interrupt_at(1))
    saved = torch.load(config.run.out / "runs/my-model" / LAST, weights_only=True)["state_dict"]
    assert not [name for name in saved if "teacher" in name]
    other = folder.parent / "moved"
    folder.rename(other)
    fit(changed(config, teacher=str(other)), resume=True, listener=interrupt_at(2))
    another(other, folder)
    with pytest.raises(TrainingError, match="data changed"):
        fit(changed(config, teacher=str(folder)), resume=True)


def test_what_cannot_teach_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="made to generator"):
        Teacher(shipped_folder("attentive"), 2)
    with pytest.raises(SettingsError, match="has no teacher"):
        TrainConfig.load(flags={"task": "generator", "photos": tmp_path, "teacher": "unet"})
    network = build("unet", **CHANNELS)
    save_weights(network, tmp_path / "weights.safetensors")
    facts = {"name": "cut", "summary": "", "architecture": "unet", "options": {"channels": [8, 8, 8, 16]}}
    card_of(network, tmp_path, {"safetensors": "weights.safetensors"}, facts).to_folder(tmp_path)
    with pytest.raises(TrainingError, match="do not fit"):
        Teacher(tmp_path, 2)
