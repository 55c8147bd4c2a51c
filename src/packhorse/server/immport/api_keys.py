"""API keys of ImmPort's third generation: scopes, 30 days, shown once (spec immport §1.3)."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from packhorse.errors import UsageError
from packhorse.server.db.models import ApiKey, now
from packhorse.server.security import hash_key, new_api_key
from packhorse.wire.immport.tokens import scope_list

__all__ = ["MOST_KEYS", "MadeKey", "list_keys", "make_key", "revoke_key"]

MOST_KEYS: Final = 50


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key, as it is shown once."""

    id: str
    api_key: str
    expires_at: str

    def members(self) -> dict[str, object]:
        """The JSON that users keep in a file."""
        return {"id": self.id, "api_key": self.api_key, "expires_at": self.expires_at}


def make_key(session: Session, user_id: int, *, label: str, scopes: Iterable[str], days: int) -> MadeKey:
    """A new key. Raises :class:`UsageError` without a scope, for a label that is none, or beyond :data:`MOST_KEYS`."""
    wanted = scope_list(scopes)
    label = label.strip()
    if not wanted:
        raise UsageError("choose at least one scope")
    if len(label) > 200 or not label.isprintable():
        raise UsageError("a label is one line of at most 200 characters")
    held = session.scalar(select(func.count()).where(*_open(user_id)).select_from(ApiKey)) or 0
    if held >= MOST_KEYS:
        raise UsageError(f"there are {held} keys already; revoke one first")
    key, identifier = new_api_key(), str(uuid.uuid4())
    nanoseconds = time.time_ns() + days * 86_400 * 10**9
    session.add(
        ApiKey(
            user_id=user_id,
            purpose=label,
            prefix=key[:12],
            key_hash=hash_key(key),
            uuid=identifier,
            scopes=" ".join(wanted),
            expires=nanoseconds // 10**9,
        )
    )
    return MadeKey(identifier, key, _rfc3339(nanoseconds))


def list_keys(session: Session, user_id: int) -> Sequence[ApiKey]:
    """The user's keys that work, the newest first."""
    return session.scalars(select(ApiKey).where(*_open(user_id)).order_by(ApiKey.id.desc())).all()


def revoke_key(session: Session, user_id: int, identifier: str) -> bool:
    """End a key of this user's. False when there is none of this id."""
    row = session.scalar(select(ApiKey).where(ApiKey.uuid == identifier, *_open(user_id)))
    if row is None:
        return False
    row.revoked = now()
    return True


def _open(user_id: int) -> tuple[ColumnElement[bool], ...]:
    return (
        ApiKey.user_id == user_id,
        ApiKey.scopes.is_not(None),
        ApiKey.revoked.is_(None),
        ApiKey.expires > now(),
    )


def _rfc3339(nanoseconds: int) -> str:
    """
    >>> _rfc3339(1_796_180_661_000_000_007)
    '2026-12-02T03:04:21.000000007Z'
    """
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
