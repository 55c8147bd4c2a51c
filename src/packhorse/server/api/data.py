"""Data files: records, previews, lists, and their bytes (spec flow §4.1, §6.2)."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.server.access import visible
from packhorse.server.api.catalogue import DATA_TYPES
from packhorse.server.api.core import Answer, Context, Refusal, endpoint, log
from packhorse.server.api.lists import by_id, counts, listed, order, owner_filter, pattern_filter, substring, times
from packhorse.server.api.records import can_edit, data_facts
from packhorse.server.api.serving import UNREADABLE, FileAnswer, plan_answer
from packhorse.server.db.files import facts_of
from packhorse.server.db.models import Data, Execution, StoredFile
from packhorse.server.storage import StorageError
from packhorse.wire import flow, flow_records

__all__ = ["data_rows", "routes", "send_file"]

_PREVIEW: Final = 10_240


def send_file(ctx: Context, file: StoredFile, name: str) -> ASGIApp:
    """A stored file's bytes under a name, as the request's Range and conditions ask."""
    facts = facts_of(file)
    plan = plan_answer(facts, name, ctx.request.headers, inline=ctx.flag("direct"))
    if plan.part is None:
        headers = dict(plan.headers)
        if plan.status == 304:
            return Response(status_code=304, headers=headers)
        return JSONResponse(
            flow.error_body(plan.status, _REFUSED[plan.status]), status_code=plan.status, headers=headers
        )
    return FileAnswer(plan, ctx.home.storage, facts)


_REFUSED: Final = {412: "The file is not the one that was asked for", 416: "The file has no such range of bytes"}


def download(ctx: Context) -> Answer:
    """``/downloads/<id>/<name>``; the name must be the file's own."""
    row = by_id(ctx, Data, ctx.path("id"))
    if ctx.path("name") != row.filename:
        raise Refusal(404)
    return send_file(ctx, row.file, row.filename)


def record(ctx: Context) -> Answer:
    """``/data/<id>``."""
    row = by_id(ctx, Data, ctx.path("id"))
    return flow_records.data_record(data_facts(row), can_edit=can_edit(ctx.session, row, ctx.caller))


def contents(ctx: Context) -> Answer:
    """``/data/<id>/contents?position=n``: the n-th 10,240 bytes of a text file."""
    row = by_id(ctx, Data, ctx.path("id"))
    position = ctx.number("position") or 0
    if position < 0:
        raise Refusal(400, {"position": ["Enter a number of at least 0."]})
    start = position * _PREVIEW
    if start >= row.file.size:
        return {"contents": "", "has_more": False}
    try:
        reader = ctx.home.storage.open(facts_of(row.file))
        try:
            # three bytes before and after: a character may lie across the border
            raw = _read(reader.read, max(start - 3, 0), min(start + _PREVIEW + 3, row.file.size))
        finally:
            reader.close()
    except StorageError as error:
        log.error("a stored file cannot be read: %s", error)
        raise Refusal(503, UNREADABLE) from None
    text = _preview(raw, start - max(start - 3, 0), _PREVIEW)
    if text is None:
        raise Refusal(400, "Data is binary")
    return {"contents": text, "has_more": start + _PREVIEW < row.file.size}


def _read(read: Any, start: int, stop: int) -> bytes:
    found = bytearray()
    while start + len(found) < stop:
        found += read(start + len(found), stop - start - len(found))
    return bytes(found)


def _preview(raw: bytes, skip: int, length: int) -> str | None:
    """The characters that begin within ``raw[skip:skip + length]``, or ``None`` when it is not text.

    Chunks put together give the whole text: a character belongs to the chunk that its first byte is in.
    """
    if b"\0" in raw:
        return None
    while skip < len(raw) and raw[skip] & 0xC0 == 0x80:
        skip, length = skip + 1, length - 1
    end = min(skip + length, len(raw))
    while end < len(raw) and raw[end] & 0xC0 == 0x80:
        end += 1
    try:
        return codecs.decode(raw[skip:end], "utf-8")
    except UnicodeDecodeError:
        return None


def data_rows(ctx: Context, rows: Sequence[Data], *, iso: bool = False) -> list[dict[str, Any]]:
    """Rows of a data list."""
    return [
        flow_records.data_row(data_facts(row), can_delete=can_edit(ctx.session, row, ctx.caller), iso=iso)
        for row in rows
    ]


def search(ctx: Context) -> Answer:
    """``/data/search``."""
    conditions: list[ColumnElement[bool]] = [
        visible(Data, ctx.caller),
        Data.removed.is_(None),
        *substring(Data.filename, ctx.text("filename")),
        *pattern_filter(ctx, Data.filename),
        *owner_filter(ctx, Data),
        *times(ctx, Data),
    ]
    if ctx.text("uploaded") is not None:
        conditions.append(Data.execution_id.is_(None) if ctx.flag("uploaded") else Data.execution_id.is_not(None))
    if (category := ctx.number("category")) is not None:
        conditions.append(Data.category == category)
    if types := ctx.texts("data_types"):
        conditions.append(Data.data_type.in_(types))
    for name, sign in (("size_gt", 1), ("size_lt", -1)):
        if (size := ctx.number(name)) is not None:
            matching = StoredFile.size >= size if sign > 0 else StoredFile.size <= size
            conditions.append(Data.file_id.in_(select(StoredFile.id).where(matching)))
    if (pipeline := ctx.text("pipeline")) is not None:
        named = select(Execution.id).where(Execution.pipeline_name.icontains(pipeline, autoescape=True))
        conditions.append(Data.execution_id.in_(named))
    query = select(Data).where(*conditions).order_by(*order(ctx, Data, Data.filename, "filename"))
    return listed(ctx, "data", query, lambda rows: data_rows(ctx, rows))


def types(ctx: Context) -> Answer:
    """``/data/types``."""
    counted = (
        select(Data.data_type, func.count())
        .where(visible(Data, ctx.caller), Data.removed.is_(None))
        .group_by(Data.data_type)
    )
    found = counts(ctx, counted)
    return [
        {"identifier": key, "name": name, "description": description, "data_count": found.get(key, 0)}
        for key, (name, description, _) in DATA_TYPES.items()
    ]


routes = [
    Route("/downloads/{id}/{name:path}", endpoint(download, download=True), methods=["GET"]),
    Route("/data/search", endpoint(search), methods=["GET"]),
    Route("/data/types", endpoint(types), methods=["GET"]),
    Route("/data/{id}/contents", endpoint(contents), methods=["GET"]),
    Route("/data/{id}", endpoint(record), methods=["GET"]),
]
