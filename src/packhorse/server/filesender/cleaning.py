"""What time does to transfers: expiry, vouchers that are over, uploads that were given up. For jobs; safe to repeat."""

from __future__ import annotations

from typing import Final

from sqlalchemy import delete, select, update

from packhorse.server.api.core import Home
from packhorse.server.db.filesender import (
    AVAILABLE,
    CLOSED,
    STARTED,
    UPLOADING,
    Draft,
    Guest,
    Transfer,
    TransferFile,
    Visit,
)
from packhorse.server.filesender import letters
from packhorse.server.filesender.acts import acting, close_transfer, delete_transfer, hold
from packhorse.server.filesender.audit import SYSTEM, record

__all__ = ["close_expired", "delete_abandoned", "drop_orphans", "expire_guests"]

_DAY: Final = 24 * 3600
_AT_ONCE: Final = 1000


def close_expired(home: Home, now: float) -> int:
    """Close the transfers whose time is over, each in a transaction of its own: how many."""
    with home.database.read() as session:
        due = session.scalars(
            select(Transfer.id).where(Transfer.status == AVAILABLE, Transfer.expires <= int(now)).limit(_AT_ONCE)
        ).all()
    done = 0
    for number in due:
        with acting(home) as session:
            transfer = hold(session, Transfer, number)
            if transfer is not None and transfer.status == AVAILABLE and transfer.expires <= now:
                close_transfer(session, transfer, SYSTEM, reason="expired")
                done += 1
    return done


def expire_guests(home: Home, now: float) -> int:
    """Close the vouchers whose time is over, and forget sessions that are: how many vouchers."""
    with home.database.write() as session:
        session.execute(delete(Visit).where(Visit.expires <= int(now)))
        due = session.scalars(
            select(Guest.id).where(Guest.status == AVAILABLE, Guest.expires <= int(now)).limit(_AT_ONCE)
        ).all()
    done = 0
    for number in due:
        with acting(home) as session:
            guest = hold(session, Guest, number)
            if guest is not None and guest.status == AVAILABLE and guest.expires is not None and guest.expires <= now:
                guest.status = CLOSED
                record(session, "guest_expired", guest, SYSTEM)
                if guest.options.get("email_guest_expired"):
                    letters.guest_over(session, guest, expired=True)
                done += 1
    return done


def delete_abandoned(home: Home, now: float) -> int:
    """Delete uploads that got no chunk for ``cleanup_days`` (spec §4.1): how many."""
    before = int(now) - home.config.filesender.cleanup_days * _DAY
    with home.database.read() as session:
        due = session.scalars(
            select(Transfer.id)
            .where(Transfer.status.in_((STARTED, UPLOADING)), Transfer.touched <= before)
            .limit(_AT_ONCE)
        ).all()
    done = 0
    for number in due:
        with acting(home) as session:
            # hold() would make it look alive: take it only if no chunk came meanwhile
            quiet = (Transfer.id == number, Transfer.status.in_((STARTED, UPLOADING)), Transfer.touched <= before)
            session.execute(update(Transfer).where(*quiet).values(touched=Transfer.touched))
            transfer = session.scalar(select(Transfer).where(*quiet))
            if transfer is not None:
                delete_transfer(session, transfer, SYSTEM)
                done += 1
    return done


def drop_orphans(home: Home, now: float) -> int:
    """Delete drafts that no file of a transfer points at any more: how many.

    Whoever else keeps drafts (Flow's uploads) has to be asked here too, before it begins to.
    """
    before = int(now) - _DAY
    used = select(TransferFile.draft_key).where(TransferFile.draft_key.is_not(None))
    with home.database.write() as session:
        keys = session.scalars(
            select(Draft.key).where(Draft.touched <= before, Draft.key.not_in(used)).limit(_AT_ONCE)
        ).all()
        session.execute(delete(Draft).where(Draft.key.in_(keys)))
    for key in keys:
        home.storage.drop(key)
    return len(keys)
