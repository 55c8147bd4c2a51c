"""Is this answer the bytes that were asked for? Pure verdicts on response heads (DESIGN §4, Requests for bytes)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Self

from packhorse.errors import ChangedError, ProtocolError
from packhorse.model import ByteRange, Digest, Identity
from packhorse.net.message import ResponseHead
from packhorse.wire.digests import stated_digests
from packhorse.wire.http import (
    ContentRange,
    Unsatisfied,
    parse_content_length,
    parse_content_range,
    parse_etag,
    parse_http_date,
)

__all__ = ["Answer", "Expectation", "FirstAnswer", "framed", "identity_of", "judge", "looks_like_page"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a request for bytes asked (``asked`` in wire bytes; ``None``: all) and what is known of the object.

    ``total``: the wire object's size; ``identity``: of the earlier answers or the portal; ``has_digest``: the portal
    states a digest; ``name`` and ``media_type`` as the portal gives them. ``accepts``: the codec's own word on a 206,
    where its ``Content-Range`` is not that of the bytes that come.
    """

    asked: ByteRange | None
    total: int | None = None
    identity: Identity | None = None
    has_digest: bool = False
    name: str = ""
    media_type: str | None = None
    accepts: Callable[[ContentRange], bool] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """``part``: the asked range comes (``range``). ``whole``: all of it comes from the start. ``complete``: there is
    nothing beyond what was asked from (416). ``same``: not modified (304). ``refused``: an error status."""

    kind: Literal["part", "whole", "complete", "same", "refused"]
    range: ByteRange | None = None
    total: int | None = None


def framed(head: ResponseHead) -> bool:
    """Whether the body's end is marked, so that a cut cannot look like an end."""
    if head.http_version.startswith(("2", "3")):
        return True
    coding = head.headers.get("transfer-encoding", "") or ""
    return "chunked" in coding.lower() or parse_content_length(head.headers.get_all("content-length")) is not None


def identity_of(head: ResponseHead, total: int | None) -> Identity:
    """The identity that an answer itself states: a strong ETag, else size and date, which is weak."""
    tag = parse_etag(head.headers.get("etag"))
    if tag is not None and not tag.weak:
        return Identity("etag", tag.tag, total)
    date = parse_http_date(head.headers.get("last-modified"))
    stamp = "" if date is None else f"{date:.0f}"
    return Identity("weak", f"{tag.tag if tag else ''}@{stamp}", total)


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """What is known of an item from an answer, where the portal says nothing: fixed by the first response."""

    identity: Identity
    size: int | None
    digests: tuple[Digest, ...] = ()
    modified: float | None = None
    etag: str = ""
    last_modified: str = ""
    ranges: bool = True
    framed: bool = True

    @classmethod
    def of(cls, head: ResponseHead, answer: Answer) -> FirstAnswer:
        """Read it off a 200 or 206."""
        header = head.headers.get
        stamp = header("last-modified") or ""
        whole = answer.kind == "whole"
        return cls(
            identity=identity_of(head, answer.total),
            size=answer.total,
            digests=stated_digests(header, status=head.status),
            modified=parse_http_date(stamp),
            etag=(header("etag") or "")[:200],
            last_modified=stamp[:64],
            ranges=not whole,
            framed=framed(head),
        )

    def within(self, size: int | None) -> Self:
        """Of a slice or of decoded bytes, ``size`` of them: the head's own size and digests are the wire object's."""
        return replace(self, size=size, digests=(), identity=replace(self.identity, size=size))


