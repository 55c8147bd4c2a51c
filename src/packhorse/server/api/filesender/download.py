"""``/download.php``: a recipient's or owner's files (spec filesender §6).

Better than the original: open and suffix ranges are right, one ETag holds for the whole file and all its ranges, an
unranged answer for an encrypted file is the whole ciphertext, and a refusal has a status that says so, with a page
for people. Ranges of encrypted files are as clients ask for them: plain offsets, stored lengths (§10.6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from packhorse.server.api.core import Home, log
from packhorse.server.api.filesender.auth import begin
from packhorse.server.api.filesender.core import Actor, Asked, read_asked
from packhorse.server.api.filesender.pages import fault_page
from packhorse.server.api.filesender.rights import owns, recipient_of_token
from packhorse.server.api.filesender.shapes import plan, shape_of
from packhorse.server.api.filesender.tally import Counted, taken
from packhorse.server.api.filesender.tally import begin as begin_tally
from packhorse.server.api.serving import FileAnswer
from packhorse.server.archive import ArchiveEntry, tar_answer, zip_answer
from packhorse.server.db.files import facts_of
from packhorse.server.db.filesender import AVAILABLE, Recipient, TransferFile
from packhorse.server.db.models import now
from packhorse.server.filesender.audit import author_recipient
from packhorse.server.filesender.faults import Fault
from packhorse.wire.filesender.links import is_token, new_token
from packhorse.wire.filesender.signing import read_query

__all__ = ["routes"]

_SCRIPT: Final = "download.php"
_MOST_IDS: Final = 10_000
_TRANSACTION_LIMIT: Final = 36


class Service:
    """``download.php`` for GET, HEAD and POST."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        try:
            answer = await _serve(request)
        except ClientDisconnect:
            return
        await answer(scope, receive, send)


async def _serve(request: Request) -> ASGIApp:
    home: Home = request.app.state.home
    try:
        if request.method not in ("GET", "HEAD", "POST"):
            return Response(status_code=405, headers={"Allow": "GET, HEAD, POST"})
        asked = read_asked(request, ())
        form = await _form(request, home.config.json_limit) if request.method == "POST" else b""
        return await run_in_threadpool(_judged, home, request, asked, form)
    except Fault as fault:
        return _page(fault)
    except SQLAlchemyError:
        log.exception("the database failed at %s", request.url.path)
        return _page(Fault("database_access_failure"))


async def _form(request: Request, limit: int) -> bytes:
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > limit:
            raise Fault("rest_bad_parameter", status=413)
    return bytes(raw)


def _judged(home: Home, request: Request, asked: Asked, form: bytes) -> ASGIApp:
    """Everything but sending, in a thread."""
    try:
        wanted = asked.query | dict(read_query(form))
    except ValueError:
        raise Fault("rest_bad_parameter") from None
    with home.database.write() as session:
        pending = begin(home, session, asked)
        if pending.signer is not None:
            pending.signer.body(form)
        actor = pending.confirm(session)
        files, recipient = _picked(session, actor, wanted)
        transaction = wanted.get("transaction_id", "").lower()
        if not (is_token(transaction) and len(transaction) <= _TRANSACTION_LIMIT):
            if not actor.signed and request.method != "POST":
                return _with_transaction(asked)
            transaction = new_token()  # a signature would not survive the redirect
        author = author_recipient(recipient, asked.ip) if recipient is not None else actor.author(asked.ip)
        archive = wanted.get("archive_format") or ("zip" if len(files) > 1 else "")
        took = taken(transaction, recipient, files, author, archive=bool(archive))
        answer = _archive(home, request, files, archive) if archive else _file(home, request, files[0])
    if request.method == "HEAD" or isinstance(answer, Response):
        return answer
    begin_tally(home, took)
    return Counted(answer, home, took)


def _file(home: Home, request: Request, file: TransferFile) -> ASGIApp:
    if file.file is None:
        raise Fault("file_not_found")
    planned = plan(shape_of(file, file.file.sha256), request.headers)
    if planned.part is None:
        return Response(status_code=planned.status, headers=dict(planned.headers))
    return FileAnswer(planned, home.storage, facts_of(file.file))


def _archive(home: Home, request: Request, files: list[TransferFile], kind: str) -> ASGIApp:
    """All files in one, laid out as it is sent. Encrypted ones are refused: nothing could read them in there."""
    transfer = files[0].transfer
    if kind not in ("zip", "tar") or transfer.encrypted:
        raise Fault("rest_bad_parameter")
    entries = []
    for file in files:
        if file.file is None:
            raise Fault("file_not_found")
        entries.append(ArchiveEntry(file.name, facts_of(file.file), transfer.created))
    # the same for the same files, so that a client can resume
    digits = hashlib.sha256(",".join(str(file.id) for file in files).encode()).hexdigest()[:8]
    name = f"transfer_{transfer.id}_files_{digits}.{kind}"
    make = zip_answer if kind == "zip" else tar_answer
    return make(entries, name, request.headers, home.storage, media_type=f"application/x-{kind}")


def _picked(session: Session, actor: Actor, wanted: Mapping[str, str]) -> tuple[list[TransferFile], Recipient | None]:
    """The files that were asked for, in this order, and the recipient who asks. Raises :class:`Fault`."""
    ids = _ids(wanted.get("files_ids") or wanted.get("files_ids[]") or "")
    if "token" in wanted or not actor.anybody:
        recipient = recipient_of_token(session, wanted.get("token"))
        if recipient.transfer.options.get("must_be_logged_in_to_download") and actor.user is None:
            raise Fault("rest_authentication_required")
        known = {file.id: file for file in recipient.transfer.files}
        if not set(ids) <= set(known):
            raise Fault("download_bad_files_ids")
        return [known[number] for number in ids], recipient
    rows = {row.id: row for row in session.scalars(select(TransferFile).where(TransferFile.id.in_(ids)))}
    if len(rows) != len(set(ids)) or len({row.transfer_id for row in rows.values()}) != 1:
        raise Fault("download_bad_files_ids")
    transfer = rows[ids[0]].transfer
    if actor.guest is not None or not owns(actor, transfer):
        raise Fault("rest_ownership_required")
    if transfer.status != AVAILABLE or transfer.expires <= now():
        raise Fault("transfer_presumed_expired")
    return [rows[number] for number in ids], None


def _ids(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise Fault("download_missing_files_ids")
    if len(parts) > _MOST_IDS or not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        raise Fault("download_bad_files_ids")
    return list(dict.fromkeys(int(part) for part in parts))


def _with_transaction(asked: Asked) -> Response:
    """To the same request with a transaction id (§6 step 1); relative, so that any proxy in front is right."""
    pairs = [pair for pair in asked.pairs if pair[0] != "transaction_id"]
    query = urlencode([*pairs, ("transaction_id", new_token())])
    return Response(status_code=302, headers={"Location": f"{_SCRIPT}?{query}", "Cache-Control": "no-store"})


def _page(fault: Fault) -> Response:
    """A refusal, for people; its status is one that no client takes for a file."""
    answer = fault_page(fault)
    answer.headers["X-Filesender-Error"] = fault.identifier
    return answer


routes: Final[list[Any]] = [Route(f"/{_SCRIPT}", Service())]
