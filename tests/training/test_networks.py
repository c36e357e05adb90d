from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from redust.core.errors import SettingsError, TargetError
from redust.core.settings import Weights
from redust.detectors.onnx_detector import OnnxDetector
from redust.detectors.run_detector import detect_damage
from redust.models import networks, read_card
from redust.training import export
from redust.training.export import export_model
from redust.training.module import opinion

SMALL = {
    "unet": {"channels": (8, 8, 8, 8)},
    "unet-thesis": {"channels": (4, 4, 8, 8, 8)},
    "cnn": {"side": 36, "channels": (8, 8, 16)},
}


def test_networks_that_give_light_begin_by_changing_nothing() -> None:
    for name, channels in (("gated", (4, 8, 8)), ("residual", (8, 8, 8, 8))):
        network = networks.build(name, channels=channels).eval()
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
    for name in ("gated", "residual", "attentive"):
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


@pytest.mark.parametrize("name", networks.names())
def test_light_becomes_logits_of_its_size(name: str) -> None:
    network = networks.build(name, **SMALL[name]).eval()
    height, width = 2 * network.stride, 3 * network.stride
    assert network(torch.rand(2, 3, height, width)).shape == (2, 1, height, width)


@pytest.mark.parametrize("name", ["unet-thesis", "cnn"])
def test_nothing_beyond_the_halo_has_influence(name: str) -> None:
    torch.manual_seed(0)
    network = networks.build(name, **SMALL[name]).eval()
    stride, halo = network.stride, network.halo
    side = -(-(2 * halo + 2 * stride) // stride) * stride
    light = torch.rand(1, 3, side, side, requires_grad=True)
    row = halo + stride - 1
    network(light)[0, 0, row, row].backward()
    assert light.grad is not None
    seen = light.grad.abs().sum((0, 1)).nonzero()
    if halo:
        assert (seen - row).abs().max() <= halo
    else:  # it works in cells: nothing outside its own
        assert seen.min() // stride == seen.max() // stride == row // stride


def test_the_thesis_networks_have_the_thesis_sizes() -> None:
    with torch.device("meta"):
        cnn, unet = networks.build("cnn"), networks.build("unet-thesis")
    assert sum(one.numel() for one in cnn.parameters()) == 103_977_008  # 103.7 million of them dense
    assert cnn.dense[-1].in_features == 9 * 9 * 128
    assert [block[0].out_channels for block in unet.down] == [128, 256, 512, 512]
    assert [block[0].in_channels for block in unet.up] == [128, 256, 512, 1024]


def test_a_cell_is_judged_alone() -> None:
    torch.manual_seed(0)
    network = networks.build("cnn", **SMALL["cnn"]).eval()
    light = torch.rand(1, 3, 72, 36)
    with torch.no_grad():
        together = network(light)
        apart = torch.cat([network(light[:, :, :36]), network(light[:, :, 36:])], dim=2)
    torch.testing.assert_close(together, apart)


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(SettingsError, match="unet-thesis"):
        networks.build("resnet")
    with pytest.raises(SettingsError, match="depth"):
        networks.build("cnn", depth=3)
    with pytest.raises(SettingsError, match="too small"):
        networks.build("cnn", side=20)


def test_training_judges_at_two_scales_as_detecting_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = networks.build("unet", channels=(16, 16, 16, 16), finish=1, scales=(1, 2)).eval()
    network.head.weight.data *= 20
    rng = np.random.default_rng(0)
    light = cv2.GaussianBlur(rng.random((448, 448, 3), np.float32), (0, 0), 1.5)
    facts = {"name": "n", "summary": "s", "architecture": "unet"}
    card = export_model(network, tmp_path / "n", [light[:64, :64]], facts)
    assert card.scales == (1, 2)
    asked = detect_damage(OnnxDetector(tmp_path / "n", weights=Weights.float32), light)
    seen = opinion(network, light)
    middle = (slice(192, 256), slice(192, 256))  # out of reach of the border, which training pads otherwise
    assert seen[middle].std() > 0.01
    np.testing.assert_allclose(asked[middle], seen[middle], atol=2e-3)


def test_scales_count_by_their_shares() -> None:
    torch.manual_seed(0)
    network = networks.build("unet", channels=(16, 16, 16, 16), scales=(1, 2)).eval()
    light = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        one, two = (network.judged(light, shares) for shares in ((1, 0), (0, 1)))
        assert torch.equal(one, network(light))
        assert (one - two).abs().max() > 1e-3
        assert torch.allclose(network.judged(light), (one + two) / 2)
        assert torch.allclose(network.judged(light, (3, 1)), 0.75 * one + 0.25 * two)


@pytest.mark.parametrize("blocks", [(0, 0), (2, 1)])
def test_a_unet_is_run_unfolded_with_the_same_answers(blocks: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = networks.build("unet", channels=(8, 12, 16, 20), finish=1, blocks=blocks)
    for one in network.modules():
        if isinstance(one, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(one.weight, 0.5, 2)
            torch.nn.init.uniform_(one.running_mean, -0.2, 0.2)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    running = networks.to_run(network)
    light = torch.rand(2, 3, 48, 80)
    with torch.no_grad():
        expected = network.eval()(light)
        torch.testing.assert_close(running(light), expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.1
    assert not any(isinstance(one, torch.nn.PixelUnshuffle) for one in running.modules())
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())


@pytest.mark.parametrize("name", ["residual", "attentive", "unet-thesis"])
def test_other_networks_are_run_as_they_are(name: str) -> None:
    network = networks.build(name, **SMALL.get(name, {"channels": (8, 8, 8, 8)}))
    assert networks.to_run(network) is network


def test_an_export_that_fails_leaves_the_model_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    light, facts = np.zeros((32, 32, 3), np.float32), {"name": "n", "summary": "s", "architecture": "unet"}
    first, second = (networks.build("unet", **SMALL["unet"]) for _ in range(2))
    export_model(first, tmp_path, [light], facts)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"card.json", "model.onnx", "model-int8.onnx", "weights.safetensors"}

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export, "write_int8", full)
    with pytest.raises(TargetError, match="Free space"):
        export_model(second, tmp_path, [light], facts)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    card = export_model(second, tmp_path, [light], facts)
    assert card == read_card(tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() != before["weights.safetensors"]


@pytest.mark.parametrize("name", ["unet", "unet-thesis", "cnn"])
def test_nothing_between_int8_products_is_left_in_float32(tmp_path: Path, name: str) -> None:
    import onnx

    torch.manual_seed(0)
    network = networks.build(name, **SMALL[name]).eval()
    light = np.random.default_rng(0).random((72, 72, 3), np.float32)
    export_model(network, tmp_path, [light], {"name": "n", "summary": "s", "architecture": name})
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
    network = networks.build(name, **SMALL[name]).eval()
    light = np.random.default_rng(0).random((64, 64, 3), np.float32)
    export_model(network, tmp_path, [light], {"name": "n", "summary": "s", "architecture": name})
    graph = onnx.load(tmp_path / "model-int8.onnx").graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    weights = [made.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    assert weights == [None] * exact + ["DequantizeLinear"] * (len(weights) - exact)
    assert len(weights) > exact
