"""``/auth/token``: a password for a token; and what tells clients about tokens (spec immport §1.1, §1.4)."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.server.api.core import Home
from packhorse.server.api.immport.core import (
    NO_STORE,
    Answer,
    Context,
    Refusal,
    base_of,
    endpoint,
    guarded,
    refusal_answer,
)
from packhorse.server.api.immport.forms import read_form
from packhorse.server.api.signin import prove
from packhorse.server.immport.signin import issue, issuer
from packhorse.wire.immport.tokens import DIRECT_CLIENT, SCOPES, roles, token_body

__all__ = ["routes"]

_BAD: tuple[str, str] = ("Bad credentials", "The user name or the password is wrong")


async def token(request: Request) -> ASGIApp:
    """``POST /auth/token``. 401 for a wrong password, with the words that scripts look for; 429 after too many."""
    form = await read_form(request)
    username, password = ((form.get(name) or [""])[-1] for name in ("username", "password"))
    if not username or not password:
        raise Refusal(400, "username and password are needed")
    base = base_of(request)
    address = request.client.host if request.client else ""

    def work() -> Response:
        home: Home = request.app.state.home
        with home.database.write() as session:
            try:
                user = prove(home, session, username, password, address)
            except Refusal as refusal:
                if refusal.status != 400:
                    raise
                return refusal_answer(Refusal(401, _BAD[1]), request.url.path, _BAD[0])
            made = issue(home, session, user, client_id=DIRECT_CLIENT, scopes=("browse", "download"), base=base)
        return Response(token_body(made.token, made.seconds), headers=NO_STORE, media_type="application/json")

    return await run_in_threadpool(work)


def discovery(ctx: Context) -> Answer:
    """``/auth/.well-known/openid-configuration``."""
    at = issuer(ctx.base)
    return JSONResponse(
        {
            "issuer": at,
            "authorization_endpoint": f"{at}/oauth2/authorize",
            "token_endpoint": f"{at}/oauth2/token",
            "userinfo_endpoint": f"{at}/userinfo",
            "jwks_uri": f"{at}/oauth2/jwks",
            "end_session_endpoint": f"{at}/logout",
            "scopes_supported": ["openid", *SCOPES],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": True,
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "email"],
        }
    )


def jwks(ctx: Context) -> Answer:
    """``/auth/oauth2/jwks``: the keys that tokens can be checked with."""
    return JSONResponse(ctx.home.immport.jwks(), headers={"Cache-Control": "public, max-age=300"})


def userinfo(ctx: Context) -> Answer:
    """``/auth/userinfo``: who the token's user is."""
    user = ctx.user
    return JSONResponse(
        {
            "sub": user.username,
            "preferred_username": user.username,
            "username": user.username,
            "name": user.name,
            "email": user.email,
            "authorities": roles(admin=user.admin),
        },
        headers=NO_STORE,
    )


routes = [
    Route("/auth/token", guarded(token), methods=["POST"]),
    Route("/auth/.well-known/openid-configuration", endpoint(discovery, scope=None), methods=["GET"]),
    Route("/auth/oauth2/jwks", endpoint(jwks, scope=None), methods=["GET"]),
    Route("/auth/userinfo", endpoint(userinfo, scope=None), methods=["GET", "POST"]),
]
