"""Browser sessions of guests and of users on FileSender's pages (spec filesender §2.2, §2.3).

A page issues one: a cookie, a security token that stands on the page and a csrf token in a second cookie. The REST
service checks them on every write that is not signed. Tokens stay the same for the whole session: a client that keeps
sending the first one works, and so does one that takes what each answer sets.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from starlette.responses import Response

from packhorse.server.db.filesender import AVAILABLE, Guest, Visit
from packhorse.server.db.models import User, now

__all__ = [
    "CSRF_COOKIE",
    "SESSION_COOKIE",
    "Issued",
    "csrf_holds",
    "end",
    "find",
    "issue",
    "set_cookies",
    "token_holds",
]

SESSION_COOKIE = "PHPSESSID"
CSRF_COOKIE = "csrfptoken"


@dataclass(frozen=True, slots=True)
class Issued:
    """A new session's secrets: ``cookie`` is the value of ``PHPSESSID``."""

    cookie: str
    security_token: str
    csrf_token: str


def issue(session: Session, *, guest: Guest | None = None, user: User | None = None, seconds: int = 8 * 3600) -> Issued:
    """Begin a session of a guest or a user, and forget those that are over."""
    cookie = secrets.token_hex(24)
    session.execute(delete(Visit).where(Visit.expires <= now()))
    visit = Visit(
        cookie_sha256=_hash(cookie),
        user_id=user.id if user else None,
        guest_id=guest.id if guest else None,
        csrf_token=secrets.token_hex(5),
        expires=now() + seconds,
    )
    session.add(visit)
    session.flush()
    return Issued(cookie, visit.security_token, visit.csrf_token)


def find(session: Session, cookie: str | None) -> Visit | None:
    """The session of a cookie, unless it is over, its guest's voucher is closed or its user is not active."""
    if not cookie or len(cookie) > 200:
        return None
    visit = session.scalar(select(Visit).where(Visit.cookie_sha256 == _hash(cookie), Visit.expires > now()))
    if visit is None:
        return None
    if visit.guest_id is not None:
        guest = session.get(Guest, visit.guest_id)
        if guest is None or guest.status != AVAILABLE:
            return None
    if visit.user_id is not None:
        user = session.get(User, visit.user_id)
        if user is None or not user.active:
            return None
    return visit


def end(session: Session, cookie: str | None) -> None:
    """Sign out."""
    session.execute(delete(Visit).where(Visit.cookie_sha256 == _hash(cookie or "")))


def token_holds(visit: Visit, given: str | None) -> bool:
    """Whether the header ``X-Filesender-Security-Token`` is the page's."""
    return _same(visit.security_token, given)


def csrf_holds(visit: Visit, given: str | None) -> bool:
    """Whether the header ``csrfptoken`` is the cookie's value as it was issued."""
    return _same(visit.csrf_token, given)


def set_cookies(response: Response, issued: Issued, *, secure: bool) -> None:
    """Write both cookies; the page's script may read the second one only."""
    response.set_cookie(SESSION_COOKIE, issued.cookie, path="/", httponly=True, samesite="strict", secure=secure)
    response.set_cookie(CSRF_COOKIE, issued.csrf_token, path="/", samesite="strict", secure=secure)


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()


def _same(expected: str, given: str | None) -> bool:
    return given is not None and hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
