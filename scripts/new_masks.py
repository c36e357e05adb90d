"""What the scripts share that give scans new masks: their arguments, what they read, what they write."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Pixels
from redust.core.scan import Scan
from redust.files import whole_file, write_scan
from redust.training.pairs import PairPaths, read_picture, read_truth

Target = NDArray[np.uint8]


def arguments(description: str | None, **numbers: float) -> argparse.Namespace:
    """What was asked for: `scans`, `output` (a folder, which is made), `detector`, and numbers by their defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--detector", default="unet")
    for name, usual in numbers.items():
        parser.add_argument(f"--{name}", type=type(usual), default=usual)
    options = parser.parse_args()
    if options.output.resolve() == options.scans.resolve():
        parser.error("-o must be another folder than SCANS, whose masks are kept.")
    options.output.mkdir(parents=True, exist_ok=True)
    return options


def read(pair: PairPaths) -> tuple[Pixels, Target]:
    """The pixels (H, W, C) of a scan that has a mask, and the mask, (H, W): 255 damage, 128 not judged, 0 sound."""
    assert pair.mask is not None
    pixels = read_picture(pair.picture)
    return pixels, read_truth(pair.mask, pixels.shape[:2], None)


def write(pair: PairPaths, mask: Target, output: Path) -> None:
    """Put a scan and its mask (H, W) into a folder; never the scan alone, which would pass for a sound one."""
    write_scan(Scan(mask[..., None]), output / f"{pair.picture.stem}_mask.png", overwrite=True)
    copy = output / pair.picture.name
    with pair.picture.open("rb") as there, whole_file(copy, source=pair.picture, overwrite=True) as here:
        shutil.copyfileobj(there, here)
