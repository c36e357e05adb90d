"""The contract of every engine, as checks that its author can run.

Call them from a test of your own package; they raise :class:`BrokenContract`, which is an ``AssertionError``::

    from redust.core.contracts import check_inpainter

    def test_keeps_the_contract():
        check_inpainter(MyFill())

The built-in engines pass the same checks. Pictures are drawn on the spot, with a fixed seed; a check takes a few
calls of the engine on pictures not much larger than its needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from redust.core.arrays import PIXEL_DTYPES, DamageMap, Light, Mask, Pixels, from_light, full_scale
from redust.core.engines import (
    Detector,
    DetectorSpec,
    EngineSpec,
    Generator,
    Inpainter,
    MapSpec,
    Needs,
    PreBlur,
    PriorShift,
    missing_promise,
)
from redust.core.settings import Sensitivity
from redust.core.tiles import round_up

_PARALLEL_CALLS = 4


class BrokenContract(AssertionError):
    """An engine does not keep a promise of its contract; the message says which."""


def check_detector(detector: Detector, *, tolerance: float = 1e-3) -> None:
    """Check a detector against its contract.

    It has a spec and the methods of :class:`redust.core.engines.Detector`. Its level lies in 0..1, and its levels by
    sensitivity, if any, are complete and in order. It answers float32 of the tile's size in 0..1, finite, the same
    every time and from several threads at once; does not write to its input; and gives a pixel the same answer in any
    tile that reaches `needs.context` beyond it.

    Parameters
    ----------
    detector
        Ready for use.
    tolerance
        By how much the answer for a pixel may differ between tiles.

    Raises
    ------
    BrokenContract
        At the first broken promise.
    """
    _check_promises(detector, Detector)
    spec = detector.spec
    _check_map_spec(spec)
    _check_pre_blur(spec)
    for channels in spec.needs.channels:
        light = _draw_light(_accepted_side(spec.needs, 64), channels + spec.needs.infrared)
        answer = _checked_detect(detector, light)
        _check_repeats(partial(detector.detect, light), answer, spec.needs)
        _checked_detect(detector, np.zeros_like(light))
        _checked_detect(detector, np.ones_like(light))
    _check_tiles(partial(_checked_detect, detector), spec.needs, tolerance, int(spec.needs.infrared))
    detector.release_memory()


def check_generator(generator: Generator, *, tolerance: float = 1e-3) -> None:
    """Check a generator that restores without a mask against its contract.

    It has a spec and the methods of :class:`redust.core.engines.Generator`, and a level in 0..1. It answers float32
    light of the tile's shape, finite, the same every time and from several threads at once; does not write to its
    input; and gives a pixel the same answer in any tile that reaches `needs.context` beyond it.

    Parameters
    ----------
    generator
        Ready for use.
    tolerance
        By how much the answer for a pixel may differ between tiles.

    Raises
    ------
    BrokenContract
        At the first broken promise.
    """
    _check_promises(generator, Generator)
    _check_map_spec(generator.spec)
    needs = generator.spec.needs
    for channels in needs.channels:
        light = _draw_light(_accepted_side(needs, 64), channels + needs.attention)
        _check_repeats(partial(generator.generate, light), _checked_generate(generator, light), needs)
        _checked_generate(generator, np.zeros_like(light))
        _checked_generate(generator, np.ones_like(light))
    _check_tiles(partial(_checked_generate, generator), needs, tolerance, int(needs.attention))


def check_inpainter(inpainter: Inpainter) -> None:
    """Check a fill against its contract.

    It has a spec and the methods of :class:`redust.core.engines.Inpainter`. At each depth and channel count of its
    needs it answers an array of the same shape and dtype, finite, the same every time and from several threads at
    once; does not write to its input; fills damage at the border, scattered, and wide; leaves an even area even,
    within one step; and at 16 bit and float fills finer than 8 bit. What it returns outside the mask is never used.

    Raises
    ------
    BrokenContract
        At the first broken promise.
    """
    _check_promises(inpainter, Inpainter)
    needs = inpainter.spec.needs
    _demand(bool(needs.depths), "needs.depths is empty: it takes no scan at all")
    known = [dtype.name for dtype in PIXEL_DTYPES]
    _demand(set(needs.depths) <= set(known), f"needs.depths is {needs.depths}, not some of {known}")
    for depth in needs.depths:
        for channels in needs.channels:
            _check_fill(inpainter, np.dtype(depth), channels)


def _check_promises(engine: Detector | Inpainter | Generator, protocol: type) -> None:
    """All that the protocol names is there, and the spec's needs make sense."""
    lacking = missing_promise(engine, protocol)
    _demand(not lacking, lacking)
    spec: EngineSpec = engine.spec
    needs = spec.needs
    _demand(bool(isinstance(spec.name, str) and spec.name), "name is not a word")
    _demand(isinstance(needs, Needs), "needs is no Needs")
    _demand(needs.multiple_of >= 1 and needs.minimum >= 1, "needs.multiple_of and needs.minimum are at least 1")
    _demand(needs.context >= 0, "needs.context is negative")
    _demand(bool(needs.channels) and set(needs.channels) <= {1, 3}, f"needs.channels is {needs.channels}, not 1, 3")


