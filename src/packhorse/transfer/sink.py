"""From a connection into a piece of a part file: the sink of one request for bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from packhorse.errors import ChangedError, IntegrityError, PackhorseError
from packhorse.model import ByteRange
from packhorse.net.message import ResponseHead
from packhorse.transfer.answer import Answer, Expectation, judge
from packhorse.transfer.decode import Decoding
from packhorse.transfer.files import destination_error
from packhorse.transfer.limits import Meter, Throttle
from packhorse.transfer.part import Piece

__all__ = ["ERROR_BODY", "LOOK_EVERY", "EnoughError", "NoRangesError", "PieceSink"]

ERROR_BODY: Final = 64 * 1024
LOOK_EVERY: Final = 1024 * 1024 * 1024


class EnoughError(Exception):
    """The piece has all its bytes; the rest of the answer is not wanted."""


class NoRangesError(PackhorseError):
    """The server sends the whole object where a range in the middle was asked for."""

    code = "no-ranges"


class PieceSink:
    """Takes the answer to one request: for the rest of one piece (with a codec that has chunks: for its whole chunk),
    or for the whole object of which pieces are missing. ``compare``: nothing vouches for the object, so that bytes
    which came before are compared when they come again. ``look`` is called after every GiB of an object whose size
    nobody tells, with the bytes up to the next time; it may refuse to go on.

    Bytes that are held already are never written again: what was hashed stays what is in the file. Used in a lane's
    thread.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        expected: Expectation,
        *,
        asked: ByteRange | None,
        check: Callable[[ResponseHead], None] | None,
        began: Callable[[ResponseHead, Answer], None],
        compare: bool,
        decoding: Decoding | None,
        look: Callable[[int], None] | None,
        meter: Meter,
        throttle: Throttle | None,
    ) -> None:
        self.pieces = pieces
        self.expected = expected
        self.asked = asked
        self.first_byte = time.monotonic()
        self.head: ResponseHead | None = None
        self.answer: Answer | None = None
        self.error_body = bytearray()
        self._check = check
        self._began = began
        self._decoding = decoding
        self._look = look
        self._looked = LOOK_EVERY
        self._meter = meter
        self._throttle = throttle
        self._unmetered = 0
        self._at = 0
        self._came = 0  # bytes of this answer
        self._current = 0
        self._compare = compare

    @property
    def at(self) -> int:
        """How far in the object the answer came."""
        return self._at

    @property
    def refusal(self) -> ResponseHead | None:
        """The head of a refusal. It counts even where its body was cut: a wait that is asked for is kept."""
        return self.head if self.answer is not None and self.answer.kind == "refused" else None

    def begin(self, head: ResponseHead) -> None:
        self.first_byte = time.monotonic()
        self.error_body.clear()
        self.head, self.answer = head, None
        if head.status in (301, 302, 303, 307, 308) and head.headers.get("location"):
            return
        answer = judge(head, self.expected)
        if answer.kind in ("part", "whole"):
            if self._check is not None:
                self._check(head)
            wire = self.expected.asked
            if answer.kind == "whole" and wire is not None and not (wire.start == 0 and answer.total == wire.stop):
                raise NoRangesError("the server sends the whole object where a part was asked for")
            self._began(head, answer)
        self._at = 0 if self.asked is None else self.asked.start
        self._came = 0
        self._current = 0
        self.answer = answer

    def write(self, data: bytes) -> None:
        if self.answer is None or self.answer.kind not in ("part", "whole"):
            if len(self.error_body) < ERROR_BODY:
                self.error_body += data[: ERROR_BODY - len(self.error_body)]
            return
        count = len(data)
        if self._look is not None and self._came >= self._looked and self.pieces[-1].stop is None:
            self._look(LOOK_EVERY)
            self._looked += LOOK_EVERY
        self._came += count
        self._unmetered += count
        if self._unmetered >= 256 * 1024:
            self._count()
        if self._throttle is not None:
            self._throttle.hold(count)
        if self._decoding is None:
            self._deliver(data)
            return
        for plain in self._decoding.feed(data):
            self._deliver(plain)
        if self._current < len(self.pieces):
            self.pieces[self._current].undecoded = self._decoding.waiting if self.asked is not None else 0

    def _deliver(self, data: bytes) -> None:
        """Give bytes to the piece they belong to; what no piece misses is passed over."""
        while data:
            if self._current >= len(self.pieces):
                if self._decoding is not None and self._decoding.to_the_end:
                    return  # it counts the bytes itself
                raise self._too_many() if self._to_the_end else EnoughError
            piece = self.pieces[self._current]
            if (held := piece.reached - self._at) > 0:
                if self._compare and not piece.part.has(self._at, data[:held]):
                    raise ChangedError("the object changed at the server while it was read")
                self._at += min(held, len(data))
                data = data[held:]
                continue
            try:
                taken = piece.take(data)
            except OSError as error:
                raise destination_error(error, piece.part.path) from None
            self._at += taken
            if taken < len(data) or piece.full:
                self._current += 1
            data = data[taken:]
        # Where the answer ends by itself its connection is kept for the next request.
        if self._current >= len(self.pieces) and not self._to_the_end and not self._all_came:
            raise EnoughError

    @property
    def _all_came(self) -> bool:
        """Whether the range that the answer names is here."""
        if self._decoding is not None:
            return self.asked is not None  # more than the chunk is refused where it is decoded
        return self.answer is not None and self.answer.range is not None and self._came >= len(self.answer.range)

    @property
    def _to_the_end(self) -> bool:
        """Whether the object should end where the last piece does: more bytes would say that it is another one."""
        if self._decoding is not None:
            return self._decoding.to_the_end
        whole = self.answer is not None and self.answer.kind == "whole" and self.expected.total is not None
        last = self.pieces[-1]
        return whole and last.stop is not None and last.stop == last.part.size

    def _too_many(self) -> PackhorseError:
        stated = self.expected.total
        if self.expected.identity is not None and not self.expected.identity.from_portal:
            return ChangedError(f"the object has more than its {stated:,} bytes now")
        return IntegrityError(
            f"{self.expected.name} has more bytes than stated", expected=str(stated), got=f"more than {stated}"
        )

    def end(self, *, complete: bool) -> None:
        """No more comes on this connection: write what is left. ``complete``: the answer ended as it should. With a
        codec this raises what :meth:`Decoding.end` does."""
        self._count()
        for piece in self.pieces:
            piece.undecoded = 0
        try:
            if complete and self._decoding is not None and self.answer and self.answer.kind in ("part", "whole"):
                for plain in self._decoding.end():
                    self._deliver(plain)
            for piece in self.pieces:
                piece.flush()
        except OSError as error:
            raise destination_error(error, self.pieces[0].part.path) from None

    def _count(self) -> None:
        self._meter.add(self._unmetered)
        self._unmetered = 0
