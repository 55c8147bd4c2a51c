"""Bulk downloads: jobs by data, sample and execution ids, and their archives (spec flow §4.3)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import func, select
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.server.access import visible
from packhorse.server.api.core import Answer, Context, Refusal, endpoint, refusal_answer
from packhorse.server.api.lists import page_of
from packhorse.server.archive import archive_answer
from packhorse.server.bulk import COMPLETE, Archives, Wanted, create_job, facts_of_job
from packhorse.server.db.bulk import BulkJob, BulkMember
from packhorse.server.db.engine import after_commit
from packhorse.server.db.models import Data, Execution, ExecutionOutput, Sample
from packhorse.wire import flow
from packhorse.wire.flow_jobs import EXPIRED, archive_name, job_record, job_state

__all__ = ["routes"]

_MOST: Final = 100_000
_AT_ONCE: Final = 500
_Kind = TypeVar("_Kind", Data, Sample, Execution)
_archives = Archives()
_UNREADABLE: Final = {
    412: "The archive is not the one that was asked for",
    416: "The archive has no such range of bytes",
    503: "A file of this archive cannot be read on the server at the moment",
}


def create_by_data(ctx: Context) -> Answer:
    """``POST /downloads``: an archive of data files."""
    rows = _readable(ctx, Data, "data_ids")
    wanted = [Wanted(row, row.filename, row.sample.name if row.sample else "") for row in rows]
    return _created(ctx, wanted, "download")


def create_by_samples(ctx: Context) -> Answer:
    """``POST /downloads/samples``: the input files of samples, a folder a sample."""
    samples = _readable(ctx, Sample, "sample_ids")
    names = {row.id: row.name for row in samples}
    rows = _in_slices(
        ctx,
        list(names),
        lambda ids: (
            select(Data)
            .where(
                Data.sample_id.in_(ids), Data.execution_id.is_(None), Data.removed.is_(None), visible(Data, ctx.caller)
            )
            .order_by(Data.sample_id, Data.position, Data.id)
        ),
    )
    wanted = [Wanted(row, f"{names[row.sample_id]}/{row.filename}", str(row.sample_id)) for row in rows]
    return _created(ctx, wanted, samples[0].name if len(samples) == 1 else "samples")


def create_by_executions(ctx: Context) -> Answer:
    """``POST /downloads/executions``: the results of executions under their own paths, a folder an execution."""
    executions = _readable(ctx, Execution, "execution_ids")
    rows = _in_slices(
        ctx,
        [row.id for row in executions],
        lambda ids: (
            select(ExecutionOutput)
            .join(Data, Data.id == ExecutionOutput.data_id)
            .where(ExecutionOutput.execution_id.in_(ids), Data.removed.is_(None), visible(Data, ctx.caller))
            .order_by(ExecutionOutput.execution_id, ExecutionOutput.path)
        ),
    )
    wanted = [Wanted(row.data, f"{row.execution_id}/{row.path}") for row in rows]
    name = f"execution_{executions[0].id}" if len(executions) == 1 else "executions"
    return _created(ctx, wanted, name, by_execution=True)


def _created(ctx: Context, wanted: Sequence[Wanted], fallback: str, *, by_execution: bool = False) -> Answer:
    if not wanted:
        raise Refusal(400, "There are no files in this")
    if len(wanted) > _MOST:
        raise Refusal(400, f"An archive holds at most {_MOST:,} files, not {len(wanted):,}")
    name = archive_name(ctx.body.get("name"), fallback)
    row = create_job(ctx.session, ctx.user.user_id, name, wanted, by_execution=by_execution)
    if row.finished is None:
        after_commit(ctx.session, partial(ctx.home.jobs.enqueue, COMPLETE, job_id=row.id))
    return JSONResponse(_shown(ctx, row), status_code=201, headers={"Cache-Control": "no-store"})


def _readable(ctx: Context, kind: type[_Kind], field: str) -> list[_Kind]:
    """The records that a body names, in its order. Refuses a body without ids, absent ones (404), others' (403)."""
    given = ctx.body.get(field)
    if not isinstance(given, list) or not given:
        raise Refusal(400, {field: ["Give a list of ids."]})
    if len(given) > _MOST:
        raise Refusal(400, {field: [f"At most {_MOST:,} ids."]})
    numbers: dict[int, str] = {}
    odd: list[str] = []
    for one in given:
        text = str(one) if isinstance(one, int | str) and not isinstance(one, bool) else ""
        number = flow.parse_id(text)
        if number is None:
            odd.append(text[:40])
        else:
            numbers[number] = text
    if odd:
        raise Refusal(400, {field: [f"Not an id: {', '.join(map(repr, odd[:5]))}"]})
    found: dict[int, _Kind] = {}
    for ids in _slices(list(numbers)):
        query = select(kind).where(kind.id.in_(ids))
        if kind is Data:
            query = query.where(Data.removed.is_(None))
        found.update({row.id: row for row in ctx.session.scalars(query)})
    absent = [text for number, text in numbers.items() if number not in found]
    if absent:
        raise Refusal(404, f"Not found: {_some(absent)}")
    allowed: set[int] = set()
    for ids in _slices(list(numbers)):
        allowed |= set(ctx.session.scalars(select(kind.id).where(kind.id.in_(ids), visible(kind, ctx.caller))))
    if closed := [text for number, text in numbers.items() if number not in allowed]:
        raise Refusal(403, f"You do not have permission to download: {_some(closed)}")
    return [found[number] for number in numbers]


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - 5} more" if len(texts) > 5 else ""
    return ", ".join(texts[:5]) + more


