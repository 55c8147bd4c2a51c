"""What every REST call stands on: one request as a handler sees it, and answers as PHP writes them (spec §1)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from packhorse.server.api.core import Home
from packhorse.server.db.filesender import Guest, RemoteApplication, Visit
from packhorse.server.db.models import User
from packhorse.server.filesender.acts import base_url
from packhorse.server.filesender.audit import SYSTEM, Author, author_guest, author_user
from packhorse.server.filesender.faults import Fault
from packhorse.server.filesender.settings import FileSenderSettings
from packhorse.wire.filesender.bodies import php_json
from packhorse.wire.filesender.errors import error_body
from packhorse.wire.filesender.signing import read_query, signed_host

__all__ = [
    "NOBODY",
    "Actor",
    "Asked",
    "Call",
    "Created",
    "Later",
    "answer",
    "fault_answer",
    "parse_sent",
    "path_below",
    "read_asked",
]

SCRIPT: Final = "/rest.php"
_NO_STORE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who proved what: a guest by voucher, a user or application by signature, a user by browser session."""

    user: User | None = None
    guest: Guest | None = None
    application: RemoteApplication | None = None
    visit: Visit | None = None
    signed: bool = False

    @property
    def anybody(self) -> bool:
        return self.user is not None or self.guest is not None or self.application is not None

    @property
    def admin(self) -> bool:
        if self.application is not None:
            return self.application.admin
        return self.user is not None and self.user.role == "admin"

    def author(self, ip: str) -> Author:
        """Who the audit log names."""
        if self.guest is not None:
            return author_guest(self.guest, ip)
        return author_user(self.user, ip) if self.user is not None else Author(ip=ip)


NOBODY: Final = Actor()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request without its body. ``path`` is decoded, with the folder of the site; ``parts`` is what follows
    ``rest.php``; ``host`` is as it is signed; ``base`` is the site's address."""

    method: str
    path: str
    parts: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    host: str
    base: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    ip: str

    @property
    def query(self) -> dict[str, str]:
        """Of equal names the last, as the signature has it."""
        return dict(self.pairs)


def read_asked(request: Request, parts: Sequence[str]) -> Asked:
    """Read a request. Raises :class:`Fault` for a query that cannot be one."""
    home: Home = request.app.state.home
    public = urlsplit(home.config.public_url) if home.config.public_url else None
    try:
        if public is not None:
            host = signed_host(public.hostname or "", public.port, public.scheme)
            folder = public.path.rstrip("/")
        else:
            given = urlsplit(f"//{request.headers.get('host', '')}")
            host, folder = signed_host(given.hostname or "", given.port, request.url.scheme), ""
        pairs = read_query(request.scope["query_string"])
    except ValueError:
        raise Fault("rest_bad_parameter") from None
    for name, value in pairs:
        _check_text(name)
        _check_text(value)
    return Asked(
        request.method,
        folder + request.scope["path"],
        tuple(parts),
        tuple(pairs),
        host,
        base_url(home.config, f"{request.url.scheme}://{host}"),
        request.headers,
        request.cookies,
        request.client.host if request.client else "",
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One REST call, as a handler sees it. ``sent`` is the JSON body, ``{}`` when there is none."""

    home: Home
    session: Session
    asked: Asked
    actor: Actor = NOBODY
    sent: Any = field(default_factory=dict)

    @property
    def settings(self) -> FileSenderSettings:
        return self.home.config.filesender

    @property
    def base(self) -> str:
        return self.asked.base

    @property
    def query(self) -> dict[str, str]:
        return self.asked.query

    @property
    def author(self) -> Author:
        return self.actor.author(self.asked.ip) if self.actor.anybody else Author(SYSTEM.kind, ip=self.asked.ip)

    @property
    def user(self) -> User:
        """The user who calls; guests and applications without one are none."""
        if self.actor.user is None:
            raise Fault("rest_authentication_required")
        return self.actor.user

    @property
    def body(self) -> Mapping[str, Any]:
        """The JSON body, which must be an object."""
        if self.sent in (None, []):
            return {}
        if not isinstance(self.sent, dict):
            raise Fault("rest_bad_parameter")
        return self.sent

    def part(self, number: int) -> str:
        """A part of the path after the endpoint, empty when there is none."""
        return self.asked.parts[number] if number < len(self.asked.parts) else ""

    def number(self, number: int) -> int:
        """A part of the path that is an object's id."""
        text = self.part(number)
        if not text:
            raise Fault("rest_missing_parameter")
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise Fault("rest_bad_parameter")
        return int(text)


@dataclass(frozen=True, slots=True)
class Created:
    """What a POST made: ``path`` is where it is now, below the service."""

    path: str
    body: Any


@dataclass(frozen=True, slots=True)
class Later:
    """A result that takes long: ``work`` makes it when the call's transaction is through."""

    work: Callable[[], Any]


def answer(result: Any, method: str, base: str) -> Response:
    """A handler's result on the wire: POST says 201 and where, everything else 200 (spec §1)."""
    if isinstance(result, Response):
        return result
    if isinstance(result, Created):
        headers = {**_NO_STORE, "Location": f"{base}{SCRIPT}/{result.path}"}
        return _json(result.body, 201, headers)
    return _json(result, 201 if method == "POST" else 200, _NO_STORE)


def fault_answer(fault: Fault, asked: Asked | None) -> Response:
    """A refusal. Those of the REST layer say where (spec §1)."""
    details = fault.details
    if details is None and asked is not None and fault.identifier.startswith(("rest_", "auth_")):
        details = {"method": asked.method.lower(), "endpoint": asked.parts[0] if asked.parts else None}
    return _json(error_body(fault.identifier, secrets.token_hex(7), details), fault.status, _NO_STORE)


def _json(value: Any, status: int, headers: Mapping[str, str]) -> Response:
    return Response(php_json(value), status, headers, media_type="application/json")


def parse_sent(raw: bytes, content_type: str) -> Any:
    """A request's body by its type (spec §1). Raises :class:`Fault` for JSON that is none."""
    if not raw.strip():
        return {}
    try:
        text = raw.decode()
        kind = content_type.partition(";")[0].strip().lower()
        if kind == "application/x-www-form-urlencoded":
            sent: Any = dict(read_query(text))
        elif kind == "text/plain" and not text.lstrip().startswith(("{", "[")):
            sent = text.strip()
        else:
            sent = json.loads(text)
    except (ValueError, RecursionError):
        raise Fault("rest_bad_parameter", {"reason": "the body is not JSON"}) from None
    _check_value(sent)
    return sent


def path_below(request: Request) -> tuple[str, ...]:
    """The parts of the path after ``rest.php``, decoded; slashes at its end do not count."""
    below = str(request.path_params.get("below", ""))
    return tuple(part for part in below.split("/") if part)


def _check_value(value: Any) -> None:
    """No text that a database would not take: NUL and lone surrogates; no numbers beyond its integers."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, float) and not abs(item) < 1e300:
            raise Fault("rest_bad_parameter")


def _check_text(text: str) -> None:
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Fault("rest_bad_parameter", {"reason": "text that is not Unicode"})
