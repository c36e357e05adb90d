"""Every engine in the catalogues keeps the contract, and the checks catch one that does not."""

from __future__ import annotations

import ast
import itertools
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import redust
from doubles import Attentive
from redust import detectors, generators, inpainters
from redust.core.arrays import DamageMap, Light, Mask, Pixels
from redust.core.contracts import BrokenContract, check_detector, check_generator, check_inpainter
from redust.core.engines import (
    Detector,
    DetectorSpec,
    Generator,
    GeneratorSpec,
    Inpainter,
    InpainterSpec,
    Needs,
)
from redust.core.errors import EngineError, RedustError
from redust.core.settings import Sensitivity
from redust.pipeline.pipeline import Pipeline

PROBES = ("getattr", "hasattr")
ENGINE = re.compile(r"detector|generator|inpainter|engine|map_source")


@pytest.mark.parametrize("name", detectors.catalogue.names())
def test_every_detector_keeps_the_contract(name: str) -> None:
    try:
        detector = detectors.make_detector(name)
    except RedustError as error:
        pytest.skip(f"not installed: {error}")
    assert isinstance(detector, Detector)
    check_detector(detector)


@pytest.mark.parametrize("name", inpainters.catalogue.names())
def test_every_fill_keeps_the_contract(name: str) -> None:
    try:
        inpainter = inpainters.make_inpainter(name)
    except RedustError as error:
        pytest.skip(f"not installed: {error}")
    assert isinstance(inpainter, Inpainter)
    with threadpool_limits(1, user_api="blas"):  # as `fill_damage` does
        check_inpainter(inpainter)


@pytest.mark.parametrize("name", generators.catalogue.names())
def test_every_generator_keeps_the_contract(name: str) -> None:
    try:
        generator = generators.make_generator(name)
    except RedustError as error:
        pytest.skip(f"not installed: {error}")
    assert isinstance(generator, Generator)
    check_generator(generator)


class Fill(Inpainter):
    """A sound fill, but for one trick: the mean of what is sound, then `trick` has its way."""

    def __init__(self, trick: Callable[[Pixels, Pixels, Mask], Any], **needs: Any) -> None:
        self.spec = InpainterSpec(name="trick", needs=Needs(**needs))
        self._trick = trick

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        mean = pixels[~mask].mean(axis=0, dtype=np.float64)
        filled = pixels.copy()
        filled[mask] = mean if pixels.dtype == np.float32 else np.rint(mean)
        changed = self._trick(filled, pixels, mask)
        return filled if changed is None else changed  # type: ignore[no-any-return]


def sound(filled: Pixels, pixels: Pixels, mask: Mask) -> None:
    """No trick."""


def spoils_pixels(filled: Pixels, pixels: Pixels, mask: Mask) -> None:
    pixels[mask] = 0


def spoils_mask(filled: Pixels, pixels: Pixels, mask: Mask) -> None:
    mask[...] = False


def stretches(filled: Pixels, pixels: Pixels, mask: Mask) -> None:
    if filled.dtype != np.float32:
        filled[mask] += 2


def detours(filled: Pixels, pixels: Pixels, mask: Mask) -> Pixels | None:
    """By way of 8 bit."""
    if filled.dtype == np.uint16:
        return np.rint(filled / 257).astype(np.uint8).astype(np.uint16) * np.uint16(257)
    return None


def leaves_a_hole(filled: Pixels, pixels: Pixels, mask: Mask) -> None:
    if filled.dtype == np.float32:
        filled[mask] = np.nan


def test_the_sound_fill_passes() -> None:
    check_inpainter(Fill(sound))
    check_inpainter(Fill(sound, multiple_of=16, minimum=20, channels=(3,), depths=("uint16",), threadsafe=False))


