"""What ExifTool says of files; without it, tests that need it are skipped at the desk and fail in CI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

_MISSING = shutil.which("exiftool") is None
needs_exiftool = pytest.mark.skipif(
    _MISSING and os.environ.get("CI") != "true", reason="exiftool is not installed (Debian: libimage-exiftool-perl)"
)
#: Where data lies, and when the file was made: they say nothing about the scan.
_POSITIONS = ("Offset", "ByteCounts", "Start", "ThumbnailLength")


def list_tags(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Group and tag to value, for each file by its name, without what only says where data lies."""
    command = ["exiftool", "-j", "-G1", "-a", "-n", "-b", "-api", "RequestAll=0", *map(str, paths)]
    out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return {
        Path(entry["SourceFile"]).name: {
            key: value
            for key, value in entry.items()
            if key.split(":")[0] not in ("SourceFile", "ExifTool", "System", "Composite")
            and not any(word in key for word in _POSITIONS)
        }
        for entry in json.loads(out)
    }
