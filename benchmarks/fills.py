"""Score fills on a set of damaged scans with true masks.

    python benchmarks/fills.py SET_DIR... [--fill kriging] [--grow 1] [--grain 0] [--recover]
        [--by-shape] [--threads 1]

SET_DIR holds ``damaged/``, ``clean/`` and ``mask/`` (255 damage, 128 not judged, 0 sound), files of one name in
each. The true mask, grown, is filled. A fill may be the mean of several, ``kriging+fsr``. Figures, the mean over scans
unless said otherwise (dB of 8 bit):

inside   where the true mask is 255
whole    the whole scan
grain    high-pass deviation of the result over that of the clean scan, inside the damage (1 = grain kept)
wall     seconds for the set, fill and grain
cpu      seconds of all cores together: what a busy machine cannot distort
us/px    microseconds of cpu per filled pixel

With ``--by-shape``, which takes several sets: inside, pooled over all regions of a width (in pixels, where they are
widest; lines are more than four times as long), and the share of them in which a fill is nearest to the truth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import redust
from redust.core.arrays import Mask, Pixels
from redust.core.engines import Inpainter
from redust.core.errors import RedustError
from redust.inpainters import catalogue, make_inpainter
from redust.inpainters.auto import AutoInpainter, Shape, widths
from redust.inpainters.fill_damage import fill_damage

_WIDTHS = (5, 9, 13, 19, 29)  # pixels


def decibels(difference: NDArray[np.float64]) -> float:
    """PSNR for 8 bit."""
    return float(10 * np.log10(255**2 / max(float(np.square(difference).mean()), 1e-12)))


def highpass(pixels: Pixels) -> NDArray[np.float32]:
    """What a blur of 1.5 pixels takes away, of the mean of the channels."""
    grey = pixels.astype(np.float32).mean(axis=2)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), 1.5))


def grown(mask: Mask, pixels: int) -> Mask:
    """The mask widened by `pixels` on each side."""
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(mask.view(np.uint8), square).astype(np.bool_)


def _read(clean: Path) -> tuple[Pixels, Pixels, Mask]:
    """The pixels of a clean scan and of the damaged one, and the true mask."""
    damaged, mask = (redust.read_scan(clean.parents[1] / kind / clean.name).pixels for kind in ("damaged", "mask"))
    return redust.read_scan(clean).pixels, damaged, mask[..., 0] == 255


def score(inpainter: Inpainter, folder: Path, grow: int, **how: Any) -> list[float]:
    """Inside, whole, grain, wall and cpu seconds, and microseconds per filled pixel."""
    rows, wall, cpu, filled = [], 0.0, 0.0, 0
    for path in sorted((folder / "clean").iterdir()):
        clean, damaged, true = _read(path)
        mask = grown(true, grow)
        start, used = time.perf_counter(), time.process_time()
        result = fill_damage(inpainter, damaged, mask, **how)
        wall, cpu = wall + time.perf_counter() - start, cpu + time.process_time() - used
        filled += int(mask.sum())
        off = result.astype(np.float64) - clean
        kept = highpass(result)[true].std() / max(float(highpass(clean)[true].std()), 1e-6)
        rows.append((decibels(off[true]), decibels(off), float(kept)))
    return [*np.mean(rows, axis=0).tolist(), wall, cpu, 1e6 * cpu / filled]


def make(name: str) -> Inpainter:
    """The fill of a name, or the mean of several."""
    names = tuple(name.split("+"))
    return make_inpainter(name) if len(names) == 1 else AutoInpainter(dict.fromkeys(Shape, (names,)))


def by_shape(fills: dict[str, Inpainter], folders: list[Path], grow: int, **how: Any) -> None:
    """Print one line for each width and form of region."""
    found: dict[tuple[int, str], list[list[float]]] = {}
    for path in (one for folder in folders for one in sorted((folder / "clean").iterdir())):
        clean, damaged, true = _read(path)
        mask = grown(true, grow)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        wide = widths(mask, labels)
        pixels = np.bincount(labels[true], minlength=count)
        errors = []
        for inpainter in fills.values():
            result = fill_damage(inpainter, damaged, mask, **how)
            square = np.square(result.astype(np.float64) - clean).mean(axis=2)
            errors.append(np.bincount(labels[true], square[true], count))
        for one in np.flatnonzero(pixels):
            form = "line" if stats[one, cv2.CC_STAT_AREA] > 4 * wide[one] ** 2 else "spot"
            key = int(np.searchsorted(_WIDTHS, wide[one])), form
            found.setdefault(key, []).append([float(pixels[one]), *(float(error[one]) for error in errors)])
    print(f"{'width':<12}{'regions':>9}{'pixels':>9}" + "".join(f"{name:>21}" for name in fills))
    for (place, form), rows in sorted(found.items()):
        table = np.array(rows)
        inside = 10 * np.log10(255**2 * table[:, 0].sum() / table[:, 1:].sum(axis=0))
        first = np.bincount(table[:, 1:].argmin(axis=1), minlength=len(fills)) / len(table)
        cells = "".join(f"{dB:14.2f} {share:6.0%}" for dB, share in zip(inside, first, strict=True))
        limit = f"<= {_WIDTHS[place]}" if place < len(_WIDTHS) else f"> {_WIDTHS[-1]}"
        print(f"{form + ' ' + limit:<12}{len(table):9}{int(table[:, 0].sum()):9}{cells}", flush=True)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+", metavar="SET_DIR")
    parser.add_argument("--fill", action="append")
    parser.add_argument("--grow", type=int, default=1, help="pixels by which the true mask is grown")
    parser.add_argument("--grain", type=float, default=0.0, help="as the setting: 0 to 1")
    parser.add_argument("--recover", action="store_true", help="put back what shines through, as the setting")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--by-shape", action="store_true", help="one line for each width of region")
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    fills = {}
    for name in options.fill or catalogue.names():
        try:
            fills[name] = make(name)
        except RedustError as error:
            print(f"{name:<15} {error}")
    how = {"grain": options.grain, "recover": options.recover, "threads": options.threads}
    if options.by_shape:
        by_shape(fills, options.sets, options.grow, **how)
        return
    for folder in options.sets:
        print(f"{'fill':<15}" + "".join(f"{one:>9}" for one in ("inside", "whole", "grain", "wall", "cpu", "us/px")))
        for name, inpainter in fills.items():
            figures = score(inpainter, folder, options.grow, **how)
            print(f"{name:<15}" + "".join(f"{figure:9.2f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
