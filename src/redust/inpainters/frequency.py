"""The fill ``fsr``: frequency-selective reconstruction.

The damage is covered by blocks. For each block the sound pixels around it are modelled by a sum of Fourier components,
selected one by one (matching pursuit), and the model is evaluated at masked pixels. Filled blocks then contribute,
with half the weight, to their neighbours. Flat areas are filled in blocks of 16 pixels, texture in blocks of 8 and 4.
Colour is filled as luma and two colour differences.

Sources: J. Seiler, M. Jonscher, M. Schöberl, A. Kaup, "Resampling Images to a Regular Grid from a Non-Regular Subset
of Pixel Positions Using Frequency Selective Reconstruction", IEEE Transactions on Image Processing 24 (2015),
doi:10.1109/TIP.2015.2463084; N. Genser, J. Seiler, F. Schilling, A. Kaup, "Signal and Loss Geometry Aware Frequency
Selective Extrapolation for Error Concealment", PCS 2018, doi:10.1109/PCS.2018.8456259. The parameters are those of
``INPAINT_FSR_FAST`` in OpenCV's extra modules. That function is not used: it takes 16 bit, but computes in
8 bit, and leaves pixels unfilled where a side is no multiple of 16. Differences: this computes in floating point,
removes the mean first, fills all blocks at once that do not touch, and limits a block to the range of the pixels it
was filled from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels, full_scale
from redust.core.engines import Inpainter, InpainterSpec, Needs

_Floats: TypeAlias = NDArray[np.float64]
_Indices: TypeAlias = NDArray[np.intp]

_SPAN = 32  # pixels: side of a block with its surroundings, the size of the Fourier transform
_HALF = _SPAN // 2 + 1
_SIZES = (16, 8, 4)
_DECAY = {16: 0.80, 8: 0.70, 4: 0.66}  # factor on the weight per pixel of distance
_FLAT_LUMA = {16: 0.014, 8: 0.030, 4: np.inf}  # standard deviation below which a block is not split, full scale = 1
_FLAT_COLOUR = {16: 0.006, 8: 0.010, 4: np.inf}
_FILLED = 0.5  # weight of a filled pixel beside a sound one
_STEP = 0.5  # share of a component taken at a time: components are not orthogonal on the known pixels
# Number of components: so many per unit of standard deviation, within limits.
_MIN_COMPONENTS, _MAX_COMPONENTS, _PER_DEVIATION = 20, 100, 1000

# Luma, red and blue difference (ITU-R BT.601), rows are outputs.
_TO_LUMA = np.array([[0.299, 0.587, 0.114], [0.5, -0.4187, -0.0813], [-0.1687, -0.3313, 0.5]])
_FROM_LUMA = np.linalg.inv(_TO_LUMA)


class FrequencyInpainter(Inpainter):
    """Extrapolates the Fourier components of the surroundings of each block of damage."""

    spec = InpainterSpec(name="fsr", needs=Needs(multiple_of=16, context=16, per_tile=512))

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """Fill the masked pixels of one window; see :class:`redust.core.engines.Inpainter`."""
        scale = full_scale(pixels.dtype)
        light = pixels / np.float64(scale)
        planes = np.moveaxis(light @ _TO_LUMA.T if light.shape[2] == 3 else light, 2, 0)
        filled = [_fill_plane(plane, mask, _FLAT_COLOUR if index else _FLAT_LUMA) for index, plane in enumerate(planes)]
        light = np.stack(filled, axis=2)
        if light.shape[2] == 3:
            light = light @ _FROM_LUMA.T
        if pixels.dtype == np.float32:
            return light.astype(np.float32)
        return np.rint(np.clip(light, 0.0, 1.0) * scale).astype(pixels.dtype)


def _fill_plane(plane: _Floats, mask: Mask, flat: dict[int, float]) -> _Floats:
    """Fill one plane (H, W), its sides multiples of 16: large blocks first, rough ones split."""
    margin = _SPAN // 2
    values = np.pad(np.where(mask, 0.0, plane), margin)
    weights = np.pad((~mask).astype(np.float64), margin)
    pending = np.ones((mask.shape[0] // _SIZES[0], mask.shape[1] // _SIZES[0]), np.bool_)
    for size in _SIZES:
        if size != _SIZES[0]:
            pending = pending.repeat(2, axis=0).repeat(2, axis=1)
        pending &= _any_in_blocks(weights == 0, size)
        fillable = pending.copy()
        fillable[pending] = _deviation(*_surroundings(values, weights, np.argwhere(pending), size)) < flat[size]
        for blocks in _independent_blocks(fillable, weights, size):
            _fill_blocks(values, weights, blocks, size)
        pending &= ~fillable
    return values[margin:-margin, margin:-margin]


def _any_in_blocks(flags: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Whether any pixel is True in each block of a padded plane: one value per block."""
    margin = _SPAN // 2
    inner = flags[margin:-margin, margin:-margin]
    blocks = inner.reshape(inner.shape[0] // size, size, inner.shape[1] // size, size)
    return np.asarray(blocks.any(axis=(1, 3)))


def _surroundings(values: _Floats, weights: _Floats, blocks: _Indices, size: int) -> tuple[_Floats, _Floats]:
    """Values and weights (n, 32, 32) around blocks (n, 2), given by their row and column in the grid of blocks."""
    rows, columns = (blocks * size + size // 2).T
    shape = (_SPAN, _SPAN)
    return sliding_window_view(values, shape)[rows, columns], sliding_window_view(weights, shape)[rows, columns]


def _deviation(values: _Floats, weights: _Floats) -> _Floats:
    """Standard deviation of the known pixels around each block; infinite where there are none."""
    known = weights > 0
    count = known.sum(axis=(1, 2))
    mean = values.sum(axis=(1, 2)) / np.maximum(count, 1)
    square = (np.square(values - mean[:, None, None]) * known).sum(axis=(1, 2)) / np.maximum(count, 1)
    return np.where(count > 0, np.sqrt(square), np.inf)


def _independent_blocks(pending: NDArray[np.bool_], weights: _Floats, size: int) -> Iterator[_Indices]:
    """Blocks that do not touch and may be filled at once, outer ones before inner ones, until none is left.

    A block is ready when some pixel in it or beside it is known and no neighbour precedes it: first by the number of
    pending neighbours, then by its position in a pattern of 2 x 2. This depends on the neighbours alone, not on damage
    elsewhere.
    """
    known = _any_in_blocks(weights > 0, size)
    pattern = 2 * (np.arange(pending.shape[0]) % 2)[:, None] + np.arange(pending.shape[1]) % 2
    while pending.any():
        reachable = pending & _neighbourhoods(known).any(axis=(2, 3))
        order = np.where(reachable, 4.0 * _neighbourhoods(pending).sum(axis=(2, 3)), np.inf)
        order += pattern
        ready: NDArray[np.bool_] = np.isfinite(order) & (order <= _neighbourhoods(order, np.inf).min(axis=(2, 3)))
        if not ready.any():
            return
        yield np.argwhere(ready)
        pending, known = pending & ~ready, known | ready


def _neighbourhoods(grid: NDArray[Any], outside: float = 0) -> NDArray[Any]:
    """Each cell of a grid (H, W) with its eight neighbours: (H, W, 3, 3)."""
    return sliding_window_view(np.pad(grid, 1, constant_values=outside), (3, 3))


def _fill_blocks(values: _Floats, weights: _Floats, blocks: _Indices, size: int) -> None:
    """Fill blocks (n, 2), none of which touch, in place."""
    light, known = _surroundings(values, weights, blocks, size)
    model = _model_light(light, known, _DECAY[size])
    inner = slice((_SPAN - size) // 2, (_SPAN + size) // 2)
    for position, block in zip(blocks, model[:, inner, inner], strict=True):
        row, column = position * size + _SPAN // 2
        window = slice(row, row + size), slice(column, column + size)
        hole = weights[window] == 0
        values[window][hole] = block[hole]
        weights[window][hole] = _FILLED


def _model_light(light: _Floats, known: _Floats, decay: float) -> _Floats:
    """The model (n, 32, 32) of each block and its surroundings: a sum of Fourier components."""
    steps = np.arange(_SPAN) + 0.5 - _SPAN / 2
    weight = known * decay ** np.hypot(steps[:, None], steps)
    mean = (light * weight).sum(axis=(1, 2), keepdims=True) / weight.sum(axis=(1, 2), keepdims=True)
    components = np.clip(np.rint(_PER_DEVIATION * _deviation(light, known)), _MIN_COMPONENTS, _MAX_COMPONENTS)
    residual = np.fft.rfft2((light - mean) * weight).astype(np.complex64)
    spectrum = np.fft.fft2(weight).astype(np.complex64)
    model = np.fft.irfft2(_pursue_components(residual, spectrum, components), (_SPAN, _SPAN)) + mean
    inside = known > 0
    low = np.where(inside, light, np.inf).min(axis=(1, 2), keepdims=True)
    high = np.where(inside, light, -np.inf).max(axis=(1, 2), keepdims=True)
    return np.asarray(np.clip(model, low, high))


def _frequency_weights() -> NDArray[np.float32]:
    """Squared weights of components (32, 17): low frequencies are preferred."""
    rows = np.minimum(np.arange(_SPAN), _SPAN - np.arange(_SPAN))
    weights = np.square(1 - np.hypot(rows[:, None], np.arange(_HALF)) * np.sqrt(2) / _SPAN)
    return np.asarray(weights, np.float32)


def _pursue_components(
    residual: NDArray[np.complex64], spectrum: NDArray[np.complex64], components: _Floats
) -> NDArray[np.complex128]:
    """Select components one by one, for all blocks at once: matching pursuit in the Fourier domain.

    Parameters
    ----------
    residual : (n, 32, 17) complex
        Half spectra of the weighted pixels. Overwritten.
    spectrum : (n, 32, 32) complex
        Spectra of the weights.
    components : (n,)
        Number of components of each block.

    Returns
    -------
    model : (n, 32, 17) complex
        Half spectra of the models.
    """
    model = np.zeros(residual.shape, np.complex128)
    periodic = np.concatenate([spectrum, spectrum[:, :, :_HALF]], axis=2)
    shifted = sliding_window_view(np.concatenate([periodic, periodic], axis=1), (_SPAN, _HALF), axis=(1, 2))
    gain = _STEP / spectrum[:, 0, 0].real
    preference = _frequency_weights()
    blocks, selected = np.arange(len(residual)), np.zeros(len(residual))
    while blocks.size:
        power = np.square(residual.real) + np.square(residual.imag)
        strongest = (power * preference).reshape(len(blocks), -1).argmax(axis=1)
        row, column = strongest // _HALF, strongest % _HALF
        single = (row % (_SPAN // 2) == 0) & (column % (_SPAN // 2) == 0)  # its own conjugate
        component = residual[np.arange(len(blocks)), row, column] * gain[blocks]
        conjugate = np.where(single, 0, component.conj())
        residual -= component[:, None, None] * shifted[blocks, -row % _SPAN, -column % _SPAN]
        residual -= conjugate[:, None, None] * shifted[blocks, row, column]
        model[blocks, row, column] += component * _SPAN**2
        edge = column % (_SPAN // 2) == 0  # where the half spectrum holds both of a pair
        model[blocks, -row % _SPAN, column] += np.where(edge, conjugate, 0) * _SPAN**2
        selected += np.where(single, 1, 2)
        unfinished = selected < components
        if not unfinished.all():
            residual, blocks = residual[unfinished], blocks[unfinished]
            selected, components = selected[unfinished], components[unfinished]
    return model
