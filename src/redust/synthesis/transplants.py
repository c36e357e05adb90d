"""Real damage, cut out of scans whose masks are known and pasted elsewhere.

The sound ground under each spot is estimated from its neighbourhood; what is kept is how much light the spot
took away or added, as a logarithm of linear light, with its soft rim.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light, to_light
from redust.core.errors import ScanError
from redust.core.tiles import Place
from redust.files import read_scan
from redust.files.pairs import find_splits
from redust.synthesis.appearance import to_linear
from redust.synthesis.shapes import Canvas, crowd, soften

logger = logging.getLogger(__name__)

_MARGIN = 8  # pixels of sound ground around a spot
_RIM = 2  # pixels by which damage reaches beyond its mask
_LARGEST = 400  # pixels: a longer spot is cut with too much guesswork under it
_DARKEST = 0.01  # of full linear light: below it a ratio is noise
_CLEAR = 2.5  # a spot must stand out of its surroundings' noise this many times


@dataclass(frozen=True)
class Spot:
    """One piece of real damage.

    Parameters
    ----------
    log_ratio : (h, w, C) float32
        Natural logarithm of light with damage over light without; fades to 0 at the rim. C is 1 or 3.
    marked : (h, w) uint8
        255 where its mask says damage.
    """

    log_ratio: NDArray[np.float32]
    marked: NDArray[np.uint8]


@dataclass(frozen=True)
class Transplants:
    """Real damage to paste: turned, mirrored, zoomed, in either polarity."""

    spots: tuple[Spot, ...]

    @classmethod
    def from_folder(cls, folder: Path, per_scan: int = 250) -> Transplants:
        """Cut the damage out of scans with masks.

        Parameters
        ----------
        folder
            ``images/`` and ``masks/``, or ``NAME.jpg`` beside ``NAME_mask.png``; 255 is damage, 128 not judged.
        per_scan
            At most this many spots of one scan, evenly over it.

        Raises
        ------
        ScanError
            If no clear spot is found.
        TrainingError
            If scans and masks do not pair up.
        """
        spots: list[Spot] = []
        for pair in find_splits(folder).train:
            if pair.mask is None:
                continue
            light, truth = to_light(read_scan(pair.picture).pixels), three_values(_grey(pair.mask))
            if truth.shape != light.shape[:2]:
                raise ScanError(
                    f"{pair.mask} is {truth.shape}, {pair.picture} is {light.shape[:2]} (height, width). "
                    "Correct the mask, or remove both."
                )
            found = list(cut_out(light, truth, per_scan))
            logger.info("%d clear spots in %s", len(found), pair.picture)
            spots.extend(found)
        if not spots:
            raise ScanError(f"No clear damage to cut out in {folder}. Give scans with masks that mark some.")
        return cls(tuple(spots))

    def layer(
        self, canvas: Canvas, scale: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Paste one to a few spots.

        Returns
        -------
        log_ratio : (H, W, 3) float32
        marked : (H, W) bool
        """
        total, marked = np.zeros((*canvas, 3), np.float32), np.zeros(canvas, np.bool_)
        sign = -1.0 if rng.random() < 0.35 else 1.0  # the other polarity, as on a negative
        # The scans have a resolution of their own: keep near it, whatever is drawn besides.
        nominal = float(np.clip(scale, 0.5, 1.3))
        for _ in range(int(rng.integers(1, 9) * crowd(canvas) ** 0.8)):
            spot = self.spots[int(rng.integers(len(self.spots)))]
            _paste(spot, total, marked, sign * rng.uniform(0.7, 1.3), nominal * rng.uniform(0.7, 1.4), rng)
        return total, marked


def _grey(path: Path) -> NDArray[np.float32]:
    """The first channel of a file, (H, W) float32 in 0..1."""
    plane: NDArray[np.float32] = to_light(read_scan(path).pixels)[..., 0]
    return plane


