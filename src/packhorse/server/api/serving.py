"""A stored file as an answer: its media type, its validators and digests, and its bytes by ``server.sending``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from packhorse.model import Digest
from packhorse.server.api.core import Refusal, refusal_answer
from packhorse.server.sending import BytesAnswer, Plan, Representation, may_wait, plan_bytes
from packhorse.server.storage import Storage, StoredFacts
from packhorse.wire import http

__all__ = ["UNREADABLE", "FileAnswer", "Plan", "media_type", "plan_answer"]

UNREADABLE: Final = "This file cannot be read on the server at the moment"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".tsv": "text/tab-separated-values; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".fcs": "application/vnd.isac.fcs",
}


def media_type(name: str) -> str:
    """The type that a file is sent with; the same on every machine, so not the system's table."""
    return _TYPES.get("." + name.rpartition(".")[2].lower(), "application/octet-stream")


def plan_answer(facts: StoredFacts, name: str, asked: Mapping[str, str], *, inline: bool = False) -> Plan:
    """The answer to a GET for a stored file (see :func:`~packhorse.server.sending.plan_bytes`)."""
    stored = Representation(
        size=facts.size,
        etag=http.ETag(f"sha256-{facts.sha256}"),
        modified=facts.modified,
        name=name,
        media_type=media_type(name),
        digests=(Digest("sha256", facts.sha256), Digest("md5", facts.md5)),
    )
    return plan_bytes(stored, asked, inline=inline)


class FileAnswer(BytesAnswer):
    """An ASGI response that sends a plan's bytes from a stored file."""

    def __init__(self, plan: Plan, storage: Storage, facts: StoredFacts) -> None:
        super().__init__(
            plan,
            lambda: storage.open(facts),
            lambda: refusal_answer(Refusal(503, UNREADABLE)),
            may_wait=may_wait(facts),
        )
