"""``drs://HOST/ID``: objects of GA4GH's Data Repository Service, version 1 (spec immport §3.5).

A token is sent where the host is a configured remote with an account. The bytes come from wherever the service says, by
HTTPS; what it states of size and digests decides.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from packhorse.errors import (
    AddressError,
    AuthenticationError,
    ExpiredError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    RemoteError,
    ServerError,
)
from packhorse.model import Digest, Identity, Item, Secret
from packhorse.net.calls import call
from packhorse.net.message import HeaderValue, Request, ResponseHead
from packhorse.net.redact import show_text, show_url
from packhorse.net.redirect import same_origin
from packhorse.net.transport import Network
from packhorse.transfer.portal import Entry, Locator, Portal
from packhorse.wire.signed import is_signed, signed_until

__all__ = ["DrsPortal", "Home", "parse_drs"]

Home = Callable[[str], tuple[str, Portal | None]]
"""For a host (with its port): the origin to ask, and the portal whose account is good there."""

_BASE: Final = "ga4gh/drs/v1/objects"
_MOST: Final = 100_000
_DEEPEST: Final = 16
_SIZES: Final = 2**60
_ALGORITHMS: Final = {"md5": "md5", "sha-256": "sha256", "sha256": "sha256"}


def parse_drs(address: str) -> tuple[str, str]:
    """Host (with port) and id of an address. Raises :class:`AddressError`.

    >>> parse_drs("drs://data.example.org/f0e1")
    ('data.example.org', 'f0e1')
    """
    try:
        parts = urlsplit(address)
        port, host = parts.port, parts.hostname
    except ValueError:  # drs://dg.4DFC:uuid
        raise AddressError(
            f"{show_text(address)}: compact DRS ids (PREFIX:ID) are not looked up",
            hint="give the host: drs://HOST/ID",
        ) from None
    number = unquote(parts.path.lstrip("/"))
    if not host or not number or "@" in parts.netloc or any(not ch.isprintable() for ch in number):
        raise AddressError(f"{show_text(address)} is no DRS address", hint="drs://HOST/ID")
    name = f"[{host}]" if ":" in host else host
    return (name if port is None else f"{name}:{port}"), number


class DrsPortal:
    """Every DRS service there is. ``path`` of an address is the whole ``drs://`` address."""

    def __init__(self, network: Network, home: Home) -> None:
        self.remote = "drs"
        self.network = network
        self.home = home

    async def items(self, path: str) -> AsyncIterator[Item]:
        """The object's file; of a bundle every file in it."""
        host, number = parse_drs(path)
        found = await self._object(host, number)
        if not found.get("contents"):
            yield _item(host, number, found)
            return
        seen: set[str] = set()
        queue = [(number, found, "", 0)]
        while queue:
            number, found, above, depth = queue.pop(0)
            for part in _rows(found.get("contents")):
                inner = self._inside(host, part)
                if inner is None or inner in seen:
                    continue
                seen.add(inner)
                if len(seen) > _MOST or depth > _DEEPEST:
                    raise ProtocolError(f"{show_text(path)}: this bundle does not end")
                below = await self._object(host, inner)
                name = f"{above}{part.get('name') or below.get('name') or inner}"
                if below.get("contents"):
                    queue.append((inner, below, f"{name}/", depth + 1))
                else:
                    yield _item(host, inner, below, name=name, kind="bundle")

    def _inside(self, host: str, part: Mapping[str, Any]) -> str | None:
        """The id of a part of a bundle, where it is on the same host."""
        number = part.get("id")
        if isinstance(number, str) and number:
            return number
        for uri in part.get("drs_uri") or ():
            if isinstance(uri, str) and uri.startswith(f"drs://{host}/"):
                return parse_drs(uri)[1]
        return None

    async def entries(self, path: str) -> AsyncIterator[Entry]:
        """The files that the address stands for."""
        host, _ = parse_drs(path)
        async for item in self.items(path):
            address = f"drs://{host}/{quote(item.labels['id'], safe='')}"
            yield Entry(address, item.path, "file", item.size, item.modified, item)

    async def describe(self, path: str) -> Mapping[str, Any]:
        """The service's own record of the object."""
        return await self._object(*parse_drs(path))

    async def locate(self, item: Item) -> Locator:
        """An address for the bytes: one that the object has, else one that the service makes."""
        host, number = parse_drs(item.key)
        found = await self._object(host, number)
        problem: PackhorseError = NotFoundError(f"{item.key} offers no way to get it by HTTPS")
        for method in _rows(found.get("access_methods")):
            given = method.get("access_url")
            if not isinstance(given, Mapping) and isinstance(method.get("access_id"), str):
                try:
                    given = await self._access(host, number, method["access_id"])
                except (RemoteError, NotFoundError) as error:
                    problem = error
                    continue
            url = given.get("url") if isinstance(given, Mapping) else None
            if not isinstance(url, str) or not url.lower().startswith(("https://", "http://")):
                continue
            origin = self.home(host)[0]
            own = same_origin(url, origin) and not is_signed(url)
            return Locator(
                url,
                headers=_headers(given.get("headers") if isinstance(given, Mapping) else None),
                expires=signed_until(url),
                size=item.size,
                identity=item.identity,
                secret_url=not own,
                authorised=own,
            )
        raise problem

    async def _object(self, host: str, number: str) -> Mapping[str, Any]:
        return await self._get(host, f"{_BASE}/{quote(number, safe='')}", number)

    async def _access(self, host: str, number: str, way: str) -> Mapping[str, Any]:
        return await self._get(host, f"{_BASE}/{quote(number, safe='')}/access/{quote(way, safe='')}", number)

    async def _get(self, host: str, path: str, number: str) -> Mapping[str, Any]:
        origin, account = self.home(host)
        request = Request("GET", f"{origin}/{path}", {"Accept": "application/json"})
        reply = await call(
            self.network,
            request,
            authorise=account.authorise if account is not None else None,
            renew=account.renew if account is not None else None,
        )
        name = f"drs://{host}/{show_text(number)}"
        if not reply.head.ok:
            raise self._refusal(reply.head, name, account)
        if reply.status == 202:
            raise ServerError(f"{name} is being made ready", status=202, hint="try again later")
        answer = reply.json()
        if not isinstance(answer, Mapping):
            raise ProtocolError(f"{name}: the service's answer is no object")
        return answer

    def _refusal(self, head: ResponseHead, name: str, account: Portal | None) -> PackhorseError:
        status = head.status
        login = f"packhorse login {account.remote}" if account is not None else "packhorse remote add NAME immport URL"
        if status == 401:
            return AuthenticationError(f"{name} needs a sign-in", hint=login)
        if status == 403:
            return PermissionDeniedError(f"{name} is not for this account", status=403, hint=login)
        if status == 404:
            return NotFoundError(f"{name} does not exist there", hint="check the id")
        if status == 410:
            return ExpiredError(f"{name} is over", status=410)
        if status == 429:
            return RateLimitedError(f"{name}: too many requests", status=429, hint="try again later")
        if status >= 500:
            return ServerError(f"{name}: the service fails (HTTP {status})", status=status, hint="try again later")
        return RemoteError(f"{name}: the service answers HTTP {status}", status=status)

    def _account(self, url: str) -> Portal | None:
        return self.home(urlsplit(url).netloc)[1]

    async def authorise(self, request: Request) -> Request:
        account = self._account(request.url)
        return request if account is None else await account.authorise(request)

    async def renew(self, refused: Request) -> bool:
        account = self._account(refused.url)
        return account is not None and await account.renew(refused)

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        return self._refusal(head, show_url(head.url), self._account(head.url))

    async def aclose(self) -> None:
        """Nothing is held; the accounts are others'."""


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _headers(value: object) -> Mapping[str, HeaderValue]:
    """``Name: value`` lines that go with an address; they may be secrets."""
    found: dict[str, HeaderValue] = {}
    for line in value if isinstance(value, list) else ():
        match = re.fullmatch(r"([A-Za-z0-9-]{1,64}): ?([\x20-\x7e]{0,8192})", line) if isinstance(line, str) else None
        if match:
            found[match[1]] = Secret(match[2])
    return found


def _item(host: str, number: str, found: Mapping[str, Any], *, name: str = "", kind: str = "data") -> Item:
    stated = found.get("name")
    name = name or (stated if isinstance(stated, str) and stated.strip("/") else number.rpartition("/")[2])
    size = found.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= _SIZES:
        size = None
    digests = []
    for row in _rows(found.get("checksums")):
        algorithm = _ALGORITHMS.get(str(row.get("type", "")).lower())
        digest = Digest.maybe(algorithm, row.get("checksum")) if algorithm else None
        if digest is not None:
            digests.append(digest)
    digests.sort(key=lambda digest: digest.algorithm != "sha256")
    # Without a digest: the standard promises that the bytes of an id never change.
    identity = Identity("digest", str(digests[0]), size) if digests else Identity("id", f"{host}/{number}", size)
    media = found.get("mime_type")
    return Item(
        remote="drs",
        key=f"drs://{host}/{quote(number, safe='')}",
        path=name,
        size=size,
        digests=tuple(digests),
        identity=identity,
        media_type=media if isinstance(media, str) else None,
        labels={"kind": kind, "id": number},
    )
