"""What every ImmPort endpoint stands on: the caller with their scopes, refusals as Spring writes them, one way from a
request to an answer (spec immport §1.2).

Endpoints are plain functions ``(ctx) -> answer`` that run in a worker thread with a database session. Endpoints that
read a body piece by piece are async ones: :func:`guarded` and :func:`signed_in` are for them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from packhorse.errors import UsageError
from packhorse.server.api.core import Home, Refusal
from packhorse.server.db.immport import Study
from packhorse.server.immport.access import Caller, caller_of, may_see
from packhorse.wire.immport.filters import check_study
from packhorse.wire.immport.tokens import Scope, error_body, member_lines

__all__ = [
    "NO_STORE",
    "Answer",
    "Context",
    "Endpoint",
    "Refusal",
    "Refused",
    "base_of",
    "bounded_body",
    "check_study_access",
    "endpoint",
    "guarded",
    "json_object",
    "pretty",
    "refusal_answer",
    "signed_in",
]

Answer = ASGIApp | Mapping[str, Any]
Endpoint = Callable[[Request], Awaitable[ASGIApp]]
NO_STORE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_SIGN_IN_FIRST: Final = "A valid token is needed: POST username and password to /auth/token, or use an API key"


@dataclass(frozen=True, slots=True)
class Context:
    """One request, as an endpoint sees it. ``caller`` is ``None`` for anonymous ones; ``base`` is the site's address
    without a slash at its end; ``body`` the JSON object that was sent, where the endpoint reads one."""

    home: Home
    request: Request
    session: Session
    caller: Caller | None
    base: str
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def user(self) -> Caller:
        """The caller, who must have signed in."""
        if self.caller is None:
            raise Refusal(401, _SIGN_IN_FIRST)
        return self.caller

    def path(self, name: str) -> str:
        """A part of the URL's path, decoded."""
        return str(self.request.path_params[name])

    def text(self, name: str) -> str | None:
        """A query parameter, or ``None`` when it is missing or empty."""
        return self.request.query_params.get(name) or None


Refused = Callable[[Refusal, str], Response]


def endpoint(
    handler: Callable[[Context], Answer],
    *,
    scope: Scope | None,
    write: bool = False,
    body: bool = False,
    refused: Refused | None = None,
) -> Endpoint:
    """Wrap a handler. With a ``scope`` a token is needed (401) that has it (403); with ``None`` a caller may be
    anonymous, but a token that is sent must be good. ``write`` commits when the handler returns; ``body`` reads a JSON
    object. A mapping is answered as a flat object, one member a line. ``refused`` writes refusals in another form."""

    def work(request: Request, sent: Mapping[str, Any]) -> ASGIApp:
        home: Home = request.app.state.home
        with home.database.write() if write else home.database.read() as session:
            caller = _checked_caller(request, session, home, scope)
            answer = handler(Context(home, request, session, caller, base_of(request), sent))
        return (
            Response(member_lines(answer), headers=NO_STORE, media_type="application/json")
            if isinstance(answer, Mapping)
            else answer
        )

    async def run(request: Request) -> ASGIApp:
        sent = await json_object(request) if body else {}
        return await run_in_threadpool(work, request, sent)

    return guarded(run, refused)


def guarded(run: Endpoint, refused: Refused | None = None) -> Endpoint:
    """An endpoint whose refusals become answers."""
    written = refused or refusal_answer

    async def safely(request: Request) -> ASGIApp:
        try:
            return await run(request)
        except Refusal as refusal:
            return written(refusal, request.url.path)
        except UnicodeEncodeError:  # a lone surrogate on its way into the database: no such name exists
            return written(Refusal(400, "The request holds text that is not Unicode"), request.url.path)

    return safely


async def signed_in(request: Request, scope: Scope) -> Caller:
    """The caller, for async endpoints. Raises :class:`Refusal` (401, 403)."""

    def work() -> Caller:
        home: Home = request.app.state.home
        with home.database.read() as session:
            caller = _checked_caller(request, session, home, scope)
        assert caller is not None  # a scope was asked for
        return caller

    return await run_in_threadpool(work)


def _checked_caller(request: Request, session: Session, home: Home, scope: Scope | None) -> Caller | None:
    caller = caller_of(request, session, home)
    if caller == "invalid":
        raise Refusal(
            401,
            "The token is not valid, or its time is over: ask for a new one",
            headers={"WWW-Authenticate": 'Bearer realm="immport", error="invalid_token"'},
        )
    if scope is None:
        return caller
    if caller is None:
        raise Refusal(401, _SIGN_IN_FIRST)
    if scope not in caller.scopes:
        raise Refusal(
            403,
            f"This API key or token is not for this: it needs the scope {scope}",
            headers={"WWW-Authenticate": f'Bearer realm="immport", error="insufficient_scope", scope="{scope}"'},
        )
    return caller


def refusal_answer(refusal: Refusal, path: str, error: str | None = None) -> Response:
    """A refusal as Spring's error body."""
    headers = {**NO_STORE, **refusal.headers}
    if refusal.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="immport"')
    if isinstance(refusal.message, Mapping):
        message = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in refusal.message.items())
    else:
        message = refusal.message or _WORDS.get(refusal.status, "Request refused")
    body = error_body(refusal.status, message, path, time.time(), error)
    return Response(body, refusal.status, headers, media_type="application/json")


_WORDS: Final = {401: _SIGN_IN_FIRST, 403: "You may not see this", 404: "There is nothing here"}


def check_study_access(ctx: Context, accession: str) -> Study:
    """The study of this accession, for single-study paths. Refuses with 400 what is no accession, with 404 what is not
    here, with 403 a restricted study that the caller was not let into."""
    try:
        row = ctx.session.get(Study, check_study(accession))
    except UsageError as error:
        raise Refusal(400, error.message) from None
    if row is None:
        raise Refusal(404, f"There is no study {accession} on this server")
    if row.restricted and not may_see(ctx.session, ctx.caller, row.accession):
        raise Refusal(403 if ctx.caller else 401, f"The study {row.accession} is restricted")
    return row


def base_of(request: Request) -> str:
    """The site's address without a slash at its end: the configured one, else the one that was asked for."""
    home: Home = request.app.state.home
    if home.config.public_url:
        return home.config.public_url.rstrip("/")
    try:
        given = urlsplit(f"//{request.headers.get('host', '')}")
        port = f":{given.port}" if given.port is not None else ""
    except ValueError:
        raise Refusal(400, "The Host header cannot be read") from None
    host = given.hostname or "localhost"
    if not all(sign.isalnum() or sign in "-._:" for sign in host) or not host.isascii():
        raise Refusal(400, "The Host header cannot be read")
    return f"{request.url.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def pretty(value: Any) -> bytes:
    """JSON as the service lays it out: one member a line, `` : `` between name and value."""
    return (json.dumps(value, indent=2, separators=(",", " : "), ensure_ascii=False) + "\n").encode("utf-8", "replace")


async def bounded_body(request: Request, most: int | None = None) -> bytes:
    """The request's body, at most ``most`` bytes (else the server's limit for JSON). Refuses more with 413."""
    home: Home = request.app.state.home
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > (most or home.config.json_limit):
            raise Refusal(413, "The request body is too large", headers={"Connection": "close"})
    return bytes(raw)


async def json_object(request: Request) -> Mapping[str, Any]:
    """The JSON object that was sent. Refuses (400, 413) anything else."""
    raw = await bounded_body(request)
    try:
        sent = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refusal(400, "The request body is not JSON") from None
    if not isinstance(sent, dict):
        raise Refusal(400, "The request body must be a JSON object")
    return sent
