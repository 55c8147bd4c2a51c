"""DRS: ImmPort's own address for links, GA4GH's standard ones, and the bytes behind the links (spec immport §3.5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse import __version__
from packhorse.errors import NotFoundError, PermissionDeniedError, ServerError
from packhorse.server.access import Caller
from packhorse.server.api.core import Home
from packhorse.server.api.immport.core import NO_STORE, Answer, Context, Refusal, endpoint, refusal_answer
from packhorse.server.api.serving import UNREADABLE, plan_answer
from packhorse.server.db.files import facts_of
from packhorse.server.db.models import StudyFile, User
from packhorse.server.immport.access import caller_of_user, may_see_path
from packhorse.server.immport.drs import drs_object, find_file, link_to
from packhorse.server.immport.links import METHODS, LinkError, Opened, open_s3, open_stream
from packhorse.server.immport.signin import issuer
from packhorse.server.sending import BytesAnswer, may_wait

__all__ = ["routes"]

_STANDARD: Final = "/ga4gh/drs/v1"


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except NotFoundError as error:
        raise Refusal(404, f"There is {error.message}") from None
    except PermissionDeniedError as error:
        raise Refusal(403, error.message[:1].upper() + error.message[1:]) from None
    except ServerError as error:
        raise Refusal(503, error.message[:1].upper() + error.message[1:]) from None


def download(ctx: Context) -> Answer:
    """``/data/query/drs/download/{s3|stream}/{fileUUID}``: a link to fetch without ``Authorization``."""
    method = ctx.path("method")
    if method not in METHODS:
        raise Refusal(400, f"There is no access method {method[:40]!r}: s3 or stream")
    with _refusing():
        row = find_file(ctx.session, ctx.user, ctx.path("uuid"))
        link = link_to(ctx.home, row, ctx.user, method, ctx.base)
    return {"message": "Success", "url": link.url, "status": 200}


# GA4GH


def objects(ctx: Context) -> Answer:
    """``GET /ga4gh/drs/v1/objects/{id}``."""
    with _refusing():
        row = find_file(ctx.session, ctx.user, ctx.path("uuid"))
    return JSONResponse(drs_object(row, urlsplit(ctx.base).netloc), headers=NO_STORE)


def authorizations(ctx: Context) -> Answer:
    """``OPTIONS /ga4gh/drs/v1/objects/{id}``: how to be let in."""
    return JSONResponse(
        {
            "drs_object_id": ctx.path("uuid"),
            "supported_types": ["BearerAuth"],
            "bearer_auth_issuers": [issuer(ctx.base)],
        },
        headers={**NO_STORE, "Allow": "GET, HEAD, OPTIONS"},
    )


def access_url(ctx: Context) -> Answer:
    """``GET /ga4gh/drs/v1/objects/{id}/access/{access_id}``."""
    method = ctx.path("method")
    if method not in METHODS:
        raise Refusal(404, "There is no such access_id: s3 or stream")
    with _refusing():
        row = find_file(ctx.session, ctx.user, ctx.path("uuid"))
        link = link_to(ctx.home, row, ctx.user, method, ctx.base)
    return JSONResponse({"url": link.url}, headers=NO_STORE)


def service_info(ctx: Context) -> Answer:
    """``GET /ga4gh/drs/v1/service-info``."""
    site = ctx.home.config.filesender.site_name
    host = urlsplit(ctx.base).hostname or "localhost"
    return JSONResponse(
        {
            "id": ".".join(reversed(host.split("."))) + ".packhorse.drs" if ":" not in host else "packhorse.drs",
            "name": f"{site}: files of studies",
            "type": {"group": "org.ga4gh", "artifact": "drs", "version": "1.4.0"},
            "organization": {"name": site, "url": ctx.base},
            "version": __version__,
            "maxBulkRequestLength": 1,
            "drs": {"maxBulkRequestLength": 1},
        }
    )


def _drs_refusal(refusal: Refusal, path: str) -> Response:
    """A refusal in the form of the standard: ``msg`` and ``status_code``."""
    plain = refusal_answer(refusal, path)
    message = refusal.message if isinstance(refusal.message, str) else "Request refused"
    headers = {name: plain.headers[name] for name in ("WWW-Authenticate", "Cache-Control") if name in plain.headers}
    return JSONResponse({"msg": message, "status_code": refusal.status}, refusal.status, headers=headers)


# the bytes behind the links

Refuse = Callable[[int, str, str, str], Response]


def _s3_refusal(status: int, code: str, words: str, path: str) -> Response:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(code)}</Code><Message>{escape(words)}</Message><Resource>{escape(path)}</Resource></Error>"
    )
    return Response(text, status, NO_STORE, media_type="application/xml")


def _stream_refusal(status: int, _code: str, words: str, path: str) -> Response:
    return refusal_answer(Refusal(status, words), path)


async def s3(request: Request) -> ASGIApp:
    """``GET /data/s3/immport-data/{path}?X-Amz-…``: as a presigned address of an object store behaves."""
    if request.headers.get("authorization"):
        words = "Only one auth mechanism allowed: leave the Authorization header out"
        return _s3_refusal(400, "InvalidArgument", words, request.url.path)
    if request.method == "HEAD":
        return _s3_refusal(403, "SignatureDoesNotMatch", "This link is for GET", request.url.path)
    path = str(request.path_params["path"])
    return await _serve(
        request, lambda home: open_s3(home.immport, path, dict(request.query_params), time.time()), _s3_refusal
    )


async def stream(request: Request) -> ASGIApp:
    """``GET /data/stream/{uuid}?…``."""
    uuid = str(request.path_params["uuid"]).lower()
    return await _serve(
        request, lambda home: open_stream(home.immport, uuid, dict(request.query_params), time.time()), _stream_refusal
    )


async def _serve(request: Request, opening: Callable[[Home], Opened], refuse: Refuse) -> ASGIApp:
    if request.app.state.home.database.embedded:
        # a read of SQLite takes less time than the way into a thread and back (see server.api.core)
        return _bytes(request, opening, refuse)
    return await run_in_threadpool(_bytes, request, opening, refuse)


def _bytes(request: Request, opening: Callable[[Home], Opened], refuse: Refuse) -> ASGIApp:
    home: Home = request.app.state.home
    at = request.url.path
    try:
        opened = opening(home)
    except LinkError as error:
        return refuse(403, error.code, error.words, at)
    with home.database.read() as session:
        user = session.get(User, opened.user_id)
        row: StudyFile | None = None
        caller: Caller | None = None
        if user is not None and user.active:
            caller = caller_of_user(user, frozenset(), None)
            same = StudyFile.path == opened.path if opened.uuid is None else StudyFile.uuid == opened.uuid
            row = session.scalar(select(StudyFile).where(same))
        if caller is None or (row is not None and not may_see_path(session, caller, row.path)):
            return refuse(403, "AccessDenied", "This link opens nothing any more", at)
        if row is None:
            return refuse(404, "NoSuchKey", "The file is not here any more", at)
        facts, name = facts_of(row.file), row.path.rpartition("/")[2]
    plan = plan_answer(facts, name, request.headers)
    if plan.part is None:
        headers: dict[str, Any] = dict(plan.headers)
        if plan.status == 304:
            return Response(status_code=304, headers=headers)
        code, words = _CONDITIONS[plan.status]
        answer = refuse(plan.status, code, words, at)
        answer.headers.update({name: value for name, value in headers.items() if name != "cache-control"})
        return answer
    return BytesAnswer(
        plan,
        lambda: home.storage.open(facts),
        lambda: refuse(503, "ServiceUnavailable", UNREADABLE, at),
        may_wait=may_wait(facts),
    )


_CONDITIONS: Final = {
    412: ("PreconditionFailed", "The file is not the one that was asked for"),
    416: ("InvalidRange", "The file has no such range of bytes"),
}


routes = [
    Route("/data/query/drs/download/{method}/{uuid}", endpoint(download, scope="download"), methods=["GET"]),
    Route("/data/s3/immport-data/{path:path}", s3, methods=["GET"]),
    Route("/data/stream/{uuid}", stream, methods=["GET"]),
    Route(f"{_STANDARD}/service-info", endpoint(service_info, scope=None, refused=_drs_refusal), methods=["GET"]),
    Route(f"{_STANDARD}/objects/{{uuid}}", endpoint(objects, scope="download", refused=_drs_refusal), methods=["GET"]),
    Route(
        f"{_STANDARD}/objects/{{uuid}}",
        endpoint(authorizations, scope=None, refused=_drs_refusal),
        methods=["OPTIONS"],
    ),
    Route(
        f"{_STANDARD}/objects/{{uuid}}/access/{{method}}",
        endpoint(access_url, scope="download", refused=_drs_refusal),
        methods=["GET"],
    ),
]
