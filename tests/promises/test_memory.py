"""The limit on memory of a whole process: three times the decoded pixels and 500 MB."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drawing import draw

MEGABYTE = 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count resident memory in another way")
@pytest.mark.parametrize("flags", [("--method", "generator"), ()])
def test_a_megapixel_takes_no_more(scan_file: Callable[..., Path], tmp_path: Path, flags: tuple[str, ...]) -> None:
    pixels = draw(1000, 1100, dtype=np.uint8, specks=5)
    words = ["restore", str(scan_file(pixels=pixels)), "-o", str(tmp_path / "o.tif"), *flags]
    # Not `ru_maxrss`: a child inherits the peak of the process that forks it.
    program = f"""
import sys
from pathlib import Path
from redust.cli.entry import main
try:
    main({words!r})
finally:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(lines["VmHWM"].split()[0]) * 1024, file=sys.stderr)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    peak = int(ended.stderr.splitlines()[-1])
    assert peak <= 3 * pixels.nbytes + 500 * MEGABYTE, f"{peak / MEGABYTE:.0f} MB"
