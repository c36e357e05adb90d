"""Synthetic grain for filled pixels: fine texture of the strength and spectrum of the sound surroundings.

A fill predicts the expected value; grain, paper and weave cannot be predicted, and without them a smooth spot remains
visible. For each box of damage the light is split into a smooth and a fine part. The strength of the fine part is
estimated from sound blocks nearby, weighted by distance and similar light and limited by their median, since an edge
of the scene is no grain. The fill's own fine part is amplified somewhat (a prediction is too smooth), and the rest is
synthesized: white noise with the power spectrum of the surrounding fine part, in all channels at once, so that
amplitudes and correlation between channels are preserved.

The noise is seeded by the box's position, and a box depends on sound pixels and its own target only: the result does
not depend on the order of work or the number of threads.

Source of the synthesis: B. Galerne, Y. Gousseau, J.-M. Morel, "Random Phase Textures: Theory and Synthesis", IEEE
Transactions on Image Processing 20 (2011), doi:10.1109/TIP.2010.2052822 (asymptotic discrete spot noise). Difference:
the strength varies from pixel to pixel and is what the fill lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.tiles import Rectangle, round_up
from redust.inpainters.fill_windows import Box, FillWindow, cut_boxes

_Floats: TypeAlias = NDArray[np.float32]

_CONTEXT = 16  # pixels around a box in which grain is measured
_FINE_SIGMA = 1.75  # pixels: what this Gaussian blur removes is fine
_BLOCK = 4  # side in pixels of the blocks in which grain is measured
_DISTANCE_SIGMA = 8.0  # pixels: weight of a block by distance
_LIGHT_SIGMA = 0.5  # weight by difference of light, in standard deviations of the surrounding light
_POWER_MEAN = 0.25  # exponent of the mean over blocks: far below 1, so that few strong blocks count for little
_MEDIAN_LIMIT = 2.0  # times the median block: more is no grain
_MEAN_TO_DEVIATION = 1.3  # from such a mean to the standard deviation of all pixels: blocks differ
_LEAST_SOUND = 0.2  # sound share of a window; below, the nearest sound surroundings are measured
_CELL = 16  # pixels: side of the squares in which they are searched
_FILL_SIGMA = 1.5  # pixels within which the fill's own fine part is measured
_AMPLIFY = 1.5  # greatest factor on the fill's own fine part


@dataclass(frozen=True, eq=False)
class _Decomposition:
    """Light of a window split into ``smooth`` and ``fine`` (h, w, C), scaled to unit range, 0 where not visible.

    ``power`` (h, w) is the mean square of ``fine`` over channels.
    """

    top: int
    left: int
    sound: Mask
    smooth: _Floats
    fine: _Floats
    power: _Floats


def add_grain(filled: Pixels, hole: Mask, window: FillWindow, amount: float) -> Pixels:
    """Add grain to the target of one window.

    Parameters
    ----------
    filled : (H, W, C) uint8, uint16 or float32
        The scan with its damage filled. Not changed. Of damaged pixels only the window's target is read.
    hole : (H, W) bool
        All damaged pixels; at least one pixel is False.
    window
        The pixels to grain.
    amount : 0..1
        Share of the missing amplitude that is added.

    Returns
    -------
    patch : (h, w, C), dtype of `filled`
        The window; only its target is changed.
    """
    patch = filled[window.window].copy()
    for top, left, bottom, right in cut_boxes(window.target):
        target = window.target[top:bottom, left:right]
        box = window.top + top, window.left + left, window.top + bottom, window.left + right
        patch[top:bottom, left:right][target] = _grain_box(filled, hole, target, box, amount)
    return patch


def _grain_box(filled: Pixels, hole: Mask, box_target: Mask, box: Box, amount: float) -> Pixels:
    """The target pixels (n, C) of one box, with grain."""
    window = _add_margin(box, _CONTEXT, hole.shape)
    target = np.zeros_like(hole[window])
    top, left = box[0] - window[0].start, box[1] - window[1].start
    target[top : top + box_target.shape[0], left : left + box_target.shape[1]] = box_target
    reference = _reference_window(hole, box, window)
    sound = filled[reference][~hole[reference]]
    zero = sound[0]
    unit = float(np.abs(np.subtract(sound, zero, dtype=np.float64)).max())
    smooth = filled[window][target]
    if unit == 0:  # flat surroundings have no grain
        return smooth
    inside = _decompose(filled, hole, window, target, zero, unit)
    around = inside if reference == window else _decompose(filled, hole, reference, None, zero, unit)
    added = amount * unit * _missing_texture(inside, around, target, box)
    if filled.dtype == np.float32:
        return np.asarray(smooth + added, np.float32)
    return np.asarray(np.rint(smooth + added).clip(0, np.iinfo(filled.dtype).max), filled.dtype)


def _add_margin(box: Box, context: int, shape: tuple[int, ...]) -> Rectangle:
    """A box with context, cropped to the scan."""
    top, left, bottom, right = box
    return (
        slice(max(0, top - context), min(shape[0], bottom + context)),
        slice(max(0, left - context), min(shape[1], right + context)),
    )


def _reference_window(hole: Mask, box: Box, window: Rectangle) -> Rectangle:
    """The window in which the grain of a box is measured: around it, or the nearest sound area of a wide hole."""
    if 1 - np.count_nonzero(hole[window]) / hole[window].size >= _LEAST_SOUND:
        return window
    for wider in _growing_windows(box, hole.shape):
        sound = (~hole[wider]).astype(np.float32)
        height, width = (max(1, side // _CELL) for side in sound.shape)
        share = cv2.resize(sound, (width, height), interpolation=cv2.INTER_AREA)
        last = sound.size == hole.size
        candidates = np.argwhere(share >= min(0.5, float(share.max()) if last else 0.5))
        if candidates.size:
            tall, wide = sound.shape[0] / height, sound.shape[1] / width
            centres = (candidates + 0.5) * (tall, wide) + (wider[0].start, wider[1].start)
            distances = np.hypot(*(centres - ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)).T)
            row, column = (int(position) for position in centres[int(distances.argmin())])
            reach = _CONTEXT + max(int(tall), int(wide), _CELL) // 2
            return _add_margin((row, column, row + 1, column + 1), reach, hole.shape)
    return window


def _growing_windows(box: Box, shape: tuple[int, ...]) -> Iterator[Rectangle]:
    """Windows around a box, each with twice the margin of the one before; the last is the whole scan."""
    context = 4 * _CONTEXT
    while True:
        window = _add_margin(box, context, shape)
        yield window
        if (window[0].stop - window[0].start, window[1].stop - window[1].start) == shape:
            return
        context *= 2


def _decompose(
    filled: Pixels, hole: Mask, window: Rectangle, target: Mask | None, zero: NDArray[np.generic], unit: float
) -> _Decomposition:
    """Split the light of sound and target pixels of a window into smooth and fine by normalized convolution."""
    sound = ~hole[window]
    visible = sound if target is None else sound | target
    light = np.zeros((*sound.shape, filled.shape[2]), np.float32)
    light[visible] = np.subtract(filled[window][visible], zero, dtype=np.float64) / unit
    weight = visible.astype(np.float32)
    smooth = np.divide(_blur(light, _FINE_SIGMA), _blur(weight, _FINE_SIGMA)[..., None] + 1e-6, dtype=np.float32)
    fine = np.multiply(light - smooth, weight[..., None], dtype=np.float32)
    power = np.einsum("ijc,ijc->ij", fine, fine) / np.float32(fine.shape[2])
    return _Decomposition(window[0].start, window[1].start, sound, smooth, fine, power)


def _blur(values: _Floats, sigma: float) -> _Floats:
    """A Gaussian blur of (h, w, C) or (h, w); 0 beyond the border."""
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT).reshape(values.shape))


def _missing_texture(inside: _Decomposition, around: _Decomposition, target: Mask, box: Box) -> _Floats:
    """The fine texture that the target pixels lack: (n, C)."""
    strength = _expected_strength(inside, around, target)
    weight = target.astype(np.float32)
    power = _blur(inside.power * weight, _FILL_SIGMA)[target] / np.maximum(_blur(weight, _FILL_SIGMA)[target], 1e-6)
    factor = np.clip(strength / np.sqrt(np.maximum(power, 1e-12)), 1, _AMPLIFY)
    lacking = np.sqrt(np.maximum(np.square(strength) - power * np.square(factor), 0))
    noise = _synthesize_texture(around, target.shape, box)[target]
    return np.asarray(lacking[:, None] * noise + (factor - 1)[:, None] * inside.fine[target], np.float32)


def _expected_strength(inside: _Decomposition, around: _Decomposition, target: Mask) -> _Floats:
    """Root mean square over channels that the fine part should have at each target pixel: (n,)."""
    size = np.sqrt(around.power)[..., None]
    # Coordinates relative to the box's window: exact in float32 wherever in the scan it lies.
    origin = np.array([around.top - inside.top, around.left - inside.left], np.float32)
    coordinates = np.indices(around.sound.shape, np.float32).transpose(1, 2, 0) + origin
    count, means = _block_means(around.sound, np.concatenate([size, coordinates, around.smooth], axis=2))
    strength, position, light = means[:, 0], means[:, 1:3], means[:, 3:]
    light_scale = np.float32(max(_LIGHT_SIGMA * float(np.sqrt(light.var(axis=0).mean())), 1e-6))
    blocks = np.hstack([position / np.float32(_DISTANCE_SIGMA), light / light_scale])
    pixel_positions = np.argwhere(target).astype(np.float32)
    pixels = np.hstack([pixel_positions / np.float32(_DISTANCE_SIGMA), inside.smooth[target] / light_scale])
    squared = np.square(pixels).sum(axis=1)[:, None] + np.square(blocks).sum(axis=1) - 2 * pixels @ blocks.T
    weight = np.exp((squared.min(axis=1, keepdims=True) - squared) / 2) * np.square(count)
    mean = (weight @ strength**_POWER_MEAN / weight.sum(axis=1)) ** (1 / _POWER_MEAN)
    return np.asarray(_MEAN_TO_DEVIATION * np.minimum(mean, _MEDIAN_LIMIT * np.median(strength)), np.float32)


def _block_means(sound: Mask, values: NDArray[np.floating]) -> tuple[_Floats, _Floats]:
    """Count (n,) and mean (n, C) of the sound pixels in each block that has some."""
    weight = sound.astype(np.float32)[..., None]
    planes = np.concatenate([values * weight, weight], axis=2)
    height, width = (round_up(side, _BLOCK) for side in sound.shape)
    padded = np.zeros((height, width, planes.shape[2]), np.float32)
    padded[: sound.shape[0], : sound.shape[1]] = planes
    sums = padded.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, -1).sum(axis=(1, 3))
    flat = sums.reshape(-1, planes.shape[2])
    flat = flat[flat[:, -1] > 0]
    return flat[:, -1], flat[:, :-1] / flat[:, -1:]


def _synthesize_texture(around: _Decomposition, shape: tuple[int, ...], box: Box) -> _Floats:
    """Noise (h, w, C) with the power spectrum of the surrounding fine part, of variance 1 in the mean over channels."""
    source = around.fine * around.sound[..., None]
    size = tuple(round_up(max(pair), 8) for pair in zip(shape, around.sound.shape, strict=True))
    random = np.random.Generator(np.random.PCG64([box[0], box[1]]))
    white = np.fft.rfft2(random.standard_normal(size, np.float32))
    spectrum = np.fft.rfft2(source, size, axes=(0, 1))
    noise = np.fft.irfft2(spectrum * white[..., None], size, axes=(0, 1))[: shape[0], : shape[1]]
    power = float(around.power[around.sound].sum())
    return np.asarray(noise / max(np.sqrt(power), 1e-12), np.float32)
