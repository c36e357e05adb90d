"""How good a restored picture is, in decibels, and how much harm it does."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import nn

from redust.core.arrays import Light, Mask
from redust.training.generative.samples import Sample

LEVELS = (0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16)
USUAL_LEVEL = 0.04
_FLOOR = 1e-6  # mean square: 60 dB, more than eye or 8 bit can tell

Figures = dict[str, float]


@torch.no_grad()
def answer(network: nn.Module, given: Light) -> Light:
    """What a network in memory gives for a whole sample: (H, W, C) to (H, W, 3) float32."""
    weight = next(network.parameters())
    training = network.training
    network.eval()
    batch = torch.from_numpy(np.ascontiguousarray(given.transpose(2, 0, 1)))[None].to(weight.device)
    made = network(batch.contiguous(memory_format=torch.channels_last)).float()[0].cpu().numpy()
    network.train(training)
    return np.asarray(np.clip(made.transpose(1, 2, 0), 0.0, 1.0))


def decibels(light: Light, clean: Light, where: Mask | None = None) -> float:
    """PSNR of light in 0..1, of the pixels `where` alone if given; at most 60."""
    square = np.square(light.astype(np.float64) - clean)
    mean = float((square if where is None else square[where]).mean())
    return float(-10 * np.log10(max(mean, _FLOOR)))


def implied(given: Light, made: Light, level: float) -> Mask:
    """Where a blind answer is meant, as restoring decides it: changed enough, no single pixels, grown by one.

    Parameters
    ----------
    given, made : (H, W, 3) float32 in 0..1
    level : 0..1
        The least change of light.

    Returns
    -------
    mask : (H, W) bool
    """
    changed = (np.abs(made - given).max(axis=2) >= np.float32(level)).astype(np.uint8)
    neighbours = cv2.filter2D(changed, -1, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT)
    kept = changed & (neighbours > 1)
    return cv2.dilate(kept, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))).astype(np.bool_)


def fill_figures(sample: Sample, made: Light) -> Figures:
    """`inside` the mask, and by how much that is better than the fill it began with (`gain`), in dB."""
    if not sample.where.any():  # all of its holes lay over damage
        return {}
    inside = decibels(made, sample.clean, sample.where)
    return {"inside": inside, "gain": inside - decibels(sample.light, sample.clean, sample.where)}


def blind_figures(sample: Sample, made: Light, level: float) -> Figures:
    """The `gain` of the whole picture and of what is `inside` in dB, and `harm_ppm`: sound pixels that are changed."""
    mask = implied(sample.light, made, level)
    restored = np.where(mask[..., None], made, sample.light)
    figures = {
        "gain": decibels(restored, sample.clean) - decibels(sample.light, sample.clean),
        "harm_ppm": 1e6 * float((mask & ~sample.where).sum()) / max(int((~sample.where).sum()), 1),
    }
    if sample.where.any():
        figures["inside"] = decibels(restored, sample.clean, sample.where)
    return figures


def mean_figures(rows: Sequence[Figures]) -> Figures:
    """The mean of each figure over the pictures that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
