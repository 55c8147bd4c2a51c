"""``/rest.php``: from a request to the room that answers it (spec §1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from packhorse.server.api.core import Home, log
from packhorse.server.api.filesender import chunks, files, people, site, transfers
from packhorse.server.api.filesender.auth import begin, check_tokens
from packhorse.server.api.filesender.core import (
    Asked,
    Call,
    Later,
    answer,
    fault_answer,
    parse_sent,
    path_below,
    read_asked,
)
from packhorse.server.filesender.acts import acting
from packhorse.server.filesender.faults import Fault
from packhorse.server.storage import StorageError

__all__ = ["routes"]

Handler = Callable[[Call], Any]
_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})
_HANDLERS: Final[Mapping[str, Mapping[str, Handler]]] = {
    "transfer": {
        "GET": transfers.get,
        "POST": transfers.post_transfer,
        "PUT": transfers.put,
        "DELETE": transfers.delete,
    },
    "file": {"GET": files.get, "PUT": files.put, "DELETE": files.delete},
    "recipient": {"GET": people.get_recipient, "PUT": people.put_recipient, "DELETE": people.delete_recipient},
    "guest": {
        "GET": people.get_guest,
        "POST": people.post_guest,
        "PUT": people.put_guest,
        "DELETE": people.delete_guest,
    },
    "user": {"GET": people.get_user, "POST": people.post_user, "PUT": people.put_user},
    "info": {"GET": site.info},
    "lang": {"GET": site.lang},
    "echo": {"GET": site.echo},
    "clientlogs": {"PUT": site.put_clientlogs},
    "principal": {"PUT": people.put_principal},
    "config": {},
    "utility": {},
}
_JUDGED_THERE: Final = frozenset({("PUT", "transfer"), ("PUT", "file")})
"""Where a file's key may stand for a session: these rooms check the session's tokens themselves."""


class Service:
    """The REST service as an ASGI application, for every method."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        try:
            response = await serve(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)


async def serve(request: Request) -> Response:
    """Answer one request; refusals included."""
    home: Home = request.app.state.home
    asked: Asked | None = None
    try:
        if request.method not in _METHODS:
            raise Fault("rest_method_not_allowed")
        asked = read_asked(request, path_below(request))
        handler = _handler(asked)
        if asked.method == "PUT" and asked.parts[0] == "file" and len(asked.parts) > 2:
            if asked.parts[2] != "chunk":
                raise Fault("rest_method_not_implemented")
            return answer(await chunks.receive(request, asked), asked.method, asked.base)
        raw = await _body(request, home.config.json_limit)
        return await run_in_threadpool(_work, home, asked, handler, raw)
    except Fault as fault:
        return fault_answer(fault, asked)
    except StorageError as error:
        log.error("the storage failed: %s", error)
        return fault_answer(Fault("storage_filesystem_cannot_write"), asked)
    except SQLAlchemyError:
        log.exception("the database failed at %s %s", request.method, request.url.path)
        return fault_answer(Fault("database_access_failure"), asked)


def _handler(asked: Asked) -> Handler:
    if not asked.parts:
        raise Fault("rest_endpoint_missing")
    found = _HANDLERS.get(asked.parts[0])
    if found is None:
        raise Fault("rest_endpoint_not_implemented")
    handler = found.get(asked.method)
    if handler is None:
        raise Fault("rest_method_not_implemented")
    return handler


async def _body(request: Request, limit: int) -> bytes:
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > limit:
            raise Fault("rest_bad_parameter", {"reason": "the body is too large", "limit": limit}, status=413)
    return bytes(raw)


def _work(home: Home, asked: Asked, handler: Handler, raw: bytes) -> Response:
    """The rest of a call, in a thread: who calls, what was sent, the room's answer; one transaction."""
    with acting(home) as session:
        pending = begin(home, session, asked)
        if pending.signer is not None:
            pending.signer.body(raw)
        actor = pending.confirm(session)
        call = Call(home, session, asked, actor, parse_sent(raw, asked.headers.get("content-type", "")))
        if asked.method != "GET" and (asked.method, asked.parts[0]) not in _JUDGED_THERE:
            check_tokens(actor, asked)
        result = handler(call)
    if isinstance(result, Later):
        result = result.work()
    return answer(result, asked.method, asked.base)


class _Anything(PathConvertor):
    """A path's rest, line breaks too: the service answers all that is below it."""

    regex = r"[\s\S]*"


register_url_convertor("anything", _Anything())
_service = Service()
routes = [
    Route("/rest.php", _service),
    Route("/rest.php/{below:anything}", _service),
]
