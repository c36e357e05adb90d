"""How far grey masks, cut at a level, limit what a detector can reach.

    python benchmarks/grey_masks.py PAIRS MODEL [--cut 128] [--looks 8] [--picture FILE.png]

PAIRS is a folder of pairs with a test half (`redust train` says which layouts). Printed are strict f1 at the best
level, and at levels chosen each on the other half of the pictures (every second one), so that no picture chooses its
own; the share of errors by the mask's grey under them, what would be left of them without those far from any spot or
without those near the cut, and the strict f1 that the same masks cut elsewhere would have
against themselves: a network that is right to within so many greys cannot be better than that.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

import redust
from redust.detectors.looks import looking
from redust.detectors.network import NetworkDetector
from redust.detectors.running import find_damage
from redust.training.pairs import find_splits

_GREYS = (0, 1, 32, 64, 96, 128, 160, 192, 224, 256)
_ZOOM, _ROWS = 3, 6
_NEAR = 32


def f1(one: np.ndarray, other: np.ndarray) -> float:
    """Strict f1 of two masks."""
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def best_level(damage: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """The highest strict f1 of a damage map, and the level at which it is reached."""
    return max((f1(damage >= level, true), level) for level in np.linspace(0.1, 0.9, 17))


def picture(scans: list[np.ndarray], greys: list[np.ndarray], found: list[np.ndarray], cut: int) -> np.ndarray:
    """Rows of scan, grey mask and verdict (green found, red missed, blue false)."""
    rows = []
    for index in range(0, len(scans), max(1, len(scans) // _ROWS)):
        grey, mark = greys[index], found[index]
        true = grey >= cut
        verdict = np.zeros((*grey.shape, 3), np.uint8)
        for where, colour in ((true & mark, (0, 255, 0)), (true & ~mark, (255, 0, 0)), (~true & mark, (0, 0, 255))):
            verdict[where] = colour
        scan = np.broadcast_to(scans[index], verdict.shape)
        row = np.hstack([scan, np.repeat(grey[..., None], 3, axis=2), verdict])
        rows.append(cv2.resize(row, None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_NEAREST))
    half = len(rows) // 2
    return np.hstack([np.vstack(rows[:half]), np.vstack(rows[half : 2 * half])])


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--cut", type=int, default=128)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--looks", type=int, default=1, help="as for `redust detect`")
    options = parser.parse_args()
    detector = looking(NetworkDetector(options.model), options.looks)
    scans, greys, maps = [], [], []
    for pair in find_splits(options.pairs).test:
        scans.append(redust.read_scan(pair.picture).pixels)
        greys.append(redust.read_scan(pair.mask).pixels[..., 0])
        maps.append(find_damage(detector, scans[-1]))
    grey, damage = np.concatenate([one.ravel() for one in greys]), np.concatenate([one.ravel() for one in maps])
    true = grey >= options.cut
    best, level = best_level(damage, true)
    marked = damage >= level
    print(f"strict f1 {best:.3f} at level {level:.2f}")
    halves = [
        np.concatenate([np.full(one.size, index % 2) for index, one in enumerate(maps)]) == half for half in (0, 1)
    ]
    chosen = [best_level(damage[half], true[half])[1] for half in halves]
    crossed = np.where(halves[0], damage >= chosen[1], damage >= chosen[0])
    print(f"strict f1 {f1(crossed, true):.3f} at levels chosen on the other half, {chosen[1]:.2f} and {chosen[0]:.2f}")
    wrong = marked != true
    print("grey of the mask   pixels   marked   share of all errors")
    for low, high in pairwise(_GREYS):
        here = (grey >= low) & (grey < high)
        share = wrong[here].sum() / wrong.sum()
        print(f"{low:>7} to {high - 1:<6}{here.sum():>10}{marked[here].mean():>9.3f}{share:>10.3f}")
    near = np.abs(grey.astype(int) - options.cut) <= _NEAR
    print(f"were all right where the mask is 0: strict f1 {f1(marked & (grey > 0), true):.3f}")
    spared = f1(np.where(near, true, marked), true)
    print(f"were all right where it is within {_NEAR} of the cut: strict f1 {spared:.3f}")
    for cut in (64, 96, 112, 144, 160, 192):
        print(f"the masks cut at {cut} against themselves cut at {options.cut}: strict f1 {f1(grey >= cut, true):.3f}")
    if options.picture:
        cv2.imwrite(str(options.picture), picture(scans, greys, [one >= level for one in maps], options.cut)[..., ::-1])


if __name__ == "__main__":
    main()
