"""Records as the Data Query API prints them: JSON with one member a line, and TSV (spec immport §2.1).

Shell users cut the JSON with ``fgrep`` and ``sed``, so its layout is part of the contract: ``[ {``, then ``"name" :
value`` lines indented by two blanks, ``}, {`` between records, ``} ]`` at the end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from packhorse.wire.immport.models import Kind, Member

__all__ = ["EMPTY", "JsonRows", "Number", "Rows", "TsvRows", "json_number", "pretty"]

EMPTY: Final = b"[]"
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_INTEGER: Final = re.compile(r"(-?)0*([0-9]+)(?:\.0*)?", re.ASCII)
_BREAKS: Final = re.compile(r"[\t\n\r\v\f\x00\x1c-\x1e\x85\u2028\u2029]")
_KEPT: Final = 8192
_KEPT_LENGTH: Final = 200

Value = str | int | None
Encode = Callable[[Any], bytes]


class Number(str):
    """A number's own text, which :func:`pretty` writes as it is (``1.00`` stays ``1.00``)."""

    __slots__ = ()


def json_number(text: str) -> str:
    """A number's text for JSON: as it is where JSON can have it, rewritten where it can be read, else ``null``.

    >>> json_number("1.00"), json_number(".5"), json_number("+1e3"), json_number("<10")
    ('1.00', '0.5', '1E+3', 'null')
    """
    if _NUMBER.fullmatch(text):
        return text
    try:
        value = Decimal(text.strip()) if text.isascii() and "_" not in text else Decimal("nan")
    except InvalidOperation:
        return "null"
    return str(value) if value.is_finite() and _NUMBER.fullmatch(str(value)) else "null"


def _json_text(value: Value) -> bytes:
    return b"null" if value is None else json.dumps(str(value), ensure_ascii=False).encode("utf-8", "replace")


def _json_number(value: Value) -> bytes:
    return b"null" if value is None else json_number(str(value)).encode("ascii")


def _json_integer(value: Value) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    found = None if value is None else _INTEGER.fullmatch(str(value).strip())
    return f"{found[1]}{int(found[2][:400])}".encode() if found else b"null"


def _tsv_text(value: Value) -> bytes:
    return b"" if value is None else _BREAKS.sub(" ", str(value)).encode("utf-8", "replace")


class _Cache(dict[Any, bytes]):
    """Encoded values of one column: most columns repeat a few. Bounded, so that the others cost no memory."""

    def __init__(self, encode: Encode) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, value: Value) -> bytes:
        made = self._encode(value)
        if isinstance(value, int):  # a row's number comes but once
            return made
        if value is None or len(value) <= _KEPT_LENGTH:
            if len(self) >= _KEPT:
                self.clear()
            self[value] = made
        return made


class Rows:
    """Writes records of some members. ``own`` are the members that each row brings, in the order of its values; the
    others are the same for many rows and are put into a *frame* once (:meth:`frame`). ``optional`` own members, none
    of them the first, are left out of an object where they are null."""

    head: bytes
    """What stands before the first record."""
    between: bytes
    tail: bytes
    none: bytes
    """The whole answer when there is no record."""

    def __init__(
        self, members: Sequence[Member], own: Sequence[str] | None = None, optional: Sequence[str] = ()
    ) -> None:
        self._members = tuple(members)
        self._optional = frozenset(optional)
        names = [member.name for member in members]
        own = names if own is None else own
        self._order = sorted(range(len(own)), key=lambda at: names.index(own[at]))
        self._in_order = self._order == list(range(len(own)))
        self._own = set(own)
        self._encoders = [_Cache(self._encoding(members[names.index(own[at])])).__getitem__ for at in self._order]

    def frame(self, shared: Mapping[str, Value] | None = None) -> list[bytes]:
        """The pieces of a record with gaps at every second place for the row's own values."""
        pieces: list[bytes] = []
        text = b""
        for number, member in enumerate(self._members):
            if member.name not in self._optional:
                text += self._before(number, member)
            if member.name in self._own:
                pieces += [text, b""]
                text = b""
            else:
                text += self._encoder(member.kind)((shared or {}).get(member.name))
        return [*pieces, text + self._end()]

    def record(self, frame: list[bytes], values: Sequence[Value]) -> bytes:
        """One record; the frame's gaps are filled anew."""
        if not self._in_order:
            values = [values[at] for at in self._order]
        frame[1::2] = [encode(value) for encode, value in zip(self._encoders, values, strict=True)]
        return b"".join(frame)

    def pieces(self, records: Iterable[bytes], size: int = 256 * 1024) -> Iterator[bytes]:
        """The whole answer in pieces of about ``size`` bytes; the first one is small, so that it leaves at once."""
        pending: list[bytes] = []
        held, limit, opener = 0, 1, self.head
        for record in records:
            pending += (opener, record)
            opener = self.between
            held += len(record)
            if held >= limit:
                yield b"".join(pending)
                pending.clear()
                held, limit = 0, size
        if opener is self.head:
            yield self.none
        else:
            yield b"".join([*pending, self.tail])

    def _encoding(self, member: Member) -> Encode:
        encode = self._encoder(member.kind)
        if member.name not in self._optional:
            return encode
        before = self._before(1, member)
        return lambda value: b"" if value is None else before + encode(value)

    def _encoder(self, kind: Kind) -> Encode:
        raise NotImplementedError

    def _before(self, number: int, member: Member) -> bytes:
        raise NotImplementedError

    def _end(self) -> bytes:
        raise NotImplementedError


class JsonRows(Rows):
    """An array of flat objects."""

    head = b"[ "
    between = b", "
    tail = b" ]"
    none = EMPTY

    def _encoder(self, kind: Kind) -> Encode:
        return {"integer": _json_integer, "number": _json_number}.get(kind, _json_text)

    def _before(self, number: int, member: Member) -> bytes:
        return b"%s\n  %s : " % (b"," if number else b"{", json.dumps(member.name).encode())

    def _end(self) -> bytes:
        return b"\n}"


class TsvRows(Rows):
    """A header and a line a record; what is null is an empty cell, tabs and line breaks within text are blanks."""

    between = b""
    tail = b""

    def __init__(
        self, members: Sequence[Member], own: Sequence[str] | None = None, optional: Sequence[str] = ()
    ) -> None:
        super().__init__(members, own)  # every line has every cell
        self.head = self.none = "\t".join(member.name for member in members).encode() + b"\n"

    def _encoder(self, kind: Kind) -> Encode:
        return _tsv_text

    def _before(self, number: int, member: Member) -> bytes:
        return b"\t" if number else b""

    def _end(self) -> bytes:
        return b"\n"


def pretty(value: Any, indent: int = 0) -> str:
    """Any JSON value in the layout of the API: members on lines of their own, ``" : "``, lists opened on their line.

    >>> print(pretty({"a": [1, None], "b": Number("1.00")}))
    {
      "a" : [ 1, null ],
      "b" : 1.00
    }
    """
    if isinstance(value, Mapping):
        if not value:
            return "{ }"
        blanks = " " * (indent + 2)
        lines = [f"{blanks}{_text(str(name))} : {pretty(each, indent + 2)}" for name, each in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    if isinstance(value, (list, tuple)):
        return "[ " + ", ".join(pretty(each, indent) for each in value) + " ]" if value else "[]"
    if isinstance(value, Number):
        return json_number(value)
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
