"""What ImmPort means when it refuses: our error for a status and a body (spec immport §1.2). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from packhorse.errors import (
    AuthenticationError,
    ExitCode,
    ExpiredError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    RemoteError,
    ServerError,
)
from packhorse.net.message import Reply
from packhorse.net.redact import show_text, show_url

__all__ = ["decoded", "refusal", "said", "sign_in_hint"]


def said(body: bytes) -> str:
    """The server's own words: ``message``, ``error_description`` or ``error`` of its JSON body, else nothing."""
    try:
        held: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return ""  # an HTML page: its text would only confuse
    if not isinstance(held, Mapping):
        return ""
    for name in ("message", "error_description", "error"):
        value = held.get(name)
        if isinstance(value, str) and show_text(value):
            return show_text(value)
    return ""


def sign_in_hint(remote: str, auth_base: str) -> str:
    """What to type when there is no credential, or an old one."""
    keys = f"{show_url(auth_base)}/api/keys"
    return f"packhorse login {remote}, or with an API key from {keys}: packhorse login {remote} --token-stdin"


def refusal(
    status: int, body: bytes, *, remote: str, what: str, signed_in: bool, auth_base: str = ""
) -> PackhorseError:
    """The error for a refused request. ``what`` names the thing; ``signed_in``: a token was sent."""
    words = said(body) or f"the server answered HTTP {status}"
    message = f"{remote}:{what}: {words}"
    if status == 401:
        if signed_in:
            words = f"{message} (a token was sent: it is over, or not of this server)"
            return AuthenticationError(words, hint=sign_in_hint(remote, auth_base))
        return AuthenticationError(
            f"{message} (not signed in)" if said(body) else f"{remote}:{what} needs a sign-in",
            hint=sign_in_hint(remote, auth_base),
        )
    if status == 403:
        hint = "the study may be restricted: ask its owners for access"
        hint += f"; packhorse whoami {remote}" if signed_in else f". You are not signed in: packhorse login {remote}"
        return PermissionDeniedError(message, status=403, hint=hint)
    if status == 404:
        return NotFoundError(message, hint=f"packhorse ls {remote}: lists what there is")
    if status == 410:
        return ExpiredError(message, status=410)
    if status == 429:
        return RateLimitedError(message, status=429, hint="try again later, or with fewer connections: --jobs 2")
    if status >= 500:
        return ServerError(message, status=status, hint="try again later; what arrived is kept")
    if status == 400:
        return _BadRequestError(message, status=400)
    return RemoteError(message, status=status)


class _BadRequestError(RemoteError):
    """The server says that what was asked is wrong (an unknown filter)."""

    code = "bad-request"
    exit_code = ExitCode.USAGE


def decoded(reply: Reply, remote: str, what: str) -> Any:
    """The answer's JSON. Raises :class:`ProtocolError`, which for a web page says what is likely wrong."""
    try:
        return reply.json()
    except ProtocolError as error:
        kind = (reply.head.headers.get("content-type") or "").lower()
        hint = None
        if "html" in kind:
            hint = f"{show_url(reply.head.url)} is a web page: is the address of {remote} right? packhorse remote list"
        raise ProtocolError(f"{remote}:{what}: {error.message}", hint=hint) from None
