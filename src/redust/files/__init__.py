"""Files in and out, faithful: TIFF, PNG, JPEG, WebP, JPEG 2000.

>>> from redust.files import read_scan, write_scan
>>> scan = read_scan("in.tif")  # doctest: +SKIP
>>> write_scan(scan, "out.tif")  # doctest: +SKIP
"""

from redust.core.atomic import check_path, whole_file
from redust.files.formats import is_scan_path, lossless
from redust.files.layered import check_layered_target, write_layers
from redust.files.masks import read_map, read_mask, write_map, write_mask, write_masks
from redust.files.reading import read_scan
from redust.files.writing import check_target, largest_change_outside, name_losses, write_pages, write_scan

__all__ = [
    "check_layered_target",
    "check_path",
    "check_target",
    "is_scan_path",
    "largest_change_outside",
    "lossless",
    "name_losses",
    "read_map",
    "read_mask",
    "read_scan",
    "whole_file",
    "write_layers",
    "write_map",
    "write_mask",
    "write_masks",
    "write_pages",
    "write_scan",
]
