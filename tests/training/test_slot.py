from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from training_samples import changed, write_restored

from redust.core.errors import TargetExists, TrainingError
from redust.detectors import make_detector
from redust.models.networks import build
from redust.training.config import TrainConfig
from redust.training.export import card_of
from redust.training.keeper import save_weights
from redust.training.pairs import find_restored
from redust.training.run import fit, make_network
from redust.training.slot import pack


def go(folder: Path, back: Path, minutes: float) -> None:
    subprocess.run([sys.executable, folder / "go.py", str(minutes), back, "--threads", "1"], check=True)


def test_a_slot_is_packed_trained_elsewhere_and_goes_on_in_the_next(config: TrainConfig, tmp_path: Path) -> None:
    config = changed(config, save_minutes=0.0)
    size = pack(config, tmp_path / "first")
    assert 0.1 < size < 5
    assert not list((tmp_path / "first").rglob("*.onnx"))
    go(tmp_path / "first", tmp_path / "back", 1e-6)
    assert (tmp_path / "back/runs/my-model/last.ckpt").exists()
    pack(config, tmp_path / "second", state=tmp_path / "back")
    # At home with the same state: the data lies elsewhere, but is the same.
    resumed = fit(changed(config, out=tmp_path / "second/state", slot_minutes=1e-6), resume=True)
    assert resumed.paused
    assert resumed.module.global_step == 2


def test_a_pack_holds_the_material_too(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "overlays/hair").mkdir(parents=True)
    (tmp_path / "folds").mkdir()
    for path in ("photos/a.png", "overlays/hair/1.png", "folds/1.png"):
        cv2.imwrite(str(tmp_path / path), np.full((8, 8), 90, np.uint8))
    (tmp_path / "recipe.toml").write_text("clean = 0.5\n")
    material = {name: tmp_path / name for name in ("photos", "overlays", "folds")}
    material["recipe"] = tmp_path / "recipe.toml"
    pack(changed(config, **material), tmp_path / "packed")
    packed = TrainConfig.load(tmp_path / "packed/config.toml")
    data = packed.data
    for path in (data.data, data.photos, data.overlays, data.folds, data.recipe):
        assert path is not None
        assert not path.is_absolute()
        assert (tmp_path / "packed" / path).exists()
    assert packed.optimiser == config.optimiser


def test_a_pack_is_not_too_large_and_overwrites_nothing(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"source .* MiB, .*more than 0\.1 MiB"):
        pack(config, tmp_path / "packed", limit=0.1)
    assert not (tmp_path / "packed").exists()
    with pytest.raises(TargetExists, match="not empty"):
        pack(config, tmp_path)


def test_a_pack_holds_the_model_a_run_starts_from(config: TrainConfig, tmp_path: Path) -> None:
    network = build("unet", channels=(8, 8, 8, 8))
    save_weights(network, tmp_path / "weights.safetensors")
    facts = {"name": "small", "summary": "", "architecture": "unet", "options": {"channels": [8, 8, 8, 8]}}
    card_of(network, tmp_path, {"safetensors": "weights.safetensors"}, facts).to_folder(tmp_path)
    pack(changed(config, start=str(tmp_path)), tmp_path / "packed")
    packed = TrainConfig.load(tmp_path / "packed/config.toml").model
    assert packed.start == "material/start"
    loaded = make_network(packed.model_copy(update={"start": str(tmp_path / "packed/material/start")}), seed=1)
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(TrainingError, match="do not fit"):
        make_network(packed.model_copy(update={"start": str(tmp_path), "channels": (16, 8, 8, 8)}), seed=1)


def test_a_pack_holds_restored_pictures(tmp_path: Path) -> None:
    data = write_restored(tmp_path / "pairs", 4)
    pack(TrainConfig.load(flags={"task": "blind", "data": data}), tmp_path / "packed")
    assert sorted(path.parent.name for path in (tmp_path / "packed/data").rglob("*.png")) == sorted(
        ["clean", "images", "masks"] * 4
    )
    assert len(find_restored(tmp_path / "packed/data")) == 4
    packed = TrainConfig.load(tmp_path / "packed/config.toml").model
    assert packed.attention == "material/attention"
    told = make_detector(str(tmp_path / "packed/material/attention"))
    assert told.name == "unet"
