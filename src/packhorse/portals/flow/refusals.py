"""What Flow means when it refuses: our error for a status and a body, with the guide's remedy (spec flow §2). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from packhorse.errors import (
    AuthenticationError,
    ExpiredError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    RateLimitedError,
    RemoteError,
    ServerError,
)
from packhorse.net.redact import show_text
from packhorse.wire.flow import DOWNLOAD_REFUSALS, ErrorBody, parse_error

__all__ = ["refusal", "wrong_base"]

REMEDIES: Final[Mapping[int, str]] = {
    401: "Refresh your access token or re-login.",
    403: "Request access from the file owner or your group admin.",
    404: "Verify the file ID and your access permissions.",
    410: "Request a new download link or create a new bulk download job.",
}
"""The guide's "Solution" texts."""


def refusal(status: int, body: bytes, *, remote: str, what: str, signed_in: bool) -> PackhorseError:
    """The error for a refused request. ``what`` names the thing (``data/789``); ``signed_in``: a token was sent.

    The live service refuses a download with an empty 404, whatever the reason (spec flow §2.2), so a 404 without a
    token also says how to sign in.
    """
    said = _said(status, body)
    message = f"{remote}:{what}: {said}"
    login = f"packhorse login {remote}"
    if status == 401:
        return AuthenticationError(message, hint=f"{REMEDIES[401]} {login}")
    if status == 403:
        hint = REMEDIES[403] + ("" if signed_in else f" You are not signed in: {login}")
        return PermissionDeniedError(message, status=403, hint=hint)
    if status == 404:
        hint = REMEDIES[404]
        hint += f" packhorse whoami {remote}" if signed_in else f" You are not signed in: {login}"
        return NotFoundError(message, hint=hint)
    if status == 410:
        return ExpiredError(message, status=410, hint=REMEDIES[410])
    if status == 429:
        return RateLimitedError(message, status=429, hint="try again later, or with fewer connections: --jobs 2")
    if status >= 500:
        return ServerError(message, status=status, hint="try again later; what arrived is kept")
    return RemoteError(message, status=status)


def _said(status: int, body: bytes) -> str:
    try:
        decoded: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        decoded = None  # an HTML page or nothing: its text would only confuse
    error = parse_error(decoded, status) if decoded is not None else ErrorBody("")
    return show_text(error.message) or DOWNLOAD_REFUSALS.get(status) or f"the server answered HTTP {status}"


def wrong_base(remote: str, url: str) -> str:
    """The hint where a web page came for an API answer."""
    return (
        f"{url} answers with web pages: the address of {remote} may lack /api "
        f"(packhorse remote list shows it; packhorse remote add {remote} flow URL changes it)"
    )
