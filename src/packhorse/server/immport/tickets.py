"""Tickets: what is sent becomes a registration, a job works on it, and it ends completed or rejected (spec immport §4).

A ticket's work is idempotent: everything that it brings (records, report, status) is stored in one transaction, by the
first who comes to its end. A server that is killed on the way begins again after its restart.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import CursorResult, delete, insert, select, update
from sqlalchemy.orm import Session

from packhorse.server.db.files import facts_of
from packhorse.server.db.immport_uploads import (
    Registration,
    RegistrationFile,
    RegistrationResult,
    UploadRecord,
    Workspace,
)
from packhorse.server.db.models import StoredFile, User, now
from packhorse.server.immport import batch
from packhorse.server.immport.parcels import Parcel, ParcelError, is_zip, open_parcel
from packhorse.server.immport.records import Stand, sections, store
from packhorse.server.immport.sheets import Sheet, looks_like_template, read_sheet
from packhorse.server.immport.validation import Verdict, validate
from packhorse.server.jobs import job
from packhorse.wire.immport import reports
from packhorse.wire.immport.reports import ResultRow, Section
from packhorse.wire.immport.tickets import BATCH, SCHEMES, Scheme, is_final, stored_name, ticket_number

if TYPE_CHECKING:
    from packhorse.server.api.core import Home

__all__ = ["JOB", "OFFLINE", "ONLINE", "Sent", "find_registration", "process", "register", "summary", "workspaces_of"]

JOB: Final = "work on an ImmPort ticket"
ONLINE: Final = "Secure Web"
OFFLINE: Final = "Offline"
_TEMPLATE_LIMIT: Final = 256 << 20
_BATCH_LIMIT: Final = 64 << 20
_BEGINNING: Final = 4096
_CATEGORIES: Final = (("LSR", "Workspace of {}"), ("TEST", "Test workspace of {}"))


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request to register says, checked."""

    scheme: Scheme
    purpose: str
    workspace_id: int
    method: str
    package_name: str = ""
    file_name: str = ""
    notes: str = ""
    server_name: str = ""


def workspaces_of(session: Session, user: User) -> list[Workspace]:
    """A user's workspaces; made at first sight: one for data, one for tries."""
    query = select(Workspace).where(Workspace.user_id == user.id).order_by(Workspace.id)
    found = list(session.scalars(query))
    if not found:
        # taking the user's row: of two first requests, one makes them
        session.execute(update(User).where(User.id == user.id).values(active=User.active))
        found = list(session.scalars(query))
    if not found:
        for category, name in _CATEGORIES:
            session.add(Workspace(user_id=user.id, name=name.format(user.username), category=category, kind="PW"))
        session.flush()
        found = list(session.scalars(query))
    return found


def register(session: Session, user: User, sent: Sent, files: Sequence[tuple[str, StoredFile]]) -> Registration:
    """A new ticket of ``user`` (who owns the workspace); the caller commits and queues the work."""
    scheme = sent.scheme
    row = Registration(
        workspace_id=sent.workspace_id,
        scheme=scheme.name,
        purpose=sent.purpose,
        method=sent.method,
        package_name=sent.package_name,
        file_name=sent.file_name,
        notes=sent.notes,
        server_name=sent.server_name,
        status=scheme.status("Pending", validating=scheme.validating(sent.purpose)),
    )
    row.files = [RegistrationFile(position=at, name=name, file_id=file.id) for at, (name, file) in enumerate(files)]
    session.add(row)
    session.flush()
    row.ticket = ticket_number(user.username, _moment(row.created).date(), row.id)
    session.flush()
    return row


def find_registration(session: Session, ticket: str, user_id: int, scheme: Scheme) -> Registration | None:
    """A user's own ticket; other people's are as good as not there."""
    return session.scalar(
        select(Registration)
        .join(Workspace)
        .where(Registration.ticket == ticket, Workspace.user_id == user_id, Registration.scheme == scheme.name)
    )


