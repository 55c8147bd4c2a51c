"""Records as they came, in plain Python: from JSON or from lines, with every number as it was written. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from packhorse.errors import ProtocolError

__all__ = [
    "NUMBER",
    "Nested",
    "Number",
    "Record",
    "RowError",
    "json_records",
    "line_records",
    "members_of",
    "parse_json",
    "records_of",
    "shown",
    "whole_text",
]

NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
"""A number as JSON writes it."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

Record = list[tuple[str, Any]]
"""A record's members in order, as they came: ``None``, ``bool``, ``str``, :class:`Number`, or :class:`Nested`."""


class RowError(ProtocolError):
    """A record that cannot be read. ``row`` from 1 within what was read."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(f"row {row:,} of the answer {what}")
        self.row = row
        self.what = what


class Number(str):
    """A JSON number, as it was written."""

    __slots__ = ()


class Nested(str):
    """A nested object or array, as JSON text."""

    __slots__ = ()


class _Pairs(list[tuple[str, Any]]):
    """An object's members, in order, repeats kept."""


def json_records(block: bytes) -> list[Record]:
    """The records of a block of a JSON array (no brackets). Raises :class:`ProtocolError`."""
    return records_of(parse_json(b"[" + block + b"]"))


def parse_json(data: bytes) -> Any:
    """JSON with numbers as :class:`Number` and objects as pairs. Raises :class:`ProtocolError`."""
    try:
        return json.loads(
            data.decode("utf-8-sig"),
            parse_int=Number,
            parse_float=Number,
            parse_constant=Number,
            object_pairs_hook=_Pairs,
        )
    except UnicodeDecodeError as error:
        raise ProtocolError(f"the answer is not UTF-8: byte {data[error.start]:#04x}") from None
    except json.JSONDecodeError as error:
        raise ProtocolError(f"the answer is not JSON: {error.msg}") from None
    except RecursionError:
        raise ProtocolError("the answer is JSON nested beyond reason") from None


def members_of(parsed: Any) -> dict[str, Any] | None:
    """A parsed object's members; ``None`` when it is none."""
    return dict(parsed) if isinstance(parsed, _Pairs | dict) else None


def records_of(parsed: Any) -> list[Record]:
    """The records of a parsed array, from :func:`parse_json` or from plain Python values. Raises
    :class:`ProtocolError`."""
    if not isinstance(parsed, list) or isinstance(parsed, _Pairs):
        raise ProtocolError("the answer is no array of records")
    found: list[Record] = []
    for index, element in enumerate(parsed, 1):
        pairs = list(element.items()) if isinstance(element, dict) else element
        if not isinstance(element, _Pairs | dict):
            raise RowError(index, "is no record")
        seen: dict[str, Any] = {}
        for name, value in pairs:
            if name in seen and seen[name] != value:
                raise RowError(index, f"has {shown(name)} twice, with different values")
            seen[name] = value
        found.append([(whole_text(name), _cell(value)) for name, value in seen.items()])
    return found


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        try:
            return Nested(_text_of(value))
        except RecursionError:
            raise ProtocolError("the answer is JSON nested beyond reason") from None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Number(repr(value))
    return value


def _text_of(value: Any) -> str:
    """JSON text in which numbers keep their spelling."""
    if isinstance(value, _Pairs | dict):
        pairs = value.items() if isinstance(value, dict) else value
        return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{_text_of(part)}" for name, part in pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text_of, value)) + "]"
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def line_records(block: bytes, header: Sequence[str]) -> list[Record]:
    """The records of a block of tab-separated lines; an empty cell is ``None``. Raises :class:`ProtocolError`."""
    try:
        text = block.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"the answer is not UTF-8: byte {block[error.start]:#04x}") from None
    lines = text.removesuffix("\n").split("\n")
    found: list[Record] = []
    for index, line in enumerate(lines, 1):
        cells = line.removesuffix("\r").split("\t")
        if cells == [""] and len(header) > 1:
            continue
        if len(cells) != len(header):
            raise RowError(index, f"has {len(cells)} cells, not {len(header)}")
        found.append([(name, _typed(cell)) for name, cell in zip(header, cells, strict=True)])
    return found


def _typed(cell: str) -> str | None:
    if not cell:
        return None
    return Number(cell) if NUMBER.fullmatch(cell) else cell


def whole_text(text: str) -> str:
    """The text with U+FFFD for every half of a surrogate pair, which no file can hold."""
    return _SURROGATE.sub("\ufffd", text) if not text.isascii() and _SURROGATE.search(text) else text


def shown(value: Any) -> str:
    """A value in an error's line."""
    text = ascii(str(value))
    return text if len(text) <= 60 else f"{text[:56]}…'"
