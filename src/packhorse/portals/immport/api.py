"""Calls of ImmPort's services: JSON in and out, long answers streamed, refusals (spec immport §1.2, §2.1)."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, Final, Protocol

import msgspec

from packhorse.errors import PackhorseError, PermissionDeniedError
from packhorse.net.calls import call, stream_following, too_long
from packhorse.net.message import Reply, Request, ResponseHead
from packhorse.net.retry import RetryPolicy, judge_error, judge_status
from packhorse.portals.context import PortalContext
from packhorse.portals.immport.auth import ImmPortAuth
from packhorse.portals.immport.bases import Service, bases_of
from packhorse.portals.immport.refusals import decoded, refusal

__all__ = ["STALL", "ImmPortApi", "Params", "Receives"]

STALL: Final = 300.0
"""Seconds without a byte before a query counts as dead: large studies take long to answer (spec §2.1)."""
_JSON_LIMIT: Final = 256 * 1024 * 1024
_REFUSAL_LIMIT: Final = 64 * 1024

Params = list[tuple[str, str]] | tuple[tuple[str, str], ...]


class Receives(Protocol):
    """Where a streamed answer goes, as :class:`packhorse.net.message.Sink`: only final good answers reach it."""

    def begin(self, head: ResponseHead) -> None: ...
    def write(self, data: bytes) -> None: ...


class ImmPortApi:
    """One ImmPort server. Lives on the engine's loop."""

    def __init__(self, context: PortalContext) -> None:
        self.remote = context.remote.name
        self.settings = context.remote
        self.environ = context.environ
        self.network = context.network
        self.bases = bases_of(context.remote)
        self.auth = ImmPortAuth(context, self.bases)

    def url(self, service: Service, path: str, params: Params = ()) -> str:
        """The URL of a path below a service's base. ``service``: auth, query, data, upload, batch."""
        return self.bases.url(service, path, params)

    async def call(self, request: Request, *, what: str, auth: bool = True, retries: int = 3) -> Reply:
        """Send any request of ours; the whole answer. Raises the error that a refusal means.

        ``what`` names the thing in messages. Not for answers of many rows: :meth:`stream`.
        """
        reply = await self.answer(request, auth=auth, retries=retries)
        if not reply.head.ok:
            raise self.refused(reply, what, auth=auth)
        return reply

    async def answer(self, request: Request, *, auth: bool = True, retries: int = 3) -> Reply:
        """Like :meth:`call`, with refusals as answers."""
        return await call(
            self.network,
            request,
            authorise=self.auth.authorise if auth else None,
            renew=self.auth.renew if auth else None,
            retries=retries,
            limit=_JSON_LIMIT,
            stall=STALL,
        )

    async def get_json(self, path: str, params: Params = (), *, service: Service = "query", auth: bool = True) -> Any:
        """GET a path as JSON. Raises the error that a refusal means, and :class:`ProtocolError` for no JSON."""
        request = Request("GET", self.url(service, path, params), {"Accept": "application/json"})
        return decoded(await self.call(request, what=path, auth=auth), self.remote, path)

    async def post_json(
        self,
        path: str,
        body: Any,
        *,
        service: Service = "data",
        auth: bool = True,
        idempotent: bool = True,
    ) -> Any:
        """POST ``body`` as JSON, and the answer's JSON. ``idempotent``: whether it may be sent twice without harm."""
        content = msgspec.json.encode(body)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        url = self.url(service, path)
        request = Request("POST", url, headers, content, len(content), idempotent=idempotent)
        return decoded(await self.call(request, what=path, auth=auth), self.remote, path)

    async def stream(
        self,
        path: str,
        params: Params,
        sink: Receives,
        *,
        service: Service = "query",
        auth: bool = True,
        accept: str = "application/json",
        retries: int = 3,
        bulk: bool = True,
    ) -> ResponseHead:
        """GET a path and stream the body of the good answer to ``sink``: it is begun once, and never anew.

        Tries that fail before the first byte of a good answer are repeated (5xx, 429, a cut line, a new token on 401);
        a cut after that is an error, because half of the rows are with the sink. With ``bulk`` the sink is called in a
        thread of its own and may block, which slows the server down; else it is called on the engine's loop.
        """
        policy = RetryPolicy(retries=retries)
        request = Request("GET", self.url(service, path, params), {"Accept": accept})
        attempt, renewed = 0, False
        while True:
            attempt += 1
            signed = await self.auth.authorise(request) if auth else request
            guarded = _Guarded(sink)
            try:
                head = await stream_following(self.network, signed, guarded, bulk=bulk, stall=STALL)
            except PackhorseError as error:
                verdict = judge_error(error, attempt=attempt, policy=policy, jitter=random.random())
                if guarded.given or verdict.action == "fail":
                    raise
            else:
                if head.ok:
                    return head
                verdict = judge_status(
                    head.status, head.headers, attempt=attempt, policy=policy, now=time.time(), jitter=random.random()
                )
                if verdict.too_long:
                    raise too_long(head, verdict.delay)
                if verdict.action == "renew" and auth and not renewed and await self.auth.renew(signed):
                    renewed = True
                    attempt -= 1
                    continue
                if verdict.action != "retry":
                    raise self.refused(Reply(head, bytes(guarded.refusal)), path, auth=auth)
            await asyncio.sleep(verdict.delay)

    def refused(self, reply: Reply, what: str, *, auth: bool = True) -> PackhorseError:
        """The error for a refused call."""
        return refusal(
            reply.status,
            reply.content,
            remote=self.remote,
            what=what.strip("/"),
            signed_in=auth and self.auth.signed_in,
            auth_base=self.bases.auth,
        )

    async def whoami(self) -> dict[str, Any]:
        """What the server says of us; ``{}`` when not signed in. Raises :class:`AuthenticationError`.

        ``userinfo`` where there is such a service, else a small protected question shows that the token is taken.
        """
        await self.auth.ready()
        if not self.auth.signed_in:
            return {}
        request = Request("GET", self.url("auth", "userinfo"), {"Accept": "application/json"})
        reply = await self.answer(request)
        if reply.head.ok and "json" in (reply.head.headers.get("content-type") or ""):
            held = decoded(reply, self.remote, "userinfo")
            if isinstance(held, dict):
                return held
        try:
            await self.get_json("api/study/getRestrictedStudyAccessions")
        except PermissionDeniedError:
            return {"scope": "without browse"}
        return {"signed_in": True}


class _Guarded:
    """Passes a good answer on; keeps the beginning of a refusal aside."""

    def __init__(self, sink: Receives) -> None:
        self.sink = sink
        self.given = False
        self.refusal = bytearray()
        self.first_byte = 0.0
        self._good = False

    def begin(self, head: ResponseHead) -> None:
        self.first_byte = time.monotonic()
        self.refusal.clear()
        self._good = head.ok
        if head.ok:
            self.given = True
            self.sink.begin(head)

    def write(self, data: bytes) -> None:
        if self._good:
            self.sink.write(data)
        elif len(self.refusal) < _REFUSAL_LIMIT:
            self.refusal += data
