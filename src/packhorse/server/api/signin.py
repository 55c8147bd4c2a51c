"""Sign-in, renewal, sign-out (spec flow §3.2)."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy.orm import Session
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from packhorse.server.api.callers import REFRESH_COOKIE, caller_of_claims, presented_token
from packhorse.server.api.core import Answer, Context, Home, Refusal, endpoint
from packhorse.server.db.models import LoginSession, User, now
from packhorse.server.filesender_keys import find_signer
from packhorse.server.security import check_password, new_session_id

__all__ = ["prove", "routes"]

_NO_STORE = {"Cache-Control": "no-store"}


def login(ctx: Context) -> Answer:
    """Password to token and refresh cookie. Wrong credentials are 400, as the v2 client documents; 429 after many."""
    username, password = ctx.body.get("username"), ctx.body.get("password")
    missing = {
        name: ["This field is required."]
        for name, value in (("username", username), ("password", password))
        if not isinstance(value, str) or not value
    }
    if missing or not isinstance(username, str) or not isinstance(password, str):
        raise Refusal(400, missing)
    client = ctx.request.client
    user = prove(ctx.home, ctx.session, username, password, client.host if client else "")
    tokens = ctx.home.tokens
    login_session = LoginSession(id=new_session_id(), user_id=user.id, expires=now() + int(tokens.refresh_seconds) + 1)
    ctx.session.add(login_session)
    token = tokens.access(user.id, login_session.id)
    answer = JSONResponse({"token": token, "access_token": token, "user": _shown(user)}, headers=_NO_STORE)
    answer.set_cookie(
        REFRESH_COOKIE,
        tokens.refresh(user.id, login_session.id),
        max_age=int(tokens.refresh_seconds),
        path="/",
        httponly=True,
        secure=ctx.home.config.secure,  # a Secure cookie never comes back over plain HTTP
        samesite="lax",
    )
    return answer


def prove(home: Home, session: Session, username: str, password: str, address: str) -> User:
    """The user whose password this is. ``address`` is the caller's: failures are counted by it and the name.

    Raises :class:`Refusal`: 400 for wrong credentials, 429 after too many of them.
    """
    limiter, key = home.limiter, f"{username[:150].lower()}\0{address}"
    if (wait := limiter.wait(key)) > 0:
        raise Refusal(429, "Too many failed sign-ins; try again later", headers={"Retry-After": str(math.ceil(wait))})
    user = find_signer(session, username)
    if not check_password(user.password_hash if user else None, password[:1000]) or user is None:
        limiter.failed(key)
        raise Refusal(400, "Invalid credentials", code="INVALID_CREDENTIALS")
    limiter.succeeded(key)
    return user


def renew(ctx: Context) -> Answer:
    """A new access token for the refresh cookie. ``Authorization`` is not looked at: clients send a stale one along."""
    claims = ctx.home.tokens.read(ctx.request.cookies.get(REFRESH_COOKIE, ""))
    caller = caller_of_claims(claims, ctx.session) if claims else None
    if claims is None or caller is None:
        raise Refusal(401)
    token = ctx.home.tokens.access(caller.user_id, claims.session_id)
    return {"token": token, "access_token": token}


def logout(ctx: Context) -> Answer:
    """End the sign-in that the token or the cookie belongs to; every token of it stops working."""
    read = ctx.home.tokens.read
    claims = read(presented_token(ctx.request) or "") or read(ctx.request.cookies.get(REFRESH_COOKIE, ""))
    if claims is not None and (row := ctx.session.get(LoginSession, claims.session_id)) is not None:
        row.ended = row.ended or now()
    answer: Response = JSONResponse({"ok": True}, headers=_NO_STORE)
    answer.delete_cookie(REFRESH_COOKIE, path="/", httponly=True, secure=ctx.home.config.secure, samesite="lax")
    return answer


def me(ctx: Context) -> Answer:
    """The signed-in user (spec flow §6.7)."""
    user = ctx.user
    return {
        "id": str(user.user_id),
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "image": None,
        "is_admin": user.admin,
        "can_run_pipelines": False,
        "can_impersonate": False,
        "has_ssh_key": False,
        "impersonator": None,
        "features": [],
        "memberships": [],
        "notifications": {"count": 0, "unread_count": 0, "notifications": []},
    }


def _shown(user: User) -> dict[str, Any]:
    return {"id": str(user.id), "username": user.username, "name": user.name, "email": user.email}


routes = [
    Route("/login", endpoint(login, auth="none", body=True, write=True), methods=["POST"]),
    Route("/token", endpoint(renew, auth="none"), methods=["GET"]),
    Route("/logout", endpoint(logout, auth="none", write=True), methods=["POST"]),
    Route("/me", endpoint(me, auth="required"), methods=["GET"]),
]
