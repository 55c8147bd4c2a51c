"""OAuth 2 and OpenID Connect: authorization code with PKCE, client credentials (spec immport §1.4; RFC 6749, 7636,
8252, 9207)."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus, urlencode, urlsplit

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.server.api.core import Home, Refusal
from packhorse.server.api.immport.browser import Visitor, browser_page
from packhorse.server.api.immport.core import NO_STORE, base_of, guarded
from packhorse.server.api.immport.forms import read_form
from packhorse.server.api.immport.keys import SCOPE_WORDS
from packhorse.server.db.models import User
from packhorse.server.immport.clients import Client, allows, find_client
from packhorse.server.immport.codes import is_challenge, make_code, redeem
from packhorse.server.immport.signin import Issued, id_token, issue, issuer
from packhorse.server.rendering import PAGE_HEADERS
from packhorse.wire.immport.tokens import SCOPES, scope_list

__all__ = ["routes"]

_ASKED: Final = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A well-formed authorization request. ``scopes`` are what the client may have of what it asked for."""

    client: Client
    redirect: str
    state: str | None
    scopes: tuple[str, ...]
    challenge: str
    nonce: str | None


class _BadRequest(Exception):  # noqa: N818 - an answer, not a fault
    """An error for the client. ``redirect`` is where it may be told; without one only the user is."""

    def __init__(self, code: str, words: str, redirect: str | None = None, state: str | None = None) -> None:
        super().__init__(code, words)
        self.code, self.words, self.redirect, self.state = code, words, redirect, state


def _wanted(session: Session, given: Mapping[str, list[str]]) -> _Wanted:
    """Read an authorization request. Raises :class:`_BadRequest`."""
    twice = [name for name in _ASKED if len(given.get(name, ())) > 1]
    one = {name: given[name][0] for name in _ASKED if given.get(name)}
    client = find_client(session, one.get("client_id", ""))
    redirect, state = one.get("redirect_uri", ""), one.get("state")
    if client is None:
        raise _BadRequest("invalid_request", "No program of this client_id is registered here.")
    if "redirect_uri" in twice or "client_id" in twice or not allows(client, redirect):
        raise _BadRequest("invalid_request", f"This redirect_uri is not registered for {client.name}.")
    if twice:
        raise _BadRequest("invalid_request", f"{twice[0]} stands twice", redirect, state)
    if one.get("response_type") != "code":
        raise _BadRequest("unsupported_response_type", "response_type must be code", redirect, state)
    if one.get("code_challenge_method") != "S256" or not is_challenge(one.get("code_challenge", "")):
        raise _BadRequest(
            "invalid_request", "PKCE is needed: code_challenge, code_challenge_method=S256", redirect, state
        )
    if len(state or "") > 2000 or len(one.get("nonce", "")) > 500:
        raise _BadRequest("invalid_request", "state or nonce is too long", redirect)
    asked = one.get("scope", "openid browse download").split()
    scopes = [
        scope for scope in ("openid", *SCOPES) if scope in asked and (scope == "openid" or scope in client.scopes)
    ]
    if not scopes:
        raise _BadRequest("invalid_scope", f"scopes of {client.id}: openid {' '.join(client.scopes)}", redirect, state)
    return _Wanted(client, redirect, state, tuple(scopes), one["code_challenge"], one.get("nonce"))


def authorize_page(visitor: Visitor) -> Response:
    """``GET /auth/oauth2/authorize``: sign in, then ask the user."""
    given = visitor.query()
    try:
        wanted = _wanted(visitor.session, given)
    except _BadRequest as bad:
        return _told(visitor, bad)
    if visitor.user is None:
        onward = f"/auth/oauth2/authorize?{visitor.request.url.query}"
        return visitor.to_sign_in(onward, client=wanted.client.name)
    words = ["know who you are (name and e-mail address)"] if "openid" in wanted.scopes else []
    target = urlsplit(wanted.redirect)
    return visitor.show(
        "auth_consent.html",
        sends_to=f"{target.scheme}://{target.netloc}",
        client=wanted.client.name,
        rights=[*words, *(SCOPE_WORDS[scope] for scope in wanted.scopes if scope != "openid")],
        target=f"{target.scheme}://{target.netloc}",
        fields=[(name, value) for name in _ASKED for value in given.get(name, ())],
    )


def authorize(visitor: Visitor) -> Response:
    """``POST /auth/oauth2/authorize``: the user's answer, for the client."""
    try:
        wanted = _wanted(visitor.session, visitor.form)
        if visitor.user is None:
            raise _BadRequest("login_required", "You are not signed in.")
        if visitor.field("decision") != "allow":
            raise _BadRequest("access_denied", "the user said no", wanted.redirect, wanted.state)
    except _BadRequest as bad:
        return _told(visitor, bad)
    code = make_code(
        visitor.session,
        client_id=wanted.client.id,
        user_id=visitor.user.id,
        redirect=wanted.redirect,
        challenge=wanted.challenge,
        scopes=wanted.scopes,
        nonce=wanted.nonce,
    )
    return _back(visitor, wanted.redirect, {"code": code}, wanted.state)


