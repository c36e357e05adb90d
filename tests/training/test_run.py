from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from redust.core.errors import SettingsError, TargetExists, TrainingError
from redust.detectors import make_detector
from redust.detectors.run_detector import detect_damage
from redust.evaluation.metrics import MetricCounter
from redust.models import shipped_folder
from redust.training.checkpoint import BEST, HISTORY, LAST, TrainingProgress
from redust.training.config import TrainConfig
from redust.training.result import FittedRun
from redust.training.run import fit, train
from training_samples import changed, interrupt_at, picture, write_pairs


def weights(fitted: FittedRun) -> dict[str, torch.Tensor]:
    return fitted.module.state_dict()


def rows(fitted: FittedRun) -> list[dict[str, float]]:
    timeless = [{name: value for name, value in row.items() if name != "seconds"} for row in fitted.module.history]
    return [{name: None if np.isnan(value) else value for name, value in row.items()} for row in timeless]


def test_a_interrupted_run_ends_as_an_uninterrupted_one(config: TrainConfig) -> None:
    whole = fit(changed(config, name="whole"))
    assert not whole.interrupted
    assert [row["step"] for row in rows(whole)] == [3, 6]
    # In the middle of the first epoch, at its end (before it is validated), in the middle of the second.
    for number, step in enumerate((1, 3, 5)):
        part = fit(changed(config, name="parts"), resume=number > 0, on_progress=interrupt_at(step))
        assert part.interrupted
        assert part.module.global_step == step
    part = fit(changed(config, name="parts"), resume=True)
    assert not part.interrupted
    assert rows(part) == rows(whole)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(part)[name]), name
    best = [load_file(one.folders.state / BEST) for one in (whole, part)]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


def test_ctrl_c_saves_and_stops_after_the_step(config: TrainConfig) -> None:
    def press(progress: TrainingProgress) -> None:
        if progress.step == 2:
            signal.raise_signal(signal.SIGINT)

    fitted = fit(config, on_progress=press)
    assert fitted.interrupted
    assert (fitted.module.global_step, (fitted.folders.state / LAST).exists()) == (2, True)


def test_workers_do_not_change_the_result(config: TrainConfig) -> None:
    alone = fit(changed(config, name="alone", epochs=1))
    helped = fit(changed(config, name="helped", epochs=1, workers=2))
    assert all(torch.equal(tensor, weights(helped)[name]) for name, tensor in weights(alone).items())


def test_ends_in_a_model_that_detects_and_results_that_people_read(config: TrainConfig) -> None:
    seen: list[TrainingProgress] = []
    config = changed(config, overfit=4, batch_size=2, epochs=40, learning_rate=0.01, augment="none")
    result = train(config, on_progress=seen.append)
    assert result.finished
    assert seen[-1].step == seen[-1].steps == 80
    assert seen[-1].share == 1.0
    assert seen[-1].score > 0.9
    detector = make_detector(str(result.folders.model))
    tally = MetricCounter(detector.spec.level)
    for number in range(10):
        pixels, truth = picture(number)
        tally.add(truth, detect_damage(detector, pixels))
    assert tally.figures().f1_strict > 0.6
    names = {path.name for path in result.folders.results.iterdir()}
    assert names >= {"config.toml", "metrics.json", "curves.png", "precision_recall.png", "predictions.png", HISTORY}
    metrics = json.loads((result.folders.results / "metrics.json").read_text())
    assert set(metrics["figures"]) == {"my-model", "tophat", "empty mask"}
    assert metrics["figures"]["my-model"]["f1_strict"] == pytest.approx(result.card.metrics["test"]["f1_strict"], 1e-4)
    assert result.card.metrics["test, int8"]["f1_strict"] > 0.6 * result.card.metrics["test"]["f1_strict"]
    with (result.folders.results / HISTORY).open() as file:
        epochs = [float(row["epoch"]) for row in csv.DictReader(file)]
    assert epochs == [number * 1.0 for number in range(1, 41)]
    again = TrainConfig.load(result.folders.results / "config.toml")
    assert again == config
    tuned = changed(config, name="tuned", start=str(result.folders.model), epochs=1, channels=None)
    started = fit(tuned, on_progress=interrupt_at(1))
    fresh = fit(changed(config, name="fresh", epochs=1), on_progress=interrupt_at(1))
    assert started.module.last_loss < 0.5 * fresh.module.last_loss


@pytest.mark.parametrize("loss", ["bce", "focal-tversky", "cldice"])
def test_every_loss_takes_a_step(config: TrainConfig, loss: str) -> None:
    fitted = fit(changed(config, loss=loss), on_progress=interrupt_at(1))
    assert fitted.module.global_step == 1
    assert np.isfinite(fitted.module.last_loss)


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_other_precisions_take_a_step(config: TrainConfig, precision: str) -> None:
    assert fit(changed(config, precision=precision), on_progress=interrupt_at(1)).module.global_step == 1


