"""What every engine must keep, as checks that its author can run.

Call them from a test of your own package; they raise :class:`BrokenContract`, which is an ``AssertionError``::

    from redust.core.contracts import check_inpainter

    def test_keeps_the_contract():
        check_inpainter(MyFill())

The built-in engines pass the same checks. Pictures are drawn on the spot, with a fixed seed; a check takes a few
calls of the engine on pictures not much larger than it asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from redust.core.arrays import PIXEL_DTYPES, DamageMap, Light, Mask, Pixels, from_light, full_scale
from redust.core.engines import Detector, Generator, Inpainter, Needs, levels_of
from redust.core.logits import prior_shift_of
from redust.core.pre_blur import PreBlur, pre_blur_of
from redust.core.prior_shift import PriorShift
from redust.core.settings import Sensitivity
from redust.core.tiles import round_up

_CALLS_AT_ONCE = 4


class BrokenContract(AssertionError):
    """An engine does not keep what the house relies on; the message says what."""


def check_detector(detector: Detector, *, tolerance: float = 1e-3) -> None:
    """Check a detector against its contract.

    It states its needs and a level in 0..1, and if it has levels by sensitivity, all three in order; answers float32
    of the tile's size in 0..1, finite, the same every time and from several threads at once; writes to nothing it
    was given; and gives a pixel the same answer in any tile that reaches `needs.context` beyond it.

    Parameters
    ----------
    detector
        Ready for use.
    tolerance
        By how much the answer for one pixel may differ between tiles.

    Raises
    ------
    BrokenContract
        At the first broken promise.
    """
    _check_facts(detector, detector.needs)
    _demand(0.0 <= detector.level <= 1.0, f"level is {detector.level}, not in 0..1")
    _check_levels(detector)
    for channels in detector.needs.channels:
        light = _light(_side(detector.needs, 64), channels)
        found = _detected(detector, light)
        _check_repeats(partial(detector.detect, light), found, detector.needs)
        _detected(detector, np.zeros_like(light))
        _detected(detector, np.ones_like(light))
    _check_tiles(partial(_detected, detector), detector.needs, tolerance)


def check_generator(generator: Generator, *, tolerance: float = 1e-3) -> None:
    """Check a generator that restores without a mask against its contract.

    It states its needs and a level in 0..1; answers float32 light of the tile's shape, finite, the same every time
    and from several threads at once; writes to nothing it was given; and gives a pixel the same answer in any tile
    that reaches `needs.context` beyond it.

    Parameters
    ----------
    generator
        Ready for use.
    tolerance
        By how much the answer for one pixel may differ between tiles.

    Raises
    ------
    BrokenContract
        At the first broken promise.
    """
    _check_facts(generator, generator.needs)
    _demand(0.0 <= generator.level <= 1.0, f"level is {generator.level}, not in 0..1")
    for channels in generator.needs.channels:
        light = _light(_side(generator.needs, 64), channels + generator.needs.attention)
        _check_repeats(partial(generator.generate, light), _generated(generator, light), generator.needs)
        _generated(generator, np.zeros_like(light))
        _generated(generator, np.ones_like(light))
    _check_tiles(partial(_generated, generator), generator.needs, tolerance, int(generator.needs.attention))


def check_inpainter(inpainter: Inpainter) -> None:
    """Check a fill against its contract.

    At each depth and channel count it says it takes: it answers an array of the same shape and dtype, finite, the
    same every time and from several threads at once; writes to nothing it was given; fills damage at the border,
    scattered, and wide; leaves even ground even, within one step; and at 16 bit and float fills finer than 8 bit.
    What it returns outside the mask is never used.

    Raises
    ------
    BrokenContract
        At the first broken promise.
    """
    needs = inpainter.needs
    _check_facts(inpainter, needs)
    _demand(bool(needs.depths), "needs.depths is empty: it takes no scan at all")
    known = [dtype.name for dtype in PIXEL_DTYPES]
    _demand(set(needs.depths) <= set(known), f"needs.depths is {needs.depths}, not some of {known}")
    for depth in needs.depths:
        for channels in needs.channels:
            _check_fill(inpainter, np.dtype(depth), channels)


def _check_levels(detector: Detector) -> None:
    """Levels by sensitivity, where there are any: all of them, in order, the usual one among them. And what they and
    the look at a scan follow."""
    levels = levels_of(detector)
    if levels:
        _demand(set(levels) == set(Sensitivity), f"levels has {sorted(levels)}, not one for each sensitivity")
        _demand(levels[Sensitivity.normal] == detector.level, "levels has another level for normal than level says")
        _demand(
            0.0 <= levels[Sensitivity.eager] <= detector.level <= levels[Sensitivity.shy] <= 1.0,
            f"levels are {dict(levels)}, not in order from eager to shy within 0..1",
        )
    prior_shift = prior_shift_of(detector)
    _demand(
        prior_shift is None or isinstance(prior_shift, PriorShift),
        f"prior_shift is a {type(prior_shift).__name__}, not an Adaptation of redust.core.prior_shift",
    )
    pre_blur = pre_blur_of(detector)
    _demand(
        pre_blur is None or isinstance(pre_blur, PreBlur),
        f"pre_blur is a {type(pre_blur).__name__}, not a Softening of redust.core.pre_blur",
    )


def _check_fill(inpainter: Inpainter, dtype: np.dtype[Any], channels: int) -> None:
    side = _side(inpainter.needs, 40)
    pixels = from_light(_light(side, channels), dtype)
    for mask in _masks(side):
        filled = _filled(inpainter, pixels, mask)
    _check_repeats(partial(inpainter.fill, pixels, mask), filled, inpainter.needs)
    least = _side(inpainter.needs, 1)
    small = np.zeros((least, least), np.bool_)
    small[0, 0] = True
    if least > 1:
        _filled(inpainter, np.ascontiguousarray(pixels[:least, :least]), small)
    _check_even(inpainter, dtype, (side, side, channels))
    if dtype != np.uint8:
        _check_fine(inpainter, dtype, (side, side, channels))


def _check_even(inpainter: Inpainter, dtype: np.dtype[Any], shape: tuple[int, int, int]) -> None:
    """Even ground stays even."""
    step = 1.0 if dtype != np.float32 else 1e-3
    for level in (0.0, 0.3, 1.0):
        even = from_light(np.full(shape, level, np.float32), dtype)
        for mask in _masks(shape[0]):
            off = np.abs(_filled(inpainter, even, mask).astype(np.float64) - even)[mask].max()
            _demand(off <= step, f"even ground of {even.flat[0]} ({dtype}) is filled {off:g} off")


def _check_fine(inpainter: Inpainter, dtype: np.dtype[Any], shape: tuple[int, int, int]) -> None:
    """A faint ramp, half a step of 8 bit in all and between two such steps, is not filled in 8-bit steps."""
    ramp = np.linspace(0.5 - 1 / 1020, 0.5 + 1 / 1020, shape[1])[None, :, None] * np.ones(shape)
    pixels = ramp.astype(dtype) if dtype == np.float32 else np.rint(ramp * full_scale(dtype)).astype(dtype)
    mask = next(_masks(shape[0]))
    off = np.abs(_filled(inpainter, pixels, mask).astype(np.float64) / full_scale(dtype) - ramp)[mask].max()
    _demand(off <= 1 / 700, f"a ramp finer than 8 bit comes back {off * 255:.2g} steps of 8 bit off at {dtype}")


def _filled(inpainter: Inpainter, pixels: Pixels, mask: Mask) -> Pixels:
    """The fill of a copy, checked for what every answer must be."""
    given, hole = pixels.copy(), mask.copy()
    filled = inpainter.fill(given, hole)
    _demand(np.array_equal(given, pixels), "it wrote to the pixels it was given")
    _demand(np.array_equal(hole, mask), "it wrote to the mask it was given")
    _check_array(filled, pixels.shape, pixels.dtype)
    return filled


def _detected(detector: Detector, light: Light) -> DamageMap:
    """The answer for a copy, checked for what every answer must be."""
    given = light.copy()
    found = detector.detect(given)
    _demand(np.array_equal(given, light), "it wrote to the light it was given")
    _check_array(found, light.shape[:2], np.dtype(np.float32))
    _demand(bool(found.min() >= 0 and found.max() <= 1), f"its map spans {found.min()} to {found.max()}, not 0..1")
    return found


def _generated(generator: Generator, light: Light) -> Light:
    """The answer for a copy, checked for what every answer must be."""
    given = light.copy()
    found = generator.generate(given)
    _demand(np.array_equal(given, light), "it wrote to the light it was given")
    _check_array(found, (*light.shape[:2], light.shape[2] - generator.needs.attention), np.dtype(np.float32))
    return found


def _check_tiles(ask: Callable[[Light], Any], needs: Needs, tolerance: float, more: int = 0) -> None:
    """A pixel gets the same answer in any tile that reaches far enough."""
    halo, core = round_up(needs.context, needs.multiple_of), _side(needs, 16)
    shift = max(needs.multiple_of, 8 // needs.multiple_of * needs.multiple_of)
    light = _light(core + 2 * halo + shift, max(needs.channels) + more)
    inner = slice(halo + shift, halo + core)
    whole = ask(light)[inner, inner]
    part = ask(np.ascontiguousarray(light[shift:, shift:]))
    moved = slice(inner.start - shift, inner.stop - shift)
    off = float(np.abs(whole - part[moved, moved]).max()) if whole.size else 0.0
    _demand(off <= tolerance, f"a pixel's answer changes by {off:.3g} with its tile: needs.context is too small")


def _check_facts(engine: Detector | Inpainter | Generator, needs: Needs) -> None:
    _demand(bool(isinstance(engine.name, str) and engine.name), "name is not a word")
    _demand(isinstance(needs, Needs), "needs is no Needs")
    _demand(needs.multiple_of >= 1 and needs.minimum >= 1, "needs.multiple_of and needs.minimum are at least 1")
    _demand(needs.context >= 0, "needs.context is negative")
    _demand(bool(needs.channels) and set(needs.channels) <= {1, 3}, f"needs.channels is {needs.channels}, not 1, 3")


def _check_array(found: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    _demand(isinstance(found, np.ndarray), f"it answered {type(found).__name__}, not an array")
    assert isinstance(found, np.ndarray)
    _demand(found.shape == shape, f"it answered shape {found.shape} for {shape}")
    _demand(found.dtype == dtype, f"it answered {found.dtype} where {dtype} is due")
    _demand(bool(np.isfinite(found).all()), "its answer is not finite everywhere")


def _check_repeats(call: Callable[[], Any], first: Any, needs: Needs) -> None:
    """Again, and from several threads if the engine says it bears that."""
    _demand(np.array_equal(call(), first), "it answers differently the second time")
    if not needs.threadsafe:
        return
    with ThreadPoolExecutor(_CALLS_AT_ONCE) as pool:
        answers = [future.result() for future in [pool.submit(call) for _ in range(_CALLS_AT_ONCE)]]
    same = all(np.array_equal(answer, first) for answer in answers)
    _demand(same, "it answers differently from several threads at once: set needs.threadsafe to False")


def _side(needs: Needs, least: int) -> int:
    """A height and width the engine accepts."""
    return round_up(max(least, needs.minimum), needs.multiple_of)


def _light(side: int, channels: int) -> Light:
    """A picture with an edge, a ramp, a weave and grain, in 0..1."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    grain = np.random.default_rng(7).normal(0, 0.02, (side, side, channels))
    ground = 0.3 + 0.3 * (rows > columns) + 0.1 * columns / side + 0.05 * np.sin(columns / 2)
    return np.asarray(np.clip(ground[..., None] + grain, 0, 1), np.float32)


def _masks(side: int) -> Iterator[Mask]:
    """A hair, one sound pixel, damage at the border, damage all over: what a picture of `side` allows of them."""
    hair, border, lonely = (np.zeros((side, side), np.bool_) for _ in range(3))
    hair[side // 3 : side // 3 + 2, : -side // 8] = True
    border[: side // 4] = border[:, -(side // 4) :] = border[-1:] = True
    scattered = np.random.default_rng(3).random((side, side)) < 0.4
    lonely[...] = True
    lonely[side // 2, side // 2] = False
    yield from (mask for mask in (hair, lonely, border, scattered) if mask.any() and not mask.all())


def _demand(kept: bool, complaint: str) -> None:
    if not kept:
        raise BrokenContract(complaint)
