"""Transfer tokens as our server issues them for ``ascp -W`` (spec immport §3.3).

One word of ``[A-Za-z0-9._=+/-]``: scripts pass it unquoted through a shell. It carries the address of the server that
issued it, so that ``packhorse-ascp`` finds that whatever host the script names; what it opens, and for whom, the
server keeps under ``grant``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

__all__ = ["MARK", "TransferToken", "build_token", "read_token"]

MARK: Final = "ATM2_"
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class TransferToken:
    """A token taken apart; nothing is proven but its form. ``expires`` in Unix seconds; ``signed`` is what the
    signature is over."""

    url: str
    grant: str
    expires: int
    signed: str
    signature: str


def build_token(url: str, grant: str, expires: int, sign: Callable[[str], str]) -> str:
    """A token. ``sign`` gives a signature within ``[A-Za-z0-9_-]``."""
    said = json.dumps({"u": url, "g": grant, "e": expires}, separators=(",", ":"), ensure_ascii=True)
    signed = base64.urlsafe_b64encode(said.encode()).rstrip(b"=").decode("ascii")
    return f"{MARK}{signed}.{sign(signed)}"


def read_token(token: str) -> TransferToken | None:
    """Take a token apart; ``None`` for what is none of ours.

    >>> made = build_token("https://portal.example.org", "a1", 1796180661, lambda text: "s")
    >>> read_token(made).url
    'https://portal.example.org'
    >>> read_token("ATM2_somebody-else-s") is None
    True
    """
    if not token.startswith(MARK) or len(token) > _LONGEST or not token.isascii():
        return None
    signed, _, signature = token.removeprefix(MARK).partition(".")
    try:
        said = json.loads(base64.urlsafe_b64decode(signed + "=" * (-len(signed) % 4)))
        url, grant, expires = said["u"], said["g"], said["e"]
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.username is None and not parts.query
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not fine or not isinstance(grant, str) or type(expires) is not int or not signature:
        return None
    return TransferToken(url.rstrip("/"), grant, expires, signed, signature)
