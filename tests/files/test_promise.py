"""Promise 1 through files: outside the mask, every lossless pair of formats is bit-identical."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from golden import picture
from redust.core.composite import composite
from redust.core.scan import Scan
from redust.files import largest_change_outside, read_scan, write_scan

HOLDS = {
    ".tif": ("uint8", "uint16", "float32"),
    ".png": ("uint8", "uint16"),
    ".webp": ("uint8",),
    ".jp2": ("uint8", "uint16"),
}


@given(data=st.data())
def test_only_masked_pixels_differ(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    source, target = data.draw(st.sampled_from(sorted(HOLDS))), data.draw(st.sampled_from(sorted(HOLDS)))
    dtype = data.draw(st.sampled_from([dtype for dtype in HOLDS[source] if dtype in HOLDS[target]]))
    channels = 3 if ".webp" in (source, target) else data.draw(st.sampled_from([1, 3]))
    seed = data.draw(st.integers(0, 99))
    folder = tmp_path_factory.mktemp("promise")
    pixels = picture(channels, dtype, seed=seed)
    alpha = picture(1, dtype, seed=seed + 1)[..., 0] if data.draw(st.booleans()) else None
    write_scan(Scan(pixels, alpha=alpha), folder / f"in{source}")
    scan = read_scan(folder / f"in{source}")

    mask = np.random.default_rng(seed).random(scan.shape) < 0.1
    repaired = scan.pixels.copy()
    composite(repaired, picture(channels, dtype, seed=seed + 2), mask)
    write_scan(scan.with_pixels(repaired), folder / f"out{target}")

    written = read_scan(folder / f"out{target}")
    assert_array_equal(written.pixels, repaired)
    assert_array_equal(written.pixels[~mask], pixels[~mask])
    assert (written.alpha is None) == (alpha is None)
    assert alpha is None or (written.alpha == alpha).all()
    assert largest_change_outside(scan.pixels, folder / f"out{target}", mask) == 0


@pytest.mark.parametrize("quality", [60, 90, 100])
def test_the_change_a_jpeg_makes_is_measured_outside_the_mask_only(tmp_path: Path, quality: int) -> None:
    from PIL import Image

    Image.fromarray(picture()).save(tmp_path / "in.jpg", quality=quality)
    scan = read_scan(tmp_path / "in.jpg")
    mask = np.zeros(scan.shape, bool)
    mask[8:16, 16:32] = True
    repaired = scan.pixels.copy()
    repaired[mask] = 255 - repaired[mask]
    write_scan(scan.with_pixels(repaired), tmp_path / "out.jpg")
    written = read_scan(tmp_path / "out.jpg").pixels.astype(int)
    change = np.abs(written - scan.pixels)
    assert largest_change_outside(scan.pixels, tmp_path / "out.jpg", mask) == change[~mask].max()
    assert change[mask].max() > change[~mask].max()


def test_a_change_of_depth_is_measured_at_the_written_depth(tmp_path: Path) -> None:
    pixels = picture(1, np.uint16)
    write_scan(Scan(pixels), tmp_path / "out.webp", allow_loss=True)
    mask = np.zeros(pixels.shape[:2], bool)
    assert largest_change_outside(pixels, tmp_path / "out.webp", mask) == 0


def test_the_measured_file_must_be_of_the_scans_size(tmp_path: Path) -> None:
    from redust.core.errors import TargetError

    write_scan(Scan(picture()[:-1]), tmp_path / "out.png")
    with pytest.raises(TargetError, match="another size"):
        largest_change_outside(picture(), tmp_path / "out.png", np.zeros(picture().shape[:2], bool))
