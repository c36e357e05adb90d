"""Text in pictures, the most important hard negative."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from redust.synthesis.painting import Canvas, Coverage, bytes_to_coverage

_FACES = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
_LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?-'&/ "))


def draw_text(canvas: Canvas, rng: np.random.Generator) -> Coverage:
    """Lines of random text of any size, face and perspective; (H, W) float32 in 0..1.

    Outline fonts are used where matplotlib, which ships some, is installed; else, and now and then besides, OpenCV's
    stroke fonts, which resemble plotted or engraved writing.
    """
    faces = font_files()
    size = float(np.exp(rng.uniform(np.log(7.0), np.log(90.0))))
    lines = ["".join(rng.choice(_LETTERS, int(rng.integers(3, 30)))) for _ in range(int(rng.integers(1, 9)))]
    if faces and rng.random() < 0.75:
        drawn = _set_in_outline_font(canvas, lines, size, faces[int(rng.integers(len(faces)))], rng)
    else:
        drawn = _set_in_stroke_font(canvas, lines, size / 30, rng)
    return _warp_perspective(drawn, rng)


@lru_cache(maxsize=1)
def font_files() -> tuple[Path, ...]:
    """The outline fonts that ship with matplotlib; none if it is not installed."""
    package = find_spec("matplotlib")
    if package is None or package.origin is None:
        return ()
    folder = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
    # Symbol fonts lack the letters.
    return tuple(sorted(path for path in folder.glob("DejaVu*.ttf") if "Display" not in path.name))


@lru_cache(maxsize=64)
def _load_font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size)


def _set_in_outline_font(
    canvas: Canvas, lines: list[str], size: float, face: Path, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Text in an outline font."""
    sheet = Image.new("L", (canvas[1], canvas[0]))
    pen, font = ImageDraw.Draw(sheet), _load_font(face, max(6, round(size)))
    top = rng.uniform(-0.1, 0.4) * canvas[0]
    spacing = size * rng.uniform(1.05, 1.7)
    for number, line in enumerate(lines):
        pen.text((int(rng.integers(-40, max(1, canvas[1] // 3))), top + number * spacing), line, fill=255, font=font)
    return np.asarray(sheet, np.uint8)


def _set_in_stroke_font(canvas: Canvas, lines: list[str], size: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Text in a stroke font."""
    drawn = np.zeros(canvas, np.uint8)
    face, weight = int(rng.choice(_FACES)), max(1, round(size * rng.uniform(0.6, 3.0)))
    top = rng.uniform(0, 0.2) * canvas[0]
    for number, line in enumerate(lines):
        corner = (int(rng.integers(-40, max(1, canvas[1] // 3))), round(top + (number + 1) * 32 * size))
        cv2.putText(drawn, line, corner, face, size, 255, weight, cv2.LINE_AA)
    return drawn


def _warp_perspective(drawn: NDArray[np.uint8], rng: np.random.Generator) -> Coverage:
    """Warp by a random perspective, now and then turned by a multiple of 90 degrees."""
    height, width = drawn.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = corners + rng.normal(0, 0.10 * width, (4, 2)).astype(np.float32)
    if rng.random() < 0.15:
        moved = np.roll(moved, int(rng.integers(1, 4)), axis=0)
    warped = cv2.warpPerspective(drawn, cv2.getPerspectiveTransform(corners, moved), (width, height))
    return bytes_to_coverage(warped)
