"""A folder of small pairs and a run of a tiny network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from redust.training.config import TrainConfig


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def config(pairs: Path, tmp_path: Path) -> TrainConfig:
    """A run of two epochs of three steps of a tiny network, exact to the bit."""
    return TrainConfig.load(
        flags={
            "data": pairs,
            "out": tmp_path / "out",
            "channels": (8, 8, 8, 8),
            "patch": 32,
            "patches_per_picture": 1,
            "batch_size": 3,
            "epochs": 2,
            "precision": "float32",
            "accelerator": "cpu",
        }
    )
