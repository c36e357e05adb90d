from __future__ import annotations

import numpy as np
import pytest
import torch

from redust.training.augmentation import DIHEDRAL_COUNT, apply_dihedral
from redust.training.config import LossConfig, LossName
from redust.training.losses import (
    MaskedLoss,
    PatchDiscriminator,
    RestorationLoss,
    cldice_loss,
    distillation_loss,
    focal_tversky_loss,
    prevalence_weights,
    tversky_loss,
)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    truth = torch.zeros(2, 1, 24, 24, dtype=torch.uint8)
    truth[0, 0, 4:9, 3:20] = 255
    truth[:, 0, 18:] = 128
    return torch.randn(2, 1, 24, 24), truth


@pytest.mark.parametrize("name", list(LossName))
def test_pixels_not_to_be_judged_add_nothing(name: LossName) -> None:
    loss, (logits, truth) = MaskedLoss(LossConfig(loss=name)), batch()
    other = logits.clone()
    other[:, :, 18:] = 50.0
    if name is LossName.cldice:  # a skeleton sees its neighbours: only the rim of the area may differ
        assert loss(logits, truth) == pytest.approx(float(loss(other, truth)), abs=1e-5)
    else:
        assert loss(logits, truth) == loss(other, truth)


@pytest.mark.parametrize("name", list(LossName))
def test_the_truth_scores_best_and_the_slope_leads_there(name: LossName) -> None:
    loss, (logits, truth) = MaskedLoss(LossConfig(loss=name)), batch()
    right = (truth == 255).float() * 40 - 20
    assert loss(right, truth) < 0.1
    assert loss(right, truth) < loss(logits, truth) < loss(-right, truth)
    logits.requires_grad_()
    loss(logits, truth).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[truth == 255].mean() < 0 < logits.grad[truth == 0].mean()


@pytest.mark.parametrize("name", list(LossName))
def test_a_clean_or_wholly_unjudged_batch_has_a_finite_loss(name: LossName) -> None:
    loss = MaskedLoss(LossConfig(loss=name))
    for value in (0, 128):
        truth = torch.full((1, 1, 16, 16), value, dtype=torch.uint8)
        assert torch.isfinite(loss(torch.randn(1, 1, 16, 16), truth))


def test_cross_entropy_is_the_mean_over_judged_pixels() -> None:
    logits, truth = batch()
    judged = truth != 128
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[judged], (truth[judged] == 255).float())
    assert MaskedLoss(LossConfig(loss=LossName.bce))(logits, truth) == pytest.approx(float(expected))


def test_losses_are_reckoned_in_float32_under_autocast() -> None:
    logits, truth = batch()
    loss = MaskedLoss(LossConfig())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(logits.bfloat16(), truth).dtype == torch.float32


def test_patches_with_little_damage_count_more_where_balanced() -> None:
    truth = torch.zeros(3, 1, 40, 40, dtype=torch.uint8)
    truth[0, 0, 0, :2] = 255  # 0.125 %
    truth[1, 0, :8, :] = 255  # 20 %
    logits = torch.zeros(3, 1, 40, 40)
    logits[0, 0, 0, :2] = -4.0  # missed
    plain, even = (MaskedLoss(LossConfig(loss=LossName.bce, prevalence_weighting=power)) for power in (0.0, 0.5))
    counts = [(0.02 / 0.00125) ** 0.5, (0.02 / 0.2) ** 0.5, 1.0]
    missed = float(np.log1p(np.exp(4.0)) - np.log(2)) * 2 / 1600
    assert plain(logits, truth) == pytest.approx(np.log(2) + missed / 3)
    assert even(logits, truth) == pytest.approx(np.log(2) + missed * counts[0] / sum(counts))
    truth[0, 0, 20:] = 128  # what is not judged is no part of the patch
    truth[0, 0, 0, 2:] = 128
    assert float(even(logits, truth)) != pytest.approx(np.log(2) + missed * counts[0] / sum(counts))