def test_learns_from_photos_alone_and_mixed_with_pairs(config: TrainConfig, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(4):
        cv2.imwrite(str(photos / f"{number}.jpg"), cv2.resize(picture(number)[0], (80, 64)))
    mixed = fit(changed(config, photos=photos), on_progress=interrupt_at(1))
    assert mixed.module.global_step == 1
    alone = fit(changed(config, name="alone", data=None, photos=photos), on_progress=interrupt_at(1))
    assert alone.module.global_step == 1
    assert alone.data.validation[0][0].shape == (256, 256, 3)
    np.testing.assert_array_equal(alone.data.validation[1][1], alone.data.validation[1][1])


def test_a_budget_ends_the_run_and_the_learning_rate_falls_with_it(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(100_000))  # a clock on which every reading takes a second
    monkeypatch.setattr("redust.training.module.time.monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr("redust.training.run._EXPORT_SECONDS", 60.0)
    fitted = fit(changed(config, epochs=100_000, budget_minutes=5.0))
    assert not fitted.interrupted
    history = rows(fitted)
    assert history[-1]["step"] < 400
    assert 4 <= len(history) <= 11
    assert history[-1]["learning_rate"] == pytest.approx(0.01 * config.optimiser.learning_rate)
    assert 60 <= fitted.module.reserved_seconds < 180
    assert fitted.module.history[-1]["seconds"] == pytest.approx(300 - fitted.module.reserved_seconds, abs=20)
    with pytest.raises(TargetExists, match="--resume"):
        fit(changed(config))


def test_a_budget_counts_from_the_start_of_the_command_and_a_slow_start_reserves_more_for_the_end(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redust.training.module.time.monotonic", lambda: 1000.0)
    monkeypatch.setattr("redust.training.run.time.monotonic", lambda: 1000.0)  # predictions take no time
    reserved, seconds = [], []
    for name, started in (("unknown", None), ("quick", 999.0), ("usual", 995.0), ("slow", 980.0)):
        begun = fit(changed(config, name=name, budget_minutes=2.0), on_progress=interrupt_at(1), started=started)
        reserved.append(begun.module.reserved_seconds)
        seconds.append(begun.module.clock.total_seconds)
    assert reserved == pytest.approx([12.0, 6.0, 11.5, 46.0], abs=0.1)
    assert seconds == [0.0, 1.0, 5.0, 20.0]


def test_frozen_batch_norms_keep_their_statistics(config: TrainConfig) -> None:
    old = shipped_folder("unet")
    before = load_file(old / "weights.safetensors")
    for keep in (True, False):
        run = changed(config, name=f"new-{keep}", start=str(old), freeze_batchnorm=keep, channels=None, epochs=1)
        after = fit(run).module.network.state_dict()
        known = [name for name in before if "running" in name]
        assert known
        assert all(torch.equal(after[name], before[name]) is keep for name in known)
        assert not torch.equal(after["head.weight"], before["head.weight"])
    with pytest.raises(ValidationError, match="no statistics to freeze"):
        changed(config, freeze_batchnorm=True)


def test_a_run_is_not_resumed_with_other_choices_or_data(config: TrainConfig) -> None:
    fit(config, on_progress=interrupt_at(1))
    with pytest.raises(TrainingError, match=r"learning_rate was 0\.002, is 0\.1"):
        fit(changed(config, learning_rate=0.1), resume=True)
    assert config.data.data is not None
    cv2.imwrite(str(config.data.data / "train/masks/0.png"), np.zeros((40, 48), np.uint8))
    with pytest.raises(TrainingError, match="data changed"):
        fit(config, resume=True)
    (config.run.out / "runs/my-model" / LAST).write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="cannot be read"):
        fit(config, resume=True)


def test_a_loss_that_is_no_number_is_explained(config: TrainConfig) -> None:
    with pytest.raises(TrainingError, match="--learning-rate"):
        fit(changed(config, learning_rate=1e30))


def test_running_out_of_memory_is_explained(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("redust.training.losses.MaskedLoss.forward", fail)
    with pytest.raises(TrainingError, match="--batch-size 1"):
        fit(config)


def test_what_does_not_fit_is_refused_at_once(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--patch 48"):
        fit(changed(config, patch=40))
    with pytest.raises(SettingsError, match="cannot be made so"):
        fit(changed(config, channels=(8, 8)))
    write_pairs(tmp_path / "one/images", tmp_path / "one/masks", range(1))
    with pytest.raises(TrainingError, match="too few"):
        fit(changed(config, data=tmp_path / "one"))
    (tmp_path / "card.toml").write_text('license = "MIT"\n')
    with pytest.raises(SettingsError, match="license"):
        train(changed(config, card=tmp_path / "card.toml"))
    assert not (tmp_path / "out").exists()


def test_the_card_says_what_its_file_says_of_the_data(config: TrainConfig, tmp_path: Path) -> None:
    result = train(changed(config, epochs=1))
    assert result.card
    assert (result.card.licence, len(result.card.data)) == ("", 2)
    (tmp_path / "card.toml").write_text('summary = "Finds dust."\ndata = ["ten scans: CC0"]\nlicence = "MIT"\n')
    again = train(changed(config, epochs=1, card=tmp_path / "card.toml"), resume=True)  # exported anew, not trained
    assert again.card
    assert (again.card.summary, again.card.licence) == ("Finds dust.", "MIT")
    assert again.card.data == ["ten scans: CC0", *result.card.data]
    assert again.card.sha256["safetensors"] == result.card.sha256["safetensors"]
