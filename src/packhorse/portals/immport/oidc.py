"""Sign-in by OpenID Connect (spec immport §1.4): authorization code with PKCE, client credentials, refresh."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from packhorse.credentials.ladder import sendable
from packhorse.credentials.tokens import Tokens
from packhorse.errors import AuthenticationError, CredentialStoreError, ProtocolError
from packhorse.model import Secret
from packhorse.net.calls import call
from packhorse.net.message import Reply, Request
from packhorse.net.redact import show_text, show_url
from packhorse.net.redirect import same_origin
from packhorse.portals.immport.refusals import decoded, said

if TYPE_CHECKING:
    from packhorse.portals.immport.auth import ImmPortAuth

__all__ = ["SCOPES", "Endpoints", "browse", "client_credentials", "discover", "refresh"]

SCOPES: Final = "openid browse download upload"
_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Packhorse</title>
<p style="font-family: sans-serif; margin: 3em">{}</p>"""
_HEAD_LIMIT: Final = 16 * 1024

Show = Callable[[str], None]
"""Told the address to open; it opens the browser, or says it to a person. Called in a thread."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the discovery document names."""

    authorize: str
    token: str
    issuer: str | None = None


async def discover(auth: ImmPortAuth) -> Endpoints:
    """The endpoints of the remote's token service, from its discovery document; the usual ones where it has none.

    Raises :class:`ProtocolError` for a document that sends secrets to another origin.
    """
    base = auth.bases.auth
    url = f"{base}/.well-known/openid-configuration"
    reply = await call(auth.network, Request("GET", url, {"Accept": "application/json"}))
    usual = Endpoints(f"{base}/oauth2/authorize", f"{base}/oauth2/token")
    if reply.status in (401, 403, 404):
        return usual
    if not reply.head.ok:
        raise ProtocolError(f"{auth.remote}: {show_url(url)} answers HTTP {reply.status}")
    held: Any = decoded(reply, auth.remote, "openid-configuration")
    if not isinstance(held, Mapping):
        raise ProtocolError(f"{auth.remote}: {show_url(url)} is no discovery document")
    found = Endpoints(
        _text(held, "authorization_endpoint") or usual.authorize,
        _text(held, "token_endpoint") or usual.token,
        _text(held, "issuer"),
    )
    for place in (found.authorize, found.token):
        if not same_origin(place, base):
            raise ProtocolError(
                f"{auth.remote}: the discovery document sends the sign-in to {show_url(place)}, "
                f"which is not at {show_url(base)}",
                hint=f"if that is right: auth_url in [remotes.{auth.remote}]",
            )
    return found


def _text(held: Mapping[str, Any], name: str) -> str | None:
    value = held.get(name)
    return value if isinstance(value, str) and value else None


async def client_credentials(auth: ImmPortAuth, client: str, secret: Secret, *, again: str) -> Tokens:
    """A token for a program's own name and secret. Raises :class:`AuthenticationError`."""
    places = await discover(auth)
    pair = base64.b64encode(f"{client}:{secret.reveal()}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": "browse download"}
    reply = await _post(auth, places.token, form, {"Authorization": Secret(f"Basic {pair}")})
    if not reply.head.ok:
        raise _refused(auth, reply, f"the client {show_text(client)} or its secret is wrong")
    token, _ = _tokens(auth, reply)
    return Tokens(token, Secret(again), client)


async def refresh(auth: ImmPortAuth, client: str, token: Secret) -> tuple[Secret, Secret | None] | None:
    """A new token, and the refresh token where that changed too; ``None`` when the old one is no longer good."""
    places = await discover(auth)
    form = {"grant_type": "refresh_token", "refresh_token": token.reveal(), "client_id": client}
    reply = await _post(auth, places.token, form)
    return _tokens(auth, reply) if reply.head.ok else None


