from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from redust.core.errors import SettingsError, TargetError
from redust.models import networks, read_card
from redust.study.networks import build_study_network
from redust.training import export
from redust.training.export import export_detector

SMALL = {
    "unet": {"channels": (8, 8, 8, 8)},
    "unet-thesis": {"channels": (4, 4, 8, 8, 8)},
    "cnn": {"side": 36, "channels": (8, 8, 16)},
}


def test_networks_that_give_light_begin_by_changing_nothing() -> None:
    network = networks.build("gated", channels=(4, 8, 8)).eval()
    given = torch.rand(2, network.in_channels, 2 * network.stride, 3 * network.stride)
    torch.testing.assert_close(network(given), given[:, :3])


def test_an_attentive_network_begins_by_painting_over_what_the_map_says() -> None:
    network = networks.build("attentive", channels=(8, 8, 8, 8)).eval()
    rows, columns = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    light = torch.stack([rows / 192 + 0.2, columns / 192 + 0.2, torch.full((96, 96), 0.4)])[None]
    damage = torch.zeros(1, 1, 96, 96)
    damage[..., 40:44, 10:80] = 1
    damaged = torch.where(damage > 0, 1.0, light)
    torch.testing.assert_close(network(torch.cat([light, 0 * damage], 1)), light, atol=1e-3, rtol=0)
    restored = network(torch.cat([damaged, damage], 1))
    torch.testing.assert_close(restored, light, atol=0.03, rtol=0)
    assert (restored - damaged).abs()[damage.expand_as(light) > 0].min() > 0.2
    wide = torch.zeros(1, 1, 192, 192)
    wide[..., 64:128, 64:128] = 1
    even = torch.full((1, 3, 192, 192), 0.6)
    torch.testing.assert_close(network(torch.cat([even * (1 - wide), wide], 1)), even, atol=0.02, rtol=0)
    holes = torch.cat([damaged, torch.ones_like(damage)], 1)
    assert torch.isfinite(network(holes)).all()


def test_nothing_beyond_the_halo_has_influence_on_an_attentive_network() -> None:
    network = networks.build("attentive", channels=(2, 2, 2, 2)).double().eval()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.1)
    side, middle = 480, 239
    given = torch.rand(1, 4, side, side, dtype=torch.float64, requires_grad=True)
    network(given)[0, 0, middle, middle].backward()
    assert given.grad is not None
    seen = (given.grad.abs().sum((0, 1)).nonzero() - middle).abs().max()
    assert network.halo / 2 < seen <= network.halo


def test_a_correction_is_none_outside_the_mask_and_on_even_ground() -> None:
    torch.manual_seed(0)
    network = networks.build("gated", channels=(4, 8, 8)).eval()
    torch.nn.init.normal_(network.head.weight)
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 10:20, 10:20] = 1
    light = torch.rand(1, 3, 32, 32)
    off = (network(torch.cat([light, hole], 1)) - light).abs()
    assert off[..., 10:20, 10:20].min() > 0
    assert (off * (1 - hole)).max() == 0
    even = torch.full((1, 3, 32, 32), 0.3)
    torch.testing.assert_close(network(torch.cat([even, hole], 1)), even, atol=1e-6, rtol=0)


def test_fresh_gated_features_neither_vanish_nor_grow() -> None:
    torch.manual_seed(0)
    network = networks.build("gated").eval()
    seen: list[float] = []
    network.head.register_forward_pre_hook(lambda _, given: seen.append(given[0].std().item()))
    network(torch.cat([torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)], 1))
    assert 0.1 < seen[0] < 3


def test_the_networks_that_give_light_stay_small() -> None:
    for name in ("gated", "attentive"):
        assert sum(one.numel() for one in networks.build(name).parameters()) < 1_000_000


def test_nothing_beyond_the_halo_has_influence_on_a_correction() -> None:
    network = networks.build("gated", channels=(2, 2, 2)).double().eval()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.1)
    features = torch.rand(1, 7, 384, 384, dtype=torch.float64, requires_grad=True)
    network.correction(features)[0, 0, 199, 199].backward()
    assert features.grad is not None
    seen = (features.grad.abs().sum((0, 1)).nonzero() - 199).abs().max()
    assert network.halo / 2 < seen <= network.halo


