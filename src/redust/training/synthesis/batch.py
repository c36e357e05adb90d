"""Whole batches of damaged patches on one device, in tensor operations without loops over patches.

The procedural kinds, looks and grounds of :class:`~redust.training.synthesis.synthesizer.Synthesizer`, drawn as
distance fields and noise fields: the statistics are the same, the pictures are not. Material, hard negatives,
halftone and JPEG are drawn by the NumPy path only; mix both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from redust.core.errors import SettingsError
from redust.training.synthesis.batch_fields import Canvas, Dice, blur, relief
from redust.training.synthesis.batch_ground import after_damage, before_damage
from redust.training.synthesis.batch_shapes import BATCH_SHAPES
from redust.training.synthesis.looks import COVER, DARK, DENSE, DENSE_OPACITY, GAMMA, RAISED, STAINS, TORN
from redust.training.synthesis.recipe import Recipe
from redust.training.synthesis.synthesizer import AROUND, DAMAGE, RIM, SOUND, TOO_MUCH, UNJUDGED, VISIBLE

_WINDOW = 9  # pixels about a damaged one over which it is judged whether it can be seen


@dataclass(frozen=True)
class _Layers:
    """All layers of a batch, flat.

    Parameters
    ----------
    patch, place, kind : (M,) int64
        Which patch, which layer of it, which kind.
    scale : (M,)
    """

    patch: Tensor
    place: Tensor
    kind: Tensor
    scale: Tensor


class BatchSynthesizer:
    """Draws procedural damage over batches of sound photographs.

    Parameters
    ----------
    recipe
        Kinds, shares and strengths; kinds that need material are left out.
    device
        Where it is drawn.

    Raises
    ------
    SettingsError
        If the recipe has no procedural kind.
    """

    def __init__(self, recipe: Recipe | None = None, device: torch.device | str = "cpu") -> None:
        self.recipe = recipe or Recipe()
        self.device = torch.device(device)
        self._kinds = [kind for kind in BATCH_SHAPES if self.recipe.kinds.get(kind, 0) > 0]
        if not self._kinds and self.recipe.clean < 1:
            raise SettingsError("The recipe has no procedural kind. Give one of its kinds, such as `dust`, a weight.")
        weights = [self.recipe.kinds[kind] for kind in self._kinds] or [1.0]
        self._weights = torch.tensor(weights, device=self.device)

    @torch.no_grad()
    def draw(self, photos: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Damage a batch.

        Parameters
        ----------
        photos : (N, 3, H, W) float32 in 0..1
            Undamaged patches on the device; they are not written to. H and W are at least 16.
        generator
            Of the same device; it decides everything random.

        Returns
        -------
        damaged : (N, 3, H, W) float32 in 0..1
        target : (N, H, W) uint8
            255 damage, 128 not to be judged, 0 sound.

        Raises
        ------
        TypeError
            If the photos are not float32.
        ValueError
            If their shape or device, or the generator's device, does not fit.
        """
        self._check(photos, generator)
        dice = Dice(generator)
        canvas = (photos.shape[2], photos.shape[3])
        ground = before_damage(photos, dice, self.recipe)
        layers = self._layers(len(photos), dice)
        coverage = self._coverages(layers, canvas, dice)
        damaged = self._through_optics(self._laid_over(ground, layers, coverage, dice), ground, dice)
        target = self._target(len(photos), layers, coverage)
        target = excuse_barely_visible(damaged, ground, target, self.recipe)
        return after_damage(damaged, dice, self.recipe), target

    def _check(self, photos: Tensor, generator: torch.Generator) -> None:
        if photos.dtype != torch.float32:
            raise TypeError(f"photos must be float32 in 0..1, not {photos.dtype}")
        if photos.ndim != 4 or photos.shape[1] != 3 or min(photos.shape[2:]) < 16:
            raise ValueError(f"photos must be (N, 3, H, W) with H, W >= 16, not {tuple(photos.shape)}")
        for name, place in (("photos", photos.device), ("generator", generator.device)):
            if place.type != self.device.type:
                raise ValueError(f"the {name} lie on {place}, the synthesizer on {self.device}; put both on one device")

    def _layers(self, count: int, dice: Dice) -> _Layers:
        """Which kinds are drawn on which patches, at which scale."""
        most = self.recipe.layers
        number = 1 + (dice.uniform(count, 1) * most).floor()
        damaged = ~dice.chance(count, 1, share=self.recipe.clean)
        patch, place = ((torch.arange(most, device=dice.device) < number) & damaged).nonzero().unbind(1)
        kind = torch.multinomial(self._weights, max(1, len(patch)), replacement=True, generator=dice.generator)
        low, high = self.recipe.scale_low, self.recipe.scale_high
        scale = low * (high / low) ** dice.uniform(count)  # one resolution per patch
        return _Layers(patch, place, kind[: len(patch)], scale[patch])

    def _coverages(self, layers: _Layers, canvas: Canvas, dice: Dice) -> Tensor:
        """The coverage of every layer, kind by kind; (M, H, W)."""
        coverage = torch.zeros(len(layers.kind), *canvas, device=dice.device)
        for number, kind in enumerate(self._kinds):
            at = (layers.kind == number).nonzero()[:, 0]
            if len(at):
                coverage[at] = BATCH_SHAPES[kind](dice, canvas, layers.scale[at])
        if self.recipe.rim:
            sigma = dice.uniform(len(coverage), high=self.recipe.rim)
            coverage = blur(coverage[:, None], sigma, reach=max(1, round(2.5 * self.recipe.rim)))[:, 0]
        if self.recipe.defocus:
            soft = dice.chance(len(coverage), share=self.recipe.defocus)
            sigma = layers.scale * dice.uniform(len(coverage), low=1.0, high=3.0)
            reach = min(max(1, round(7.5 * self.recipe.scale_high)), min(canvas) - 1)
            coverage[soft] = blur(coverage[soft][:, None], sigma[soft], reach=reach)[:, 0]
        # A layer that hides too much teaches nothing about its surroundings.
        hidden = (coverage >= VISIBLE).float().mean(dim=(1, 2), keepdim=True)
        return coverage * (hidden <= TOO_MUCH)

    def _laid_over(self, ground: Tensor, layers: _Layers, coverage: Tensor, dice: Dice) -> Tensor:
        """The ground with all layers over it, composed in linear light."""
        colour, opacity, multiply = self._looks(layers, dice)
        raised = self._of(layers, RAISED) & dice.chance(len(layers.kind), share=self.recipe.relief)
        factor = self._factors(coverage, raised, dice)
        linear = ground**GAMMA
        for place in range(self.recipe.layers):
            at = (layers.place == place).nonzero()[:, 0]
            if len(at) == 0:
                break
            below = linear[layers.patch[at]]
            alpha = (coverage[at] * opacity[at, None, None])[:, None]
            tint = colour[at, :, None, None]
            above = torch.where(multiply[at, None, None, None], below * tint, tint)
            changed = torch.where(
                raised[at, None, None, None], below * factor[at, None], torch.lerp(below, above, alpha)
            )
            linear = linear.index_copy(0, layers.patch[at], changed)
        encoded = linear.clamp(0, 1) ** (1 / GAMMA)
        # Untouched pixels stay as they are, without a round trip through linear light.
        return torch.where(linear == ground**GAMMA, ground, encoded)

    def _through_optics(self, damaged: Tensor, ground: Tensor, dice: Dice) -> Tensor:
        """The damage, not the ground, a little softer: (N, 3, H, W)."""
        most = self.recipe.optics
        if not most:
            return damaged
        sigma = dice.uniform(len(damaged), high=most)
        reach = min(max(1, round(2.5 * most)), min(damaged.shape[2:]) - 1)
        return (ground + blur(damaged - ground, sigma, reach=reach)).clamp(0, 1)

    def _factors(self, coverage: Tensor, raised: Tensor, dice: Dice) -> Tensor:
        """The factor on linear light of layers that look raised, 1 for the others; (M, H, W)."""
        factor = torch.ones_like(coverage)
        at = raised.nonzero()[:, 0]
        if len(at):
            factor[at] = torch.exp(relief(dice, coverage[at]))
        return factor

    def _looks(self, layers: _Layers, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
        """Colour (M, 3), opacity (M,) and whether it multiplies (M,): as :func:`looks.random_look`."""
        count, recipe = len(layers.kind), self.recipe
        drop = 1 - (1 - dice.uniform(count)) ** (1 / 2.2)  # a beta distribution of 1 and 2.2
        opacity = recipe.opacity_high - drop * (recipe.opacity_high - recipe.opacity_low)
        if recipe.translucent:
            even = dice.uniform(count, low=recipe.opacity_low, high=recipe.opacity_high)
            opacity = torch.where(dice.chance(count, share=recipe.translucent), even, opacity)
        faint = dice.chance(count, share=recipe.faint)
        opacity = torch.where(faint, opacity * 0.06 * 10 ** dice.uniform(count), opacity)
        bright = dice.chance(count, share=recipe.bright)
        white = dice.uniform(count, 1, low=0.55) + dice.normal(count, 3, deviation=0.02)
        # As there, the dice of the rarer two are thrown only if they are asked for.
        dense = dice.chance(count, share=recipe.dense) & ~bright if recipe.dense else torch.zeros_like(bright)
        covers = dice.chance(count, share=recipe.covering) & ~bright if recipe.covering else torch.zeros_like(bright)
        darkest = torch.where(dense, DENSE, torch.where(covers, COVER, DARK))
        dark = darkest[:, None] * dice.uniform(count, 1) + dice.normal(count, 3, deviation=0.015)
        colour, multiply = torch.where(bright[:, None], white, dark).clamp(0, 1), ~bright & ~covers
        torn = self._of(layers, TORN) & dice.chance(count, share=0.25)
        colour = torch.where(torn[:, None], dice.uniform(count, 3) ** 2, colour)
        multiply = torch.where(torn, dice.chance(count, share=0.5), multiply)
        if recipe.dense:
            opaque = dense & ~torn & ~self._of(layers, (*STAINS, "light-leak"))
            opacity = torch.where(opaque, dice.uniform(count, low=DENSE_OPACITY), opacity)
        stains, dull = self._of(layers, STAINS), dice.chance(count, share=0.75)
        mean = torch.tensor([0.75, 0.62, 0.45], device=dice.device)
        tint = (mean + dice.normal(count, 3, deviation=0.15)).clamp(0.05, 1.0)
        tint = torch.where(dull[:, None], tint, (tint + 0.25).clamp(max=1))
        colour, multiply = torch.where(stains[:, None], tint, colour), torch.where(stains, dull, multiply)
        opacity = torch.where(stains & ~dull, 0.7 * opacity, opacity)
        leaks = self._of(layers, ("light-leak",))
        flare = torch.stack(
            [
                torch.ones(count, device=dice.device),
                dice.uniform(count, low=0.3, high=0.8),
                dice.uniform(count, high=0.4),
            ],
            dim=1,
        )
        return torch.where(leaks[:, None], flare, colour), opacity, multiply & ~leaks

    def _of(self, layers: _Layers, kinds: tuple[str, ...]) -> Tensor:
        """Which layers are of these kinds; (M,) bool."""
        numbers = [number for number, kind in enumerate(self._kinds) if kind in kinds]
        return torch.isin(layers.kind, torch.tensor(numbers, dtype=layers.kind.dtype, device=layers.kind.device))

    def _target(self, count: int, layers: _Layers, coverage: Tensor) -> Tensor:
        """The strongest coverage of each pixel, cut into three values; (N, H, W) uint8."""
        strongest = torch.zeros(count, *coverage.shape[1:], device=coverage.device)
        for place in range(self.recipe.layers):
            at = (layers.place == place).nonzero()[:, 0]
            patch = layers.patch[at]
            strongest = strongest.index_copy(0, patch, torch.maximum(strongest[patch], coverage[at]))
        target = torch.full_like(strongest, SOUND, dtype=torch.uint8)
        target[strongest >= RIM] = UNJUDGED
        target[strongest >= VISIBLE] = DAMAGE
        return target


def excuse_barely_visible(damaged: Tensor, ground: Tensor, target: Tensor, recipe: Recipe) -> Tensor:
    """Mark as not judged what changed the picture too little to be seen.

    What counts is the mean change of the damaged pixels near by against the busyness of the ground under them
    (the NumPy path takes the connected spot instead, which has no tensor operation), and, if the recipe says so,
    against the texture around them.

    Parameters
    ----------
    damaged, ground : (N, 3, H, W) float32 in 0..1
    target : (N, H, W) uint8
    recipe
        Its `barely` and `against_texture`.
    """
    marked = (target == DAMAGE).float()[:, None]
    change = (damaged - ground).abs().amax(dim=1, keepdim=True)
    grey = ground.mean(dim=1, keepdim=True)
    busy = (grey - blur(grey, torch.full((len(grey),), 1.5, device=grey.device))).abs()
    stacked = torch.cat([marked, change * marked, busy * marked], dim=1)
    near = _near(stacked)
    share = near[:, 0].clamp(min=1e-6)
    seen, noise = near[:, 1] / share, near[:, 2] / share
    area = (share * _WINDOW**2).clamp(min=1)
    hidden = (seen < recipe.barely / 255) | (seen < 3.0 * noise / area.sqrt() + 0.4 * noise)
    if recipe.against_texture:
        hidden |= seen < recipe.against_texture * _near(_texture(grey) * marked)[:, 0] / share
    return torch.where((target == DAMAGE) & hidden, torch.full_like(target, UNJUDGED), target)


def _near(values: Tensor) -> Tensor:
    """The mean over the window about each pixel."""
    return functional.avg_pool2d(values, _WINDOW, stride=1, padding=_WINDOW // 2, count_include_pad=True)


def _texture(grey: Tensor) -> Tensor:
    """Standard deviation (N, 1, H, W) of light within 17 x 17 pixels."""
    mean, square = (functional.avg_pool2d(one, AROUND, 1, AROUND // 2, False, False) for one in (grey, grey * grey))
    return (square - mean * mean).clamp(min=0).sqrt()
