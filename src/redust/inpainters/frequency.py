"""The fill ``fsr``: frequency-selective reconstruction.

The damage is covered by blocks. For each block the sound pixels around it are modelled by a few waves, found one
after the other, and the model is read off where pixels are masked; filled blocks then help, with half the weight,
to fill their neighbours. Flat ground is filled in blocks of 16 pixels, texture in blocks of 8 and 4. Colour is
filled as luma and two colour differences.

Sources: J. Seiler, M. Jonscher, M. Schöberl, A. Kaup, "Resampling Images to a Regular Grid from a Non-Regular Subset
of Pixel Positions Using Frequency Selective Reconstruction", IEEE Transactions on Image Processing 24 (2015),
doi:10.1109/TIP.2015.2463084; N. Genser, J. Seiler, F. Schilling, A. Kaup, "Signal and Loss Geometry Aware Frequency
Selective Extrapolation for Error Concealment", PCS 2018, doi:10.1109/PCS.2018.8456259. The parameters are those of
``INPAINT_FSR_FAST`` in OpenCV's extra modules. That function is not used: it takes 16 bit, but computes in
8 bit, and leaves pixels unfilled where a side is no multiple of 16. Ours computes in floating point; it differs in
removing the mean first, in the order of blocks (any two that do not touch are filled at once), and in that a block
stays within the range of what it was filled from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels, full_scale
from redust.core.engines import Needs

_Floats: TypeAlias = NDArray[np.float64]
_Indices: TypeAlias = NDArray[np.intp]

_SPAN = 32  # pixels a block and its surroundings are wide: the size of the Fourier transform
_HALF = _SPAN // 2 + 1
_SIZES = (16, 8, 4)
_FALL = {16: 0.80, 8: 0.70, 4: 0.66}  # by how much a pixel counts less per pixel of distance
_FLAT_LUMA = {16: 0.014, 8: 0.030, 4: np.inf}  # standard deviation below which a block is not split, full scale = 1
_FLAT_COLOUR = {16: 0.006, 8: 0.010, 4: np.inf}
_FILLED = 0.5  # weight of a filled pixel beside a sound one
_STEP = 0.5  # share of a wave taken at a time, since waves are not orthogonal on what is seen
_FEWEST, _MOST, _PER_DEVIATION = 20, 100, 1000  # waves: so many per unit of standard deviation, within limits

# Luma, red and blue difference (ITU-R BT.601), rows are outputs.
_TO_LUMA = np.array([[0.299, 0.587, 0.114], [0.5, -0.4187, -0.0813], [-0.1687, -0.3313, 0.5]])
_FROM_LUMA = np.linalg.inv(_TO_LUMA)


class FrequencyInpainter:
    """Continues the waves found around each block of damage."""

    name = "fsr"
    needs = Needs(multiple_of=16, context=16, per_tile=512)

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
    rim = _SPAN // 2
    values = np.pad(np.where(mask, 0.0, plane), rim)
    weights = np.pad((~mask).astype(np.float64), rim)
    todo = np.ones((mask.shape[0] // _SIZES[0], mask.shape[1] // _SIZES[0]), np.bool_)
    for size in _SIZES:
        if size != _SIZES[0]:
            todo = todo.repeat(2, axis=0).repeat(2, axis=1)
        todo &= (weights[rim:-rim, rim:-rim] == 0).reshape(todo.shape[0], size, todo.shape[1], size).any(axis=(1, 3))
        chosen = todo.copy()
        chosen[todo] = _deviation(*_seen(values, weights, np.argwhere(todo), size)) < flat[size]
        for places in _waves(chosen, weights, size):
            _fill_blocks(values, weights, places, size)
        todo &= ~chosen
    return values[rim:-rim, rim:-rim]


def _seen(values: _Floats, weights: _Floats, places: _Indices, size: int) -> tuple[_Floats, _Floats]:
    """Values and weights (n, 32, 32) around the blocks at `places` (n, 2), rows and columns of blocks."""
    rows, columns = (places * size + size // 2).T
    shape = (_SPAN, _SPAN)
    return sliding_window_view(values, shape)[rows, columns], sliding_window_view(weights, shape)[rows, columns]


def _deviation(values: _Floats, weights: _Floats) -> _Floats:
    """Standard deviation of what is known in each block's surroundings; infinite where nothing is."""
    known = weights > 0
    count = known.sum(axis=(1, 2))
    mean = values.sum(axis=(1, 2)) / np.maximum(count, 1)
    square = (np.square(values - mean[:, None, None]) * known).sum(axis=(1, 2)) / np.maximum(count, 1)
    return np.where(count > 0, np.sqrt(square), np.inf)


