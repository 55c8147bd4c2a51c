"""Faults that send other bytes than asked, or say something else about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from packhorse.testing.faults.answers import Entity
from packhorse.testing.faults.base import Fault, Stage
from packhorse.testing.faults.content import BytesFile, Content, GeneratedFile
from packhorse.testing.faults.message import Ask, At, Reply

HTML = b"<!doctype html><html><head><title>Sign in</title></head><body><h1>Please sign in</h1></body></html>\n"


@dataclass(frozen=True)
class WrongOffset(Fault):
    """A 206 whose bytes start ``by`` bytes away from where they were asked.

    Honest: Content-Range says so. ``lying``: Content-Range names the range that was asked.
    """

    by: int = 1
    lying: bool = False

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        if reply.status != 206:
            return
        size, length = reply.content.size, reply.length
        # the length must still agree with the header, so near the file's end it goes the other way
        starts = (reply.start + self.by, reply.start - self.by)
        start = next((start for start in starts if 0 <= start <= size - length), None)
        if start is None:
            return
        reply.start, reply.stop = start, start + length
        if not self.lying:
            reply.put("Content-Range", f"bytes {start}-{start + length - 1}/{size}")


@dataclass(frozen=True)
class WrongTotal(Fault):
    """A 206 whose Content-Range names another total size (``by`` more; ``by=None``: ``*``)."""

    by: int | None = 1

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        if reply.status == 206:
            total = "*" if self.by is None else str(reply.content.size + self.by)
            reply.put("Content-Range", f"bytes {reply.start}-{reply.stop - 1}/{total}")


@dataclass(frozen=True)
class NoRanges(Fault):
    """Answer 200 with the whole file to a range. ``advertised``: Accept-Ranges still says ``bytes``."""

    advertised: bool = True

    def entity(self, entity: Entity, ask: Ask, stage: Stage) -> None:
        entity.ranges = False

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.put("Accept-Ranges", "bytes" if self.advertised else "none")


@dataclass(frozen=True)
class Flip(Fault):
    """Invert ``count`` bytes from body offset ``at`` on; every header stays true."""

    at: At = 0.5
    count: int = 1

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        reply.flips.append((self.at, self.count))


@dataclass(frozen=True)
class Html(Fault):
    """A sign-in page with status 200 in place of the data."""

    page: bytes = HTML

    def answer(self, ask: Ask, stage: Stage) -> Reply | None:
        return Reply.of(200, self.page, "text/html; charset=utf-8")


@dataclass(frozen=True)
class Replaced(Fault):
    """From this request on the path has another ETag and date.

    ``content``: ``same`` bytes, ``other`` bytes of the same size, or the new content itself.
    """

    content: Literal["same", "other"] | bytes | GeneratedFile = "same"

    def entity(self, entity: Entity, ask: Ask, stage: Stage) -> None:
        new: Content | None
        if isinstance(self.content, bytes):
            new = BytesFile(self.content)
        elif isinstance(self.content, GeneratedFile):
            new = self.content
        else:
            new = None if self.content == "same" else GeneratedFile(entity.content.size, seed=900_000 + stage.count())
        fresh = stage.replace(ask.name, new)
        entity.content, entity.etag, entity.modified = fresh.content, fresh.etag, fresh.modified


@dataclass(frozen=True)
class FreshETag(Fault):
    """Another strong ETag in this answer. With a rule that fires always: a new one with every request.

    ``if_range="ignore"`` answers 206 whatever If-Range says, as FileSender does.
    """

    if_range: Literal["obey", "ignore"] = "ignore"

    def entity(self, entity: Entity, ask: Ask, stage: Stage) -> None:
        entity.etag = f'"fresh-{stage.count()}"'
        entity.if_range = self.if_range


@dataclass(frozen=True)
class WeakETag(Fault):
    """The ETag is marked as weak, so that If-Range never holds with it."""

    def entity(self, entity: Entity, ask: Ask, stage: Stage) -> None:
        if entity.etag and not entity.etag.startswith("W/"):
            entity.etag = "W/" + entity.etag


@dataclass(frozen=True)
class NoETag(Fault):
    """No ETag header."""

    def entity(self, entity: Entity, ask: Ask, stage: Stage) -> None:
        entity.etag = None


@dataclass(frozen=True)
class NoLastModified(Fault):
    """No Last-Modified header."""

    def entity(self, entity: Entity, ask: Ask, stage: Stage) -> None:
        entity.modified = None
