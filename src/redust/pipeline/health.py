"""Health checks of an installation: what `redust doctor` and `redust models` show, as data."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
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
    """The result of one check.

    Parameters
    ----------
    name
        What was checked.
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
        Whether it is used unless the settings name another.
    level
        A detector's or generator's own level; None for a fill.
    card
        Of its weights, if it has any.
    blurred
        Of the network that takes a detector's place on blurred scans, if it has one.
    regions
        Of what judges the regions of a detector's maps, if it has such a model.
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
    regions: ModelCard | None = None
    size: int = 0
    problem: str = ""


def list_engines() -> list[Engine]:
    """Every detector, fill and generator by name, each loaded once to see whether it can be used."""
    defaults = RestoreSettings()
    return [
        *_load_engines(detectors.catalogue, detectors.make_detector, defaults.detector),
        *_load_engines(inpainters.catalogue, inpainters.make_inpainter, defaults.fill),
        *_load_engines(generators.catalogue, generators.make_generator, defaults.generator),
    ]


def check_installation() -> Iterator[Finding]:
    """Check everything ReDust needs, one finding at a time; ends with a small scan restored in a temporary folder."""
    yield Finding("redust", "ok", redust.__version__)
    yield Finding("Python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("machine", "ok", f"{os.cpu_count()} cores, {_describe_memory()}")
    yield from (_check_package(name) for name in _NEEDED)
    yield from (_check_extra(name, extra) for name, extra in _EXTRAS.items())
    yield from _list_providers()
    yield from (_check_weights(folder, card) for folder, card in shipped().items())
    yield from (_check_engine(engine) for engine in list_engines())
    yield restore_sample()


def restore_sample() -> Finding:
    """Restore a small scan with a speck, 16 bit in a TIFF, and compare every pixel."""
    with tempfile.TemporaryDirectory(prefix="redust-") as folder:
        try:
            fault = _find_fault(Path(folder))
        except RedustError as error:
            fault = str(error)
    return Finding("self-test", "broken" if fault else "ok", fault or "a 16-bit TIFF was restored")


def _find_fault(folder: Path) -> str:
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
    restored = read_scan(target).pixels
    if not np.array_equal(restored[~mask], pixels[~mask]):
        return "pixels outside the mask have changed. Install ReDust again."
    if np.abs(restored[mask].astype(int) - sound[mask]).max() > 3000:
        return "the speck was not repaired. Install ReDust again."
    return ""


def _load_engines(catalogue: Catalogue, make: Callable[[str], Any], default: str) -> list[Engine]:
    try:
        names = catalogue.names()
    except RedustError as error:  # two plug-ins of one name
        return [Engine(catalogue.kind, default, True, problem=str(error))]
    return [_load_engine(catalogue.kind, name, make, default=name == default) for name in names]


def _load_engine(kind: str, name: str, make: Callable[[str], Any], *, default: bool) -> Engine:
    try:
        engine = make(name)
    except RedustError as error:
        return Engine(kind, name, default, problem=str(error))
    spec: EngineSpec = engine.spec
    level = spec.level if isinstance(spec, MapSpec) else None
    if not isinstance(spec.card, ModelCard):
        return Engine(kind, name, default, level)
    return Engine(
        kind, name, default, level, spec.card, _read_blurred(spec.card), _read_regions(spec.card),
        _count_bytes(spec.card),
    )  # fmt: skip


def _read_regions(card: ModelCard) -> ModelCard | None:
    """The card of the region classifier that a model that comes with the package has."""
    return read_card(shipped_folder(card.name) / card.regions) if card.regions else None


def _read_blurred(card: ModelCard) -> ModelCard | None:
    """The card of the network for blurred scans that a model that comes with the package has."""
    network = card.pre_blur.network if card.pre_blur else ""
    return read_card(shipped_folder(card.name) / network) if network else None


def _count_bytes(card: ModelCard) -> int:
    """Bytes of all weight files of a model that comes with the package."""
    paths = shipped_folder(card.name).rglob("*")  # a network for blurred scans has a folder inside
    return sum(path.stat().st_size for path in paths if path.is_file() and path.name != CARD_NAME)


def _check_engine(engine: Engine) -> Finding:
    name = f"{engine.kind} {engine.name}"
    if not engine.problem:
        return Finding(name, "ok", "loads")
    required = engine.default and engine.kind != "generator"  # restoring needs none at its defaults
    return Finding(name, "broken" if required else "absent", engine.problem)


def _check_weights(folder: Path, card: ModelCard) -> Finding:
    name = f"weights of {card.name}"
    try:
        paths = [weights_path(folder, kind) for kind in card.files]
    except ModelError as error:
        return Finding(name, "broken", str(error))
    return Finding(name, "ok", f"{len(paths)} files, as their card describes")


def _check_package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "broken", f"is missing. Run: pip install {name}")


def _list_providers() -> Iterator[Finding]:
    """What can run networks here."""
    from redust.models.runtime import PACKAGES, available_providers

    available = available_providers()
    for provider in Provider:
        if provider in available:
            yield Finding(f"provider {provider}", "ok", "offered by ONNX Runtime")
        else:
            yield Finding(f"provider {provider}", "absent", f"comes with: {PACKAGES[provider]}")


def _check_extra(name: str, extra: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "absent", f"comes with: pip install 'redust[{extra}]'")


def _describe_memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system without sysconf
        return "memory unknown"
    return f"{total / 2**30:.1f} GiB memory"
