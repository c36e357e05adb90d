"""Run an engine over a scan tile by tile: plan tiles, read windows, compute, check, crop.

The one tile loop of detectors and generators. Memory is bounded by the tile; the answer does not depend on its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light, Pixels, to_light
from redust.core.engines import Needs
from redust.core.errors import EngineError
from redust.core.tiles import Tile, round_up, tiles, window

_DEFAULT_SIDE = 1024


def plan_tiles(shape: tuple[int, int], needs: Needs, side: int | None = None) -> list[Tile]:
    """Tiles of a picture whose windows an engine accepts.

    Parameters
    ----------
    shape : (height, width)
    needs
        Of the engine: halo, stride, smallest size.
    side
        Of a tile's core in pixels; the engine's choice unless given.
    """
    smallest = round_up(needs.minimum, needs.multiple_of)
    side = side or needs.per_tile or _DEFAULT_SIDE
    side = max(side, needs.minimum - 2 * round_up(needs.context, needs.multiple_of))
    plan = tiles(shape, side, halo=needs.context, multiple_of=needs.multiple_of)
    return [tile.enlarged(smallest) for tile in plan]


def read_light(pixels: Pixels, tile: Tile) -> Light:
    """The window of a tile as light, (h, w, C) float32 in 0..1."""
    return to_light(window(pixels, tile))


def run_tiled(
    plan: Iterable[Tile],
    read_window: Callable[[Tile], Light],
    compute: Callable[[Light], NDArray[np.float32]],
    report_tile: Callable[[], None] | None = None,
) -> Iterator[tuple[Tile, NDArray[np.float32]]]:
    """Compute each tile of a plan.

    Parameters
    ----------
    plan
        From :func:`plan_tiles`.
    read_window
        Reads the light of a tile's window, (h, w, C) float32.
    compute
        Turns that into an answer of the same height and width.
    report_tile
        Called after each tile.

    Yields
    ------
    tile : Tile
    answer : (height, width, ...) float32
        Cropped to the tile's core.
    """
    for tile in plan:
        yield tile, compute(read_window(tile))[tile.core_in_window]
        if report_tile is not None:
            report_tile()


def count_tiles(total: int, progress: Callable[[float], None] | None) -> Callable[[], None]:
    """A function to call after each of `total` tiles, which reports the share done, 0..1."""
    numbers = count(1)
    return lambda: progress(next(numbers) / total) if progress else None


def check_answer(kind: str, name: str, answer: object, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An engine's answer, clipped to 0..1.

    Raises
    ------
    EngineError
        If it is not a finite float32 array of `shape`; names the engine.
    """
    valid = isinstance(answer, np.ndarray) and answer.dtype == np.float32 and answer.shape == shape
    if not valid or not np.isfinite(answer).all():  # type: ignore[call-overload]
        raise EngineError(
            f"The {kind} {name} broke its contract: expected finite float32 of {shape}. "
            "Report this to its author, or choose another."
        )
    clipped: NDArray[np.float32] = np.clip(answer, 0.0, 1.0)  # type: ignore[call-overload]
    return clipped
