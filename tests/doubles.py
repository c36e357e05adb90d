"""Engines that do as they are told: sound ones that are easy to foresee, and ones that fail."""

from __future__ import annotations

import threading
from typing import ClassVar

import numpy as np

from redust.core.arrays import DamageMap, Light, Mask, Pixels
from redust.core.engines import Needs
from redust.core.errors import EngineError
from redust.core.prior_shift import PriorShift


class Bright:
    """Takes light of 0.9 and more for damage."""

    name = "bright"
    level = 0.5
    needs = Needs()

    def __init__(self, *, threads: int | None = None) -> None:
        self.calls = 0

    def detect(self, light: Light) -> DamageMap:
        self.calls += 1
        return (light.max(axis=2) >= 0.9).astype(np.float32)


class Wary(Bright):
    """Takes light of 0.9 and more for damage, is never quite sure, and less so where little of a scan is damaged."""

    name = "wary"
    levels: ClassVar[dict[str, float]] = {"shy": 0.8, "normal": 0.5, "eager": 0.2}
    prior_shift = PriorShift(prior=0.01, exponent=0.4)

    def detect(self, light: Light) -> DamageMap:
        return np.float32(0.9) * super().detect(light)


class Dimmer:
    """A generator that takes the brightest pixels for damage and makes them a middle grey, and all else darker."""

    name = "dimmer"
    level = 0.1
    needs = Needs(context=2, multiple_of=4, channels=(3,))

    def __init__(self, *, threads: int | None = None) -> None:
        self.calls = 0

    def generate(self, light: Light) -> Light:
        self.calls += 1
        return np.where(light >= 0.9, np.float32(0.5), light - np.float32(0.02)).astype(np.float32)


class Told(Dimmer):
    """A generator that is told a damage map, and darkens what it says by a quarter."""

    name = "told"
    needs = Needs(context=2, multiple_of=4, channels=(3,), attention=True)

    def generate(self, light: Light) -> Light:
        self.calls += 1
        return light[..., :3] * (1 - light[..., 3:] / 4)


class Mean:
    """Fills with the mean of the sound pixels of the region."""

    name = "mean"
    needs = Needs(context=4)

    def __init__(self) -> None:
        self.calls = 0

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        self.calls += 1
        filled = pixels.copy()
        filled[mask] = pixels[~mask].mean(axis=0).astype(pixels.dtype)
        return filled


class BlindToPink(Bright):
    """Fails, as engines of others do, with an exception of its own: at pictures whose first pixel is white."""

    name = "blind-to-pink"

    def detect(self, light: Light) -> DamageMap:
        if light[0, 0, 0] == 1.0:
            raise ZeroDivisionError("pink")
        return super().detect(light)


class Explains(Bright):
    """Fails at once, and says why."""

    name = "explains"

    def detect(self, light: Light) -> DamageMap:
        raise EngineError("The detector has gone fishing. Choose another.")


class Runaway(Mean):
    """A fill that changes every pixel it was given, and the array of the caller if it can."""

    name = "runaway"

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        try:
            pixels[...] = 0
        except ValueError:  # the house gave a read-only array
            pixels = np.zeros_like(pixels)
        return np.zeros_like(pixels)


class NoFill(Mean):
    """A fill that breaks down."""

    name = "no-fill"

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        raise RuntimeError("no paint left")


class Stuck(Bright):
    """A detector that never comes back."""

    name = "stuck"

    def detect(self, light: Light) -> DamageMap:
        threading.Event().wait()
        return super().detect(light)
