"""ExifTool's listing of every golden scan, before and after, in every pair of formats: equal, or named as a loss."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from files_exiftool import list_tags, needs_exiftool
from golden import GOLDEN
from redust.files import write_scan
from redust.files.formats import by_suffix
from redust.files.unsupported import list_losses

SUFFIXES = (".tif", ".png", ".jpg", ".webp", ".jp2")
#: How pixels are stored, what kind of file it is, and what each format derives from that.
STORAGE = re.compile(
    r"^(File|JFIF|PNG|RIFF|Jpeg2000|ICC-header|Adobe|APP14|MPF\d):|Photoshop:(IPTCDigest|CurrentIPTCDigest)"
    r"|:(SubfileType|ImageWidth|ImageHeight|BitsPerSample|Compression|PhotometricInterpretation|SamplesPerPixel"
    r"|RowsPerStrip|PlanarConfiguration|Predictor|TileWidth|TileLength|ExtraSamples|SampleFormat|MaxSampleValue"
    r"|SMaxSampleValue|YCbCr\w+|ReferenceBlackWhite|JPEGTables|PreviewImage\w*|OldSubfileType|ExifByteOrder"
    r"|ProfileSize|PixelUnits|\w*Unit|XResolution|YResolution|PixelsPerUnit\w|\w+Offset|Warning|CurrentIPTCDigest)$"
)
#: Words of a named loss to the tags that it speaks of.
NAMED = {
    "IPTC": r"^IPTC:",
    "Photoshop's image resources": r"^Photoshop:",
    "further page": r"^IFD\d:|^SubIFD\d*:",
    "sub-image": r"^SubIFD\d*:",
    "JPEG 2000 box": r"^XML:",
}


@needs_exiftool
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_fact_arrives_or_is_named(trips: dict[str, Any], tmp_path: Path, suffix: str) -> None:
    targets, names = {}, {}
    for name in GOLDEN:
        scan = trips[name].scan
        targets[name] = tmp_path / f"{name}{suffix}"
        names[name] = list_losses(scan, by_suffix(targets[name]))
        write_scan(scan, targets[name], allow_loss=True)
    before = list_tags([trips[name].source for name in GOLDEN])
    after = list_tags(list(targets.values()))
    missing = {}
    for name in GOLDEN:
        old, new = before[trips[name].source.name], after[targets[name].name]
        portable = {key.replace("IPTC2:", "IPTC:"): value for key, value in old.items() if not STORAGE.search(key)}
        lost = [key for key, value in portable.items() if new.get(key) != value]
        patterns = [pattern for words, pattern in NAMED.items() if any(words in loss for loss in names[name])]
        unnamed = [key for key in lost if not any(re.search(pattern, key) for pattern in patterns)]
        if unnamed:
            missing[name] = unnamed
    assert missing == {}
