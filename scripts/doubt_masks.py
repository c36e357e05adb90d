"""Take out of masks what a trained model does not believe: doubtful places become "not judged".

    python scripts/doubt_masks.py SCANS -o DOUBTED [--detector unet] [--least 0.2] [--most 0.5]

SCANS holds scans with masks, in any layout that `redust train --data` reads. Masks that were derived, from other
separations of the same scene or by a difference of two scans, count shadows, coloured cloth and edges as damage here
and there. A damaged spot (255) becomes not judged (128) where the model gives no pixel of it a chance of `least`; so
does a region from `most` on that lies in what the mask calls sound. DOUBTED holds the same scans and the new masks,
NAME.jpg beside NAME_mask.png; scans without a mask, and a test half, are left out. A network that has learnt from
noisy masks is the better judge: what most examples have in common it learns first (Arpit et al., A Closer Look at
Memorization in Deep Networks, 2017, doi:10.48550/arXiv.1706.05394).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

import new_masks
import plainly
from new_masks import Target
from redust.core.arrays import DamageMap, Mask
from redust.detectors import make_detector
from redust.detectors.running import find_damage
from redust.training.pairs import find_splits
from redust.training.synthesis.synthesizer import DAMAGE, SOUND, UNJUDGED

NEAR = 5  # pixels across: what lies so near to a spot is its rim


def doubted(truth: Target, damage: DamageMap, least: float, most: float) -> Target:
    """A mask without its doubtful places.

    Parameters
    ----------
    truth : (H, W) uint8
        255 damage, 128 not judged, 0 sound.
    damage : (H, W) float32 in 0..1
    """
    found = truth.copy()
    damaged, sure = truth == DAMAGE, damage >= most
    found[damaged & (shares(damaged, damage >= least) == 0)] = UNJUDGED
    sound = cv2.dilate(truth, np.ones((NEAR, NEAR), np.uint8)) == SOUND
    found[sure & (truth == SOUND) & (shares(sure, sound) >= 0.5)] = UNJUDGED
    return found


def shares(spots: Mask, other: Mask) -> NDArray[np.float64]:
    """For each pixel, (H, W), the share of its spot that another mask marks; for those of no spot it says nothing."""
    count, labels = cv2.connectedComponents(spots.astype(np.uint8), connectivity=8)
    sizes, marked = (np.bincount(labels.ravel(), weights, count) for weights in (None, other.ravel()))
    return (marked / np.maximum(sizes, 1))[labels]


def main() -> None:
    """Write the masks, and print how much of each was doubted."""
    options = new_masks.arguments(__doc__, least=0.2, most=0.5)
    detector = make_detector(options.detector)
    for pair in find_splits(options.scans).train:
        if pair.mask is None:
            continue
        pixels, truth = new_masks.read(pair)
        found = doubted(truth, find_damage(detector, pixels), options.least, options.most)
        new_masks.write(pair, found, options.output)
        damage, sound = (int(((truth == one) & (found != one)).sum()) for one in (DAMAGE, SOUND))
        print(f"{pair.name}: doubted {damage} of {int((truth == DAMAGE).sum())} damaged pixels, {sound} sound ones")


if __name__ == "__main__":
    plainly.run(main)
