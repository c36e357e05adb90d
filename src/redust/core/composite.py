"""The one function that writes pixels: promise 1, only damaged pixels change."""

from __future__ import annotations

from redust.core.arrays import Mask, Pixels, check_mask


def composite(target: Pixels, filled: Pixels, mask: Mask, origin: tuple[int, int] = (0, 0)) -> None:
    """Write the masked pixels of `filled` into `target`, and no other.

    Parameters
    ----------
    target : (H, W, C)
        Changed in place. The caller owns it; a scan's own pixels are never passed here.
    filled : (h, w, C), dtype of `target`
        A region of the picture.
    mask : (h, w) bool
        True = take the pixel from `filled`.
    origin : (row, column)
        Where the region's first pixel lies in `target`.

    Raises
    ------
    TypeError
        If the mask is not bool.
    ValueError
        If shapes or dtypes disagree, or the region leaves the target.
    """
    height, width = mask.shape
    row, column = origin
    if row < 0 or column < 0:  # would count from the far end
        raise ValueError(f"the region starts at {origin}, outside the target")
    window = target[row : row + height, column : column + width]
    check_mask(mask, window.shape[:2])
    if filled.shape != window.shape or filled.dtype != window.dtype:
        raise ValueError(f"the fill is {filled.dtype}{filled.shape}, the region is {window.dtype}{window.shape}")
    window[mask] = filled[mask]