async def browse(auth: ImmPortAuth, client: str, show: Show, *, limit: float = 300.0) -> tuple[Secret, Secret | None]:
    """Sign in in the browser: a code comes back to a listener on 127.0.0.1, bound to this run by state and PKCE.

    ``limit`` in seconds. Raises :class:`AuthenticationError` when the person says no, or nothing comes.
    """
    places = await discover(auth)
    verifier, state = secrets.token_urlsafe(64), secrets.token_urlsafe(24)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    answer: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
    listener = await asyncio.start_server(
        lambda reader, writer: _receive(reader, writer, state, answer), "127.0.0.1", 0, limit=_HEAD_LIMIT
    )
    try:
        port = listener.sockets[0].getsockname()[1]
        back = f"http://127.0.0.1:{port}/callback"
        query = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": back,
            "scope": SCOPES,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joiner = "&" if "?" in places.authorize else "?"
        await asyncio.to_thread(show, f"{places.authorize}{joiner}{urlencode(query)}")
        try:
            given = await asyncio.wait_for(answer, limit)
        except TimeoutError:
            raise AuthenticationError(
                f"{auth.remote}: no answer came from the browser within {limit:.0f} s",
                hint=f"packhorse login {auth.remote} --browser, or with an API key: --token-stdin",
            ) from None
    finally:
        listener.close()
        with suppress(Exception):
            await listener.wait_closed()
    if "code" not in given:
        words = show_text(given.get("error_description") or given.get("error") or "no code came")
        raise AuthenticationError(f"{auth.remote} refuses the sign-in: {words}")
    form = {
        "grant_type": "authorization_code",
        "code": given["code"],
        "redirect_uri": back,
        "client_id": client,
        "code_verifier": verifier,
    }
    reply = await _post(auth, places.token, form)
    if not reply.head.ok:
        raise _refused(auth, reply, "the code of the browser is not taken")
    return _tokens(auth, reply)


async def _receive(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    state: str,
    answer: asyncio.Future[Mapping[str, str]],
) -> None:
    """One request of the browser. What does not carry our state is none of ours, and is not an answer."""
    try:
        line = await asyncio.wait_for(reader.readline(), 10)
        while (await asyncio.wait_for(reader.readline(), 10)).strip():
            pass
        words = line.decode("latin-1").split()
        target = urlsplit(words[1]) if len(words) == 3 and words[0] == "GET" else None
        given = {name: values[0] for name, values in parse_qs(target.query).items()} if target is not None else {}
        mine = target is not None and target.path == "/callback"
        if mine and secrets.compare_digest(given.get("state", "").encode(), state.encode()):
            text, status = "You are signed in. This page can be closed.", "200 OK"
            if "code" not in given:
                text = "The sign-in was refused. This page can be closed."
            if not answer.done():
                answer.set_result(given)
        else:
            text, status = "This is not the answer that is waited for.", "404 Not Found"
        body = _PAGE.format(text).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\nCache-Control: no-store\r\n\r\n".encode() + body)
        await writer.drain()
    except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
        pass  # a port scanner, a browser that went away
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _post(
    auth: ImmPortAuth, url: str, form: Mapping[str, str], extra: Mapping[str, Secret] | None = None
) -> Reply:
    body = urlencode(form).encode()
    headers: dict[str, str | Secret] = {"Accept": "application/json", **(extra or {})}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    # A code or a rotating refresh token is good once: not repeated blindly.
    once = form["grant_type"] != "client_credentials"
    return await call(auth.network, Request("POST", url, headers, body, len(body), idempotent=not once))


def _tokens(auth: ImmPortAuth, reply: Reply) -> tuple[Secret, Secret | None]:
    auth.learn(reply.head)
    held: Any = decoded(reply, auth.remote, "oauth2/token")
    token = held.get("access_token") if isinstance(held, Mapping) else None
    if not isinstance(token, str):
        raise ProtocolError(f"{auth.remote} answers the sign-in without a token")
    newer = held.get("refresh_token")
    try:
        found = sendable(Secret(token), f"{auth.remote}'s answer")
        return found, sendable(Secret(newer), "refresh_token") if isinstance(newer, str) and newer else None
    except CredentialStoreError as error:
        raise ProtocolError(error.message) from None


def _refused(auth: ImmPortAuth, reply: Reply, otherwise: str) -> AuthenticationError:
    return AuthenticationError(f"{auth.remote} refuses the sign-in: {said(reply.content) or otherwise}")
