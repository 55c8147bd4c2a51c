"""Small files, and the first answer about items of which the portal says nothing (DESIGN §4).

A small file is held in memory, proven, written without a name, and named in a batch with others: no part file, no
journal. What turns out to be large is handed over with what has come of it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from packhorse.errors import DestinationError, IntegrityError, NetworkError, PackhorseError, ProtocolError
from packhorse.model import ByteRange, Identity
from packhorse.net.calls import stream_following
from packhorse.net.message import Request, ResponseHead
from packhorse.transfer.answer import Answer, Expectation, FirstAnswer, judge
from packhorse.transfer.blocks import BLOCK
from packhorse.transfer.decode import Decoding, UndecodableError, chunks_of, extent_of
from packhorse.transfer.events import Retried
from packhorse.transfer.job import BroughtInstead, Job, Refused, Source, Task, Tries
from packhorse.transfer.ledger import LedgerEntry
from packhorse.transfer.portal import Codec, Locator
from packhorse.transfer.sink import ERROR_BODY

__all__ = ["SMALL", "Body", "Large", "Unmodified", "ask_first", "fetch_small"]

SMALL: Final = BLOCK


@dataclass(frozen=True, slots=True)
class Body:
    """What came: the whole file. ``authenticated``: through a codec that says so."""

    chunks: list[bytes]
    size: int
    first: FirstAnswer
    authenticated: bool = False


@dataclass(frozen=True, slots=True)
class Large:
    """The file is large; ``first`` is what the answer told of it, where there was one."""

    first: FirstAnswer | None


@dataclass(frozen=True, slots=True)
class Unmodified:
    """The server says that the file is what the ledger has (304)."""


class _TooLargeError(Exception):
    """More came than a small file has."""


class _SameError(Exception):
    """The object is what the ledger has; its bytes are not wanted."""


class _MemorySink:
    """A small body in memory. It never blocks. ``known``: the entry of what is held; ``plain`` and ``extent`` as the
    locator's."""

    def __init__(
        self,
        expected: Expectation,
        check: Callable[[ResponseHead], None] | None,
        known: LedgerEntry | None,
        *,
        plain: bool,
        extent: int | None,
        decoding: Decoding | None = None,
    ) -> None:
        self.expected = expected
        self.first_byte = time.monotonic()
        self.chunks: list[bytes] = []
        self.size = 0
        self.head: ResponseHead | None = None
        self.answer: Answer | None = None
        self.first: FirstAnswer | None = None
        self.error_body = bytearray()
        self._check = check
        self._known = known
        self._plain = plain
        self._extent = extent
        self._decoding = decoding

    @property
    def refusal(self) -> ResponseHead | None:
        """The head of a refusal, which counts even where its body was cut."""
        return self.head if self.answer is not None and self.answer.kind == "refused" else None

    def begin(self, head: ResponseHead) -> None:
        self.first_byte = time.monotonic()
        self.chunks.clear()
        self.size = 0
        self.error_body.clear()
        self.head, self.answer = head, None
        if head.status in (301, 302, 303, 307, 308) and head.headers.get("location"):
            return
        answer = judge(head, self.expected)
        if answer.kind in ("part", "whole"):
            if self._check is not None:
                self._check(head)
            self.first = FirstAnswer.of(head, answer)
            if not self._plain:
                self._not_another_part(answer)
                self.first = self.first.within(self._extent)
            if self._known is not None and _is_known(self.first, self._known):
                raise _SameError  # from a server that knows no conditions
            if self.first.size is not None and self.first.size > SMALL:
                raise _TooLargeError
        self.answer = answer

    def _not_another_part(self, answer: Answer) -> None:
        asked = self.expected.asked
        if answer.kind == "whole" and asked is not None and not (asked.start == 0 and answer.total == asked.stop):
            raise ProtocolError("the server sends the whole object where a part was asked for")

    def write(self, data: bytes) -> None:
        if self.answer is None or self.answer.kind not in ("part", "whole"):
            if len(self.error_body) < ERROR_BODY:
                self.error_body += data[: ERROR_BODY - len(self.error_body)]
            return
        if self._decoding is None:
            self._keep(data)
        else:
            for plain in self._decoding.feed(data):
                self._keep(plain)

    def _keep(self, data: bytes) -> None:
        self.chunks.append(data)
        self.size += len(data)
        if self.size > SMALL:
            raise _TooLargeError

    def end(self) -> None:
        """The answer ended as it should. With a codec this raises what :meth:`Decoding.end` does."""
        if self._decoding is not None and self.answer is not None and self.answer.kind in ("part", "whole"):
            for plain in self._decoding.end():
                self._keep(plain)


