"""``PUT /file/ID/chunk/OFFSET``: bytes from the network to their place (spec §4.3).

A chunk of known length is read into memory while the storage has some to lend. Else its pieces are gathered to 256 KiB
and written aside, so that however many are under way, what they hold is bounded. A thread computes CRC-32, the digest
that the sender stated and the signature. Only a chunk that is whole, permitted and as it was stated is put into its
place. A chunk may come again; after the file is complete, only with the bytes it has.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any, Final

from isal import isal_zlib
from sqlalchemy import CursorResult, bindparam, select, update
from sqlalchemy.orm import Session, joinedload, lazyload
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from packhorse.server import uploads
from packhorse.server.api.core import Home, log
from packhorse.server.api.filesender.auth import Pending, begin
from packhorse.server.api.filesender.core import Actor, Asked
from packhorse.server.api.filesender.rights import may_write, uploading, writer
from packhorse.server.api.filesender.taking import Taker, filled, gathered
from packhorse.server.db.files import facts_of
from packhorse.server.db.filesender import STARTED, UPLOADING, Transfer, TransferFile
from packhorse.server.db.models import now
from packhorse.server.filesender.acts import acting
from packhorse.server.filesender.audit import record
from packhorse.server.filesender.faults import Fault
from packhorse.server.storage import Part, StorageError
from packhorse.wire.filesender.bodies import written_body
from packhorse.wire.filesender.crypto import OVERHEAD, ChunkLayout, KeyVersion

__all__ = ["receive"]

_QUIET: Final = 60
_TRIES: Final = 4
_FILE: Final = (
    select(TransferFile)
    .where(TransferFile.id == bindparam("number"))
    .options(
        joinedload(TransferFile.transfer).options(
            lazyload(Transfer.files), lazyload(Transfer.recipients), lazyload(Transfer.user), lazyload(Transfer.guest)
        )
    )
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a chunk belongs: ``offset`` in the stored file, and the one length it must have, if that is known."""

    file_id: int
    offset: int
    room: int
    exact: int | None
    stated: int | None


async def receive(request: Request, asked: Asked) -> Any:
    """Take one chunk: ``{"offset", "written"}``. Raises :class:`Fault`."""
    home: Home = request.app.state.home
    most = home.config.filesender.chunk_size + OVERHEAD
    try:
        pending, place = await run_in_threadpool(_open, home, asked)
        length = _number(asked, "content-length")
        if length is not None:
            _check_length(place, length, most)
    except Fault:
        await _drain(request, most)
        raise
    writer = home.storage.part(length)
    taker = Taker(writer, pending, asked.headers.get("x-filesender-digest-sha256"))
    try:
        rest = await (gathered(request, taker, most) if writer.memory is None else filled(request, writer.memory))

        def end() -> dict[str, Any]:
            try:
                if isinstance(rest, bytearray):
                    taker.take(rest)
                else:
                    taker.hash(rest)
                return _finish(home, asked, pending, place, taker)
            finally:
                writer.close()  # here: it gives the file's pages back, which takes a while

        return await run_in_threadpool(end)
    except StorageError as error:
        raise _storage_fault(error) from None
    finally:
        writer.abandon()


async def _drain(request: Request, most: int) -> None:
    """Read what was sent along with a refused request: a sender that is cut off may never see the answer."""
    read = 0
    async for piece in request.stream():
        read += len(piece)
        if read > most:
            return


def _open(home: Home, asked: Asked) -> tuple[Pending, _Place]:
    """Everything that can be judged before the body; of a signed request nothing is said before it is verified."""
    with home.database.read() as session:
        pending = begin(home, session, asked)
        file = _file(session, _decimal(asked.parts[1]))
        if pending.signer is None:
            _permitted(home, pending, asked, file)
        return pending, _place(asked, file)


def _permitted(home: Home, pending: Pending, asked: Asked, file: TransferFile) -> None:
    may_write(home.config.filesender, pending.actor, asked, file.transfer, [file])
    uploading(file.transfer)


def _place(asked: Asked, file: TransferFile) -> _Place:
    if len(asked.parts) != 4:
        raise Fault("rest_missing_parameter" if len(asked.parts) < 4 else "rest_bad_parameter")
    offset = _decimal(asked.parts[3])
    stated = _number(asked, "x-filesender-chunk-size")
    for header, expected in (("x-filesender-file-size", file.size), ("x-filesender-chunk-offset", offset)):
        found = _number(asked, header)
        if found is not None and found != expected:
            raise Fault("rest_sanity_check_failed", {"header": header, "expected": expected, "found": found})
    if not file.transfer.encrypted:
        if offset > file.size:
            raise Fault("file_chunk_out_of_bounds")
        return _Place(file.id, offset, file.size - offset, None, stated)
    version = KeyVersion.of(file.transfer.key_version)
    layout = ChunkLayout(version, file.transfer.chunk_size, file.size)
    index, inside = divmod(offset, file.transfer.chunk_size)
    if inside:
        raise Fault("rest_sanity_check_failed", {"reason": "encrypted chunks begin at multiples of the chunk size"})
    if index >= layout.chunk_count:
        raise Fault("file_chunk_out_of_bounds")
    plain, stored = layout.plain_length(index), layout.stored_length(index)
    if stated is not None and stated != plain:
        raise Fault("rest_sanity_check_failed", {"reason": "chunk size", "expected": plain, "found": stated})
    return _Place(file.id, layout.stored_offset(index), stored, stored, None)


