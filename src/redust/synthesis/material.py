"""Damage from the user's material: alpha shapes, outlines, crack masks, grey pictures of folds."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import to_light
from redust.core.errors import ScanError
from redust.files import is_scan_path, read_scan
from redust.synthesis.appearance import GAMMA
from redust.synthesis.painting import (
    SUPERSAMPLING,
    Canvas,
    Coverage,
    blur_coverage,
    bytes_to_coverage,
    downsample_coverage,
    object_density,
    smooth_noise,
)

_BLOBS = ("dots", "smut", "stain")  # solid shapes that would otherwise hide the picture
_BLOB_SIDE = 0.4  # of the canvas


@dataclass(frozen=True)
class Overlays:
    """Pictures whose grey value is a coverage, one folder per kind.

    They are read when drawn, so thousands of them take no memory.
    """

    paths: dict[str, list[Path]]

    @classmethod
    def from_folder(cls, folder: Path) -> Overlays:
        """Collect ``folder/<kind>/*.png`` (or ``folder/*.png`` as one kind).

        Raises
        ------
        ScanError
            If there is none.
        """
        if not folder.is_dir():
            raise ScanError(f"There is no folder {folder} of overlays. Check the path.")
        kinds = {sub.name: sorted(sub.glob("*.png")) for sub in sorted(folder.iterdir()) if sub.is_dir()}
        kinds = {kind: paths for kind, paths in kinds.items() if paths} or {"overlay": sorted(folder.glob("*.png"))}
        if not any(kinds.values()):
            raise ScanError(f"No overlay pictures (*.png) in {folder}. Point to a folder of grey alpha shapes.")
        return cls(kinds)

    def draw_coverage(self, canvas: Canvas, scale: float, rng: np.random.Generator) -> tuple[str, Coverage]:
        """Scatter one to a few shapes of one kind; returns the kind and (H, W) float32 in 0..1."""
        kinds = sorted(self.paths)
        counts = np.array([len(self.paths[kind]) for kind in kinds], np.float64)
        kind = str(rng.choice(kinds, p=counts / counts.sum()))
        total = np.zeros(canvas, np.float32)
        for _ in range(round(int(rng.integers(1, 4)) * object_density(canvas) ** 0.8)):
            path = self.paths[kind][int(rng.integers(len(self.paths[kind])))]
            shape = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            if shape is None:
                raise ScanError(f"{path} is no readable picture. Remove it from the overlays.")
            largest = _BLOB_SIDE * max(canvas) / max(shape.shape) if kind in _BLOBS else np.inf
            zoom = min(scale * rng.uniform(0.4, 1.0), largest * rng.uniform(0.2, 1.0))
            _paste_shape(total, shape.astype(np.uint8), zoom, rng)
        return kind, total


def _paste_shape(total: Coverage, shape: NDArray[np.uint8], zoom: float, rng: np.random.Generator) -> None:
    """Rotate, scale and add one alpha shape at a random position, in place."""
    height, width = total.shape
    angle = rng.uniform(0, 360)
    matrix = cv2.getRotationMatrix2D((shape.shape[1] / 2, shape.shape[0] / 2), angle, zoom)
    matrix[:, 2] += [rng.uniform(0, width) - shape.shape[1] / 2, rng.uniform(0, height) - shape.shape[0] / 2]
    source = cv2.GaussianBlur(shape, (0, 0), 0.4 / zoom) if zoom < 0.7 else shape
    warped = cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_LINEAR)
    np.maximum(total, bytes_to_coverage(warped), out=total)


@dataclass(frozen=True)
class Outlines:
    """Hand-drawn outlines of real artefacts at their positions in a frame: real sizes, shapes and clustering."""

    points: list[NDArray[np.float32]]
    kinds: list[str]
    centres: NDArray[np.float32]

    @classmethod
    def from_file(cls, path: Path) -> Outlines:
        """Read ``{"artefacts": [{"class": ..., "points": [[column, row], ...]}, ...]}``.

        Raises
        ------
        ScanError
            If the file has no such content.
        """
        try:
            artefacts = json.loads(path.read_text(encoding="utf-8"))["artefacts"]
            points = [np.asarray(item["points"], np.float32) for item in artefacts if len(item["points"]) > 2]
            kinds = [str(item["class"]) for item in artefacts if len(item["points"]) > 2]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ScanError(f"{path} holds no outlines ({error}). Expected JSON with `artefacts`.") from error
        if not points:
            raise ScanError(f"{path} holds no outlines. Expected at least one artefact with three points.")
        return cls(points, kinds, np.stack([polygon.mean(axis=0) for polygon in points]))

    def draw_coverage(
        self, canvas: Canvas, scale: float, rng: np.random.Generator
    ) -> tuple[Coverage, NDArray[np.bool_]]:
        """Draw the artefacts in a random window of the frame, at the resolution `scale`.

        Returns
        -------
        coverage : (H, W) float32 in 0..1
            Irregular inside and soft at the edge: the outlines are coarse polygons.
        damaged : (H, W) bool
            The polygons themselves.
        """
        size = np.array([canvas[1], canvas[0]], np.float32) / scale
        middle = self.centres[self._pick_artefact(rng)] + rng.uniform(-0.5, 0.5, 2) * size * 0.8
        corner = (middle - size / 2).astype(np.float32)
        inside = np.all((self.centres > corner - 80) & (self.centres < corner + size + 80), axis=1)
        drawn = np.zeros((canvas[0] * SUPERSAMPLING, canvas[1] * SUPERSAMPLING), np.uint8)
        for index in np.flatnonzero(inside):
            polygon = (self.points[index] - corner) * (scale * SUPERSAMPLING)
            cv2.fillPoly(drawn, [np.rint(polygon).astype(np.int32)], 255)
        filled = downsample_coverage(drawn, canvas)
        return _roughen_polygons(filled, scale, rng), filled > 0.5

    def _pick_artefact(self, rng: np.random.Generator) -> int:
        """A random artefact; half of the time of a uniformly drawn kind: hairs are few, but 40 % of the area."""
        if rng.random() < 0.5:
            return int(rng.integers(len(self.points)))
        return int(rng.choice(self._indices_by_kind[int(rng.integers(len(self._indices_by_kind)))]))

    @cached_property
    def _indices_by_kind(self) -> list[NDArray[np.intp]]:
        kinds = np.array(self.kinds)
        return [np.flatnonzero(kinds == kind) for kind in sorted(set(self.kinds))]


def _roughen_polygons(filled: Coverage, scale: float, rng: np.random.Generator) -> Coverage:
    """Give polygons a soft, irregular edge that lies mostly inside them."""
    blurred = blur_coverage(filled, rng.uniform(0.5, 1.5) * min(1.0, 0.3 + scale))
    canvas = (filled.shape[0], filled.shape[1])
    rough = blurred + 0.12 * smooth_noise(canvas, 2.0 + scale, rng) * (blurred > 0.02)
    low = rng.uniform(0.15, 0.45)
    return np.clip((rough - low) / rng.uniform(0.25, 0.8), 0, 1).astype(np.float32)


@dataclass(frozen=True)
class Cracks:
    """Binary crack shapes (N, h, w), drawn at any size and rotation."""

    masks: NDArray[np.uint8]

    @classmethod
    def from_file(cls, path: Path) -> Cracks:
        """Read packed bits `masks` of 224 x 224 shapes from an ``.npz``.

        Raises
        ------
        ScanError
            If the file has no such content.
        """
        try:
            with np.load(path, allow_pickle=False) as packed:
                masks = np.unpackbits(packed["masks"], axis=1).reshape(-1, 224, 224)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ScanError(f"{path} holds no cracks ({error}). Expected an .npz with packed bits `masks`.") from error
        if not len(masks):
            raise ScanError(f"{path} holds no cracks. Expected at least one shape.")
        return cls(masks)

    def draw_coverage(self, canvas: Canvas, scale: float, rng: np.random.Generator) -> Coverage:
        """One crack, enlarged to cross much of the canvas; (H, W) float32 in 0..1."""
        shape = self.masks[int(rng.integers(len(self.masks)))] * np.uint8(255)
        total = np.zeros(canvas, np.float32)
        _paste_shape(total, shape, float(np.clip(scale, 0.25, 1.2)) * rng.uniform(0.6, 1.6), rng)
        return blur_coverage(total, rng.uniform(0, 0.7))


@dataclass(frozen=True)
class Folds:
    """Grey pictures of folded, crumpled or stained paper, each a layer that multiplies the light.

    Only high spatial frequencies are used (creases, edges of stains): slow shading is no damage.
    """

    log_ratios: tuple[NDArray[np.float32], ...]

    @classmethod
    def from_folder(cls, folder: Path) -> Folds:
        """Read all pictures in a folder.

        Raises
        ------
        ScanError
            If there is none, or one cannot be read.
        """
        if not folder.is_dir():
            raise ScanError(f"There is no folder {folder} of folds. Check the path.")
        paths = [path for path in sorted(folder.iterdir()) if is_scan_path(path) and not path.name.startswith(".")]
        if not paths:
            raise ScanError(f"No pictures of folds in {folder}. Point to a folder of grey pictures of paper.")
        return cls(tuple(_fine_log_ratio(to_light(read_scan(path).pixels).mean(axis=2)) for path in paths))

    def draw_log_ratio(self, canvas: Canvas, scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
        """A random crop of one picture, rotated and scaled: (H, W) float32, for `multiply_light`."""
        layer = self.log_ratios[int(rng.integers(len(self.log_ratios)))]
        middle = np.array(layer.shape[::-1]) * rng.uniform(0.2, 0.8, 2)
        zoom = float(np.clip(scale, 0.4, 1.5)) * rng.uniform(0.7, 1.8) * object_density(canvas) ** 0.3
        matrix = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), float(rng.uniform(0, 360)), zoom)
        matrix[:, 2] += [canvas[1] / 2 - middle[0], canvas[0] / 2 - middle[1]]
        warped = cv2.warpAffine(
            layer, matrix, (canvas[1], canvas[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        return (warped * rng.uniform(0.8, 2.5)).astype(np.float32)


def _fine_log_ratio(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """The high-pass part of a grey picture, as a logarithm of linear light: (H, W) float32 about 0."""
    logarithm = np.float32(GAMMA) * np.log(np.maximum(grey, np.float32(0.02)))
    sigma = max(4.0, min(grey.shape) / 10)
    fine = logarithm - cv2.GaussianBlur(logarithm, (0, 0), sigma)
    # The grain of the paper is no damage: suppress what is weaker than three times it.
    grain = float(np.median(np.abs(fine - np.median(fine)))) * 1.5
    thresholded: NDArray[np.float32] = (np.sign(fine) * np.maximum(np.abs(fine) - 3 * grain, 0)).astype(np.float32)
    return thresholded
