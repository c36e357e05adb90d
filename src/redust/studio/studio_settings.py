"""How the studio's server runs; each field is a flag of `redust studio`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from redust.core.settings_base import Settings


class StudioSettings(Settings):
    """The studio's server."""

    detector: Annotated[
        str, Field(description="The detector: a name that `redust models` lists, or a model's folder.")
    ] = "unet"
    host: Annotated[
        str,
        Field(description="Address to listen on. Any other than this machine's own lets in whoever has the token."),
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 for any that is free.")] = 0
    allow_host: Annotated[
        tuple[str, ...],
        Field(description="A name by which browsers may reach the server; may be given several times."),
    ] = ()
    max_upload_gb: Annotated[
        float, Field(ge=0, le=1000, description="Largest upload in gigabytes; 0 refuses uploads.")
    ] = 4.0
    max_megapixels: Annotated[float, Field(gt=0, description="Refuse scans of more megapixels than this.")] = 1000.0
    cache_gb: Annotated[float, Field(gt=0, le=10_000, description="Disk for damage maps, in gigabytes.")] = 20.0
    threads: Annotated[
        int | None, Field(ge=1, le=1024, description="Threads to detect with; all cores but one unless given.")
    ] = None