def _check_length(place: _Place, length: int, most: int) -> None:
    if length > most:
        raise Fault("storage_chunk_too_large", {"limit": most})
    if place.exact is not None and length != place.exact:
        raise Fault("rest_sanity_check_failed", {"reason": "body", "expected": place.exact, "found": length})
    if place.stated is not None and length != place.stated:
        raise Fault("rest_sanity_check_failed", {"reason": "body", "expected": place.stated, "found": length})
    if length > place.room:
        raise Fault("file_chunk_out_of_bounds")


def _finish(home: Home, asked: Asked, pending: Pending, place: _Place, taker: Taker) -> dict[str, Any]:
    """The end of a chunk, in a thread: every check, and then the copy."""
    for attempt in range(_TRIES):
        kept = None
        try:
            with home.database.turn, acting(home) as session:
                actor = pending.confirm(session)
                _check_length(place, taker.length, home.config.filesender.chunk_size + OVERHEAD)
                sha256 = taker.digest()
                file = _file(session, place.file_id)
                if pending.signer is not None:
                    may_write(home.config.filesender, actor, asked, file.transfer, [file])
                uploading(file.transfer)
                part = Part(place.offset, taker.length, f"{taker.crc:08x}")
                if file.completed is not None:
                    _compare(home, file, part)
                elif taker.length:
                    _touch(session, actor, asked, file.transfer)
                    key = file.draft_key or _draft(home, session, file)
                    uploads.keep_part(session, taker.writer, key, part, sha256=sha256)
                    kept = key
            if kept is not None:
                home.storage.kept(kept, part, taker.writer)
            return written_body(place.offset, taker.length)
        except uploads.DraftGoneError:
            if attempt + 1 == _TRIES:
                raise Fault("rest_data_stale") from None
    raise AssertionError


def _draft(home: Home, session: Session, file: TransferFile) -> str:
    """Begin the file's draft with its first chunk; of several first ones, one wins and the others look again."""
    key = uploads.new_draft(session, home.storage, file.stored_size)
    won: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        update(TransferFile)
        .where(TransferFile.id == file.id, TransferFile.draft_key.is_(None), TransferFile.file_id.is_(None))
        .values(draft_key=key)
        .execution_options(synchronize_session=False)
    )
    if won.rowcount != 1:
        home.storage.drop(key)
        raise uploads.DraftGoneError(key)
    return key


def _touch(session: Session, actor: Actor, asked: Asked, transfer: Transfer) -> None:
    """Note that the upload lives: at its first chunk, then at most once a minute. Before the draft's row is taken,
    since closing a transfer takes the rows in this order too."""
    if transfer.status == STARTED:
        begun: CursorResult[Any] = session.execute(  # type: ignore[assignment]
            update(Transfer)
            .where(Transfer.id == transfer.id, Transfer.status == STARTED)
            .values(status=UPLOADING, touched=now())
            .execution_options(synchronize_session=False)
        )
        if begun.rowcount == 1:
            record(session, "upload_started", transfer, writer(actor, asked, transfer))
    elif transfer.touched < now() - _QUIET:
        session.execute(
            update(Transfer)
            .where(Transfer.id == transfer.id)
            .values(touched=now())
            .execution_options(synchronize_session=False)
        )


def _compare(home: Home, file: TransferFile, part: Part) -> None:
    """A chunk of a complete file: fine when it says what is there. Raises :class:`Fault` otherwise."""
    if file.file is None:
        raise Fault("cannot_add_data_to_complete_transfer")
    reader = home.storage.open(facts_of(file.file))
    try:
        crc, at, stop = 0, part.offset, part.offset + part.length
        while at < stop:
            block = reader.read(at, stop - at)
            crc = isal_zlib.crc32(block, crc)
            at += len(block)
    finally:
        reader.close()
    if f"{crc:08x}" != part.crc32:
        raise Fault("cannot_add_data_to_complete_transfer", {"reason": "the file is complete, with other bytes"})


def _file(session: Session, number: int) -> TransferFile:
    """A file with its transfer, and nothing else of it: this runs for every chunk."""
    file = session.scalar(_FILE, {"number": number})
    if file is None:
        raise Fault("file_not_found")
    return file


def _storage_fault(error: StorageError) -> Fault:
    log.error("a chunk cannot be stored: %s", error)
    cause = error.__cause__
    full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
    return Fault("storage_not_enough_space_left" if full else "storage_filesystem_cannot_write")


def _number(asked: Asked, header: str) -> int | None:
    text = asked.headers.get(header)
    if text is None or not text.strip():
        return None
    return _decimal(text.strip())


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Fault("rest_bad_parameter")
    return int(text)
