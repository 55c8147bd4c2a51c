"""``/auth/login``, ``/auth/logout`` and ``/auth/api/keys``: signing in by browser, and API keys (spec immport §1.3)."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from packhorse.errors import UsageError
from packhorse.server.api.core import Refusal
from packhorse.server.api.immport.browser import Visitor, browser_page, sign_in, sign_out
from packhorse.server.api.signin import prove
from packhorse.server.immport.api_keys import list_keys, make_key, revoke_key
from packhorse.server.rendering import PAGE_HEADERS
from packhorse.wire.immport.tokens import SCOPES, member_lines, read_scopes

__all__ = ["SCOPE_WORDS", "routes"]

_KEYS: Final = "/auth/api/keys"
SCOPE_WORDS: Final = {
    "browse": "search studies and read results",
    "download": "download files",
    "upload": "submit and change data",
}
_LABELS: Final = [(scope, SCOPE_WORDS[scope]) for scope in SCOPES]


def login_page(visitor: Visitor) -> Response:
    onward = _onward(visitor.request.query_params.get("next", ""))
    if visitor.user is not None:
        return RedirectResponse(visitor.base + onward, 303, headers=PAGE_HEADERS)
    return visitor.to_sign_in(onward)


def login(visitor: Visitor) -> Response:
    """Password to session."""
    name, onward = visitor.field("username"), _onward(visitor.field("next"))
    client = visitor.request.client
    try:
        user = prove(visitor.home, visitor.session, name, visitor.field("password"), client.host if client else "")
    except Refusal as refusal:
        wrong = "The user name or the password is wrong."
        if refusal.status == 429:
            minutes = max(int(refusal.headers.get("Retry-After", "60")) // 60, 1)
            wrong = f"Too many failed sign-ins. Try again in {minutes} min."
        answer = visitor.to_sign_in(onward, name=name[:150], wrong=wrong, status=refusal.status)
        answer.headers.update(refusal.headers)
        return answer
    return sign_in(visitor, user, onward)


def logout_page(visitor: Visitor) -> Response:
    """Where clients send people to sign out (OpenID Connect's ``end_session_endpoint``): it takes a click, so that no
    other page can do it for them."""
    if visitor.user is None:
        return visitor.message("You are signed out", "You may close this page.", status=200)
    return visitor.message("Sign out?", f"You are signed in as {visitor.user.username}.", status=200, sign_out=True)


def _onward(asked: str) -> str:
    """Only to a path of our own below ``/auth/``: a link to the sign-in page must not lead elsewhere."""
    if asked.startswith("/auth/") and "\\" not in asked and asked.isprintable() and len(asked) <= 8000:
        return asked
    return _KEYS


def keys_page(visitor: Visitor) -> Response:
    if visitor.user is None:
        return visitor.to_sign_in(_KEYS)
    return _shown(visitor)


def change_keys(visitor: Visitor) -> Response:
    """Make a key (shown once: on the page, or as a file), or revoke one."""
    user, action = visitor.user, visitor.field("action")
    if user is None:
        return visitor.to_sign_in(_KEYS, status=401)
    if action == "revoke":
        if not revoke_key(visitor.session, user.id, visitor.field("id")):
            return _shown(visitor, status=404, wrong="There is no such key.")
        return RedirectResponse(visitor.base + _KEYS, 303, headers=PAGE_HEADERS)
    if action not in ("create", "download"):
        return _shown(visitor, status=400, wrong="This form cannot be read.")
    try:
        made = make_key(
            visitor.session,
            user.id,
            label=visitor.field("label"),
            scopes=read_scopes(" ".join(visitor.form.get("scopes", []))),
            days=visitor.home.config.immport.key_days,
        )
    except UsageError as error:
        return _shown(visitor, status=400, wrong=f"{error.message[:1].upper()}{error.message[1:]}.")
    text = member_lines(made.members())
    if action == "download":
        headers = {**PAGE_HEADERS, "Content-Disposition": 'attachment; filename="immport-api-key.json"'}
        return Response(text, headers=headers, media_type="application/json")
    visitor.session.flush()
    return _shown(visitor, made=text.decode().strip())


def _shown(visitor: Visitor, *, status: int = 200, **values: Any) -> Response:
    assert visitor.user is not None
    return visitor.show(
        "auth_keys.html",
        status=status,
        rows=list_keys(visitor.session, visitor.user.id),
        days=visitor.home.config.immport.key_days,
        scopes=_LABELS,
        **{"wrong": "", "made": "", **values},
    )


routes = [
    Route("/auth/login", browser_page(login_page, login), methods=["GET", "POST"]),
    Route("/auth/logout", browser_page(logout_page, sign_out), methods=["GET", "POST"]),
    Route(_KEYS, browser_page(keys_page, change_keys), methods=["GET", "POST"]),
]
