"""The tasks `fill` and `blind`: one step of everything, resumed exactly, and models that the engines run."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import Dataset

from redust.core.contracts import check_generator, check_inpainter
from redust.core.errors import ModelError, TrainingError
from redust.detectors import make_detector
from redust.detectors.run_detector import detect_damage
from redust.generators import make_generator
from redust.generators.run_generator import run_generator
from redust.inpainters import make_inpainter
from redust.inpainters.fill_damage import fill_damage
from redust.models import shipped_folder
from redust.models.card import weights_path
from redust.training.checkpoint import HISTORY, SAMPLES, TrainingProgress
from redust.training.config import Task, TrainConfig
from redust.training.data import TrainingData
from redust.training.fill import DrawnHoles, SampleCache, prepare_fill
from redust.training.generator import MappedPatches, find_changes, measure_restoration, prepare_generator
from redust.training.loader import Key
from redust.training.losses import PatchDiscriminator, RestorationLoss
from redust.training.network import make_network, plan_network
from redust.training.restoration import decibels
from redust.training.result import FittedRun
from redust.training.run import find_changes as find_config_changes
from redust.training.run import fit, train
from redust.training.samples import Sample, Tensors
from training_samples import changed, interrupt_at, picture, write_pairs, write_photos, write_restored

TASKS = ("fill", "generator")
SMALL = {"fill": (4, 4, 4), "generator": (8, 8, 8, 8)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 5)


@pytest.fixture
def run(photos: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    """A run of four steps of a tiny network; the discriminator joins after the second."""

    def make(task: str, **flags: object) -> TrainConfig:
        return TrainConfig.load(
            flags={
                "task": task, "photos": photos, "out": tmp_path / "out", "channels": SMALL[task], "patch": 48,
                "patches_per_picture": 1, "batch_size": 2, "epochs": 2, "precision": "float32",
                "accelerator": "cpu",
            } | flags
        )  # fmt: skip

    return make


def prepare(config: TrainConfig) -> TrainingData:
    """The data of a run, without training."""
    return prepare_fill(config, 8) if config.run.task is Task.fill else prepare_generator(config, 16)


def state(fitted: FittedRun) -> dict[str, torch.Tensor]:
    return fitted.module.state_dict()


@pytest.mark.parametrize("task", TASKS)
def test_a_interrupted_run_ends_as_an_uninterrupted_one(run: Callable[..., TrainConfig], task: str) -> None:
    whole = fit(run(task, name="whole"))
    assert not whole.interrupted
    assert [row["step"] for row in whole.module.history] == [2, 4]
    for number, step in enumerate((1, 3)):  # before and after the discriminator has joined
        part = fit(run(task, name="parts"), resume=number > 0, on_progress=interrupt_at(step))
        assert part.interrupted
        assert part.module.global_step == step
    part = fit(run(task, name="parts"), resume=True)
    for name, tensor in state(whole).items():
        assert torch.equal(tensor, state(part)[name]), name
    timeless = [
        [{name: value for name, value in row.items() if name != "seconds"} for row in one.module.history]
        for one in (whole, part)
    ]
    assert timeless[0] == timeless[1]


def test_the_discriminator_learns_only_once_it_has_joined(run: Callable[..., TrainConfig]) -> None:
    before = fit(run("generator", name="a"), on_progress=interrupt_at(1)).module
    later = fit(run("generator", name="b", adversarial_start=1.0), on_progress=interrupt_at(3)).module
    joined = fit(run("generator", name="c"), on_progress=interrupt_at(3)).module
    first, second, third = (one.discriminator.state_dict() for one in (before, later, joined))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert any(not torch.equal(tensor, third[name]) for name, tensor in first.items())


@pytest.mark.parametrize("task", TASKS)
def test_ends_in_a_model_that_its_engine_runs(run: Callable[..., TrainConfig], task: str) -> None:
    seen: list[TrainingProgress] = []
    result = train(run(task), on_progress=seen.append)
    assert seen[-1].share == 1.0
    assert seen[-1].measure == ("inside dB" if task == "fill" else "gain dB")
    assert np.isfinite(seen[-1].score)
    assert result.card is not None
    assert set(result.card.files) == {"safetensors", "onnx"}
    assert result.card.task == ("fill" if task == "fill" else "generator")
    assert result.card.attention == ("unet" if task == "generator" else "")
    assert list(result.figures) == ["my-model", "kriging" if task == "fill" else "untouched"]
    assert result.card.metrics["validation"]["gain"] == pytest.approx(result.figures["my-model"]["gain"], abs=1e-3)
    names = {path.name for path in result.folders.results.iterdir()}
    assert names >= {"config.toml", "metrics.json", "curves.png", "predictions.png", HISTORY, SAMPLES}
    assert json.loads((result.folders.results / "metrics.json").read_text())["figures"] == result.figures
    folder = str(result.folders.model)
    if task == "fill":
        check_inpainter(make_inpainter(folder))
    else:
        check_generator(make_generator(folder))
    with pytest.raises(ModelError, match="train --task detect"):
        make_detector(folder)
    assert TrainConfig.load(result.folders.results / "config.toml") == run(task)
    started = fit(run(task, name="tuned", start=folder), on_progress=interrupt_at(1))
    assert started.module.global_step == 1


def test_fresh_networks_change_nothing(run: Callable[..., TrainConfig]) -> None:
    config = run("fill", learning_rate=1e-12, epochs=1)
    model = str(train(config).folders.model)
    pixels = np.random.default_rng(0).integers(0, 65536, (96, 72, 1)).astype(np.uint16)
    mask = np.zeros((96, 72), np.bool_)
    mask[20:24, 10:60] = True
    kriged = fill_damage(make_inpainter("kriging"), pixels, mask)
    np.testing.assert_allclose(make_inpainter(model).fill(pixels, mask).astype(int), kriged, atol=1)


def test_a_generator_that_is_told_the_map_may_start_from_any_other(run: Callable[..., TrainConfig]) -> None:
    light, none = torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    for start in ("unet", "attentive"):
        network = make_network(config := run("generator", start=start, channels=None), plan_network(config)).eval()
        torch.testing.assert_close(network(torch.cat([light, none], 1)), light, atol=1e-3, rtol=0)
        own, found = network.state_dict(), load_file(weights_path(shipped_folder(start), "safetensors"))
        assert torch.equal(own["deepest.2.0.weight"], found["deepest.2.0.weight"])
        assert torch.equal(own["enter_2.0.0.weight"][:, :12], found["enter_2.0.0.weight"][:, :12])
        assert own["enter_2.0.0.weight"].shape[1] == 28


def test_what_is_given_holds_what_the_detector_says(run: Callable[..., TrainConfig], photos: Path) -> None:
    data = prepare(run("generator", attention="tophat", augment="none"))
    given, clean, where = data.patches[5, 1]
    assert (given.shape, clean.shape, where.shape) == ((4, 48, 48), (3, 48, 48), (1, 48, 48))
    light = np.ascontiguousarray(given[:3].permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(given[3], detect_damage(make_detector("tophat"), light))
    held = data.validation[0]
    assert held.inputs.shape[2] == 4
    assert held.inputs[..., 3].max() > 0
    again = pickle.loads(pickle.dumps(data.patches))
    assert torch.equal(again[5, 1][0], given)


def test_maps_that_are_learned_from_are_jittered(run: Callable[..., TrainConfig]) -> None:
    jittered = prepare(run("generator", augment="flips")).patches
    plain = MappedPatches(jittered.patches, jittered.map_input, 0.0, jittered.seed)
    moved = []
    for number in range(12):
        before, after = plain[number, 0][0], jittered[number, 0][0]
        assert torch.equal(before[:3], after[:3])
        assert torch.equal(after, jittered[number, 0][0])
        moved.append(float((torch.logit(after[3], 1e-6) - torch.logit(before[3], 1e-6)).median()))
    assert -1.6 < np.mean(moved) < -0.2
    assert np.std(moved) > 0.3


@pytest.mark.parametrize("task", TASKS)
def test_bf16_takes_a_step(run: Callable[..., TrainConfig], task: str) -> None:
    fitted = fit(run(task, precision="bf16", adversarial_start=0.0), on_progress=interrupt_at(1))
    assert np.isfinite(fitted.module.last_loss)


def test_a_fill_is_learned_from_what_is_sound_in_damaged_scans(
    run: Callable[..., TrainConfig], config: TrainConfig
) -> None:
    data = config.data.data
    prepared = prepare(run("fill", photos=None, data=data, augment="none"))
    patches = prepared.patches.patches  # those of the cache
    number = len(patches.photos)
    assert prepared.facts == [f"{number} scans with drawn masks, holes filled by kriging first"]
    samples = [patches[index, index % number] for index in range(12)]
    for given, clean, where in samples:
        # White specks, 250 of 255, were the damage: nothing of it is shown, or asked for.
        assert float(given[:3].max()) < 0.85
        assert float(clean.max()) < 0.85
        assert torch.equal(given[3:], where)
    assert all(where.any() for _, _, where in samples)
    assert prepared.validation[0].clean.max() < 0.85
    assert not fit(run("fill", photos=None, data=data, epochs=1)).interrupted


def test_a_mask_that_leaves_nothing_sound_is_named(run: Callable[..., TrainConfig], tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs/images", tmp_path / "pairs/masks", range(4))
    config = run("fill", photos=None, data=tmp_path / "pairs")
    cv2.imwrite(str(tmp_path / "pairs/masks/2.png"), np.full((40, 48), 255, np.uint8))
    with pytest.raises(TrainingError, match=r"2\.png says that all of its picture is damaged.*turn the mask round"):
        fit(config)


def test_no_hole_is_drawn_over_damage() -> None:
    light = np.random.default_rng(0).random((64, 64, 3), np.float32)
    damaged = np.zeros((64, 64), np.bool_)
    damaged[:, 24:40] = True
    for number in range(8):
        free, kept = (DrawnHoles(0)(light, over, number).damaged for over in (np.zeros_like(damaged), damaged))
        np.testing.assert_array_equal(kept, free & ~damaged)


def test_photos_and_damaged_scans_are_mixed(run: Callable[..., TrainConfig], config: TrainConfig) -> None:
    prepared = [prepare(run("fill", data=config.data.data, photos_share=share)) for share in (1.0, 0.5, 0.0)]
    both = prepared[1]
    drawn, mixed, marked = (data.patches.patches for data in prepared)
    keys = [(number, 3) for number in range(12)]
    first = [torch.equal(mixed[key][1], drawn[key][1]) for key in keys]
    second = [torch.equal(mixed[key][1], marked[key][1]) for key in keys]
    assert [one != other for one, other in zip(first, second, strict=True)] == [True] * 12
    assert {True, False} == set(first)
    assert [fact.split()[1] for fact in both.facts] == ["photos", "scans"]


@pytest.mark.parametrize("masks", [True, False])
def test_blind_restoring_is_learned_from_restored_pictures(
    run: Callable[..., TrainConfig], tmp_path: Path, masks: bool
) -> None:
    data = write_restored(tmp_path / "pairs", 6, masks=masks)
    config = run("generator", photos=None, data=data, augment="tone", epochs=1)
    prepared = prepare(config)
    assert prepared.facts == ["5 pictures and the same restored"]
    assert len(prepared.validation) == 1
    given, clean, where = prepared.patches.patches[7, 2]  # without the damage map
    assert given.shape == clean.shape == (3, 48, 48)
    # Tone and noise are varied alike: away from damage the two stay the same.
    assert not (given != clean)[:, where[0] == 0].any()
    assert 0.02 < where.mean() < 0.5
    held = prepared.validation[0]
    assert held.inputs.shape == (32, 32, 4)
    assert (held.damaged == (held.light != held.clean).any(2)).mean() > 0.99
    if masks:
        assert not fit(config).interrupted


def test_restored_pictures_and_photos_are_mixed(run: Callable[..., TrainConfig], tmp_path: Path) -> None:
    data = write_restored(tmp_path / "pairs", 6)
    drawn, both, restored = (prepare(run("generator", data=data, photos_share=share)) for share in (1.0, 0.5, 0.0))
    keys = [(number, 3) for number in range(12)]
    first = [torch.equal(both.patches[key][0], drawn.patches[key][0]) for key in keys]
    second = [torch.equal(both.patches[key][0], restored.patches[key][0]) for key in keys]
    assert [one != other for one, other in zip(first, second, strict=True)] == [True] * 12
    assert {True} < set(first)
    assert both.facts == ["5 pictures and the same restored", "4 photos with drawn damage"]


def test_restored_pictures_that_do_not_fit_are_named(run: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config = run("generator", photos=None, data=write_restored(tmp_path / "pairs", 6))
    clean = tmp_path / "pairs" / "clean"
    cv2.imwrite(str(clean / "3.png"), np.zeros((20, 48, 3), np.uint8))
    with pytest.raises(TrainingError, match=r"3\.png is 48 x 20, .*3\.png 48 x 40"):
        fit(config)
    (clean / "3.png").unlink()
    with pytest.raises(TrainingError, match="have no clean picture: 3"):
        fit(config)
    shutil.rmtree(clean)
    with pytest.raises(TrainingError, match="no restored pictures"):
        fit(config)


def test_a_run_saved_before_a_choice_existed_goes_on(config: TrainConfig) -> None:
    old = config.model_dump(mode="json")
    del old["run"]["task"], old["loss"]["adversarial_start"]
    assert find_config_changes(old, config.model_dump(mode="json")) == []
    later = changed(config, adversarial_start=1.0).model_dump(mode="json")
    assert find_config_changes(old, later) == ["adversarial_start was 0.5, is 1.0"]


def test_holes_leave_sound_pixels_alone() -> None:
    light = (picture(0)[0] / np.float32(255)).astype(np.float32)
    sound, widest = np.zeros(light.shape[:2], np.bool_), 0
    for number in range(20):
        sample = DrawnHoles(seed=1)(light, sound, number)
        assert sample.inputs.shape == (40, 48, 4)
        assert sample.damaged.any()
        assert not sample.damaged.all()
        np.testing.assert_array_equal(sample.inputs[..., 3] == 1, sample.damaged)
        np.testing.assert_array_equal(sample.inputs[~sample.damaged, :3], sample.clean[~sample.damaged])
        again = DrawnHoles(seed=1)(light, sound, number)
        np.testing.assert_array_equal(sample.inputs, again.inputs)
        widest = max(widest, int(cv2.distanceTransform(sample.damaged.view(np.uint8), cv2.DIST_L2, 3).max()))
    assert widest > 4


def test_the_loss_is_zero_only_for_the_truth_and_counts_by_damage() -> None:
    loss = RestorationLoss(spectrum_weight=0.5)
    clean, where = torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16)
    where[:, :, :4] = 1
    assert loss(clean, clean, where) == 0
    plain = RestorationLoss(spectrum_weight=0.0)
    torch.testing.assert_close(plain(clean + 0.1 * where, clean, where), torch.tensor(0.1))
    grey = torch.zeros(1, 3, 16, 16, requires_grad=True)
    loss(grey, torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16)).backward()
    assert torch.isfinite(grey.grad).all()


def test_relative_differences_count_as_much_on_even_ground_as_over_texture() -> None:
    torch.manual_seed(3)
    clean = torch.full((1, 3, 64, 128), 0.5)
    clean[..., 64:] += 0.2 * torch.randn(1, 3, 64, 64)
    where = torch.zeros(1, 1, 64, 128)
    where[..., 28:36, :] = 1

    def shares(relative: float, off_even: float) -> float:
        """The loss of an error of a tenth of the texture's over texture, to that of `off_even` on even ground."""
        loss = RestorationLoss(relative, spectrum_weight=0.0)
        even, rough = clean.clone(), clean.clone()
        even[..., 28:36, 16:48] += off_even
        rough[..., 28:36, 80:112] += 0.02
        return float(loss(rough, clean, where) / loss(even, clean, where))

    assert shares(0.0, 0.002) == pytest.approx(10, rel=1e-3)
    assert 0.1 < shares(0.004, 0.002) < 1
    assert shares(1.0, 0.002) == pytest.approx(10, rel=0.25)


