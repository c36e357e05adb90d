"""Whether this installation works: what `redust doctor` and `redust models` show, as data."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

import redust
from redust import detectors, generators, inpainters
from redust.core.catalogue import Catalogue
from redust.core.engines import EngineSpec, MapSpec
from redust.core.errors import ModelError, RedustError
from redust.core.scan import Scan
from redust.core.settings import Provider, RestoreSettings
from redust.files import read_scan, write_scan
from redust.models import ModelCard, read_card, shipped, shipped_folder
from redust.models.card import CARD_NAME, weights_path
from redust.pipeline.pipeline import Pipeline

_NEEDED = (
    "numpy", "opencv-contrib-python-headless", "onnxruntime", "tifffile", "imagecodecs", "pillow", "pydantic", "typer",
    "rich",
)  # fmt: skip
_EXTRAS = {"scikit-image": "biharmonic", "torch": "train", "lightning": "train"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    name
        What.
    state
        ``ok``; ``absent``: not installed and not needed for restoring; ``broken``: ReDust does not work.
    detail
        A version, a figure, or what to do.
    """

    name: str
    state: Literal["ok", "absent", "broken"]
    detail: str


@dataclass(frozen=True)
class Engine:
    """An engine of a catalogue.

    Parameters
    ----------
    kind
        ``detector``, ``fill`` or ``generator``.
    name
        What ``--detector``, ``--fill`` or ``--generator`` takes.
    default
        Whether it is used unless another is named.
    level
        A detector's or generator's own level; None for a fill.
    card
        Of its weights, if it has any.
    blurred
        Of the weights of what sees blurred scans in a detector's place, if there is such.
    size
        Of its weights in bytes.
    problem
        Why it cannot be used; empty if it can.
    """

    kind: str
    name: str
    default: bool
    level: float | None = None
    card: ModelCard | None = None
    blurred: ModelCard | None = None
    size: int = 0
    problem: str = ""


def engines() -> list[Engine]:
    """Every detector, fill and generator by name, each loaded once to see whether it can be used."""
    usual = RestoreSettings()
    return [
        *(_engine(detectors.catalogue, name, detectors.make_detector, usual.detector) for name in _names(detectors)),
        *(_engine(inpainters.catalogue, name, inpainters.make_inpainter, usual.fill) for name in _names(inpainters)),
        *(
            _engine(generators.catalogue, name, generators.make_generator, usual.generator)
            for name in _names(generators)
        ),
    ]


def examine() -> Iterator[Finding]:
    """Look at everything ReDust needs, one finding at a time; ends with a small scan restored in a temporary folder."""
    yield Finding("redust", "ok", redust.__version__)
    yield Finding("Python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("machine", "ok", f"{os.cpu_count()} cores, {_memory()}")
    yield from (_package(name) for name in _NEEDED)
    yield from (_extra(name, extra) for name, extra in _EXTRAS.items())
    yield from _providers()
    yield from (_weights(folder, card) for folder, card in shipped().items())
    yield from (_loads(engine) for engine in engines())
    yield self_test()


def self_test() -> Finding:
    """Restore a small scan with a speck, 16 bit in a TIFF, and compare every pixel."""
    with tempfile.TemporaryDirectory(prefix="redust-") as folder:
        try:
            wrong = _restored_wrongly(Path(folder))
        except RedustError as error:
            wrong = str(error)
    return Finding("self-test", "broken" if wrong else "ok", wrong or "a 16-bit TIFF was restored")


def _restored_wrongly(folder: Path) -> str:
    """What is wrong with a restored scan; empty if nothing is."""
    rows, columns = np.mgrid[0:128, 0:160]
    sound = np.repeat((16000 + 100 * rows + 50 * columns)[..., None], 3, axis=2).astype(np.uint16)
    pixels = sound.copy()
    pixels[60:64, 80:84] = 65535
    source, target = folder / "scan.tif", folder / "restored.tif"
    write_scan(Scan(pixels), source)
    mask = np.zeros(pixels.shape[:2], np.bool_)
    mask[58:66, 78:86] = True
    Pipeline().restore(source, target, mask=mask)
    found = read_scan(target).pixels
    if not np.array_equal(found[~mask], pixels[~mask]):
        return "pixels outside the mask have changed. Install ReDust again."
    if np.abs(found[mask].astype(int) - sound[mask]).max() > 3000:
        return "the speck was not repaired. Install ReDust again."
    return ""


def _names(room: ModuleType) -> list[str]:
    names: list[str] = room.catalogue.names()
    return names


def _engine(catalogue: Catalogue, name: str, make: Callable[[str], Any], usual: str) -> Engine:
    try:
        made = make(name)
    except RedustError as error:
        return Engine(catalogue.kind, name, name == usual, problem=str(error))
    spec: EngineSpec = made.spec
    card = spec.card
    level = spec.level if isinstance(spec, MapSpec) else None
    if not isinstance(card, ModelCard):
        return Engine(catalogue.kind, name, name == usual, level)
    return Engine(catalogue.kind, name, name == usual, level, card, _blurred(card), _size(card))


def _blurred(card: ModelCard) -> ModelCard | None:
    """The card of the network for blurred scans that a model that comes with the package has."""
    network = card.pre_blur.network if card.pre_blur else ""
    return read_card(shipped_folder(card.name) / network) if network else None


def _size(card: ModelCard) -> int:
    """Bytes of all weight files of a model that comes with the package."""
    paths = shipped_folder(card.name).rglob("*")  # a network for blurred scans has a folder inside
    return sum(path.stat().st_size for path in paths if path.is_file() and path.name != CARD_NAME)


def _loads(engine: Engine) -> Finding:
    name = f"{engine.kind} {engine.name}"
    if not engine.problem:
        return Finding(name, "ok", "loads")
    needed = engine.default and engine.kind != "generator"  # restoring does not need one unless it is asked for
    return Finding(name, "broken" if needed else "absent", engine.problem)


def _weights(folder: Path, card: ModelCard) -> Finding:
    name = f"weights of {card.name}"
    try:
        paths = [weights_path(folder, kind) for kind in card.files]
    except ModelError as error:
        return Finding(name, "broken", str(error))
    return Finding(name, "ok", f"{len(paths)} files, as their card describes")


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "broken", f"is missing. Run: pip install {name}")


def _providers() -> Iterator[Finding]:
    """What can run networks here."""
    from redust.models.runtime import PACKAGES, available_providers

    there = available_providers()
    for provider in Provider:
        found = provider in there
        yield Finding(
            f"provider {provider}",
            "ok" if found else "absent",
            "offered by ONNX Runtime" if found else f"comes with: {PACKAGES[provider]}",
        )


def _extra(name: str, extra: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "absent", f"comes with: pip install redust[{extra}]")


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system without sysconf
        return "memory unknown"
    return f"{total / 2**30:.1f} GiB memory"
