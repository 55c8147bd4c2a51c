"""The daily letter of a transfer's downloads, for senders who asked for it (``email_daily_statistics``, spec §4.1).

A day is one of UTC. Of a day without downloads nothing is said. The letter of a transfer and a day has a name of its
own, so that it is posted once, however often the chore is done and by however many processes.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from sqlalchemy import select

from packhorse.server.api.core import Home
from packhorse.server.db.filesender import AVAILABLE, AuditEvent, Transfer
from packhorse.server.db.letters import QueuedLetter
from packhorse.server.filesender import letters
from packhorse.server.filesender.acts import acting, hold
from packhorse.server.mail import once_id

__all__ = ["post_statistics"]

_DAY: Final = 24 * 3600
_OPTION: Final = "email_daily_statistics"
_EVENTS: Final = ("download_ended", "archive_download_ended")


def post_statistics(home: Home, now: float) -> int:
    """Post what is due of yesterday: how many letters. Safe to repeat."""
    end = int(now) // _DAY * _DAY
    begin = end - _DAY
    with home.database.read() as session:
        asked = (
            select(AuditEvent.transfer_id)
            .where(
                AuditEvent.event.in_(_EVENTS),
                AuditEvent.author_kind == "Recipient",
                AuditEvent.created >= begin,
                AuditEvent.created < end,
            )
            .distinct()
        )
        found = session.scalars(select(Transfer).where(Transfer.id.in_(asked), Transfer.status == AVAILABLE)).all()
        due = [transfer.id for transfer in found if transfer.options.get(_OPTION)]
    done = 0
    for number in due:
        with acting(home) as session:
            transfer = hold(session, Transfer, number)
            if transfer is None or transfer.status != AVAILABLE or not transfer.options.get(_OPTION):
                continue
            name = f"daily.{number}.{begin // _DAY}"
            if session.scalar(select(QueuedLetter.id).where(QueuedLetter.message_id == once_id(name))) is not None:
                continue
            rows = session.execute(
                select(AuditEvent.author, AuditEvent.event, AuditEvent.target_name).where(
                    AuditEvent.transfer_id == number,
                    AuditEvent.event.in_(_EVENTS),
                    AuditEvent.author_kind == "Recipient",
                    AuditEvent.created >= begin,
                    AuditEvent.created < end,
                )
            ).all()
            whole = "all files, as an archive"
            counted = Counter(
                (who or "", whole if event != "download_ended" else file or "") for who, event, file in rows
            )
            if letters.downloads_of_the_day(session, transfer, counted, begin, once=name):
                done += 1
    return done
