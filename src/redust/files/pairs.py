"""Damaged pictures and their true masks, as files in a folder.

A folder may be laid out in any of these ways (names pair up without their suffix)::

    images/ masks/             damaged/ mask/            NAME.jpg NAME_mask.png
    train/images/ ...  test/images/ ...                  the same twice, for training and for testing
    train_images/ train_masks/ test_images/ test_masks/  the thesis's layout

To restore blindly, pictures pair up with the same pictures restored, by hand or before damage was drawn on them.
Masks may lie beside them, and need not::

    images/ clean/             damaged/ clean/           the same twice, in train/ and test/
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from redust.core.arrays import Pixels, full_scale
from redust.core.errors import ScanError, TrainingError
from redust.core.labels import Label, Truth
from redust.files import is_scan_path, read_scan

_LAYOUTS = (("images", "masks"), ("damaged", "mask"))
_CLEAN = "clean"
_MASK_ENDING = "_mask"
_SHOWN = 3


@dataclass(frozen=True)
class PairPaths:
    """One damaged picture and its mask, as files; without a mask the picture is sound.

    ``clean`` is the same picture without its damage, where restoring is learned from it.
    """

    name: str
    picture: Path
    mask: Path | None = None
    clean: Path | None = None


class Pictures(Protocol):
    """Pictures with their truth, by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]: ...


@dataclass(frozen=True)
class Splits:
    """Pairs to learn from, and pairs to be tested on (none if the folder has no test half)."""

    train: tuple[PairPaths, ...]
    test: tuple[PairPaths, ...]


def find_splits(folder: Path) -> Splits:
    """Find the pairs of a folder in any layout.

    Raises
    ------
    TrainingError
        If there is no such folder or layout, or pictures and masks do not pair up.
    """
    if not folder.is_dir():
        raise TrainingError(f"There is no folder {folder}. Give the folder that holds images/ and masks/.")
    if (folder / "train").is_dir():
        test = folder / "test"
        return Splits(_find_half(folder / "train"), _find_half(test) if test.is_dir() else ())
    if (folder / "train_images").is_dir():
        test_images, test_masks = folder / "test_images", folder / "test_masks"
        test_pairs = _pair_up(_by_stem(test_images), _by_stem(test_masks), folder) if test_images.is_dir() else ()
        return Splits(_pair_up(_by_stem(folder / "train_images"), _by_stem(folder / "train_masks"), folder), test_pairs)
    return Splits(_find_half(folder), ())


def pairs_to_score(folder: Path) -> tuple[PairPaths, ...]:
    """The pairs to measure on: the test half where there is one, else all."""
    splits = find_splits(folder)
    return splits.test or splits.train


def find_photos(folder: Path) -> tuple[PairPaths, ...]:
    """The undamaged photos of a folder.

    Raises
    ------
    TrainingError
        If there is no such folder, or no photo in it.
    """
    photos = _by_stem(folder)
    if not photos:
        raise TrainingError(f"There are no photos in {folder}. Give a folder of undamaged pictures.")
    return tuple(PairPaths(name, photos[name]) for name in sorted(photos, key=_natural))


def find_restored(folder: Path) -> tuple[PairPaths, ...]:
    """Find the damaged pictures of a folder and the same restored; of two halves, those to learn from.

    Raises
    ------
    TrainingError
        If there is no such folder or layout, or pictures do not pair up.
    """
    half = folder / "train" if (folder / "train").is_dir() else folder
    for pictures, masks in _LAYOUTS:
        if (half / pictures).is_dir() and (half / _CLEAN).is_dir():
            damaged, clean = _by_stem(half / pictures), _by_stem(half / _CLEAN)
            pairs = _pair_up(damaged, clean, half, second="clean picture")
            marked = _by_stem(half / masks) if (half / masks).is_dir() else {}
            if marked:
                _pair_up(damaged, marked, half)
            return tuple(PairPaths(pair.name, pair.picture, marked.get(pair.name), clean[pair.name]) for pair in pairs)
    raise TrainingError(
        f"{folder} holds no restored pictures. Put damaged pictures into {folder / _LAYOUTS[0][0]} "
        f"and the same without damage, under the same names, into {folder / _CLEAN}."
    )


def _find_half(folder: Path) -> tuple[PairPaths, ...]:
    for pictures, masks in _LAYOUTS:
        if (folder / pictures).is_dir():
            return _pair_up(_by_stem(folder / pictures), _by_stem(folder / masks), folder)
    paths = _by_stem(folder)
    masks_beside = {
        name.removesuffix(_MASK_ENDING): path for name, path in paths.items() if name.endswith(_MASK_ENDING)
    }
    pictures_beside = {name: path for name, path in paths.items() if not name.endswith(_MASK_ENDING)}
    if not masks_beside:
        raise TrainingError(
            f"{folder} holds no pairs. Put damaged pictures into {folder / 'images'} "
            f"and masks of the same names into {folder / 'masks'}."
        )
    return _pair_up(pictures_beside, masks_beside, folder)


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise TrainingError(f"There is no folder {folder}. Check the path; pictures and masks lie side by side.")
    paths: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file() or not is_scan_path(path):
            continue
        if path.stem in paths:
            raise TrainingError(f"{paths[path.stem]} and {path} have one name. Rename one, with its mask.")
        paths[path.stem] = path
    return paths


