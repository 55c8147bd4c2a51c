"""Showing URLs and server texts without what must not be shown."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

__all__ = ["hide_token", "show_text", "show_url"]

_TOKEN: Final = re.compile(
    r"^((?:[a-z0-9_-]+:)?(?:voucher/)?[0-9a-z]{8}-)(?:[0-9a-z]{4}-){3}[0-9a-z]{12}(?=$|[/?])", re.IGNORECASE
)


def hide_token(text: str) -> str:
    """An address or a word without a FileSender token, which opens what it names.

    >>> hide_token("aarnet:0f5c2a7e-1111-4222-8333-94b6a1c2d3e4/reads.bam"), hide_token("aarnet:transfers/12")
    ('aarnet:0f5c2a7e-…/reads.bam', 'aarnet:transfers/12')
    """
    return _TOKEN.sub(r"\1…", text)


def show_url(url: str) -> str:
    """The URL for messages and logs: no user information, and no query, which in a signed URL is the secret.

    >>> show_url("https://me:pw@host:8443/a/b?X-Signature=abc#f")
    'https://host:8443/a/b?…'
    """
    try:
        parts = urlsplit(url)
        host = show_text(parts.hostname or "")
        if ":" in host:
            host = f"[{host}]"
        if parts.port is not None:
            host = f"{host}:{parts.port}"
    except ValueError:
        return "an unreadable URL"
    shown = urlunsplit((parts.scheme, host, show_text(parts.path, 400), "", ""))
    return f"{shown}?…" if parts.query else shown


def show_text(text: str, limit: int = 200) -> str:
    """A server's text for one line of a terminal: no control characters, no line breaks, bounded.

    >>> show_text("no\\x1b[2J\\nway")
    'no [2J way'
    """
    clean = "".join(ch if ch.isprintable() else " " for ch in text[: limit * 4])
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
