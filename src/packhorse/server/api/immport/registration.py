"""What uploads and batch updates have in common: taking a form in, tickets, their reports (spec immport §4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from packhorse.server.api.core import Home, Refusal
from packhorse.server.api.immport.core import NO_STORE, Context, Endpoint, endpoint, guarded, pretty, signed_in
from packhorse.server.api.immport.multipart import Form, parts_of, receive_form
from packhorse.server.db.files import record_file
from packhorse.server.db.filesender import Draft
from packhorse.server.db.immport_uploads import Registration, Workspace
from packhorse.server.db.models import StoredFile, User
from packhorse.server.immport.access import Caller
from packhorse.server.immport.tickets import JOB, Sent, find_registration, register, summary, workspaces_of
from packhorse.server.storage import StoredFacts
from packhorse.wire.immport.tickets import Scheme, is_final, is_ticket

__all__ = ["Check", "answer", "form_text", "receiving", "reports_of", "status_of", "validating", "workspace_of"]

Check = Callable[[Form, Caller], Sent]
_MOST_PENDING: Final = 50
_LOOK: Final = 0.05
_LONGEST: Final = 900.0
"""Seconds that a validation may take before its request is answered with where it is."""


def answer(body: Any, status: int = 200) -> Response:
    """Nested JSON as the service lays it out."""
    return Response(pretty(body), status, NO_STORE, media_type="application/json")


def form_text(form: Form, name: str, *, required: bool = False, most: int = 4000) -> str:
    """A field of the form. Refuses (400) one that is missing or too long."""
    text = form.fields.get(name, "").strip()
    if required and not text:
        raise Refusal(400, f"The field {name} is required")
    if len(text) > most or "\0" in text:
        raise Refusal(400, f"The field {name} is too long, or holds what no text may hold")
    return text


def workspace_of(form: Form) -> int:
    """The workspace's number. Refuses (400) what is none."""
    text = form_text(form, "workspaceId", required=True)
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Refusal(400, "The field workspaceId must be a number: GET /workspaces lists yours")
    return int(text)


def receiving(check: Check) -> Endpoint:
    """An endpoint that takes a form in and answers with a ticket. ``check`` says what the form asks for, or refuses."""

    async def run(request: Request) -> ASGIApp:
        caller = await signed_in(request, "upload")
        form = await receive_form(request)
        home: Home = request.app.state.home
        kept = False
        try:
            sent = check(form, caller)
            body = await run_in_threadpool(_keep, home, caller, sent, form)
            kept = True
            return answer(body)
        finally:
            if not kept:
                await run_in_threadpool(form.drop, home)

    return guarded(run)


def _keep(home: Home, caller: Caller, sent: Sent, form: Form) -> dict[str, Any]:
    """Make the files durable, then the ticket. The work is queued after the commit."""
    with home.database.write() as session:
        _check_workspace(session, caller, sent)
    modified = time.time()
    sealed = [(file, home.storage.seal(file.key, file.size, parts_of(file), modified=modified)) for file in form.files]
    with home.database.write() as session:
        _check_workspace(session, caller, sent)
        files: list[tuple[str, StoredFile]] = []
        for file, facts in sealed:
            files.append((file.name, _record(session, facts)))
            session.execute(delete(Draft).where(Draft.key == file.key))
        row = register(session, session.get_one(User, caller.user_id), sent, files)
        body = _ticket(row) | {"uploadPurpose": row.purpose, "workspaceId": row.workspace_id, "status": row.status}
        number, starts = row.id, bool(files) and not sent.scheme.validating(sent.purpose)
    if starts:
        home.jobs.enqueue(JOB, registration=number)
    return body


def _record(session: Session, facts: StoredFacts) -> StoredFile:
    return record_file(session, facts)


