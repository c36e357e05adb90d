"""A folder of small pairs and a run of a tiny network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_samples import write_pairs

from redust.training.config import TrainConfig


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder with train/ (10 pairs) and test/ (2 pairs)."""
    write_pairs(tmp_path / "pairs/train/images", tmp_path / "pairs/train/masks", range(10))
    write_pairs(tmp_path / "pairs/test/images", tmp_path / "pairs/test/masks", range(20, 22))
    return tmp_path / "pairs"


@pytest.fixture
def config(pairs: Path, tmp_path: Path) -> TrainConfig:
    """A run of two epochs of four steps of a tiny network, exact to the bit."""
    return TrainConfig.load(
        flags={
            "data": pairs,
            "out": tmp_path / "out",
            "channels": (8, 8, 8, 8),
            "patch": 32,
            "patches_per_picture": 1,
            "val_share": 0.2,
            "batch_size": 2,
            "epochs": 2,
            "dropout": 0.2,
            "precision": "float32",
            "accelerator": "cpu",
            "samples": 2,
        }
    )
