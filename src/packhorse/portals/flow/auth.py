"""Signing in to Flow and staying signed in (spec flow §3): password, API key, refresh cookie, renewal on 401."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Final

import msgspec

from packhorse.credentials.keeping import forget_stored, keep, stored_username
from packhorse.credentials.ladder import Answer, Credential, Source, climb, sendable
from packhorse.credentials.single import Single
from packhorse.credentials.store import StoredTokens, TokenStore
from packhorse.credentials.tokens import TokenKeeper, Tokens
from packhorse.errors import AuthenticationError, CredentialStoreError, PackhorseError, ProtocolError
from packhorse.model import Secret
from packhorse.net.calls import call
from packhorse.net.message import Reply, Request
from packhorse.net.redirect import same_origin
from packhorse.portals.context import PortalContext
from packhorse.portals.flow.refusals import refusal, wrong_base
from packhorse.portals.flow.rows import decoded
from packhorse.settings import variable_prefix

__all__ = ["COOKIE", "FlowAuth", "source_for"]

COOKIE: Final = "flow_refresh_token"


def source_for(context: PortalContext) -> Source:
    """Where this remote's credentials may be.

    Flow's own variables, its key file and the guide's keyring service are those of the remote ``flow`` only: a token
    for one server is never offered to another.
    """
    remote, env = context.remote, context.environ
    own = variable_prefix(remote.name)
    guide = remote.name == "flow"
    store = TokenStore(context.state_dir, remote.name)
    username = remote.username or env.get(f"{own}_USERNAME") or (env.get("FLOW_USERNAME") if guide else None)
    if username is None:
        username = stored_username(store, remote.url)
    service = "flow-api" if guide else f"packhorse-{remote.name}"
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    command = remote.options.get("token_command")
    return Source(
        remote=remote.name,
        url=remote.url,
        environ=env,
        store=store,
        explicit=context.explicit,
        token_variables=(f"{own}_TOKEN", *(("FLOW_ACCESS_TOKEN", "FLOW_API_TOKEN") if guide else ())),
        token_file_variables=("FLOW_TOKEN_FILE",) if guide else (),
        password_variables=(
            (f"{own}_USERNAME", f"{own}_PASSWORD"),
            *((("FLOW_USERNAME", "FLOW_PASSWORD"),) if guide else ()),
        ),
        username=username,
        command=command if isinstance(command, str) else None,
        command_limit=float(remote.options.get("token_timeout", 10.0)),
        keyring_services=(service, f"{service}-refresh") if remote.options.get("keyring", True) else (),
        token_files=(home / ".config" / "flow" / "api-token",) if guide else (),
        prompt=context.prompt,
    )


class FlowAuth:
    """The credential in use at one remote. Lives on the engine's loop; the ladder is climbed at the first need."""

    def __init__(self, context: PortalContext) -> None:
        self.remote = context.remote.name
        self.base = context.remote.url
        self.network = context.network
        self.source = source_for(context)
        self.anonymous = context.anonymous
        self.keeper = TokenKeeper(self.base)
        self.answer: Answer | None = None
        self._single = Single()

    @property
    def signed_in(self) -> bool:
        """Whether requests carry a token."""
        return self.keeper.token is not None

    async def authorise(self, request: Request) -> Request:
        """Add the bearer token, at the remote's own origin only; renew it first when it is about to expire."""
        if not same_origin(request.url, self.base):
            return request.without_header("Authorization")
        await self.ready()
        if self.keeper.due():
            # If that fails, the old token may still do: clocks differ.
            with suppress(PackhorseError):
                await self.keeper.renew(self.keeper.token, self._fetch)
        if self.keeper.token is None:
            return request
        return request.with_header_map({"Authorization": Secret(f"Bearer {self.keeper.token.reveal()}")})

    async def renew(self, refused: Request) -> bool:
        """Another token than the one that ``refused`` carried, if there can be one."""
        return await self.keeper.renew(_bearer(refused), self._fetch)

    async def renew_now(self) -> bool:
        """Renew whatever is in use (the guide's ``refresh_token()``)."""
        await self.ready()
        return await self.keeper.renew(self.keeper.token, self._fetch)

    async def ready(self) -> None:
        """Climb the ladder, once. Raises :class:`CredentialStoreError`, or what a sign-in raises."""
        if self.answer is None:
            async with self._single():
                await self._climb()

    async def _climb(self) -> None:
        if self.answer is not None:  # somebody else did while we waited
            return
        answer = Answer(None, ()) if self.anonymous else await asyncio.to_thread(climb, self.source)
        await self._use(answer.credential)
        self.answer = answer

    async def _use(self, credential: Credential | None) -> None:
        if credential is None:
            return
        if credential.token is not None:
            stored = credential.rung == "file" and credential.origin == str(self.source.store.path)
            self.keeper.store = self.source.store if stored else None
            self.keeper.adopt(Tokens(credential.token, credential.refresh, credential.username))
        elif credential.username is not None and credential.password is not None:
            self.keeper.adopt(await self.log_in(credential.username, credential.password))

    async def log_in(self, username: str, password: Secret) -> Tokens:
        """POST /login. Raises :class:`AuthenticationError` for a wrong user name or password."""
        body = msgspec.json.encode({"username": username, "password": password.reveal()})
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = Request("POST", f"{self.base}/login", headers, body, len(body), idempotent=True)
        reply = await call(self.network, request)
        if reply.status in (400, 401, 403, 422):
            raise AuthenticationError(
                f"{self.remote}: the user name or password is wrong", hint=f"packhorse login {self.remote}"
            )
        if reply.status == 501:
            raise AuthenticationError(
                f"{self.remote} takes no passwords: it signs in through your institution",
                hint=f"make an API key in the web application, then: packhorse login {self.remote} --token",
            )
        if not reply.head.ok:
            raise refusal(reply.status, reply.content, remote=self.remote, what="login", signed_in=False)
        return Tokens(self._token_of(reply), _refresh_cookie(reply), username)

    async def _fetch(self, refresh: Secret | None) -> Tokens | None:
        """New tokens by any means that are left; ``None`` when there are none."""
        if refresh is not None:
            tokens = await self._refresh(refresh)
            if tokens is not None:
                return tokens
        credential = self.answer.credential if self.answer is not None else None
        if credential is not None and credential.username and credential.password:
            return await self.log_in(credential.username, credential.password)
        if credential is not None and credential.rung == "command":
            again = (await asyncio.to_thread(climb, self.source)).credential
            return Tokens(again.token) if again is not None and again.token is not None else None
        if self.source.prompt is not None and not self.anonymous:
            entered = await asyncio.to_thread(self.source.prompt, self.remote, self.source.username)
            if entered is not None:
                return await self.log_in(*entered)
        return None

    async def _refresh(self, refresh: Secret) -> Tokens | None:
        """GET /token with the refresh cookie alone: the stale token is not sent along."""
        cookie = Secret(f"{COOKIE}={refresh.reveal()}")
        request = Request("GET", f"{self.base}/token", {"Cookie": cookie, "Accept": "application/json"})
        reply = await call(self.network, request)
        if reply.status in (400, 401, 403, 404):
            return None
        if not reply.head.ok:
            raise refusal(reply.status, reply.content, remote=self.remote, what="token", signed_in=True)
        return Tokens(self._token_of(reply), _refresh_cookie(reply))

    def _token_of(self, reply: Reply) -> Secret:
        try:
            answer: Any = decoded(reply)
        except ProtocolError as error:
            raise ProtocolError(error.message, hint=wrong_base(self.remote, self.base)) from None
        token = None
        if isinstance(answer, Mapping):
            token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str):
            raise ProtocolError(f"{self.remote} answers the sign-in without a token")
        try:
            return sendable(Secret(token), f"{self.remote}'s answer")
        except CredentialStoreError as error:
            raise ProtocolError(error.message) from None

    # Keeping and forgetting.

    async def keep(self, tokens: Tokens, where: str) -> str:
        """Use the tokens and keep them: ``file``, ``keyring``, ``auto`` (the file) or ``none``.

        Returns where they are, for a person. Raises :class:`CredentialStoreError`.
        """
        self.keeper.clear()
        self.keeper.adopt(tokens)
        self.answer = Answer(Credential("explicit", "this sign-in", token=tokens.token, refresh=tokens.refresh), ())
        self.keeper.store = None
        held = StoredTokens(self.base, tokens.token, tokens.refresh, tokens.username)
        kept = await asyncio.to_thread(keep, self.source, held, where)
        self.keeper.store = kept.store
        return kept.where

    async def forget(self) -> bool:
        """Delete what is stored, in file and keyring. True when there was anything."""
        self.keeper.clear()
        self.answer = Answer(None, ())
        return await asyncio.to_thread(forget_stored, self.source)


def _bearer(request: Request) -> Secret | None:
    value = next((value for name, value in request.headers.items() if name.lower() == "authorization"), None)
    text = value.reveal() if isinstance(value, Secret) else value or ""
    return Secret(text[7:]) if text.startswith("Bearer ") else None


def _refresh_cookie(reply: Reply) -> Secret | None:
    for header in reply.head.headers.get_all("set-cookie"):
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(header)
        except CookieError:
            continue
        if COOKIE in cookies and cookies[COOKIE].value:
            try:
                return sendable(Secret(cookies[COOKIE].value), COOKIE)
            except CredentialStoreError:
                continue
    return None
