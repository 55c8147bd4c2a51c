"""Who calls: from a request's token, API key or cookie to a :class:`Caller` (spec flow §3)."""

from __future__ import annotations

from typing import Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request

from packhorse.server.access import Caller
from packhorse.server.db.models import ApiKey, LoginSession, User, now
from packhorse.server.security import API_KEY_MARK, Claims, Tokens, hash_key

__all__ = ["REFRESH_COOKIE", "caller_of_claims", "identify", "presented_token"]

REFRESH_COOKIE: Final = "flow_refresh_token"


def presented_token(request: Request) -> str | None:
    """The token of the ``Authorization`` header: ``Bearer x``, or bare ``x`` as the legacy client sends it."""
    header = request.headers.get("authorization", "").strip()
    scheme, blank, rest = header.partition(" ")
    if blank and scheme.lower() == "bearer":
        return rest.strip() or None
    return None if header.lower() == "bearer" else header or None


def identify(
    request: Request, session: Session, tokens: Tokens, *, download: bool
) -> Caller | Literal["invalid"] | None:
    """The caller, ``None`` for an anonymous one, ``"invalid"`` for a token that is bad or over.

    A download may also be asked for with ``?token=`` or with the refresh cookie alone (what browsers have). A stale
    cookie makes nobody invalid: browsers send it unasked.
    """
    token = presented_token(request)
    if token is None and download:
        token = request.query_params.get("token") or None
    if token is not None:
        return _of_token(token, session, tokens) or "invalid"
    if download and (cookie := request.cookies.get(REFRESH_COOKIE)):
        claims = tokens.read(cookie)
        return caller_of_claims(claims, session) if claims else None
    return None


def _of_token(token: str, session: Session, tokens: Tokens) -> Caller | None:
    if token.startswith(API_KEY_MARK) or "." not in token:  # a JWT has dots; FileSender's keys have no mark
        user = session.scalar(
            select(User)
            .join(ApiKey, ApiKey.user_id == User.id)
            .where(ApiKey.key_hash == hash_key(token), ApiKey.revoked.is_(None), ApiKey.scopes.is_(None), User.active)
        )
        return _caller(user, None) if user else None
    claims = tokens.read(token)
    return caller_of_claims(claims, session) if claims and claims.use == "access" else None


def caller_of_claims(claims: Claims, session: Session) -> Caller | None:
    """The user of a valid token, unless the sign-in it belongs to has ended."""
    user = session.scalar(
        select(User)
        .join(LoginSession, LoginSession.user_id == User.id)
        .where(
            LoginSession.id == claims.session_id,
            LoginSession.user_id == claims.user_id,
            LoginSession.ended.is_(None),
            LoginSession.expires > now(),
            User.active,
        )
    )
    return _caller(user, claims.session_id) if user else None


def _caller(user: User, session_id: str | None) -> Caller:
    return Caller(user.id, user.username, user.name, user.email, user.role == "admin", session_id)
