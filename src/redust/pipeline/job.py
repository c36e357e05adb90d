"""One scan's job: what to restore, what a person has marked, and where the results go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from redust.core.arrays import Mask
from redust.files.formats import CAMERA_RAW

if TYPE_CHECKING:
    from redust.detectors.common_marks import CommonMarks

RESTORED = ".restored"
"""What a restored scan's name ends with, before its suffix."""
OUTPUT_FIELDS = ("target", "mask_out", "map_out", "compare", "layers")
"""The fields of a job that name what it writes."""


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
    mask_out, map_out, compare, layers
        Where to write the mask, the damage map, the picture before / mask / after, and the scan with its repaired
        pixels and the mask as layers; None to leave it.
    common_marks
        What the scan has in common with other frames of its roll; those of the marks that it shows are repaired too.
    in_place
        Replace the scan's file by the restored one, and keep the original beside it; then there is no `target`.
    infrared_files
        Files beside the scan that hold its infrared, where a run has to know them: it does the scan again when they
        change, and fetches them with it.
    """

    source: Path
    target: Path | None = None
    mask: Path | Mask | None = None
    add_mask: Path | Mask | None = None
    not_mask: Path | Mask | None = None
    mask_out: Path | None = None
    map_out: Path | None = None
    compare: Path | None = None
    layers: Path | None = None
    common_marks: CommonMarks | None = None
    in_place: bool = False
    infrared_files: tuple[Path, ...] = ()

    @property
    def inputs(self) -> list[Path]:
        """Every file the job reads."""
        paths = (self.source, self.mask, self.add_mask, self.not_mask, *self.infrared_files)
        return [path for path in paths if isinstance(path, Path)]

    @property
    def outputs(self) -> list[Path]:
        """Every file the job writes."""
        return [path for name in OUTPUT_FIELDS if (path := getattr(self, name)) is not None]

    @property
    def repairs(self) -> bool:
        """Whether it writes anything that shows repaired pixels."""
        return self.in_place or any(path is not None for path in (self.target, self.compare, self.layers))


@overload
def as_path(path: str | Path | None) -> Path | None: ...
@overload
def as_path(path: str | Path | Mask | None) -> Path | Mask | None: ...
def as_path(path: str | Path | Mask | None) -> Path | Mask | None:
    """A path where a string was given; arrays and None as they are."""
    return Path(path) if isinstance(path, str) else path


def writable_name(source: Path) -> Path:
    """The name of a scan's result in its own format; of a camera raw, which is never written, as TIFF."""
    return source.with_suffix(".tif") if source.suffix.lower() in CAMERA_RAW.suffixes else source


def beside(source: Path) -> Path:
    """Where a restored scan goes unless the user says: `scan.tif` to `scan.restored.tif`."""
    return source.with_name(f"{source.stem}{RESTORED}{writable_name(source).suffix}")