@pytest.mark.parametrize(
    ("trick", "complaint"),
    [
        (spoils_pixels, "wrote to its input pixels"),
        (spoils_mask, "wrote to its input mask"),
        (stretches, "even area"),
        (detours, "finer than 8 bit|even area"),
        (leaves_a_hole, "not finite"),
        (lambda filled, *_: filled[..., 0], "answered shape"),
        (lambda filled, *_: filled.astype(np.float64), "answered float64 where uint8"),
        (lambda filled, *_: filled.tolist(), "answered list"),
    ],
)
def test_a_broken_fill_is_caught(trick: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(BrokenContract, match=complaint):
        check_inpainter(Fill(trick))


def test_a_moody_fill_is_caught() -> None:
    moods = itertools.count()

    def moody(filled: Pixels, pixels: Pixels, mask: Mask) -> None:
        filled[mask] = next(moods) % 100

    with pytest.raises(BrokenContract, match="second time"):
        check_inpainter(Fill(moody))


def test_a_fill_that_is_not_threadsafe_must_say_so() -> None:
    inside: list[int] = []

    def crowded(filled: Pixels, pixels: Pixels, mask: Mask) -> None:
        inside.append(threading.get_ident())
        time.sleep(0.02)
        if len(inside) > 1:
            filled[mask] = 0
        inside.pop()

    with pytest.raises(BrokenContract, match=r"needs\.threadsafe"):
        check_inpainter(Fill(crowded))
    check_inpainter(Fill(crowded, threadsafe=False))


@pytest.mark.parametrize(
    "needs",
    [{"channels": ()}, {"channels": (4,)}, {"depths": ()}, {"depths": ("int8",)}, {"multiple_of": 0}, {"context": -1}],
)
def test_impossible_needs_are_caught(needs: dict[str, Any]) -> None:
    with pytest.raises(BrokenContract, match="needs"):
        check_inpainter(Fill(sound, **needs))


class Finder(Detector):
    """A detector of dark pixels within `reach` pixels."""

    def __init__(self, reach: int = 2, level: float = 0.5, **needs: Any) -> None:
        self.spec = DetectorSpec(name="finder", level=level, needs=Needs(**({"context": reach} | needs)))
        self._reach = reach

    def detect(self, light: Light) -> DamageMap:
        padded = np.pad(light.mean(axis=2), self._reach, mode="edge")
        size = 2 * self._reach + 1
        local = np.lib.stride_tricks.sliding_window_view(padded, (size, size)).mean(axis=(2, 3))
        return np.asarray(1 - local, np.float32)


def with_levels(**levels: float) -> Finder:
    """A detector that has these levels by sensitivity, beside 0.5."""
    finder = Finder()
    finder.spec = replace(finder.spec, levels={Sensitivity(name): level for name, level in levels.items()})
    return finder


class Overstates(Finder):
    def detect(self, light: Light) -> DamageMap:
        return super().detect(light) * 2


class Doubles(Finder):
    def detect(self, light: Light) -> DamageMap:
        return super().detect(light).astype(np.float64)  # type: ignore[return-value]


class Writes(Finder):
    def detect(self, light: Light) -> DamageMap:
        found = super().detect(light)
        light[...] = 0
        return found


class Stretches(Finder):
    """To the span of the tile: what it says of a pixel depends on all others."""

    def detect(self, light: Light) -> DamageMap:
        found = super().detect(light)
        return np.asarray((found - found.min()) / max(float(np.ptp(found)), 1e-6), np.float32)


def test_the_sound_detector_passes() -> None:
    check_detector(Finder())
    check_detector(Finder(multiple_of=8, minimum=30, channels=(1,)))
    check_detector(with_levels(eager=0.1, normal=0.5, shy=0.5))


@pytest.mark.parametrize(
    ("detector", "complaint"),
    [
        (Finder(level=1.5), "level is 1.5"),
        (with_levels(normal=0.5), "not one for each sensitivity"),
        (with_levels(eager=0.1, normal=0.4, shy=0.8), "another level for normal"),
        (with_levels(eager=0.6, normal=0.5, shy=0.8), "not in order"),
        (Finder(reach=9, context=2), "changes by .* with its tile"),
        (Overstates(), "spans"),
        (Doubles(), "answered float64"),
        (Writes(), "wrote to its input light"),
        (Stretches(), "changes by .* with its tile"),
    ],
)
def test_a_broken_detector_is_caught(detector: Detector, complaint: str) -> None:
    with pytest.raises(BrokenContract, match=complaint):
        check_detector(detector)


class Painter(Generator):
    """A generator that smooths over 5 pixels, and plays a trick on its input or its answer."""

    def __init__(self, trick: Callable[[Light, Light], Any] = lambda made, light: made, level: float = 0.1) -> None:
        self.spec = GeneratorSpec(name="painter", needs=Needs(context=2), level=level)
        self._trick = trick

    def generate(self, light: Light) -> Light:
        padded = np.pad(light, ((2, 2), (2, 2), (0, 0)), mode="edge")
        made = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(0, 1)).mean(axis=(3, 4))
        return self._trick(made.astype(np.float32), light)  # type: ignore[no-any-return]


