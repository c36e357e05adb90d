"""Uploads: streamed to the disk, with a cap on bytes, and on pixels before anything is decoded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from redust.batch.estimate import read_shape
from redust.batch.failures import Failure, catch_failure
from redust.core.atomic import whole_file
from redust.studio.endpoint import describe_refusal, refuse
from redust.studio.records import ScanSummary
from redust.studio.refusals import BadRequest, TooLarge
from redust.studio.studio import Studio

_HEAD_BYTES = 16


async def receive_upload(studio: Studio, request: Request) -> Response:
    """Take a scan's file."""
    limit = int(studio.settings.max_upload_gb * 1e9)
    declared = request.headers.get("content-length", "0")
    if not limit or (declared.isdecimal() and int(declared) > limit):
        return refuse(_too_large(limit))
    stream = request.stream()
    try:
        head = await _read_head(stream)
        path = await run_in_threadpool(
            catch_failure, lambda: studio.library.make_upload_path(_name_of(request), head[:_HEAD_BYTES])
        )
        if isinstance(path, Failure):
            return describe_refusal(path)
        await _write_stream(path, head, stream, limit)
    except TooLarge as error:
        return refuse(error)
    except ClientDisconnect:
        return refuse(BadRequest("The upload was cut. Send the file again."))
    added = await run_in_threadpool(catch_failure, lambda: _add(studio, path))
    if isinstance(added, Failure):
        path.unlink(missing_ok=True)
        path.parent.rmdir()
        return describe_refusal(added)
    return JSONResponse(added.model_dump(mode="json"), 201)


async def _read_head(stream: AsyncIterator[bytes]) -> bytes:
    """The first bytes of a stream, enough to tell a format."""
    head = b""
    async for chunk in stream:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    return head


async def _write_stream(path: Path, head: bytes, stream: AsyncIterator[bytes], limit: int) -> None:
    """Write a stream to a file that appears whole or not at all; its folder goes where it does not."""
    size = len(head)
    try:
        with whole_file(path) as file:
            await run_in_threadpool(file.write, head)
            async for chunk in stream:
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                await run_in_threadpool(file.write, chunk)
    finally:
        if not path.exists():
            path.parent.rmdir()


def _add(studio: Studio, path: Path) -> ScanSummary:
    shape = read_shape(path)
    if shape is not None and shape[0] * shape[1] > studio.settings.max_megapixels * 1e6:
        raise TooLarge(
            f"It has {shape[1]} x {shape[0]} pixels; the limit is {studio.settings.max_megapixels:,.0f} megapixels. "
            "Start the studio with a higher --max-megapixels."
        )
    return studio.summary(studio.library.add_upload(path))


def _name_of(request: Request) -> str:
    return unquote(request.headers.get("x-filename", "scan"))


def _too_large(limit: int) -> TooLarge:
    if not limit:
        return TooLarge("This studio takes no uploads. Start it with a higher --max-upload-gb.")
    return TooLarge(f"The file is larger than {limit / 1e9:g} GB. Start the studio with a higher --max-upload-gb.")