def _told(visitor: Visitor, bad: _BadRequest) -> Response:
    if bad.redirect is None:
        return visitor.message("This program cannot sign you in", bad.words, status=400)
    return _back(visitor, bad.redirect, {"error": bad.code, "error_description": bad.words}, bad.state)


def _back(visitor: Visitor, redirect: str, members: dict[str, str], state: str | None) -> Response:
    members |= {"state": state} if state is not None else {}
    members["iss"] = issuer(visitor.base)
    joint = "&" if urlsplit(redirect).query else "?"
    return RedirectResponse(f"{redirect}{joint}{urlencode(members)}", 303, headers=PAGE_HEADERS)


async def token(request: Request) -> ASGIApp:
    """``POST /auth/oauth2/token``."""
    form = await read_form(request)
    base = base_of(request)

    def work() -> Response:
        home: Home = request.app.state.home
        with home.database.write() as session:
            return _token(home, session, request, {name: values[-1] for name, values in form.items()}, base)

    return await run_in_threadpool(work)


def _token(home: Home, session: Session, request: Request, form: Mapping[str, str], base: str) -> Response:
    shown = _basic(request)
    client_id, secret = shown if shown is not None else (form.get("client_id", ""), form.get("client_secret"))
    address = request.client.host if request.client else ""
    key = f"oauth\0{client_id[:64]}\0{address}"
    if (wait := home.limiter.wait(key)) > 0:
        raise Refusal(429, "Too many failed attempts; try again later", headers={"Retry-After": str(math.ceil(wait))})
    client = find_client(session, client_id)
    if client is None or not client.proves(secret):
        home.limiter.failed(key)
        return _failed("invalid_client", "the client or its secret is wrong", 401)
    home.limiter.succeeded(key)
    grant = form.get("grant_type")
    if grant == "authorization_code":
        return _by_code(home, session, client, form, base)
    if grant == "client_credentials":
        return _by_itself(home, session, client, form, base)
    return _failed("unsupported_grant_type", "authorization_code or client_credentials")


def _by_code(home: Home, session: Session, client: Client, form: Mapping[str, str], base: str) -> Response:
    row = redeem(
        session,
        form.get("code", ""),
        client_id=client.id,
        redirect=form.get("redirect_uri", ""),
        verifier=form.get("code_verifier", ""),
    )
    user = session.get(User, row.user_id) if row is not None else None
    if row is None or user is None or not user.active:
        return _failed("invalid_grant", "the code, its redirect_uri or its code_verifier is wrong, used, or over")
    granted = row.scopes.split()
    scopes = scope_list(granted)
    made = issue(home, session, user, client_id=client.id, scopes=scopes, base=base)
    row.session_id = made.session_id
    if "openid" not in granted:
        return _answer(made, scopes)
    return _answer(made, granted, id_token=id_token(home, user, client_id=client.id, base=base, nonce=row.nonce))


def _by_itself(home: Home, session: Session, client: Client, form: Mapping[str, str], base: str) -> Response:
    user = session.get(User, client.user_id) if client.user_id is not None else None
    if client.secret_hash is None or user is None or not user.active:
        return _failed("unauthorized_client", "this client cannot act by itself")
    asked = form.get("scope", " ".join(client.scopes)).split()
    scopes = scope_list(set(asked) & client.scopes)
    if not scopes:
        return _failed("invalid_scope", f"scopes of {client.id}: {' '.join(scope_list(client.scopes))}")
    return _answer(issue(home, session, user, client_id=client.id, scopes=scopes, base=base), scopes)


def _answer(made: Issued, scopes: list[str], **more: str) -> Response:
    members = {
        "access_token": made.token,
        "token_type": "Bearer",
        "expires_in": made.seconds,
        "scope": " ".join(scopes),
    }
    return JSONResponse({**members, **more}, headers={**NO_STORE, "Pragma": "no-cache"})


def _failed(code: str, words: str, status: int = 400) -> Response:
    headers = {**NO_STORE, **({"WWW-Authenticate": 'Basic realm="immport"'} if status == 401 else {})}
    return JSONResponse({"error": code, "error_description": words}, status, headers=headers)


def _basic(request: Request) -> tuple[str, str] | None:
    """Name and secret of the ``Authorization`` header, form-encoded as RFC 6749 §2.3.1 has them."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


routes = [
    Route("/auth/oauth2/authorize", browser_page(authorize_page, authorize), methods=["GET", "POST"]),
    Route("/auth/oauth2/token", guarded(token), methods=["POST"]),
]
