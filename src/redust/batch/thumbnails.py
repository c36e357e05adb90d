"""Small pictures of a scan before and after, for the report of a run."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.batch.failures import Failure, catch_failure
from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import LedgerEntry, ScanState
from redust.core.arrays import Mask, Pixels, full_scale, three_channels, to_light
from redust.files import read_mask, read_scan

SIDE = 240
"""The longer side in pixels."""

_QUALITY = 70
_TINT = np.array([255, 40, 40], np.float32)  # red, over what was repaired
_LEAST_CHANGE = 4 / 255  # of full scale: below it a lossy format's own noise


def draw_thumbnails(source: Path, target: Path, *, page: int = 0, mask_file: Path | None = None) -> tuple[bytes, bytes]:
    """Draw a scan with its repaired pixels tinted red, and the result.

    Parameters
    ----------
    target
        The result; the scan itself where it was left for review.
    mask_file
        The mask; unless given, what differs between the two, which in a lossy format is more than was repaired.

    Returns
    -------
    before, after : bytes
        JPEG files of at most :data:`SIDE` pixels.
    """
    original, restored = read_scan(source, page=page).pixels, read_scan(target, page=page).pixels
    before, after = _shrink(original), _shrink(restored)
    shape = original.shape[0], original.shape[1]
    mask = read_mask(mask_file, shape) if mask_file is not None else _find_changes(original, restored)
    changed = _shrink_mask(mask, (before.shape[1], before.shape[0]))
    before[changed] = (0.3 * before[changed] + 0.7 * _TINT).astype(np.uint8)
    return _encode(before), _encode(after)


def complete_thumbnails(entries: Sequence[LedgerEntry], ledger: Ledger, root: Path) -> None:
    """Draw and store the small pictures of finished scans that have none; files that cannot be read have none.

    Parameters
    ----------
    root
        The output folder.
    """
    done = [entry for entry in entries if _is_drawable(entry) and not ledger.read_thumbnails(entry.key)]
    reports = [ledger.read_report(entry.key) for entry in done]

    def draw(entry: LedgerEntry, report: dict[str, Any]) -> tuple[bytes, bytes] | Failure:
        return catch_failure(lambda: _draw_entry(entry, report["page"] - 1, root))

    with ThreadPoolExecutor() as threads:
        for entry, pictures in zip(done, threads.map(draw, done, reports), strict=True):
            if not isinstance(pictures, Failure):
                ledger.store_thumbnails(entry.key, *pictures)


def _draw_entry(entry: LedgerEntry, page: int, root: Path) -> tuple[bytes, bytes]:
    source = Path(entry.source)
    if entry.state is ScanState.review:
        return draw_thumbnails(source, source, page=page, mask_file=root / entry.outputs[0].path)
    return draw_thumbnails(source, root / entry.key, page=page)


def _is_drawable(entry: LedgerEntry) -> bool:
    """Whether there is what to draw: a result, or the mask of a scan left for review, its only file."""
    return entry.state is ScanState.done or (entry.state is ScanState.review and len(entry.outputs) == 1)


def _find_changes(original: Pixels, restored: Pixels) -> Mask:
    limit = _LEAST_CHANGE * full_scale(original.dtype)
    difference = cv2.absdiff(original, restored).reshape(original.shape)
    return np.asarray((difference > limit).any(axis=2), np.bool_)


def _shrink(pixels: Pixels) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    light = three_channels(to_light(np.nan_to_num(small)))
    return np.rint(light * 255).astype(np.uint8)


def _shrink_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """A small mask in which a single pixel still shows."""
    share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dilate((share > 0).astype(np.uint8), np.ones((3, 3), np.uint8))).view(np.bool_)


def _encode(picture: NDArray[np.uint8]) -> bytes:
    encoded, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not encoded:
        raise ValueError("a thumbnail cannot be encoded")
    return data.tobytes()
