"""A portal over the fault server, and one *get* over the engine with short waits.

Part of the kit: what a test of moving bytes needs besides :class:`packhorse.testing.faults.FaultServer`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from packhorse.errors import AuthenticationError, NotFoundError, RemoteError
from packhorse.model import Digest, Identity, Item
from packhorse.net.message import Request, ResponseHead
from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.testing.faults import FaultServer, GeneratedFile
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Outcome, Want
from packhorse.transfer.portal import Entry, Locator

__all__ = ["FaultPortal", "fetch", "item_for"]


class FaultPortal:
    """A portal over a fault server: says as much of its files as it is told to."""

    remote = "faulty"

    def __init__(self, server: FaultServer, token: str | None = None) -> None:
        self.server = server
        self.token = token
        self.renewals = 0

    async def items(self, path: str) -> AsyncIterator[Item]:
        nothing: tuple[Item, ...] = ()
        for item in nothing:
            yield item

    async def entries(self, path: str) -> AsyncIterator[Entry]:
        nothing: tuple[Entry, ...] = ()
        for entry in nothing:
            yield entry

    async def describe(self, path: str) -> Mapping[str, Any]:
        return {}

    async def locate(self, item: Item) -> Locator:
        return Locator(self.server.url_of(item.key), size=item.size)

    async def authorise(self, request: Request) -> Request:
        if self.token is None:
            return request
        return request.with_headers(Authorization=f"Bearer {self.token}-{self.renewals}")

    async def renew(self, refused: Request) -> bool:
        if refused.headers.get("Authorization") == f"Bearer {self.token}-{self.renewals}":
            self.renewals += 1
        return True

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        if head.status == 401:
            return AuthenticationError("not signed in")
        if head.status == 404:
            return NotFoundError("not there")
        return RemoteError(f"the server answers {head.status}", status=head.status)

    async def aclose(self) -> None:
        pass


def item_for(name: str, file: GeneratedFile, knowledge: str) -> Item:
    """The item as a portal describes it that states a digest, an immutable id, or nothing."""
    if knowledge == "digest":
        return Item(
            "faulty",
            name,
            name,
            file.size,
            (Digest("sha256", file.sha256),),
            Identity("digest", file.sha256, file.size),
        )
    if knowledge == "md5":
        return Item("faulty", name, name, file.size, (Digest("md5", file.md5),), Identity("id", name, file.size))
    if knowledge == "id":
        return Item("faulty", name, name, file.size, (), Identity("id", name, file.size))
    return Item("faulty", name, name)


def fetch(
    server: FaultServer, items: list[Item], destination: Path, portal: FaultPortal | None = None, **options: Any
) -> tuple[Outcome, list[Event], Network]:
    """One *get* over the engine, with short waits, on a network of its own (closed when it returns)."""
    engine = Engine.shared()
    network = Network(NetSettings(stall_timeout=2, connect_timeout=5, user_agent="packhorse-tests"))
    events: list[Event] = []
    portal = portal or FaultPortal(server)
    wants = [Want(item, portal) for item in items]

    async def work() -> Outcome:
        try:
            return await get(wants, destination, GetOptions(**options), network, events.append, pool=engine.pool)
        finally:
            await network.aclose()

    return engine.run(work()), events, network