def three_values(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A grey mask (H, W) in 0..1 as (H, W) uint8: 255 damage, 128 not judged, 0 sound."""
    return np.where(grey > 0.75, np.uint8(255), np.where(grey > 0.25, np.uint8(128), np.uint8(0)))


def cut_out(light: Light, truth: NDArray[np.uint8], most: int) -> Iterator[Spot]:
    """Cut the clear spots out of a scan.

    Parameters
    ----------
    light : (H, W, C) float32 in 0..1
    truth : (H, W) uint8
        255 damage, 128 not judged, 0 sound.
    most
        At most this many.

    Yields
    ------
    spot
        Where damage stands out of the noise around it, does not touch the edge, and its ground can be guessed.
    """
    joined = cv2.dilate((truth == 255).astype(np.uint8), np.ones((3, 3), np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    order = np.arange(1, count)
    np.random.default_rng(count).shuffle(order)  # from all over the scan, and the same each time
    taken = 0
    for label in order:
        left, top, wide, tall = (int(value) for value in boxes[label][:4])
        window = _window(top, left, tall, wide, truth.shape)
        if window is None:
            continue
        spot = _cut(light[window], truth[window], labels[window] == label)
        if spot is not None:
            taken += 1
            yield spot
        if taken == most:
            return


def _window(top: int, left: int, tall: int, wide: int, shape: tuple[int, ...]) -> Place | None:
    """A spot's box with its margin, None where it is too large or too near the edge."""
    first_row, first_column = top - _MARGIN, left - _MARGIN
    last_row, last_column = top + tall + _MARGIN, left + wide + _MARGIN
    inside = first_row >= 0 and first_column >= 0 and last_row <= shape[0] and last_column <= shape[1]
    if not inside or max(tall, wide) > _LARGEST:
        return None
    return slice(first_row, last_row), slice(first_column, last_column)


def _cut(light: Light, truth: NDArray[np.uint8], own: NDArray[np.bool_]) -> Spot | None:
    """The spot in a window, None if it is no clearer than what surrounds it.

    Parameters
    ----------
    light : (h, w, C) float32 in 0..1
    truth : (h, w) uint8
    own : (h, w) bool
        The region of this spot; others in the window are only kept out of the guess.
    """
    marked = own & (truth == 255)
    reach = cv2.dilate(own.astype(np.uint8), np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8))
    # All that is not known to be sound is guessed, and so is no witness of the noise.
    unknown = np.maximum(reach, (truth > 0).astype(np.uint8))
    witnesses = (unknown == 0) & (cv2.dilate(reach, np.ones((9, 9), np.uint8)) > 0)
    if witnesses.sum() < 24:
        return None
    ground = np.stack([_guess(light[..., channel], unknown) for channel in range(light.shape[2])], axis=2)
    ratio = _logarithm(light) - _logarithm(ground)
    # How far the guess would be off where the truth is known.
    smooth = np.stack([soften(ground[..., channel], 2.0) for channel in range(light.shape[2])], axis=2)
    noise = (_logarithm(light) - _logarithm(smooth))[witnesses].std()
    signal = abs(float(ratio[marked].mean()))
    if signal < max(0.10, _CLEAR * float(noise)):
        return None
    soft = cv2.GaussianBlur(reach.astype(np.float32), (0, 0), 1.0)
    faded = (ratio * np.minimum(1, soft * 1.2)[..., None] * (soft > 0.1)[..., None]).astype(np.float32)
    return Spot(faded, np.where(marked, np.uint8(255), np.uint8(0)))


def _logarithm(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The natural logarithm of linear light, as far down as there is any."""
    return np.log(np.maximum(to_linear(light), np.float32(_DARKEST)))


def _guess(plane: NDArray[np.float32], unknown: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Fill the unknown pixels of one plane (h, w) from the known ones around them."""
    return cv2.inpaint(np.ascontiguousarray(plane), unknown, 3.0, cv2.INPAINT_NS).astype(np.float32)


def _paste(
    spot: Spot, total: NDArray[np.float32], marked: NDArray[np.bool_], strength: float, zoom: float,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Turn, mirror and zoom one spot and add it somewhere, in place."""
    height, width = marked.shape
    tall, wide = spot.marked.shape
    matrix = cv2.getRotationMatrix2D((wide / 2, tall / 2), float(rng.uniform(0, 360)), zoom)
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
        matrix[:, 2] += matrix[:, 0] * -wide
    matrix[:, 2] += [rng.uniform(0, width) - wide / 2, rng.uniform(0, height) - tall / 2]
    ratio, mask = spot.log_ratio, spot.marked
    if zoom < 0.8:  # or thin damage would be sampled away
        ratio = cv2.GaussianBlur(ratio, (0, 0), 0.4 / zoom).reshape(ratio.shape).astype(np.float32)
    placed = cv2.warpAffine(ratio, matrix, (width, height), flags=cv2.INTER_LINEAR).reshape(height, width, -1)
    total += np.float32(strength) * placed.astype(np.float32)
    marked |= cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR) >= 128