def test_region_losses_give_the_figures_of_an_independent_library() -> None:
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    probability = torch.stack([torch.sin(rows / 5) ** 2, torch.cos(columns / 7) ** 2])[:, None]
    target = torch.zeros(2, 1, 24, 24)
    target[0, 0, 4:9, 3:20] = target[1, 0, :, 5] = 1
    # MONAI 1.6: DiceLoss(batch, smooth 1), TverskyLoss(alpha 0.3, beta 0.7, batch, smooth 1), SoftclDiceLoss(5).
    assert float(tversky_loss(probability, target, 0.5, smooth=0.5)) == pytest.approx(0.7631153, abs=1e-6)
    assert float(tversky_loss(probability, target, 0.3)) == pytest.approx(0.6717782, abs=1e-6)
    assert float(focal_tversky_loss(probability, target)) == pytest.approx(0.6717782**0.75, abs=1e-6)
    assert float(cldice_loss(probability, target)) == pytest.approx(0.6697522, abs=1e-6)


@pytest.mark.parametrize("name", list(LossName))
def test_a_loss_does_not_depend_on_which_way_a_batch_is_turned(name: LossName) -> None:
    loss, (logits, truth) = MaskedLoss(LossConfig(loss=name)), batch()
    upright = float(loss(logits, truth))
    for index in range(DIHEDRAL_COUNT):
        assert float(loss(apply_dihedral(logits, index), apply_dihedral(truth, index))) == pytest.approx(
            upright, rel=1e-5
        )


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_region_term_has_its_weight(weight: float) -> None:
    logits, truth = batch()

    def compute(region_weight: float) -> float:
        return float(MaskedLoss(LossConfig(region_weight=region_weight))(logits, truth))

    assert compute(weight) == pytest.approx((1 - weight) * compute(0.0) + weight * compute(1.0), rel=1e-5)


def test_a_patch_weighs_the_more_the_less_of_it_is_damaged_within_bounds() -> None:
    shares = torch.tensor([0.0, 1e-7, 0.001, 0.02, 0.3, 1.0])
    weights = prevalence_weights(shares, 1.0)
    assert weights.tolist() == pytest.approx([1.0, 8.0, 8.0, 1.0, 0.125, 0.125])
    assert (prevalence_weights(shares, 0.0) == 1).all()
    assert (prevalence_weights(shares, 0.5)[1:].diff() <= 0).all()


def test_distillation_is_least_at_the_logits_of_the_teacher() -> None:
    torch.manual_seed(0)
    teacher = 3 * torch.randn(2, 1, 9, 9)
    least = float(distillation_loss(teacher, teacher))
    for step in (-0.5, 0.1, 2.0):
        assert float(distillation_loss(teacher + step, teacher)) > least
    student = teacher.clone().requires_grad_()
    distillation_loss(student, teacher).backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-6


@pytest.mark.parametrize("relative", [0.0, 0.02])
def test_a_restoration_costs_nothing_only_where_it_is_right(relative: float) -> None:
    torch.manual_seed(0)
    loss, clean = RestorationLoss(relative), torch.rand(2, 3, 32, 32)
    damaged = torch.zeros(2, 1, 32, 32)
    damaged[:, :, 4:12, 4:12] = 1
    assert float(loss(clean, clean, damaged)) == 0.0
    inside, outside = clean.clone(), clean.clone()
    inside[:, :, 5:9, 5:9] += 0.1
    outside[:, :, 20:24, 20:24] += 0.1
    assert float(loss(inside, clean, damaged)) > 0
    assert float(loss(outside, clean, damaged)) > 0  # a change of undamaged pixels costs too
    assert float(loss(inside, clean, damaged)) < float(loss(inside + 0.1 * damaged, clean, damaged))


def test_a_batch_without_damage_has_a_finite_restoration_loss() -> None:
    clean = torch.rand(1, 3, 16, 16)
    assert torch.isfinite(RestorationLoss()(clean + 0.1, clean, torch.zeros(1, 1, 16, 16)))


def test_a_discriminator_scores_patches_within_bounds_and_its_two_losses_pull_apart() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(4, 8)
    inputs, clean = torch.rand(2, 4, 64, 64), torch.rand(2, 3, 64, 64)
    scores = discriminator(clean, inputs)
    assert scores.shape[:2] == (2, 1)
    assert scores.abs().max() <= 1
    restored = torch.rand(2, 3, 64, 64, requires_grad=True)
    discriminator.discriminator_loss(inputs, restored, clean).backward()
    assert restored.grad is None  # the discriminator alone learns from its loss
    discriminator.generator_loss(inputs, restored).backward()
    assert restored.grad is not None
    assert restored.grad.abs().sum() > 0
