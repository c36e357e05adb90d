"""What the batched shapes are made of: random numbers, smooth noise, discs along paths, straight lines, blur.

All of it works on whole batches; M counts layers of damage, P points, H and W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

Canvas = tuple[int, int]

_TEXELS = 64  # side of the random textures that smooth noise is read from


@dataclass(frozen=True)
class Dice:
    """Random tensors of one generator, on its device."""

    generator: torch.Generator

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self.generator.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Float32 in low..high."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
        """Float32, normal."""
        return mean + deviation * torch.randn(shape, generator=self.generator, device=self.device)

    def lognormal(self, *shape: int, middle: float, deviation: float) -> Tensor:
        """Float32 whose logarithm is normal about that of `middle`."""
        return middle * torch.exp(self.normal(*shape, deviation=deviation))

    def chance(self, *shape: int, share: float) -> Tensor:
        """Bool, True as often as `share` says."""
        return torch.rand(shape, generator=self.generator, device=self.device) < share

    def poisson(self, rate: Tensor) -> Tensor:
        """Float32 counts of the given rates."""
        return torch.poisson(rate, generator=self.generator)


def alive(count: Tensor, most: int) -> Tensor:
    """Which of `most` objects exist where `count` (M,) says how many; (M, most) float32, 0 or 1."""
    return (torch.arange(most, device=count.device) < count[:, None]).float()


def noise(dice: Dice, canvas: Canvas, cell: Tensor) -> Tensor:
    """Smooth noise of mean 0 and deviation about 1 that varies over `cell` (M,) pixels; (M, H, W)."""
    count, (height, width) = len(cell), canvas
    texture = dice.normal(count, 1, _TEXELS, _TEXELS)
    cell = torch.maximum(cell, torch.tensor(max(canvas) / (0.9 * _TEXELS), device=cell.device))
    theta = torch.zeros(count, 2, 3, device=cell.device)
    theta[:, 0, 0], theta[:, 1, 1] = width / (cell * _TEXELS), height / (cell * _TEXELS)
    grid = functional.affine_grid(theta, [count, 1, height, width], align_corners=False)
    read = functional.grid_sample(texture, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return read[:, 0]


def places(dice: Dice, canvas: Canvas, layers: int, count: int) -> Tensor:
    """Points (row, column), clustered about a few centres as real dust is; (M, count, 2)."""
    size = torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    centres = dice.uniform(layers, max(1, count // 6), 2) * size
    chosen = (dice.uniform(layers, count, 1) * centres.shape[1]).long().expand(-1, -1, 2)
    near = centres.gather(1, chosen) + dice.normal(layers, count, 2, deviation=0.12 * min(canvas))
    loose = dice.uniform(layers, count, 2) * size
    return torch.where(dice.chance(layers, count, 1, share=0.4), near, loose)


def box_cover(distance: Tensor, width: Tensor, soft: Tensor) -> Tensor:
    """How much of a box of side `soft` at `distance` from its middle a line of `width` covers; 0..1."""
    half, reach = width / 2, soft / 2
    covered = torch.minimum(distance + reach, half) - torch.maximum(distance - reach, -half)
    return (covered / soft).clamp(0, 1)


def discs(points: Tensor, width: Tensor, value: Tensor, soft: Tensor, canvas: Canvas, reach: int) -> Tensor:
    """Paint discs; where they overlap the strongest counts, so that a row of them is a line.

    Parameters
    ----------
    points : (M, P, 2)
        Row and column.
    width, value : (M, P)
        Diameter in pixels, at most about 2 * `reach`, and coverage in 0..1; 0 paints nothing.
    soft : (M,)
        Width of the rim in pixels, at least 1.
    reach
        Each disc is evaluated on (2 * reach + 1) squared pixels about its middle.

    Returns
    -------
    coverage : (M, H, W) in 0..1
    """
    count, (height, width_of_canvas) = len(points), canvas
    total = torch.zeros(count, height * width_of_canvas, device=points.device)
    first = points.floor()
    across = torch.arange(-reach, reach + 1, device=points.device)
    columns = first[..., 1:] + across  # (M, P, 2 * reach + 1)
    aside = (columns - points[..., 1:]) ** 2
    in_columns = (columns >= 0) & (columns < width_of_canvas)
    columns = columns.clamp(0, width_of_canvas - 1).long()
    width, value, soft = width[..., None], value[..., None], soft[:, None, None]
    for down in range(-reach, reach + 1):
        row = first[..., :1] + down  # (M, P, 1)
        distance = torch.sqrt((row - points[..., :1]) ** 2 + aside)
        inside = in_columns & (row >= 0) & (row < height)
        cover = box_cover(distance, width, soft) * value * inside
        index = row.clamp(0, height - 1).long() * width_of_canvas + columns
        total.scatter_reduce_(1, index.reshape(count, -1), cover.reshape(count, -1), "amax")
    return total.reshape(count, height, width_of_canvas)


def pixel_grid(canvas: Canvas, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows (H, 1) and columns (1, W), float32."""
    rows = torch.arange(canvas[0], device=device, dtype=torch.float32)[:, None]
    return rows, torch.arange(canvas[1], device=device, dtype=torch.float32)[None, :]


