"""One scan's job: what to restore, what a person has marked, and where the results go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from redust.core.arrays import Mask

if TYPE_CHECKING:
    from redust.detectors.common_marks import CommonMarks

RESTORED = ".restored"
"""What a restored scan's name ends with, before its suffix."""


@dataclass(frozen=True, eq=False)
class Job:
    """One scan, what a person has decided about it, and where its results go.

    Parameters
    ----------
    source
        The scan's file.
    target
        The restored scan; None to repair nothing.
    mask, add_mask, not_mask
        The whole mask (nothing is detected), areas to add, areas to protect: a file of the scan's size,
        non-zero = True, or a (H, W) bool array. See :class:`redust.decision.filters.Areas`.
    mask_out, map_out, compare
        Where to write the mask, the damage map, and the picture before / mask / after; None to leave it.
    common_marks
        What the scan has in common with other frames of its roll; those of the marks that it shows are repaired too.
    """

    source: Path
    target: Path | None = None
    mask: Path | Mask | None = None
    add_mask: Path | Mask | None = None
    not_mask: Path | Mask | None = None
    mask_out: Path | None = None
    map_out: Path | None = None
    compare: Path | None = None
    common_marks: CommonMarks | None = None

    @property
    def inputs(self) -> list[Path]:
        """Every file the job reads."""
        return [path for path in (self.source, self.mask, self.add_mask, self.not_mask) if isinstance(path, Path)]

    @property
    def outputs(self) -> list[Path]:
        """Every file the job writes."""
        return [path for path in (self.target, self.mask_out, self.map_out, self.compare) if path is not None]


@overload
def as_path(path: str | Path | None) -> Path | None: ...
@overload
def as_path(path: str | Path | Mask | None) -> Path | Mask | None: ...
def as_path(path: str | Path | Mask | None) -> Path | Mask | None:
    """A path where a string was given; arrays and None as they are."""
    return Path(path) if isinstance(path, str) else path


def beside(source: Path) -> Path:
    """Where a restored scan goes unless the user says: `scan.tif` to `scan.restored.tif`."""
    return source.with_name(f"{source.stem}{RESTORED}{source.suffix}")