def _waves(pending: NDArray[np.bool_], weights: _Floats, size: int) -> Iterator[_Indices]:
    """Blocks that may be filled at once, outer ones before inner ones, until none is left.

    A block is ready when something is known in it or beside it and no neighbour comes first: fewer neighbours
    that wait, then its place in a pattern of 2 x 2. It depends on the neighbours alone, not on damage elsewhere.
    """
    rim = _SPAN // 2
    cells = weights[rim:-rim, rim:-rim].reshape(pending.shape[0], size, pending.shape[1], size)
    sound = np.asarray(cells.any(axis=(1, 3)))
    pattern = 2 * (np.arange(pending.shape[0]) % 2)[:, None] + np.arange(pending.shape[1]) % 2
    while pending.any():
        order = np.where(pending & _beside(sound).any(axis=(2, 3)), 4.0 * _beside(pending).sum(axis=(2, 3)), np.inf)
        order += pattern
        ready: NDArray[np.bool_] = np.isfinite(order) & (order <= _beside(order, np.inf).min(axis=(2, 3)))
        if not ready.any():
            return
        yield np.argwhere(ready)
        pending, sound = pending & ~ready, sound | ready


def _beside(grid: NDArray[Any], outside: float = 0) -> NDArray[Any]:
    """Each cell of a grid (H, W) with its eight neighbours: (H, W, 3, 3)."""
    return sliding_window_view(np.pad(grid, 1, constant_values=outside), (3, 3))


def _fill_blocks(values: _Floats, weights: _Floats, places: _Indices, size: int) -> None:
    """Fill the blocks at `places`, none of which touch, in place."""
    seen, known = _seen(values, weights, places, size)
    model = _model(seen, known, _FALL[size])
    inner = slice((_SPAN - size) // 2, (_SPAN + size) // 2)
    for place, block in zip(places, model[:, inner, inner], strict=True):
        row, column = place * size + _SPAN // 2
        window = slice(row, row + size), slice(column, column + size)
        hole = weights[window] == 0
        values[window][hole] = block[hole]
        weights[window][hole] = _FILLED


def _model(seen: _Floats, known: _Floats, fall: float) -> _Floats:
    """The model (n, 32, 32) of each block and its surroundings: a sum of waves."""
    steps = np.arange(_SPAN) + 0.5 - _SPAN / 2
    weight = known * fall ** np.hypot(steps[:, None], steps)
    mean = (seen * weight).sum(axis=(1, 2), keepdims=True) / weight.sum(axis=(1, 2), keepdims=True)
    waves = np.clip(np.rint(_PER_DEVIATION * _deviation(seen, known)), _FEWEST, _MOST)
    residual = np.fft.rfft2((seen - mean) * weight).astype(np.complex64)
    spectrum = np.fft.fft2(weight).astype(np.complex64)
    model = np.fft.irfft2(_pursue(residual, spectrum, waves), (_SPAN, _SPAN)) + mean
    inside = known > 0
    low = np.where(inside, seen, np.inf).min(axis=(1, 2), keepdims=True)
    high = np.where(inside, seen, -np.inf).max(axis=(1, 2), keepdims=True)
    return np.asarray(np.clip(model, low, high))


def _preference() -> NDArray[np.float32]:
    """The square of how much a wave is preferred: slow ones before fast ones."""
    rows = np.minimum(np.arange(_SPAN), _SPAN - np.arange(_SPAN))
    preference = np.square(1 - np.hypot(rows[:, None], np.arange(_HALF)) * np.sqrt(2) / _SPAN)
    return np.asarray(preference, np.float32)


def _pursue(residual: NDArray[np.complex64], spectrum: NDArray[np.complex64], waves: _Floats) -> NDArray[np.complex128]:
    """Find waves one by one, for all blocks at once: matching pursuit in the Fourier domain.

    Parameters
    ----------
    residual : (n, 32, 17) complex
        Half spectra of the weighted pixels. Used up.
    spectrum : (n, 32, 32) complex
        Spectra of the weights.
    waves : (n,)
        How many to find for each block.

    Returns
    -------
    model : (n, 32, 17) complex
        Half spectra of the models.
    """
    model = np.zeros(residual.shape, np.complex128)
    periodic = np.concatenate([spectrum, spectrum[:, :, :_HALF]], axis=2)
    shifted = sliding_window_view(np.concatenate([periodic, periodic], axis=1), (_SPAN, _HALF), axis=(1, 2))
    gain = _STEP / spectrum[:, 0, 0].real
    preference = _preference()
    blocks, found = np.arange(len(residual)), np.zeros(len(residual))
    while blocks.size:
        power = np.square(residual.real) + np.square(residual.imag)
        best = (power * preference).reshape(len(blocks), -1).argmax(axis=1)
        row, column = best // _HALF, best % _HALF
        single = (row % (_SPAN // 2) == 0) & (column % (_SPAN // 2) == 0)  # its own conjugate
        wave = residual[np.arange(len(blocks)), row, column] * gain[blocks]
        twin = np.where(single, 0, wave.conj())
        residual -= wave[:, None, None] * shifted[blocks, -row % _SPAN, -column % _SPAN]
        residual -= twin[:, None, None] * shifted[blocks, row, column]
        model[blocks, row, column] += wave * _SPAN**2
        edge = column % (_SPAN // 2) == 0  # where the half spectrum holds both of a pair
        model[blocks, -row % _SPAN, column] += np.where(edge, twin, 0) * _SPAN**2
        found += np.where(single, 1, 2)
        going = found < waves
        if not going.all():
            residual, blocks, found, waves = residual[going], blocks[going], found[going], waves[going]
    return model
