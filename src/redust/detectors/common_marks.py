"""Marks at the same place in the frames of one roll, scanner or camera: scratches along the travel, dirt on glass.

The residuals of the frames (:mod:`redust.detectors.residual_pyramid`) are clipped and averaged cell by cell, as
astronomers combine frames of the sky into a flat field and sensor noise is estimated from many photos (Lukas, Fridrich
and Goljan, Digital camera identification from sensor pattern noise, 2006, doi:10.1109/TIFS.2006.873602; for dust on
sensors Dirik, Sencar and Memon, 2008, doi:10.1109/TIFS.2008.926987). Scenes differ and average out: over n frames the
mean of undamaged cells has a standard deviation of 1 / sqrt(n). Clipping sees to it that no few frames make a mark. A
blank frame has no scene, and shows its marks by itself.

Which of them a frame gets repaired is decided for each: those that it shows.

Where we differ from flat fielding: light is not divided by the pattern. The marks are found, and filled as others are.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Mask, Pixels
from redust.detectors.residual_pyramid import Residuals, cell_side, iter_residuals, scale_shapes

Signs: TypeAlias = NDArray[np.int8]
Shape: TypeAlias = tuple[int, int]

MIN_FRAMES = 4
"""Frames that it takes to tell marks from scenes."""

_STEPS = 32  # of a quantised residual, to a standard deviation; of light, to a unit of its logarithm
_CLIP = 3.0  # deviations that a frame adds at most
_BLANK_CLIP = 24.0  # deviations of a blank frame
_BLANK_RANGE = 1.0  # log light that a blank frame spans, where it darkens to its corners
_MARGIN = 1.2  # deviations above the largest that noise is expected to reach
_MIN_MEAN = 1.0  # deviations per frame that a mark has somewhere
_RIM, _MIN_RIM = 2.5, 0.5  # deviations of the mean, and per frame, at the rim of a mark
_LINE = 65  # cells along which a scratch is averaged
_LINE_MEAN, _LINE_RIM = 0.5, 0.6  # deviations per frame along it, and their share at its rim
_LINE_DEVIATIONS = 2.2  # of the mean, which few frames with a straight line of their own do not reach
_SIDE_LOBE = 0.4  # of a stronger residual within 3 cells: what is weaker is its side lobe
_SHOWN, _SHOWN_DEVIATIONS = 0.3, 2.5  # deviations per cell, and of their mean, by which a frame shows a mark
_SHOWN_CLIP = 6.0
_LIGHT_SCALE = 3  # at which the frames' mean light is known
_EDGE = 0.7  # log light between neighbouring cells of it: the edge of a frame, of a holder
_EDGE_LENGTH = 1 / 3  # of the shorter side of a frame: what is shorter is the outline of opaque dirt
_MAX_SHARE = 0.1  # of the cells of a scale: more is a scene
_MAX_SPREAD = 1.5  # deviations of the mean: 1 where scenes differ

_ROW, _COLUMN = (_LINE, 1), (1, _LINE)


class FramesAlike(Exception):
    """Frames show the same scene: what they have in common is no mark."""


@dataclass(frozen=True, eq=False)
class CommonMarks:
    """Marks of the frames of one size.

    Parameters
    ----------
    shape : (height, width)
        Of the frames.
    packed
        For each scale, compressed: (rows, columns) int8, 1 where a mark is bright, -1 where dark, else 0.
    """

    shape: Shape
    packed: tuple[bytes, ...]

    @classmethod
    def from_signs(cls, shape: Shape, signs: Sequence[Signs]) -> Self:
        """Marks of frames of `shape` (height, width) by their signs at each scale."""
        return cls(shape, tuple(zlib.compress(plane.tobytes(), 1) for plane in signs))

    @property
    def sha256(self) -> str:
        """Of the marks, hexadecimal."""
        digest = hashlib.sha256(repr(self.shape).encode())
        for plane in self.iter_signs():
            digest.update(plane.tobytes())
        return digest.hexdigest()

    @property
    def count(self) -> int:
        """Connected marks over all scales: what has two scales counts twice."""
        return sum(cv2.connectedComponents(np.abs(plane).view(np.uint8))[0] - 1 for plane in self.iter_signs())

    @property
    def share(self) -> float:
        """The share of cells that are marked, 0..1, summed over the scales."""
        return sum(np.count_nonzero(plane) / plane.size for plane in self.iter_signs())

    def iter_signs(self) -> Iterator[Signs]:
        """The signs at each scale, the finest first."""
        for data, shape in zip(self.packed, scale_shapes(self.shape), strict=True):
            yield np.frombuffer(zlib.decompress(data), np.int8).reshape(shape)

    def merge(self, marks: CommonMarks) -> CommonMarks:
        """The marks of both; where they differ in sign, these."""
        pairs = zip(self.iter_signs(), marks.iter_signs(), strict=True)
        return CommonMarks.from_signs(self.shape, [np.where(first, first, second) for first, second in pairs])

    def find_in(self, pixels: Pixels) -> Mask:
        """Find those of the marks that a frame shows.

        Parameters
        ----------
        pixels : (H, W, C) uint8, uint16 or float32

        Returns
        -------
        mask : (H, W) bool
            Marked are whole cells of a mark's scale. Nothing is marked in a frame of another size.
        """
        mask = np.zeros(pixels.shape[:2], np.bool_)
        same_size = (pixels.shape[0], pixels.shape[1]) == self.shape
        if not same_size or not any(plane.any() for plane in self.iter_signs()):
            return mask
        side = cell_side(self.shape)
        for signs, (residuals, _) in zip(self.iter_signs(), iter_residuals(pixels), strict=True):
            shown = _find_shown(signs, np.clip(residuals, -_SHOWN_CLIP, _SHOWN_CLIP))
            if shown.any():
                mask |= _enlarge(shown, self.shape, side)
            side *= 2
        return mask


@dataclass(frozen=True, eq=False)
class FrameResiduals:
    """What a frame adds to a :class:`ResidualStack`.

    Parameters
    ----------
    shape : (height, width)
        Of the frame.
    planes : int8
        Its clipped residuals at each scale, in 32nds of a standard deviation.
    light : int8
        Its light at the fourth scale, or the last, in 32nds of a unit of its logarithm.
    """

    shape: Shape
    planes: list[Signs]
    light: Signs

    @classmethod
    def of_frame(cls, pixels: Pixels) -> Self:
        """Measure a frame, (H, W, C) uint8, uint16 or float32."""
        planes, light = [], np.zeros((1, 1), np.int8)
        for scale, (residuals, plane) in enumerate(iter_residuals(pixels)):
            planes.append(np.rint(np.clip(residuals, -_CLIP, _CLIP) * _STEPS).astype(np.int8))
            if scale <= _LIGHT_SCALE:
                light = np.rint(plane * _STEPS).astype(np.int8)
        return cls((pixels.shape[0], pixels.shape[1]), planes, light)


@dataclass(eq=False)
class ResidualStack:
    """Sums of the residuals of frames of one size; adding whole numbers, in any order, comes to the same.

    Parameters
    ----------
    shape : (height, width)
        Of the frames.
    """

    shape: Shape
    frames: int = 0
    sums: list[NDArray[np.int32]] = field(default_factory=list)

    def add(self, frame: FrameResiduals) -> None:
        """Add a frame of the same size."""
        planes = [*frame.planes, frame.light]
        self.sums = self.sums or [np.zeros(plane.shape, np.int32) for plane in planes]
        for total, plane in zip(self.sums, planes, strict=True):
            total += plane
        self.frames += 1

    def find_marks(self) -> CommonMarks:
        """Find what the frames have in common.

        Raises
        ------
        FramesAlike
            If they have more in common than marks.
        ValueError
            If there are fewer than :data:`MIN_FRAMES`.
        """
        if self.frames < MIN_FRAMES:
            raise ValueError(f"{self.frames} frames do not tell marks from scenes; it takes {MIN_FRAMES}")
        *means, light = [np.asarray(total / np.float32(_STEPS * self.frames), np.float32) for total in self.sums]
        if any(_measure_spread(mean, self.frames) > _MAX_SPREAD for mean in means):
            raise FramesAlike
        return _find_marks(self.shape, means, light, self.frames)


def find_blank_marks(pixels: Pixels) -> CommonMarks:
    """Find the marks of a blank frame: bare glass, an even surface, the sky.

    Raises
    ------
    FramesAlike
        If it shows a scene.
    """
    planes, lights = zip(*iter_residuals(pixels), strict=True)
    light = lights[: _LIGHT_SCALE + 1][-1]
    if np.subtract(*np.percentile(light, (98, 2))) > _BLANK_RANGE:
        raise FramesAlike
    means = [np.clip(plane, -_BLANK_CLIP, _BLANK_CLIP) for plane in planes]
    return _find_marks((pixels.shape[0], pixels.shape[1]), means, light, 1)


def _find_marks(shape: Shape, means: Sequence[Residuals], light: Residuals, frames: int) -> CommonMarks:
    """The marks in the mean residuals, and mean light, of so many frames."""
    signs, finer, edges = [], dict[tuple[int, int], Residuals](), _find_edges(light)
    for mean in means:
        plane = np.zeros(mean.shape, np.int8)
        for window, rim, peak in _list_filters(mean, frames):
            smooth = np.asarray(cv2.blur(mean, window), np.float32) if window != (1, 1) else mean
            strong = np.where(_is_main_lobe(smooth, finer.get(window)), smooth, np.float32(0))
            finer[window] = smooth
            for sign in (1, -1):
                plane[_threshold_hysteresis(sign * strong, rim, peak)] = sign
        _drop_edges(plane, edges)
        if np.count_nonzero(plane) > _MAX_SHARE * plane.size:
            raise FramesAlike
        signs.append(plane)
    return CommonMarks.from_signs(shape, signs)


def _find_edges(light: Residuals) -> Residuals:
    """1 near a long edge in the mean light of the frames, as at the border of the film, else 0."""
    square = np.ones((5, 5), np.uint8)
    steps = cv2.dilate(light, square) - cv2.erode(light, square) >= np.float32(_EDGE)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(steps.view(np.uint8))
    lengths = boxes[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    is_long = lengths >= _EDGE_LENGTH * min(light.shape)
    is_long[0] = False
    return np.asarray(is_long[labels], np.float32)


def _drop_edges(signs: Signs, edges: Residuals) -> None:
    """Set marks to 0 that lie along an edge for the most of them."""
    along = np.asarray(cv2.resize(edges, signs.shape[::-1], interpolation=cv2.INTER_AREA)) > 0
    if signs.size < edges.size:
        along = cv2.dilate(along.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
    count, labels = cv2.connectedComponents(np.abs(signs).view(np.uint8))
    sizes = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    shares = np.bincount(labels.ravel(), weights=along.ravel(), minlength=count) / sizes
    shares[0] = 0
    signs[(shares > 0.5)[labels]] = 0


def _list_filters(mean: Residuals, frames: int) -> Iterator[tuple[tuple[int, int], float, float]]:
    """The windows (columns, rows) in which a scale is averaged, with the mean at the rim and at the peak of a mark."""
    deviation = 1 / np.sqrt(frames)
    expected = float(np.sqrt(2 * np.log(mean.size)))  # the largest of so many normal deviates
    yield (1, 1), max(_RIM * deviation, _MIN_RIM), max((expected + _MARGIN) * deviation, _MIN_MEAN)
    if min(mean.shape) >= 4 * _LINE:
        peak = max(_LINE_MEAN, _LINE_DEVIATIONS * deviation)
        yield _ROW, _LINE_RIM * peak, peak
        yield _COLUMN, _LINE_RIM * peak, peak


def _is_main_lobe(mean: Residuals, finer: Residuals | None) -> Mask:
    """Where nothing much stronger lies within 3 cells, at this scale or the next finer one: medians have side lobes."""
    strength = np.abs(mean)
    if finer is not None:
        pairs = cv2.dilate(np.abs(finer), np.ones((2, 2), np.uint8), anchor=(0, 0))[::2, ::2]
        strength = np.maximum(strength, pairs[: mean.shape[0], : mean.shape[1]])
    return np.asarray(np.abs(mean) >= np.float32(_SIDE_LOBE) * cv2.dilate(strength, np.ones((7, 7), np.uint8)))


def _threshold_hysteresis(mean: Residuals, rim: float, peak: float) -> Mask:
    """The connected cells of at least `rim` that reach `peak` somewhere."""
    count, labels = cv2.connectedComponents((mean >= np.float32(rim)).view(np.uint8))
    marked = np.zeros(count, np.bool_)
    marked[labels[mean >= np.float32(peak)]] = True
    return np.asarray(marked[labels], np.bool_)


def _measure_spread(mean: Residuals, frames: int) -> float:
    """The robust standard deviation of a mean of residuals, in units of what it is for scenes that differ."""
    return float(np.median(np.abs(mean)) / 0.6745 * np.sqrt(frames))


def _find_shown(signs: Signs, residuals: Residuals) -> Mask:
    """The marks of a scale of which a frame has enough."""
    count, labels = cv2.connectedComponents(np.abs(signs).view(np.uint8))
    sizes = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    sums = np.bincount(labels.ravel(), weights=(signs * residuals).ravel(), minlength=count)
    shown = sums / sizes >= np.maximum(_SHOWN, _SHOWN_DEVIATIONS / np.sqrt(sizes))
    shown[0] = False
    return np.asarray(shown[labels], np.bool_)


def _enlarge(cells: Mask, shape: Shape, side: int) -> Mask:
    """Cells of `side` pixels as pixels of a frame of `shape`; what no cell covers is not marked."""
    rows, columns = (np.arange(length) // side for length in shape)
    inside = (rows < cells.shape[0])[:, None] & (columns < cells.shape[1])
    enlarged = cells[np.minimum(rows, cells.shape[0] - 1)][:, np.minimum(columns, cells.shape[1] - 1)]
    return np.asarray(enlarged & inside, np.bool_)
