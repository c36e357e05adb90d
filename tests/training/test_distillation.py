from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from redust.core.errors import SettingsError, TrainingError
from redust.core.settings import Weights
from redust.detectors.onnx_detector import OnnxDetector
from redust.detectors.wrappers import AugmentedDetector
from redust.models import shipped_folder
from redust.models.networks import build
from redust.training.checkpoint import LAST
from redust.training.config import TrainConfig
from redust.training.distillation import Teacher, clean_labels, load_teachers
from redust.training.export import export_detector, make_card
from redust.training.losses import distillation_loss
from redust.training.network import make_network, plan_network, save_weights
from redust.training.run import fit
from training_samples import changed, interrupt_at

CHANNELS = {"channels": [8, 8, 8, 8]}
OLD = {"name": "old", "summary": "", "architecture": "unet", "options": CHANNELS}


def make_teacher(folder: Path, sign: float = 1.0) -> Path:
    """A model folder without ONNX, whose network varies from pixel to pixel; with -1 it says the opposite."""
    torch.manual_seed(5)
    network = build("unet", **CHANNELS).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
        network.head.weight.mul_(sign)  # type: ignore[union-attr,operator]
    folder.mkdir()
    save_weights(network, folder / "weights.safetensors")
    make_card(network, folder, {"safetensors": "weights.safetensors"}, OLD).to_folder(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_teacher(tmp_path / "old")


def test_with_eight_looks_it_says_what_detecting_with_eight_looks_says(folder: Path) -> None:
    light = np.random.default_rng(1).random((64, 64, 3), np.float32)
    batch = torch.from_numpy(light.transpose(2, 0, 1).copy())[None]
    network = build("unet", **CHANNELS)
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    export_detector(network.eval(), folder.parent / "exported", [light], OLD)
    detector = OnnxDetector(folder.parent / "exported", weights=Weights.float32)
    asked = AugmentedDetector(detector, 8).detect(light)
    said = Teacher(folder, 8).predict_logits(batch)
    assert asked.std() > 0.1
    np.testing.assert_allclose(torch.sigmoid(said)[0, 0].numpy(), asked, atol=1e-3)


def test_fewer_looks_are_drawn_anew_each_time_and_are_right_on_the_average(folder: Path) -> None:
    batch = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    whole, one = Teacher(folder, 8), Teacher(folder, 1)
    torch.manual_seed(0)
    said = torch.stack([one.predict_logits(batch) for _ in range(200)])
    assert len(torch.unique(said.reshape(200, -1).round(decimals=3), dim=0)) == 8
    spread = said.std(0).max() / 200**0.5
    assert (said.mean(0) - whole.predict_logits(batch)).abs().max() < 5 * spread


def test_the_loss_is_least_where_the_student_agrees() -> None:
    opinion = torch.tensor([[[[-2.0, 0.5], [3.0, -7.0]]]])
    student = opinion.clone().requires_grad_(True)
    loss = distillation_loss(student, opinion)
    loss.backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-7
    for step in (-0.5, 0.5):
        assert distillation_loss(opinion + step, opinion) > loss
    # Against certain opinions it is the usual cross-entropy.
    sure = 30 * opinion.sign()
    assert distillation_loss(opinion + 1, sure) == pytest.approx(
        float(functional.binary_cross_entropy_with_logits(opinion + 1, (opinion > 0).float())), rel=1e-5
    )


def test_several_teachers_say_their_mean(config: TrainConfig, folder: Path, tmp_path: Path) -> None:
    other = make_teacher(tmp_path / "other", -1.0)
    batch = torch.rand((1, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    one, two = (Teacher(path, 8).predict_logits(batch) for path in (folder, other))
    assert (one - two).abs().max() > 0.1
    teachers = load_teachers(changed(config, teacher=(str(folder), str(other))).model)
    assert teachers is not None
    for teacher in teachers.teachers:
        teacher.transforms = 8
    assert torch.allclose(teachers.predict_logits(batch), (one + two) / 2, atol=1e-5)


def test_a_patch_of_which_little_is_damaged_counts_more_to_a_teacher_too() -> None:
    sure = torch.full((2, 1, 32, 32), -4.0)
    sure[0, 0, 3, 3], sure[1, 0, :16] = 4.0, 4.0
    said = torch.zeros_like(sure)
    said[0] = sure[0]  # the student agrees on the speck, not on the large patch
    each = [float(distillation_loss(said[[place]], sure[[place]])) for place in (0, 1)]
    assert float(distillation_loss(said, sure)) == pytest.approx(sum(each) / 2, rel=1e-5)
    few, much = (0.02 / (1 / 32**2)) ** 0.5, (0.02 / 0.5) ** 0.5
    expected = (few * each[0] + much * each[1]) / (few + much)
    assert float(distillation_loss(said, sure, prevalence_weighting=0.5)) == pytest.approx(expected, rel=1e-5)


def test_a_student_learns_the_teacher_and_not_the_masks(config: TrainConfig, folder: Path) -> None:
    teacher = make_teacher(folder.parent / "teacher")
    network = build("unet", **CHANNELS)
    weights = load_file(teacher / "weights.safetensors")
    weights = {name: value if "running" in name else 0.3 * value for name, value in weights.items()}
    network.load_state_dict(weights)
    save_weights(network, teacher / "weights.safetensors")
    make_card(network, teacher, {"safetensors": "weights.safetensors"}, OLD).to_folder(teacher)
    chosen = changed(config, teacher=str(teacher), start=str(folder), epochs=12, learning_rate=1e-2)
    fitted = fit(chosen)
    batch = torch.stack([fitted.data.patches[number, number][0] for number in range(8)])
    target = Teacher(teacher, 8).predict_logits(batch)
    losses = [
        float(distillation_loss(student(batch).detach(), target))
        for student in (make_network(chosen, plan_network(chosen)).eval(), fitted.module.network.eval())
    ]
    assert losses[1] < 0.5 * losses[0]


def test_the_masks_count_as_much_as_is_said(config: TrainConfig, folder: Path) -> None:
    light, truth = torch.rand((2, 3, 32, 32)), torch.zeros((2, 1, 32, 32), dtype=torch.uint8)
    truth[:, :, 8:12] = 255
    losses = []
    for teaching in (1.0, 0.25, 0.0):
        torch.manual_seed(0)
        config = changed(config, teacher=str(folder), distillation_weight=teaching, name=f"share-{teaching}")
        module = fit(config, on_progress=interrupt_at(1)).module
        module.teachers.teachers[0].transforms = 8  # type: ignore[union-attr]
        said = torch.full((2, 1, 32, 32), 0.3)
        losses.append(float(module._distil(said, light, truth)))  # type: ignore[operator]
    assert losses[1] == pytest.approx(0.25 * losses[0] + 0.75 * losses[2], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=0.01)


def test_the_teacher_is_not_saved_with_the_student(config: TrainConfig, folder: Path) -> None:
    config = changed(config, teacher=str(folder))
    fit(config, on_progress=interrupt_at(1))
    saved = torch.load(config.run.out / "runs/my-model" / LAST, weights_only=True)["state_dict"]
    assert not [name for name in saved if "teacher" in name]
    other = folder.parent / "moved"
    folder.rename(other)
    fit(changed(config, teacher=str(other)), resume=True, on_progress=interrupt_at(2))
    make_teacher(folder, -1.0)
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
    make_card(network, tmp_path, {"safetensors": "weights.safetensors"}, facts).to_folder(tmp_path)
    with pytest.raises(TrainingError, match="do not fit"):
        Teacher(tmp_path, 2)


def test_labels_that_a_teacher_contradicts_are_ignored() -> None:
    truth = torch.tensor([255, 255, 255, 0, 0, 0, 128], dtype=torch.uint8).reshape(1, 1, 1, 7)
    probability = torch.tensor([0.02, 0.06, 0.9, 0.98, 0.94, 0.1, 0.5]).reshape(1, 1, 1, 7)
    cleaned = clean_labels(truth, torch.logit(probability), 0.05)
    assert cleaned.flatten().tolist() == [128, 255, 255, 128, 0, 0, 128]
    assert torch.equal(clean_labels(truth, torch.logit(probability), 0.0), truth)


def test_cleaned_labels_change_the_loss_against_the_masks(config: TrainConfig, folder: Path) -> None:
    light, truth = torch.rand((1, 3, 32, 32)), torch.full((1, 1, 32, 32), 255, dtype=torch.uint8)
    losses = []
    for cleaning in (0.0, 0.3):
        chosen = changed(
            config, teacher=str(folder), distillation_weight=0.0, label_cleaning=cleaning, name=f"clean-{cleaning}"
        )
        module = fit(chosen, on_progress=interrupt_at(1)).module
        torch.manual_seed(0)
        losses.append(float(module._distil(torch.full((1, 1, 32, 32), -1.0), light, truth)))  # type: ignore[operator]
    assert losses[0] != losses[1]
