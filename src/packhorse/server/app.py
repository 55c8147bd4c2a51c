"""The application: Flow's API under ``/api``, a home page, a health check."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import text
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from packhorse import __version__
from packhorse.server import chores as _chores  # noqa: F401 - declares the periodic jobs
from packhorse.server.api import data, executions, projects, samples, search, signin
from packhorse.server.api.core import Home, Refusal, refusal_answer
from packhorse.server.api.filesender import download as filesender_download
from packhorse.server.api.filesender import pages as filesender_pages
from packhorse.server.api.filesender import rest as filesender_rest
from packhorse.server.api.immport import auth as immport_auth
from packhorse.server.api.immport import batch as immport_batch
from packhorse.server.api.immport import drs as immport_drs
from packhorse.server.api.immport import folders as immport_folders
from packhorse.server.api.immport import keys as immport_keys
from packhorse.server.api.immport import oidc as immport_oidc
from packhorse.server.api.immport import query as immport_query
from packhorse.server.api.immport import uploads as immport_uploads
from packhorse.server.api.immport import workspaces as immport_workspaces
from packhorse.server.api.immport.core import refusal_answer as immport_refusal
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.delivery import Mailer
from packhorse.server.immport import dropping as _dropping  # noqa: F401 - declares the periodic jobs
from packhorse.server.immport.signing import SigningKey
from packhorse.server.jobs import Jobs
from packhorse.server.mail import AFTER_POST
from packhorse.server.security import AttemptLimiter, Sealer, Tokens
from packhorse.server.storage.disk import DiskStorage
from packhorse.wire import flow

__all__ = ["create_app", "open_home"]

log = logging.getLogger("packhorse.server")


def open_home(config: ServerConfig) -> Home:
    """Open the database, the storage and the signing key. Raises :class:`~packhorse.errors.SettingsError`."""
    database = open_database(config)
    key = config.signing_key()
    tokens = Tokens(key, access_seconds=config.token_seconds, refresh_seconds=config.refresh_seconds)
    limiter = AttemptLimiter(config.signin_attempts, config.signin_window)
    jobs = Jobs(config.jobs)
    database.info[AFTER_POST] = lambda: jobs.enqueue("deliver letters")
    mailer = Mailer(config, database, jobs.stopping)
    return Home(
        config,
        database,
        DiskStorage(config.objects),
        tokens,
        limiter,
        Sealer(key),
        jobs,
        mailer,
        SigningKey(config.home / "immport-key.pem", key),
    )


def create_app(config: ServerConfig) -> Starlette:
    """The ASGI application over a home, which it opens now and closes at the lifespan's end."""
    home = open_home(config)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        home.jobs.start(home)
        try:
            yield
        finally:
            await run_in_threadpool(home.jobs.stop)
            home.database.close()

    flow_routes = [
        *signin.routes,
        *data.routes,
        *samples.routes,
        *projects.routes,
        *executions.routes,
        *search.routes,
    ]
    app = Starlette(
        routes=[
            *filesender_pages.routes,
            Route("/healthz", _health, methods=["GET"]),
            *filesender_rest.routes,
            *filesender_download.routes,
            *immport_workspaces.routes,
            *immport_uploads.routes,
            *immport_batch.routes,
            *immport_auth.routes,
            *immport_oidc.routes,
            *immport_keys.routes,
            *immport_query.routes,
            *immport_folders.routes,
            *immport_drs.routes,
            Mount("/api", app=Router(flow_routes, redirect_slashes=False)),
        ],
        middleware=[Middleware(Outermost)],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # httpx clients take a redirect for an error (spec flow §1)
    app.state.home = home
    return app


class Outermost:
    """Takes a trailing slash off API paths, and turns what no endpoint caught into the guide's 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if path.startswith("/api/") and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/"), "raw_path": scope.get("raw_path", b"").rstrip(b"/")}
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            # the path only: a query may hold a token
            log.exception("%s %s failed", scope["method"], path)
            if not started:
                refusal = Refusal(500, "The server failed to answer this request")
                await (immport_refusal(refusal, path) if _of_immport(path) else refusal_answer(refusal))(
                    scope, receive, send
                )


async def _http_error(request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such route, wrong method) in the shapes of the API."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    message = {404: "No such address", 405: "This address does not take this method"}.get(status, "Request refused")
    if _of_immport(request.url.path):
        return immport_refusal(Refusal(status, message, headers=headers), request.url.path)
    if request.url.path.startswith("/api/v2/"):
        body: dict[str, Any] = flow.problem_body(status, message, message, instance=request.url.path)
        return JSONResponse(body, status_code=status, headers=headers, media_type="application/problem+json")
    return refusal_answer(Refusal(status, message, headers=headers))


def _of_immport(path: str) -> bool:
    return path.startswith(("/auth/", "/data/", "/workspaces", "/shared/", "/ga4gh/"))


def _health(request: Request) -> Response:
    """Whether the database answers."""
    home: Home = request.app.state.home
    with home.database.read() as session:
        session.execute(text("SELECT 1"))
    return JSONResponse({"status": "ok", "version": __version__}, headers={"Cache-Control": "no-store"})
