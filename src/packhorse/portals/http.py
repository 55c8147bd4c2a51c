"""Any ``http(s)://`` address: one item. No bearer token ever; basic authentication only from the address or netrc."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from packhorse.errors import (
    AddressError,
    AuthenticationError,
    ExpiredError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    RateLimitedError,
    RemoteError,
    ServerError,
)
from packhorse.model import Item, Secret
from packhorse.net.message import Headers, Request, ResponseHead
from packhorse.net.redact import show_url
from packhorse.net.redirect import follow, same_origin
from packhorse.net.transport import Network
from packhorse.transfer.portal import Entry, Locator
from packhorse.wire.http import (
    ContentRange,
    parse_content_disposition,
    parse_content_length,
    parse_content_range,
    parse_http_date,
)

__all__ = ["HttpPortal", "name_in_url", "status_error"]

_FALLBACK_NAME: Final = "download"
_BLANK: Final = re.compile(r"[\x00-\x20]")


def name_in_url(url: str) -> str:
    """The last component of a URL's path, decoded; empty where there is none.

    >>> name_in_url("https://host/a/reads%201.fastq.gz?x=1"), name_in_url("https://host/")
    ('reads 1.fastq.gz', '')
    """
    return unquote(urlsplit(url).path.rpartition("/")[2])


def status_error(head: ResponseHead) -> PackhorseError:
    """The error for a plain web server's refusal."""
    where = show_url(head.url)
    if head.status == 401:
        return AuthenticationError(
            f"{where} wants a user name and password", hint="netrc = true in [network] uses ~/.netrc"
        )
    if head.status == 403:
        return PermissionDeniedError(
            f"{where} refuses access (HTTP 403)", status=403, hint="a signed link may be over: get a new one"
        )
    if head.status == 404:
        return NotFoundError(f"{where} does not exist (HTTP 404)", hint="check the address")
    if head.status == 410:
        return ExpiredError(f"{where} is over (HTTP 410)", status=410, hint="get a new link")
    if head.status == 429:
        return RateLimitedError(
            f"{where} refuses so many requests (HTTP 429)", status=429, hint="try again later, with --jobs 1"
        )
    if head.status >= 500:
        return ServerError(
            f"{where} fails (HTTP {head.status})", status=head.status, hint="try again later; what arrived is kept"
        )
    return RemoteError(f"{where} answers HTTP {head.status}", status=head.status)


class _EnoughError(Exception):
    """The head is all that was wanted."""


class _HeadOnly:
    """A sink that stops at the first byte: a server without ranges must not send the whole file for its name."""

    head: ResponseHead | None = None

    def begin(self, head: ResponseHead) -> None:
        self.head = head

    def write(self, data: bytes) -> None:
        if len(data) > 1:
            raise _EnoughError


class HttpPortal:
    """The web. ``path`` of an address is the whole URL."""

    def __init__(self, network: Network, remote: str = "https") -> None:
        self.remote = remote
        self.network = network
        self._basic: dict[str, Secret] = {}
        self._urls: dict[str, str] = {}

    def clean(self, url: str) -> str:
        """The URL without user name and password, which are kept aside for its origin. Raises :class:`AddressError`."""
        try:
            parts = urlsplit(url)
            port = f":{parts.port}" if parts.port is not None else ""
        except ValueError:
            raise AddressError(f"not a web address: {show_url(url)}") from None
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname or _BLANK.search(url):
            raise AddressError(f"not a web address: {show_url(url)}")
        if "@" not in parts.netloc:
            return urlunsplit(parts._replace(fragment=""))
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        bare = urlunsplit((parts.scheme, host + port, parts.path, parts.query, ""))
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        self._basic[bare] = Secret("Basic " + base64.b64encode(pair.encode()).decode())
        return bare

    async def items(self, path: str) -> AsyncIterator[Item]:
        """The one file."""
        yield await self.item(path)

    async def item(self, url: str) -> Item:
        """The file behind a URL. Its name is the URL's; where that has none, the server is asked."""
        url = self.clean(url)
        name = name_in_url(url)
        if "." in name.strip("."):
            return Item(self.remote, self._key(url), name)
        return await self._asked(url, name)

    async def _asked(self, url: str, name: str) -> Item:
        head = await self._head(url)
        stated = parse_content_disposition(head.headers.get("content-disposition"))
        name = stated or name_in_url(head.url) or name or _FALLBACK_NAME
        kind = (head.headers.get("content-type") or "").partition(";")[0].strip() or None
        return Item(self.remote, self._key(url), name, size=_total(head.status, head.headers), media_type=kind)

    def _key(self, url: str) -> str:
        """What ledgers and logs may hold: a query may be a signature, so it is kept here and named by its hash."""
        bare, question, query = url.partition("?")
        key = f"{bare}?{hashlib.sha256(query.encode()).hexdigest()[:16]}" if question else url
        self._urls[key] = url
        return key

    async def _head(self, url: str) -> ResponseHead:
        """The head of a GET for one byte: HEAD is refused by signed URLs."""
        request = await self.authorise(Request("GET", url, {"Range": "bytes=0-0"}))
        hop = 0
        while True:
            sink = _HeadOnly()
            try:
                head = await self.network.stream(request, sink)
            except _EnoughError:
                head = sink.head  # type: ignore[assignment]  # begin() came before write()
            hop += 1
            onward = follow(request, head, hop)
            if onward is None:
                break
            request = onward
        if not head.ok and head.status != 416:  # an empty file has no first byte
            raise status_error(head)
        return head

    async def entries(self, path: str) -> AsyncIterator[Entry]:
        """The one file, as the server describes it."""
        url = self.clean(path)
        item = await self._asked(url, name_in_url(url))
        yield Entry(show_url(url), name_in_url(url) or item.path, "file", item.size, item=item)

    async def describe(self, path: str) -> Mapping[str, Any]:
        """What the server says of the file."""
        url = self.clean(path)
        head = await self._head(url)
        modified = parse_http_date(head.headers.get("last-modified"))
        described = {
            "url": show_url(url),
            "size": _total(head.status, head.headers),
            "type": head.headers.get("content-type"),
            "etag": head.headers.get("etag"),
            "modified": modified,
            "filename": parse_content_disposition(head.headers.get("content-disposition")),
        }
        return {name: value for name, value in described.items() if value is not None}

    async def locate(self, item: Item) -> Locator:
        """The URL itself; one with a query counts as signed: the query is never shown."""
        url = self._urls.get(item.key, item.key)
        basic = url in self._basic
        secret = "?" in url and not basic
        return Locator(url, size=item.size, identity=item.identity, secret_url=secret, authorised=basic)

    async def authorise(self, request: Request) -> Request:
        """Add the user name and password that stood in the address."""
        for url, basic in self._basic.items():
            if same_origin(url, request.url):
                return request.with_header_map({"Authorization": basic})
        return request

    async def renew(self, refused: Request) -> bool:
        """There is nothing to renew."""
        return False

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        return status_error(head)

    async def aclose(self) -> None:
        """Nothing is held."""


def _total(status: int, headers: Headers) -> int | None:
    part = parse_content_range(headers.get("content-range"))
    if isinstance(part, ContentRange):
        return part.total
    if status == 416:
        return 0 if part is not None and part.total == 0 else None
    return parse_content_length(headers.get_all("content-length"))
