"""What all files of one *get* share, and how a file's source is asked: locate, authorise, renew, retry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packhorse.errors import IntegrityError
from packhorse.model import ByteRange, Digest, Identity, Item, Proof, ProofLevel
from packhorse.net.message import Request
from packhorse.net.redirect import same_origin
from packhorse.net.retry import RetryPolicy
from packhorse.net.transport import Network
from packhorse.transfer.events import EventHandler
from packhorse.transfer.ledger import Ledger
from packhorse.transfer.limits import ByteBudget, Meter, Throttle
from packhorse.transfer.options import GetOptions
from packhorse.transfer.portal import Locator, Portal
from packhorse.transfer.tries import MAX_RENEWALS, BaseTries, Refused, blocking, plain_error

__all__ = [
    "BroughtInstead",
    "Job",
    "Refused",
    "Source",
    "Task",
    "Tries",
    "claims",
    "mismatch",
    "prove",
    "wanted_algorithms",
]

_RENEW_BEFORE: Final = 30.0


@dataclass(slots=True)
class Job:
    """What the files of one *get* share. Lives on the engine's loop; ``pool`` is for work that blocks."""

    network: Network
    options: GetOptions
    emit: EventHandler
    ledger: Ledger
    pool: Executor
    bytes: ByteBudget = field(default_factory=ByteBudget)
    meter: Meter = field(default_factory=Meter)
    throttle: Throttle | None = None
    large_running: int = 0

    @property
    def policy(self) -> RetryPolicy:
        return RetryPolicy(retries=self.options.retries)

    async def blocking(self, work: Callable[[], object], stop: Callable[[], None] | None = None) -> object:
        """Run what blocks in a thread, see :func:`packhorse.transfer.tries.blocking`."""
        return await blocking(self.pool, work, stop)


@dataclass(frozen=True, slots=True)
class Task:
    """One file to fetch: what, from where, and to which place (``path`` below the destination for the ledger)."""

    item: Item
    portal: Portal
    target: Path
    path: str
    original: str | None = None


class BroughtInstead(Exception):  # noqa: N818 - not an error: another way is taken
    """There is no address any more that could be asked: the portal brings the file by a tool of its own."""


class Source:
    """Where one item's bytes come from, through renewals. Shared by the item's connections."""

    def __init__(self, item: Item, portal: Portal) -> None:
        self.item = item
        self.portal = portal
        self._locator: Locator | None = None
        self._lock = asyncio.Lock()

    async def locator(self) -> Locator:
        """The current locator, renewed before it expires; single-flight."""
        if (locator := self._current()) is not None:
            return locator
        async with self._lock:
            if (locator := self._current()) is None:
                locator = self._locator = await self.portal.locate(self.item)
            return locator

    def _current(self) -> Locator | None:
        locator = self._locator
        if locator is None or (locator.expires is not None and locator.expires - _RENEW_BEFORE < time.time()):
            return None
        return locator

    def forget(self, used: Locator) -> None:
        """This locator was refused: ask for another next time."""
        if self._locator is used:
            self._locator = None

    async def request(self, wanted: ByteRange | None, identity: Identity | None) -> tuple[Request, Locator]:
        """The finished, authorised request for these file bytes (``None``: all of them). Raises :class:`BroughtInstead`
        where the portal has another way."""
        locator = await self.locator()
        if locator.bring is not None:
            raise BroughtInstead
        headers = dict(locator.headers)
        asked = self.wire_range(locator, wanted)
        if asked is not None:
            headers["Range"] = asked.header
            if identity is not None and identity.kind == "etag" and locator.slice is None:
                headers["If-Range"] = f'"{identity.value}"'
        request = Request("GET", locator.url, headers, secret_url=locator.secret_url)
        if locator.authorised:
            request = await self.portal.authorise(request)
        return request, locator

    @staticmethod
    def wire_range(locator: Locator, wanted: ByteRange | None) -> ByteRange | None:
        """What to ask of the wire object for these file bytes; ``None``: all of it."""
        if wanted is None:
            return locator.slice
        wire = wanted if locator.codec is None else locator.codec.wire_range(wanted)
        offset = 0 if locator.slice is None else locator.slice.start
        return ByteRange(wire.start + offset, wire.stop + offset)


