"""What the tests of all rooms share: scans drawn on the spot, engines by name, and the command line as a call."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from drawing import draw
from redust.batch import executors
from redust.core import catalogue
from redust.core.arrays import Pixels
from redust.core.scan import Scan
from redust.files import write_scan
from redust.models import shipped_folder
from training_samples import write_pairs

# A busy machine is no failure.
settings.register_profile("house", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

_PLUGINS = {
    "redust.detectors": {
        "bright": "doubles:Bright", "wary": "doubles:Wary", "blind-to-pink": "doubles:FailsOnWhite",
        "explains": "doubles:Explains",
    },
    "redust.inpainters": {"mean": "doubles:Mean", "runaway": "doubles:Runaway", "no-fill": "doubles:NoFill"},
    "redust.generators": {"dimmer": "doubles:Dimmer"},
}  # fmt: skip


@pytest.fixture
def scan_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a drawn scan: ``scan_file("roll/a.tif", dtype=np.uint16)``."""

    def write(name: str = "scan.tif", pixels: Pixels | None = None, **drawn: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_scan(Scan(draw(**drawn) if pixels is None else pixels), path, overwrite=True)
        return path

    return write


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder with train/ (10 pairs) and test/ (2 pairs)."""
    write_pairs(tmp_path / "pairs/train/images", tmp_path / "pairs/train/masks", range(10))
    write_pairs(tmp_path / "pairs/test/images", tmp_path / "pairs/test/masks", range(20, 22))
    return tmp_path / "pairs"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped network."""
    shutil.copytree(shipped_folder("unet"), tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doubles under their names, found like any engine of another package."""

    def found(*, group: str) -> EntryPoints:
        return EntryPoints(EntryPoint(name, value, group) for name, value in _PLUGINS.get(group, {}).items())

    monkeypatch.setattr(catalogue, "entry_points", found)
    # Processes of their own do not know the doubles.
    monkeypatch.setitem(executors.catalogue._builtin, "local", "redust.batch.executors:InlineExecutor")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def redust_command(
    plugins: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Ended]]:
    """The command line as a call, with the doubles as plug-ins: ``redust_command("restore", path)``."""
    from redust.cli.entry import main

    monkeypatch.setenv("COLUMNS", "200")
    before = signal.getsignal(signal.SIGTERM)

    def call(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Ended(int(caught.value.code or 0), printed.out, printed.err)

    yield call
    signal.signal(signal.SIGTERM, before)
