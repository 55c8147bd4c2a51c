"""OAuth clients: which programs users may sign in with, and where codes may be sent (spec immport §1.4)."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.errors import NotFoundError, UsageError
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.immport_access import OAuthClient
from packhorse.server.security import hash_key
from packhorse.server.users import find_user
from packhorse.wire.immport.tokens import SCOPES, read_scopes, scope_list

__all__ = ["BUILT_IN", "Client", "add_client", "allows", "find_client", "is_loopback", "remove_client"]

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Client:
    """A program that asks for tokens. Without a ``secret_hash`` it is public; ``user_id`` is whom it may act as by
    itself."""

    id: str
    name: str
    redirects: tuple[str, ...]
    scopes: frozenset[str]
    secret_hash: str | None = None
    user_id: int | None = None

    def proves(self, secret: str | None) -> bool:
        """Whether a secret is this client's; a public client has none to show."""
        if self.secret_hash is None:
            return not secret
        return secret is not None and hmac.compare_digest(self.secret_hash, hash_key(secret))


BUILT_IN: Final = Client("packhorse", "Packhorse", ("http://127.0.0.1/*",), frozenset(SCOPES))
"""Packhorse itself, on the user's own machine."""


def find_client(session: Session, client_id: str) -> Client | None:
    """The client of this id."""
    if client_id == BUILT_IN.id:
        return BUILT_IN
    row = session.get(OAuthClient, client_id) if _ID.fullmatch(client_id) else None
    if row is None:
        return None
    redirects = tuple(map(str, row.redirects))
    return Client(row.id, row.name, redirects, read_scopes(row.scopes), row.secret_hash, row.user_id)


def is_loopback(url: str) -> bool:
    """Whether an address is on the user's own machine, which needs no TLS (RFC 8252 §7.3)."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


def allows(client: Client, redirect: str) -> bool:
    """Whether a code may be sent to this address: exactly one that is registered; on loopback the port is free, as
    programs take what they get."""
    try:
        parts = urlsplit(redirect)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return False
    if len(redirect) > 2000 or parts.fragment or parts.username is not None or not _plain(redirect):
        return False
    if redirect in client.redirects and not redirect.endswith("*"):
        return True
    if not is_loopback(redirect) or parts.query:
        return False
    for known in client.redirects:
        if is_loopback(known):
            path = urlsplit(known).path
            if path in ("/*", parts.path):
                return True
    return False


def _plain(text: str) -> bool:
    return all("!" <= sign <= "~" and sign not in "\\\"<>^`{|}'" for sign in text)


def add_client(
    config: ServerConfig,
    client_id: str,
    *,
    name: str = "",
    redirects: Sequence[str] = (),
    scopes: Sequence[str] = ("browse", "download"),
    user: str | None = None,
    confidential: bool = False,
) -> str | None:
    """Register a client, or change one; gives the secret of a confidential one, which cannot be seen again.

    Raises :class:`UsageError` for a name, address or scope that cannot be, :class:`NotFoundError` for the user.
    """
    if not _ID.fullmatch(client_id) or client_id == BUILT_IN.id:
        raise UsageError(f"{client_id!r} cannot be a client's id", hint="letters, digits and . _ -")
    for redirect in redirects:
        _check_redirect(redirect)
    unknown = set(scopes) - set(SCOPES)
    if unknown:
        raise UsageError(f"no scope {min(unknown)!r}", hint=", ".join(SCOPES))
    if user is not None and not confidential:
        raise UsageError("a client that acts as a user by itself needs a secret", hint="--confidential")
    secret = secrets.token_urlsafe(32) if confidential else None
    database = open_database(config)
    try:
        with database.write() as session:
            row = session.get(OAuthClient, client_id) or OAuthClient(id=client_id)
            row.name, row.redirects, row.scopes = name or client_id, list(redirects), " ".join(scope_list(scopes))
            row.secret_hash = hash_key(secret) if secret else None
            row.user_id = find_user(session, user).id if user else None
            session.add(row)
    finally:
        database.close()
    return secret


def remove_client(config: ServerConfig, client_id: str) -> None:
    """Forget a client. Raises :class:`NotFoundError`."""
    database = open_database(config)
    try:
        with database.write() as session:
            row = session.scalar(select(OAuthClient).where(OAuthClient.id == client_id))
            if row is None:
                raise NotFoundError(f"no OAuth client {client_id!r} on this server")
            session.delete(row)
    finally:
        database.close()


def _check_redirect(url: str) -> None:
    try:
        parts = urlsplit(url)
        fine = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
        parts = urlsplit("")
    if not fine or parts.fragment or parts.username is not None or not _plain(url) or "*" in url:
        raise UsageError(f"{url!r} cannot be a redirect address", hint="https://host/path, or http://127.0.0.1/path")
    if parts.scheme != "https" and not is_loopback(url):
        raise UsageError(f"{url} is not https", hint="only http://127.0.0.1/… may go without TLS")
