"""Small bodies: what shells, browsers and R send to ``/auth``: forms, multipart and JSON (spec immport §1.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from packhorse.server.api.immport.core import Refusal, bounded_body

__all__ = ["read_form"]

_MOST: Final = 32 * 1024
_FIELDS: Final = 40


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a body by name. Refuses with 400 what is none of the three, with 413 more than 32 KiB."""
    raw = await bounded_body(request, _MOST)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or (not kind and raw.lstrip().startswith(b"{")):
        return _checked(_of_json(raw))
    sent = False

    async def replay() -> Message:
        nonlocal sent
        done, sent = sent, True
        return {"type": "http.request", "body": b"" if done else raw, "more_body": False}

    scope = dict(request.scope)
    if kind != "multipart/form-data":  # some scripts send a form as text/plain, or say nothing
        others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
        scope["headers"] = [*others, (b"content-type", b"application/x-www-form-urlencoded")]
    found: dict[str, list[str]] = {}
    try:
        form = await Request(scope, replay).form(max_files=0, max_fields=_FIELDS, max_part_size=_MOST)
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                raise Refusal(400, "The form holds a file where text was expected")
            found.setdefault(name, []).append(value)
    except (HTTPException, ValueError):
        raise Refusal(400, "The form cannot be read") from None
    return _checked(found)


def _of_json(raw: bytes) -> Mapping[str, list[str]]:
    try:
        sent = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refusal(400, "The request body is not JSON") from None
    if not isinstance(sent, dict):
        raise Refusal(400, "The request body must be a JSON object")
    return {str(name): [value] for name, value in sent.items() if isinstance(value, str)}


def _checked(fields: Mapping[str, list[str]]) -> dict[str, list[str]]:
    for name, values in fields.items():
        for text in (name, *values):
            if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
                raise Refusal(400, "The form holds text that is not Unicode")
    return dict(fields)
