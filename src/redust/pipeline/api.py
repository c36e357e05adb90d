"""The easy calls: :func:`restore`, :func:`detect`, :func:`repair` on paths, arrays or Pillow images.

Paths in, files out, and a :class:`~redust.core.report.Report`. Arrays in, arrays out: (H, W) or (H, W, 1) grey,
(H, W, 2) grey and alpha, (H, W, 3) red, green, blue, (H, W, 4) with alpha; uint8, uint16 or float32 in 0..1.
Images in, images out, of the same mode and with the same info; the modes are L, LA, RGB, RGBA and I;16.
Alpha passes through unchanged. Every further keyword is a field of the settings classes in
:mod:`redust.core.settings`; one that is not raises a ``SettingsError`` naming it. For many scans make one
:class:`~redust.pipeline.pipeline.Pipeline`: these calls load their engines each time.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import DamageMap, Mask
from redust.core.report import Report
from redust.core.scan import Scan
from redust.core.settings import DetectSettings, RepairSettings, RestoreSettings, ScanSettings
from redust.files.masks import extract_mask
from redust.pipeline.areas import Areas
from redust.pipeline.job import beside
from redust.pipeline.pipeline import Pipeline
from redust.pipeline.steps import detect_map_reported, detect_reported, restore_reported

if TYPE_CHECKING:
    from PIL.Image import Image

Array: TypeAlias = NDArray[Any]
PathLike: TypeAlias = str | Path
Area: TypeAlias = "PathLike | Mask | Image"
P = TypeVar("P", Array, "Image")
S = TypeVar("S", bound=ScanSettings)

_IMAGE_MODES = ("L", "LA", "RGB", "RGBA", "I;16")


@overload
def restore(source: PathLike, target: PathLike | None = None, **choices: Any) -> Report: ...
@overload
def restore(source: P, target: None = None, *, report: Literal[False] = False, **choices: Any) -> P: ...
@overload
def restore(source: P, target: None = None, *, report: Literal[True], **choices: Any) -> tuple[P, Report]: ...
def restore(
    source: PathLike | Array | Image,
    target: PathLike | None = None,
    *,
    mask: Area | None = None,
    add_mask: Area | None = None,
    not_mask: Area | None = None,
    mask_out: PathLike | None = None,
    compare: PathLike | None = None,
    layers: PathLike | None = None,
    preset: PathLike | None = None,
    report: bool = False,
    **choices: Any,
) -> Report | Array | Image | tuple[Array | Image, Report]:
    """Find the damage and repair it.

    Parameters
    ----------
    source
        A scan's path, or its pixels as an array or a Pillow image.
    target
        Where to write; `scan.restored.tif` beside `scan.tif` unless given.
    mask, add_mask, not_mask
        The whole mask (nothing is detected then), areas to add, areas to protect: paths of masks of the
        scan's size (non-zero = True), (H, W) bool arrays, or Pillow images.
    mask_out, compare, layers
        Where to write the mask, the picture before / mask / after, and the layers (a TIFF or OpenRaster).
    preset
        A TOML file of choices; keywords win over it.
    report
        With an array or image: return the report too.
    **choices
        Fields of :class:`~redust.core.settings.RestoreSettings`, such as ``level=0.4``.

    Returns
    -------
    result : Report for a path; else an array or image like `source`, or a pair of it and its Report
        The pixels are new; outside the mask it is identical to `source`.

    Raises
    ------
    RedustError
        See :mod:`redust.core.errors`.
    TypeError, ValueError
        If an array is not pixels, or an array is to be written to a file.

    Examples
    --------
    >>> import numpy as np, redust
    >>> scan = np.full((64, 64), 90, np.uint8)
    >>> scan[30:33, 30:33] = 255
    >>> restored = redust.restore(scan, detector="tophat", fill="navier-stokes")
    >>> int(restored.max())
    90
    """
    pipeline = Pipeline(_make_settings(RestoreSettings, preset, choices))
    if not isinstance(source, str | Path):
        _refuse_files(target, mask_out, compare, layers)
        scan = as_scan(source)
        areas = Areas.read(scan.shape, only=_as_area(mask), add=_as_area(add_mask), protect=_as_area(not_mask))
        return _restore_pixels(pipeline, scan, areas, source, report=report)
    target = beside(Path(source)) if target is None else target
    return pipeline.restore(
        source,
        target,
        mask=_as_area(mask),
        add_mask=_as_area(add_mask),
        not_mask=_as_area(not_mask),
        mask_out=mask_out,
        compare=compare,
        layers=layers,
    )


@overload
def detect(source: PathLike, target: PathLike, *, as_map: bool = ..., **choices: Any) -> Report: ...
@overload
def detect(
    source: PathLike | Array | Image,
    target: None = None,
    *,
    as_map: Literal[False] = False,
    report: Literal[False] = False,
    **choices: Any,
) -> Mask: ...
@overload
def detect(
    source: PathLike | Array | Image,
    target: None = None,
    *,
    as_map: Literal[True],
    report: Literal[False] = False,
    **choices: Any,
) -> DamageMap: ...
@overload
def detect(
    source: PathLike | Array | Image, target: None = None, *, as_map: bool = ..., report: Literal[True], **choices: Any
) -> tuple[Mask | DamageMap, Report]: ...
def detect(
    source: PathLike | Array | Image,
    target: PathLike | None = None,
    *,
    as_map: bool = False,
    preset: PathLike | None = None,
    report: bool = False,
    **choices: Any,
) -> Report | Mask | DamageMap | tuple[Mask | DamageMap, Report]:
    """Find the damage, repair nothing.

    Parameters
    ----------
    source
        A scan's path, or its pixels as an array or a Pillow image.
    target
        Where to write the mask (8 bit, 0 and 255) or the map (16 bit, 65535 = 1); nothing is written unless given.
    as_map
        The damage map instead of the mask.
    report
        Where nothing is written: return the report too.
    preset, **choices
        As in :func:`restore`; fields of :class:`~redust.core.settings.DetectSettings`.

    Returns
    -------
    result : Report where `target` is given, else (H, W) bool, or (H, W) float32 in 0..1, or a pair of it and its Report

    Raises
    ------
    RedustError, TypeError, ValueError
        As :func:`restore`.

    Examples
    --------
    >>> import numpy as np, redust
    >>> scan = np.full((64, 64), 90, np.uint8)
    >>> scan[30:33, 30:33] = 255
    >>> mask = redust.detect(scan, detector="tophat")
    >>> mask.dtype, bool(mask[31, 31]), bool(mask[5, 5])
    (dtype('bool'), True, False)
    """
    settings = _make_settings(DetectSettings, preset, choices)
    pipeline = Pipeline(RestoreSettings.covering(settings))
    if not isinstance(source, str | Path):
        _refuse_files(target)
        scan = as_scan(source)
    elif target is None:
        scan = pipeline.read(Path(source))
    elif as_map:
        return pipeline.restore(source, map_out=target)
    else:
        return pipeline.restore(source, mask_out=target)
    if report:
        return detect_map_reported(pipeline, scan) if as_map else detect_reported(pipeline, scan, Areas())
    return pipeline.detect(scan) if as_map else pipeline.detect_mask(scan)


@overload
def repair(source: PathLike, mask: Area, target: PathLike | None = None, **choices: Any) -> Report: ...
@overload
def repair(source: P, mask: Area, target: None = None, *, report: Literal[False] = False, **choices: Any) -> P: ...
@overload
def repair(
    source: P, mask: Area, target: None = None, *, report: Literal[True], **choices: Any
) -> tuple[P, Report]: ...
def repair(
    source: PathLike | Array | Image,
    mask: Area,
    target: PathLike | None = None,
    *,
    preset: PathLike | None = None,
    report: bool = False,
    **choices: Any,
) -> Report | Array | Image | tuple[Array | Image, Report]:
    """Fill what a mask marks, and nothing else.

    Parameters
    ----------
    source
        A scan's path, or its pixels as an array or a Pillow image.
    mask
        The path of a mask of the scan's size (non-zero = True), a (H, W) bool array, or a Pillow image.
    target
        Where to write; `scan.restored.tif` beside `scan.tif` unless given.
    preset, report, **choices
        As in :func:`restore`; fields of :class:`~redust.core.settings.RepairSettings`.

    Returns
    -------
    result
        As of :func:`restore`.

    Raises
    ------
    RedustError, TypeError, ValueError
        As :func:`restore`.

    Examples
    --------
    >>> import numpy as np, redust
    >>> scan = np.full((64, 64), 90, np.uint8)
    >>> scan[30:33, 30:33] = 255
    >>> int(redust.repair(scan, scan == 255, fill="navier-stokes").max())
    90
    """
    if mask is None:
        raise TypeError("the mask is None; repair fills what a mask marks: give one, or call restore to detect damage")
    area = _as_area(mask)
    settings = _make_settings(RepairSettings, preset, choices)
    pipeline = Pipeline(RestoreSettings.covering(settings))
    if not isinstance(source, str | Path):
        _refuse_files(target)
        scan = as_scan(source)
        return _restore_pixels(pipeline, scan, Areas.read(scan.shape, only=area), source, report=report)
    return pipeline.restore(source, beside(Path(source)) if target is None else target, mask=area)


def _restore_pixels(
    pipeline: Pipeline, scan: Scan, areas: Areas, source: Array | Image, *, report: bool
) -> Array | Image | tuple[Array | Image, Report]:
    restored, _, facts = restore_reported(pipeline, scan, areas)
    pixels = as_pixels(restored, source)
    return (pixels, facts) if report else pixels


def as_scan(source: Array | Image) -> Scan:
    """An array or a Pillow image as a scan; see the top of this module.

    Raises
    ------
    TypeError, ValueError
        If it is not pixels; the message says what is taken.
    """
    if _is_image(source):
        if source.mode not in _IMAGE_MODES:
            raise ValueError(f"an image must have one of the modes {', '.join(_IMAGE_MODES)}, not {source.mode}")
        source = np.asarray(source)
    if not isinstance(source, np.ndarray):
        raise TypeError(f"the scan is {_describe(source)}; give a path, a NumPy array or a Pillow image")
    return _array_as_scan(source)


def _array_as_scan(array: Array) -> Scan:
    planes = array[..., None] if array.ndim == 2 else array
    if planes.ndim != 3 or planes.shape[2] not in (1, 2, 3, 4):
        raise ValueError(f"an array must be (H, W) or (H, W, C) with 1 to 4 channels, not {array.shape}")
    if planes.dtype == np.float64:
        raise TypeError("an array must be uint8, uint16 or float32 in 0..1, not float64; use .astype('float32')")
    colours = planes.shape[2] - 1 + planes.shape[2] % 2
    return Scan(planes[..., :colours], alpha=planes[..., -1] if colours < planes.shape[2] else None)


def as_pixels(scan: Scan, like: Array | Image) -> Array | Image:
    """A scan's pixels, and alpha if there is one, as an array or image like `like`."""
    planes = scan.pixels if scan.alpha is None else np.concatenate([scan.pixels, scan.alpha[..., None]], axis=2)
    if isinstance(like, np.ndarray):
        return planes.reshape(like.shape)
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(planes[..., 0] if planes.shape[2] == 1 else planes))
    image.info = dict(like.info)
    return image


