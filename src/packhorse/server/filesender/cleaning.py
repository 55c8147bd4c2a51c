"""What time does to transfers: expiry, vouchers that are over, uploads that were given up. For jobs; safe to repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from packhorse.server import uploads
from packhorse.server.api.core import Home, log
from packhorse.server.db.filesender import (
    AVAILABLE,
    CLOSED,
    STARTED,
    UPLOADING,
    Draft,
    Guest,
    Transfer,
    Visit,
)
from packhorse.server.filesender import letters
from packhorse.server.filesender.acts import acting, close_transfer, delete_transfer, hold
from packhorse.server.filesender.audit import SYSTEM, record

__all__ = ["close_expired", "delete_abandoned", "drop_orphans", "expire_guests"]

_DAY: Final = 24 * 3600
_AT_ONCE: Final = 1000
_MOST_FAILURES: Final = 20


def close_expired(home: Home, now: float) -> int:
    """Close the transfers whose time is over, each in a transaction of its own: how many."""
    with home.database.read() as session:
        due = session.scalars(
            select(Transfer.id).where(Transfer.status == AVAILABLE, Transfer.expires <= int(now)).limit(_AT_ONCE)
        ).all()

    def close(session: Session, number: int) -> bool:
        transfer = hold(session, Transfer, number)
        if transfer is None or transfer.status != AVAILABLE or transfer.expires > now:
            return False
        close_transfer(session, transfer, SYSTEM, reason="expired")
        return True

    return _each(home, due, close, "transfer %d cannot be closed")


def expire_guests(home: Home, now: float) -> int:
    """Close the vouchers whose time is over, and forget sessions that are: how many vouchers."""
    with home.database.write() as session:
        session.execute(delete(Visit).where(Visit.expires <= int(now)))
        due = session.scalars(
            select(Guest.id).where(Guest.status == AVAILABLE, Guest.expires <= int(now)).limit(_AT_ONCE)
        ).all()

    def close(session: Session, number: int) -> bool:
        guest = hold(session, Guest, number)
        if guest is None or guest.status != AVAILABLE or guest.expires is None or guest.expires > now:
            return False
        guest.status = CLOSED
        record(session, "guest_expired", guest, SYSTEM)
        if guest.options.get("email_guest_expired"):
            letters.guest_over(session, guest, expired=True)
        return True

    return _each(home, due, close, "voucher %d cannot be closed")


def delete_abandoned(home: Home, now: float) -> int:
    """Delete uploads that got no chunk for ``cleanup_days`` (spec §4.1): how many."""
    before = int(now) - home.config.filesender.cleanup_days * _DAY
    with home.database.read() as session:
        due = session.scalars(
            select(Transfer.id)
            .where(Transfer.status.in_((STARTED, UPLOADING)), Transfer.touched <= before)
            .limit(_AT_ONCE)
        ).all()

    def discard(session: Session, number: int) -> bool:
        # hold() would make it look alive: take it only if no chunk came meanwhile
        quiet = (Transfer.id == number, Transfer.status.in_((STARTED, UPLOADING)), Transfer.touched <= before)
        session.execute(update(Transfer).where(*quiet).values(touched=Transfer.touched))
        transfer = session.scalar(select(Transfer).where(*quiet))
        if transfer is None:
            return False
        delete_transfer(session, transfer, SYSTEM)
        return True

    return _each(home, due, discard, "abandoned transfer %d cannot be deleted")


def _each(home: Home, due: Sequence[int], act: Callable[[Session, int], bool], failed: str) -> int:
    """Do it to each, in a transaction of its own: how many it was done to.

    One that fails is logged and left for the next turn, and the others are not kept waiting by it. So many failures
    that something else must be wrong are raised.
    """
    done = failures = 0
    for number in due:
        try:
            with acting(home) as session:
                acted = act(session, number)
            done += acted
        except Exception:
            failures += 1
            if failures >= _MOST_FAILURES:
                raise
            log.exception(failed, number)
    return done


def drop_orphans(home: Home, now: float) -> int:
    """Delete drafts, of any portal's uploads, that nothing points at any more: how many."""
    before = int(now) - _DAY
    with home.database.write() as session:
        keys = session.scalars(
            select(Draft.key).where(Draft.touched <= before, *uploads.unowned()).limit(_AT_ONCE)
        ).all()
        session.execute(delete(Draft).where(Draft.key.in_(keys)))
    for key in keys:
        home.storage.drop(key)
    return len(keys)
