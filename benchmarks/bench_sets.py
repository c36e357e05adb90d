"""Bench sets on disk, PSNR, and pictures for contact sheets: what the benchmarks of this folder share.

A set is a folder with ``damaged/`` and ``mask/`` (255 damage, 128 not judged, 0 background), and ``clean/`` where
repairs are scored; files of one name belong together.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import redust
from redust.core.arrays import Mask, Pixels, to_light
from redust.core.errors import RedustError

Picture = NDArray[np.uint8]


def find_sets(folder: Path, *kinds: str) -> list[Path]:
    """The bench sets in a folder, or the folder itself, that have all `kinds` of pictures.

    Raises
    ------
    SystemExit
        If there is none.
    """
    candidates = [folder, *sorted(folder.iterdir())] if folder.is_dir() else []
    sets = [path for path in candidates if all((path / kind).is_dir() for kind in kinds)]
    if not sets:
        layout = ", ".join(f"{kind}/" for kind in kinds)
        sys.exit(f"{folder} is no bench set and holds none: a set is a folder with {layout}.")
    return sets


def read_truth(path: Path) -> NDArray[np.uint8]:
    """A true mask with its three values, (H, W) uint8; a PNG, whatever the suffix of its picture."""
    return redust.read_scan(path.with_suffix(".png")).pixels[..., 0].astype(np.uint8)


def psnr(restored: Pixels, clean: Pixels, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio for 8 bit, in dB, of all pixels or those of a mask; at most 99."""
    squares = np.square(restored.astype(np.float64) - clean)
    error = float((squares if mask is None else squares[mask]).mean())
    return min(99.0, float(10 * np.log10(255**2 / max(error, 1e-9))))


def enlarge(pixels: Pixels, zoom: int) -> Picture:
    """Pixels (H, W, C) as 8-bit R G B, each `zoom` times as wide and high."""
    large = to_light(pixels).repeat(zoom, axis=0).repeat(zoom, axis=1)
    return np.asarray(np.rint(255 * np.broadcast_to(large, (*large.shape[:2], 3))), np.uint8)


def join_pictures(pictures: Iterable[Picture], axis: int, gap: int = 4) -> Picture:
    """Pictures of one height (axis 1) or width (axis 0) in a line, with white gaps."""
    pictures = list(pictures)
    shape = list(pictures[0].shape)
    shape[axis] = gap
    bar = np.full(shape, 255, np.uint8)
    return np.concatenate([item for picture in pictures for item in (picture, bar)][:-1], axis=axis)


def run_main(main: Callable[[], None]) -> None:
    """Run a benchmark; an error of ReDust or of a file ends it with its message, without a traceback."""
    try:
        main()
    except (RedustError, OSError) as error:
        sys.exit(f"error: {error}")
