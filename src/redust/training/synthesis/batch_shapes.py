"""The procedural kinds of :mod:`shapes` for whole batches: distance fields and noise fields.

Every function takes dice, the canvas (H, W) and the `scale` (M,) in pixels per 7 micrometres, one per layer, and
returns coverages (M, H, W) in 0..1. Sizes, counts and clustering are those of :mod:`shapes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from redust.training.synthesis.batch_fields import (
    Canvas,
    Dice,
    alive,
    box_cover,
    discs,
    line,
    noise,
    pixel_grid,
    places,
)

BatchShape = Callable[[Dice, Canvas, Tensor], Tensor]


def _box(sigma: Tensor) -> Tensor:
    """The box that blurs as a pixel and a Gaussian of `sigma` do: its variance is the sum of theirs."""
    return torch.sqrt(1 + 12 * sigma**2)


def _softness(dice: Dice, scale: Tensor, low: float, high: float, floor: float) -> Tensor:
    """The rim's width in pixels, (M,) >= 1, from the range of a Gaussian's sigma."""
    return _box(dice.uniform(len(scale), low=low, high=high) * (scale + floor).clamp(max=1))


def dust(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """Specks of 40 to 130 square pixels at scale 1, irregular, clustered."""
    layers, most, parts = len(scale), 40, 3
    share = canvas[0] * canvas[1] / 65536 / scale.clamp(min=0.3)
    count = 1 + dice.poisson(dice.uniform(layers, low=1, high=14) * share)
    radius = (scale[:, None] * dice.lognormal(layers, most, middle=3.6, deviation=0.35) * 0.7).clamp(min=0.45)
    return _crumbs(dice, canvas, alive(count, most), radius, parts, 0.5, _softness(dice, scale, 0.0, 0.9, 0.3), 8)


def dirt(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """Crumbs: several specks stuck together, 56 to 400 square pixels at scale 1."""
    layers, most, parts = len(scale), 10, 5
    area = canvas[0] * canvas[1] / 65536
    count = 1 + dice.poisson(dice.uniform(layers, low=0.5, high=4) * area)
    radius = (scale[:, None] * dice.lognormal(layers, most, middle=5.0, deviation=0.4) * 0.6).clamp(min=0.6)
    return _crumbs(dice, canvas, alive(count, most), radius, parts, 0.9, _softness(dice, scale, 0.2, 1.2, 0.2), 11)


def _crumbs(
    dice: Dice, canvas: Canvas, exists: Tensor, radius: Tensor, parts: int, spread: float, soft: Tensor, reach: int
) -> Tensor:
    """Objects of a few overlapping discs each: irregular outlines without drawing polygons."""
    layers, most = radius.shape
    middle = places(dice, canvas, layers, most)[:, :, None]  # (M, most, 1, 2)
    step = dice.normal(layers, most, parts, 2) * (spread * radius)[..., None, None]
    width = 2 * radius[..., None] * dice.uniform(layers, most, parts, low=0.35, high=0.6)
    width[..., 0] = 1.1 * radius  # one in the middle, so that no object falls apart
    step[..., 0, :] = 0
    value = exists[..., None] * torch.ones_like(width)
    width = width.clamp(max=2.0 * reach - 1)
    painted = discs(
        (middle + step).flatten(1, 2), width.flatten(1, 2), value.flatten(1, 2), soft, canvas, reach
    )  # fmt: skip
    return painted * (0.92 + 0.22 * noise(dice, canvas, 2.0 * radius.mean(dim=1))).clamp(0.5, 1)


def wander(dice: Dice, start: Tensor, length: Tensor, bend: Tensor, steps: int) -> Tensor:
    """Paths of `length` pixels whose direction drifts; from start (M, K, 2) to (M, K, steps, 2)."""
    layers, objects = length.shape
    # As in `shapes`: a random walk of the angle plus a constant curl, for hairs are arcs more often than walks.
    walk = dice.normal(layers, objects, steps) * (bend * math.sqrt(10 / steps))[..., None]
    curl = dice.normal(layers, objects, 1) * (3 * bend / steps)[..., None]
    angle = dice.uniform(layers, objects, 1, high=2 * math.pi) + torch.cumsum(walk + curl, dim=2)
    stride = torch.stack([torch.sin(angle), torch.cos(angle)], dim=3) * (length / steps)[..., None, None]
    return start[:, :, None] + torch.cumsum(stride, dim=2)


def _fibres(paths: Tensor, width: Tensor, exists: Tensor, soft: Tensor, canvas: Canvas, reach: int) -> Tensor:
    """Paint paths (M, K, S, 2) of width (M, K) that tapers at the ends."""
    steps = paths.shape[2]
    along = torch.linspace(0, 1, steps, device=paths.device)
    taper = (0.65 + 5 * torch.minimum(along, 1 - along)).clamp(max=1)
    wide = (width[..., None] * taper).clamp(max=2.0 * reach - 1).flatten(1)
    value = exists[..., None].expand(-1, -1, steps).flatten(1)
    return discs(paths.flatten(1, 2), wide, value, soft, canvas, reach)


def hair_short(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """Fibres of 20 to 90 pixels at scale 1."""
    return _hairs(dice, canvas, scale, most=5, extra=1.5, lengths=(18, 90), steps=96)


def hair(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """Long hairs, 90 to 420 pixels at scale 1, as arcs and loops."""
    return _hairs(dice, canvas, scale, most=2, extra=0.4, lengths=(90, 420), steps=400)


def _hairs(
    dice: Dice, canvas: Canvas, scale: Tensor, most: int, extra: float, lengths: tuple[float, float], steps: int
) -> Tensor:
    layers = len(scale)
    size = torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    count = 1 + dice.poisson(torch.full((layers,), extra, device=dice.device))
    length = scale[:, None] * dice.uniform(layers, most, low=lengths[0], high=lengths[1])
    # The same drift over all the path, whatever the number of steps.
    bend = dice.uniform(layers, most, low=0.05, high=0.45)
    paths = wander(dice, dice.uniform(layers, most, 2) * size, length, bend, steps)
    width = (scale[:, None] * dice.lognormal(layers, most, middle=4.2, deviation=0.35) * 0.8).clamp(min=0.5)
    soft = _softness(dice, scale, 0.0, 1.0, 0.2)
    return _fibres(paths, width, alive(count, most), soft, canvas, 6)


def lint(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """A knot of fibres that start at one place."""
    layers, most = len(scale), 9
    size = torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    near = dice.normal(layers, most, 2, deviation=10.0) * scale[:, None, None]
    start = dice.uniform(layers, 1, 2) * size + near
    length = scale[:, None] * dice.uniform(layers, most, low=30, high=140)
    paths = wander(dice, start, length, dice.uniform(layers, most, low=0.2, high=0.6), 120)
    width = (scale[:, None] * dice.uniform(layers, most, low=1.2, high=4.0)).clamp(min=0.5)
    count = dice.uniform(layers, low=3, high=10).floor()
    soft = _box(dice.uniform(layers, low=0.2, high=1.0) * scale)
    return _fibres(paths, width, alive(count, most), soft, canvas, 5)


def mould(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """Threads that branch out of a spore, thin and many."""
    layers, spores, threads = len(scale), 2, 14
    size = torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    centre = (dice.uniform(layers, spores, 1, 2) * size).expand(-1, -1, threads, -1).flatten(1, 2)
    reach = scale[:, None, None] * dice.uniform(layers, spores, 1, low=15, high=60)
    length = (reach * dice.uniform(layers, spores, threads, low=0.4, high=1.0)).flatten(1)
    paths = wander(dice, centre, length, torch.full_like(length, 0.25), 64)
    width = (scale[:, None] * dice.uniform(layers, spores * threads, low=0.6, high=1.6)).clamp(min=0.8)
    exists = dice.chance(layers, spores, threads, share=0.75).float()
    exists[:, 1:] *= dice.chance(layers, spores - 1, 1, share=0.66).float()
    return _fibres(paths, width, exists.flatten(1), _box(0.4 + 0.3 * scale), canvas, 3)


def crack(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """A branching, angular crack of the emulsion."""
    layers, branches, steps, side_steps = len(scale), 4, 512, 160
    size = torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    length = max(canvas) * dice.uniform(layers, 1, low=0.3, high=1.2)
    width = (scale[:, None] * dice.uniform(layers, 1, low=1.0, high=6.0)).clamp(min=0.6)
    trunk, angle = _kinked(dice, dice.uniform(layers, 1, 2) * size, length, None, steps)
    at = (dice.uniform(layers, branches) * steps).long()
    start = trunk[:, 0].gather(1, at[..., None].expand(-1, -1, 2))
    side = torch.where(dice.chance(layers, branches, share=0.5), 1.0, -1.0) * dice.uniform(
        layers, branches, low=0.5, high=1.4
    )
    leave = angle[:, 0].gather(1, at) + side
    twigs, _ = _kinked(dice, start, length * dice.uniform(layers, branches, low=0.1, high=0.5), leave, side_steps)
    points = torch.cat([trunk.flatten(1, 2), twigs.flatten(1, 2)], dim=1)
    count = dice.poisson((length[:, 0] / 9 * 0.07).clamp(max=8))
    value = torch.cat(
        [torch.ones(layers, steps, device=dice.device),
         alive(count, branches)[..., None].expand(-1, -1, side_steps).flatten(1)], dim=1
    )  # fmt: skip
    widths = torch.cat([width.expand(-1, steps), 0.7 * width.expand(-1, branches * side_steps)], dim=1)
    soft = _box(dice.uniform(layers, low=0.1, high=0.7))
    return discs(points, widths.clamp(max=11), value, soft, canvas, 6)


def _kinked(
    dice: Dice, start: Tensor, length: Tensor, angle: Tensor | None, steps: int
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Paths (M, K, steps, 2) and their angles (M, K, steps): mostly straight, with sharp kinks."""
    layers, objects = length.shape
    angle = dice.uniform(layers, objects, high=2 * math.pi) if angle is None else angle
    knots = (length / 9).clamp(min=3, max=steps)  # one possible kink every nine pixels
    kinked = dice.uniform(layers, objects, steps) < (knots / steps)[..., None]
    sharp = dice.chance(layers, objects, steps, share=0.3)
    turn = torch.where(sharp, 0.55, 0.08) * dice.normal(layers, objects, steps) * kinked
    turns = angle[..., None] + torch.cumsum(turn, dim=2)
    stride = torch.stack([torch.sin(turns), torch.cos(turns)], dim=3) * (length / steps)[..., None, None]
    return start[:, :, None] + torch.cumsum(stride, dim=2), turns


