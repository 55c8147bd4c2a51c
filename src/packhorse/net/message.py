"""Requests, responses and sinks: the words of the transport seam. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import msgspec

from packhorse.errors import ProtocolError
from packhorse.model import Secret

__all__ = ["Body", "HeaderValue", "Headers", "Reply", "Request", "ResponseHead", "Sink", "origin_of"]

HeaderValue = str | Secret
Body = bytes | Callable[[], Iterable[bytes | memoryview]]
"""A request body: bytes, or a function that gives its pieces afresh for every attempt."""


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL, lower-case, with the default port filled in. Raises ``ValueError``."""
    end = re.search(r"[/?#]", url[8:])
    return _origin(url if end is None else url[: 8 + end.start()])


@lru_cache(maxsize=256)
def _origin(start: str) -> tuple[str, str, int]:
    parts = urlsplit(start)
    scheme = parts.scheme.lower()
    port = parts.port
    if port is None:
        port = {"http": 80, "https": 443}.get(scheme, 0)
    return scheme, (parts.hostname or "").lower(), port


class Headers:
    """Response headers: names without case, repeats kept in order."""

    __slots__ = ("_first", "_items")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items = tuple([(name.lower(), value) for name, value in items])
        self._first = dict(reversed(self._items))

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of ``name``."""
        found = self._first.get(name)  # mostly it is asked for in small letters
        return self._first.get(name.lower(), default) if found is None else found

    def get_all(self, name: str) -> list[str]:
        """Every value of ``name``, in order."""
        name = name.lower()
        return [value for key, value in self._items if key == name]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None


@dataclass(frozen=True, slots=True)
class Request:
    """One request, before ``authorise``. ``params`` are added to the URL's query.

    ``secret_url`` marks a signed URL: its query is never shown. ``idempotent`` is worked out from the method unless
    it is given; other requests go out on a fresh connection, because libcurl may resend on a reused one.
    """

    method: str
    url: str
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    body: Body | None = None
    body_size: int | None = None
    secret_url: bool = False
    idempotent: bool | None = None

    def with_headers(self, **extra: HeaderValue) -> Self:
        """A copy with these headers set (``_`` in a name stands for ``-``)."""
        return self.with_header_map({name.replace("_", "-"): value for name, value in extra.items()})

    def with_header_map(self, extra: Mapping[str, HeaderValue]) -> Self:
        """A copy with these headers set; names are compared without case."""
        lower = {name.lower() for name in extra}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in lower}
        return replace(self, headers={**kept, **extra})

    def without_header(self, name: str) -> Self:
        """A copy without this header."""
        kept = {key: value for key, value in self.headers.items() if key.lower() != name.lower()}
        return replace(self, headers=kept)

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent twice without harm."""
        if self.idempotent is not None:
            return self.idempotent
        return self.method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status line and headers of a final response (1xx are skipped)."""

    status: int
    headers: Headers
    url: str
    http_version: str = "1.1"

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole small response: what API calls get."""

    head: ResponseHead
    content: bytes

    @property
    def status(self) -> int:
        return self.head.status

    def json(self) -> Any:
        """The body as JSON. Raises :class:`ProtocolError` when it is none."""
        try:
            return msgspec.json.decode(self.content)
        except msgspec.DecodeError as error:
            kind = self.head.headers.get("content-type", "no content type")
            raise ProtocolError(f"the server's answer is not JSON ({kind}): {error}") from None
        except RecursionError:
            raise ProtocolError("the server's answer is JSON nested beyond reason") from None


class Sink(Protocol):
    """Where a response's body goes. Called in a transport thread; may block to slow the sender down.

    An exception from either method ends the request and is raised by the transport in its place.
    """

    def begin(self, head: ResponseHead) -> None:
        """Called once, before the first body byte of a final response."""

    def write(self, data: bytes) -> None:
        """Called for each piece as it comes (at most 16 KiB)."""
