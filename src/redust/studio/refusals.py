"""Why a request is refused: the HTTP status and the code that its answer bears."""

from __future__ import annotations

from redust.batch.failures import Failure
from redust.core.errors import RedustError

_INTERNAL = (500, "engine")


class RequestError(RedustError):
    """A request that is not carried out."""


class BadRequest(RequestError):
    """It cannot be understood, or asks for what cannot be."""


class Unauthorised(RequestError):
    """It bears neither a session nor the token."""


class Forbidden(RequestError):
    """It comes from another page, or names another host."""


class NotKnown(RequestError):
    """There is nothing of that name."""


class Conflict(RequestError):
    """It does not go with the state of things."""


class TooLarge(RequestError):
    """More bytes or pixels than the server takes."""


class Unsupported(RequestError):
    """A file of a kind that the server does not take."""


class Busy(RequestError):
    """Too much waits already."""


class NotInstalled(RequestError):
    """What it needs is not installed."""


STATUS_BY_KIND = {
    "BadRequest": (400, "bad_request"),
    "SettingsError": (400, "bad_request"),
    "UnknownEngine": (400, "bad_request"),
    "MaskMismatch": (400, "bad_request"),
    "Unauthorised": (401, "unauthorised"),
    "Forbidden": (403, "unauthorised"),
    "NotKnown": (404, "not_found"),
    "Conflict": (409, "conflict"),
    "TargetExists": (409, "conflict"),
    "LossyTarget": (409, "conflict"),
    "ScanError": (409, "conflict"),
    "TooLarge": (413, "too_large"),
    "ScanTooLarge": (413, "too_large"),
    "Unsupported": (415, "unsupported"),
    "UnreadableScan": (415, "unsupported"),
    "UnsupportedScan": (415, "unsupported"),
    "Busy": (429, "busy"),
    "NotInstalled": (501, "unsupported"),
}
"""HTTP status and code by the class of the error; any other is an engine's or the machine's."""


def status_of(failure: Failure) -> tuple[int, str]:
    """The HTTP status and the code of a failure."""
    return STATUS_BY_KIND.get(failure.kind, _INTERNAL)
