"""Signing in to ImmPort and staying signed in (spec immport §1): password, API key, OIDC, renewal on 401.

ImmPort gives no refresh token for a password, and its tokens last a minute or an hour. What can be asked again is
noted beside a kept token, in the refresh token's place: ``ask`` (the password, of a person), ``password:…`` (in a
keyring only, never in a file), ``client``, or ``oidc:CLIENT:…``.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from packhorse.credentials.keeping import forget_stored, keep, stored_username
from packhorse.credentials.ladder import Answer, Credential, Source, climb
from packhorse.credentials.single import Single
from packhorse.credentials.store import StoredTokens, TokenStore
from packhorse.credentials.tokens import TokenKeeper, Tokens
from packhorse.errors import PackhorseError
from packhorse.model import Secret
from packhorse.net.message import Request, ResponseHead
from packhorse.portals.context import PortalContext
from packhorse.portals.immport.bases import Bases, bases_of
from packhorse.portals.immport.keys import read_key
from packhorse.portals.immport.password import password_token
from packhorse.settings import variable_prefix
from packhorse.wire.http import parse_http_date

__all__ = ["ASK", "ImmPortAuth", "source_for"]

ASK: Final = "ask"
_PASSWORD: Final = "password:"  # noqa: S105 - a tag
_OIDC: Final = "oidc:"
_CLIENT: Final = "client"


def source_for(context: PortalContext) -> Source:
    """Where this remote's credentials may be.

    The variables that ImmPort's users know (``IMMPORT_API_KEY`` …) are for the remote ``immport`` only: a token for
    one server is never offered to another.
    """
    remote, env = context.remote, context.environ
    own = variable_prefix(remote.name)
    known = remote.name == "immport"
    store = TokenStore(context.state_dir, remote.name)
    username = remote.username or env.get(f"{own}_USERNAME") or (env.get("IMMPORT_USERNAME") if known else None)
    if username is None:
        username = stored_username(store, remote.url)
    command = remote.options.get("token_command")
    pairs = [(f"{own}_USERNAME", f"{own}_PASSWORD"), (f"{own}_CLIENT_ID", f"{own}_CLIENT_SECRET")]
    tokens, files = [f"{own}_TOKEN", f"{own}_API_KEY"], [f"{own}_API_KEY_FILE"]
    if known:
        tokens += ["IMMPORT_API_KEY", "IMMPORT_TOKEN"]
        files.append("IMMPORT_API_KEY_FILE")
        pairs.insert(1, ("IMMPORT_USERNAME", "IMMPORT_PASSWORD"))
    services = (f"packhorse-{remote.name}", f"packhorse-{remote.name}-again")
    return Source(
        remote=remote.name,
        url=remote.url,
        environ=env,
        store=store,
        explicit=context.explicit,
        token_variables=tuple(tokens),
        token_file_variables=tuple(files),
        password_variables=tuple(pairs),
        username=username,
        command=command if isinstance(command, str) else None,
        command_limit=float(remote.options.get("token_timeout", 10.0)),
        keyring_services=services if remote.options.get("keyring", True) else (),
        prompt=context.prompt,
        reads=read_key,
    )


class ImmPortAuth:
    """The credential in use at one remote. Lives on the engine's loop; the ladder is climbed at the first need."""

    def __init__(self, context: PortalContext, bases: Bases | None = None) -> None:
        self.remote = context.remote.name
        self.bases = bases or bases_of(context.remote)
        self.network = context.network
        self.source = source_for(context)
        self.client_id = str(
            context.remote.options.get("client_id")
            or context.environ.get(f"{variable_prefix(self.remote)}_CLIENT_ID")
            or "packhorse"
        )
        self.anonymous = context.anonymous
        self.keeper = TokenKeeper(context.remote.url)
        self.keeper.clock = self.now
        self.answer: Answer | None = None
        self._password: tuple[str, Secret] | None = None
        self._skew = 0.0
        self._single = Single()

    def now(self) -> float:
        """The server's time, as far as its answers told it."""
        return time.time() + self._skew

    def learn(self, head: ResponseHead) -> None:
        """Read the clock off an answer of the token service: a token that lasts a minute needs it."""
        date = parse_http_date(head.headers.get("date"))
        if date is not None:
            skew = date - time.time()
            self._skew = skew if abs(skew) > 2 else 0.0

    @property
    def signed_in(self) -> bool:
        """Whether requests carry a token."""
        return self.keeper.token is not None

    async def ready(self) -> None:
        """Climb the ladder, once. Raises :class:`CredentialStoreError`, or what a sign-in raises."""
        if self.answer is None:
            async with self._single():
                if self.answer is None:
                    answer = Answer(None, ()) if self.anonymous else await asyncio.to_thread(climb, self.source)
                    await self._use(answer.credential)
                    self.answer = answer

    async def token(self) -> Secret | None:
        """The token in use, renewed when it is about to expire; ``None`` when not signed in."""
        await self.ready()
        if self.keeper.due():
            # If that fails, the old token may still do: clocks differ.
            with suppress(PackhorseError):
                await self.keeper.renew(self.keeper.token, self._fetch)
        return self.keeper.token

    async def authorise(self, request: Request) -> Request:
        """Add the bearer token, for the services of this remote only."""
        if not self.bases.holds(request.url):
            return request.without_header("Authorization")
        token = await self.token()
        if token is None:
            return request
        return request.with_header_map({"Authorization": Secret(f"Bearer {token.reveal()}")})

    async def renew(self, refused: Request) -> bool:
        """Another token than the one that ``refused`` carried, if there can be one."""
        await self.ready()
        return await self.keeper.renew(_bearer(refused), self._fetch)

    async def _use(self, credential: Credential | None) -> None:
        if credential is None:
            return
        if credential.token is not None:
            stored = credential.rung == "file" and credential.origin == str(self.source.store.path)
            self.keeper.store = self.source.store if stored else None
            self.keeper.adopt(Tokens(credential.token, credential.refresh, credential.username))
        elif credential.username is not None and credential.password is not None:
            if self._is_client(credential):
                self.keeper.adopt(await self._client_grant(credential))
            else:
                self.keeper.adopt(await self.log_in(credential.username, credential.password))

    def _is_client(self, credential: Credential) -> bool:
        return credential.rung == "environment" and "_CLIENT_ID" in credential.origin

    async def log_in(self, username: str, password: Secret) -> Tokens:
        """A token for a password, which is held in memory to ask again. Raises :class:`AuthenticationError`."""
        token, head = await password_token(
            self.network,
            tuple(f"{base}/token" for base in (self.bases.auth, *self.bases.auth_others)),
            username,
            password,
            remote=self.remote,
        )
        self.learn(head)
        self._password = (username, password)
        return Tokens(token, Secret(ASK), username)

    async def _fetch(self, again: Secret | None) -> Tokens | None:
        """New tokens by any means that are left; ``None`` when there are none."""
        if self._password is not None:
            return await self.log_in(*self._password)
        how = again.reveal() if again is not None else ""
        username = self.keeper.username or self.source.username
        if how.startswith(_PASSWORD) and username is not None:
            tokens = await self.log_in(username, Secret(how.removeprefix(_PASSWORD)))
            return replace(tokens, refresh=again)
        if how.startswith(_OIDC):
            tokens_or_none = await self._refresh_grant(how)
            if tokens_or_none is not None:
                return tokens_or_none
        credential = self.answer.credential if self.answer is not None else None
        if credential is not None and self._is_client(credential):
            return await self._client_grant(credential)
        if credential is not None and credential.rung == "command":
            found = (await asyncio.to_thread(climb, self.source)).credential
            return Tokens(found.token) if found is not None and found.token is not None else None
        if self.source.prompt is not None and not self.anonymous and (how == ASK or self.keeper.token is None):
            entered = await asyncio.to_thread(self.source.prompt, self.remote, username)
            if entered is not None:
                return await self.log_in(*entered)
        return None

    async def _client_grant(self, credential: Credential) -> Tokens:
        from packhorse.portals.immport import oidc

        assert credential.username is not None
        assert credential.password is not None
        return await oidc.client_credentials(self, credential.username, credential.password, again=_CLIENT)

    async def _refresh_grant(self, how: str) -> Tokens | None:
        from packhorse.portals.immport import oidc

        client, _, refresh = how.removeprefix(_OIDC).partition(":")
        found = await oidc.refresh(self, client, Secret(refresh))
        if found is None:
            return None
        token, newer = found
        return Tokens(token, Secret(f"{_OIDC}{client}:{(newer or Secret(refresh)).reveal()}"))

    async def log_in_by_browser(self, show: Any, *, limit: float = 300.0) -> Tokens:
        """Sign in in the browser (authorization code with PKCE). ``show`` is told the address. See ``oidc.browse``."""
        from packhorse.portals.immport import oidc

        token, newer = await oidc.browse(self, self.client_id, show, limit=limit)
        return Tokens(token, Secret(f"{_OIDC}{self.client_id}:{newer.reveal()}") if newer is not None else None)

    # Keeping and forgetting.

    async def keep(self, tokens: Tokens, where: str) -> str:
        """Use the tokens and keep them where :func:`packhorse.credentials.keep` says; returns the place.

        A password goes to a keyring only.
        """
        self.keeper.clear()
        self.keeper.adopt(tokens)
        self.answer = Answer(Credential("explicit", "this sign-in", token=tokens.token, refresh=tokens.refresh), ())
        self.keeper.store = None
        if where == "keyring" and self._password is not None:
            tokens = replace(tokens, refresh=Secret(_PASSWORD + self._password[1].reveal()))
        stored = StoredTokens(self.source.url, tokens.token, tokens.refresh, tokens.username)
        kept = await asyncio.to_thread(keep, self.source, stored, where)
        self.keeper.store = kept.store
        return kept.where

    async def forget(self) -> bool:
        """Delete what is stored, in file and keyring. True when there was anything."""
        self.keeper.clear()
        self._password = None
        self.answer = Answer(None, ())
        return await asyncio.to_thread(forget_stored, self.source)


def _bearer(request: Request) -> Secret | None:
    value = next((value for name, value in request.headers.items() if name.lower() == "authorization"), None)
    text = value.reveal() if isinstance(value, Secret) else value or ""
    return Secret(text[7:]) if text.startswith("Bearer ") else None
