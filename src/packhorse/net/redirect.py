"""Redirects are ours (DESIGN §4): what the next request is, decided without I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urljoin, urlsplit

from packhorse.errors import ProtocolError
from packhorse.model import Secret
from packhorse.net.message import Request, ResponseHead, origin_of
from packhorse.net.redact import show_url

__all__ = ["MAX_REDIRECTS", "follow", "same_origin"]

MAX_REDIRECTS: Final = 10
_CREDENTIALS: Final = ("authorization", "cookie", "proxy-authorization", "x-api-key")


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port."""
    try:
        return origin_of(one) == origin_of(other)
    except ValueError:
        return False


def _escaped(location: str) -> str:
    """A location with its bytes beyond ASCII escaped, as browsers do; header bytes were read as latin-1."""
    return "".join(ch if ch.isascii() else "".join(f"%{byte:02X}" for byte in _bytes(ch)) for ch in location)


def _bytes(ch: str) -> bytes:
    return ch.encode("latin-1" if ch <= "\xff" else "utf-8", "replace")


def follow(request: Request, head: ResponseHead, hop: int = 1) -> Request | None:
    """The request that a redirect asks for, or ``None`` when ``head`` is none.

    Credentials never follow to another origin; https never falls back to http; only http and https are followed.
    Raises :class:`ProtocolError` for a redirect that cannot or must not be followed.
    """
    if head.status not in (301, 302, 303, 307, 308):
        return None
    location = head.headers.get("location")
    if not location:
        return None
    if hop > MAX_REDIRECTS:
        raise ProtocolError(f"more than {MAX_REDIRECTS} redirects from {show_url(request.url)}")
    try:
        target = urljoin(request.url, _escaped(location.strip()))
        scheme, host, _ = origin_of(target)
    except ValueError:
        raise ProtocolError(f"{show_url(request.url)} redirects to an unreadable address") from None
    odd = any(not "!" <= ch <= "~" for ch in target) or "\\" in urlsplit(target).netloc
    if scheme not in ("http", "https") or not host or odd:
        raise ProtocolError(f"{show_url(request.url)} redirects to {show_url(target)}, which is no web address")
    if urlsplit(request.url).scheme.lower() == "https" and scheme == "http":
        raise ProtocolError(f"{show_url(request.url)} redirects from https to http; this is not followed")
    onward = replace(request, url=target)
    if head.status == 303 or (head.status in (301, 302) and request.method == "POST"):
        onward = replace(onward, method="HEAD" if request.method == "HEAD" else "GET", body=None, body_size=None)
        onward = onward.without_header("Content-Type")
    if not same_origin(request.url, target):
        for name, value in request.headers.items():
            if name.lower() in _CREDENTIALS or isinstance(value, Secret):
                onward = onward.without_header(name)
        # Another origin's address with a query is as good as signed.
        onward = replace(onward, secret_url=onward.secret_url or bool(urlsplit(target).query))
    return onward