@pytest.mark.parametrize("name", list(SMALL))
def test_light_becomes_logits_of_its_size(name: str) -> None:
    network = build_study_network(name, **SMALL[name]).eval()
    height, width = 2 * network.stride, 3 * network.stride
    assert network(torch.rand(2, 3, height, width)).shape == (2, 1, height, width)


def test_unknown_names_and_options_are_refused() -> None:
    for name in ("resnet", "cnn", "unet-thesis"):  # the last two belong to the study
        with pytest.raises(SettingsError, match="attentive"):
            networks.build(name)
    with pytest.raises(SettingsError, match="depth"):
        networks.build("unet", depth=3)
    with pytest.raises(SettingsError, match="too small"):
        build_study_network("cnn", side=20)


def test_a_unet_is_fused_with_the_same_answers() -> None:
    torch.manual_seed(0)
    network = networks.build("unet", channels=(8, 12, 16, 20))
    for one in network.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(one.weight, 0.5, 2)
            torch.nn.init.uniform_(one.running_mean, -0.2, 0.2)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    running = networks.fuse_for_inference(network)
    light = torch.rand(2, 3, 48, 80)
    with torch.no_grad():
        expected = network.eval()(light)
        torch.testing.assert_close(running(light), expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.1
    assert not any(isinstance(one, torch.nn.PixelUnshuffle) for one in running.modules())
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())


def test_other_networks_are_run_as_they_are() -> None:
    network = networks.build("attentive", channels=(8, 8, 8, 8))
    assert networks.fuse_for_inference(network) is network


def test_an_export_that_fails_leaves_the_model_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    light, facts = np.zeros((32, 32, 3), np.float32), {"name": "n", "summary": "s", "architecture": "unet"}
    first, second = (networks.build("unet", **SMALL["unet"]) for _ in range(2))
    export_detector(first, tmp_path, [light], facts)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"card.json", "model.onnx", "model-int8.onnx", "weights.safetensors"}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export, "write_int8", full)
    with pytest.raises(TargetError, match="Free space"):
        export_detector(second, tmp_path, [light], facts)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    card = export_detector(second, tmp_path, [light], facts)
    assert card == read_card(tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() != before["weights.safetensors"]


@pytest.mark.parametrize("name", ["unet", "unet-thesis", "cnn"])
def test_nothing_between_int8_products_is_left_in_float32(tmp_path: Path, name: str) -> None:
    import onnx

    torch.manual_seed(0)
    network = build_study_network(name, **SMALL[name]).eval()
    light = np.random.default_rng(0).random((72, 72, 3), np.float32)
    export_detector(network, tmp_path, [light], {"name": "n", "summary": "s", "architecture": name})
    nodes = list(onnx.load(tmp_path / "model-int8.onnx").graph.node)
    eight = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    products = [
        place
        for place, node in enumerate(nodes)
        if node.op_type in ("Conv", "Gemm", "MatMul") and {*node.input[:2]} <= eight
    ]
    assert len(products) > 4
    between = nodes[products[0] : products[-1]]
    kinds = {node.op_type for node in between}
    assert "Relu" not in kinds  # what the products give ends at 0
    assert kinds & {"unet": {"Add", "Resize"}, "unet-thesis": {"Resize", "MaxPool"}, "cnn": {"MaxPool"}}[name]
    for node in between:
        given = {"Add": node.input, "Resize": node.input[:1], "MaxPool": node.input[:1]}.get(node.op_type, [])
        assert set(given) <= eight, node.name
        if node.op_type == "Concat" and eight.intersection(node.input):
            assert set(node.input) <= eight, node.name


@pytest.mark.parametrize(("name", "exact"), [("unet", 3), ("unet-thesis", 1)])
def test_the_first_convolutions_stay_exact_in_int8(tmp_path: Path, name: str, exact: int) -> None:
    import onnx

    torch.manual_seed(0)
    network = build_study_network(name, **SMALL[name]).eval()
    light = np.random.default_rng(0).random((64, 64, 3), np.float32)
    export_detector(network, tmp_path, [light], {"name": "n", "summary": "s", "architecture": name})
    graph = onnx.load(tmp_path / "model-int8.onnx").graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    weights = [made.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    assert weights == [None] * exact + ["DequantizeLinear"] * (len(weights) - exact)
    assert len(weights) > exact
