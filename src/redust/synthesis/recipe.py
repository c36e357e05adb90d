"""The recipe: kinds, frequencies and strengths of synthetic damage, as one TOML file."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from redust.core.settings_base import Settings
from redust.synthesis.negatives import NEGATIVES
from redust.synthesis.shapes import SHAPES

MATERIAL = ("outlines", "overlays", "cracks", "folds", "transplants")
KINDS = (*SHAPES, *MATERIAL)

Weight = Annotated[float, Field(ge=0)]


def _share(default: float, description: str) -> Any:
    return Field(default=default, ge=0, le=1, description=description)


def _kind_weights() -> dict[str, float]:
    return {
        "dust": 5.0,
        "dirt": 2.0,
        "hair-short": 1.6,
        "hair": 1.4,
        "lint": 0.5,
        "scratch": 1.5,
        "tramline": 2.2,
        "crack": 0.8,
        "sprinkle": 0.7,
        "spot": 0.5,
        "stain": 0.3,
        "coffee-ring": 0.05,
        "mould": 0.3,
        "crease": 0.6,
        "missing": 0.3,
        "fingerprint": 0.1,
        "light-leak": 0.0,
        "outlines": 6.0,
        "overlays": 2.0,
        "cracks": 0.6,
        "folds": 0.15,
        "transplants": 2.5,
    }


def _hard_weights() -> dict[str, float]:
    return {
        "lettering": 3.0,
        "stars": 2.0,
        "star-trails": 1.0,
        "wires": 1.2,
        "highlights": 0.7,
        "strands": 1.0,
        "stalks": 0.5,
        "bristles": 0.6,
        "frame-edge": 0.4,
        "catchlights": 0.3,
        "window-bars": 0.3,
        "court-lines": 0.2,
        "raindrops": 0.15,
    }


class Recipe(Settings):
    """Settings of the synthesizer. The defaults follow a census of real damage, with rare kinds overrepresented."""

    clean: float = _share(0.22, "Share of pictures without damage, from which a network learns to mark nothing.")
    negatives: float = _share(0.30, "Share of pictures with a hard negative: an object that resembles damage.")
    layers: Annotated[int, Field(ge=1, le=12, description="At most this many layers of damage on one picture.")] = 4
    scale_low: Annotated[
        float, Field(gt=0, le=8, description="Least resolution, in pixels per 7 micrometres (1 = 3,600 dpi).")
    ] = 0.22
    scale_high: Annotated[float, Field(gt=0, le=8, description="Greatest resolution, in the same unit.")] = 1.7
    opacity_low: float = _share(0.15, "Least opacity: how much of the light damage hides where it is densest.")
    opacity_high: float = _share(1.0, "Greatest opacity; most damage lies near it.")
    bright: float = _share(0.58, "Share of dust, hairs and scratches that are brighter than the film (negatives).")
    faint: float = _share(0.15, "Share of specks and stains of much lower opacity.")
    translucent: float = _share(
        0.0,
        "Share of layers whose opacity is uniform between the least and the greatest, not near the greatest.",
    )
    dense: float = _share(
        0.0,
        "Share of dark dust, hairs and scratches that transmit next to no light.",
    )
    covering: float = _share(
        0.0,
        "Share of dark dust, hairs and scratches that replace the picture by their own dark, as on a print, and "
        "do not multiply its light.",
    )
    defocus: float = _share(
        0.0, "Share of layers out of focus: blurred by 1 to 3 pixels (sigma) at scale 1, as on glass or a sleeve."
    )
    relief: float = _share(
        0.10, "Share of dust, hairs and scratches in relief: one flank bright, the opposite one dark."
    )
    rim: Annotated[
        float, Field(ge=0, le=8, description="Blur edges of damage by up to this many pixels (sigma) more.")
    ] = 0.0
    optics: Annotated[
        float,
        Field(
            ge=0,
            le=8,
            description="Blur all damage of a picture by up to this many pixels (sigma), as a scanner's lens does, but "
            "not the scene: so that sharpness does not give damage away.",
        ),
    ] = 0.0
    barely: Annotated[
        float,
        Field(ge=0, le=255, description="Spots of less contrast, in 8-bit steps, are ignored (128 in the mask)."),
    ] = 3.0
    against_texture: Annotated[
        float,
        Field(
            ge=0,
            le=10,
            description="Spots that change the picture by less than this many local standard deviations (over 17 "
            "pixels) are ignored too; 0 turns this off.",
        ),
    ] = 0.0
    margin: Annotated[
        int, Field(ge=0, le=16, description="Dilate the masks by this many pixels: damage changes its surroundings.")
    ] = 0
    black_and_white: float = _share(0.336, "Share of pictures in black and white.")
    sepia: float = _share(0.084, "Share of pictures toned brown.")
    cast: float = _share(0.18, "Share of colour pictures with a colour cast, of all pictures.")
    fading: float = _share(0.30, "Share of pictures with faded blacks and whites.")
    negative: float = _share(0.08, "Share of pictures that are negatives.")
    blur: float = _share(0.35, "Share of pictures blurred by a lens (before the damage).")
    halftone: float = _share(0.05, "Share of pictures printed as halftone.")
    grain: float = _share(0.65, "Share of pictures with film grain.")
    soft_scan: float = _share(0.20, "Share of pictures blurred by the scanner, with their damage.")
    sharpened: float = _share(0.12, "Share of pictures sharpened by the scanner software, with their damage.")
    noise: float = _share(0.50, "Share of pictures with scanner noise.")
    jpeg: float = _share(0.25, "Share of pictures compressed as JPEG.")
    kinds: dict[str, Weight] = Field(
        default_factory=_kind_weights,
        description="Weights of the kinds of damage. Kinds that are not listed are not drawn; "
        f"{', '.join(MATERIAL)} only where there is material.",
    )
    hard: dict[str, Weight] = Field(default_factory=_hard_weights, description="Weights of the hard negatives.")

    @field_validator("kinds")
    @classmethod
    def _check_kinds(cls, weights: dict[str, float]) -> dict[str, float]:
        return _check_weights(weights, KINDS)

    @field_validator("hard")
    @classmethod
    def _check_negatives(cls, weights: dict[str, float]) -> dict[str, float]:
        return _check_weights(weights, tuple(NEGATIVES))

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        for low, high in (("scale_low", "scale_high"), ("opacity_low", "opacity_high")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} ({getattr(self, low):g}) is above {high} ({getattr(self, high):g})")
        for names in (("black_and_white", "sepia", "cast"), ("soft_scan", "sharpened")):
            if sum(getattr(self, name) for name in names) > 1 + 1e-9:
                raise ValueError(f"the shares {', '.join(names)} add up to more than 1")
        return self

    def to_toml(self) -> str:
        """This recipe as TOML text that :meth:`from_preset` reads."""
        plain, tables = [], []
        for name, value in self.model_dump().items():
            note = "\n".join(
                textwrap.wrap(f"# {type(self).model_fields[name].description}", 100, subsequent_indent="# ")
            )
            if isinstance(value, dict):
                rows = "".join(f"{_toml_key(kind)} = {_toml_number(weight)}\n" for kind, weight in value.items())
                tables.append(f"\n{note}\n[{name}]\n{rows}")
            else:
                plain.append(f"{note}\n{name} = {_toml_number(value)}\n")
        return "".join(plain + tables)

    def write(self, path: Path) -> None:
        """Write :meth:`to_toml` to a new file, whole or not at all.

        Raises
        ------
        TargetError
            If the file exists already, or the folder is not writable.
        """
        from redust.files import whole_file

        with whole_file(path) as file:
            file.write(self.to_toml().encode())


def _check_weights(weights: dict[str, float], known: tuple[str, ...]) -> dict[str, float]:
    """The weights, if every name is known and one is above 0."""
    if unknown := sorted(set(weights) - set(known)):
        raise ValueError(f"there is no kind {', '.join(unknown)}; the kinds are {', '.join(known)}")
    if not sum(weights.values()) > 0:
        raise ValueError("no kind has a weight above 0; set the share to 0 instead to draw none")
    return weights


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'


def _toml_number(value: float | int) -> str:
    return repr(value)
