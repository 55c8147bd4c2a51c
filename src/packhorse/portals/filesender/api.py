"""Calls of FileSender's REST API: JSON in and out, refusals in plain words. HTML is never read as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from packhorse.errors import PackhorseError, ProtocolError
from packhorse.net.calls import call
from packhorse.net.message import HeaderValue, Reply, Request
from packhorse.net.redact import show_url
from packhorse.portals.context import PortalContext
from packhorse.portals.filesender.auth import FileSenderAuth, Signer
from packhorse.portals.filesender.guest import Voucher
from packhorse.portals.filesender.refusals import identifier_of, refusal
from packhorse.wire.filesender.bodies import request_json
from packhorse.wire.filesender.links import site_base
from packhorse.wire.filesender.records import Info, parse_info

__all__ = ["FileSenderApi", "Query"]

Query = Sequence[tuple[str, str]]
_AGAIN: Final = frozenset({"auth_remote_too_late", "auth_remote_signature_check_failed"})
_ENTER_AGAIN: Final = frozenset({"rest_security_token_did_not_match", "rest_xsrf_token_did_not_match"})


class FileSenderApi:
    """One FileSender server, spoken to in one way (``auth``). Lives on the engine's loop."""

    def __init__(self, context: PortalContext, *, voucher: Voucher | None = None, by: Signer | None = None) -> None:
        self.context = context
        self.remote = context.remote.name
        self.base = site_base(context.remote.url) or context.remote.url
        self.network = context.network
        self.auth = FileSenderAuth(context, self.base, voucher=voucher, by=by)
        self._info: Info | None = None
        self._asking: asyncio.Lock | None = None

    def url(self, path: str, query: Query = ()) -> str:
        """The URL of an endpoint below ``rest.php``."""
        return f"{self.base}/rest.php/{path.lstrip('/')}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")

    def page_url(self, query: Query, script: str = "") -> str:
        """The URL of a page of the site (``/?s=…``), or of ``download.php``."""
        return f"{self.base}/{script}?{urlencode(query, quote_via=quote)}"

    async def info(self) -> Info:
        """What the server says of itself, asked once. Public. Its ``Date`` is the first that is known of the clock."""
        if self._asking is None:
            self._asking = asyncio.Lock()
        async with self._asking:
            if self._info is None:
                self._info = parse_info(await self.get("info", signed=False))
            return self._info

    async def get(self, path: str, query: Query = (), *, signed: bool = True, what: str | None = None) -> Any:
        """GET as JSON. Raises the error that the answer means."""
        return await self.send("GET", path, query, signed=signed, what=what)

    async def send(
        self,
        method: str,
        path: str,
        query: Query = (),
        body: Any = None,
        *,
        signed: bool = True,
        repeatable: bool | None = None,
        what: str | None = None,
    ) -> Any:
        """One call, as JSON. ``signed`` false: without any credential. ``repeatable`` says whether it may be sent
        twice (mails go out with some PUTs). ``what`` names the thing in errors. Raises what the answer means."""
        what = what or path.strip("/")
        headers: dict[str, HeaderValue] = {"Accept": "application/json"}
        content = None
        if body is not None:
            content = request_json(body)
            headers["Content-Type"] = "application/json"
        # Empty tokens or keys never show: the query is hidden from messages as a whole.
        request = Request(
            method,
            self.url(path, query),
            headers,
            content,
            None if content is None else len(content),
            secret_url=bool(query),
            idempotent=repeatable,
        )
        reply = await self.reply(request, signed=signed)
        if not reply.head.ok:
            raise self.refused(reply, what)
        return self.decoded(reply, what)

    async def reply(self, request: Request, *, signed: bool = True) -> Reply:
        """The answer, whatever it is, after what a new timestamp or a new guest session can mend."""
        if signed:
            await self.auth.ready()
            if self.auth.signs and not self.auth.clock.known:
                await self.info()
        for again in (True, True, False):
            reply = await call(
                self.network, request, authorise=self.auth.authorise if signed else None, settled=_settled
            )
            moved = self.auth.learn(reply.head)
            said = "" if reply.head.ok else identifier_of(reply.content)
            if not (signed and again):
                break
            if said == "auth_remote_too_late" or (said in _AGAIN and moved):
                continue
            if self.auth.door is not None and said in _ENTER_AGAIN:
                await self.auth.door.enter(after=self.auth.door.generation)
                continue
            break
        return reply

    def decoded(self, reply: Reply, what: str) -> Any:
        """The JSON of an answer. Raises :class:`ProtocolError` for a page."""
        kind = (reply.head.headers.get("content-type") or "").lower()
        if "html" in kind or not reply.content.strip():
            raise ProtocolError(
                f"{self.remote}:{what}: {'a web page' if 'html' in kind else 'nothing'} came instead of an answer",
                hint=f"is {show_url(self.base)} the address of a FileSender site? "
                f"packhorse remote add {self.remote} filesender URL changes it",
            )
        try:
            return reply.json()
        except ProtocolError as error:
            raise ProtocolError(f"{self.remote}:{what}: {error.message}") from None

    def refused(self, reply: Reply, what: str) -> PackhorseError:
        """The error for a refused call."""
        return refusal(reply.head, reply.content, remote=self.remote, what=what, base=self.base)


def _settled(reply: Reply) -> bool:
    """Business refusals come as 500, with an identifier; an empty one is a fault that repeats itself (spec §1)."""
    return reply.status == 500