def _check_map_spec(spec: MapSpec) -> None:
    """A level in 0..1; levels by sensitivity, if any, complete and in order; a prior shift of its type."""
    _demand(0.0 <= spec.level <= 1.0, f"level is {spec.level}, not in 0..1")
    _check_type("prior_shift", spec.prior_shift, PriorShift)
    levels = spec.levels
    if not levels:
        return
    _demand(set(levels) == set(Sensitivity), f"levels has {sorted(levels)}, not one for each sensitivity")
    _demand(levels[Sensitivity.normal] == spec.level, "levels has another level for normal than level says")
    _demand(
        0.0 <= levels[Sensitivity.eager] <= spec.level <= levels[Sensitivity.shy] <= 1.0,
        f"levels are {dict(levels)}, not in order from eager to shy within 0..1",
    )


def _check_pre_blur(spec: DetectorSpec) -> None:
    _check_type("pre_blur", spec.pre_blur, PreBlur)
    _demand(spec.open_blurred is None or callable(spec.open_blurred), "open_blurred cannot be called")


def _check_type(name: str, value: object, expected: type) -> None:
    allowed = value is None or isinstance(value, expected)
    _demand(allowed, f"{name} is a {type(value).__name__}, not a redust.core.engines.{expected.__name__}")


def _check_fill(inpainter: Inpainter, dtype: np.dtype[Any], channels: int) -> None:
    needs = inpainter.spec.needs
    side = _accepted_side(needs, 40)
    pixels = from_light(_draw_light(side, channels), dtype)
    for mask in _draw_masks(side):
        filled = _checked_fill(inpainter, pixels, mask)
    _check_repeats(partial(inpainter.fill, pixels, mask), filled, needs)
    smallest = _accepted_side(needs, 1)
    corner = np.zeros((smallest, smallest), np.bool_)
    corner[0, 0] = True
    if smallest > 1:
        _checked_fill(inpainter, np.ascontiguousarray(pixels[:smallest, :smallest]), corner)
    _check_even(inpainter, dtype, (side, side, channels))
    if dtype != np.uint8:
        _check_fine(inpainter, dtype, (side, side, channels))


def _check_even(inpainter: Inpainter, dtype: np.dtype[Any], shape: tuple[int, int, int]) -> None:
    """An even area stays even."""
    step = 1.0 if dtype != np.float32 else 1e-3
    for level in (0.0, 0.3, 1.0):
        even = from_light(np.full(shape, level, np.float32), dtype)
        for mask in _draw_masks(shape[0]):
            off = np.abs(_checked_fill(inpainter, even, mask).astype(np.float64) - even)[mask].max()
            _demand(off <= step, f"an even area of {even.flat[0]} ({dtype}) is filled {off:g} off")


def _check_fine(inpainter: Inpainter, dtype: np.dtype[Any], shape: tuple[int, int, int]) -> None:
    """A faint ramp, half a step of 8 bit in all and between two such steps, is not filled in 8-bit steps."""
    ramp = np.linspace(0.5 - 1 / 1020, 0.5 + 1 / 1020, shape[1])[None, :, None] * np.ones(shape)
    pixels = ramp.astype(dtype) if dtype == np.float32 else np.rint(ramp * full_scale(dtype)).astype(dtype)
    mask = next(_draw_masks(shape[0]))
    off = np.abs(_checked_fill(inpainter, pixels, mask).astype(np.float64) / full_scale(dtype) - ramp)[mask].max()
    _demand(off <= 1 / 700, f"a ramp finer than 8 bit comes back {off * 255:.2g} steps of 8 bit off at {dtype}")


def _checked_fill(inpainter: Inpainter, pixels: Pixels, mask: Mask) -> Pixels:
    """The fill of a copy, checked for what every answer must be."""
    copy, hole = pixels.copy(), mask.copy()
    filled = inpainter.fill(copy, hole)
    _demand(np.array_equal(copy, pixels), "it wrote to its input pixels")
    _demand(np.array_equal(hole, mask), "it wrote to its input mask")
    _check_array(filled, pixels.shape, pixels.dtype)
    return filled


