"""What was done to one scan, as data."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticSerializationError

_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class InfraredReport(BaseModel):
    """What infrared said of a scan.

    ``source`` is where its plane came from, ``used`` whether it could tell dust from the picture. ``regions`` counts
    what it proves, ``detector_regions`` what the detector marks, ``spared_regions`` those of the latter that it
    denies. ``crosstalk`` is the density that infrared gains where red gains 1, ``noise`` the plane's own in density,
    ``threshold`` the deviations of it that prove damage, ``shift`` how far the plane lies down and right, in pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    used: bool
    regions: int = 0
    detector_regions: int = 0
    spared_regions: int = 0
    crosstalk: float = 0.0
    noise: float = 0.0
    threshold: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)


class Report(BaseModel):
    """What was done to one scan.

    ``source`` is the scan; ``target``, ``mask_file``, ``map_file``, ``compare_file`` and
    ``layers_file`` are what was written, ``original_file`` where the original of a scan restored in place is;
    ``models`` holds the sha256 of each weights file used; ``coverage`` is the share of masked pixels, 0..1;
    ``mask_sha256`` the hash of the mask, eight pixels a byte as ``numpy.packbits`` packs them; ``status`` is ``review``
    where more would have been changed than allowed, and nothing was;
    ``common_marks`` counts what was added because other frames of the roll have it too;
    ``regions`` counts connected damage, ``classes`` the same by class, as it is repaired (protected areas are left out,
    added ones are in) but before dilation joins regions; ``blurred_by`` is the sigma in pixels of the detector's blur,
    0 for none; ``film`` is ``negative`` where the detector got the scan as a positive; ``infrared`` is what the scan's
    infrared plane said, None where there is none; ``seconds`` holds the wall time of each step (``read``, ``detect``,
    ``decide``, ``fill``, ``compare``, ``write``);
    ``largest_change_outside`` is the largest change of a sample outside the mask in the written file, in steps of the
    file's depth (0 for every lossless format, None where nothing was restored); ``page`` counts from 1, and ``pages``
    has the report of each where all were restored: then counts and times are sums; ``error`` and ``error_kind`` say
    why a scan failed, or why a file of a folder was skipped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    redust: str
    source: str
    target: str | None = None
    mask_file: str | None = None
    map_file: str | None = None
    compare_file: str | None = None
    layers_file: str | None = None
    original_file: str | None = None
    status: Literal["restored", "detected", "repaired", "review", "failed", "skipped"]
    error: str | None = None
    error_kind: str | None = None
    page: int = 1
    pages: list[Report] = []
    height: int = 0
    width: int = 0
    channels: int = 0
    bits: int = 0
    detector: str | None = None
    fill: str | None = None
    generator: str | None = None
    level: float | None = None
    blurred_by: float | None = None
    film: str | None = None
    infrared: InfraredReport | None = None
    provider: str | None = None
    models: dict[str, str] = {}
    settings: dict[str, Any] = {}
    coverage: float = 0.0
    mask_sha256: str | None = None
    regions: int = 0
    common_marks: int = 0
    classes: dict[str, int] = {}
    largest_change_outside: float | None = None
    seconds: dict[str, float] = {}
    warnings: list[str] = []

    def to_json(self) -> str:
        """One line of JSON without control characters; bytes of a name that are not UTF-8 are lone surrogates."""
        try:
            text = self.model_dump_json()
        except PydanticSerializationError:  # a file name that is not UTF-8
            text = json.dumps(self.model_dump(), separators=(",", ":"))
        return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
