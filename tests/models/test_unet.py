"""The shipped architecture: its stated halo, stride and cost are measured, not believed."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from redust.models import shipped_folder  # noqa: E402  # needs torch, as the tests do
from redust.models.networks.unet import UNet  # noqa: E402  # needs torch


def spread(network: torch.nn.Module, row: int, column: int, side: int = 288) -> int:
    """How far the farthest input pixel lies that influences one output pixel."""
    light = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    network(light + 2)[0, 0, row, column].backward()
    assert light.grad is not None
    rows, columns = torch.where(light.grad[0].abs().sum(0) > 0)
    return int(max((rows - row).abs().max(), (columns - column).abs().max()))


@pytest.mark.parametrize("place", [(144, 144), (159, 159), (151, 152), (144, 159)])
def test_nothing_beyond_the_halo_has_influence(place: tuple[int, int]) -> None:
    network = UNet((4, 4, 4, 4)).double().eval()
    for parameter in network.parameters():  # positive weights: no influence is cancelled or cut off
        parameter.data.abs_()
    reach = spread(network, *place)
    assert 48 < reach <= network.halo == 96


@pytest.mark.parametrize("size", [(16, 16), (48, 32)])
def test_gives_one_logit_a_pixel(size: tuple[int, int]) -> None:
    assert UNet((4, 4, 4, 4))(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_costs_at_most_40_gflop_per_megapixel() -> None:
    network, total = UNet(), 0

    def count(layer: torch.nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += 2 * output.numel() * layer.weight[0].numel()

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 64))
    assert 30 < total / (64 * 64) * 1e6 / 1e9 < 40


@pytest.mark.parametrize("folder", ["unet", "unet/soft"])
@pytest.mark.parametrize("file", ["model.onnx", "model-int8.onnx"])
def test_the_shipped_files_copy_no_pictures(folder: str, file: str) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(shipped_folder("unet").parent / folder / file).graph
    kinds = {node.op_type for node in graph.node}
    assert "Conv" in kinds
    assert not kinds & {"Transpose", "Concat", "Reshape"}
