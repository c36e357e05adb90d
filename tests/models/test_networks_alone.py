"""Networks treat each picture of a batch by itself, and sizes in whole strides alike."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from redust.core.errors import SettingsError  # noqa: E402
from redust.models.networks import NETWORKS, build, build_from, fuse_for_inference  # noqa: E402
from training_fixtures import _one_thread  # noqa: E402, F401

CHANNELS = {"unet": (8, 8, 8, 8), "gated": (8, 8, 8), "attentive": (8, 8, 8, 8)}


def make(name: str) -> Any:
    """A small network whose head answers something."""
    torch.manual_seed(0)
    network = build(name, channels=CHANNELS[name]).eval()
    for parameter in network.parameters():
        if parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.05)
    return network


def draw_inputs(network: Any, count: int, height: int = 32, width: int = 48) -> Any:
    channels = getattr(network, "in_channels", 3)
    light = torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(1))
    if channels == 4:
        light[:, 3] = (light[:, 3] > 0.9).float()
    return light


@pytest.mark.parametrize("name", NETWORKS)
def test_a_picture_is_answered_the_same_in_any_batch(name: str) -> None:
    network = make(name)
    inputs = draw_inputs(network, 3)
    with torch.no_grad():
        together = network(inputs)
        for index in range(3):
            torch.testing.assert_close(network(inputs[index : index + 1])[0], together[index], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 4), (3, 2)])
def test_any_size_in_whole_strides_gives_an_answer_of_that_size(name: str, rows: int, columns: int) -> None:
    network = make(name)
    inputs = draw_inputs(network, 2, rows * network.stride, columns * network.stride)
    with torch.no_grad():
        answer = network(inputs)
    assert answer.shape == (2, 1 if name == "unet" else 3, *inputs.shape[2:])
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_makes_the_same_network(name: str) -> None:
    first, second = make(name).state_dict(), make(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ["gated", "attentive"])
@pytest.mark.parametrize("damaged", [0.0, 1.0])
def test_nothing_or_everything_damaged_gives_numbers(name: str, damaged: float) -> None:
    network = make(name)
    inputs = draw_inputs(network, 1)
    inputs[:, 3] = damaged
    with torch.no_grad():
        assert torch.isfinite(network(inputs)).all()


def test_a_fill_changes_nothing_outside_its_mask() -> None:
    network = make("gated")
    inputs = draw_inputs(network, 2)
    with torch.no_grad():
        filled = network(inputs)
    sound = (inputs[:, 3:] == 0).expand_as(filled)
    assert torch.equal(filled[sound], inputs[:, :3][sound])
    assert (filled[~sound] != inputs[:, :3][~sound]).any()


def test_a_fused_network_takes_any_strides_and_leaves_the_trained_one_as_it_was() -> None:
    network = make("unet")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fused = fuse_for_inference(network).eval()
    inputs = draw_inputs(network, 1, 16, 96)
    with torch.no_grad():
        torch.testing.assert_close(fused(inputs), network(inputs), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_is_made_by_its_name_or_the_known_names_are_listed() -> None:
    with pytest.raises(SettingsError, match=r"no network named `vit`. Choose one of: unet, gated, attentive"):
        build("vit")
    with pytest.raises(SettingsError, match=r"`unet` cannot be made so: .*depth.* Leave that option out"):
        build("unet", depth=3)
    with pytest.raises(SettingsError, match="Choose one of: a"):
        build_from({"a": "x:Y"}, "unet")