def _pair_up(
    pictures: dict[str, Path], masks: dict[str, Path], folder: Path, second: str = "mask"
) -> tuple[PairPaths, ...]:
    if not pictures:
        raise TrainingError(f"There are no pictures in {folder}. Put damaged pictures and their {second}s there.")
    for alone, kind in ((pictures.keys() - masks.keys(), second), (masks.keys() - pictures.keys(), "picture")):
        if alone:
            raise TrainingError(
                f"{len(alone)} of {len(pictures)} pairs in {folder} have no {kind}: {_list_examples(alone)}. "
                f"Add them, or take the other half away."
            )
    return tuple(PairPaths(name, pictures[name], masks[name]) for name in sorted(pictures, key=_natural))


def _natural(name: str) -> tuple[int, str]:
    """Sort 2 before 10."""
    return (len(name), name) if name.isdigit() else (0, name)


def _list_examples(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:_SHOWN]) + (" ..." if len(listed) > _SHOWN else "")


def read_truth(path: Path, shape: tuple[int, int], mask_level: int | None) -> Truth:
    """Read a true mask.

    Parameters
    ----------
    shape : (height, width)
        The picture's size.
    mask_level : 1..255, optional
        Cut a grey mask here (on an 8-bit scale): at or above it is damage, and every pixel is judged. Unless
        given, the mask must hold 0 (sound), 128 (not judged) and 255 (damage) alone.

    Returns
    -------
    truth : (H, W) uint8
        255 damage, 128 not judged, 0 sound.

    Raises
    ------
    TrainingError
        If it cannot be read, has another size, is coloured, or holds other greys and `mask_level` is not given.
    """
    grey = _eight_bit(_one_channel(read_picture(path), path))
    if grey.shape != shape:
        raise TrainingError(
            f"The mask {path} is {grey.shape[1]} x {grey.shape[0]}, its picture {shape[1]} x {shape[0]} pixels. "
            "A mask has the size of its picture; make it again, or take the pair away."
        )
    if mask_level is not None:
        return np.where(grey >= mask_level, np.uint8(Label.damage), np.uint8(Label.background))
    greys = np.setdiff1d(grey, (Label.background, Label.ignore, Label.damage))
    if greys.size:
        level = 128 if grey.max() >= Label.ignore else max(1, int(grey.max()))
        raise TrainingError(
            f"The mask {path} holds {greys.size} greys besides 0, 128 (not judged) and 255, up to {grey.max()}. "
            f"Say --mask-level {level} to cut grey masks there."
        )
    return grey


def read_picture(path: Path) -> Pixels:
    """The pixels (H, W, C) of a file.

    Raises
    ------
    TrainingError
        If it cannot be read.
    """
    try:
        return read_scan(path).pixels
    except ScanError as error:
        raise TrainingError(f"{path} cannot be used for training: {error}") from error


def _one_channel(pixels: Pixels, path: Path) -> Pixels:
    first = pixels[..., 0]
    if any((pixels[..., i] != first).any() for i in range(1, pixels.shape[2])):
        raise TrainingError(f"The mask {path} is coloured. A mask is grey: save it with one channel.")
    return first


def _eight_bit(grey: Pixels) -> Truth:
    if grey.dtype == np.uint8:
        return grey
    return np.rint(grey.astype(np.float64) * (255 / full_scale(grey.dtype))).clip(0, 255).astype(np.uint8)


class Library:
    """Pairs in memory as far as they fit, read again from disk where they do not.

    Parameters
    ----------
    pairs
        What it lends.
    mask_level
        See :func:`read_truth`.
    megabytes
        How much to keep in memory.
    """

    def __init__(self, pairs: Sequence[PairPaths], mask_level: int | None, megabytes: float = 2000.0) -> None:
        self.pairs = tuple(pairs)
        self.mask_level = mask_level
        self._free_bytes = int(megabytes * 1e6)
        self._cache: dict[int, tuple[Pixels, Truth]] = {}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Pixels, Truth]:
        """Pixels (H, W, C) and truth (H, W) of one pair. Not to be written to.

        Raises
        ------
        TrainingError
            If it cannot be read or the two do not fit.
        """
        if index in self._cache:
            return self._cache[index]
        pair = self.pairs[index]
        pixels = read_picture(pair.picture)
        shape = pixels.shape[:2]
        truth = read_truth(pair.mask, shape, self.mask_level) if pair.mask else np.zeros(shape, np.uint8)
        size = pixels.nbytes + truth.nbytes
        if size <= self._free_bytes:
            self._free_bytes -= size
            self._cache[index] = pixels, truth
        return pixels, truth

    def check(self) -> tuple[float, float]:
        """Read every pair once, so that a bad one is known before training starts.

        Returns
        -------
        coverage, area
            Share of judged pixels that are damaged, 0..1; mean pixels per picture.

        Raises
        ------
        TrainingError
            If a pair does not fit, or no mask marks any damage.
        """
        true = judged = total = 0
        for index in range(len(self)):
            _, truth = self[index]
            true += int((truth == Label.damage).sum())
            judged += int((truth != Label.ignore).sum())
            total += truth.size
        if not true:
            raise TrainingError(
                f"None of the {len(self)} masks marks any damage: they are all black. Damage is 255 (white); "
                "if yours is marked by a small number, cut there with --mask-level 1."
            )
        return true / judged, total / len(self)


def fingerprint(pairs: Iterable[PairPaths], mask_level: int | None, drawn: str = "") -> str:
    """The sha256 of all pairs: names, bytes, how the masks are cut, and the recipe of what is drawn on them."""
    total = hashlib.sha256(f"mask_level={mask_level} {drawn}".encode())
    for pair in pairs:
        total.update(pair.name.encode())
        for path in filter(None, (pair.picture, pair.mask, pair.clean)):
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
