"""Bytes over HTTP: what to answer is a pure decision, sending is a loop around a reader (MEASURED §4).

A stored file (``api/serving``) and an archive that nobody wrote (``archive``) are both a :class:`Representation` and a
:class:`~packhorse.server.storage.Reader`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from packhorse.model import ByteRange, Digest
from packhorse.server.storage import Reader, StorageError, StoredFacts
from packhorse.wire import http

__all__ = ["BytesAnswer", "Plan", "Representation", "may_wait", "plan_bytes"]

log = logging.getLogger("packhorse.server")

_Given = ParamSpec("_Given")
_Got = TypeVar("_Got")
_HOT: Final = 256 * 1024
_COLD: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: a status, headers, and which bytes (``None``: no body)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    part: ByteRange | None


@dataclass(frozen=True, slots=True)
class Representation:
    """What is known of bytes before any is read: ``size`` in bytes, ``modified`` in Unix seconds.

    ``date_decides``: whether equal dates mean equal bytes. They do for a file; an archive with one file less may well
    keep its date, so there only the tag counts.
    """

    size: int
    etag: http.ETag
    modified: float | None
    name: str
    media_type: str
    digests: tuple[Digest, ...] = ()
    date_decides: bool = True


def plan_bytes(of: Representation, asked: Mapping[str, str], *, inline: bool = False) -> Plan:
    """The answer to a GET for these bytes (RFC 9110 §13.2.2 gives the order). ``asked`` has lower-case names.

    The digests stand in every answer that carries bytes; ``Content-MD5`` speaks of the body sent, so only with
    the whole of it. There is never a ``Content-Encoding``: a ``.gz`` is a file like any other (spec flow-wire §7.9).
    """
    dated = of.modified if of.date_decides else None
    common = (
        ("etag", str(of.etag)),
        *((("last-modified", http.http_date(of.modified)),) if of.modified is not None else ()),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, no-cache"),
        ("x-content-type-options", "nosniff"),
    )
    if not http.if_match_holds(asked.get("if-match"), of.etag) or _modified_since(asked, dated):
        return Plan(412, common, None)
    if http.if_none_match_hits(asked.get("if-none-match"), of.etag) or _not_modified(asked, dated):
        return Plan(304, common, None)
    digests = http.repr_digest(of.digests)
    described = (
        *common,
        ("content-type", of.media_type),
        ("content-disposition", http.content_disposition(of.name, inline=inline)),
        *((("repr-digest", digests),) if digests else ()),
        # a report may run its scripts, but not as this site
        *((("content-security-policy", "sandbox allow-scripts allow-popups allow-downloads"),) if inline else ()),
    )
    part = None
    if http.if_range_holds(asked.get("if-range"), of.etag, dated):
        part = http.parse_range(asked.get("range"), of.size)
    if isinstance(part, http.Unsatisfied):
        return Plan(416, (*common, ("content-range", http.unsatisfied_content_range(of.size))), None)
    if part is None:
        md5 = next((("content-md5", http.content_md5(d)) for d in of.digests if d.algorithm == "md5"), None)
        whole = (*described, ("content-length", str(of.size)), *((md5,) if md5 else ()))
        return Plan(200, whole, ByteRange(0, of.size))
    placed = ("content-range", http.build_content_range(part, of.size))
    return Plan(206, (*described, placed, ("content-length", str(len(part)))), part)


def _not_modified(asked: Mapping[str, str], modified: float | None) -> bool:
    """``If-Modified-Since``, which counts only without ``If-None-Match`` (RFC 9110 §13.1.3)."""
    if "if-none-match" in asked or modified is None:
        return False
    since = http.parse_http_date(asked.get("if-modified-since"))
    return since is not None and int(modified) <= since


def _modified_since(asked: Mapping[str, str], modified: float | None) -> bool:
    """``If-Unmodified-Since``, which counts only without ``If-Match`` (RFC 9110 §13.1.4)."""
    if "if-match" in asked or modified is None:
        return False
    before = http.parse_http_date(asked.get("if-unmodified-since"))
    return before is not None and int(modified) > before


def may_wait(facts: StoredFacts) -> bool:
    """Whether opening this file could wait for a slow or dead network disk; our own objects are at hand."""
    return facts.backend != "objects"


class BytesAnswer:
    """An ASGI response that sends a plan's bytes from a reader.

    ``open_reader`` may raise :class:`StorageError`; then ``unreadable`` answers instead. With ``may_wait`` every call
    that could wait for a disk is made in a thread.
    """

    def __init__(
        self, plan: Plan, open_reader: Callable[[], Reader], unreadable: Callable[[], ASGIApp], *, may_wait: bool
    ) -> None:
        self._plan = plan
        self._open = open_reader
        self._unreadable = unreadable
        self._may_wait = may_wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send headers and bytes; 503 when the bytes are not what was recorded.

        Bytes that change while they are sent end the connection before the last one: the head is out, and an
        unfinished body is the only way left to say that these bytes are not good.
        """
        try:
            reader = await self._maybe_in_thread(self._open)
        except StorageError as error:
            log.error("a stored file cannot be served: %s", error)
            await self._unreadable()(scope, receive, send)
            return
        try:
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._plan.headers]
            await send({"type": "http.response.start", "status": self._plan.status, "headers": headers})
            part = self._plan.part
            if part is None or not len(part) or scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif len(part) <= _HOT:
                await self._send_bytes(reader, part, send, None)
            else:
                gone = asyncio.ensure_future(_disconnected(receive))
                try:
                    await self._send_bytes(reader, part, send, gone)
                finally:
                    gone.cancel()
        except StorageError as error:
            log.error("a download was broken off: %s", error)
        finally:
            reader.close()

    async def _send_bytes(self, reader: Reader, part: ByteRange, send: Send, gone: asyncio.Future[None] | None) -> None:
        at, turns = part.start, 0
        while at < part.stop and not (gone is not None and gone.done()):
            block = reader.read_hot(at, min(_HOT, part.stop - at))
            if block is None:
                block = await run_in_threadpool(reader.read, at, min(_COLD, part.stop - at))
            at += len(block)
            if at >= part.stop:
                await self._maybe_in_thread(reader.check)
            await send({"type": "http.response.body", "body": block, "more_body": at < part.stop})
            turns += 1
            if turns % 16 == 0:  # a client as fast as we are never makes send wait; others want their turn
                await asyncio.sleep(0)

    async def _maybe_in_thread(self, call: Callable[_Given, _Got], *given: _Given.args, **named: _Given.kwargs) -> _Got:
        return await run_in_threadpool(call, *given, **named) if self._may_wait else call(*given, **named)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
