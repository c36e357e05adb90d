"""What a step of training is made of: rates, averages, gradients, labels, figures, maps of networks in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from redust.core.arrays import Light
from redust.models.networks.unet import UNet
from redust.training.config import OptimiserConfig, Precision, TrainConfig
from redust.training.distillation import clean_labels
from redust.training.export import gflop_per_megapixel
from redust.training.fill import DrawnHoles, measure_fill
from redust.training.generator import find_changes, measure_restoration
from redust.training.module import (
    clip_gradient,
    freeze_batchnorm,
    make_optimiser,
    rate_factor,
    set_learning_rate,
    update_average,
)
from redust.training.network import NetworkPlan, predict_light, predict_map, save_weights
from redust.training.restoration import decibels, mean_figures
from redust.training.run import choose_precision
from redust.training.run import find_changes as find_config_changes
from redust.training.samples import Sample
from training_samples import changed

SMALL = {"channels": (8, 8, 8, 8)}


def random_light(*shape: int, seed: int = 0) -> Light:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


@given(
    rising=st.tuples(st.floats(0, 0.03), st.floats(0, 0.03)), falling=st.tuples(st.floats(0.03, 1), st.floats(0.03, 1))
)
def test_the_learning_rate_rises_then_falls(rising: tuple[float, float], falling: tuple[float, float]) -> None:
    assert rate_factor(min(rising)) <= rate_factor(max(rising)) + 1e-9
    assert rate_factor(min(falling)) >= rate_factor(max(falling)) - 1e-9


def test_the_learning_rate_begins_and_ends_low() -> None:
    assert rate_factor(0.0) == pytest.approx(0.02)
    assert rate_factor(0.03) == pytest.approx(1.0)
    assert rate_factor(1.0) == pytest.approx(0.01)


def test_weights_decay_and_norms_and_biases_do_not() -> None:
    network = UNet(**SMALL)  # type: ignore[arg-type]
    optimiser = make_optimiser(network, OptimiserConfig(weight_decay=0.3, learning_rate=0.1))
    decays = {id(parameter): group["weight_decay"] for group in optimiser.param_groups for parameter in group["params"]}
    assert len(decays) == sum(1 for _ in network.parameters())
    assert {decays[id(parameter)] for parameter in network.parameters() if parameter.ndim == 4} == {0.3}
    assert {decays[id(parameter)] for parameter in network.parameters() if parameter.ndim == 1} == {0.0}
    set_learning_rate(optimiser, 0.025)
    assert {group["lr"] for group in optimiser.param_groups} == {0.025}


@pytest.mark.parametrize("size", [0.001, 100.0])
def test_only_a_long_gradient_is_shortened(size: float) -> None:
    layer = nn.Linear(3, 3)
    for parameter in layer.parameters():
        parameter.grad = torch.full_like(parameter, size)
    before = torch.cat([parameter.grad.flatten() for parameter in layer.parameters() if parameter.grad is not None])
    clip_gradient(layer)
    after = torch.cat([parameter.grad.flatten() for parameter in layer.parameters() if parameter.grad is not None])
    assert float(after.norm()) == pytest.approx(min(1.0, float(before.norm())), rel=1e-4)
    torch.testing.assert_close(after / after.norm(), before / before.norm())


def test_an_average_follows_fast_at_first_and_slowly_later() -> None:
    moves = []
    for steps in (0, 10, 10_000):
        network = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(network.weight)
        average = AveragedModel(network)
        update_average(average, network, steps)  # the first update copies
        nn.init.ones_(network.weight)
        update_average(average, network, steps)
        moves.append(float(average.module.weight.detach()))
    assert moves == sorted(moves, reverse=True)
    assert moves[0] == pytest.approx(0.9)
    assert 0 < moves[2] < 0.1


def test_frozen_batch_norms_keep_their_statistics_until_training_is_set_again() -> None:
    network = UNet(**SMALL).train()  # type: ignore[arg-type]
    freeze_batchnorm(network)
    before = {name: value.clone() for name, value in network.named_buffers()}
    network(torch.rand(2, 3, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    network.train()
    network(torch.rand(2, 3, 32, 32))
    assert any(not torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_labels_that_a_teacher_doubts_are_ignored_and_no_others_change() -> None:
    truth = torch.tensor([255, 255, 0, 0, 128, 128], dtype=torch.uint8).reshape(1, 1, 1, 6)
    logits = torch.tensor([9.0, -9.0, 9.0, -9.0, 9.0, -9.0]).reshape(1, 1, 1, 6)
    assert clean_labels(truth, logits, 0.1).flatten().tolist() == [255, 128, 128, 0, 128, 128]
    assert torch.equal(clean_labels(truth, logits, 0.0), truth)
    assert truth.flatten().tolist() == [255, 255, 0, 0, 128, 128]
    assert clean_labels(truth, torch.zeros(1, 1, 1, 6), 0.5).flatten().tolist() == truth.flatten().tolist()


def test_decibels_measure_the_error_and_end_at_sixty() -> None:
    clean = random_light(8, 8, 3)
    assert decibels(clean, clean) == pytest.approx(60.0)
    assert decibels(clean + 0.1, clean) == pytest.approx(20.0, abs=1e-3)
    assert decibels(clean + 0.01, clean) == pytest.approx(40.0, abs=1e-3)
    inside = np.zeros((8, 8), np.bool_)
    inside[:4] = True
    half = clean.copy()
    half[:4] += 0.1
    assert decibels(half, clean, inside) == pytest.approx(20.0, abs=1e-3)
    assert decibels(half, clean, ~inside) == pytest.approx(60.0)


def test_figures_are_averaged_over_the_samples_that_have_them() -> None:
    assert mean_figures([{"gain": 1.0}, {"gain": 3.0, "inside": 5.0}, {}]) == {"gain": 2.0, "inside": 5.0}
    assert mean_figures([]) == {}


@given(seed=st.integers(0, 99), level=st.sampled_from([0.02, 0.2]))
def test_a_repair_keeps_no_single_pixels_and_nothing_that_did_not_change(seed: int, level: float) -> None:
    light = random_light(16, 16, 3, seed=seed) * np.float32(0.5)
    assert not find_changes(light, light, level).any()
    restored = light.copy()
    restored[3, 3] += 0.5
    assert not find_changes(light, restored, level).any()
    restored[8:10, 8:10] += 0.5
    mask = find_changes(light, restored, level)
    assert mask[8:10, 8:10].all()
    assert mask.sum() == 4 + 8  # grown by one, not over the corners


def test_a_restoration_is_scored_inside_and_blamed_outside_the_damage() -> None:
    clean = np.full((20, 20, 3), 0.4, np.float32)
    damaged = np.zeros((20, 20), np.bool_)
    damaged[4:8, 4:8] = True
    light = clean.copy()
    light[damaged] = 1.0
    sample = Sample(light, clean, damaged)
    perfect = measure_restoration(sample, clean, 0.1)
    assert perfect["inside"] == pytest.approx(60.0)
    assert perfect["gain"] > 20
    idle = measure_restoration(sample, light, 0.1)
    assert (idle["gain"], idle["harm_ppm"]) == (0.0, 0.0)
    harmful = measure_restoration(sample, np.full_like(clean, 0.9), 0.1)
    assert harmful["gain"] < 0
    assert harmful["harm_ppm"] > 900_000


def test_a_sample_without_holes_has_no_figures_of_filling() -> None:
    clean = random_light(6, 6, 3)
    assert measure_fill(Sample(clean, clean, np.zeros((6, 6), np.bool_)), clean) == {}
    figures = measure_fill(Sample(clean + 0.1, clean, np.ones((6, 6), np.bool_)), clean + 0.01)
    assert figures == pytest.approx({"inside": 40.0, "gain": 20.0}, abs=1e-2)


def test_holes_are_drawn_by_number_in_undamaged_light_alone() -> None:
    light, damaged = random_light(48, 48, 3), np.zeros((48, 48), np.bool_)
    damaged[:24] = True
    make = DrawnHoles(seed=3)
    samples = [make(light, damaged, number) for number in range(4)]
    assert not any((sample.damaged & damaged).any() for sample in samples)
    np.testing.assert_array_equal(samples[1].inputs, make(light, damaged, 1).inputs)
    assert (samples[0].damaged != samples[1].damaged).any()
    for sample in samples:
        np.testing.assert_array_equal(sample.light[~sample.damaged], sample.clean[~sample.damaged])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (33, 17), (48, 64)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_network_in_memory_maps_pictures_of_any_size_and_depth(height: int, width: int, dtype: Any) -> None:
    torch.manual_seed(0)
    network = UNet(**SMALL).train()  # type: ignore[arg-type]
    scale = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    damage = predict_map(network, (random_light(height, width, 1) * scale).astype(dtype))
    assert (damage.shape, damage.dtype) == ((height, width), np.float32)
    assert 0 < damage.min() <= damage.max() < 1
    assert network.training


def test_light_of_a_network_is_clipped() -> None:
    class Brighter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.tensor(0.5))

        def forward(self, light: torch.Tensor) -> torch.Tensor:
            return light[:, :3] + self.bias

    restored = predict_light(Brighter(), np.full((4, 5, 4), 0.7, np.float32))
    np.testing.assert_array_equal(restored, np.ones((4, 5, 3)))


def test_weights_return_from_their_file_and_can_be_read_by_all(tmp_path: Path) -> None:
    plan = NetworkPlan("unet", SMALL)
    torch.manual_seed(0)
    network = plan.make()
    save_weights(network, tmp_path / "best.safetensors")
    loaded = plan.load(tmp_path / "best.safetensors")
    assert not loaded.training
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in network.state_dict().items())
    assert set(load_file(tmp_path / "best.safetensors")) == set(network.state_dict())
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "best.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_cost_grows_with_the_channels_and_counting_it_changes_nothing() -> None:
    narrow, wide = UNet(**SMALL).train(), UNet((16, 16, 16, 16))  # type: ignore[arg-type]
    before = {name: value.clone() for name, value in narrow.named_buffers()}
    assert 0 < gflop_per_megapixel(narrow) < gflop_per_megapixel(wide)
    assert narrow.training
    assert all(torch.equal(value, before[name]) for name, value in narrow.named_buffers())


def test_a_run_is_resumed_with_other_threads_but_not_with_another_seed(config: TrainConfig) -> None:
    before = config.model_dump(mode="json")
    assert find_config_changes(before, before) == []
    (named,) = find_config_changes(before, changed(config, seed=9).model_dump(mode="json"))
    assert named == "seed was 0, is 9"
    assert find_config_changes(before, changed(config, threads=2).model_dump(mode="json")) == []


def test_a_precision_that_is_named_is_taken() -> None:
    assert choose_precision(Precision.float32, "cpu") == "32-true"
    assert choose_precision(Precision.bf16, "cpu") == "bf16-mixed"
    assert choose_precision(Precision.auto, "cpu") in ("32-true", "bf16-mixed")