def spoils_light(made: Light, light: Light) -> Light:
    light[...] = 0
    return made


class Structural:
    """A detector that inherits nothing, with all that the protocol names."""

    spec = DetectorSpec(name="structural", needs=Needs())

    def detect(self, light: Light) -> DamageMap:
        return np.zeros(light.shape[:2], np.float32)

    def release_memory(self) -> None:
        pass


def test_an_engine_need_not_inherit_but_must_have_all_that_the_protocol_names() -> None:
    check_detector(Structural())
    Pipeline(detector=Structural())


@pytest.mark.parametrize(
    ("engine", "check", "complaint"),
    [
        (SimpleNamespace(), check_detector, "no `spec`: state a .*DetectorSpec"),
        (SimpleNamespace(name="old", needs=Needs(), level=0.5), check_detector, "no `spec`"),
        (SimpleNamespace(spec=InpainterSpec(name="fill")), check_detector, "no `spec`: state a .*DetectorSpec"),
        (SimpleNamespace(spec=Structural.spec), check_detector, "no method `detect`: define it, or inherit"),
        (SimpleNamespace(spec=Structural.spec, detect=np.zeros), check_detector, "no method `release_memory`"),
        (SimpleNamespace(spec=DetectorSpec(name="")), check_inpainter, "no `spec`: state a .*InpainterSpec"),
        (SimpleNamespace(spec=InpainterSpec(name="fill")), check_inpainter, "no method `fill`"),
        (SimpleNamespace(spec=GeneratorSpec(name="generator")), check_generator, "no method `generate`"),
    ],
)
def test_a_missing_promise_is_named(engine: Any, check: Callable[[Any], None], complaint: str) -> None:
    with pytest.raises(BrokenContract, match=complaint):
        check(engine)


def test_a_pipeline_refuses_what_is_no_engine() -> None:
    with pytest.raises(EngineError, match="SimpleNamespace cannot be used: the detector has no `spec`"):
        Pipeline(detector=SimpleNamespace(detect=np.zeros))


def test_the_sound_generator_passes() -> None:
    check_generator(Painter())


def test_a_generator_with_attention_passes() -> None:
    check_generator(Attentive())


@pytest.mark.parametrize(
    ("generator", "complaint"),
    [
        (Painter(level=2.0), r"level is 2\.0"),
        (Painter(spoils_light), "wrote to its input light"),
        (Painter(lambda made, light: made - made.mean()), "changes by .* with its tile"),
        (Painter(lambda made, light: made[..., 0]), "answered shape"),
        (Painter(lambda made, light: made * np.nan), "not finite"),
    ],
)
def test_a_broken_generator_is_caught(generator: Generator, complaint: str) -> None:
    with pytest.raises(BrokenContract, match=complaint):
        check_generator(generator)


def test_engines_are_read_by_their_spec_alone() -> None:
    """No `getattr` or `hasattr` on an engine, and no class that forwards attributes, in the whole package."""
    offences = []
    for path in sorted(Path(redust.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                members = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                offences += [f"{path.name}: {node.name}.__getattr__"] if "__getattr__" in members else []
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in PROBES:
                subject = ast.unparse(node.args[0]).lower()
                offences += [f"{path.name}: {ast.unparse(node)}"] if ENGINE.search(subject) else []
    assert offences == []
