"""What the HTTP API takes and answers, as data. The OpenAPI description is made from these classes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from redust.core.settings import DamageClass, Polarity

Coordinate: TypeAlias = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Point: TypeAlias = Annotated[tuple[Coordinate, Coordinate], Field(description="x right, y down, in pixels.")]
Points: TypeAlias = Annotated[list[Point], Field(min_length=1, max_length=20_000)]
Pixel: TypeAlias = Annotated[int, Field(ge=0, le=1_000_000)]
Side: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
Box: TypeAlias = Annotated[tuple[Pixel, Pixel, Side, Side], Field(description="x, y, width, height, in pixels.")]
Radius: TypeAlias = Annotated[float, Field(gt=0, le=2000, allow_inf_nan=False)]
Identifier: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScanStatus(StrEnum):
    """How far a person has come with a scan."""

    new = "new"
    detecting = "detecting"
    detected = "detected"
    corrected = "corrected"
    accepted = "accepted"
    rejected = "rejected"
    exported = "exported"
    failed = "failed"


class ScanChoices(_Record):
    """How one scan is decided, filled and shown."""

    sensitivity: Annotated[
        float, Field(ge=0, le=1, description="Slider: 0 shy, 0.5 the model's normal level, 1 eager.")
    ] = 0.5
    grow: Annotated[int, Field(ge=0, le=64, description="Dilate the mask by this many pixels.")] = 2
    min_size: Annotated[int | None, Field(ge=1, le=10**9, description="Ignore smaller regions.")] = None
    max_size: Annotated[int | None, Field(ge=1, le=10**9, description="Ignore larger regions.")] = None
    classes: Annotated[
        tuple[DamageClass, ...], Field(min_length=1, max_length=5, description="Classes that are repaired.")
    ] = tuple(DamageClass)
    polarity: Polarity = Polarity.both
    fill: Annotated[str, Field(max_length=100, description="One of `fills` of /api/settings.")] = "kriging"
    grain: Annotated[bool, Field(description="Whether filled pixels get the grain of their surroundings.")] = True
    exposure: Annotated[float, Field(ge=-10, le=10, description="Of what is shown, in EV.")] = 0.0
    gamma: Annotated[float, Field(ge=0.2, le=5, description="Of what is shown.")] = 1.0
    invert: Annotated[bool, Field(description="Show a negative as a positive.")] = False


class ScanSummary(_Record):
    """A scan in a list."""

    id: str
    name: str
    folder: str
    width: int | None
    height: int | None
    bits: int | None
    channels: int | None
    state: ScanStatus
    coverage: float | None
    regions: int | None
    revision: int
    error: str | None


class History(_Record):
    """How many edits can be undone and redone."""

    undo: int
    redo: int


class ScanDetail(ScanSummary):
    """A scan by itself."""

    settings: ScanChoices
    history: History
    level: float | None
    counts: dict[str, int]
    orientation: int
    has_restored: bool
    max_level: int | None
    tile_size: int
    message: str | None


class ScanPage(_Record):
    """Some of all scans."""

    total: int
    scans: list[ScanSummary]


class RegionState(StrEnum):
    """What becomes of a region."""

    marked = "kept"
    dropped = "dropped"
    by_hand = "by_hand"
    protected = "protected"


class RegionRecord(_Record):
    """One region of damage."""

    model_config = ConfigDict(populate_by_name=True)

    id: str
    damage_class: Annotated[str, Field(alias="class")]
    area: int
    box: tuple[int, int, int, int]
    point: tuple[int, int]
    confidence: Annotated[float, Field(description="Share of the slider's positions that mark it; 1 by hand.")]
    state: RegionState


class RegionPage(_Record):
    """Some of a scan's regions."""

    total: int
    regions: list[RegionRecord]
    counts: dict[str, int]
    coverage: float | None


class JobState(StrEnum):
    """The state of a job."""

    queued = "queued"
    running = "running"
    done = "done"
    failed = "failed"
    cancelled = "cancelled"


