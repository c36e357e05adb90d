"""The networks of the thesis."""

from __future__ import annotations

import pytest
import torch

from redust.core.errors import SettingsError
from redust.study.networks import build_study_network

SMALL = {
    "unet-thesis": {"channels": (4, 4, 8, 8, 8)},
    "cnn": {"side": 36, "channels": (8, 8, 16)},
}


@pytest.mark.parametrize("name", ["unet-thesis", "cnn"])
def test_nothing_beyond_the_halo_has_influence(name: str) -> None:
    torch.manual_seed(0)
    network = build_study_network(name, **SMALL[name]).eval()
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
        cnn, unet = build_study_network("cnn"), build_study_network("unet-thesis")
    assert sum(one.numel() for one in cnn.parameters()) == 103_977_008  # 103.7 million of them dense
    assert cnn.dense[-1].in_features == 9 * 9 * 128
    assert [block[0].out_channels for block in unet.down] == [128, 256, 512, 512]
    assert [block[0].in_channels for block in unet.up] == [128, 256, 512, 1024]


def test_a_cell_is_judged_alone() -> None:
    torch.manual_seed(0)
    network = build_study_network("cnn", **SMALL["cnn"]).eval()
    light = torch.rand(1, 3, 72, 36)
    with torch.no_grad():
        together = network(light)
        apart = torch.cat([network(light[:, :, :36]), network(light[:, :, 36:])], dim=2)
    torch.testing.assert_close(together, apart)


@pytest.mark.parametrize("name", ["unet-thesis", "cnn"])
@pytest.mark.parametrize(("down", "across"), [(1, 1), (1, 3), (2, 1)])
def test_logits_have_the_size_of_the_light_in_whole_strides(name: str, down: int, across: int) -> None:
    network = build_study_network(name, **SMALL[name]).eval()
    height, width = down * network.stride, across * network.stride
    with torch.no_grad():
        logits = network(torch.rand(2, 3, height, width))
    assert logits.shape == (2, 1, height, width)
    assert logits.isfinite().all()


def test_a_cell_too_small_for_its_convolutions_is_refused() -> None:
    with pytest.raises(SettingsError, match="a cell of 28 pixels is too small for 3 pairs of convolutions"):
        build_study_network("cnn", side=28, channels=(4, 4, 4))
    assert build_study_network("cnn", side=36, channels=(4, 4, 4)).dense[-1].out_features == 36 * 36


@pytest.mark.parametrize("name", ["unet-thesis", "cnn"])
def test_dropout_is_for_training_alone(name: str) -> None:
    torch.manual_seed(0)
    network = build_study_network(name, dropout=0.5, **SMALL[name])
    light = torch.rand(2, 3, 4 * network.stride, network.stride)
    with torch.no_grad():
        network.train()
        assert (network(light) != network(light)).any()
        network.eval()
        torch.testing.assert_close(network(light), network(light), rtol=0, atol=0)


def test_unknown_networks_and_options_are_named() -> None:
    with pytest.raises(SettingsError, match="resnet"):
        build_study_network("resnet")
    with pytest.raises(SettingsError, match="depth"):
        build_study_network("cnn", depth=9)
