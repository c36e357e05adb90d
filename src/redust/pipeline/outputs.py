"""The files a job leaves: refused before the work where they can be, looked at afterwards where they must be."""

from __future__ import annotations

from pathlib import Path

from redust.core.arrays import Mask
from redust.core.errors import TargetError
from redust.core.scan import Scan
from redust.core.settings import ScanSettings
from redust.files import check_path, check_target, largest_change_outside, lossless
from redust.files.formats import PNG, TIFF, by_suffix
from redust.pipeline.job import Job


def prepare_outputs(job: Job, scan: Scan, settings: ScanSettings) -> None:
    """Make the folders that results go to, and refuse what would be refused after the work.

    Raises
    ------
    TargetError
        If a result exists already, would replace the scan, or cannot hold what the scan carries.
    """
    for path in job.outputs:
        _make_folder(path.parent)
        check_path(path, source=job.source, overwrite=settings.overwrite)
        by_suffix(path)
    for exact in (job.mask_out, job.map_out):
        if exact is not None and by_suffix(exact) not in (PNG, TIFF):
            raise TargetError(f"{exact} cannot hold a mask or map: use a name that ends with .png or .tif.")
    if job.target is not None:
        check_target(scan, job.target, overwrite=settings.overwrite, allow_loss=settings.allow_loss)


def change_outside(target: Path, written: Scan, mask: Mask) -> float:
    """The largest change of a sample outside the mask, in steps of the depth: 0 unless the format is lossy.

    A lossy file is read back and compared with the pixels it was made from.
    """
    return 0.0 if lossless(target) else largest_change_outside(written.pixels, target, mask)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(
            f"The folder {folder} cannot be made: {error.strerror}. Check the path, or choose another output."
        ) from error
