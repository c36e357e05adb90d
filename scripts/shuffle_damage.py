"""Lay the damage of pairs with grey masks anew over their own pictures, and over photos: many pairs of few.

    python scripts/shuffle_damage.py PAIRS -o OUT [--number 10000] [--photos DIR] [--quality 95] [--seed 0]

For pairs whose grey mask is how opaque a white spot is, as the first ReDust's are: light = sound * (1 - mask) + mask.
So the sound picture is known again but where a spot hides it, and any mask of the training half can be laid over
any picture of it. Picture and mask each go through JPEG then, as those of the first ReDust did: compressed once more,
they change least at 95. Test pairs are copied as they are and nothing is taken from them. OUT has the layout of PAIRS.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import cv2
import numpy as np

import plainly
from redust.core.arrays import Light, Pixels, from_light, three_channels, to_light
from redust.core.scan import Scan
from redust.files import read_scan, write_scan
from redust.training.pairs import find_photos, find_splits

OPAQUE = 0.85  # from this mask on nothing of the picture is left
PHOTOS_SHARE = 0.5


def sound(picture: Light, opacity: Light) -> Light:
    """The picture without its white spots, (H, W, 3) float32 in 0..1; what they hide is filled from around."""
    clear = np.clip((picture - opacity) / np.maximum(1 - opacity, 1 - OPAQUE), 0, 1)
    hidden = cv2.dilate((opacity[..., 0] > OPAQUE).astype(np.uint8), np.ones((3, 3), np.uint8))
    return to_light(cv2.inpaint(from_light(clear, np.dtype(np.uint8)), hidden, 3, cv2.INPAINT_TELEA))


def cut_out(photo: Pixels, side: int, rng: np.random.Generator) -> Light:
    """A square window of a photo, shrunk to `side`, (side, side, 3) float32 in 0..1."""
    reach = int(min(photo.shape[:2]) * rng.uniform(0.5, 1.0))
    row, column = (int(rng.integers(length - reach + 1)) for length in photo.shape[:2])
    window = three_channels(to_light(photo[row : row + reach, column : column + reach]))
    return cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA)


def turned(opacity: Light, rng: np.random.Generator) -> Light:
    """A mask turned, mirrored and shifted at random; what is shifted out of the picture is gone."""
    opacity = np.rot90(opacity, int(rng.integers(4)))
    opacity = opacity[:, ::-1] if rng.random() < 0.5 else opacity
    reach = opacity.shape[0] // 4
    down, right = (int(one) for one in rng.integers(-reach, reach + 1, 2))
    room = np.pad(opacity, ((reach, reach), (reach, reach), (0, 0)))
    height, width = opacity.shape[:2]
    return room[reach - down : reach - down + height, reach - right : reach - right + width]


def compressed(light: Light, quality: int) -> Pixels:
    """A picture or mask after JPEG, (H, W, 1 or 3) uint8."""
    pixels = from_light(np.ascontiguousarray(light), np.dtype(np.uint8))
    _, coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.atleast_3d(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED))[..., ::-1]


def main() -> None:
    """Write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--quality", type=int, default=95)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    splits = find_splits(options.pairs)
    for half, pairs in (("train", splits.train), ("test", splits.test)):
        for part in ("images", "masks"):
            (options.output / half / part).mkdir(parents=True, exist_ok=True)
        for pair in pairs:
            shutil.copy(pair.picture, options.output / half / "images" / pair.picture.name)
            shutil.copy(pair.mask, options.output / half / "masks" / pair.picture.name)
    pictures = [three_channels(to_light(read_scan(pair.picture).pixels)) for pair in splits.train]
    opacities = [to_light(read_scan(pair.mask).pixels)[..., :1] for pair in splits.train]
    grounds = [sound(picture, opacity) for picture, opacity in zip(pictures, opacities, strict=True)]
    photos = [read_scan(one.picture).pixels for one in find_photos(options.photos)] if options.photos else []
    for number in range(options.number):
        ground = grounds[int(rng.integers(len(grounds)))]
        if photos and rng.random() < PHOTOS_SHARE:
            ground = cut_out(photos[int(rng.integers(len(photos)))], ground.shape[0], rng)
        opacity = turned(opacities[int(rng.integers(len(opacities)))], rng)
        name = f"anew-{number:05d}.png"
        for part, light in (("images", ground * (1 - opacity) + opacity), ("masks", opacity)):
            scan = Scan(np.ascontiguousarray(compressed(light, options.quality)))
            write_scan(scan, options.output / "train" / part / name, overwrite=True)


if __name__ == "__main__":
    plainly.run(main)
