"""How a run over many scans is carried out; what is done to each is in :mod:`redust.core.settings`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from redust.core.settings_base import Settings


def _check_shard(shard: str | None) -> str | None:
    """The share, if there is one of that number."""
    if shard is not None:
        match = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", shard)
        if match is None or int(match[1]) > int(match[2]):
            raise ValueError("a share is I/N, its number and how many there are, such as 2/4")
    return shard


class BatchSettings(Settings):
    """Many scans."""

    workers: Annotated[
        int | None, Field(ge=1, le=1024, description="Scans at a time; by cores and memory unless given.")
    ] = None
    retry_failed: Annotated[bool, Field(description="Try scans again that failed in an earlier run.")] = False
    dry_run: Annotated[bool, Field(description="Only say what would be done, and how long it may take.")] = False
    watch: Annotated[bool, Field(description="Go on with scans as they appear in the folders; Ctrl-C ends.")] = False
    receipts: Annotated[bool, Field(description="Write a receipt beside each result: hashes, settings, weights.")] = (
        False
    )
    premis: Annotated[bool, Field(description="Write a PREMIS 3 document beside each result.")] = False
    roll: Annotated[
        bool,
        Field(description="Compare the frames of one size first; repair also what many of them have at one place."),
    ] = False
    blank: Annotated[
        Path | None,
        Field(description="A blank frame, such as the scanner's bare glass: repair also what it shows, at its place."),
    ] = None
    checksums: Annotated[
        Path | None,
        Field(description="Check each scan against this manifest of `sha256sum` or BagIt before it is worked on."),
    ] = None
    shard: Annotated[
        str | None,
        AfterValidator(_check_shard),
        Field(description="Do share I of N, such as 2/4, the same on every machine."),
    ] = None
    scan_timeout: Annotated[
        float | None, Field(gt=0, description="Stop a scan that takes longer than these seconds; it counts as failed.")
    ] = None
    memory_limit: Annotated[
        int | None, Field(ge=256, description="Megabytes each worker may allocate; a scan that needs more fails.")
    ] = None
    ledger: Annotated[Path | None, Field(description="The folder for the ledger; the output folder unless given.")] = (
        None
    )
    executor: Annotated[str, Field(description="What runs the workers: local, inline, dask, or a plug-in.")] = "local"
    scheduler: Annotated[
        str | None, Field(description="The address of the Dask scheduler, such as tcp://10.0.0.5:8786.")
    ] = None

    @property
    def share(self) -> tuple[int, int] | None:
        """The number of the share and how many there are."""
        if self.shard is None:
            return None
        index, count = self.shard.split("/")
        return int(index), int(count)

    @model_validator(mode="after")
    def _roll_is_complete(self) -> Self:
        if self.roll and self.watch:
            raise ValueError("roll compares all frames before the first is restored, watch waits for more: choose one")
        return self
