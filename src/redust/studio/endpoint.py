"""One endpoint of the HTTP API: what it takes, what it answers, and how a request becomes a call.

Routes and the OpenAPI description are both made from the same list of these.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from redust.batch.failures import Failure, catch_failure
from redust.core.settings_base import explain
from redust.studio.records import ErrorRecord
from redust.studio.refusals import BadRequest, TooLarge, status_of
from redust.studio.studio import Studio

MAX_JSON_BYTES = 4 * 2**20
JSON = "application/json"

Handler: TypeAlias = Callable[["Call"], Any]


@dataclass(frozen=True)
class Call:
    """A request that was checked.

    Parameters
    ----------
    studio
        The studio.
    path
        Parameters of the path.
    query
        Checked parameters of the query; None where the endpoint takes none.
    body
        Checked JSON, or raw bytes where the endpoint takes those.
    request
        The request itself.
    """

    studio: Studio
    path: Mapping[str, Any]
    query: Any
    body: Any
    request: Request

    @property
    def scan_id(self) -> str:
        """The scan in the path."""
        return str(self.path["scan_id"])


@dataclass(frozen=True)
class Endpoint:
    """An endpoint.

    Parameters
    ----------
    method, path
        Path parameters as Starlette writes them, such as ``{level:int}``.
    handle
        Called in a thread; its answer is a record, or a response as it is.
    summary
        One sentence for the description.
    body
        What the JSON of the request must be; ``bytes`` for raw bytes.
    query
        The class of its query parameters.
    answer
        The class of the answer, or its media type.
    status
        Of the answer.
    errors
        Statuses of refusals beside 400, 401 and 403.
    stream
        Takes the place of `handle` for what reads or writes a stream.
    """

    method: str
    path: str
    handle: Handler | None
    summary: str
    body: Any = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | str = JSON
    status: int = 200
    errors: tuple[int, ...] = ()
    body_type: str = JSON
    max_bytes: int = MAX_JSON_BYTES
    stream: Callable[[Studio, Request], Awaitable[Response]] | None = field(default=None)


def make_route_handler(studio: Studio, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """What Starlette calls for an endpoint."""

    async def answer(request: Request) -> Response:
        if endpoint.stream is not None:
            return await endpoint.stream(studio, request)
        content = await read_body(request, endpoint.max_bytes) if endpoint.body is not None else b""
        if content is None:
            return refuse(TooLarge(f"The request is larger than {endpoint.max_bytes:,} bytes. Send less at a time."))
        return await run_in_threadpool(_call, studio, endpoint, request, content)

    return answer


def _call(studio: Studio, endpoint: Endpoint, request: Request, content: bytes) -> Response:
    def work() -> Any:
        assert endpoint.handle is not None
        query = None if endpoint.query is None else check_data(endpoint.query, dict(request.query_params))
        return endpoint.handle(Call(studio, request.path_params, query, _parse_body(endpoint, content), request))

    outcome = catch_failure(work)
    if isinstance(outcome, Failure):
        return describe_refusal(replace(outcome, sentence=studio.hide_paths(outcome.sentence)))
    if isinstance(outcome, BaseModel):
        return JSONResponse(outcome.model_dump(mode="json", by_alias=True), endpoint.status)
    assert isinstance(outcome, Response)
    return outcome


def _parse_body(endpoint: Endpoint, content: bytes) -> Any:
    if endpoint.body is None or endpoint.body is bytes:
        return content
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The request holds no JSON. Send an object as the description says.") from error
    return check_data(endpoint.body, data)


def check_data(kind: Any, data: Any) -> Any:
    """Data as a record.

    Raises
    ------
    BadRequest
        Naming what does not fit.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        raise BadRequest(f"{explain(error)}. Correct it as /api/openapi.json says.") from error


async def read_body(request: Request, max_bytes: int) -> bytes | None:
    """The body of a request; None where it is larger than `max_bytes`."""
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                return None
            chunks.append(chunk)
    except ClientDisconnect:
        return b""
    return b"".join(chunks)


def describe_refusal(failure: Failure) -> Response:
    """The answer to a request that failed."""
    status, code = status_of(failure)
    return JSONResponse(ErrorRecord(error=failure.sentence, code=code).model_dump(), status)


def refuse(error: Exception) -> Response:
    """The answer to a request that is refused."""

    def fail() -> None:
        raise error

    failure = catch_failure(fail)
    assert isinstance(failure, Failure)
    return describe_refusal(failure)
