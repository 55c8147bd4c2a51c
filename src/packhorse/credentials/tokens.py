"""Tokens in use: expiry, and renewal by one caller at a time."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from packhorse.credentials.single import Single
from packhorse.credentials.store import StoredTokens, TokenStore
from packhorse.errors import CredentialStoreError
from packhorse.model import Secret

__all__ = ["RENEW_AHEAD", "TokenKeeper", "Tokens", "claims_of", "expiry"]

RENEW_AHEAD: Final = 60.0
"""Seconds before its expiry at which a token is renewed unasked; a quarter of its time where that is less."""


def claims_of(token: Secret) -> Mapping[str, Any]:
    """What a JWT says of itself, read without verification (only its issuer can verify it); empty for another token."""
    parts = token.reveal().split(".")
    if len(parts) != 3 or len(parts[1]) > 64 * 1024:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def expiry(token: Secret) -> float | None:
    """When a JWT expires, in Unix seconds; ``None`` where that is not said."""
    value = claims_of(token).get("exp")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
        return None
    return float(value)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in or a renewal gave. ``refresh`` is ``None`` where the old one stays good."""

    token: Secret
    refresh: Secret | None = None
    username: str | None = None


Fetch = Callable[[Secret | None], Awaitable[Tokens | None]]
"""Fetches new tokens with the refresh token, if there is one; ``None`` when that is not possible."""


class TokenKeeper:
    """The tokens of one remote in this process. Lives on the engine's loop.

    ``store`` is the file that renewed tokens go to, where the credential came from there; ``url`` is the remote's.
    """

    def __init__(self, url: str, store: TokenStore | None = None) -> None:
        self.url = url
        self.store = store
        self.token: Secret | None = None
        self.refresh: Secret | None = None
        self.username: str | None = None
        self.clock: Callable[[], float] = time.time
        """What expiry is compared with: a portal that knows its server's clock sets that one."""
        self._ahead = RENEW_AHEAD
        self._hopeless: set[Secret | None] = set()
        self._single = Single()

    def adopt(self, tokens: Tokens) -> None:
        """Use these from now on."""
        self.token = tokens.token
        end = expiry(tokens.token)
        left = RENEW_AHEAD if end is None else end - self.clock()
        self._ahead = min(RENEW_AHEAD, left / 4) if left > 0 else RENEW_AHEAD
        self.refresh = tokens.refresh or self.refresh
        self.username = tokens.username or self.username
        self._hopeless.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.token = self.refresh = self.username = None
        self._hopeless.clear()

    def due(self, now: float | None = None) -> bool:
        """Whether the token is about to expire and can be renewed."""
        if self.token is None or self.refresh is None or self.token in self._hopeless:
            return False
        end = expiry(self.token)
        return end is not None and (self.clock() if now is None else now) > end - self._ahead

    async def renew(self, refused: Secret | None, fetch: Fetch) -> bool:
        """See that another token than ``refused`` is in use. True when there is one.

        One caller fetches, the others wait for it. The file is read first: another process may have renewed. A
        token that could not be renewed is not tried again. What ``fetch`` raises comes through.
        """
        async with self._single():
            if self.token is not None and self.token != refused:
                return True
            if refused in self._hopeless:
                return False
            if await self._reread(refused):
                return True
            tokens = await fetch(self.refresh)
            if tokens is None or tokens.token == refused:
                self._hopeless.add(refused)
                return False
            self.adopt(tokens)
            if self.store is not None:
                await asyncio.to_thread(self._save, self.store)
            return True

    async def _reread(self, refused: Secret | None) -> bool:
        if self.store is None:
            return False
        try:
            stored = await asyncio.to_thread(self.store.read)
        except CredentialStoreError:
            return False
        if stored is None or stored.url != self.url:
            return False
        self.refresh = stored.refresh or self.refresh
        if stored.token in (refused, self.token) or stored.token in self._hopeless:
            return False
        end = expiry(stored.token)
        if end is not None and end <= self.clock():
            return False
        self.adopt(Tokens(stored.token, stored.refresh, stored.username))
        return True

    def _save(self, store: TokenStore) -> None:
        # A full or read-only state directory must not stop the transfer that the new token is for.
        if self.token is not None:
            try:
                store.write(StoredTokens(self.url, self.token, self.refresh, self.username))
            except CredentialStoreError:
                return
