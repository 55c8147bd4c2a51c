"""Users, their keys and their rights, for the command line and the demo.

The functions that take a :class:`ServerConfig` open the home's database themselves; those that take a session are
their cores.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.errors import NotFoundError, UsageError
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.immport import Study
from packhorse.server.db.models import ApiKey, Data, Execution, LoginSession, Project, Sample, Share, User, now
from packhorse.server.security import hash_key, hash_password, new_api_key

__all__ = [
    "KINDS",
    "LEVELS",
    "ObjectKind",
    "UserInfo",
    "add_api_key",
    "add_share",
    "add_user",
    "create_api_key",
    "create_user",
    "find_user",
    "list_users",
    "set_password",
    "share",
]

ObjectKind = Literal["data", "sample", "project", "execution", "study"]
KINDS: Final[dict[str, type[Data | Sample | Project | Execution]]] = {
    "data": Data,
    "sample": Sample,
    "project": Project,
    "execution": Execution,
}
LEVELS: Final = {"read": 1, "edit": 2, "share": 3}
_USERNAME: Final = re.compile(r"[A-Za-z0-9@.+_-]{1,150}", re.ASCII)


@dataclass(frozen=True, slots=True)
class UserInfo:
    """A user as the command line shows one. ``created`` in Unix seconds."""

    id: str
    username: str
    email: str
    name: str
    role: str
    active: bool
    created: int


def create_user(
    config: ServerConfig, username: str, password: str, *, email: str = "", name: str = "", role: str = "user"
) -> UserInfo:
    """Make a user. Raises :class:`UsageError` for a name that is taken or not allowed, or a password too short."""
    with _session(config) as session:
        return _info(add_user(session, username, password, email=email, name=name, role=role))


def set_password(config: ServerConfig, username: str, password: str) -> None:
    """Change a password and end the user's sign-ins. Raises :class:`NotFoundError`, :class:`UsageError`."""
    with _session(config) as session:
        user = find_user(session, username)
        user.password_hash = hash_password(_good_password(password))
        for login in session.scalars(
            select(LoginSession).where(LoginSession.user_id == user.id, LoginSession.ended.is_(None))
        ):
            login.ended = now()


def list_users(config: ServerConfig) -> list[UserInfo]:
    """Every user, by name."""
    with _session(config) as session:
        return [_info(user) for user in session.scalars(select(User).order_by(User.username))]


def create_api_key(config: ServerConfig, username: str, *, purpose: str = "") -> str:
    """A new API key: the only time it can be seen. Raises :class:`NotFoundError`."""
    with _session(config) as session:
        return add_api_key(session, find_user(session, username), purpose=purpose)


def share(config: ServerConfig, kind: str, object_id: str | int, username: str, level: str = "read") -> None:
    """Give a user a right (``read``, ``edit``, ``share``) on an object; ``none`` takes it back. A study is named by its
    accession.

    Raises :class:`UsageError` for an unknown kind or level, :class:`NotFoundError` for the object or user.
    """
    if kind not in (*KINDS, "study") or level not in (*LEVELS, "none"):
        raise UsageError(
            f"cannot share {kind!r} at level {level!r}",
            hint="data, sample, project, execution or study; read, edit, share or none",
        )
    text = str(object_id).strip()
    if kind == "study":
        text = text.upper().removeprefix("SDY")
    with _session(config) as session:
        user = find_user(session, username)
        if not text.isascii() or not text.isdigit() or len(text) > 18 or _object(session, kind, int(text)) is None:
            raise NotFoundError(f"no {kind} {object_id}")
        add_share(session, kind, int(text), user, LEVELS.get(level, 0))


def _object(session: Session, kind: str, number: int) -> object | None:
    if kind == "study":  # by the number in its accession
        return session.scalar(select(Study).where(Study.number == number))
    return session.get(KINDS[kind], number)


def add_user(
    session: Session, username: str, password: str, *, email: str = "", name: str = "", role: str = "user"
) -> User:
    """The core of :func:`create_user`."""
    if not _USERNAME.fullmatch(username):
        raise UsageError("a user name has letters, digits and @ . + _ - only")
    if role not in ("user", "admin"):
        raise UsageError(f"no role {role!r}: user or admin")
    if session.scalar(select(User.id).where(User.username == username)) is not None:
        raise UsageError(f"the user {username} exists already")
    user = User(
        username=username,
        email=email,
        name=name or username,
        role=role,
        password_hash=hash_password(_good_password(password)),
    )
    session.add(user)
    session.flush()
    return user


def add_api_key(session: Session, user: User, *, purpose: str = "", key: str | None = None) -> str:
    """The core of :func:`create_api_key`; ``key`` is for a key that was made before."""
    key = key or new_api_key()
    session.add(ApiKey(user_id=user.id, purpose=purpose, prefix=key[:12], key_hash=hash_key(key)))
    return key


def add_share(session: Session, kind: str, object_id: int, user: User, level: int) -> None:
    """The core of :func:`share`; level 0 takes the right back."""
    row = session.scalar(
        select(Share).where(Share.user_id == user.id, Share.kind == kind, Share.object_id == object_id)
    )
    if level == 0:
        if row is not None:
            session.delete(row)
    elif row is None:
        session.add(Share(user_id=user.id, kind=kind, object_id=object_id, level=level))
    else:
        row.level = level


def find_user(session: Session, username: str) -> User:
    """The user of this name. Raises :class:`NotFoundError`."""
    user = session.scalar(select(User).where(User.username == username))
    if user is None:
        raise NotFoundError(f"no user {username!r} on this server", hint="packhorse server user list")
    return user


def _good_password(password: str) -> str:
    if not 8 <= len(password) <= 1000:
        raise UsageError("a password has at least 8 characters (and at most 1000)")
    return password


def _info(user: User) -> UserInfo:
    return UserInfo(str(user.id), user.username, user.email, user.name, user.role, user.active, user.created)


@contextmanager
def _session(config: ServerConfig) -> Iterator[Session]:
    database = open_database(config)
    try:
        with database.write() as session:
            yield session
    finally:
        database.close()