def _slices(numbers: Sequence[int]) -> list[Sequence[int]]:
    return [numbers[start : start + _AT_ONCE] for start in range(0, len(numbers), _AT_ONCE)]


def _in_slices(ctx: Context, numbers: Sequence[int], query: Any) -> list[Any]:
    return [row for ids in _slices(numbers) for row in ctx.session.scalars(query(ids))]


def _shown(ctx: Context, row: BulkJob) -> dict[str, Any]:
    origin = ctx.home.config.public_url or f"{ctx.request.url.scheme}://{ctx.request.url.netloc}"
    members = select(BulkMember.data_id).where(BulkMember.job_id == row.id).order_by(BulkMember.position)
    facts = facts_of_job(row, ctx.session.scalars(members).all())
    return job_record(facts, time.time(), base=f"{origin.rstrip('/')}/api")


def _own(ctx: Context) -> BulkJob:
    """The job of the path, if it is the caller's: others' are as if they were not."""
    try:
        key = str(uuid.UUID(ctx.path("job")))
    except ValueError:
        raise Refusal(404, "Download job not found") from None
    row = ctx.session.get(BulkJob, key)
    if row is None or (row.user_id != ctx.user.user_id and not ctx.user.admin):
        raise Refusal(404, "Download job not found")
    return row


def jobs(ctx: Context) -> Answer:
    """``GET /downloads``: the caller's jobs, newest first."""
    page, size = page_of(ctx)
    mine = BulkJob.user_id == ctx.user.user_id
    total = ctx.session.scalar(select(func.count()).select_from(BulkJob).where(mine)) or 0
    query = select(BulkJob).where(mine).order_by(BulkJob.created.desc(), BulkJob.id)
    rows = ctx.session.scalars(query.limit(size).offset((page - 1) * size)).all()
    return flow.envelope("downloads", [_shown(ctx, row) for row in rows], count=total, page=page)


def status(ctx: Context) -> Answer:
    """``GET /downloads/<job>/status``."""
    return _shown(ctx, _own(ctx))


def archive(ctx: Context) -> Answer:
    """``GET /downloads/<job>`` and ``/downloads/<job>/<name>``: the ZIP, as Range and conditions ask."""
    if ctx.caller is None:
        raise Refusal(401)
    row = _own(ctx)
    state = job_state(facts_of_job(row), time.time())
    if state == "expired":
        raise Refusal(410, EXPIRED)
    if state == "failed":
        raise Refusal(410, row.error)
    if state != "completed":
        raise Refusal(409, "The archive is not ready yet", headers={"Retry-After": "1"})
    # a right that was withdrawn since, and a file that was, close the archive too
    open_to = select(Data.id).where(Data.removed.is_(None), visible(Data, ctx.caller))
    closed = select(BulkMember.data_id).where(BulkMember.job_id == row.id, BulkMember.data_id.not_in(open_to)).limit(1)
    if ctx.session.scalar(closed) is not None:
        raise Refusal(403, "A file of this archive may not be downloaded any more: ask for another archive")
    return archive_answer(_archives.of(row), row.name, ctx.request.headers, ctx.home.storage, refuse=_refuse)


def _refuse(status: int, headers: Mapping[str, str]) -> ASGIApp:
    return refusal_answer(Refusal(status, _UNREADABLE[status], headers=headers))


def drop(ctx: Context) -> Answer:
    """``DELETE /downloads/<job>``: cancel it, or forget it."""
    ctx.session.delete(_own(ctx))
    return Response(status_code=204)


def _make(handler: Any) -> Any:
    return endpoint(handler, auth="required", body=True, write=True)


routes = [
    Route("/downloads", endpoint(jobs, auth="required"), methods=["GET"]),
    Route("/downloads", _make(create_by_data), methods=["POST"]),
    Route("/downloads/samples", _make(create_by_samples), methods=["POST"]),
    Route("/downloads/executions", _make(create_by_executions), methods=["POST"]),
    Route("/downloads/{job:uuid}/status", endpoint(status, auth="required"), methods=["GET"]),
    Route("/downloads/{job:uuid}", endpoint(archive, download=True, heavy=True), methods=["GET"]),
    Route("/downloads/{job:uuid}", endpoint(drop, auth="required", write=True), methods=["DELETE"]),
    Route("/downloads/{job:uuid}/{name:path}", endpoint(archive, download=True, heavy=True), methods=["GET"]),
]
