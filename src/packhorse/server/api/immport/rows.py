"""Answers of many records: streamed from the database in pieces, with bounded memory (spec immport §2.1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from packhorse.errors import UsageError
from packhorse.server.api.immport.core import NO_STORE, Context, Refusal
from packhorse.server.db.engine import Database
from packhorse.wire.immport.layout import JsonRows, Rows, TsvRows, pretty
from packhorse.wire.immport.models import Member

__all__ = [
    "RowsAnswer",
    "answer_list",
    "answer_rows",
    "answer_value",
    "one_value",
    "refuse_usage",
    "rows_for",
    "wants_tsv",
]

log = logging.getLogger("packhorse.server")

_TSV: Final = "text/tab-separated-values"


def wants_tsv(request: Request) -> bool:
    """Whether the caller asked for TSV. An unknown format is JSON, as the service answers it."""
    given = request.query_params.get("format")
    if given:
        return given.strip().lower() == "tsv"
    return _TSV in request.headers.get("accept", "").lower()


def rows_for(
    request: Request, members: Sequence[Member], own: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> Rows:
    """The layout that the caller asked for."""
    return (TsvRows if wants_tsv(request) else JsonRows)(members, own, optional)


def one_value(ctx: Context, name: str) -> str | None:
    """A query parameter that is taken once; ``None`` without one. Refuses (400) different ones."""
    given = {value for value in ctx.request.query_params.getlist(name) if value}
    if len(given) > 1:
        raise Refusal(400, f"{name} takes one value, not {len(given)}")
    return given.pop() if given else None


def answer_rows(ctx: Context, rows: Rows, records: Callable[[Session], Iterator[bytes]]) -> RowsAnswer:
    """Records that a session of the answer's own gives."""
    media_type = _TSV if isinstance(rows, TsvRows) else "application/json"
    return RowsAnswer(ctx.home.database, media_type, lambda session: rows.pieces(records(session)))


def answer_list(ctx: Context, members: Sequence[Member], values: Iterable[Sequence[Any]]) -> Response:
    """A short list of records that is at hand."""
    rows = rows_for(ctx.request, members)
    frame = rows.frame()
    body = b"".join(rows.pieces(rows.record(frame, each) for each in values))
    media_type = _TSV if isinstance(rows, TsvRows) else "application/json"
    return Response(body, headers=NO_STORE, media_type=media_type)


def answer_value(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Any JSON value in the service's layout."""
    body = pretty(value).encode("utf-8", "replace")
    return Response(body, headers={**NO_STORE, **(headers or {})}, media_type="application/json")


class RowsAnswer:
    """An ASGI response that sends what an iterator gives, made in a thread with a session of its own.

    What fails before the first piece is an error like any other; later the connection is broken off: half a list must
    not look whole. The session is closed when the client goes away.
    """

    def __init__(self, database: Database, media_type: str, pieces: Callable[[Session], Iterator[bytes]]) -> None:
        self._database = database
        self._pieces = pieces
        self._headers = [
            (b"content-type", f"{media_type};charset=utf-8".encode() if media_type == _TSV else media_type.encode()),
            *((name.lower().encode(), value.encode()) for name, value in NO_STORE.items()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head when the first piece is there, then piece by piece."""
        opened = self._database.read()
        session = opened.__enter__()  # a session holds no connection before its first statement
        gone = asyncio.ensure_future(_disconnected(receive))
        pieces = self._pieces(session)
        try:
            piece = await run_in_threadpool(next, pieces, b"")
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            if scope["method"] == "HEAD":
                piece = b""
            while piece and not gone.done():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await run_in_threadpool(next, pieces, b"")
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await asyncio.shield(run_in_threadpool(_end, pieces, session))


def _end(pieces: Iterator[bytes], session: Session) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
    session.close()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def refuse_usage(error: UsageError) -> Refusal:
    """What was asked for wrongly, as a 400."""
    return Refusal(400, error.message)
