"""The web application: the API, the page where it was built, and the guard before both."""

from __future__ import annotations

import json
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from redust.studio.access_guard import Access, AccessGuard
from redust.studio.endpoint import make_route_handler, refuse
from redust.studio.library_endpoints import LIBRARY_ENDPOINTS
from redust.studio.openapi import describe_api
from redust.studio.refusals import BadRequest, NotKnown, RequestError
from redust.studio.scan_endpoints import SCAN_ENDPOINTS
from redust.studio.studio import Studio

ENDPOINTS = (*LIBRARY_ENDPOINTS, *SCAN_ENDPOINTS)
STATIC = Path(__file__).parent / "static"
_UNBUILT = """<!doctype html><html lang="en"><title>ReDust</title><body><h1>ReDust studio</h1>
<p>This ReDust was installed without the studio's page: the npm registry could not be reached. The HTTP API works; it is
described at <a href="/api/openapi.json">/api/openapi.json</a>. Install ReDust again with a connection to
registry.npmjs.org to get the page.</p></body></html>"""


def make_app(studio: Studio, access: Access, static: Path = STATIC) -> ASGIApp:
    """Make the application.

    Parameters
    ----------
    static
        The folder of the built page.
    """
    description = json.dumps(describe_api(ENDPOINTS)).encode()

    async def show_description(_: Request) -> Response:
        return Response(description, media_type="application/json")

    async def show_page(_: Request) -> Response:
        page = static / "index.html"
        return FileResponse(page) if page.is_file() else HTMLResponse(_UNBUILT)

    routes: list[BaseRoute] = [
        Route("/", show_page, methods=["GET"]),
        Route("/api/openapi.json", show_description, methods=["GET"]),
        *(Route(endpoint.path, make_route_handler(studio, endpoint), methods=[endpoint.method])
          for endpoint in ENDPOINTS),
    ]  # fmt: skip
    if (static / "assets").is_dir():
        routes.append(Mount("/assets", StaticFiles(directory=static / "assets")))
    return AccessGuard(Starlette(routes=routes, exception_handlers={HTTPException: _explain_routing}), access)


async def _explain_routing(_: Request, error: Exception) -> Response:
    """What the router refuses, as the API's own errors."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    refusal: RequestError = NotKnown("There is nothing at this address. See /api/openapi.json.")
    if status == 405:
        refusal = BadRequest("This address takes another method. See /api/openapi.json.")
    response = refuse(refusal)
    response.status_code = status
    headers = error.headers if isinstance(error, HTTPException) else None
    response.headers.update(headers or {})
    return response
