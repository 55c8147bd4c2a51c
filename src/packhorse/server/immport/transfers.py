"""What Aspera tokens stand for: a user, paths, and an end (spec immport §3.3)."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete
from sqlalchemy.orm import Session

from packhorse.server.api.core import Home
from packhorse.server.db.immport_access import TransferGrant
from packhorse.server.db.models import User, now
from packhorse.server.immport.access import Caller, caller_of_user
from packhorse.wire.immport.asperatoken import build_token, read_token

__all__ = ["Opened", "grant", "open_grant"]

_PURPOSE = "aspera"


@dataclass(frozen=True, slots=True)
class Opened:
    """A good token: whose it is, and what it opens."""

    caller: Caller
    paths: tuple[str, ...]
    expires: int

    def covers(self, path: str) -> bool:
        """Whether a checked path is one of them, or below one."""
        return any(path == given or not given or path.startswith(given + "/") for given in self.paths)


def grant(home: Home, session: Session, caller: Caller, paths: Sequence[str], base: str) -> str:
    """A new token for these checked paths, which the caller may read; those that are over are forgotten."""
    session.execute(delete(TransferGrant).where(TransferGrant.expires < now() - 3600))
    made = TransferGrant(
        id=secrets.token_hex(16),
        user_id=caller.user_id,
        paths=json.dumps(list(paths)),
        expires=now() + home.config.immport.transfer_seconds,
    )
    session.add(made)
    return build_token(base, made.id, made.expires, lambda text: home.immport.mac(_PURPOSE, text))


def open_grant(home: Home, session: Session, token: str) -> Opened | None:
    """What a token opens; ``None`` for one that is forged, over, or of somebody who may not sign in any more."""
    read = read_token(token)
    if read is None or read.expires <= time.time() or not home.immport.mac_holds(_PURPOSE, read.signed, read.signature):
        return None
    row = session.get(TransferGrant, read.grant)
    user = session.get(User, row.user_id) if row is not None else None
    if row is None or row.expires <= time.time() or user is None or not user.active:
        return None
    caller = caller_of_user(user, frozenset(("download",)), None)
    return Opened(caller, tuple(json.loads(row.paths)), row.expires)
