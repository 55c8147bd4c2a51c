"""What every endpoint stands on: the caller, the refusals, and one way from a request to an answer.

Endpoints are plain functions ``(ctx) -> answer`` that run in a worker thread with a database session. Refusals are
decided once (DESIGN §5): no token where one is needed, or a bad one, 401; signed in without the right, 403; absent,
404; over, 410.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from packhorse.server.access import Caller
from packhorse.server.api.callers import identify
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import Database
from packhorse.server.delivery import Mailer
from packhorse.server.immport.signing import SigningKey
from packhorse.server.jobs import Jobs
from packhorse.server.security import AttemptLimiter, Sealer, Tokens
from packhorse.server.storage import Storage
from packhorse.wire import flow

__all__ = ["Answer", "Context", "Endpoint", "Home", "Refusal", "endpoint", "refusal_answer"]

log = logging.getLogger("packhorse.server")

Answer = ASGIApp | Mapping[str, Any] | Sequence[Any]
Endpoint = Callable[[Request], Awaitable[ASGIApp]]
_NO_STORE: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Home:
    """Everything one server process holds."""

    config: ServerConfig
    database: Database
    storage: Storage
    tokens: Tokens
    limiter: AttemptLimiter
    sealer: Sealer
    jobs: Jobs
    mail: Mailer
    immport: SigningKey


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """An answer that is not the thing asked for: a status, a text or field errors, and headers."""

    def __init__(
        self,
        status: int,
        message: str | Mapping[str, Sequence[str]] | None = None,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})


def refusal_answer(refusal: Refusal) -> JSONResponse:
    """A refusal as the guide's error body."""
    headers = {**_NO_STORE, **refusal.headers}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="packhorse"'
    body = flow.error_body(refusal.status, refusal.message, refusal.code)
    return JSONResponse(body, status_code=refusal.status, headers=headers)


@dataclass(frozen=True, slots=True)
class Context:
    """One request, as an endpoint sees it. ``caller`` is ``None`` for anonymous ones."""

    home: Home
    request: Request
    session: Session
    caller: Caller | None
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def user(self) -> Caller:
        """The caller, who must have signed in."""
        if self.caller is None:
            raise Refusal(401)
        return self.caller

    def path(self, name: str) -> str:
        """A part of the URL's path, decoded."""
        return str(self.request.path_params[name])

    def text(self, name: str) -> str | None:
        """A query parameter, or ``None`` when it is missing or empty."""
        return self.request.query_params.get(name) or None

    def flag(self, name: str) -> bool:
        """Whether a query parameter means yes."""
        return flow.is_truthy(self.request.query_params.get(name))

    def number(self, name: str) -> int | None:
        """A whole number from the query. Refuses (400) what is none."""
        text = self.text(name)
        if text is None:
            return None
        digits = text.removeprefix("-")
        if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            raise Refusal(400, {name: ["Enter a whole number."]})
        return int(text)

    def texts(self, name: str) -> list[str]:
        """A comma-separated query parameter, without empty parts."""
        return [part.strip() for part in (self.text(name) or "").split(",") if part.strip()]


def endpoint(
    handler: Callable[[Context], Answer],
    *,
    auth: Literal["optional", "required", "none"] = "optional",
    download: bool = False,
    body: bool = False,
    write: bool = False,
) -> Endpoint:
    """Wrap a handler. ``auth="none"`` ignores ``Authorization`` altogether; ``download`` also takes the caller from
    ``?token=`` and the refresh cookie; ``body`` reads a JSON object; ``write`` commits when the handler returns."""

    def work(request: Request, sent: Mapping[str, Any]) -> ASGIApp:
        home: Home = request.app.state.home
        with home.database.write() if write else home.database.read() as session:
            caller = None
            if auth != "none":
                found = identify(request, session, home.tokens, download=download)
                if found == "invalid" or (found is None and auth == "required"):
                    raise Refusal(401)
                caller = found
            answer = handler(Context(home, request, session, caller, sent))
        if isinstance(answer, (Mapping, Sequence)):
            return JSONResponse(answer, headers=_NO_STORE)
        return answer

    async def run(request: Request) -> ASGIApp:
        try:
            sent = await _json_object(request) if body else {}
            if download and request.app.state.home.database.embedded:
                # a read of SQLite takes less time than the way into a thread and back; many small files double in speed
                return work(request, sent)
            return await run_in_threadpool(work, request, sent)
        except Refusal as refusal:
            return refusal_answer(refusal)
        except UnicodeEncodeError:  # a lone surrogate on its way into the database: no such name exists
            return refusal_answer(Refusal(400, "The request holds text that is not Unicode"))

    return run


async def _json_object(request: Request) -> Mapping[str, Any]:
    """The request's JSON object. Refuses bodies over the limit (413) and anything else (400)."""
    home: Home = request.app.state.home
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > home.config.json_limit:
            raise Refusal(413, "The request body is too large", headers={"Connection": "close"})
    try:
        sent = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refusal(400, "The request body is not JSON") from None
    if not isinstance(sent, dict):
        raise Refusal(400, "The request body must be a JSON object")
    return sent
