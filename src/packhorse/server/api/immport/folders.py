"""Folders, transfer tokens, and what ``packhorse-ascp`` asks with them (spec immport §3.2, §3.3)."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.errors import NotFoundError, PermissionDeniedError, UsageError
from packhorse.server.api.core import Home
from packhorse.server.api.immport.core import (
    NO_STORE,
    Answer,
    Context,
    Refusal,
    base_of,
    endpoint,
    guarded,
    json_object,
    pretty,
)
from packhorse.server.api.immport.toolzip import tool_zip
from packhorse.server.db.models import StudyFile
from packhorse.server.immport.folders import Place, check_path_access, files_at, list_folder
from packhorse.server.immport.links import Links
from packhorse.server.immport.transfers import grant, open_grant
from packhorse.wire.immport.paths import check_path, with_slash
from packhorse.wire.immport.tokens import bearer

__all__ = ["refusing", "routes"]

_MOST_PATHS: Final = 10_000


@contextmanager
def refusing() -> Iterator[None]:
    """Errors of paths as refusals: 400, 403, 404."""
    try:
        yield
    except NotFoundError as error:
        raise Refusal(404, _sentence(error.message)) from None
    except PermissionDeniedError as error:
        raise Refusal(403, _sentence(error.message)) from None
    except UsageError as error:
        raise Refusal(400, _sentence(error.message)) from None


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _json(value: Any) -> Response:
    return Response(pretty(value), headers=NO_STORE, media_type="application/json")


def list_(ctx: Context) -> Answer:
    """``POST /data/list``: a folder, or a file."""
    sent = ctx.body.get("path")
    if not isinstance(sent, str):
        raise Refusal(400, 'The body must be {"path": "/SDY1"}')
    with refusing():
        here, inside = list_folder(ctx.session, ctx.user, check_path(sent))
    return _json({"self": _shown(here), "items": [_shown(place) for place in inside]})


def _shown(place: Place) -> dict[str, Any]:
    file = place.files is None
    return {
        "path": with_slash(place.path),
        "basename": place.name,
        "type": "file" if file else "directory",
        "size": place.size,
        "mtime": f"{dt.datetime.fromtimestamp(place.modified, dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "permissions": [{"name": "view"}],
        **({} if file else {"fileCount": place.files}),
    }


def token(ctx: Context) -> Answer:
    """``POST /data/download/token``: a token for ``ascp -W``. All paths must be there and be the caller's to read."""
    paths = _paths(ctx.body)
    with refusing():
        checked = [check_path(path) for path in paths]
        for path in checked:
            if not path:
                raise Refusal(400, "Name a study, a folder or a file: not everything at once")
            check_path_access(ctx.session, ctx.user, path)
            # asking for the row first spares the listing of what a folder holds
            if ctx.session.get(StudyFile, path) is None:
                list_folder(ctx.session, ctx.user, path)
    return {"token": grant(ctx.home, ctx.session, ctx.user, checked, ctx.base)}


def _paths(body: Mapping[str, Any]) -> Sequence[str]:
    paths = body.get("paths")
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
        raise Refusal(400, 'The body must be {"paths": ["SDY1/…", …]}')
    if len(paths) > _MOST_PATHS:
        raise Refusal(400, f"A request takes at most {_MOST_PATHS:,} paths, not {len(paths):,}")
    return paths


async def transfer(request: Request) -> ASGIApp:
    """``POST /data/download/transfer``, ours: the files at paths that a transfer token covers, each with its size,
    digests, date and a link. The token is the credential, so nobody signs in here."""
    paths = _paths(await json_object(request))
    base = base_of(request)
    token = bearer(request.headers.get("authorization")) or ""

    def work() -> Response:
        home: Home = request.app.state.home
        with home.database.read() as session:
            return JSONResponse({"files": _files(home, session, token, paths, base)}, headers=NO_STORE)

    return await run_in_threadpool(work)


def _files(home: Home, session: Session, token: str, paths: Sequence[str], base: str) -> list[dict[str, Any]]:
    opened = open_grant(home, session, token)
    if opened is None:
        raise Refusal(401, "The transfer token is not valid, or its time is over: ask for a new one")
    found: dict[str, StudyFile] = {}
    with refusing():
        for path in map(check_path, paths):
            if not opened.covers(path):
                raise Refusal(403, f"The transfer token is not for {path}")
            found |= {row.path: row for row in files_at(session, opened.caller, path)}
    at = time.time()
    seconds = max(int(min(opened.expires - at, home.config.immport.stream_seconds)), 1)
    links = Links(base, home.immport, opened.caller.user_id)
    return [_offered(row, links.stream(row.path, seconds, at), int(at) + seconds) for row in found.values()]


def _offered(row: StudyFile, url: str, expires: int) -> dict[str, Any]:
    return {
        "path": row.path,
        "size": row.file.size,
        "md5": row.file.md5,
        "sha256": row.file.sha256,
        "modified": row.modified,
        "url": url,
        "expires": expires,
    }


def tool(_request: Request) -> Response:
    """The folder that download scripts expect, as a ZIP: ours, with a README that says what it is."""
    headers = {"Content-Disposition": 'attachment; filename="immport-data-download-tool.zip"'}
    return Response(tool_zip(), headers=headers, media_type="application/zip")


routes = [
    Route("/data/list", endpoint(list_, scope="browse", body=True), methods=["POST"]),
    Route("/data/download/token", endpoint(token, scope="download", body=True, write=True), methods=["POST"]),
    Route("/data/download/transfer", guarded(transfer), methods=["POST"]),
    *(
        Route(f"{path}/immport-data-download-tool.zip", tool, methods=["GET"])
        for path in ("/data/download/tool", "/downloads/data/download/tool")
    ),
]
