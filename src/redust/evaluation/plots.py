"""Pictures of a run: curves, precision against recall, predicted masks beside true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Pixels, from_light, three_channels, to_light
from redust.core.labels import Label, Truth
from redust.evaluation.metrics import MetricCounter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Picture = NDArray[np.uint8]
Sample = tuple[Pixels, Truth, DamageMap]

_SIDE = 160
_GAP = 4
_FRAME = 24
_DETECTED, _MISSED, _FALSE = (80, 200, 120), (70, 120, 255), (255, 80, 60)
_MIN_POINTS = 2  # of a line
_SKIPPED = ("step", "epoch", "seconds")


def sample_sheet(samples: Sequence[Sample], level: float) -> Picture:
    """One row per sample: the picture, the true mask, the damage map, and what was found at `level`.

    The last is green where damage was found, blue where it was missed, red where there is none.

    Returns
    -------
    sheet : (H, W, 3) uint8, R G B
    """
    views = [_list_views(sample, level) for sample in samples]
    height, width = (max(row[0].shape[axis] for row in views) + _GAP for axis in (0, 1))
    return np.vstack([np.hstack([_frame_view(view, height, width) for view in row]) for row in views])


def _list_views(sample: Sample, level: float) -> list[Picture]:
    pixels, truth, damage = (_crop_middle(plane) for plane in sample)
    photo = from_light(three_channels(to_light(pixels)), np.dtype(np.uint8))
    grey_map = np.rint(damage * 255).astype(np.uint8)
    predicted, true = (damage >= level) & (truth != Label.ignore), truth == Label.damage
    verdict = photo // 3
    for mask, colour in ((predicted & true, _DETECTED), (true & ~predicted, _MISSED), (predicted & ~true, _FALSE)):
        verdict[mask] = colour
    return [photo, *(np.repeat(plane[..., None], 3, axis=2) for plane in (truth, grey_map)), verdict]


def _crop_middle(array: NDArray[Any]) -> NDArray[Any]:
    """The middle of a large picture, at its own resolution."""
    top, left = (max(0, (length - _SIDE) // 2) for length in array.shape[:2])
    return array[top : top + _SIDE, left : left + _SIDE]


def _frame_view(picture: Picture, height: int, width: int) -> Picture:
    canvas = np.full((height, width, 3), _FRAME, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    return canvas


def write_picture(picture: Picture, path: Path) -> None:
    """Write (H, W, 3) uint8, R G B, as PNG."""
    cv2.imwrite(str(path), picture[..., ::-1])


def draw_curves(history: Sequence[dict[str, float]], path: Path) -> bool:
    """Draw every column of a run's history against the epoch, one small plot each; False if there is no curve yet."""
    if len(history) < _MIN_POINTS:
        return False
    columns = [name for name in history[0] if name not in _SKIPPED and any(np.isfinite(row[name]) for row in history)]
    across = 4
    figure, axes = _make_figure(-(-len(columns) // across), across)
    epochs = [row["epoch"] for row in history]
    for axis, name in zip(axes, columns, strict=False):
        axis.plot(epochs, [row[name] for row in history], marker="." if len(history) < 30 else "")
        axis.set_title(name.removeprefix("val_"), fontsize=9)
        axis.set_xlabel("epoch", fontsize=7)
        axis.tick_params(labelsize=7)
    _save_figure(figure, axes[len(columns) :], path)
    return True


def draw_lines(
    histories: Mapping[str, Sequence[Mapping[str, float | None]]], columns: Sequence[str], path: Path
) -> bool:
    """Draw some columns of several runs against the epoch: one small plot per column, one line per run.

    Nothing is drawn, and False returned, where no run has more than one point.
    """
    if max(map(len, histories.values())) < _MIN_POINTS:
        return False
    figure, axes = _make_figure(1, len(columns))
    for axis, column in zip(axes, columns, strict=True):
        for name, history in histories.items():
            # None becomes NaN, which is left out of the line.
            epochs, values = (np.array([row.get(key) for row in history], float) for key in ("epoch", column))
            axis.plot(epochs, values, label=name, marker=".")
        axis.set_title(column.removeprefix("val_"), fontsize=9)
        axis.set_xlabel("epoch", fontsize=7)
        axis.tick_params(labelsize=7)
    axes[0].legend(fontsize=6)
    _save_figure(figure, [], path)
    return True


def draw_precision_recall(tallies: dict[str, MetricCounter], path: Path) -> None:
    """Draw precision against recall, one line per detector, with a dot where each is cut."""
    figure, axes = _make_figure(1, 1, side=5.0)
    for name, tally in tallies.items():
        _, precision, recall = tally.curve()
        figures = tally.figures()
        (line,) = axes[0].plot(recall, precision, label=f"{name}, ap {figures.ap:.3f}")
        axes[0].plot(figures.recall_strict, figures.precision_strict, "o", color=line.get_color())
    axes[0].set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="strict, pixel by pixel")
    axes[0].legend()
    _save_figure(figure, [], path)


def draw_bars(values: dict[str, float], title: str, path: Path) -> None:
    """Draw one horizontal bar per name, 0..1."""
    figure, axes = _make_figure(1, 1, side=max(2.0, 0.42 * len(values) + 1.0), wide=7.0)
    bars = axes[0].barh(list(values)[::-1], list(values.values())[::-1])
    axes[0].bar_label(bars, fmt="%.3f", padding=2, fontsize=8)
    axes[0].set(xlim=(0, 1.1), title=title)
    _save_figure(figure, [], path)


def _make_figure(rows: int, across: int, side: float = 2.3, wide: float | None = None) -> tuple[object, list[Axes]]:
    # Without pyplot: no window system is asked for, and nothing is kept in a global list.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide or 1.3 * side * across, side * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.ravel(figure.subplots(rows, across)))


def _save_figure(figure: object, unused: Sequence[Axes], path: Path) -> None:
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure)
    for axis in unused:
        axis.set_visible(False)
    for axis in figure.axes:
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
