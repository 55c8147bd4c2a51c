"""The honest answer to a request for a file: RFC 9110 sections 8.8 (validators), 13 (conditions) and 14 (ranges)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

from packhorse.testing.faults.content import Content
from packhorse.testing.faults.message import Ask, Reply

MODIFIED = 1_492_646_400.0  # 2017-04-20, the date of the files in Packhorse's demo data


@dataclass
class Entity:
    """A file as one request sees it. Faults change it before the range is worked out."""

    content: Content
    etag: str | None
    modified: str | None
    if_range: Literal["obey", "ignore"] = "obey"
    ranges: bool = True

    @classmethod
    def of(cls, content: Content, version: int) -> Entity:
        """A file with a strong ETag; a higher version has another tag and a later date."""
        return cls(content, f'"{content.tag}-{version}"', formatdate(MODIFIED + 60 * version, usegmt=True))


def parse_range(value: str, size: int) -> tuple[int, int] | Literal["unsatisfiable"] | None:
    """Return (first, last) of a single byte range; None for what must be ignored.

    >>> parse_range("bytes=0-4", 10), parse_range("bytes=7-", 10), parse_range("bytes=-3", 10)
    ((0, 4), (7, 9), (7, 9))
    >>> parse_range("bytes=10-", 10), parse_range("bytes=5-2", 10), parse_range("bytes=0-1,4-5", 10)
    ('unsatisfiable', None, None)
    """
    found = re.fullmatch(r"bytes=\s*(\d*)-(\d*)\s*", value, re.IGNORECASE)
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        wanted = int(last)
        return (max(0, size - wanted), size - 1) if wanted and size else "unsatisfiable"
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        return "unsatisfiable"
    return int(first), min(int(last), size - 1) if last else size - 1


def answer(ask: Ask, entity: Entity) -> Reply:
    """Return the honest answer: 200, 206 or 416."""
    size = entity.content.size
    reply = Reply(200, [("Content-Type", "application/octet-stream")], entity.content, 0, size)
    if entity.etag is not None:
        reply.put("ETag", entity.etag)
    if entity.modified is not None:
        reply.put("Last-Modified", entity.modified)
    if entity.ranges:
        reply.put("Accept-Ranges", "bytes")
    wanted = ask.header("range")
    if wanted is None or not entity.ranges or not _if_range_holds(ask, entity):
        return reply
    found = parse_range(wanted, size)
    if found == "unsatisfiable":
        refusal = Reply.error(416, "range not satisfiable", ("Content-Range", f"bytes */{size}"))
        refusal.headers += [(name, value) for name, value in reply.headers if name != "Content-Type"]
        return refusal
    if found is not None:
        first, last = found
        reply.status, reply.start, reply.stop = 206, first, last + 1
        reply.put("Content-Range", f"bytes {first}-{last}/{size}")
    return reply


def _if_range_holds(ask: Ask, entity: Entity) -> bool:
    condition = ask.header("if-range")
    if condition is None or entity.if_range == "ignore":
        return True
    if condition.startswith('"'):
        return condition == entity.etag  # strong comparison: a weak tag never equals
    # A date holds only when equal; W/"…" is neither and never holds.
    return condition == entity.modified
