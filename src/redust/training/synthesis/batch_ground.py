"""What a scan looks like apart from its damage, for whole batches: see :mod:`ground`.

Halftone and JPEG are left out: the first is rare, the second needs blocks that the other steps do not.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from redust.core.arrays import LUMA
from redust.training.synthesis.batch_fields import Dice, blur
from redust.training.synthesis.recipe import Recipe


def before_damage(light: Tensor, dice: Dice, recipe: Recipe) -> Tensor:
    """Turn digital photos into photographs on film or paper; (N, 3, H, W) in 0..1, in and out."""
    count = len(light)
    light = _toned(light, dice, recipe)
    light = _some(light, dice.chance(count, share=recipe.blur), dice.uniform(count, low=0.4, high=1.8), _blurred)
    light = torch.where(dice.chance(count, 1, 1, 1, share=recipe.negative), 1 - light, light)
    return _grained(light, dice, recipe)


def after_damage(light: Tensor, dice: Dice, recipe: Recipe) -> Tensor:
    """Add what the scanner adds: blur or sharpening, and noise; (N, 3, H, W) in 0..1, in and out."""
    count = len(light)
    choice = dice.uniform(count)
    soft = choice < recipe.soft_scan
    sharp = ~soft & (choice < recipe.soft_scan + recipe.sharpened)
    light = _some(light, soft, dice.uniform(count, low=0.3, high=0.8), _blurred)
    light = _some(light, sharp, dice.uniform(count, low=0.6, high=1.2), _sharpened)
    strength = dice.uniform(count, 1, 1, 1, low=0.002, high=0.02) * dice.chance(count, 1, 1, 1, share=recipe.noise)
    return (light + strength * dice.normal(*light.shape)).clamp(0, 1)


def _blurred(light: Tensor, sigma: Tensor) -> Tensor:
    return blur(light, sigma)


def _sharpened(light: Tensor, sigma: Tensor) -> Tensor:
    # The wider the mask, the stronger: one random number serves for both.
    amount = (0.3 + 1.5 * (sigma - 0.6))[:, None, None, None]
    return (light + amount * (light - blur(light, sigma))).clamp(0, 1)


def _some(light: Tensor, chosen: Tensor, amount: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Change the chosen pictures only."""
    at = chosen.nonzero()[:, 0]
    if len(at) == 0:
        return light
    return light.index_copy(0, at, change(light[at], amount[at]))


def _toned(light: Tensor, dice: Dice, recipe: Recipe) -> Tensor:
    """Exposure, contrast, fading; colour, black-and-white or sepia."""
    count, device = len(light), light.device
    light = light.clamp(min=1e-6) ** torch.exp(dice.normal(count, 1, 1, 1, deviation=0.35))
    kind = dice.uniform(count, 1, 1, 1)
    grey = recipe.black_and_white + recipe.sepia
    luma = torch.tensor(LUMA, device=device)[None, :, None, None]
    brown = torch.tensor([0.85, 1.0, 1.25], device=device)[None, :, None, None]
    plain = (light * luma).sum(dim=1, keepdim=True).expand_as(light)
    cast = 1 + dice.normal(count, 3, 1, 1, deviation=0.08).clamp(-0.2, 0.2)
    toned = torch.where(kind < recipe.sepia, plain**brown, torch.where(kind < grey, plain, light))
    toned = torch.where((kind >= grey) & (kind < grey + recipe.cast), light * cast, toned)
    fading = dice.chance(count, 1, 1, 1, share=recipe.fading)
    black = dice.uniform(count, 1, 1, 1, high=0.25) * fading
    white = torch.where(fading, dice.uniform(count, 1, 1, 1, low=0.75), torch.ones_like(black))
    return (black + toned * (white - black)).clamp(0, 1)


def _grained(light: Tensor, dice: Dice, recipe: Recipe) -> Tensor:
    """Film grain: strongest in the mid-tones, of 0.5 to 2 pixels, more or less coloured."""
    count, _, height, width = light.shape
    share = dice.uniform(count, 1, 1, 1, low=0.2, high=0.9)
    coloured = ((light[:, 0] - light[:, 2]).abs().amax(dim=(1, 2)) > 0.02).float()[:, None, None, None]
    grain = share * dice.normal(count, 1, height, width) + (1 - share) * coloured * dice.normal(count, 3, height, width)
    size = dice.uniform(count, high=1.3)
    grain = _some(grain, size > 0.3, size, _blurred)
    grain = grain / grain.std(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
    strength = 0.008 * 10 ** dice.uniform(count, 1, 1, 1) * dice.chance(count, 1, 1, 1, share=recipe.grain)
    return (light + strength * (0.4 + 2.4 * light * (1 - light)) * grain).clamp(0, 1)