def summary(session: Session, row: Registration) -> dict[str, Any]:
    """The body of the summary report."""
    results = session.scalars(
        select(RegistrationResult).where(RegistrationResult.registration_id == row.id).order_by(RegistrationResult.id)
    )
    return reports.summary_body(
        registration=row.id,
        ticket=row.ticket or "",
        workspace=row.workspace.name,
        file_name=row.file_name or row.package_name,
        status=row.status,
        day=_moment(row.created).date().isoformat(),
        user=row.workspace.user.username,
        method=row.method,
        rows=[(one.id, ResultRow(one.status, one.file_name, one.line, one.error, one.description)) for one in results],
    )


def _moment(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


@job(JOB)
def process(home: Home, *, registration: int) -> None:
    """Do a ticket's work. Raises only what another try may mend."""
    with home.database.read() as session:
        row = session.get(Registration, registration)
        if row is None or is_final(row.status) or not row.files:
            return
        scheme = SCHEMES[row.scheme]
        validating = scheme.validating(row.purpose)
        try:
            done = _batch(home, session, row) if scheme is BATCH else _upload(home, session, row)
        except ParcelError as error:
            done = _Done(False, [ResultRow("Error", row.file_name, None, error.message)])
    with home.database.write() as session:
        _end(session, registration, scheme, validating, done)


@dataclass(slots=True)
class _Done:
    """A ticket's work, before it counts."""

    good: bool
    rows: list[ResultRow]
    verdict: Verdict | None = None
    files: tuple[tuple[str, int, str, str], ...] = ()
    size: int = 0
    changes: batch.BatchFile | None = None


def _files(row: Registration) -> list[tuple[str, Any]]:
    return [(file.name, facts_of(file.file)) for file in row.files]


def _upload(home: Home, session: Session, row: Registration) -> _Done:
    files = _files(row)
    limits = home.config.immport
    zipped = len(files) == 1 and is_zip(files[0][0])
    with open_parcel(home.storage, files, zipped=zipped, most=limits.package_files) as parcel:
        sheets, others = _sheets(parcel)
        if sum(len(sheet.rows) for sheet in sheets) > limits.package_rows:
            raise ParcelError(
                f"the package's templates hold more than {limits.package_rows:,} rows; divide them among packages"
            )
        names = {file.name: file.size for file in parcel.files}
        verdict = validate(sheets, names, Stand(session, row.workspace), home.jobs.stopping.is_set)
        for name in others:
            if name not in verdict.used:
                said = "no template of the package names this file"
                verdict.rows.append(ResultRow("Information", name, None, None, said))
        for file in parcel.files:
            if verdict.good and file.name in verdict.used:
                for _ in file.blocks():  # to its end: a damaged file must not become part of the data
                    pass
    parsed = {sheet.file_name: "Parsed" for sheet in sheets}
    listed = tuple(
        (
            parsed.get(name) or verdict.used.get(name) or "Information",
            size,
            name,
            f"workspace/{row.workspace_id}/{name}",
        )
        for name, size in names.items()
    )
    size = sum(facts.size for _, facts in files)
    return _Done(verdict.good, verdict.rows, verdict, listed, size)


def _sheets(parcel: Parcel) -> tuple[list[Sheet], list[str]]:
    """The package's templates, read, and the names of its other files."""
    sheets, others = [], []
    for file in parcel.files:
        if not looks_like_template(file.name, file.beginning(_BEGINNING)):
            others.append(file.name)
            continue
        content = file.content(_TEMPLATE_LIMIT)
        if content is None:
            sheet = Sheet(file.name, file.size)
            sheet.fault(None, f"the template has {file.size:,} bytes; {_TEMPLATE_LIMIT:,} are allowed")
        else:
            sheet = read_sheet(file.name, content)
        sheets.append(sheet)
    return sheets, others


def _batch(home: Home, session: Session, row: Registration) -> _Done:
    (file, *more) = _files(row)
    with open_parcel(home.storage, [file], zipped=False, most=1) as parcel:
        content = parcel.files[0].content(_BATCH_LIMIT)
    if more or content is None:
        raise ParcelError(f"a batch update is one text file of at most {_BATCH_LIMIT:,} bytes")
    found = batch.read_batch(stored_name(row.ticket or "", row.file_name), content)
    if found.good():
        stand = Stand(session, row.workspace)
        batch.check_batch(found, lambda asked: stand.own(found.table, asked), stand)
    return _Done(found.good(), found.rows, changes=found)


def _end(session: Session, number: int, scheme: Scheme, validating: bool, done: _Done) -> None:
    """Store what a ticket's work brought, unless somebody was first."""
    status = scheme.status("Completed" if done.good else "Rejected", validating=validating)
    pending = scheme.status("Pending", validating=validating)
    won: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        update(Registration)
        .where(Registration.id == number, Registration.status == pending)
        .values(status=status, updated=now())
        .execution_options(synchronize_session=False)
    )
    if won.rowcount != 1:
        return
    row = session.get_one(Registration, number, populate_existing=True)
    rows = _frame(row, scheme, validating, done)
    if scheme is BATCH:
        row.report = _batch_end(session, row, validating, done)
    elif validating:
        row.report = reports.validation_report(row.workspace_id, _now(), _stored(row), rows)
    elif done.good and done.verdict is not None:
        row.report = _store(session, row, done, len(rows))
    session.execute(delete(RegistrationResult).where(RegistrationResult.registration_id == number))
    session.execute(
        insert(RegistrationResult),
        [
            {
                "registration_id": number,
                "status": one.status[:100],
                "file_name": one.file_name[:500],
                "line": one.line,
                "error": one.error,
                "description": one.description,
            }
            for one in rows
        ],
    )