def test_the_discriminator_learns_to_tell() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(3, channels=8)
    given = torch.rand(4, 3, 48, 48)
    sound, made = given * 0.5, torch.rand(4, 3, 48, 48)
    optimiser = torch.optim.AdamW(discriminator.parameters(), lr=2e-3)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        losses.append(discriminator.discriminator_loss(given, made, sound))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]
    assert discriminator.generator_loss(given, made) > discriminator.generator_loss(given, sound)


def test_single_pixels_are_not_meant_and_spots_are_grown() -> None:
    given = np.full((12, 12, 3), 0.5, np.float32)
    made = given.copy()
    made[2, 2] += 0.2
    made[8, 5:7, 1] -= 0.1
    mask = find_changes(given, made, 0.05)
    assert mask.sum() == 8
    assert mask[7:10, 5:7].all()
    where = np.zeros((12, 12), np.bool_)
    where[8, 5:7] = True
    figures = measure_restoration(Sample(made, given, where), given, 0.05)
    assert figures["gain"] > 0
    assert figures["harm_ppm"] == pytest.approx(1e6 * 6 / (144 - 2))
    assert decibels(given, given) == 60


def test_the_answer_of_a_generator_does_not_depend_on_the_tile(run: Callable[..., TrainConfig]) -> None:
    config = run("generator", epochs=3, learning_rate=0.02, adversarial_start=1.0)
    engine = make_generator(str(train(config).folders.model))
    pixels = np.random.default_rng(0).integers(0, 256, (150, 230, 3)).astype(np.uint8)
    damage = np.random.default_rng(1).random((150, 230)).astype(np.float32) ** 4
    answers = [run_generator(engine, pixels, damage=damage, tile=tile) for tile in (64, 112, 1024)]
    assert answers[0][1].max() > 0
    for other in answers[1:]:
        np.testing.assert_allclose(answers[0][1], other[1], atol=2e-5)
        np.testing.assert_allclose(answers[0][0].astype(int), other[0], atol=1)


def test_a_stock_of_samples_is_made_once_and_turned_anew() -> None:
    made: list[Key] = []

    class Patches(Dataset[Tensors]):
        def __getitem__(self, key: Key) -> Tensors:
            made.append(key)
            light = torch.arange(48).reshape(3, 4, 4) + 100.0 * key[0]
            return torch.cat([light, light[:1]]), light, light[:1]

    def stock() -> SampleCache:
        return SampleCache(Patches(), 3, items=5, seed=1)

    reused = stock()
    rounds = [[reused[number, 0] for number in range(first, first + 3)] for first in range(0, 30, 3)]
    assert sorted(slot for slot, _ in made) == [0, 1, 2]
    for samples in rounds:  # each goes through the whole stock
        assert sorted(int(clean.amin()) for _, clean, _ in samples) == [0, 100, 200]
    ways = {tuple(clean[0].ravel().int().tolist()) for samples in rounds for _, clean, _ in samples}
    assert len(ways) > 12  # of 24
    for given, clean, where in rounds[4]:
        assert torch.equal(given[:3], clean)
        assert torch.equal(where, clean[:1])
    torch.testing.assert_close(stock()[17, 4], rounds[5][2])  # whatever was asked for before
