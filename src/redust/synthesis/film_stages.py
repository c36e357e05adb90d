"""The stages between a scene and a file, one function each, in the order in which light passes them.

The scene exposes the film (:func:`expose_film`), which has grain (:func:`add_grain`) and marks on it
(:func:`cover_film`); the scanner's optics blur both (:func:`blur_optics`), its sensor adds noise
(:func:`add_sensor_noise`), its program inverts and encodes (:func:`render_positive`), sharpens and shrinks
(:func:`finish_scan`), and the file may be a JPEG (:func:`store_file`).

Transmittances are linear, 0..1, (H, W, 3) float32; a density is the negative decadic logarithm of one.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from redust.core.arrays import LUMA, Light
from redust.synthesis.appearance import GAMMA
from redust.synthesis.film_chain import FilmChain, Mark
from redust.synthesis.painting import Canvas, Coverage, blur_coverage
from redust.synthesis.scanner_simulation import compress_jpeg, sharpen

Transmittance = NDArray[np.float32]

_APERTURE = np.pi * 24.0**2  # square micrometres: RMS granularity is measured through a hole 48 micrometres wide
_DARKEST = np.float32(0.004 ** (1 / GAMMA))  # encoded: a camera's flare lights the darkest by 0.004 of white
_BLACKEST = np.float32(1e-4)
_NOISE_SIDE = 1536


def expose_film(scene: Light, chain: FilmChain) -> Transmittance:
    """The film that a scene leaves: its density is linear in log exposure (Hurter and Driffield, 1890).

    Parameters
    ----------
    scene : (H, W, 3) float32 in 0..1
        Encoded light.

    Returns
    -------
    transmittance : (H, W, 3) float32
        For a print the reflectance. Black-and-white film has three equal channels.
    """
    light = np.repeat((scene @ LUMA)[..., None], 3, axis=2) if chain.monochrome else scene
    exposure = np.maximum(light, _DARKEST)
    if chain.contrast < 0:
        exposure = exposure / _DARKEST  # the darkest leaves the base bare
    return _raise_power(exposure, GAMMA * chain.contrast) * chain.base


def add_grain(transmittance: Transmittance, chain: FilmChain, rng: np.random.Generator) -> Transmittance:
    """Film with its grain, a new array.

    The density of a pixel of area a deviates by granularity / 1000 * sqrt(aperture / a) (E. W. H. Selwyn, A theory of
    graininess, Photographic Journal 75, 1935), more where more is developed; below the size of a cloud it is smooth.
    Dyes of three layers have grain of their own, silver has one; a model of single grains: A. Newson and others, A
    stochastic film grain model for resolution-independent rendering, 2017, doi:10.1111/cgf.13159.
    """
    deviation = chain.granularity / 1000 * np.sqrt(_APERTURE) / chain.pitch * np.log(10.0)
    height, width = transmittance.shape[:2]
    noise = _take_noise((height, width, 1 if chain.monochrome else 3), rng)
    sigma = chain.cloud / 2 / chain.pitch
    if sigma > 0.3:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma), np.float32).reshape(noise.shape)
    # Grain goes by the square root of density; of the base's own and the fog's there is a little everywhere.
    developed = np.sqrt(np.clip(1 - transmittance * np.float32(0.9) / chain.base, 0.05, 1))
    grain = cv2.exp(np.clip(noise * developed * np.float32(-deviation), -2, 2))
    return np.asarray(transmittance * grain, np.float32)


def cover_film(transmittance: Transmittance, mark: Mark, base: NDArray[np.float32]) -> None:
    """Lay one mark over a film, in place: it filters the light, replaces it, or is where the image is gone."""
    rows, columns = _box_of(mark.coverage)
    if rows.stop == 0:
        return
    covered, window = mark.coverage[rows, columns, None], transmittance[rows, columns]
    if mark.torn:
        window += np.float32(mark.torn) * covered * (base - window)
    elif mark.reflects:
        window += covered * (mark.colour - window)
    else:
        window *= 1 - covered * (1 - mark.colour)


def blur_optics(transmittance: Transmittance, sigma: float) -> Transmittance:
    """What lens and sensor resolve: a Gaussian stands for their modulation transfer function."""
    return blur_coverage(transmittance, sigma)


def add_sensor_noise(transmittance: Transmittance, chain: FilmChain, rng: np.random.Generator) -> Transmittance:
    """Noise of reading and of photons (EMVA 1288: its variance is linear in light), a new array."""
    noise = _take_noise(transmittance.shape, rng)
    if chain.monochrome:
        noise = noise[..., :1]
    variance = chain.read_noise**2 + chain.shot_noise**2 * transmittance
    noisy: Transmittance = transmittance + noise * np.sqrt(variance, dtype=np.float32)
    return np.maximum(noisy, _BLACKEST)


def render_positive(transmittance: Transmittance, chain: FilmChain) -> Light:
    """What the scanner's program makes of linear light: inverted, encoded, with black, white and contrast set.

    Returns
    -------
    light : (H, W, 3) float32 in 0..1
        Encoded.
    """
    black, white = chain.levels
    encoded = _encode_light(transmittance, chain)
    light = np.clip((encoded - np.float32(black)) * np.float32(1 / (white - black)), 0, 1)
    curved: Light = light + np.float32(chain.curve) * light * (1 - light) * (2 * light - 1)
    return curved


def _encode_light(transmittance: Transmittance, chain: FilmChain) -> NDArray[np.float32]:
    if not chain.inverted and chain.contrast < 0:  # a negative as it is, orange base and all
        return _raise_power(transmittance, 1 / GAMMA)
    relative: Transmittance = transmittance / chain.base
    if not chain.inverted:
        return _raise_power(relative, 1 / (GAMMA * chain.contrast**0.5))
    return _raise_power(np.maximum(relative, _BLACKEST), 1 / (GAMMA * chain.contrast)) * _DARKEST


def _raise_power(values: NDArray[np.float32], exponent: float) -> NDArray[np.float32]:
    """OpenCV's power, several times as fast as NumPy's."""
    return np.asarray(cv2.pow(values, exponent), np.float32)


def finish_scan(light: Light, chain: FilmChain, size: Canvas) -> Light:
    """Sharpen by an unsharp mask, shrink to `size` (height, width) by areas, sharpen again; in 0..1."""
    if chain.unsharp[1]:
        light = sharpen(light, *chain.unsharp)
    if light.shape[:2] != size:
        light = cv2.resize(light, (size[1], size[0]), interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)
    if chain.unsharp_small[1]:
        light = sharpen(light, *chain.unsharp_small)
    return np.clip(light, 0, 1)


def store_file(light: Light, chain: FilmChain) -> Light:
    """The scan as its file gives it back: through JPEG if the chain has one."""
    return light if chain.quality is None else compress_jpeg(light, chain.quality)


def _box_of(coverage: Coverage) -> tuple[slice, slice]:
    """The rows and columns that hold all coverage; (0, 0) if there is none."""
    left, top, width, height = cv2.boundingRect((coverage > 0.004).astype(np.uint8))
    return slice(top, top + height), slice(left, left + width)


def _take_noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Normal noise of deviation 1 and this shape (H, W, C), cut out of a store at random.

    Drawing it anew would take longer than all other stages together.
    """
    height, width, channels = shape
    if max(height, width) > _NOISE_SIDE:
        return rng.standard_normal(shape, dtype=np.float32)
    store, planes = _noise_store(), []
    for _ in range(channels):
        top, left = rng.integers(_NOISE_SIDE - height + 1), rng.integers(_NOISE_SIDE - width + 1)
        plane = store[top : top + height, left : left + width]
        planes.append(plane[:: int(rng.choice((-1, 1))), :: int(rng.choice((-1, 1)))])
    return np.stack(planes, axis=2)


@cache
def _noise_store() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((_NOISE_SIDE, _NOISE_SIDE), dtype=np.float32)
