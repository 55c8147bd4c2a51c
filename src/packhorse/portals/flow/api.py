"""Calls of Flow's REST API: JSON in and out, pages, refusals. Everything that comes back is checked here or in rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from packhorse.errors import NotFoundError, PackhorseError, ProtocolError
from packhorse.net.calls import call
from packhorse.net.message import Reply, Request
from packhorse.net.redact import show_url
from packhorse.portals.context import PortalContext
from packhorse.portals.flow.auth import FlowAuth
from packhorse.portals.flow.refusals import refusal, wrong_base
from packhorse.portals.flow.rows import decoded, mapping, rows_of
from packhorse.wire.flow import MAX_PAGE

__all__ = ["FlowApi", "Params"]

MAX_PAGES: Final = 100_000
"""A million rows in the smallest pages; a list that is longer is one that never ends."""
_RECORD_LIMIT: Final = 64 * 1024 * 1024  # an execution's record carries its log

Params = Sequence[tuple[str, str]]


class FlowApi:
    """One Flow server. Lives on the engine's loop."""

    def __init__(self, context: PortalContext) -> None:
        self.remote = context.remote.name
        self.base = context.remote.url
        self.network = context.network
        self.auth = FlowAuth(context)
        self.states_digests: bool | None = None  # in /data/<id>; not known before one was seen

    def url(self, path: str, params: Params = ()) -> str:
        """The URL of a path below the base."""
        query = f"?{urlencode(params)}" if params else ""
        return f"{self.base}/{path.lstrip('/')}{query}"

    async def get(self, path: str, params: Params = (), *, what: str | None = None) -> Any:
        """GET a path as JSON. Raises the error that the answer means, and :class:`ProtocolError` for no JSON."""
        request = Request("GET", self.url(path, params), {"Accept": "application/json"})
        reply = await call(
            self.network, request, authorise=self.auth.authorise, renew=self.auth.renew, limit=_RECORD_LIMIT
        )
        if not reply.head.ok:
            raise self.refused(reply, what or path.strip("/"))
        try:
            return decoded(reply)
        except ProtocolError as error:
            kind = (reply.head.headers.get("content-type") or "").lower()
            hint = wrong_base(self.remote, show_url(self.base)) if "html" in kind else None
            raise ProtocolError(f"{self.remote}:{what or path.strip('/')}: {error.message}", hint=hint) from None

    async def record(self, path: str) -> Mapping[str, Any]:
        """GET a path whose answer is one record."""
        return mapping(await self.get(path), path)

    async def pages(self, path: str, plural: str, params: Params = ()) -> AsyncIterator[Mapping[str, Any]]:
        """Every row of a paged list, as it becomes known.

        ``count`` in the answers is a hint only, for servers that cap the page size: an empty page ends the list, and
        so does one that brings nothing new (a server that ignores ``page``).
        """
        seen = 0
        ids: set[object] = set()
        for page in range(1, MAX_PAGES + 1):
            answer = await self.get(path, [*params, ("page", str(page)), ("count", str(MAX_PAGE))])
            if isinstance(answer, list):  # discovery lists are bare and whole
                answer = {plural: answer, "count": len(answer)}
            answer = mapping(answer, path)
            rows = rows_of(answer, plural)
            if rows is None:
                raise ProtocolError(f"{self.remote}:{path}: the server's list has no {plural!r}")
            fresh = [row for row in rows if not isinstance(row.get("id"), str | int) or row["id"] not in ids]
            if not fresh:
                return
            for row in fresh:
                if isinstance(row.get("id"), str | int):
                    ids.add(row["id"])
                yield row
            seen += len(rows)
            stated = answer.get("count")
            full = len(rows) >= MAX_PAGE
            if not full and not (isinstance(stated, int) and seen < stated):
                return
        raise ProtocolError(f"{self.remote}:{path}: the list does not end after {seen:,} rows")

    async def maybe_record(self, path: str) -> Mapping[str, Any] | None:
        """Like :meth:`record`; ``None`` where there is no such thing."""
        try:
            return await self.record(path)
        except NotFoundError:
            return None

    def refused(self, reply: Reply, what: str) -> PackhorseError:
        """The error for a refused call."""
        return refusal(reply.status, reply.content, remote=self.remote, what=what, signed_in=self.auth.signed_in)