def _check_workspace(session: Session, caller: Caller, sent: Sent) -> None:
    user = session.get_one(User, caller.user_id)
    if sent.workspace_id not in [one.id for one in workspaces_of(session, user)]:
        raise Refusal(403, f"The workspace {sent.workspace_id} is not yours: GET /workspaces lists yours")
    pending = session.scalar(
        select(func.count())
        .select_from(Registration)
        .join(Workspace)
        .where(Workspace.user_id == caller.user_id, Registration.status.startswith("Pending"))
    )
    if (pending or 0) >= _MOST_PENDING:
        raise Refusal(429, f"{pending} tickets of yours are pending; wait for some", headers={"Retry-After": "60"})


def _ticket(row: Registration) -> dict[str, Any]:
    return {"uploadTicketNumber": row.ticket}


def _find(session: Session, caller: Caller, ticket: str, scheme: Scheme) -> Registration:
    row = find_registration(session, ticket, caller.user_id, scheme) if is_ticket(ticket) else None
    if row is None:
        raise Refusal(404, f"There is no ticket {ticket[:80]!r} of yours")
    return row


def status_of(scheme: Scheme) -> Endpoint:
    """``GET registration/{ticket}/status``."""

    def status(ctx: Context) -> ASGIApp:
        row = _find(ctx.session, ctx.user, ctx.path("ticket"), scheme)
        return answer(_ticket(row) | {"status": row.status})

    return endpoint(status, scope="upload")


def reports_of(scheme: Scheme) -> Endpoint:
    """``GET registration/{ticket}/reports/{summary|database}``."""

    def report(ctx: Context) -> ASGIApp:
        row = _find(ctx.session, ctx.user, ctx.path("ticket"), scheme)
        kind = ctx.path("kind")
        if kind == "summary":
            return answer(summary(ctx.session, row))
        if kind != "database":
            raise Refusal(404, "There are two reports: summary and database")
        return answer({"database": row.report} | _ticket(row) | {"type": "database"})

    return endpoint(report, scope="upload")


def validating(scheme: Scheme) -> Endpoint:
    """``POST validation``: do a ticket's validation and answer when it is over.

    The work is a job, so that it ends even if the server is killed meanwhile.
    """

    async def run(request: Request) -> ASGIApp:
        caller = await signed_in(request, "upload")
        form = await _small_form(request)
        ticket = form_text(form, "uploadTicketNumber", required=True)
        home: Home = request.app.state.home
        until = time.monotonic() + _LONGEST
        number, status = await run_in_threadpool(_look, home, caller, ticket, scheme)
        if not is_final(status):
            home.jobs.enqueue(JOB, registration=number)
        while not is_final(status) and time.monotonic() < until and not home.jobs.stopping.is_set():
            await asyncio.sleep(_LOOK)
            if await request.is_disconnected():
                break
            _, status = await run_in_threadpool(_look, home, caller, ticket, scheme)
        return answer({"uploadTicketNumber": ticket, "status": status})

    return guarded(run)


async def _small_form(request: Request) -> Form:
    """A form without files: multipart as documented, or url-encoded as curl's ``-d`` sends it."""
    if "multipart/" in request.headers.get("content-type", "").lower():
        form = await receive_form(request)
        if form.files:
            await run_in_threadpool(form.drop, request.app.state.home)
            raise Refusal(400, "A validation takes a ticket, not a file")
        return form
    from urllib.parse import parse_qsl

    from packhorse.server.api.immport.core import bounded_body

    raw = await bounded_body(request, 64 * 1024)
    try:
        return Form(dict(parse_qsl(raw.decode("ascii"), max_num_fields=20)))
    except ValueError:
        raise Refusal(400, "The request body is no form") from None


def _look(home: Home, caller: Caller, ticket: str, scheme: Scheme) -> tuple[int, str]:
    with home.database.read() as session:
        row = _find(session, caller, ticket, scheme)
        if not scheme.validating(row.purpose):
            raise Refusal(400, f"The ticket {ticket} is not for validation: its purpose is {row.purpose}")
        return row.id, row.status