def looks_like_page(head: ResponseHead, expected: Expectation, length: int | None) -> bool:
    """Whether this is an HTML page where data was expected: a sign-in form, an error, a web application's shell."""
    kind = (head.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind not in ("text/html", "application/xhtml+xml"):
        return False
    if (expected.media_type or "").lower().startswith(("text/html", "application/xhtml")):
        return False
    if expected.name.lower().endswith((".html", ".htm", ".xhtml")):
        return False
    if expected.total is not None and length is not None:
        return expected.total != length
    return not expected.has_digest  # else the digest decides


def _coded(head: ResponseHead) -> bool:
    coding = (head.headers.get("content-encoding") or "").strip().lower()
    return coding not in ("", "identity")


def judge(head: ResponseHead, expected: Expectation) -> Answer:
    """What an answer is worth. Raises :class:`ProtocolError` for one that breaks the rules (another try may help),
    :class:`ChangedError` for another object than before."""
    asked = expected.asked
    if head.status == 304:
        return Answer("same")
    if head.status == 416 and asked is not None:
        unsatisfied = parse_content_range(head.headers.get("content-range"))
        if isinstance(unsatisfied, Unsatisfied) and unsatisfied.total == asked.start:
            if expected.total is not None and expected.total != asked.start:
                raise ChangedError(f"the object has {asked.start:,} bytes now, not {expected.total:,}")
            return Answer("complete", total=unsatisfied.total)
        if isinstance(unsatisfied, Unsatisfied) and unsatisfied.total is not None and unsatisfied.total < asked.start:
            raise ChangedError(f"the object has only {unsatisfied.total:,} bytes now")
        return Answer("refused")
    if head.status == 206:
        return _judge_part(head, expected)
    if head.status == 200:
        return _judge_whole(head, expected)
    if 200 <= head.status < 300:
        raise ProtocolError(f"the server answers {head.status} where bytes were asked for")
    return Answer("refused")


def _judge_part(head: ResponseHead, expected: Expectation) -> Answer:
    asked = expected.asked
    if asked is None:
        raise ProtocolError("the server sends part of the object though all of it was asked for")
    if _coded(head):
        raise ProtocolError("the server compresses part of the object; its bytes cannot be placed")
    got = parse_content_range(head.headers.get("content-range"), beyond=expected.accepts is not None)
    if got is None or isinstance(got, Unsatisfied):
        raise ProtocolError("the server sends part of the object without saying which")
    if expected.accepts is not None:
        if not expected.accepts(got):
            raise ProtocolError(
                f"asked for the chunk at {asked.start:,}, the server sends bytes {got.start:,} to {got.stop:,}"
            )
        if looks_like_page(head, expected, got.total):
            raise _page()
        return Answer("part", ByteRange(got.start, got.stop), got.total)
    if got.start != asked.start:
        raise ProtocolError(f"asked for bytes from {asked.start:,}, the server sends them from {got.start:,}")
    if got.stop > asked.stop:
        raise ProtocolError(f"asked for bytes up to {asked.stop:,}, the server sends them up to {got.stop:,}")
    if expected.total is not None and got.total is not None and got.total != expected.total:
        raise _other_size(expected, got.total)
    total = expected.total if got.total is None else got.total
    _same_object(head, expected, total)
    if looks_like_page(head, expected, got.total):
        raise _page()
    return Answer("part", ByteRange(got.start, got.stop), total)


def _judge_whole(head: ResponseHead, expected: Expectation) -> Answer:
    length = parse_content_length(head.headers.get_all("content-length"))
    # Codings are never undone: such a body counts only where the portal's size or digest agrees with it.
    if _coded(head) and not expected.has_digest and (expected.total is None or length != expected.total):
        raise ProtocolError("the server compresses what it sends, and nothing says what its bytes should be")
    if looks_like_page(head, expected, length):
        raise _page()
    if expected.total is not None and length is not None and length != expected.total:
        raise _other_size(expected, length)
    _same_object(head, expected, length if expected.total is None else expected.total)
    return Answer("whole", total=expected.total if length is None else length)


def _page() -> ProtocolError:
    return ProtocolError(
        "an HTML page came where data was expected",
        hint="open the address in a browser: it may ask you to sign in, or say what is wrong",
    )


def _other_size(expected: Expectation, total: int) -> ProtocolError | ChangedError:
    text = f"the object should have {expected.total:,} bytes, the server says {total:,}"
    if expected.identity is None or expected.identity.from_portal:
        return ProtocolError(text)
    return ChangedError(text)


def _same_object(head: ResponseHead, expected: Expectation, total: int | None) -> None:
    before = expected.identity
    if before is None or before.from_portal:
        return
    now = identity_of(head, total)
    silent = now.kind == "weak" and head.headers.get("etag") is None
    if before.kind == "etag" and silent and head.status == 206:
        return  # a 206 to If-Range need not repeat the ETag; a 200 without one may be of anything
    if (now.kind, now.value) != (before.kind, before.value):
        raise ChangedError("the object changed at the server while it was read")
