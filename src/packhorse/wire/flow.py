"""What Flow's client and server agree on: error bodies, paths, truth, paging (spec flow §2, §4, §6).

Building is exact; reading takes every shape that is in circulation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

__all__ = [
    "CODES",
    "DOWNLOAD_REFUSALS",
    "MAX_PAGE",
    "ErrorBody",
    "FieldProblem",
    "download_path",
    "envelope",
    "envelope_error",
    "error_body",
    "execution_path",
    "is_truthy",
    "parse_download_path",
    "parse_error",
    "parse_execution_path",
    "parse_id",
    "plain_error",
    "problem_body",
    "safe_relative_path",
]

MAX_PAGE: Final = 100
"""The largest page (``count``) that a list gives."""

CODES: Final[Mapping[int, str]] = {
    400: "VALIDATION_ERROR",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    410: "EXPIRED",
    412: "PRECONDITION_FAILED",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    416: "RANGE_NOT_SATISFIABLE",
    422: "UNPROCESSABLE",
    429: "RATE_LIMITED",
    500: "SERVER_ERROR",
    503: "UNAVAILABLE",
}
"""The ``code`` of an error by HTTP status (spec flow §2.2; those beyond the guide's four are ours)."""

DOWNLOAD_REFUSALS: Final[Mapping[int, str]] = {
    401: "Invalid or expired token",
    403: "You do not have permission to download this file",
    404: "Data file not found",
    410: "Download link has expired",
}
"""The guide's texts for a refused download."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that a server did not take."""

    field: str
    message: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error answer said, whatever its shape. ``message`` is never empty."""

    message: str
    code: str | None = None
    details: tuple[FieldProblem, ...] = ()


def error_body(
    status: int, message: str | Mapping[str, Sequence[str]] | None = None, code: str | None = None
) -> dict[str, Any]:
    """Shape E1, the guide's: ``{"error", "code", "status"}``; ``message`` may be a dict of field errors (400).

    >>> error_body(410)
    {'error': 'Download link has expired', 'code': 'EXPIRED', 'status': 410}
    """
    shown: Any = DOWNLOAD_REFUSALS.get(status, "Request refused") if message is None else message
    if isinstance(shown, Mapping):
        shown = {field: list(texts) for field, texts in shown.items()}
    return {"error": shown, "code": code or CODES.get(status, "ERROR"), "status": status}


def plain_error(message: str | Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Shape E2, the live service's: ``{"error": text or {field: [text, …]}}``."""
    return {"error": message if isinstance(message, str) else {field: list(texts) for field, texts in message.items()}}


def envelope_error(code: str, message: str, details: Sequence[FieldProblem] = ()) -> dict[str, Any]:
    """Shape E3: ``{"error": {"code", "message", "details": […]}}``."""
    shown = [{"field": d.field, "code": d.code, "message": d.message} for d in details]
    return {"error": {"code": code, "message": message, "details": shown}}


def problem_body(
    status: int,
    title: str,
    detail: str,
    *,
    code: str | None = None,
    errors: Sequence[FieldProblem] = (),
    instance: str | None = None,
) -> dict[str, Any]:
    """Shape E4, RFC 9457 (send as ``application/problem+json``). A field that starts with ``/`` is a JSON pointer."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code or CODES.get(status, "error").lower(),
        "errors": [
            {"pointer" if e.field.startswith("/") else "parameter": e.field, "code": e.code, "detail": e.message}
            for e in errors
        ],
    }
    if instance is not None:
        body["instance"] = instance
    return body


def parse_error(body: object, status: int) -> ErrorBody:
    """Read an error answer's JSON of any of the shapes E1 to E4, or anything else that a server sent.

    ``body`` is the decoded JSON, or ``None`` when it was none. Never raises.

    >>> parse_error({"error": {"name": ["This field is required."]}}, 400).message
    'name: This field is required.'
    """
    fallback = f"HTTP {status}"
    if not isinstance(body, Mapping):
        return ErrorBody(body.strip()[:500] or fallback if isinstance(body, str) else fallback)
    error = body.get("error")
    if isinstance(error, Mapping) and isinstance(error.get("message"), str):
        return ErrorBody(error["message"] or fallback, _text(error.get("code")), _details(error.get("details")))
    code = _text(body.get("code"))
    if isinstance(error, Mapping):
        problems = _form_errors(error)
        return ErrorBody("; ".join(f"{p.field}: {p.message}" for p in problems) or fallback, code, problems)
    if isinstance(error, str):
        return ErrorBody(error or fallback, code)
    if "title" in body or "detail" in body:
        message = _text(body.get("detail")) or _text(body.get("title")) or fallback
        return ErrorBody(message, code, _details(body.get("errors")))
    for key in ("validation", "warnings", "detail", "message"):
        if key in body:
            problems = _details(body[key])
            return ErrorBody("; ".join(p.message for p in problems) or _text(body[key]) or fallback, code, problems)
    return ErrorBody(fallback, code)


def _text(value: object) -> str | None:
    return value[:2000] if isinstance(value, str) and value else None


def _form_errors(error: Mapping[Any, Any]) -> tuple[FieldProblem, ...]:
    found: list[FieldProblem] = []
    for field, texts in list(error.items())[:100]:
        listed = texts[:20] if isinstance(texts, list) else [texts]
        found.extend(FieldProblem(str(field), _text(text) or "not accepted") for text in listed)
    return tuple(found)


def _details(details: object) -> tuple[FieldProblem, ...]:
    if isinstance(details, Mapping):
        return _form_errors(details)
    if not isinstance(details, list):
        return ()
    found: list[FieldProblem] = []
    for entry in details[:100]:
        if isinstance(entry, Mapping):
            place = next((entry[key] for key in ("field", "pointer", "parameter", "row") if key in entry), "")
            message = _text(entry.get("message")) or _text(entry.get("detail")) or "not accepted"
            found.append(FieldProblem(str(place), message, _text(entry.get("code")) or ""))
        elif isinstance(entry, str):
            found.append(FieldProblem("", entry))
    return tuple(found)


_ID: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def parse_id(value: object) -> int | None:
    """An id as the number it is stored as: decimal digits (at most 18) as a string, or a JSON number.

    >>> parse_id("789"), parse_id(789), parse_id("0789"), parse_id("7e2"), parse_id(True)
    (789, 789, None, None, None)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if 0 < value < 10**18 else ""
    return int(value) if isinstance(value, str) and _ID.fullmatch(value) else None


def download_path(data_id: int | str, filename: str) -> str:
    """``/downloads/<id>/<name>`` below the API's base, percent-encoded.

    >>> download_path(789, "a b#1.fq")
    '/downloads/789/a%20b%231.fq'
    """
    return f"/downloads/{data_id}/{quote(filename, safe='')}"


def execution_path(execution_id: int | str, path: str) -> str:
    """``/executions/<id>/<path>`` below the API's base; the slashes of ``path`` stay.

    >>> execution_path(456, "results/x y.tsv")
    '/executions/456/results/x%20y.tsv'
    """
    return f"/executions/{execution_id}/{quote(path, safe='/')}"


def parse_download_path(path: str) -> tuple[str, str] | None:
    """Id and name of a ``/downloads/<id>/<name>`` path (percent-encoded, without query), or ``None``."""
    head, _, rest = path.partition("/downloads/")
    data_id, slash, name = rest.partition("/")
    if head.count("/downloads") or not slash or parse_id(data_id) is None or not name or "/" in name:
        return None
    return data_id, unquote(name)


def parse_execution_path(path: str) -> tuple[str, str] | None:
    """Id and relative path of an ``/executions/<id>/<path>`` path (percent-encoded, without query), or ``None``."""
    _, _, rest = path.partition("/executions/")
    execution_id, slash, inner = rest.partition("/")
    relative = unquote(inner)
    if not slash or parse_id(execution_id) is None or not safe_relative_path(relative):
        return None
    return execution_id, relative


def safe_relative_path(path: str) -> bool:
    r"""Whether a path stays below its folder: relative, no empty, ``.`` or ``..`` component, no NUL or backslash.

    >>> safe_relative_path("results/a.tsv"), safe_relative_path("../a"), safe_relative_path("/a")
    (True, False, False)
    """
    if not path or "\0" in path or "\\" in path:
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


def is_truthy(value: str | None) -> bool:
    """A query or form value that means yes: ``1``, ``true``, ``yes`` in any case (spec flow §2)."""
    return value is not None and value.strip().lower() in ("1", "true", "yes")


def envelope(plural: str, rows: Sequence[Mapping[str, Any]], *, count: int, page: int) -> dict[str, Any]:
    """A list's answer. ``count`` is the exact number of all matches: the v2 client asks on until it has that many."""
    return {"count": count, "page": page, plural: list(rows)}
