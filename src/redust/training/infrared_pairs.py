"""Training pairs of scans with infrared: what infrared proves is the true mask, what it leaves open is not judged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from redust.core.atomic import make_folder
from redust.core.errors import RedustError, TrainingError
from redust.core.labels import Label, Truth
from redust.core.scan import Scan
from redust.core.tiles import tiles
from redust.detectors.infrared import InfraredDetector
from redust.detectors.infrared_evidence import InfraredEvidence, measure_infrared
from redust.detectors.run_detector import iter_damage_tiles
from redust.files import is_scan_path, read_scan, write_scan
from redust.files.infrared import find_infrared, is_infrared_path

_LOG = logging.getLogger(__name__)
_UNCERTAIN = 0.4  # of the threshold that proves damage: fainter counts as sound


def write_infrared_pairs(folder: Path, target: Path) -> Path:
    """Turn a folder of scans with infrared into pairs of pictures and masks.

    A scan without infrared, or whose infrared shows the picture, is left out with a warning; so is one that cannot be
    read. Pairs that are there already are kept.

    Parameters
    ----------
    folder
        Scans, with their infrared inside or beside them.
    target
        Gets ``images/`` and ``masks/``, as :func:`redust.files.pairs.find_splits` takes them.

    Returns
    -------
    target : Path

    Raises
    ------
    TrainingError
        If there is no folder, or no scan with infrared that can tell.
    """
    if not folder.is_dir():
        raise TrainingError(f"There is no folder {folder}. Give the folder that holds scans with infrared.")
    for name in ("images", "masks"):
        make_folder(target / name)
    if not sum(_write_pair(path, target) for path in _list_scans(folder)):
        raise TrainingError(
            f"No scan in {folder} has infrared that tells dust. Put scans of colour film there, with a fourth channel, "
            "an infrared page, or a file such as scan_IR.tif beside each."
        )
    return target


def _list_scans(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and is_scan_path(path) and not path.name.startswith(".") and not is_infrared_path(path):
            yield path


def _write_pair(path: Path, target: Path) -> bool:
    """Write one pair; whether there is one now."""
    picture, mask = target / "images" / f"{path.name}.tif", target / "masks" / f"{path.name}.png"
    if picture.exists() and mask.exists():
        return True
    try:
        scan = read_scan(path)
        infrared = find_infrared(scan)
    except RedustError as error:
        _LOG.warning("%s is left out: %s", path, error)
        return False
    if infrared is None:
        _LOG.warning("%s has no infrared and is left out.", path)
        return False
    evidence = measure_infrared(scan.pixels, infrared)
    if evidence.refusal:
        _LOG.warning("%s is left out: %s", path, evidence.refusal)
        return False
    truth = mark_truth(scan, evidence)
    write_scan(Scan(scan.pixels), picture, overwrite=True)
    write_scan(Scan(truth[..., None]), mask, overwrite=True)
    return True


def mark_truth(scan: Scan, evidence: InfraredEvidence) -> Truth:
    """The true mask by infrared.

    Returns
    -------
    truth : (H, W) uint8
        255 where damage is proven, 128 where infrared shows more than noise but no proof, or nothing is known, else 0.
    """
    truth = np.full(scan.shape, np.uint8(Label.background), np.uint8)
    for tile in tiles(scan.shape, 1024):
        deviation = evidence.deviation[tile.core]
        truth[tile.core][~(deviation < np.float16(_UNCERTAIN * evidence.threshold))] = Label.ignore
    detector = InfraredDetector()
    for rectangle, damage in iter_damage_tiles(detector, scan.pixels, infrared=evidence.channel):
        truth[rectangle][damage >= np.float32(detector.spec.level)] = Label.damage
    return truth
