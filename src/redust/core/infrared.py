"""A picture's infrared plane, as far as it serves detection: the light itself, and where it was measured."""

from __future__ import annotations

from dataclasses import dataclass

from redust.core.arrays import Mask, Plane


@dataclass(frozen=True, eq=False)
class InfraredPlane:
    """The infrared light that came through a picture.

    Parameters
    ----------
    plane : (h, w) uint8, uint16 or float32
        It may be of another size and depth than the picture; both show the same area.
    source
        Where it came from, as messages and reports call it, such as ``"its fourth channel"``.
    red : (h, w) uint8, uint16 or float32, optional
        Red, or grey, light of the scan that the plane belongs to, where that is another file than the picture.
    valid : (h, w) bool, optional
        Where the plane was measured; everywhere unless given.
    """

    plane: Plane
    source: str
    red: Plane | None = None
    valid: Mask | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.plane.shape[0], self.plane.shape[1]
