"""Who may talk to the server: this host by its name, this origin, and whoever has the token.

Three checks before anything is routed. The Host header, against DNS rebinding: an address is what it is, a name must be
one that the server was started with. The Origin header, against other pages. And a session's cookie, with a header that
forms cannot send for whatever changes something, or the token as bearer. No answer allows another origin.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from redust.studio.endpoint import refuse
from redust.studio.refusals import Forbidden, Unauthorised

COOKIE = "redust_session"
CHANGE_HEADER = "x-redust"
HEALTH = "/api/health"

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_LOOPBACK_NAMES = ("localhost",)
_CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_SIGN_IN = """<!doctype html><html lang="en"><title>ReDust</title><body><h1>ReDust studio</h1>
<p>This page needs the address that <code>redust studio</code> has printed, with its token; it works once. Start
<code>redust studio</code> again for a new one.</p></body></html>"""


class Access:
    """The token, and the sessions that were opened with it.

    Parameters
    ----------
    token
        Opens one session in the browser; as bearer it stays valid.
    host
        The address that the server listens on.
    allowed_hosts
        Further names by which it may be reached.
    """

    def __init__(self, token: str, host: str = "127.0.0.1", allowed_hosts: tuple[str, ...] = ()) -> None:
        self._token, self._host = token, host
        self._names = {name.lower() for name in (*allowed_hosts, *_LOOPBACK_NAMES, host)}
        self._sessions: set[str] = set()
        self._token_is_fresh = True

    def allows_host(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = _host_name(host)
        if name is None or name in self._names:
            return name is not None
        try:
            address = ip_address(name)
        except ValueError:
            return False
        return not is_loopback(self._host) or address.is_loopback

    def allows_origin(self, origin: str | None, host: str) -> bool:
        """Whether a request comes from no page, or from one of this server; a proxy may have put TLS before it."""
        return origin is None or origin in (f"http://{host}", f"https://{host}")

    def open_session(self, token: str) -> str | None:
        """A new session for the token, the first time it is shown; None afterwards, and for any other."""
        if not self._token_is_fresh or not self._matches(token):
            return None
        self._token_is_fresh = False
        session = secrets.token_urlsafe(32)
        self._sessions.add(session)
        return session

    def has_session(self, headers: Headers) -> bool:
        """Whether a request bears the cookie of a session."""
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        morsel = cookies.get(cookie_name(headers.get("host", "")))
        return morsel is not None and morsel.value in self._sessions

    def has_token(self, headers: Headers) -> bool:
        """Whether a request bears the token."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._matches(token.strip())

    def _matches(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self._token.encode())


def cookie_name(host: str) -> str:
    """The name of the session's cookie: browsers share cookies among the ports of a host."""
    return f"{COOKIE}_{urlsplit(f'//{host}').port or 80}"


def is_loopback(host: str) -> bool:
    """Whether an address is one of this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK_NAMES


def _host_name(host: str) -> str | None:
    """The name in a Host header, without its port; None where it makes no sense."""
    try:
        _ = urlsplit(f"//{host}").port
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


class AccessGuard:
    """ASGI middleware that keeps everybody else out, and adds the headers that browsers heed."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refuse(Request(scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refuse(self, request: Request) -> Response | None:
        access, headers, path = self._access, request.headers, request.url.path
        host = headers.get("host", "")
        if not access.allows_host(host):
            return refuse(Forbidden("The server does not go by that name. Start it with --allow-host NAME."))
        if not access.allows_origin(headers.get("origin"), host):
            return refuse(Forbidden("The request comes from another page. Use the studio's own."))
        if path == HEALTH:
            return None
        if path == "/" and "token" in request.query_params:
            return self._sign_in(request)
        if access.has_token(headers):
            return None
        if not access.has_session(headers):
            if path.startswith("/api/"):
                return refuse(Unauthorised("Open the address that redust studio has printed, or send its token."))
            return HTMLResponse(_SIGN_IN, 401)
        if request.method not in _SAFE_METHODS and headers.get(CHANGE_HEADER) != "1":
            return refuse(Forbidden("The header X-Redust: 1 is missing. Send it with whatever changes something."))
        return None

    def _sign_in(self, request: Request) -> Response:
        if self._access.has_session(request.headers):
            return RedirectResponse("/", 303)
        session = self._access.open_session(request.query_params["token"])
        if session is None:
            return HTMLResponse(_SIGN_IN, 401)
        response = RedirectResponse("/", 303)
        name, secure = cookie_name(request.headers.get("host", "")), request.url.scheme == "https"
        response.set_cookie(name, session, httponly=True, samesite="strict", secure=secure, path="/")
        return response