class Tries(BaseTries):
    """The tries of one piece: what was refused may be renewed at its source."""

    def __init__(self, job: Job, path: str, source: Source) -> None:
        super().__init__(job.network, job.policy, job.emit, path)
        self.source = source

    async def after_refusal(self, refused: Refused, locator: Locator) -> None:
        """Renew, wait, or raise what the portal says that the refusal means."""
        head = refused.head
        verdict = self.judge(head, head.url)  # of who said so, which a redirect may have named
        if await self._renewed(refused, locator):
            self.attempt -= 1
            return
        if verdict.action == "retry":
            await self.wait(verdict, f"http-{head.status}", "", None)
            return
        raise plain_error(await self.source.portal.explain(head, refused.body), head)

    async def _renewed(self, refused: Refused, locator: Locator) -> bool:
        status = refused.head.status
        if self.renewals >= MAX_RENEWALS:
            return False
        if locator.refused is not None and locator.refused(refused.head, refused.body):
            self.renewals += 1
            self.source.forget(locator)
            return True
        # The locator's own expiry, or a signed address: another one may be had.
        renewable = locator.secret_url or locator.expires is not None
        if status in (401, 403, 410) and renewable and locator.refused is None:
            self.renewals += 1
            self.source.forget(locator)
            return True
        if status == 401 and locator.authorised and same_origin(refused.head.url, refused.request.url):
            self.renewals += 1
            return await self.source.portal.renew(refused.request)
        return False


def claims(item: Item, headers: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """The digests that decide: the portal's, else those that the first answer's headers state. A header never stands
    in for the portal's word: whoever serves wrong bytes can state their digest too."""
    return item.digests or headers


def wanted_algorithms(item: Item, options: GetOptions, stated: tuple[Digest, ...] = ()) -> tuple[str, ...]:
    """Which digests are made of a file: the portal's, else sha256; both sha256 and md5 where a receipt is asked for;
    none where no proof is."""
    if options.require is ProofLevel.NONE and not options.receipt:
        return ()
    known = (*item.digests, *stated)
    best = next((name for name in ("sha256", "md5", "crc32") if any(d.algorithm == name for d in known)), None)
    wanted = [best or "sha256"]
    if options.receipt:
        wanted += [name for name in ("sha256", "md5") if name not in wanted]
    return tuple(wanted)


def prove(
    digests: list[Digest],
    stated: tuple[Digest, ...],
    *,
    size: int,
    stated_size: int | None,
    whole: bool,
    authenticated: bool = False,
) -> tuple[Proof, Digest | None]:
    """What is proven, and the stated digest that the bytes disagree with, if any.

    ``whole``: the end of the bytes was marked. ``authenticated``: every byte came through a codec that authenticates;
    where there was none to authenticate, that says nothing. Pure.
    """
    made = {digest.algorithm: digest for digest in digests}
    matched: Digest | None = None
    for claim in stated:
        have = made.get(claim.algorithm)
        if have is None:
            continue
        if have != claim:
            return Proof(ProofLevel.NONE, None, tuple(digests)), claim
        if matched is None or ProofLevel(claim.algorithm).rank > ProofLevel(matched.algorithm).rank:
            matched = claim
    if authenticated and size:
        others = tuple(digest for digest in digests if digest != matched)
        return Proof(ProofLevel.AEAD, matched, others), None
    if matched is not None:
        others = tuple(digest for digest in digests if digest != matched)
        return Proof(ProofLevel(matched.algorithm), matched, others), None
    counted = whole or (stated_size is not None and stated_size == size)
    return Proof(ProofLevel.SIZE if counted else ProofLevel.NONE, None, tuple(digests)), None


def mismatch(path: str, claim: Digest, got: Digest) -> IntegrityError:
    """The bytes are not the stated ones."""
    return IntegrityError(
        f"{path} arrived with other bytes than stated. Expected: {claim}  Got: {got}",
        expected=str(claim),
        got=str(got),
        hint="nothing was placed; if it happens again, tell the portal's help desk both digests",
    )
