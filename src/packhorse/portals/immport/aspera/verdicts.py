"""What it means when ``ascp`` fails: its exit code says next to nothing, its words and codes do (spec §5.3). Pure."""

from __future__ import annotations

import re
from typing import Final

from packhorse.errors import (
    AuthenticationError,
    NetworkError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    TransferError,
)
from packhorse.net.redact import show_text

__all__ = ["KeyRefusedError", "asks_for_password", "failure"]

_PORTS: Final = (
    "Aspera needs TCP and UDP port 33001 open to that host; firewalls often close them: --route https does without"
)
_RETRIED: Final = frozenset({12, 13, 14, 15, 16, 17, 18, 23, 31, 32, 33, 35, 36, 39, 40, 44, 45})
_KEY: Final = frozenset({19})
_RIGHT: Final = frozenset({5, 34, 37})
_LICENSE: Final = frozenset({9, 10, 29, 30, 38})
_PROMPT: Final = re.compile(
    rb"(password|passphrase[^\n]{0,200}):\s*$|password:.{0,40}password:", re.IGNORECASE | re.DOTALL
)
_SAID: Final = re.compile(r"Session Stop\s*\(Error: ([^)\n]{1,300})\)")


class KeyRefusedError(AuthenticationError):
    """The server does not take this key, or the key wants a passphrase: another key may do."""

    code = "aspera-key"


def asks_for_password(tail: bytes) -> bool:
    """Whether the end of the output is a prompt.

    >>> asks_for_password(b"Password: "), asks_for_password(b"100%  Completed: 12K bytes")
    (True, False)
    """
    return _PROMPT.search(tail[-400:]) is not None


def failure(status: int, said: str, code: int | None, words: str) -> PackhorseError:
    """The error for an ``ascp`` that ended with ``status``. ``said`` is the end of its output and log, ``code`` and
    ``words`` are of the management port's ERROR."""
    found = _SAID.search(said)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = show_text(words or (found[1] if found else "") or (lines[-1] if lines else ""), 160)
    message = f"ascp failed (exit {status})" + (f": {told}" if told else ", without a word")
    lower = f"{said[-4000:]} {words}".lower()
    if code in _KEY or "authentication failed" in lower or "failed to authenticate" in lower:
        return KeyRefusedError(message)
    if code == 4 or "no such file" in lower:
        if "private key file not found" in lower:
            return KeyRefusedError(message)
        return NotFoundError(message)
    if code in _RIGHT or "token authorization" in lower or "not authorized" in lower:
        return PermissionDeniedError(message, status=403, hint="the study may be restricted")
    if code in _LICENSE or "license" in lower:
        return TransferError(message, hint="another ascp is needed; --route https does without")
    if code in _RETRIED or any(sign in lower for sign in _NETWORK):
        return NetworkError(message, hint=_PORTS)
    return TransferError(message, hint="packhorse doctor; --route https does without Aspera")


_NETWORK: Final = (
    "failed to open tcp connection",
    "target address not available",
    "transport read",
    "timeout",
    "timed out",
    "connection",
    "session initiation failed",
)
