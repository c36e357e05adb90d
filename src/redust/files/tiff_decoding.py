"""The strips and tiles of a TIFF page, decoded into arrays that are made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from redust.core.arrays import Pixels, Plane
from redust.core.threads import count_cores
from redust.files.depth import expand_depth
from redust.files.tiff_layout import Layout


def expand_planes(bits: int, arrays: Sequence[NDArray[Any]]) -> int:
    """Spread `bits` significant bits over the full range; 0 if a sample contradicts them."""
    if not bits or max(int(samples.max()) for samples in arrays) >= 1 << bits:
        return 0
    for samples in arrays:
        expand_depth(samples, bits)
    return bits


def fill_planes(page: Any, layout: Layout, pixels: Pixels, planes: dict[str, Plane]) -> None:
    """Decode tifffile's page into `pixels` (H, W, C) and `planes` (H, W), strip by strip or tile by tile."""
    page.predictor = layout.predictor  # tifffile obeys one where other readers ignore it
    if page.is_contiguous and layout.predictor == 1 and not (planes or layout.planar or layout.narrow_bits):
        page.asarray(out=pixels.reshape(page.shaped), squeeze=False)
        return
    targets = [*(pixels[..., i] for i in range(pixels.shape[2])), *(planes[name] for name in layout.extras)]

    def store_segment(decoded: tuple[NDArray[Any] | None, tuple[int, ...], tuple[int, ...]]) -> None:
        segment, (plane, _, row, column, _), _ = decoded
        if segment is None:
            raise ValueError("a strip or tile has no data")
        block = segment[0, : layout.height - row, : layout.width - column]
        tall, wide = block.shape[:2]
        if not planes and not layout.planar:
            pixels[row : row + tall, column : column + wide] = block
            return
        for sample in range(block.shape[2]):
            targets[plane + sample][row : row + tall, column : column + wide] = block[..., sample]

    page.init_decode()
    for _ in page.segments(
        func=store_segment, maxworkers=count_cores(), buffersize=16 << 20, sort=True, _fullsize=False
    ):
        pass
