"""Grain for what has been filled: fine texture as strong, and of the same kind, as that of the ground around.

A fill predicts; what cannot be predicted, grain, paper, weave, is missing, and a smooth spot is seen. For each piece
of damage the light is split into what is smooth and what is fine. The sound ground says how strong the fine part
should be: in blocks, those that are near and of like light before others, and the median has the last word, since
an edge of the scene is no grain. What the fill has of it is raised somewhat (a prediction errs towards smooth), and
what is still missing is drawn: white noise with the spectrum of the ground's fine part, in all channels at once, so
that their amplitudes and their correlation are the ground's.

Noise is seeded by the place of the piece, and a piece is computed from the sound ground and its own pixels: no order
of work and no number of threads changes it.

Source of the synthesis: B. Galerne, Y. Gousseau, J.-M. Morel, "Random Phase Textures: Theory and Synthesis", IEEE
Transactions on Image Processing 20 (2011), doi:10.1109/TIP.2010.2052822 (asymptotic discrete spot noise). We
differ: its strength changes from pixel to pixel, and is what the fill lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.core.tiles import Place, round_up
from redust.inpainters.fill_windows import Box, Region, pieces

_Floats: TypeAlias = NDArray[np.float32]

_CONTEXT = 16  # pixels around a piece in which the ground is measured
_FINE = 1.75  # sigma in pixels: what this blur takes away is fine
_BLOCK = 4  # side in pixels of the blocks in which the ground is measured
_NEAR = 8.0  # pixels over which a block loses influence
_ALIKE = 0.5  # difference of light over which it does, in deviations of the ground's light
_ROOT = 0.25  # exponent of the mean over blocks: far below 1, few strong ones do not count for much
_AT_MOST = 2.0  # times the median block: more than that is no grain
_FULL = 1.3  # from such a mean to the deviation of the whole: blocks differ
_LEAST_SOUND = 0.2  # share of a window; with less, the nearest sound ground is looked for
_CELL = 16  # pixels: it is looked for in squares of this side
_OWN = 1.5  # sigma in pixels within which the fill's own fine part is measured
_RAISED = 1.5  # the fill's own fine part is raised by up to this factor


@dataclass(frozen=True, eq=False)
class _Split:
    """A window's light, in the units of its ground, 0 where it is not seen: ``smooth`` and ``fine`` (h, w, C).

    ``power`` (h, w) is the mean square of ``fine`` over channels.
    """

    top: int
    left: int
    known: Mask
    smooth: _Floats
    fine: _Floats
    power: _Floats


def grained(filled: Pixels, hole: Mask, region: Region, amount: float) -> Pixels:
    """Give one region its grain.

    Parameters
    ----------
    filled : (H, W, C) uint8, uint16 or float32
        The scan with its damage filled. Not changed. Of damaged pixels only the region's own are looked at.
    hole : (H, W) bool
        All that is damaged; at least one pixel is False.
    region
        The pixels to grain.
    amount : 0..1
        The share of the missing amplitude that is added.

    Returns
    -------
    patch : (h, w, C), dtype of `filled`
        The region's window; only the target of it is changed.
    """
    patch = filled[region.window].copy()
    for top, left, bottom, right in pieces(region.target):
        own = region.target[top:bottom, left:right]
        box = region.top + top, region.left + left, region.top + bottom, region.left + right
        patch[top:bottom, left:right][own] = _grained_piece(filled, hole, own, box, amount)
    return patch


def _grained_piece(filled: Pixels, hole: Mask, own: Mask, box: Box, amount: float) -> Pixels:
    """The pixels (n, C) of one piece, with grain."""
    window = _around(box, _CONTEXT, hole.shape)
    mine = np.zeros_like(hole[window])
    top, left = box[0] - window[0].start, box[1] - window[1].start
    mine[top : top + own.shape[0], left : left + own.shape[1]] = own
    elsewhere = _ground(hole, box, window)
    sound = filled[elsewhere][~hole[elsewhere]]
    zero = sound[0]
    unit = float(np.abs(np.subtract(sound, zero, dtype=np.float64)).max())
    plain = filled[window][mine]
    if unit == 0:  # an even ground has no grain
        return plain
    piece = _split(filled, hole, window, mine, zero, unit)
    ground = piece if elsewhere == window else _split(filled, hole, elsewhere, None, zero, unit)
    added = amount * unit * _missing(piece, ground, mine, box)
    if filled.dtype == np.float32:
        return np.asarray(plain + added, np.float32)
    return np.asarray(np.rint(plain + added).clip(0, np.iinfo(filled.dtype).max), filled.dtype)


def _around(box: Box, context: int, shape: tuple[int, ...]) -> Place:
    """A box with context, as far as the scan reaches."""
    top, left, bottom, right = box
    return (
        slice(max(0, top - context), min(shape[0], bottom + context)),
        slice(max(0, left - context), min(shape[1], right + context)),
    )


def _ground(hole: Mask, box: Box, window: Place) -> Place:
    """Where the ground of a piece is measured: around it, or in a wide hole where sound ground is nearest."""
    if 1 - np.count_nonzero(hole[window]) / hole[window].size >= _LEAST_SOUND:
        return window
    for wider in _wider(box, hole.shape):
        sound = (~hole[wider]).astype(np.float32)
        height, width = (max(1, side // _CELL) for side in sound.shape)
        share = cv2.resize(sound, (width, height), interpolation=cv2.INTER_AREA)
        last = sound.size == hole.size
        good = np.argwhere(share >= min(0.5, float(share.max()) if last else 0.5))
        if good.size:
            tall, wide = sound.shape[0] / height, sound.shape[1] / width
            centres = (good + 0.5) * (tall, wide) + (wider[0].start, wider[1].start)
            offs = np.hypot(*(centres - ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)).T)
            row, column = (int(place) for place in centres[int(offs.argmin())])
            reach = _CONTEXT + max(int(tall), int(wide), _CELL) // 2
            return _around((row, column, row + 1, column + 1), reach, hole.shape)
    return window


def _wider(box: Box, shape: tuple[int, ...]) -> Iterator[Place]:
    """Windows around a box, each twice as far, the last one the whole scan."""
    context = 4 * _CONTEXT
    while True:
        window = _around(box, context, shape)
        yield window
        if (window[0].stop - window[0].start, window[1].stop - window[1].start) == shape:
            return
        context *= 2


def _split(
    filled: Pixels, hole: Mask, window: Place, mine: Mask | None, zero: NDArray[np.generic], unit: float
) -> _Split:
    """Split the light of a window that is sound or `mine` into smooth and fine."""
    known = ~hole[window]
    seen = known if mine is None else known | mine
    light = np.zeros((*known.shape, filled.shape[2]), np.float32)
    light[seen] = np.subtract(filled[window][seen], zero, dtype=np.float64) / unit
    weight = seen.astype(np.float32)
    smooth = np.divide(_blurred(light, _FINE), _blurred(weight, _FINE)[..., None] + 1e-6, dtype=np.float32)
    fine = np.multiply(light - smooth, weight[..., None], dtype=np.float32)
    power = np.einsum("ijc,ijc->ij", fine, fine) / np.float32(fine.shape[2])
    return _Split(window[0].start, window[1].start, known, smooth, fine, power)


def _blurred(values: _Floats, sigma: float) -> _Floats:
    """A Gaussian blur of (h, w, C) or (h, w); beyond the border there is 0."""
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT).reshape(values.shape))


def _missing(piece: _Split, ground: _Split, mine: Mask, box: Box) -> _Floats:
    """What the pixels `mine` of a piece lack in fine texture: (n, C)."""
    wanted = _strength(piece, ground, mine)
    weight = mine.astype(np.float32)
    has = _blurred(piece.power * weight, _OWN)[mine] / np.maximum(_blurred(weight, _OWN)[mine], 1e-6)
    raised = np.clip(wanted / np.sqrt(np.maximum(has, 1e-12)), 1, _RAISED)
    lacking = np.sqrt(np.maximum(np.square(wanted) - has * np.square(raised), 0))
    drawn = _texture(ground, mine.shape, box)[mine]
    return np.asarray(lacking[:, None] * drawn + (raised - 1)[:, None] * piece.fine[mine], np.float32)


def _strength(piece: _Split, ground: _Split, mine: Mask) -> _Floats:
    """How strong the fine part should be at each pixel of `mine` (n,): its root mean square over channels."""
    size = np.sqrt(ground.power)[..., None]
    # Places count from the piece's window: in float32 they are exact, wherever in the scan it lies.
    origin = np.array([ground.top - piece.top, ground.left - piece.left], np.float32)
    places = np.indices(ground.known.shape, np.float32).transpose(1, 2, 0) + origin
    count, sums = _blocks(ground.known, np.concatenate([size, places, ground.smooth], axis=2))
    strength, place, light = sums[:, 0], sums[:, 1:3], sums[:, 3:]
    alike = np.float32(max(_ALIKE * float(np.sqrt(light.var(axis=0).mean())), 1e-6))
    blocks = np.hstack([place / np.float32(_NEAR), light / alike])
    own = np.argwhere(mine).astype(np.float32)
    pixels = np.hstack([own / np.float32(_NEAR), piece.smooth[mine] / alike])
    off = np.square(pixels).sum(axis=1)[:, None] + np.square(blocks).sum(axis=1) - 2 * pixels @ blocks.T
    weight = np.exp((off.min(axis=1, keepdims=True) - off) / 2) * np.square(count)
    mean = (weight @ strength**_ROOT / weight.sum(axis=1)) ** (1 / _ROOT)
    return np.asarray(_FULL * np.minimum(mean, _AT_MOST * np.median(strength)), np.float32)


def _blocks(known: Mask, values: NDArray[np.floating]) -> tuple[_Floats, _Floats]:
    """Count (n,) and mean (n, C) of what is known in each block that holds something known."""
    weight = known.astype(np.float32)[..., None]
    planes = np.concatenate([values * weight, weight], axis=2)
    height, width = (round_up(side, _BLOCK) for side in known.shape)
    padded = np.zeros((height, width, planes.shape[2]), np.float32)
    padded[: known.shape[0], : known.shape[1]] = planes
    sums = padded.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, -1).sum(axis=(1, 3))
    flat = sums.reshape(-1, planes.shape[2])
    flat = flat[flat[:, -1] > 0]
    return flat[:, -1], flat[:, :-1] / flat[:, -1:]


def _texture(ground: _Split, shape: tuple[int, ...], box: Box) -> _Floats:
    """Noise (h, w, C) with the spectrum of the ground's fine part, its variance 1 in the mean over channels."""
    source = ground.fine * ground.known[..., None]
    size = tuple(round_up(max(pair), 8) for pair in zip(shape, ground.known.shape, strict=True))
    random = np.random.Generator(np.random.PCG64([box[0], box[1]]))
    white = np.fft.rfft2(random.standard_normal(size, np.float32))
    spectrum = np.fft.rfft2(source, size, axes=(0, 1))
    drawn = np.fft.irfft2(spectrum * white[..., None], size, axes=(0, 1))[: shape[0], : shape[1]]
    power = float(ground.power[ground.known].sum())
    return np.asarray(drawn / max(np.sqrt(power), 1e-12), np.float32)
