"""Windows of held-back scans, by which the best weights are chosen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels, from_light, three_channels, to_light
from redust.core.labels import Truth
from redust.files.pairs import Library
from redust.training.film_copies import make_web_copy, resize_square, shrink_truth
from redust.training.film_material import FILM, PLATES, SOUND, MaterialPaths, ScanSet

_SIDE = 512
_WEB_SHRINK = 2.5
_WINDOWS_ON_DAMAGE = {FILM: 2, PLATES: 1, SOUND: 0}  # of each scan, and one more at random


class HeldScans:
    """Windows of the held-back scans, at full size and as web copies; the same in each run."""

    def __init__(self, paths: MaterialPaths) -> None:
        rng = np.random.default_rng(0)
        self._windows: list[tuple[Pixels, Truth]] = []
        for kind, count in _WINDOWS_ON_DAMAGE.items():
            scans = ScanSet(Library(paths.held[kind], None, megabytes=0))
            for index in range(len(scans)):
                self._add_scan(scans, index, count, rng)

    def _add_scan(self, scans: ScanSet, index: int, count: int, rng: np.random.Generator) -> None:
        pixels, truth = scans[index]
        objects = scans.objects[index]
        on_damage = [objects[int(number)] for number in np.linspace(0, len(objects) - 1, count + 2)[1:-1]]
        for centre in [*(on_damage if len(objects) else []), rng.random(2) * truth.shape]:
            for shrink in (1.0, _WEB_SHRINK):
                self._windows.append(cut_held_window(pixels, truth, centre, shrink))

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]:
        """Pixels (512, 512, 3) uint8 and truth (512, 512); smaller where the scan is."""
        return self._windows[index]


def cut_held_window(pixels: Pixels, truth: Truth, centre: NDArray[np.float64], shrink: float) -> tuple[Pixels, Truth]:
    """A square about a centre (row, column), shrunk to at most 512 pixels, sharpened and compressed if it is."""
    reach = min(round(_SIDE * shrink), *truth.shape)
    top, left = (
        int(np.clip(round(middle) - reach // 2, 0, length - reach))
        for middle, length in zip(centre, truth.shape, strict=True)
    )
    rows, columns = slice(top, top + reach), slice(left, left + reach)
    light, target = three_channels(to_light(pixels[rows, columns])), np.ascontiguousarray(truth[rows, columns])
    if shrink > 1:
        side = round(reach / shrink)
        light = make_web_copy(resize_square(light, side), np.random.default_rng([top, left]))
        target = shrink_truth(target, side)
    return from_light(light, np.dtype(np.uint8)), target
