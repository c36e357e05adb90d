"""Camera raw, developed by LibRaw through rawpy, which is an extra: read only, never written."""

from __future__ import annotations

from typing import BinaryIO

from redust.core.errors import UnreadableScan, UnsupportedScan
from redust.core.scan import Scan
from redust.files.limits import Request, check_size

_ORIENTATIONS = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's flip to the EXIF orientation tag


def read(file: BinaryIO, request: Request) -> Scan:
    """Develop a raw file: 16 bit, sRGB, the camera's white balance, no automatic brightness, not turned.

    Raises
    ------
    UnsupportedScan
        If rawpy is not installed.
    UnreadableScan
        If LibRaw cannot read the file.
    ScanTooLarge
        If it claims more pixels than allowed.
    """
    try:
        import rawpy
    except ImportError as error:
        raise UnsupportedScan(
            "It is a camera raw, which ReDust reads through rawpy. Install it with pip install 'redust[raw]', "
            "or export a TIFF."
        ) from error
    file.seek(0)
    try:
        with rawpy.imread(file) as raw:
            check_size(raw.sizes.height, raw.sizes.width, request)
            orientation = _ORIENTATIONS.get(raw.sizes.flip, 1)
            pixels = raw.postprocess(
                output_bps=16, use_camera_wb=True, no_auto_bright=True, user_flip=0, gamma=(2.4, 12.92)
            )
    except rawpy.LibRawError as error:
        raise UnreadableScan(f"It cannot be developed: {error}. Use a sound copy, or export a TIFF.") from error
    request.warn("A camera raw was developed: its own metadata is not carried. Copy it over with exiftool.")
    return Scan(pixels, orientation=orientation, format="camera raw")