async def fetch_small(job: Job, task: Task, known: LedgerEntry | None = None) -> Body | Large | Unmodified:
    """Fetch a file that is small, or of unknown size, into memory. ``known`` is the ledger's entry of a file that is
    still there: the server is asked whether it is the same. Raises our errors."""
    source = Source(task.item, task.portal)
    locator = await source.locator()
    try:
        if locator.codec is not None:
            return await _fetch_decoded(job, task, source, locator.codec, extent_of(task.item, locator))
        return await _first_bytes(job, task, source, SMALL, known)
    except BroughtInstead:
        return Large(None)


async def ask_first(job: Job, task: Task, source: Source) -> FirstAnswer:
    """Ask for one byte, to learn size and identity."""
    answer = await _first_bytes(job, task, source, 1, None)
    assert not isinstance(answer, Unmodified)
    assert answer.first is not None
    return answer.first


def _is_known(first: FirstAnswer, known: LedgerEntry) -> bool:
    """Whether an answer says of its object what 304 would mean: the same tag, else the same date, and the size."""
    if first.size != known.size:
        return False
    return first.etag == known.etag if known.etag else bool(known.modified) and first.last_modified == known.modified


def _unless_same(request: Request, known: LedgerEntry | None) -> Request:
    """Ask for it only if it is not what the ledger has."""
    if known is not None and known.etag:
        return request.with_header_map({"If-None-Match": known.etag})
    if known is not None and known.modified:
        return request.with_header_map({"If-Modified-Since": known.modified})
    return request


async def _first_bytes(
    job: Job, task: Task, source: Source, count: int, known: LedgerEntry | None
) -> Body | Large | Unmodified:
    """At most ``count`` bytes of an item of unknown size, all bytes of one whose size is known."""
    locator = await source.locator()
    if locator.local_path is not None:
        return await _read_local(job, task, locator.local_path)
    size = extent_of(task.item, locator)
    if size == 0 and locator.slice is not None:
        return Body([], 0, _nothing(task))
    if locator.slice is not None and size is not None:
        count = 1 if size > SMALL else min(count, size)
    tries = Tries(job, task.path, source)
    excess = 0
    while True:
        # Of a small item of known size all is asked; else a closed range, whose answer tells size and ranges.
        part = locator.slice is not None or (locator.ranges and (size is None or count < min(size, SMALL)))
        wanted = ByteRange(0, count) if part else None
        request, locator = await source.request(wanted, None)
        request = _unless_same(request, known)
        sink = _MemorySink(_expectation(task, locator, wanted), locator.check, known, plain=locator.plain, extent=size)
        try:
            if not await _asked(job, tries, request, locator, sink):
                continue
        except _SameError:
            return Unmodified()
        except _TooLargeError:
            assert sink.first is not None
            if size is None or size > SMALL:
                return Large(sink.first)
            excess += 1
            if excess > 1:
                raise _too_many(task, sink) from None
            continue
        try:
            return _weigh(task, sink, size, wanted, held=known is not None)
        except NetworkError as error:
            await tries.after_error(error)
        except IntegrityError:
            excess += 1
            if excess > 1:
                raise


async def _asked(job: Job, tries: Tries, request: Request, locator: Locator, sink: _MemorySink) -> bool:
    """One request. True when its answer ended as it should, False when another try is due, the wait for it being over;
    raises to give up."""
    try:
        # Decoding and a rate take a lane's thread, not the engine's.
        bulk = job.throttle is not None or locator.codec is not None
        head = await stream_following(job.network, request, sink, bulk=bulk)
        sink.end()
    except (NetworkError, ProtocolError) as error:
        if sink.refusal is None:
            await tries.after_error(error)
            return False
        head = sink.refusal
    finally:
        job.meter.add(sink.size)
    if job.throttle is not None:
        await job.blocking(partial(job.throttle.hold, sink.size))
    if sink.answer is None or sink.answer.kind == "refused":
        await tries.after_refusal(Refused(head, bytes(sink.error_body), request), locator)
        return False
    return True


async def _fetch_decoded(job: Job, task: Task, source: Source, codec: Codec, size: int | None) -> Body | Large:
    """A small file through its codec, chunk after chunk."""
    if size is not None and size > SMALL:
        return Large(None)
    chunks: list[bytes] = []
    for span in chunks_of(codec, size):
        if size == 0 and codec.chunk is not None:
            break
        wanted = None if codec.chunk is None else span
        found = await _one_chunk(job, task, source, wanted, size)
        if found is None:
            return Large(None)
        chunks += found
    came = sum(map(len, chunks))
    return Body(chunks, came, _nothing(task, came), authenticated=codec.authenticates)


