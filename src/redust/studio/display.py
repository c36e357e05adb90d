"""What a browser shows of a scan: 8-bit sRGB tiles of pixels of any depth, Deep-Zoom levels, a small overview.

Nothing here changes a scan. Level ``max_level`` shows every pixel, each level below it half as many each way. Levels
far out come from the overview, which is made once; closer ones from the pixels themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels
from redust.core.tiles import bands

Picture: TypeAlias = NDArray[np.uint8]

TILE_SIZE = 512
"""Side of a tile on the page, in pixels."""

THUMBNAIL_SIDE = 320
_OVERVIEW_SIDE, _MAX_OVERVIEW_SHIFT = 2048, 3
_QUALITY = 90
_QUARTER_TURNS = {3: 2, 6: -1, 8: 1}  # of EXIF's orientations, counter-clockwise
_BAND = 1024  # rows; a multiple of every overview's factor
_SRGB = imagecodecs.cms_profile("srgb")


@dataclass(frozen=True)
class Tone:
    """How light is shown: exposure in EV on the stored values, inverted for a negative, then a gamma."""

    exposure: float = 0.0
    gamma: float = 1.0
    invert: bool = False

    @property
    def is_neutral(self) -> bool:
        """Whether light is shown as it is stored."""
        return self == Tone()

    def curve(self, light: NDArray[np.float32]) -> NDArray[np.float32]:
        """Light, 0..1, as shown."""
        light = 1 - light if self.invert else light
        return np.asarray(np.clip(light * np.float32(2.0**self.exposure), 0, 1) ** np.float32(1 / self.gamma))


@dataclass(frozen=True)
class Pyramid:
    """The Deep-Zoom levels of a scan of `width` x `height` pixels."""

    width: int
    height: int

    @property
    def max_level(self) -> int:
        """The level that shows every pixel."""
        return math.ceil(math.log2(max(self.width, self.height, 1)))

    @property
    def overview_factor(self) -> int:
        """By how much the overview is smaller than the scan."""
        shift = math.ceil(math.log2(max(max(self.width, self.height) / _OVERVIEW_SIDE, 1)))
        return 1 << min(shift, _MAX_OVERVIEW_SHIFT)

    def rectangle(self, level: int, column: int, row: int) -> tuple[slice, slice, int] | None:
        """Rows and columns of a tile in the scan, and by how much they are shrunk; None where there is no tile."""
        if not 0 <= level <= self.max_level or min(column, row) < 0:
            return None
        factor = 1 << (self.max_level - level)
        span = TILE_SIZE * factor
        if row * span >= self.height or column * span >= self.width:
            return None
        rows = slice(row * span, min((row + 1) * span, self.height))
        return rows, slice(column * span, min((column + 1) * span, self.width)), factor


def shrink_side(side: slice, factor: int) -> slice:
    """Rows or columns of a scan in a picture that is smaller by `factor`; their start is a multiple of it."""
    return slice(side.start // factor, -(-side.stop // factor))


def shrink_mean(pixels: Pixels, factor: int) -> Pixels:
    """Pixels (H, W, C) shrunk by a whole factor, each the mean of what it stands for."""
    if factor == 1:
        return pixels
    rows, columns = (_split_side(side, factor) for side in pixels.shape[:2])
    return np.concatenate([
        np.concatenate([_shrink_blocks(pixels[down, across], factor) for across in columns], axis=1) for down in rows
    ])  # fmt: skip


def _split_side(length: int, factor: int) -> list[slice]:
    """A side's whole blocks, and the block that is cut off at its end."""
    whole_blocks = length - length % factor
    return [side for side in (slice(0, whole_blocks), slice(whole_blocks, length)) if side.start < side.stop]


def _shrink_blocks(pixels: Pixels, factor: int) -> Pixels:
    size = -(-pixels.shape[1] // factor), -(-pixels.shape[0] // factor)
    shrunk = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, pixels.dtype).reshape(size[1], size[0], pixels.shape[2])


def shrink_max(states: Picture, factor: int) -> Picture:
    """Bytes (H, W) shrunk by a power of two, each the highest of what it stands for."""
    states = _pad_to_multiple(states, factor)
    while factor > 1:
        states = np.maximum(states[::2], states[1::2])
        states = np.maximum(states[:, ::2], states[:, 1::2])
        factor //= 2
    return states