def _frame(row: Registration, scheme: Scheme, validating: bool, done: _Done) -> list[ResultRow]:
    """The rows of the work between those of its beginning and its end."""
    name = row.file_name or row.package_name
    end = scheme.row_status("Completed" if done.good else "Rejected")
    begin = ResultRow(scheme.row_status("Registered"), name, None, None, f"server name:{row.server_name}")
    if validating:
        return [*done.rows, ResultRow(end, _stored(row))]
    return [begin, ResultRow(scheme.row_status("Started"), name, 0), *done.rows, ResultRow(end, name, 0)]


def _stored(row: Registration) -> str:
    return stored_name(row.ticket or "", row.file_name or row.package_name)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _store(session: Session, row: Registration, done: _Done, results: int) -> str:
    assert done.verdict is not None
    stored = store(session, row.workspace_id, row.id, done.verdict.records)
    row.workspace.updated = now()
    user = row.workspace.user
    return reports.upload_report(
        workspace=row.workspace_id,
        workspace_name=row.workspace.name,
        ticket=row.ticket or "",
        submitter=user.name or user.username,
        username=user.username,
        submitted=_moment(row.created),
        at=_now(),
        package=row.file_name or row.package_name,
        size=done.size,
        method=row.method,
        sections=sections(stored),
        files=done.files,
        counts=dict(Counter(one["table_name"] for one in stored)),
        results=results,
    )


def _batch_end(session: Session, row: Registration, validating: bool, done: _Done) -> str:
    found, stored = done.changes, None
    if found is not None and done.good and not validating:
        changed = []
        for change in found.changes:
            record = session.scalar(
                select(UploadRecord)
                .where(
                    UploadRecord.workspace_id == row.workspace_id,
                    UploadRecord.table_name == found.table,
                    UploadRecord.accession == change.accession,
                )
                .with_for_update()
            )
            assert record is not None  # it was there when it was checked, and records never go
            kept = {key: value for key, value in record.record.items() if key not in change.values}
            record.record = {**kept, **{key: value for key, value in change.values.items() if value}}
            changed.append((change.accession, *change.values.values()))
        stored = Section(found.name, (found.settings["key_columns"], *found.columns), tuple(changed))
    closing = ResultRow(BATCH.row_status("Completed" if done.good else "Rejected"), "", 0)
    return reports.batch_report(row.workspace_id, _now(), _stored(row), [*done.rows, closing], stored)