async def _one_chunk(
    job: Job, task: Task, source: Source, wanted: ByteRange | None, size: int | None
) -> list[bytes] | None:
    """The file bytes of one chunk (``None``: of the whole object); ``None`` when they are too many for a small file."""
    tries = Tries(job, task.path, source)
    spoilt: PackhorseError | None = None
    while True:
        request, locator = await source.request(wanted, None)
        codec = locator.codec
        if codec is None:
            raise ProtocolError(f"{task.path} was encoded a moment ago, and now it is not")
        decoding = Decoding(codec, [wanted] if wanted else chunks_of(codec, size), size=size, name=task.item.path)
        expected = _expectation(task, locator, wanted)
        sink = _MemorySink(expected, locator.check, None, plain=False, extent=size, decoding=decoding)
        try:
            if await _asked(job, tries, request, locator, sink):
                if sink.answer is not None and sink.answer.kind in ("part", "whole"):
                    return sink.chunks
                raise ProtocolError("the server says that there is nothing to send where bytes were asked for")
        except _TooLargeError:
            return None
        except UndecodableError as error:
            # Once may be the way here; twice is the object or the password.
            if spoilt is not None:
                raise error.error from error
            spoilt = error.error
            job.emit(Retried(path=task.path, attempt=1, delay=0.0, why=spoilt.code, detail=str(spoilt)))


def _nothing(task: Task, size: int = 0) -> FirstAnswer:
    """What is known of an item where no answer's head says anything of it."""
    return FirstAnswer(task.item.identity or Identity("weak", "", size), size)


def _expectation(task: Task, locator: Locator, wanted: ByteRange | None) -> Expectation:
    item, codec = task.item, locator.codec
    return Expectation(
        asked=Source.wire_range(locator, wanted),
        total=item.size if locator.plain else None,
        identity=item.identity if codec is None else None,
        has_digest=bool(item.digests),
        name=item.path,
        media_type=item.media_type,
        accepts=None if codec is None or wanted is None else lambda got: codec.accepts(got, wanted),
    )


def _weigh(
    task: Task, sink: _MemorySink, size: int | None, wanted: ByteRange | None, *, held: bool
) -> Body | Large | Unmodified:
    """What an answer that ended well has brought. Raises :class:`NetworkError` where it is short or contradicts
    itself, :class:`IntegrityError` where it is longer than stated."""
    answer, head = sink.answer, sink.head
    assert answer is not None
    assert head is not None
    if answer.kind == "same":
        if not held:
            raise ProtocolError('the server says "not modified" where nothing was held')
        return Unmodified()
    if answer.kind == "complete":
        # What it says of its bytes, it says of its error page.
        return Body([], 0, replace(FirstAnswer.of(head, Answer("part", total=0)), digests=()))
    assert sink.first is not None
    if answer.range is not None and sink.size > len(answer.range):
        raise NetworkError("the server sends more bytes than the range that it names")
    if answer.kind == "part" and sink.first.size is None:
        return Large(sink.first)  # the beginning of nobody knows how much
    total = sink.first.size if size is None else size
    if total is not None and sink.size < (total if wanted is None else min(total, wanted.stop)):
        raise NetworkError(f"the answer ended after {sink.size:,} of {total:,} bytes")
    if size is not None and sink.size > size:
        raise _too_many(task, sink)
    if total is not None and total > sink.size:
        return Large(sink.first)
    return Body(sink.chunks, sink.size, sink.first)


def _too_many(task: Task, sink: _MemorySink) -> IntegrityError:
    return IntegrityError(
        f"{task.path} has more bytes than stated", expected=str(task.item.size), got=f"{sink.size} or more"
    )


async def _read_local(job: Job, task: Task, path: str) -> Body | Large:
    """A small file of this machine; a large one is copied by its own way."""

    def read() -> tuple[bytes, float, int]:
        with open(path, "rb") as source:  # noqa: PTH123 - a descriptor is all that is wanted
            state = os.fstat(source.fileno())
            return source.read(SMALL + 1), state.st_mtime, state.st_size

    try:
        data, modified, size = await asyncio.get_running_loop().run_in_executor(job.pool, read)
    except OSError as error:
        raise DestinationError(f"cannot read {path}: {error.strerror or error}") from None
    identity = task.item.identity or Identity("weak", f"@{modified:.0f}", size)
    first = FirstAnswer(identity, size, modified=modified)
    if len(data) > SMALL:
        return Large(first)
    job.meter.add(len(data))
    return Body([data], len(data), first)
