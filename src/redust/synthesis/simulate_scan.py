"""A damaged film as its file shows it, and what of it is damaged."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import Light, Mask
from redust.core.labels import Label, Truth
from redust.synthesis.appearance import GAMMA
from redust.synthesis.film_chain import FilmChain, Mark
from redust.synthesis.film_stages import (
    Transmittance,
    add_grain,
    add_sensor_noise,
    blur_optics,
    cover_film,
    expose_film,
    finish_scan,
    render_positive,
    store_file,
)
from redust.synthesis.painting import Canvas, blur_coverage

_BARE = np.full(3, 3.0, np.float32)  # times as much light passes where the emulsion is gone, about
_DARKEST_CHANGED = np.float32(0.02)  # encoded: blacker than that nothing can be brightened
_UNCHANGED = 0.004
_NOISE_AREA = 15  # pixels across within which the local noise is measured
_VISIBLE, _RIM = 0.35, 0.12  # of a mark's peak change: what counts as damaged, and what is not judged
_FAINTEST_RIM = 3 / 255


def simulate_scan(
    scene: Light, marks: Sequence[Mark], chain: FilmChain, rng: np.random.Generator
) -> tuple[Light, Truth]:
    """A file of a damaged film, and what of it is damaged.

    Parameters
    ----------
    scene : (H, W, 3) float32 in 0..1
        Undamaged, as large as the scan before it is shrunk; see :meth:`FilmChain.scan_side`.
    marks
        On the film, of the same size.

    Returns
    -------
    light : (h, w, 3) float32 in 0..1
        Shrunk by ``chain.shrink``.
    truth : (h, w) uint8
        By how far damage changed the file: see :func:`label_change`.
    """
    size = _file_size(scene, chain)
    sound = add_grain(expose_film(scene, chain), chain, rng)
    state = int(rng.integers(2**63))
    clean = _scan_film(sound, chain, size, state)
    if not marks:
        return store_file(clean, chain), np.zeros(size, np.uint8)
    film = sound.copy()
    for mark in marks:
        cover_film(film, mark, chain.base)
    damaged = _scan_film(film, chain, size, state)
    return store_file(damaged, chain), label_change(damaged, clean)


def damage_scan(light: Light, marks: Sequence[Mark], chain: FilmChain) -> tuple[Light, Truth]:
    """A real scan with marks drawn on it as if they had lain on its film, through the rest of the chain.

    The scan has its grain and its optics already: marks alone are blurred, and light changes by what the mark's
    change of transmittance is worth in a positive of the chain's contrast.

    Parameters
    ----------
    light : (H, W, 3) float32 in 0..1
        Encoded, undamaged or with known damage; not changed.

    Returns
    -------
    light, truth
        As :func:`simulate_scan`; `truth` tells of the drawn marks alone.
    """
    factor = _change_of_light(marks, chain, (light.shape[0], light.shape[1]))
    brightest = np.float32(min(1.0, float(light.max()) + 0.02))
    drawn = np.minimum(np.maximum(light, _DARKEST_CHANGED) * factor, brightest)
    drawn = np.where(np.abs(factor - 1) < _UNCHANGED, light, drawn)
    size = _file_size(light, chain)
    damaged, clean = finish_scan(drawn, chain, size), finish_scan(light, chain, size)
    return store_file(damaged, chain), label_change(damaged, clean)


def _change_of_light(marks: Sequence[Mark], chain: FilmChain, canvas: Canvas) -> NDArray[np.float32]:
    """The factor on encoded light (H, W, 3) of marks on a film whose own density is not known."""
    film = np.ones((*canvas, 3), np.float32)
    for mark in marks:
        cover_film(film, mark, _BARE)
    slope = 1 / (GAMMA * (chain.contrast if chain.inverted else 1.0))
    film = np.maximum(blur_coverage(film, chain.mtf_sigma), np.float32(1e-3))
    return np.asarray(cv2.pow(film, slope), np.float32)


def _file_size(scan: Light, chain: FilmChain) -> Canvas:
    """Height and width of a scan when it is shrunk."""
    return round(scan.shape[0] / chain.shrink), round(scan.shape[1] / chain.shrink)


def label_change(damaged: Light, clean: Light) -> Truth:
    """Label pixels by how far damage changed them, both (H, W, 3) of the same noise.

    A pixel is damaged from 0.35 of the peak of the change around it on, not judged from 0.12 on. Not judged either are
    regions that changed too little to be visible in the local noise: the mean of n pixels is certain to
    noise / sqrt(n).
    """
    change = np.abs(damaged - clean).max(axis=2)
    peak = cv2.dilate(change, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    marked = (change >= _VISIBLE * peak) & (change >= 2 * _FAINTEST_RIM)
    rim = (change >= _RIM * peak) & (change >= _FAINTEST_RIM)
    truth = np.where(rim, np.uint8(Label.ignore), np.uint8(Label.background))
    truth[marked & ~_find_hidden(marked, change, clean)] = Label.damage
    return truth


def _find_hidden(marked: Mask, change: NDArray[np.float32], clean: Light) -> Mask:
    """The regions of `marked` whose change is lost in the noise of what lies under them."""
    count, labels = cv2.connectedComponents(marked.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(marked)
    grey = clean.mean(axis=2)
    noise = cv2.blur(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.5)), (_NOISE_AREA, _NOISE_AREA))
    flat = labels.ravel()
    area = np.bincount(flat, minlength=count)
    contrast = np.bincount(flat, change.ravel(), count) / area
    floor = np.bincount(flat, noise.ravel(), count) / area
    lost = (contrast < 8 / 255) | (contrast < floor * (1.2 + 4.0 / np.sqrt(area)))
    lost[0] = False
    return np.asarray(lost[labels])


def _scan_film(film: Transmittance, chain: FilmChain, size: Canvas, state: int) -> Light:
    """What the scanner and its program make of a film; `state` seeds the noise."""
    noisy = add_sensor_noise(blur_optics(film, chain.mtf_sigma), chain, np.random.default_rng(state))
    return finish_scan(render_positive(noisy, chain), chain, size)
