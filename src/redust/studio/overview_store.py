"""Overviews of scans on the disk: small pictures at a scan's own depth, with its profile, so that it shows at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from redust.core.arrays import Pixels
from redust.core.atomic import make_folder, whole_file
from redust.core.scan import Scan
from redust.studio.display import Pyramid, check_profile, make_overview


@dataclass(frozen=True, eq=False)
class Overview:
    """A scan in small.

    Parameters
    ----------
    pixels : (h, w, C)
        At the scan's depth, smaller by the pyramid's factor.
    profile
        The ICC profile it is shown by.
    pyramid
        Of the scan.
    bits
        Of the scan.
    """

    pixels: Pixels
    profile: bytes | None
    pyramid: Pyramid
    bits: int

    @classmethod
    def of_scan(cls, scan: Scan) -> Overview:
        """Make it."""
        profile = check_profile(scan.icc, scan.channels, scan.pixels.dtype)
        return cls(make_overview(scan.pixels), profile, Pyramid(scan.shape[1], scan.shape[0]), scan.bits)


def write_overview(overview: Overview, path: Path) -> None:
    """Write an overview as a file."""
    make_folder(path.parent)
    pyramid = overview.pyramid
    with whole_file(path, overwrite=True) as file:
        np.savez(
            file, pixels=overview.pixels, profile=np.frombuffer(overview.profile or b"", np.uint8),
            facts=np.array([pyramid.width, pyramid.height, overview.bits]),
        )  # fmt: skip


def read_overview(path: Path) -> Overview | None:
    """Read an overview; None where there is none."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            width, height, bits = arrays["facts"].tolist()
            profile = arrays["profile"].tobytes() or None
            return Overview(arrays["pixels"], profile, Pyramid(width, height), bits)
    except (OSError, ValueError, KeyError):
        return None
