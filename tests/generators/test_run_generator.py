"""Any generator over any scan: depths, channels, borders, sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from doubles import Attentive, Dimmer
from drawing import draw
from redust.core.arrays import Light, full_scale
from redust.core.engines import Needs
from redust.core.errors import EngineError, ModelError, UnknownEngine
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


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (75, 61)])
def test_the_answer_does_not_depend_on_the_tile(dtype: type, shape: tuple[int, int]) -> None:
    pixels = (np.random.default_rng(0).random((*shape, 3)) * full_scale(np.dtype(dtype))).astype(dtype)
    damage = np.random.default_rng(1).random(shape).astype(np.float32)
    complete = run_generator(Attentive(), pixels, damage=damage)
    for tile in (4, 17, 64):
        tiled = run_generator(Attentive(), pixels, damage=damage, tile=tile)
        np.testing.assert_array_equal(tiled[0], complete[0])
        np.testing.assert_array_equal(tiled[1], complete[1])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_scan_gets_the_turned_answer(turns: int) -> None:
    pixels = draw(44, 52)
    upright, change = run_generator(Dimmer(), pixels, tile=16)
    turned, turned_change = run_generator(Dimmer(), np.ascontiguousarray(np.rot90(pixels, turns)), tile=16)
    np.testing.assert_array_equal(turned, np.rot90(upright, turns))
    np.testing.assert_array_equal(turned_change, np.rot90(change, turns))


class Mirror(Dimmer):
    """A generator that changes nothing."""

    def generate(self, light: Light) -> Light:
        return light.copy()


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_generator_that_changes_nothing_returns_every_sample_exactly(dtype: type, channels: int) -> None:
    values = np.linspace(0, full_scale(np.dtype(dtype)), 900 * channels).reshape(30, 30, channels)
    pixels = values.astype(dtype)
    restored, change = run_generator(Mirror(), pixels)
    rounding = 1e-7 if (channels, pixels.dtype) == (1, np.float32) else 0  # the mean of three equal channels
    np.testing.assert_allclose(restored, pixels, rtol=0, atol=rounding)
    assert change.max() <= (0 if channels == 3 else 1e-6)


def test_the_change_is_that_of_the_channel_that_changes_most() -> None:
    class Reddens(Dimmer):
        def generate(self, light: Light) -> Light:
            return np.clip(light + np.float32([0.3, -0.1, 0.0]), 0, 1).astype(np.float32)

    restored, change = run_generator(Reddens(), np.full((9, 9, 3), 0.5, np.float32))
    np.testing.assert_allclose(change, 0.3, atol=1e-6)
    np.testing.assert_allclose(restored[0, 0], [0.8, 0.4, 0.5], atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_without_a_number_is_refused(value: float) -> None:
    class Undefined(Dimmer):
        def generate(self, light: Light) -> Light:
            return np.full_like(light, value)

    with pytest.raises(EngineError, match="dimmer broke its contract: expected finite float32"):
        run_generator(Undefined(), draw())


def test_a_generator_cannot_write_to_what_it_is_shown() -> None:
    class Scribbles(Dimmer):
        def generate(self, light: Light) -> Light:
            light[...] = 0
            return light

    with pytest.raises(ValueError, match="read-only"):
        run_generator(Scribbles(), draw())


def test_what_is_no_scan_is_refused_before_the_generator_runs() -> None:
    engine = Dimmer()
    with pytest.raises(ValueError, match="shape"):
        run_generator(engine, np.zeros((4, 4), np.uint8))
    with pytest.raises(TypeError, match="uint8, uint16 or float32"):
        run_generator(engine, np.zeros((4, 4, 3)))
    assert engine.calls == 0


def test_a_folder_that_is_no_model_is_refused_as_one() -> None:
    with pytest.raises(ModelError, match=r"holds no card\.json"):
        make_generator("no/such/model")
