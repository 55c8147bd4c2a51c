"""Sign-ins: what every way in (password, OAuth) ends with, a token and the session that it belongs to."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from packhorse.server.api.core import Home
from packhorse.server.db.models import LoginSession, User
from packhorse.wire.immport.tokens import roles, scope_list

__all__ = ["Issued", "id_token", "issue", "issuer"]


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, how long it lives (seconds), and its sign-in's id."""

    token: str
    seconds: int
    session_id: str


def issuer(base: str) -> str:
    """What ``iss`` says (spec §1.4)."""
    return f"{base}/auth"


def issue(home: Home, session: Session, user: User, *, client_id: str, scopes: Iterable[str], base: str) -> Issued:
    """A token for the ``Authorization`` header, with the documented claims. It ends with its sign-in: a new password
    ends all of them."""
    seconds = home.config.immport.token_seconds
    jti = uuid.uuid4()
    at = time.time()
    session.add(LoginSession(id=jti.hex, user_id=user.id, expires=int(at) + seconds + 1))
    claims = {
        "exp": int(at) + seconds,
        "user_name": user.username,
        "authorities": roles(admin=user.role == "admin"),
        "jti": str(jti),
        "client_id": client_id,
        "scope": scope_list(scopes),
        "sub": user.username,
        "username": user.username,
        "iss": issuer(base),
        "iat": int(at),
    }
    return Issued(home.immport.issue(claims), seconds, jti.hex)


def id_token(home: Home, user: User, *, client_id: str, base: str, nonce: str | None) -> str:
    """OpenID Connect's statement for the client about who signed in; it opens nothing."""
    at = int(time.time())
    claims = {
        "iss": issuer(base),
        "sub": user.username,
        "aud": client_id,
        "exp": at + home.config.immport.token_seconds,
        "iat": at,
        "preferred_username": user.username,
        "name": user.name,
        "email": user.email,
        "token_use": "id",
        **({"nonce": nonce} if nonce else {}),
    }
    return home.immport.issue(claims)