def _pad_to_multiple(picture: NDArray[Any], factor: int) -> NDArray[Any]:
    """A picture whose sides are multiples of `factor`, its last rows and columns repeated."""
    below, right = -picture.shape[0] % factor, -picture.shape[1] % factor
    if not below and not right:
        return picture
    return np.pad(picture, [(0, below), (0, right), *[(0, 0)] * (picture.ndim - 2)], mode="edge")


def make_overview(pixels: Pixels) -> Pixels:
    """The scan shrunk by its overview's factor, at its own depth."""
    factor = Pyramid(pixels.shape[1], pixels.shape[0]).overview_factor
    if factor == 1:
        return pixels.copy()
    return np.concatenate([shrink_mean(pixels[rows], factor) for rows in bands(pixels.shape[0], _BAND)])


def pool_states(states: Picture, factor: int) -> Picture:
    """A raster of bytes (H, W) shrunk by `factor`, each the highest of what it stands for, in bands of rows."""
    return np.concatenate([shrink_max(states[rows], factor) for rows in bands(states.shape[0], _BAND)])


def check_profile(profile: bytes | None, channels: int, dtype: np.dtype[Any]) -> bytes | None:
    """A scan's ICC profile where it can be shown by it; None where it has none or one of another kind."""
    if profile is None:
        return None
    try:
        _to_srgb(np.zeros((1, 1, channels), np.uint8 if dtype == np.uint8 else np.uint16), profile)
    except (imagecodecs.CmsError, ValueError, RuntimeError):
        return None
    return profile


def _to_srgb(pixels: Pixels, profile: bytes) -> Picture:
    grey = pixels.shape[2] == 1
    source = np.ascontiguousarray(pixels[..., 0] if grey else pixels)
    space = "gray" if grey else "rgb"
    shown = imagecodecs.cms_transform(source, profile, _SRGB, colorspace=space, outcolorspace="rgb", outdtype="uint8")
    return np.asarray(shown, np.uint8).reshape(*pixels.shape[:2], 3)


def develop(pixels: Pixels, tone: Tone, profile: bytes | None) -> Picture:
    """Pixels (h, w, C) of any depth as sRGB, (h, w, 3) uint8."""
    if pixels.dtype == np.float32:
        pixels = np.rint(tone.curve(np.clip(pixels, 0, 1)) * np.float32(65535)).astype(np.uint16)
        tone = Tone()
    steps = np.linspace(0, 1, np.iinfo(pixels.dtype).max + 1, dtype=np.float32)
    if profile is None:
        table = np.rint(tone.curve(steps) * 255).astype(np.uint8)
        shown: Picture = pixels if tone.is_neutral and pixels.dtype == np.uint8 else table[pixels]
        return shown if shown.shape[2] == 3 else np.repeat(shown, 3, axis=2)
    if not tone.is_neutral:
        pixels = np.rint(tone.curve(steps) * np.iinfo(pixels.dtype).max).astype(pixels.dtype)[pixels]
    return _to_srgb(pixels, profile)


def encode_jpeg(picture: Picture) -> bytes:
    """A picture (h, w, 3) as a JPEG file."""
    return _encode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def encode_png(states: Picture) -> bytes:
    """Bytes (h, w) as a grey PNG file."""
    return _encode(".png", states, [cv2.IMWRITE_PNG_COMPRESSION, 1])


def _encode(suffix: str, picture: Picture, options: list[int]) -> bytes:
    encoded, data = cv2.imencode(suffix, picture, options)
    if not encoded:
        raise ValueError("a tile cannot be encoded")
    return data.tobytes()


def draw_thumbnail(overview: Pixels, tone: Tone, profile: bytes | None, orientation: int = 1) -> bytes:
    """A JPEG of a scan, at most 320 pixels on its longer side, upright.

    Parameters
    ----------
    orientation
        As in EXIF. A mirrored scan is shown as it is stored, as the page does.
    """
    height, width = overview.shape[:2]
    scale = min(1.0, THUMBNAIL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(overview, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    return encode_jpeg(np.rot90(develop(small, tone, profile), _QUARTER_TURNS.get(orientation, 0)))
