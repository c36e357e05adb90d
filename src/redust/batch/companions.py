"""Files beside a scan that belong to it and are no scans: infrared channels, masks, thumbnails, sidecars, originals."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from redust.files import is_scan_path

# VueScan and SilverFast write infrared channels so; masks, maps, comparisons and layers as people name them; originals
# as `redust restore --in-place` does.
_ROLE = re.compile(
    r"[ ._-](ir|infrared|ir[ ._-]?valid|mask|map|compare|comparison|thumb|thumbnail|preview|restored|original|layers)$",
    re.IGNORECASE,
)


def find_companions(paths: Iterable[Path]) -> set[Path]:
    """Which of some files of one folder belong to a scan among them.

    ``roll_1_IR.tif`` belongs to ``roll_1.tif`` or ``roll_1.png``, and is a scan of its own where there is neither;
    ``roll_1.xmp`` and ``roll_1.tif.receipt.json`` belong to ``roll_1.tif``.
    """
    paths = list(paths)
    pictures = [path for path in paths if is_scan_path(path)]
    scans = {path.stem.casefold() for path in pictures}
    names = {path.name.casefold() for path in pictures}
    companions = {path for path in pictures if (match := _ROLE.search(path.stem)) and
                  path.stem[: match.start()].casefold() in scans}  # fmt: skip
    sidecars = {path for path in paths if not is_scan_path(path) and _is_sidecar(path.name.casefold(), scans, names)}
    return companions | sidecars


def _is_sidecar(name: str, scans: set[str], names: set[str]) -> bool:
    """Whether a name is a scan's with another suffix, or with further ones."""
    stems = [name[:index] for index, sign in enumerate(name) if sign == "."]
    return any(stem in names for stem in stems) or (bool(stems) and stems[-1] in scans)