def _checked_detect(detector: Detector, light: Light) -> DamageMap:
    """The answer for a copy, checked for what every answer must be."""
    copy = light.copy()
    damage = detector.detect(copy)
    _demand(np.array_equal(copy, light), "it wrote to its input light")
    _check_array(damage, light.shape[:2], np.dtype(np.float32))
    _demand(bool(damage.min() >= 0 and damage.max() <= 1), f"its map spans {damage.min()} to {damage.max()}, not 0..1")
    return damage


def _checked_generate(generator: Generator, light: Light) -> Light:
    """The answer for a copy, checked for what every answer must be."""
    copy = light.copy()
    restored = generator.generate(copy)
    _demand(np.array_equal(copy, light), "it wrote to its input light")
    channels = light.shape[2] - generator.spec.needs.attention
    _check_array(restored, (*light.shape[:2], channels), np.dtype(np.float32))
    return restored


def _check_tiles(compute: Callable[[Light], Any], needs: Needs, tolerance: float, additional_channels: int = 0) -> None:
    """A pixel gets the same answer in any tile that reaches far enough."""
    halo, core = round_up(needs.context, needs.multiple_of), _accepted_side(needs, 16)
    shift = max(needs.multiple_of, 8 // needs.multiple_of * needs.multiple_of)
    light = _draw_light(core + 2 * halo + shift, max(needs.channels) + additional_channels)
    inner = slice(halo + shift, halo + core)
    inner_shifted = slice(inner.start - shift, inner.stop - shift)
    full = compute(light)[inner, inner]
    shifted = compute(np.ascontiguousarray(light[shift:, shift:]))[inner_shifted, inner_shifted]
    difference = float(np.abs(full - shifted).max()) if full.size else 0.0
    _demand(
        difference <= tolerance,
        f"a pixel's answer changes by {difference:.3g} with its tile: needs.context is too small",
    )


def _check_array(answer: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    _demand(isinstance(answer, np.ndarray), f"it answered {type(answer).__name__}, not an array")
    assert isinstance(answer, np.ndarray)
    _demand(answer.shape == shape, f"it answered shape {answer.shape} for {shape}")
    _demand(answer.dtype == dtype, f"it answered {answer.dtype} where {dtype} is due")
    _demand(bool(np.isfinite(answer).all()), "its answer is not finite everywhere")


def _check_repeats(call: Callable[[], Any], first: Any, needs: Needs) -> None:
    """The same answer again, and from several threads if the engine is threadsafe."""
    _demand(np.array_equal(call(), first), "it answers differently the second time")
    if not needs.threadsafe:
        return
    with ThreadPoolExecutor(_PARALLEL_CALLS) as pool:
        answers = [future.result() for future in [pool.submit(call) for _ in range(_PARALLEL_CALLS)]]
    same = all(np.array_equal(answer, first) for answer in answers)
    _demand(same, "it answers differently from several threads at once: set needs.threadsafe to False")


def _accepted_side(needs: Needs, smallest: int) -> int:
    """A height and width the engine accepts."""
    return round_up(max(smallest, needs.minimum), needs.multiple_of)


def _draw_light(side: int, channels: int) -> Light:
    """A picture with an edge, a ramp, a weave and grain, in 0..1."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    grain = np.random.default_rng(7).normal(0, 0.02, (side, side, channels))
    ground = 0.3 + 0.3 * (rows > columns) + 0.1 * columns / side + 0.05 * np.sin(columns / 2)
    return np.asarray(np.clip(ground[..., None] + grain, 0, 1), np.float32)


def _draw_masks(side: int) -> Iterator[Mask]:
    """A hair, one sound pixel, damage at the border, damage all over: what a picture of `side` allows of them."""
    hair, border, lonely = (np.zeros((side, side), np.bool_) for _ in range(3))
    hair[side // 3 : side // 3 + 2, : -side // 8] = True
    border[: side // 4] = border[:, -(side // 4) :] = border[-1:] = True
    scattered = np.random.default_rng(3).random((side, side)) < 0.4
    lonely[...] = True
    lonely[side // 2, side // 2] = False
    yield from (mask for mask in (hair, lonely, border, scattered) if mask.any() and not mask.all())


def _demand(condition: bool, complaint: str) -> None:
    if not condition:
        raise BrokenContract(complaint)
