"""The 0600 file per remote in the state directory: tokens of the last sign-in, or an API key."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packhorse.credentials.private import read_private
from packhorse.errors import CredentialStoreError, SettingsError
from packhorse.model import Secret
from packhorse.settings import private_write

__all__ = ["StoredTokens", "TokenStore"]


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """What the file holds. ``url`` is the remote's base that issued the token: it is never sent to another."""

    url: str
    token: Secret
    refresh: Secret | None = None
    username: str | None = None


class TokenStore:
    """One remote's file, ``credentials/NAME.json`` below the state directory."""

    def __init__(self, state_dir: Path, remote: str) -> None:
        self.remote = remote
        self.path = state_dir / "credentials" / f"{remote}.json"
        self.account_path = self.path.with_suffix(".account")

    def read(self) -> StoredTokens | None:
        """What is stored, or ``None``. Raises :class:`CredentialStoreError` for a file that must not be used."""
        text = read_private(self.path)
        if text is None:
            return None
        try:
            held: Any = json.loads(text)
            url, token = held["url"], held["token"]
            refresh, username = held.get("refresh"), held.get("username")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._broken() from None
        if not (isinstance(url, str) and isinstance(token, str) and token):
            raise self._broken()
        if not all(isinstance(value, str | None) for value in (refresh, username)):
            raise self._broken()
        return StoredTokens(url, Secret(token), Secret(refresh) if refresh else None, username or None)

    def write(self, tokens: StoredTokens) -> None:
        """Replace the file, whole or not at all. Raises :class:`CredentialStoreError`."""
        held = {"version": 1, "url": tokens.url, "username": tokens.username, "token": tokens.token.reveal()}
        if tokens.refresh is not None:
            held["refresh"] = tokens.refresh.reveal()
        try:
            private_write(self.path, json.dumps(held, indent=1).encode() + b"\n")
        except SettingsError as error:
            raise CredentialStoreError(error.message, hint="PACKHORSE_STATE names another place") from None

    def account(self) -> str | None:
        """The account whose token is in the keyring: a name, no secret."""
        try:
            return read_private(self.account_path) or None
        except CredentialStoreError:
            return None

    def write_account(self, username: str) -> None:
        """Remember the account for the keyring. Raises :class:`CredentialStoreError`."""
        try:
            private_write(self.account_path, username.encode())
        except SettingsError as error:
            raise CredentialStoreError(error.message, hint="PACKHORSE_STATE names another place") from None

    def delete_account(self) -> None:
        """Forget the account for the keyring."""
        with contextlib.suppress(OSError):
            self.account_path.unlink()

    def delete(self) -> bool:
        """Remove the token file. True when there was one."""
        self.delete_account()
        with contextlib.suppress(FileNotFoundError):
            try:
                self.path.unlink()
            except FileNotFoundError:
                raise
            except OSError as error:
                raise CredentialStoreError(f"{self.path} cannot be removed: {error.strerror or error}") from None
            return True
        return False

    def _broken(self) -> CredentialStoreError:
        return CredentialStoreError(
            f"{self.path} is damaged and is not used",
            hint=f"packhorse logout {self.remote}, then packhorse login {self.remote}",
        )
