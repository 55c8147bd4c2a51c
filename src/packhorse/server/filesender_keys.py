"""Keys that sign: users' FileSender keys and remote applications' secrets (spec filesender §2.1).

HMAC needs the key itself, so it is kept sealed rather than hashed. The functions that take a :class:`ServerConfig`
open the home's database themselves; those that take a session are their cores.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from packhorse.errors import UsageError
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.filesender import FilesenderKey, RemoteApplication
from packhorse.server.db.models import User, now
from packhorse.server.security import Sealer
from packhorse.server.users import find_user

__all__ = [
    "add_application",
    "application_secret",
    "client_ini",
    "create_application",
    "create_filesender_key",
    "delete_filesender_key",
    "filesender_key",
    "find_signer",
    "read_filesender_key",
    "remove_filesender_key",
    "set_filesender_key",
    "signing_name",
]

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)


def filesender_key(session: Session, sealer: Sealer, user: User) -> str | None:
    """The user's key, or ``None`` when there is none (or it was sealed by another home)."""
    row = session.get(FilesenderKey, user.id)
    return sealer.open(row.sealed, f"user {user.id}") if row else None


def set_filesender_key(session: Session, sealer: Sealer, user: User, key: str | None = None) -> str:
    """Give the user a key, new ones are 64 hexadecimal characters; the one before stops working."""
    key = key or secrets.token_hex(32)
    sealed = sealer.seal(key, f"user {user.id}")
    row = session.get(FilesenderKey, user.id)
    if row is None:
        session.add(FilesenderKey(user_id=user.id, sealed=sealed))
    else:
        row.sealed, row.created = sealed, now()
    session.flush()
    return key


def delete_filesender_key(session: Session, user: User) -> bool:
    """Take the user's key away; whether there was one."""
    had = session.get(FilesenderKey, user.id) is not None
    session.execute(delete(FilesenderKey).where(FilesenderKey.user_id == user.id))
    return had


def find_signer(session: Session, name: str) -> User | None:
    """The active user of a user name, else of an e-mail address that only one user has."""
    found = session.scalar(select(User).where(User.username == name, User.active))
    if found is None and "@" in name:
        same = session.scalars(select(User).where(User.email == name, User.active).limit(2)).all()
        found = same[0] if len(same) == 1 else None
    return found


def signing_name(session: Session, user: User) -> str:
    """What ``remote_user`` may be: the address, when it leads back to this user."""
    found = find_signer(session, user.email) if user.email else None
    return user.email if found is not None and found.id == user.id else user.username


def client_ini(base: str, days: int, username: str, key: str) -> str:
    """The file that existing clients read (spec §9). The key stands in it: only for the user's own eyes."""
    return (
        f"[system]\nbase_url = {base}/rest.php\ndefault_transfer_days_valid = {days}\n\n"
        f"[user]\nusername = {username}\napikey = {key}\n"
    )


def add_application(
    session: Session,
    sealer: Sealer,
    name: str,
    *,
    secret: str | None = None,
    admin: bool = False,
    acl: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Let an application sign, or give a known one new rights: its secret.

    ``acl`` maps endpoints to methods, both with ``*``; without one it may use everything. Raises :class:`UsageError`
    for a name that is not allowed.
    """
    if not _NAME.fullmatch(name):
        raise UsageError("an application's name has letters, digits and . _ - only")
    secret = secret or secrets.token_hex(32)
    row = session.get(RemoteApplication, name) or RemoteApplication(name=name)
    row.sealed, row.admin = sealer.seal(secret, f"application {name}"), admin
    row.acl = {key: list(methods) for key, methods in (acl or {"*": ["*"]}).items()}
    session.add(row)
    session.flush()
    return secret


def application_secret(sealer: Sealer, application: RemoteApplication) -> str | None:
    """What the application signs with."""
    return sealer.open(application.sealed, f"application {application.name}")


def create_filesender_key(config: ServerConfig, username: str) -> str:
    """A new key for a user: raises :class:`~packhorse.errors.NotFoundError`."""
    database = open_database(config)
    try:
        with database.write() as session:
            return set_filesender_key(session, Sealer(config.signing_key()), find_user(session, username))
    finally:
        database.close()


def read_filesender_key(config: ServerConfig, username: str) -> str | None:
    """The key of a user, or ``None``: raises :class:`~packhorse.errors.NotFoundError`."""
    database = open_database(config)
    try:
        with database.read() as session:
            return filesender_key(session, Sealer(config.signing_key()), find_user(session, username))
    finally:
        database.close()


def remove_filesender_key(config: ServerConfig, username: str) -> bool:
    """Take a user's key away; whether there was one. Raises :class:`~packhorse.errors.NotFoundError`."""
    database = open_database(config)
    try:
        with database.write() as session:
            return delete_filesender_key(session, find_user(session, username))
    finally:
        database.close()


def create_application(
    config: ServerConfig,
    name: str,
    *,
    secret: str | None = None,
    admin: bool = False,
    acl: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """See :func:`add_application`."""
    database = open_database(config)
    try:
        with database.write() as session:
            return add_application(session, Sealer(config.signing_key()), name, secret=secret, admin=admin, acl=acl)
    finally:
        database.close()
