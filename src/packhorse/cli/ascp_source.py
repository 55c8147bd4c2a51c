"""Where ``packhorse-ascp`` takes files from: the server that issued the transfer token (spec immport §3.3)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from packhorse.errors import (
    AuthenticationError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    ProtocolError,
    ServerError,
    UsageError,
)
from packhorse.model import Digest, Identity, Item, Secret
from packhorse.net.calls import call
from packhorse.net.message import Request, ResponseHead
from packhorse.net.redact import show_text, show_url
from packhorse.net.redirect import same_origin
from packhorse.net.transport import Network
from packhorse.transfer.portal import Entry, Locator

__all__ = ["TransferSource"]

_HEX: Final = frozenset("0123456789abcdef")


class TransferSource:
    """A portal over one transfer token. Lives on the engine's loop."""

    def __init__(self, network: Network, base: str, token: str) -> None:
        self.remote = "ascp"
        self._network = network
        self._base = base.rstrip("/")
        self._token = Secret(token)
        self._links: dict[str, Mapping[str, Any]] = {}

    async def files(self, paths: Sequence[str]) -> list[Item]:
        """Every file at or below these paths, in the server's order; an item's ``path`` is its whole path there.

        Raises :class:`NotFoundError`, :class:`PermissionDeniedError`, :class:`AuthenticationError`.
        """
        return [self._item(record) for record in await self._ask(paths)]

    async def _ask(self, paths: Sequence[str]) -> list[Mapping[str, Any]]:
        url = f"{self._base}/data/download/transfer"
        reply = await call(
            self._network,
            Request(
                "POST",
                url,
                {"Content-Type": "application/json", "Authorization": f"Bearer {self._token.reveal()}"},
                body=json.dumps({"paths": list(paths)}).encode(),
                idempotent=True,
            ),
            limit=256 * 1024 * 1024,
        )
        if reply.status != 200:
            raise _refusal(reply.status, reply.content, url)
        answer = reply.json()
        records = answer.get("files") if isinstance(answer, dict) else None
        if not isinstance(records, list):
            raise ProtocolError(f"{show_url(url)} does not answer as Packhorse's server does")
        return [self._checked(record, url) for record in records]

    def _checked(self, record: object, url: str) -> Mapping[str, Any]:
        """A record whose every member is what it must be; links stay at the server that was asked."""
        if not isinstance(record, dict):
            raise ProtocolError(f"{show_url(url)} does not answer as Packhorse's server does")
        path, size, link = record.get("path"), record.get("size"), record.get("url")
        fine = isinstance(path, str) and isinstance(link, str) and type(size) is int and size >= 0
        if not fine or not all(_is_digest(record.get(name), length) for name, length in (("md5", 32), ("sha256", 64))):
            raise ProtocolError(f"{show_url(url)} describes a file as none can be")
        parts = urlsplit(str(link))
        if not same_origin(str(link), self._base):
            # the server's own idea of its address may differ from the one that led here (a tunnel, a proxy)
            link = f"{self._base}{parts.path}?{parts.query}"
        self._links[str(path)] = {**record, "url": link}
        return self._links[str(path)]

    def _item(self, record: Mapping[str, Any]) -> Item:
        digests = (Digest("sha256", str(record["sha256"])), Digest("md5", str(record["md5"])))
        modified = record.get("modified")
        return Item(
            self.remote,
            record["path"],
            record["path"],
            size=record["size"],
            digests=digests,
            identity=Identity("digest", str(digests[0]), record["size"]),
            modified=float(modified) if isinstance(modified, int | float) else None,
        )

    async def items(self, path: str) -> AsyncIterator[Item]:
        """Every file at or below a path."""
        for item in await self.files([path]):
            yield item

    async def entries(self, path: str) -> AsyncIterator[Entry]:
        """The same, as rows."""
        for item in await self.files([path]):
            yield Entry(item.path, item.path, "file", item.size, item.modified, item)

    async def describe(self, path: str) -> Mapping[str, Any]:
        """What is at a path."""
        return {"files": len(await self.files([path]))}

    async def locate(self, item: Item) -> Locator:
        """The link that came with the listing, once; then a new one."""
        held = self._links.pop(item.key, None)
        if held is None:
            await self._ask([item.key])
            held = self._links.pop(item.key, None)
            if held is None:
                raise NotFoundError(f"{show_text(item.path)} is not on the server any more")
        expires = held.get("expires")
        return Locator(
            str(held["url"]),
            expires=float(expires) if isinstance(expires, int | float) else None,
            size=item.size,
            identity=item.identity,
            secret_url=True,
            authorised=False,
        )

    async def authorise(self, request: Request) -> Request:
        """Links are signed: nothing is added."""
        return request

    async def renew(self, refused: Request) -> bool:
        """There is nothing to renew but the link itself."""
        return False

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        return _refusal(head.status, body, head.url)

    async def aclose(self) -> None:
        """Nothing is held."""


def _is_digest(text: object, length: int) -> bool:
    return isinstance(text, str) and len(text) == length and set(text) <= _HEX


def _refusal(status: int, body: bytes, url: str) -> PackhorseError:
    try:
        said = json.loads(body.decode("utf-8", "replace"))
        words = show_text(str(said["message"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        words = f"{show_url(url)} answers HTTP {status}"
    if status == 401:
        return AuthenticationError(words, hint="ask for a new token: POST /data/download/token")
    if status == 403:
        return PermissionDeniedError(words, status=status)
    if status == 404:
        return NotFoundError(words)
    if status == 400:
        return UsageError(words)
    return ServerError(words, status=status)
