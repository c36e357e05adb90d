from __future__ import annotations

from typing import Any

import pytest
import torch

from redust.training.config import TrainConfig
from redust.training.hard_negatives import HardNegatives
from redust.training.network import make_network
from redust.training.run import fit
from training_samples import changed, interrupt_at


def make_batch(count: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Light that holds its index, truth with damage in patch 0 alone, logits that mark more in later patches."""
    light = torch.arange(float(count)).reshape(count, 1, 1, 1).expand(count, 3, 8, 8) / 8
    truth, logits = torch.zeros(count, 1, 8, 8, dtype=torch.uint8), torch.full((count, 1, 8, 8), -1.0)
    truth[0, 0, 3] = 255
    for index in range(count):
        logits[index, 0, :index] = 1.0
    logits[0] = 1.0
    return light, truth, logits


def test_marked_patches_without_damage_are_kept_and_come_again() -> None:
    hard = HardNegatives(0.5)
    light, truth, logits = make_batch()
    assert hard.mix_in(light, truth)[0] is light  # nothing yet
    truth[1, 0, 0, 0] = 128  # not wholly judged
    hard.add(light, truth, logits)
    assert sorted(hard.light[:, 0, 0, 0].tolist()) == [2 / 8, 3 / 8]
    mixed, target = hard.mix_in(light, truth)
    assert torch.equal(mixed[:2], light[:2])
    assert sorted(mixed[2:, 0, 0, 0].tolist()) == [2 / 8, 3 / 8]
    assert not target[2:].any()
    assert len(hard.scores) == 0  # a patch that is no longer marked does not come back


def test_the_worst_are_kept() -> None:
    hard = HardNegatives(0.5)
    for marked in range(1, 101):
        logits = torch.full((1, 1, 10, 10), -1.0)
        logits.view(-1)[:marked] = 1.0
        hard.add(torch.full((1, 3, 10, 10), marked / 100), torch.zeros(1, 1, 10, 10, dtype=torch.uint8), logits)
    assert len(hard.scores) == 64
    assert float(hard.scores.min()) == pytest.approx(0.37)


def test_a_run_with_hard_negatives_is_resumed_exactly(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def make_eager(*arguments: Any) -> torch.nn.Module:
        network = make_network(*arguments)
        torch.nn.init.constant_(network.head.bias, 0.0)  # type: ignore[union-attr,arg-type]
        return network

    monkeypatch.setattr("redust.training.run.make_network", make_eager)
    config = changed(config, hard_negatives=0.4, foreground_share=0.0, patch=16)
    alone = fit(changed(config, name="alone"))
    fit(changed(config, name="parts"), on_progress=interrupt_at(4))
    parts = fit(changed(config, name="parts"), resume=True)
    for name, tensor in alone.module.state_dict().items():
        assert torch.equal(tensor, parts.module.state_dict()[name]), name
    state = [run.module.hard_negatives.state_dict() for run in (alone, parts)]  # type: ignore[union-attr]
    assert len(state[0]["scores"]) > 0
    assert all(torch.equal(state[0][name], state[1][name]) for name in state[0])
