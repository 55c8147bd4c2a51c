"""Downloads are logged once however many ranges they take; their ends are told to who wants to know (spec §6, §8)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from packhorse.server.api.core import Home, log
from packhorse.server.db.filesender import Download, Recipient, Transfer, TransferFile
from packhorse.server.db.models import now
from packhorse.server.filesender import letters
from packhorse.server.filesender.audit import Author, record

__all__ = ["Counted", "Taken", "begin", "taken"]


@dataclass(frozen=True, slots=True)
class Taken:
    """One logical download: ``key`` is its row's, ``size`` the bytes after which it is over."""

    key: tuple[str, int, int]
    files: tuple[int, ...]
    transfer_id: int
    size: int
    archive: bool
    author: Author


def taken(
    transaction: str, recipient: Recipient | None, files: Sequence[TransferFile], author: Author, *, archive: bool
) -> Taken:
    """What a request takes. An archive has a row of its own beside those of the files in it."""
    ids = tuple(file.id for file in files)
    if archive:
        transaction = hashlib.sha256(f"{transaction} {ids}".encode()).hexdigest()[:36]
    key = (transaction, recipient.id if recipient is not None else 0, ids[0])
    size = sum(file.stored_size for file in files)
    return Taken(key, ids, files[0].transfer_id, size, archive, author)


def begin(home: Home, taken: Taken) -> None:
    """Log the start of a download, once for all its ranges."""
    key = taken.key
    with home.database.read() as session:
        if session.get(Download, key) is not None:
            return
    try:
        with home.database.write() as session:
            session.add(Download(transaction_id=key[0], recipient_id=key[1], file_id=key[2]))
            session.flush()
            target = session.get(Transfer, taken.transfer_id) if taken.archive else session.get(TransferFile, key[2])
            if target is not None:
                record(
                    session, "archive_download_started" if taken.archive else "download_started", target, taken.author
                )
    except IntegrityError:  # another range of it was first, or the file is gone
        return


def _sent(home: Home, taken: Taken, count: int) -> None:
    """Count what an answer brought; when the whole file has been sent, log it and tell who wants to know, once."""
    key = taken.key
    these = (Download.transaction_id == key[0], Download.recipient_id == key[1], Download.file_id == key[2])
    with home.database.write() as session:
        session.execute(update(Download).where(*these).values(sent=Download.sent + count))
        row = session.get(Download, key, populate_existing=True)
        if row is None or row.ended is not None or row.sent < taken.size:
            return
        row.ended = now()
        found = [session.get(TransferFile, number) for number in taken.files]
        files = [file for file in found if file is not None]
        if not files:
            return
        transfer, seconds = files[0].transfer, row.ended - row.started
        if taken.archive:
            record(session, "archive_download_ended", transfer, taken.author, seconds=seconds)
        else:
            record(session, "download_ended", files[0], taken.author, seconds=seconds)
        recipient = session.get(Recipient, key[1]) if key[1] else None
        if recipient is not None:
            recipient.last_activity = now()
            letters.downloaded(session, transfer, recipient, files)


class Counted:
    """An answer whose bytes are counted. The last count is written before the last byte goes out, so that whoever has
    the file finds it in the log."""

    def __init__(self, answer: ASGIApp, home: Home, taken: Taken) -> None:
        self._answer = answer
        self._home = home
        self._taken = taken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, and count."""
        count, kept, good = 0, False, False

        async def counted(message: Message) -> None:
            nonlocal count, kept, good
            if message["type"] == "http.response.start":
                good = message["status"] < 300
            elif good:
                count += len(message.get("body", b""))
                if not message.get("more_body", False):
                    kept = True
                    await self._keep(count)
            await send(message)

        try:
            await self._answer(scope, receive, counted)
        finally:
            if good and count and not kept:
                await self._keep(count)

    async def _keep(self, count: int) -> None:
        try:
            await run_in_threadpool(_sent, self._home, self._taken, count)
        except SQLAlchemyError:
            log.exception("a download could not be logged")
