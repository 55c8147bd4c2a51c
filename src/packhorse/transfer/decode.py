"""From the wire bytes of one answer to file bytes, chunk by chunk, through an item's codec (DESIGN §2).

Nothing of a chunk is given out before all of it has decoded: what does not, is never written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from packhorse.errors import IntegrityError, NetworkError, PackhorseError, ProtocolError
from packhorse.model import ByteRange, Item
from packhorse.transfer.blocks import block_count, block_range
from packhorse.transfer.portal import Codec, Locator

__all__ = ["Decoding", "UndecodableError", "chunks_of", "extent_of"]


class UndecodableError(Exception):
    """The codec refuses the bytes, with ``error``."""

    def __init__(self, error: PackhorseError) -> None:
        super().__init__(str(error))
        self.error = error


def extent_of(item: Item, locator: Locator) -> int | None:
    """The item's size in file bytes, as far as the portal tells. Raises :class:`ProtocolError` where what it tells
    does not agree, or does not suffice."""
    size = item.size if item.size is not None or locator.plain else locator.size
    if locator.codec is not None:
        if size is None and locator.codec.chunk is not None:
            raise ProtocolError(f"the size of {item.path} is not known, so that its chunks cannot be asked for")
        return size
    if locator.slice is None:
        return size
    if size is not None and size != len(locator.slice):
        raise ProtocolError(f"{item.path} should have {size:,} bytes and is a slice of {len(locator.slice):,} bytes")
    return len(locator.slice)


def chunks_of(codec: Codec, size: int | None) -> list[ByteRange]:
    """What is decoded together, in the order of the file: its chunks, or all of it."""
    if codec.chunk is None or size is None:
        return [ByteRange(0, 0 if size is None else size)]
    return [block_range(index, size, codec.chunk) for index in range(block_count(size, codec.chunk))]


class Decoding:
    """The body of one answer, which brings these ``spans`` of the file one after the other. ``size`` is the file's,
    where it is known."""

    def __init__(self, codec: Codec, spans: Sequence[ByteRange], *, size: int | None, name: str) -> None:
        self._codec = codec
        self._spans = spans
        self._size = size
        self._name = name
        self._at = 0
        self._came = 0
        self._plain: list[bytes] = []
        self._decode: Callable[[bytes, bool], bytes] | None = None

    @property
    def to_the_end(self) -> bool:
        """Whether the answer's last byte has to be seen: what is in front of it may yet prove wrong."""
        return self._codec.chunk is None

    @property
    def waiting(self) -> int:
        """Wire bytes that came of a chunk which is not whole yet."""
        return self._came

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next wire bytes; what is decoded with them. Raises :class:`UndecodableError`, and :class:`ProtocolError`
        where more comes than there should be."""
        if self._codec.chunk is None:
            yield from self._flowing(data)
            return
        while data:
            if self._at >= len(self._spans):
                raise ProtocolError(f"the server sends more bytes of {self._name} than were asked for")
            room = self._codec.wire_size(self._spans[self._at]) - self._came
            taken, data = data[:room], data[room:]
            self._came += len(taken)
            self._plain.append(self._decoded(taken, last=len(taken) >= room))
            if len(taken) >= room:
                yield from self._next()

    def _flowing(self, data: bytes) -> Iterator[bytes]:
        """Of a codec without chunks: what decodes goes on at once."""
        plain = self._decoded(data, last=False)
        self._came += len(plain)  # of such a stream the file bytes are counted
        self._not_too_many()
        if plain:
            yield plain

    def _next(self) -> Iterator[bytes]:
        """A chunk is whole."""
        span, plain = self._spans[self._at], self._plain
        got = sum(map(len, plain))
        if got != len(span):
            raise self._wrong(len(span), got)
        self._plain, self._came, self._decode = [], 0, None
        self._at += 1
        yield from plain

    def end(self) -> Iterator[bytes]:
        """The answer ended as it should: the last bytes. Raises :class:`NetworkError` where wire bytes are missing."""
        if self._codec.chunk is None:
            plain = self._decoded(b"", last=True)
            self._came += len(plain)
            self._not_too_many()
            if self._size is not None and self._came != self._size:
                raise self._wrong(self._size, self._came)
            if plain:
                yield plain
        elif self._at < len(self._spans):
            whole = self._codec.wire_size(self._spans[self._at])
            raise NetworkError(f"the answer ended after {self._came:,} of the chunk's {whole:,} bytes")

    def _decoded(self, data: bytes, *, last: bool) -> bytes:
        if self._decode is None:
            self._decode = self._codec.decoder(self._spans[self._at])
        try:
            return self._decode(data, last)
        except PackhorseError as error:
            raise UndecodableError(error) from error

    def _not_too_many(self) -> None:
        if self._size is not None and self._came > self._size:
            raise self._wrong(self._size, self._came)

    def _wrong(self, expected: int, got: int) -> UndecodableError:
        return UndecodableError(
            IntegrityError(
                f"{self._name} decodes to {got:,} bytes where there should be {expected:,}",
                expected=str(expected),
                got=str(got),
            )
        )
