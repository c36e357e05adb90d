"""How many scratches through the whole frame are found, and how many undamaged photos get a mark that is none.

    python benchmarks/through.py PHOTOS... [--number 60] [--seed 1]

PHOTOS are folders of undamaged photos. First all are searched as they are; every photo with a line is named. Then
scratches are drawn on `number` of them, spread over all, one each: level or upright within half a degree, wavering by
half a pixel, white or black, with a little grain; printed is the share of scratches found, by opacity and width, of
those that could be seen (a white scratch over white cannot). Last the seconds per megapixel.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import redust
from redust.core.arrays import Light, three_channels, to_light
from redust.detectors.lines import mark_lines
from redust.detectors.through import find_through

OPACITIES = (0.1, 0.2, 0.4, 0.6)
WIDTHS = (1.0, 2.5)
LEAST = 400  # pixels of the shorter side
GRAIN = 0.012
SEEN = 0.02  # mean change of light along a scratch
FOUND = 0.9  # share of a scratch with a mark within 2 pixels


def scratched(
    light: Light, opacity: float, width: float, rng: np.random.Generator
) -> tuple[Light, NDArray[np.float64]]:
    """A photo with one scratch, and its coverage."""
    if rng.random() < 0.5:
        turned, coverage = scratched_level(np.swapaxes(light, 0, 1), opacity, width, rng)
        return np.ascontiguousarray(np.swapaxes(turned, 0, 1)), coverage.T
    return scratched_level(light, opacity, width, rng)


def scratched_level(
    light: Light, opacity: float, width: float, rng: np.random.Generator
) -> tuple[Light, NDArray[np.float64]]:
    """The same, nearly level."""
    height, length = light.shape[:2]
    columns = np.arange(length)
    rows = rng.uniform(0.15, 0.85) * height + np.tan(np.deg2rad(rng.uniform(-0.5, 0.5))) * (columns - length / 2)
    rows += 0.5 * np.sin(6 * columns / length + rng.uniform(0, 6))
    coverage = np.clip((width + 1) / 2 - np.abs(np.arange(height)[:, None] - rows), 0, 1)
    share = opacity * coverage[..., None]
    drawn = light * (1 - share) + share * float(rng.random() < 0.5)
    return np.clip(drawn + rng.normal(0, GRAIN, light.shape), 0, 1).astype(np.float32), coverage


def share_found(light: Light, opacity: float, width: float, seed: int) -> float | None:
    """Which share of a drawn scratch is found; None if it cannot be seen."""
    drawn, coverage = scratched(light, opacity, width, np.random.default_rng(seed))
    line = coverage > 0.5
    if np.abs(drawn - light)[line].mean() < SEEN + GRAIN:
        return None
    mask = np.zeros(line.shape, np.bool_)
    mark_lines(mask, find_through(drawn))
    rows, columns = np.nonzero(line)
    near = [mask[np.clip(rows + down, 0, len(mask) - 1), np.clip(columns + across, 0, mask.shape[1] - 1)]
            for down in (-2, -1, 0, 1, 2) for across in (-2, -1, 0, 1, 2)]  # fmt: skip
    return float(np.any(near, axis=0).mean())


def main() -> None:
    """Print the photos with a mark, the shares found, and the time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--number", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    paths = [path for folder in options.photos for path in sorted(folder.iterdir())]
    marked, seconds, megapixels, large = 0, 0.0, 0.0, []
    for path in paths:
        scan = redust.read_scan(path)
        start = time.perf_counter()
        lines = find_through(scan.pixels)
        seconds, megapixels = seconds + time.perf_counter() - start, megapixels + scan.megapixels
        if lines:
            marked += 1
            print(f"{path.name}: {len(lines)} lines")
        if min(scan.shape) >= LEAST:
            large.append(path)
    print(f"{marked} of {len(paths)} photos marked, {1000 * seconds / megapixels:.1f} ms per megapixel")
    chosen = [large[one] for one in np.linspace(0, len(large) - 1, min(options.number, len(large))).astype(int)]
    lights = [three_channels(to_light(redust.read_scan(path).pixels)) for path in chosen]
    for opacity in OPACITIES:
        for width in WIDTHS:
            shares = [share_found(light, opacity, width, options.seed + one) for one, light in enumerate(lights)]
            seen = [share for share in shares if share is not None]
            print(f"opacity {opacity}, {width} px: {np.mean(np.array(seen) >= FOUND):.2f} of {len(seen)} found")


if __name__ == "__main__":
    main()
