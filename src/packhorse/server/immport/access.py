"""Who calls ImmPort's addresses, and which studies they may see (spec immport §1.2, §1.3).

A public study is for everybody who signed in; a restricted one for administrators and for users it is shared with
(``Share`` of kind ``study``, whose object is the study's number).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import ColumnElement, or_, select, true
from sqlalchemy.orm import Session
from starlette.requests import Request

from packhorse.server import access
from packhorse.server.api.core import Home
from packhorse.server.db.immport import Study
from packhorse.server.db.models import ApiKey, LoginSession, Share, User, now
from packhorse.server.security import hash_key
from packhorse.wire.immport.paths import study_of
from packhorse.wire.immport.tokens import DIRECT_CLIENT, SCOPES, bearer, read_scopes

__all__ = ["STUDY", "Caller", "caller_of", "caller_of_user", "may_see", "may_see_path", "visible_studies"]

STUDY: Final = "study"
"""What a share calls a study."""
_ALL: Final[frozenset[str]] = frozenset(SCOPES)


@dataclass(frozen=True, slots=True)
class Caller(access.Caller):
    """A user who proved who they are, and for what: ``browse``, ``download``, ``upload``."""

    scopes: frozenset[str] = _ALL


def caller_of(request: Request, session: Session, home: Home) -> Caller | Literal["invalid"] | None:
    """The caller by the request's bearer token; ``None`` without one, ``"invalid"`` for one that is bad or over."""
    header = request.headers.get("authorization")
    if header is None or not header.strip():
        return None
    token = bearer(header)
    if token is None or len(token) > 8192:
        return "invalid"
    return (_of_jwt(token, session, home) if "." in token else _of_key(token, session)) or "invalid"


def _of_jwt(token: str, session: Session, home: Home) -> Caller | None:
    grant = home.immport.read(token)
    if grant is None:
        return None
    user = session.scalar(
        select(User)
        .join(LoginSession, LoginSession.user_id == User.id)
        .where(LoginSession.id == grant.session_id, LoginSession.ended.is_(None), User.active)
    )
    # a password's token says "browse download" (spec §1.1), and was what people uploaded with (§4)
    scopes = _ALL if grant.client_id == DIRECT_CLIENT else grant.scopes
    return caller_of_user(user, scopes, grant.session_id) if user else None


def _of_key(token: str, session: Session) -> Caller | None:
    """Keys of ``/auth/api/keys`` have scopes and an end; those of ``packhorse server user api-key`` have neither."""
    found = session.execute(
        select(User, ApiKey.scopes)
        .join(ApiKey, ApiKey.user_id == User.id)
        .where(
            ApiKey.key_hash == hash_key(token),
            ApiKey.revoked.is_(None),
            or_(ApiKey.expires.is_(None), ApiKey.expires > now()),
            User.active,
        )
    ).one_or_none()
    if found is None:
        return None
    user, scopes = found
    return caller_of_user(user, _ALL if scopes is None else read_scopes(scopes), None)


def caller_of_user(user: User, scopes: frozenset[str], session_id: str | None) -> Caller:
    """A user as a caller."""
    return Caller(user.id, user.username, user.name, user.email, user.role == "admin", session_id, scopes)


def visible_studies(_session: Session, caller: access.Caller | None) -> ColumnElement[bool]:
    """The condition that selects the rows of :class:`Study` that the caller may see. For other tables:
    ``table.c.study_accession.in_(select(Study.accession).where(visible_studies(session, caller)))``."""
    if caller is None:
        return Study.restricted.is_(False)
    if caller.admin:
        return true()
    shared = select(Share.object_id).where(Share.user_id == caller.user_id, Share.kind == STUDY)
    return or_(Study.restricted.is_(False), Study.number.in_(shared))


def may_see(session: Session, caller: access.Caller | None, accession: str) -> bool:
    """Whether the study is here and the caller may see it."""
    query = select(Study.accession).where(Study.accession == accession, visible_studies(session, caller))
    return session.scalar(query) is not None


def may_see_path(session: Session, caller: access.Caller | None, path: str) -> bool:
    """Whether the caller may read a file or folder by its checked path: with its study. A study that is not here (any
    more) has nothing to show; what lies outside of studies (``ALLSTUDIES``) is for all."""
    accession = study_of(path)
    return accession is None or may_see(session, caller, accession)
