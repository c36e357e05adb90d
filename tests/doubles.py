"""Test doubles of engines: working ones with predictable answers, and ones that fail."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np

from redust.core.arrays import DamageMap, Light, Mask, Pixels
from redust.core.engines import (
    Detector,
    DetectorSpec,
    Generator,
    GeneratorSpec,
    Inpainter,
    InpainterSpec,
    Needs,
    PriorShift,
)
from redust.core.errors import EngineError
from redust.core.settings import Sensitivity


class Bright(Detector):
    """Marks light of 0.9 and more as damage."""

    spec = DetectorSpec(name="bright", level=0.5)

    def __init__(self, *, threads: int | None = None) -> None:
        self.calls = 0

    def detect(self, light: Light) -> DamageMap:
        self.calls += 1
        return (light.max(axis=2) >= 0.9).astype(np.float32)


class Wary(Bright):
    """Marks light of 0.9 and more with a probability of 0.9, and has levels that follow the scan."""

    spec = DetectorSpec(
        name="wary",
        level=0.5,
        levels={Sensitivity.shy: 0.8, Sensitivity.normal: 0.5, Sensitivity.eager: 0.2},
        prior_shift=PriorShift(prior=0.01, exponent=0.4),
    )

    def detect(self, light: Light) -> DamageMap:
        return np.float32(0.9) * super().detect(light)


class Dimmer(Generator):
    """A generator that makes the brightest pixels a middle grey, and all others slightly darker."""

    spec = GeneratorSpec(name="dimmer", needs=Needs(context=2, multiple_of=4, channels=(3,)), level=0.1)

    def __init__(self, *, threads: int | None = None) -> None:
        self.calls = 0

    def generate(self, light: Light) -> Light:
        self.calls += 1
        return np.where(light >= 0.9, np.float32(0.5), light - np.float32(0.02)).astype(np.float32)


class Attentive(Dimmer):
    """A generator with a damage map as attention: it darkens in proportion to it, by up to a quarter."""

    spec = replace(Dimmer.spec, name="attentive", needs=Needs(context=2, multiple_of=4, channels=(3,), attention=True))

    def generate(self, light: Light) -> Light:
        self.calls += 1
        return light[..., :3] * (1 - light[..., 3:] / 4)


class Mean(Inpainter):
    """Fills with the mean of the undamaged pixels of the window."""

    spec = InpainterSpec(name="mean", needs=Needs(context=4))

    def __init__(self) -> None:
        self.calls = 0

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        self.calls += 1
        filled = pixels.copy()
        filled[mask] = pixels[~mask].mean(axis=0).astype(pixels.dtype)
        return filled


class FailsOnWhite(Bright):
    """A plug-in that raises an exception of its own on pictures whose first pixel is white."""

    spec = replace(Bright.spec, name="blind-to-pink")

    def detect(self, light: Light) -> DamageMap:
        if light[0, 0, 0] == 1.0:
            raise ZeroDivisionError("pink")
        return super().detect(light)


class Explains(Bright):
    """Fails at once with an explanation."""

    spec = replace(Bright.spec, name="explains")

    def detect(self, light: Light) -> DamageMap:
        raise EngineError("The detector has gone fishing. Choose another.")


class Runaway(Mean):
    """A fill that changes every pixel, and the array of the caller if it can."""

    spec = replace(Mean.spec, name="runaway")

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        try:
            pixels[...] = 0
        except ValueError:  # the caller passed a read-only array
            pixels = np.zeros_like(pixels)
        return np.zeros_like(pixels)


class NoFill(Mean):
    """A fill that raises."""

    spec = replace(Mean.spec, name="no-fill")

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        raise RuntimeError("no paint left")


class Stuck(Bright):
    """A detector that never comes back."""

    spec = replace(Bright.spec, name="stuck")

    def detect(self, light: Light) -> DamageMap:
        threading.Event().wait()
        return super().detect(light)
