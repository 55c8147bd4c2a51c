"""``/file``: reading, completing, deleting (spec §4.4, §5). Chunks have a room of their own."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import update
from sqlalchemy.orm import Session

from packhorse.server import uploads
from packhorse.server.api.core import Home, log
from packhorse.server.api.filesender.auth import check_tokens
from packhorse.server.api.filesender.core import Call, Later
from packhorse.server.api.filesender.records import file_json
from packhorse.server.api.filesender.rights import file_of, may_write, own_file, uploading, writer
from packhorse.server.db.files import record_file
from packhorse.server.db.filesender import CLOSED, Transfer, TransferFile
from packhorse.server.db.models import StoredFile, now
from packhorse.server.filesender.acts import acting, delete_file, hold
from packhorse.server.filesender.audit import Author, record
from packhorse.server.filesender.faults import Fault
from packhorse.server.storage import DraftError
from packhorse.wire.filesender.lenient import flag

__all__ = ["delete", "get", "put"]

_TRIES: Final = 3
_SHOWN: Final = 20


def get(call: Call) -> Any:
    """One file of the caller's."""
    return file_json(own_file(call, call.number(1)))


def put(call: Call) -> Any:
    """``{"complete": true}``: make a file of what arrived (§4.4).

    Unlike the original it refuses a file with holes, and one whose bytes are not those that came in. Asking again is
    fine. The whole file is read for it, outside of the transaction that judged the caller.
    """
    file = file_of(call.session, call.number(1))
    if not flag(call.body.get("complete")):
        check_tokens(call.actor, call.asked)
        raise Fault("rest_missing_parameter")
    may_write(call.settings, call.actor, call.asked, file.transfer, [file])
    if file.completed is not None:
        return True
    uploading(file.transfer)
    home, number, author = call.home, file.id, writer(call.actor, call.asked, file.transfer)
    return Later(lambda: _complete(home, number, author))


def _complete(home: Home, number: int, author: Author) -> bool:
    for _ in range(_TRIES):
        with home.database.read() as session:
            file = file_of(session, number)
            if file.completed is not None:
                return True
            key, size = file.draft_key, file.stored_size
        try:
            sealed = _hashed(home, key, size)
        except Fault:
            with home.database.read() as session:  # another request may have made the file, and emptied the draft
                if file_of(session, number).completed is not None:
                    return True
            raise
        with acting(home) as session:
            transfer: Transfer | None = hold(session, Transfer, _transfer_of(session, number))
            if transfer is None:
                raise Fault("transfer_not_found")
            if file_of(session, number).completed is not None:
                return True
            uploading(transfer)
            stored = _sealed(home, session, sealed)
            if stored is not None:
                session.execute(
                    update(TransferFile)
                    .where(TransferFile.id == number)
                    .values(completed=now(), file_id=stored.id, draft_key=None)
                    .execution_options(synchronize_session=False)
                )
                record(session, "file_uploaded", file_of(session, number), author)
                return True
    raise Fault("file_integrity_check_failed", {"reason": "parts kept coming"})


def _hashed(home: Home, key: str | None, size: int) -> uploads.Sealed | None:
    """The draft, checked and hashed; ``None`` for a file without bytes."""
    if not size:
        return None
    if key is None:
        raise Fault("file_integrity_check_failed", {"missing": [[0, size]]})
    try:
        return uploads.hash_draft(home.database, home.storage, key, size, modified=now())
    except uploads.HolesError as error:
        raise Fault("file_integrity_check_failed", {"missing": error.holes[:_SHOWN]}) from None
    except DraftError as error:
        log.error("an upload cannot be completed: %s", error)
        raise Fault("file_integrity_check_failed") from None


def _sealed(home: Home, session: Session, sealed: uploads.Sealed | None) -> StoredFile | None:
    """The stored file; ``None`` when something came in between."""
    if sealed is None:
        return record_file(session, home.storage.put([], modified=now()))
    try:
        return uploads.seal(session, sealed)
    except uploads.DraftGoneError:
        return None


def _transfer_of(session: Session, number: int) -> int:
    """The transfer of a file. Raises :class:`Fault`."""
    return file_of(session, number).transfer_id


def delete(call: Call) -> None:
    """Take a file away; the last one closes the transfer."""
    check_tokens(call.actor, call.asked)
    number = call.number(1)
    own_file(call, number)
    transfer = hold(call.session, Transfer, _transfer_of(call.session, number))
    if transfer.status == CLOSED:
        raise Fault("cannot_alter_closed_transfer")
    if call.actor.guest is not None:
        uploading(transfer)
    delete_file(call.session, file_of(call.session, number), call.author)