class JobRecord(_Record):
    """Work that takes a while."""

    id: str
    kind: str
    scan: str | None
    state: JobState
    progress: float
    step: str
    message: str | None
    result: dict[str, Any] | None


class JobList(_Record):
    """All jobs that are known."""

    jobs: list[JobRecord]


class Tool(StrEnum):
    """What a stroke does."""

    brush = "brush"
    erase = "erase"
    protect = "protect"


class Stroke(_Record):
    """A round brush along a line."""

    kind: Literal["stroke"]
    tool: Tool
    points: Points
    radius: Radius


class Polygon(_Record):
    """A filled polygon."""

    kind: Literal["polygon"]
    tool: Tool
    points: Annotated[list[Point], Field(min_length=3, max_length=20_000)]


class Unprotect(_Record):
    """A round brush that removes protection."""

    kind: Literal["unprotect"]
    points: Points
    radius: Radius


class RegionToggle(_Record):
    """Drop the region under a point, or bring it back."""

    kind: Literal["region"]
    x: Coordinate
    y: Coordinate


class Scratch(_Record):
    """Mark a scratch along the cheapest path between two points."""

    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["scratch"]
    start: Annotated[Point, Field(alias="from")]
    end: Annotated[Point, Field(alias="to")]
    width: Annotated[float, Field(gt=0, le=200, allow_inf_nan=False)] = 3.0


class Boost(_Record):
    """Lower the level inside a box until something new is marked."""

    kind: Literal["boost"]
    box: Box


class Clear(_Record):
    """Take all corrections back."""

    kind: Literal["clear"]


Edit: TypeAlias = Annotated[
    Stroke | Polygon | Unprotect | RegionToggle | Scratch | Boost | Clear, Field(discriminator="kind")
]


class EditResult(_Record):
    """What an edit has changed."""

    revision: int
    dirty: list[tuple[int, int, int, int]]
    history: History
    coverage: float | None
    regions: int | None
    message: str | None


class StudioFacts(_Record):
    """What can be chosen."""

    fills: list[str]
    detectors: list[str]
    classes: list[str]
    sensitivities: list[str]
    defaults: ScanChoices
    output: str
    can_upload: bool
    pixel_cap: int
    upload_cap: int
    max_repair_pixels: int
    detector: str
    taught: bool


class Health(_Record):
    """Whether the server answers."""

    status: Literal["ok"]
    version: str


class ErrorRecord(_Record):
    """Why a request was refused, and what to do."""

    error: str
    code: str


class RepairBox(_Record):
    """What to repair at once; at most 4 megapixels."""

    box: Box


class Revision(_Record):
    """The scan's revision."""

    revision: int


class ExportRequest(_Record):
    """Where the result goes: always into the output folder."""

    download: bool = False


class StateRequest(_Record):
    """A person's decision about a scan."""

    state: Literal["accepted", "detected", "rejected"]


ScanList: TypeAlias = Annotated[list[Identifier], Field(min_length=1, max_length=100_000)]


class CopyRequest(_Record):
    """Copy one scan's choices to others."""

    model_config = ConfigDict(populate_by_name=True)

    source: Annotated[Identifier, Field(alias="from")]
    targets: Annotated[ScanList | Literal["all"], Field(alias="to")]


class ExportAllRequest(_Record):
    """Scans to export."""

    scans: ScanList | Literal["all", "accepted"]


class PairsRequest(_Record):
    """Scans to write as training pairs."""

    scans: ScanList | Literal["accepted"]


class TeachRequest(_Record):
    """Scans whose corrections teach."""

    scans: ScanList | Literal["corrected"]


class ModelName(_Record):
    """A name for a taught model."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class ModelPath(_Record):
    """A model folder, relative to the output folder."""

    path: str


class ChangeCount(_Record):
    """How many scans have changed."""

    changed: int