def scratch(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """A few oblique scratches of any length, tapering and interrupted."""
    layers, most = len(scale), 5
    size = torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    exists = alive(dice.uniform(layers, low=1, high=6).floor(), most)
    common = dice.uniform(layers, high=math.pi)
    soft = _box(dice.uniform(layers, low=0.0, high=0.5))
    total = torch.zeros(layers, *canvas, device=dice.device)
    for number in range(most):
        along, beside = line(dice.uniform(layers, 2) * size, common + dice.normal(layers, deviation=0.15), canvas)
        half = (0.5 * max(canvas) * dice.uniform(layers, low=0.1, high=1.4))[:, None, None]
        bow = dice.normal(layers, deviation=0.02)[:, None, None] * half * torch.cos(1.5 * (along / half).clamp(-2, 2))
        width = (scale * dice.lognormal(layers, middle=2.2, deviation=0.6)).clamp(min=0.7)[:, None, None]
        # Thinner towards the ends, and gone beyond them.
        taper = ((half - along.abs()) / (0.15 * half)).clamp(0, 1)
        value = (exists[:, number] * dice.uniform(layers, low=0.4, high=1.0))[:, None, None]
        total = torch.maximum(total, box_cover(beside - bow, width * taper, soft[:, None, None]) * value)
    gate = (0.6 + noise(dice, canvas, dice.uniform(layers, low=8, high=80))).clamp(0, 1)
    return torch.where(dice.chance(layers, 1, 1, share=0.5), total * gate, total)


def tramline(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """Base scratches along the film's travel: straight, thin, often right across, a few in parallel."""
    layers, most = len(scale), 4
    size = torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    exists = alive(dice.uniform(layers, low=1, high=5).floor(), most)
    upright = dice.chance(layers, share=0.5)
    first = dice.uniform(layers, 2) * size
    soft = _box(dice.uniform(layers, low=0.0, high=0.4))
    total = torch.zeros(layers, *canvas, device=dice.device)
    for number in range(most):
        aside = (dice.normal(layers, deviation=30.0) * scale)[:, None] if number else torch.zeros(layers, 1)
        angle = torch.where(upright, math.pi / 2, 0.0) + dice.normal(layers, deviation=0.004)
        along, beside = line(first + aside.to(dice.device), angle, canvas)
        sway = dice.normal(layers, deviation=0.3)[:, None, None] * scale[:, None, None] * torch.sin(
            along * dice.uniform(layers, 1, 1, low=0.0, high=6 / max(canvas))
        )  # fmt: skip
        whole = dice.chance(layers, 1, 1, share=0.7)
        ends = (dice.uniform(layers, 1, 1, low=-1, high=1) * max(canvas) - along) > 0
        width = (dice.lognormal(layers, middle=1.2, deviation=0.45) * scale.clamp(min=0.5)).clamp(min=0.4)
        value = (exists[:, number] * dice.uniform(layers, low=0.3, high=1.0))[:, None, None] * (whole | ends)
        total = torch.maximum(total, box_cover(beside - sway, width[:, None, None], soft[:, None, None]) * value)
    gate = (0.6 + noise(dice, canvas, dice.uniform(layers, low=20, high=120))).clamp(0, 1)
    return torch.where(dice.chance(layers, 1, 1, share=0.4), total * gate, total)


def crease(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """A fold right across a print: a ragged line where the emulsion has flaked."""
    layers = len(scale)
    size = torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    _, beside = line(dice.uniform(layers, 2) * size, dice.uniform(layers, high=math.pi), canvas)
    wide = scale[:, None, None]
    beside = beside + 2.0 * wide * noise(dice, canvas, 20 + 30 * scale) + 0.4 * wide * noise(dice, canvas, 4 + scale)
    width = (scale * dice.uniform(layers, low=1.5, high=9)).clamp(min=0.8)[:, None, None]
    soft = _box(dice.uniform(layers, low=0.2, high=0.8))[:, None, None]
    gone = 0.55 + 0.7 * noise(dice, canvas, 8 + 16 * scale) + 0.4 * noise(dice, canvas, 4 + 5 * scale)
    flakes = box_cover(beside, width, soft) * gone.clamp(0, 1)
    ridge = box_cover(beside, (0.8 * wide).clamp(min=0.4), soft) * dice.uniform(layers, 1, 1, low=0.2, high=0.9)
    return torch.maximum(flakes, ridge)


def sprinkle(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """A patch of very small pinholes."""
    layers, most = len(scale), 192
    size = torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    centre = dice.uniform(layers, 3, 2) * size
    chosen = (dice.uniform(layers, most, 1) * 3).long().expand(-1, -1, 2)
    spread = dice.uniform(layers, 1, 1, low=0.05, high=0.2) * min(canvas)
    points = centre.gather(1, chosen) + dice.normal(layers, most, 2) * spread
    area = min(1.0, canvas[0] * canvas[1] / 65536)
    count = area * dice.uniform(layers, low=8, high=most) / scale.clamp(min=1)
    size_of_hole = (scale * dice.uniform(layers, low=0.5, high=1.4)).clamp(min=0.55)
    width = (2.2 * size_of_hole[:, None] * dice.uniform(layers, most, low=0.6, high=1.2)).clamp(max=7)
    return discs(points, width, alive(count, most), 1 + size_of_hole, canvas, 4)


def spot(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """A few round spots without a sharp rim, 5 to 28 pixels across at scale 1."""
    layers, most, reach = len(scale), 8, 28
    count = 1 + dice.poisson(dice.uniform(layers, low=0.5, high=3) * min(1.0, canvas[0] * canvas[1] / 65536))
    radius = (scale[:, None] * dice.lognormal(layers, most, middle=5.0, deviation=0.45)).clamp(1.5, reach / 1.6)
    value = alive(count, most) * dice.uniform(layers, most, low=0.5, high=1.0)
    soft = 1 + radius.mean(dim=1) * dice.uniform(layers, low=0.3, high=1.0)
    return discs(places(dice, canvas, layers, most), 1.9 * radius, value, soft, canvas, reach)


def _blotch(dice: Dice, canvas: Canvas, scale: Tensor, low: float, high: float, oval: float) -> tuple[Tensor, Tensor]:
    """How far pixels lie inside an uneven outline, and its radius; (M, H, W) and (M, 1, 1)."""
    layers = len(scale)
    rows, columns = pixel_grid(canvas, dice.device)
    middle = dice.uniform(layers, 2) * torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    radius = (scale * dice.uniform(layers, low=low, high=high)).clamp(max=0.6 * max(canvas))
    stretch = torch.exp(dice.normal(layers, 1, 1, deviation=oval))
    distance = torch.hypot(rows - middle[:, :1, None], (columns - middle[:, 1:, None]) * stretch)
    return radius[:, None, None] - distance, radius


def stain(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """A blotch of 10 to 110 pixels with an uneven inside and often a darker edge (drying mark)."""
    layers = len(scale)
    depth, radius = _blotch(dice, canvas, scale, 10, 110, 0.3)
    size = radius[:, None, None]
    depth = depth + size * (0.25 * noise(dice, canvas, 0.7 * radius) + 0.05 * noise(dice, canvas, 0.0 * radius + 8))
    inside = (depth / dice.uniform(layers, 1, 1, low=1, high=5)).clamp(0, 1)
    rim = torch.exp(-((depth / (0.08 * size).clamp(min=1.5)) ** 2))
    rimmed = (inside * dice.uniform(layers, 1, 1, high=0.5) + rim).clamp(0, 1)
    shape = torch.where(dice.chance(layers, 1, 1, share=0.5), rimmed, inside)
    return shape * (0.85 + 0.18 * noise(dice, canvas, 0.3 * radius)).clamp(0.35, 1)


def coffee_ring(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """The ring a drop or a cup leaves when it dries."""
    layers = len(scale)
    depth, radius = _blotch(dice, canvas, scale, 25, 160, 0.08)
    depth = depth + 0.05 * radius[:, None, None] * noise(dice, canvas, radius)
    width = (radius * dice.uniform(layers, low=0.03, high=0.12)).clamp(min=1.2)[:, None, None]
    outer = (depth / (0.25 * width).clamp(min=0.8)).clamp(0, 1)
    worn = (0.95 + 0.4 * noise(dice, canvas, 0.6 * radius)).clamp(0.1, 1)
    return outer * torch.maximum(torch.exp(-depth.clamp(min=0) / width) * worn, torch.tensor(0.05, device=dice.device))


def missing(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """A torn corner or a missing piece with a sharp, ragged rim."""
    layers = len(scale)
    rows, columns = pixel_grid(canvas, dice.device)
    size = torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    place = dice.uniform(layers, 2)
    middle = torch.where(dice.chance(layers, 1, share=0.5), place, place.round()) * size
    radius = (scale * dice.uniform(layers, low=12, high=120)).clamp(max=0.45 * max(canvas))
    distance = torch.hypot(rows - middle[:, :1, None], columns - middle[:, 1:, None])
    ragged = 0.3 * noise(dice, canvas, 0.9 * radius) + 0.04 * noise(dice, canvas, 0.1 * radius)
    depth = radius[:, None, None] * (1 + ragged).clamp(0.2, 2) - distance
    return (depth / dice.uniform(layers, 1, 1, low=1.0, high=2.0) + 0.5).clamp(0, 1)


def fingerprint(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """Ridges of a finger: wavy rings about 12 pixels apart at scale 1, inside an oval."""
    layers = len(scale)
    rows, columns = pixel_grid(canvas, dice.device)
    middle = dice.uniform(layers, 2) * torch.tensor(canvas, dtype=torch.float32, device=dice.device)
    down, across = rows - middle[:, :1, None], columns - middle[:, 1:, None]
    reach = (scale * dice.uniform(layers, low=60, high=160)).clamp(min=24)
    wide, far = scale[:, None, None], reach[:, None, None]
    swirl = torch.hypot(down * dice.uniform(layers, 1, 1, low=0.6, high=1.0), across)
    swirl = swirl + 6 * wide * noise(dice, canvas, reach / 3)
    ridges = (1.5 * torch.sin(swirl * 2 * math.pi / (12 * wide).clamp(min=4))).clamp(0, 1)
    oval = (1.2 - torch.hypot(down / far, across / (0.7 * far))).clamp(0, 1)
    worn = (0.55 + 0.6 * noise(dice, canvas, 12 * scale.clamp(min=0.4))).clamp(0, 1)
    return ridges * (3 * oval).clamp(max=1) * worn


def light_leak(dice: Dice, canvas: Canvas, scale: Tensor) -> Tensor:
    """A soft flare that enters from one edge."""
    layers = len(scale)
    rows, columns = pixel_grid(canvas, dice.device)
    upright, far = dice.chance(layers, 1, 1, share=0.5), dice.chance(layers, 1, 1, share=0.5)
    depth = torch.where(upright, columns, rows) / max(canvas)
    depth = torch.where(far, torch.where(upright, canvas[1], canvas[0]) / max(canvas) - depth, depth)
    along = torch.where(upright, rows, columns) / max(canvas)
    middle, spread = dice.uniform(layers, 1, 1), dice.uniform(layers, 1, 1, low=0.1, high=0.5)
    reach = dice.uniform(layers, 1, 1, low=0.05, high=0.4) * (0.5 + scale[:, None, None]).clamp(max=1)
    return torch.exp(-(((along - middle) / spread) ** 2)) * torch.exp(-depth / reach)


BATCH_SHAPES: dict[str, BatchShape] = {
    "dust": dust,
    "dirt": dirt,
    "hair-short": hair_short,
    "hair": hair,
    "lint": lint,
    "scratch": scratch,
    "tramline": tramline,
    "crack": crack,
    "sprinkle": sprinkle,
    "spot": spot,
    "stain": stain,
    "coffee-ring": coffee_ring,
    "mould": mould,
    "crease": crease,
    "missing": missing,
    "fingerprint": fingerprint,
    "light-leak": light_leak,
}
