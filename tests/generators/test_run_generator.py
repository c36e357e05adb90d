"""Any generator over any scan: depths, channels, borders, sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from doubles import Attentive, Dimmer
from drawing import draw
from redust.core.arrays import Light, full_scale
from redust.core.engines import Needs
from redust.core.errors import EngineError, UnknownEngine
from redust.generators import make_generator
from redust.generators.run_generator import run_generator

DEPTHS = (np.uint8, np.uint16, np.float32)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_answer_has_the_depth_and_channels_of_the_scan(dtype: type, channels: int) -> None:
    pixels = draw(50, 70, channels=channels, dtype=dtype)
    before = pixels.copy()
    shares: list[float] = []
    made, change = run_generator(Dimmer(), pixels, tile=16, progress=shares.append)
    assert (made.dtype, made.shape, change.shape) == (pixels.dtype, pixels.shape, (50, 70))
    np.testing.assert_array_equal(pixels, before)
    white = pixels.max(axis=2) == pixels.max()
    scale = full_scale(pixels.dtype)
    np.testing.assert_allclose(made[white] / scale, 0.5, atol=0.01)
    np.testing.assert_allclose(change[white], 0.5, atol=1e-3)
    np.testing.assert_allclose(change[~white], 0.02, atol=1e-3)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (2, 3), (67, 129)])
def test_odd_sizes(shape: tuple[int, int]) -> None:
    made, change = run_generator(Dimmer(), np.full((*shape, 1), 255, np.uint8))
    assert (made == 128).all()
    assert change.shape == shape


def test_light_beyond_white_is_kept_and_no_number_is_none() -> None:
    pixels = np.full((8, 8, 3), 0.5, np.float32)
    pixels[0, 0], pixels[1, 1] = 1.7, np.nan
    made, change = run_generator(Dimmer(), pixels)
    np.testing.assert_allclose(made[0, 0], 1.2)
    assert np.isfinite(made).all()
    assert np.isfinite(change).all()


class OneChannel(Dimmer):
    spec = replace(Dimmer.spec, needs=Needs(channels=(1,)))


class Broken(Dimmer):
    def generate(self, light: Light) -> Light:
        return light[..., :1]


def test_a_generator_of_one_channel_runs_on_each() -> None:
    engine = OneChannel()
    run_generator(engine, draw())
    assert engine.calls == 3


def test_a_broken_contract_is_named() -> None:
    with pytest.raises(EngineError, match="dimmer broke its contract"):
        run_generator(Broken(), draw())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_damage_map_is_one_more_channel_where_it_is_needed(channels: int) -> None:
    pixels = np.full((50, 70, channels), 0.8, np.float32)
    damage = np.random.default_rng(0).random((50, 70)).astype(np.float32)
    made, change = run_generator(Attentive(), pixels, damage=damage, tile=16)
    np.testing.assert_allclose(made, pixels * (1 - damage[..., None] / 4), rtol=1e-5)
    np.testing.assert_allclose(change, 0.2 * damage, atol=1e-6)
    with pytest.raises(EngineError, match="attentive needs a damage map"):
        run_generator(Attentive(), pixels)
    _, unmoved = run_generator(Dimmer(), pixels, damage=damage)
    np.testing.assert_allclose(unmoved, 0.02, atol=1e-6)


@pytest.mark.usefixtures("plugins")
def test_generators_are_found_by_name() -> None:
    assert isinstance(make_generator("dimmer"), Dimmer)
    with pytest.raises(UnknownEngine, match="dimmer"):
        make_generator("nobody")
