"""Where a sign-in's credential is kept, and how it is forgotten: alike for every portal.

Everything here blocks (files, the keyring's process): call it in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from packhorse.credentials.keyrings import KEYRING_LIMIT, forget, look_up, remember
from packhorse.credentials.ladder import Source
from packhorse.credentials.store import StoredTokens, TokenStore
from packhorse.errors import CredentialStoreError

__all__ = ["KEYRING_STORE_LIMIT", "Kept", "forget_stored", "keep", "stored_username"]

KEYRING_STORE_LIMIT: Final = 30.0
"""Seconds for storing and deleting: a person may have to unlock the keyring."""


@dataclass(frozen=True, slots=True)
class Kept:
    """``where`` says it to a person. ``store`` is set where renewed tokens go to the file too."""

    where: str
    store: TokenStore | None = None


def keep(source: Source, tokens: StoredTokens, where: str, *, what: str = "token") -> Kept:
    """Keep the credential: ``file``, ``keyring``, ``auto`` (the 0600 file) or ``none``.

    Tokens that change every half hour are followed by a file in every process; so ``auto`` is the file, and the
    keyring is there for who asks for it. The keyring takes ``tokens.token`` under the source's first service and
    ``tokens.refresh`` under its second. What an earlier sign-in kept in the other place is deleted: it would be found
    first. ``what`` is the portal's word for the credential. Raises :class:`CredentialStoreError`.
    """
    if where == "none":
        return Kept("nowhere")
    if where == "keyring":
        return Kept(_in_keyring(source, tokens, what))
    before = source.store.account()
    source.store.write(tokens)
    if before is not None and source.keyring_services:
        forget(source.keyring_services, before, source.environ, KEYRING_STORE_LIMIT)
        source.store.delete_account()
    return Kept(str(source.store.path), source.store)


def _in_keyring(source: Source, tokens: StoredTokens, what: str) -> str:
    if not source.keyring_services:
        raise CredentialStoreError(f"the keyring is switched off: remotes.{source.remote}.keyring is false")
    if tokens.username is None:
        raise CredentialStoreError(f"the keyring needs a user name to file the {what} under", hint="--username NAME")
    service, *further = source.keyring_services
    values = {service: tokens.token}
    if tokens.refresh is not None and further:
        values[further[0]] = tokens.refresh
    problem = remember(values, tokens.username, source.environ, KEYRING_STORE_LIMIT)
    if problem is not None:
        raise CredentialStoreError(f"the keyring cannot be used: {problem}", hint="keep it in a file: --store file")
    # An older file must not outlive this; the account's name is needed to find the entry again.
    source.store.delete()
    source.store.write_account(tokens.username)
    return f"the keyring, service {service}, account {tokens.username}"


def forget_stored(source: Source) -> bool:
    """Delete what is stored, in file and keyring. True when there was any. Raises :class:`CredentialStoreError`."""
    services, username, found = source.keyring_services, source.username, False
    if services and username:
        # Only where nobody says that it is there is it worth no more than a short look.
        ours = source.store.account() == username
        if ours or look_up(services, username, source.environ, KEYRING_LIMIT).secrets:
            found = forget(services, username, source.environ, KEYRING_STORE_LIMIT)
    return source.store.delete() or found


def stored_username(store: TokenStore, url: str) -> str | None:
    """Whose credential for ``url`` is kept here; ``None`` where there is none, or it must not be used."""
    try:
        stored = store.read()
        return stored.username if stored is not None and stored.url == url else store.account()
    except CredentialStoreError:
        return None
