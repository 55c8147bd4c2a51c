"""Signing in to ImmPort: scopes, roles, and the bodies of ``/auth/token`` and of errors (spec immport §1).

Shell users cut these bodies with grep and sed, so blanks and line breaks are part of the protocol: one member a line.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final, Literal

__all__ = [
    "DIRECT_CLIENT",
    "SCOPES",
    "Scope",
    "bearer",
    "error_body",
    "member_lines",
    "read_scopes",
    "roles",
    "scope_list",
    "token_body",
]

Scope = Literal["browse", "download", "upload"]
SCOPES: Final[tuple[Scope, ...]] = ("browse", "download", "upload")
"""browse: metadata and results; download: DRS and Aspera tokens; upload: submission and batch (spec §1.3)."""
DIRECT_CLIENT: Final = "immport-auth-token-client"
"""What ``client_id`` says in a token that a password was given for."""
_USER_ROLES: Final = ("ROLE_USER", "ROLE_SHARING_USER")
_ADMIN_ROLES: Final = (
    "ROLE_ADMIN",
    "ROLE_CURATION_USER",
    "ROLE_DATA_BROWSER_ADMIN",
    "ROLE_USER_ADMINISTRATION_ADMIN",
    "ROLE_IMMPORT_DATA_MANAGEMENT_ADMIN",
)


def roles(*, admin: bool) -> list[str]:
    """The ``authorities`` of a user."""
    return [*_USER_ROLES, *(_ADMIN_ROLES if admin else ())]


def read_scopes(text: str) -> frozenset[Scope]:
    """The scopes of ours in a text that separates them by blanks or commas; others are left out.

    >>> sorted(read_scopes("openid download,browse"))
    ['browse', 'download']
    """
    given = set(re.split(r"[\s,]+", text))
    return frozenset(scope for scope in SCOPES if scope in given)


def bearer(header: str | None) -> str | None:
    """The token of an ``Authorization`` header: clients write ``bearer`` or ``Bearer``. ``None`` for other schemes.

    >>> bearer("bearer abc"), bearer("BEARER  abc "), bearer("Basic abc")
    ('abc', 'abc', None)
    """
    scheme, _, rest = (header or "").strip().partition(" ")
    return rest.strip() or None if scheme.lower() == "bearer" else None


def token_body(token: str, seconds: int) -> bytes:
    r"""What a password is answered with, under the names and in the layouts of both generations.

    The first sed line in use wants ``"access_token":"`` without blanks, the older one ``"token" : "`` with them (§1.1).

    >>> print(token_body("a.b.c", 3600).decode())
    {
    "status" : 200,
    "access_token":"a.b.c",
    "token" : "a.b.c",
    "expires_in" : 3600
    }
    <BLANKLINE>
    """
    text = json.dumps(token)
    return (
        f'{{\n"status" : 200,\n"access_token":{text},\n"token" : {text},\n"expires_in" : {seconds:d}\n}}\n'
    ).encode()


def member_lines(members: Mapping[str, object]) -> bytes:
    """A flat object, one member a line, `` : `` between name and value: scripts look for ``"error" *:``.

    >>> print(member_lines({"token": "x", "n": None}).decode())
    {
      "token" : "x",
      "n" : null
    }
    <BLANKLINE>
    """
    lines = (f"  {json.dumps(name)} : {json.dumps(value)}" for name, value in members.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def error_body(status: int, message: str, path: str, when: float, error: str | None = None) -> bytes:
    """A refusal as Spring writes one. ``when`` in Unix seconds; ``error`` is the status in words unless given."""
    try:
        words = HTTPStatus(status).phrase
    except ValueError:
        words = "Error"
    moment = dt.datetime.fromtimestamp(when, dt.UTC)
    return member_lines(
        {
            "timestamp": moment.isoformat(timespec="milliseconds"),
            "status": status,
            "error": error or words,
            "message": message,
            "path": path,
        }
    )


def scope_list(scopes: Iterable[str]) -> list[str]:
    """Scopes in their order."""
    given = set(scopes)
    return [scope for scope in SCOPES if scope in given]
