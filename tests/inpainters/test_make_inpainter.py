"""Inpainters are made by name or from a model folder; the network's input is what training feeds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from redust.core.engines import Inpainter
from redust.core.errors import ModelError, RedustError, UnknownEngine
from redust.inpainters import catalogue, make_inpainter
from redust.inpainters.onnx_inpainter import OnnxInpainter, with_mask
from redust.models import shipped_for


@pytest.mark.parametrize("name", catalogue.names())
def test_every_name_makes_an_inpainter(name: str) -> None:
    try:
        inpainter = make_inpainter(name)
    except RedustError as error:
        pytest.skip(f"not installed: {error}")
    assert isinstance(inpainter, Inpainter)
    assert inpainter.spec.needs.context >= 2


def test_a_model_folder_is_an_inpainter() -> None:
    folder = shipped_for("fill", "fill", "--fill")
    by_path, by_name = make_inpainter(str(folder)), make_inpainter("network")
    assert isinstance(by_path, OnnxInpainter)
    pixels = np.random.default_rng(0).random((32, 48, 3)).astype(np.float32)
    mask = np.zeros((32, 48), np.bool_)
    mask[10:14, 10:30] = True
    np.testing.assert_array_equal(by_path.fill(pixels, mask), by_name.fill(pixels, mask))


def test_a_missing_folder_and_another_task_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        make_inpainter(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="fill"):
        make_inpainter(str(shipped_for("unet", "detect", "--detector")))
    with pytest.raises(UnknownEngine):
        make_inpainter("nowhere")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_networks_input_is_colour_and_mask(channels: int) -> None:
    light = np.random.default_rng(0).random((5, 6, channels)).astype(np.float32)
    mask = light[..., 0] > 0.5
    stacked = with_mask(light, mask)
    assert stacked.shape == (5, 6, 4)
    assert stacked.dtype == np.float32
    np.testing.assert_array_equal(stacked[..., :3], np.broadcast_to(light, (5, 6, 3)))
    np.testing.assert_array_equal(stacked[..., 3], mask)


def test_the_network_leaves_light_beyond_white_in_float() -> None:
    pixels = np.full((32, 32, 3), 2.5, np.float32)
    mask = np.zeros((32, 32), np.bool_)
    mask[14:18, 14:18] = True
    filled = make_inpainter("network").fill(pixels, mask)
    assert filled[mask].mean() == pytest.approx(2.5, abs=0.2)
