"""What the server does by itself: ending what has expired, deleting what was left behind.

Each chore is safe to repeat and to interrupt; what one leaves undone the next turn does. Importing this module
declares them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, or_

from packhorse.server.db.models import LoginSession
from packhorse.server.filesender import cleaning, daily
from packhorse.server.jobs import periodic

if TYPE_CHECKING:
    from packhorse.server.api.core import Home

__all__ = ["expire", "forget_sign_ins", "sweep", "tell_downloads"]

log = logging.getLogger("packhorse.server")

_KEEP_SIGN_INS: Final = 30 * 24 * 3600


@periodic(60, "expire transfers and guests")
def expire(home: Home) -> None:
    """Close transfers and vouchers whose time is over: data deleted, log kept, those told who asked to be."""
    _until_done(home, cleaning.close_expired, "transfers have expired")
    _until_done(home, cleaning.expire_guests, "invitations have expired")


@periodic(3600, "sweep uploads")
def sweep(home: Home) -> None:
    """Delete uploads that were given up, and drafts that belong to none."""
    _until_done(home, cleaning.delete_abandoned, "abandoned uploads were deleted")
    _until_done(home, cleaning.drop_orphans, "drafts without an upload were deleted")


@periodic(3600, "daily statistics")
def tell_downloads(home: Home) -> None:
    """Mail yesterday's downloads to senders who asked for it; soon after midnight (UTC), or when the server is back."""
    _until_done(home, daily.post_statistics, "letters about yesterday's downloads were posted")


@periodic(24 * 3600, "forget old sign-ins")
def forget_sign_ins(home: Home) -> None:
    """Drop the records of sign-ins that ended or ran out a month ago."""
    before = int(time.time()) - _KEEP_SIGN_INS
    with home.database.write() as session:
        session.execute(delete(LoginSession).where(or_(LoginSession.ended < before, LoginSession.expires < before)))


def _until_done(home: Home, chore: Callable[[Home, float], int], words: str) -> None:
    """Chores take a bite at a time, so that a stop never waits long for one."""
    done = 0
    while not home.jobs.stopping.is_set() and (bite := chore(home, time.time())):
        done += bite
    if done:
        log.info("%d %s", done, words)