def _is_image(source: Any) -> TypeGuard[Image]:
    """Whether this is a Pillow image, without loading Pillow for the sake of the question."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(source, pillow.Image)


def _as_area(mask: Area | None) -> Path | Mask | None:
    """A mask as the pipeline takes it: a path, a (H, W) bool array, or None."""
    if mask is None or isinstance(mask, Path | np.ndarray):
        return mask
    if isinstance(mask, str):
        return Path(mask)
    if _is_image(mask):
        return _image_as_mask(mask)
    raise TypeError(f"a mask is {_describe(mask)}; give a path, a (H, W) bool array or a Pillow image")


def _image_as_mask(image: Image) -> Mask:
    if image.mode in ("1", "L", "I", "F", "I;16"):
        return np.asarray(image).astype(np.bool_)
    planes = np.asarray(image.convert("RGBA"))
    return extract_mask(planes[..., :3], planes[..., 3])


def _describe(value: Any) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def _make_settings(kind: type[S], preset: PathLike | None, choices: dict[str, Any]) -> S:
    return kind.of(**choices) if preset is None else kind.from_preset(Path(preset), **choices)


def _refuse_files(*targets: PathLike | None) -> None:
    if any(target is not None for target in targets):
        raise TypeError("an array has no file to restore from; use redust.write_scan to write a result")
