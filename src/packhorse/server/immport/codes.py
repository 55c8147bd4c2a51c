"""Authorization codes: made when a user allows a client, good once, for a minute, with PKCE only (RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import CursorResult, delete, update
from sqlalchemy.orm import Session

from packhorse.server.db.immport_access import OAuthCode
from packhorse.server.db.models import LoginSession, now
from packhorse.server.security import hash_key

__all__ = ["is_challenge", "make_code", "redeem"]

_SECONDS: Final = 60
_KEPT: Final = 3600
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


def is_challenge(text: str) -> bool:
    """Whether a text can be an S256 challenge: 32 bytes in base64url."""
    return _CHALLENGE.fullmatch(text) is not None


def make_code(
    session: Session,
    *,
    client_id: str,
    user_id: int,
    redirect: str,
    challenge: str,
    scopes: Iterable[str],
    nonce: str | None,
) -> str:
    """A new code, and those of an hour ago forgotten."""
    session.execute(delete(OAuthCode).where(OAuthCode.expires < now() - _KEPT))
    code = secrets.token_urlsafe(32)
    session.add(
        OAuthCode(
            code_hash=hash_key(code),
            client_id=client_id,
            user_id=user_id,
            redirect=redirect,
            challenge=challenge,
            scopes=" ".join(scopes),
            nonce=nonce,
            expires=now() + _SECONDS,
        )
    )
    return code


def redeem(session: Session, code: str, *, client_id: str, redirect: str, verifier: str) -> OAuthCode | None:
    """The row of a good code, which is used up now; ``None`` for any other. The caller sets ``session_id``.

    A code that comes a second time was stolen, by now or then: the sign-in that it led to is ended.
    """
    row = session.get(OAuthCode, hash_key(code))
    if row is None or row.client_id != client_id:
        return None
    # two requests at the same moment: only one of them changes the row
    done: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        update(OAuthCode).where(OAuthCode.code_hash == row.code_hash, OAuthCode.used.is_(False)).values(used=True)
    )
    session.refresh(row)
    if done.rowcount != 1:
        session.execute(
            update(LoginSession)
            .where(LoginSession.id == row.session_id, LoginSession.ended.is_(None))
            .values(ended=now())
        )
        return None
    if row.expires <= now() or row.redirect != redirect or not _matches(row.challenge, verifier):
        return None
    return row


def _matches(challenge: str, verifier: str) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(digest, challenge.encode())
