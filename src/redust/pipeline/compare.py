"""Before, mask and after side by side: one picture to judge a restoration by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from redust.core.arrays import Mask, Pixels, full_scale
from redust.core.scan import Scan
from redust.core.tiles import Rectangle

Picture: TypeAlias = NDArray[np.uint8]

_PANEL = 640  # longest side of a panel
_GAP = 16
_TITLE = 34
_PAPER = (250, 250, 248)
_INK = (40, 40, 40)
_FRAME = (20, 20, 20)
_MARK = np.array([255, 60, 30], np.float32)


def draw_comparison(before: Scan, mask: Mask, after: Scan) -> Scan:
    """Draw a scan before, its mask and the scan after, whole and at 1:1 where the most damage is.

    Parameters
    ----------
    before, after : Scan
        Of the same size.
    mask : (H, W) bool
        Drawn in red over the scan in grey.

    Returns
    -------
    picture : Scan
        8-bit RGB with the scan's ICC profile, upright whatever the scan's orientation tag; at most
        three panels of 640 pixels wide.
    """
    window = find_busiest_window(mask, _PANEL)
    overview = _Row(
        "", [_shrink(before.pixels), _draw_mask_overview(before.pixels, mask, window), _shrink(after.pixels)]
    )
    close = _Row(
        "1:1, where the most damage is",
        [
            _to_eight_bit(before.pixels[window]),
            _draw_mask(before.pixels[window], mask[window]),
            _to_eight_bit(after.pixels[window]),
        ],
    )
    rows = [overview, close] if max(before.shape) > _PANEL else [overview]
    rows = [row.upright(before.orientation) for row in rows]
    share = np.count_nonzero(mask) / mask.size
    titles = ["before", f"mask ({share:.2%})", "after"]
    return Scan(_draw_sheet(rows, titles), icc=before.icc if before.channels == 3 else None)


def find_busiest_window(mask: Mask, side: int) -> Rectangle:
    """The window of at most `side` x `side` pixels that holds the most damage, to the nearest eighth of `side`."""
    step = max(1, side // 8)
    rows = np.add.reduceat(mask, np.arange(0, mask.shape[0], step), axis=0, dtype=np.int64)
    cells = np.add.reduceat(rows, np.arange(0, mask.shape[1], step), axis=1)
    summed = np.pad(cells.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    tall, wide = min(8, cells.shape[0]), min(8, cells.shape[1])
    held = summed[tall:, wide:] - summed[:-tall, wide:] - summed[tall:, :-wide] + summed[:-tall, :-wide]
    row, column = np.unravel_index(int(held.argmax()), held.shape)
    top = max(0, min(int(row) * step, mask.shape[0] - side))
    left = max(0, min(int(column) * step, mask.shape[1] - side))
    return slice(top, top + side), slice(left, left + side)


@dataclass(frozen=True, eq=False)
class _Row:
    """Three pictures of one size, and what is said above them."""

    caption: str
    panels: list[Picture]

    def upright(self, orientation: int) -> _Row:
        """The row as a viewer would show it, for an EXIF orientation 1..8."""
        mirrored, quarter_turns = {
            1: (False, 0), 2: (True, 0), 3: (False, 2), 4: (True, 2),
            5: (True, 1), 6: (False, 3), 7: (True, 3), 8: (False, 1),
        }[orientation]  # fmt: skip
        turned = [np.rot90(panel[:, ::-1] if mirrored else panel, quarter_turns) for panel in self.panels]
        return _Row(self.caption, turned)


def _draw_sheet(rows: list[_Row], titles: list[str]) -> Picture:
    """Rows of three panels with titles above the columns, centred."""
    across = max(panel.shape[1] for row in rows for panel in row.panels)
    height = _TITLE + sum(_caption_height(row) + row.panels[0].shape[0] + _GAP for row in rows)
    sheet = Image.new("RGB", (3 * across + 4 * _GAP, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        middle = _GAP + column * (across + _GAP) + across // 2
        draw.text((middle, _TITLE // 2), title, fill=_INK, font=ImageFont.load_default(18), anchor="mm")
    top = _TITLE
    for row in rows:
        draw.text((_GAP, top + 10), row.caption, fill=_INK, font=ImageFont.load_default(16), anchor="lm")
        top += _caption_height(row)
        for column, panel in enumerate(row.panels):
            left = _GAP + column * (across + _GAP) + (across - panel.shape[1]) // 2
            sheet.paste(Image.fromarray(np.ascontiguousarray(panel)), (left, top))
        top += row.panels[0].shape[0] + _GAP
    return np.asarray(sheet)


def _caption_height(row: _Row) -> int:
    """The height of the caption."""
    return 28 if row.caption else 0


def _panel_size(shape: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a picture of `shape` (height, width) as a panel; never enlarged."""
    share = min(1.0, _PANEL / max(shape))
    return max(1, round(shape[1] * share)), max(1, round(shape[0] * share))


def _shrink(pixels: Pixels) -> Picture:
    """Pixels as a panel: shrunk first, at their own depth, so that no second copy of the scan is made."""
    small = cv2.resize(pixels, _panel_size(pixels.shape[:2]), interpolation=cv2.INTER_AREA)
    return _to_eight_bit(np.asarray(small).reshape(*small.shape[:2], pixels.shape[2]))


def _to_eight_bit(pixels: Pixels) -> Picture:
    """(H, W, C) of any depth as (H, W, 3) uint8."""
    light = np.nan_to_num(pixels.astype(np.float32) * (255.0 / full_scale(pixels.dtype)), posinf=255.0)
    return np.broadcast_to(np.rint(light.clip(0, 255)).astype(np.uint8), (*pixels.shape[:2], 3))


def _draw_mask_overview(pixels: Pixels, mask: Mask, window: Rectangle) -> Picture:
    """The mask over the scan as a panel, `window` framed. A hair stays visible however small the panel."""
    width, height = _panel_size(mask.shape[:2])
    share = cv2.resize(mask.view(np.uint8) * np.uint8(255), (width, height), interpolation=cv2.INTER_AREA)
    panel = _blend_over_grey(_shrink(pixels), np.minimum(share.astype(np.float32) * (3 / 255), 1.0))
    if max(mask.shape) > _PANEL:
        down, across = height / mask.shape[0], width / mask.shape[1]
        first = round(window[1].start * across), round(window[0].start * down)
        last = round(window[1].stop * across) - 1, round(window[0].stop * down) - 1
        cv2.rectangle(panel, first, last, _FRAME, 1)
    return panel


def _draw_mask(pixels: Pixels, mask: Mask) -> Picture:
    """The mask over the pixels at 1:1."""
    return _blend_over_grey(_to_eight_bit(pixels), mask.astype(np.float32))


def _blend_over_grey(panel: Picture, strength: NDArray[np.float32]) -> Picture:
    """Red of `strength` (H, W) in 0..1 over the panel in pale grey."""
    grey = 90 + 0.6 * panel.mean(axis=2, keepdims=True, dtype=np.float32)
    weight = strength[..., None]
    blended: Picture = np.rint(grey * (1 - weight) + _MARK * weight).astype(np.uint8)
    return blended