def line(middle: Tensor, angle: Tensor, canvas: Canvas) -> tuple[Tensor, Tensor]:
    """Where pixels lie along and beside lines.

    Parameters
    ----------
    middle : (M, 2)
        A point of each line, row and column.
    angle : (M,)
        0 runs along a row.

    Returns
    -------
    along, beside : (M, H, W)
        Signed pixels from the point, on the line and off it.
    """
    rows, columns = pixel_grid(canvas, middle.device)
    down, right = rows - middle[:, :1, None], columns - middle[:, 1:, None]
    sine, cosine = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    return down * sine + right * cosine, down * cosine - right * sine


def blur(light: Tensor, sigma: Tensor, reach: int = 4) -> Tensor:
    """Blur each picture (N, C, H, W) by its own sigma (N,) in pixels, at most about reach / 2.5."""
    steps = torch.arange(-reach, reach + 1, device=light.device, dtype=torch.float32)
    weight = torch.exp(-0.5 * (steps / sigma.clamp(min=1e-3)[:, None]) ** 2)
    weight = weight / weight.sum(dim=1, keepdim=True)  # (N, 2 * reach + 1)
    for axis in (2, 3):
        padding = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
        padded = functional.pad(light, padding, mode="reflect")
        blurred = torch.zeros_like(light)
        for tap in range(2 * reach + 1):
            blurred.addcmul_(padded.narrow(axis, tap, light.shape[axis]), weight[:, tap, None, None, None])
        light = blurred
    return light


def relief(dice: Dice, coverage: Tensor) -> Tensor:
    """What raised emulsion does to light, as :func:`redust.training.synthesis.looks.relief`.

    Parameters
    ----------
    coverage : (M, H, W) in 0..1

    Returns
    -------
    log_ratio : (M, H, W)
        Natural logarithm of the factor on linear light.
    """
    count, height, width = coverage.shape
    angle, reach = dice.uniform(count, high=2 * math.pi), dice.uniform(count, low=0.5, high=1.8)
    theta = torch.eye(2, 3, device=dice.device).repeat(count, 1, 1)
    # The grid runs from -1 to 1 over the canvas.
    theta[:, 0, 2] = -2 * reach * torch.cos(angle) / width
    theta[:, 1, 2] = -2 * reach * torch.sin(angle) / height
    grid = functional.affine_grid(theta, [count, 1, height, width], align_corners=False)
    moved = functional.grid_sample(coverage[:, None], grid, padding_mode="border", align_corners=False)[:, 0]
    strength = 0.1 * 12 ** dice.uniform(count, 1, 1)
    return strength * (coverage - moved + dice.normal(count, 1, 1, deviation=0.5) * coverage)
