"""Every golden scan, taken on its trip once for all tests of this room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from golden import GOLDEN, make
from redust.core.scan import Scan
from redust.files import read_scan, write_scan


@dataclass(frozen=True)
class Trip:
    """A golden scan, read and written again without a change of a pixel."""

    source: Path
    target: Path
    scan: Scan
    again: Scan


@pytest.fixture(scope="session")
def trips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trip]:
    """All golden scans by name."""
    before, after = tmp_path_factory.mktemp("before"), tmp_path_factory.mktemp("after")
    found = {}
    for name in GOLDEN:
        source = make(name, before)
        scan = read_scan(source)
        target = after / source.name
        write_scan(scan, target)
        found[name] = Trip(source, target, scan, read_scan(target))
    return found


@pytest.fixture
def simple_scan() -> Scan:
    """A grey scan of 3 x 4 without anything else."""
    return Scan(np.zeros((3, 4, 1), np.uint8))
