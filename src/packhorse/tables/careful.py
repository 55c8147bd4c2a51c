"""Records cell by cell, for what the fast readers refuse: odd members, numbers as text, text for numbers. Pure Python.

Nothing is lost: a number in a column of text keeps its spelling, text in a column of numbers turns the whole column
into text (:class:`Wider`), and what was read in another way than it was written is noted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from packhorse.tables.columns import Column, ColumnKind, Note
from packhorse.tables.records import NUMBER, Nested, Number, Record, shown, whole_text

__all__ = ["Wider", "convert", "extra_columns", "read_time"]

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_MOST: Final = 2**63


@dataclass(frozen=True, slots=True)
class Wider(Exception):  # noqa: N818 - a finding, which mostly is acted upon
    """The answer does not fit the columns; with ``columns`` it does. ``row`` from 1 within what was read."""

    columns: tuple[Column, ...]
    member: str
    what: str
    row: int


def extra_columns(records: Iterable[Record], columns: Iterable[Column]) -> tuple[Column, ...]:
    """Columns for the members that no column has, in the order of their first mention, of the kinds that their values
    say."""
    known = {column.name for column in columns}
    found: dict[str, ColumnKind | None] = {}
    for record in records:
        for name, value in record:
            if name in known:
                continue
            kind = found.setdefault(name, None)
            if value is not None:
                found[name] = _joined(kind, _kind(value))
    return tuple(Column(name, kind or "text", stated=False) for name, kind in found.items())


def _kind(value: Any) -> ColumnKind:
    if not isinstance(value, Number):
        return "text"
    if _INTEGER.fullmatch(value):
        return "integer" if _as_integer(value) is not None else "text"
    return "number" if _as_number(value) is not None else "text"


def _joined(one: ColumnKind | None, other: ColumnKind) -> ColumnKind:
    if one is None or one == other:
        return other
    return "number" if {one, other} == {"integer", "number"} else "text"


def convert(records: Sequence[Record], columns: Sequence[Column]) -> tuple[list[list[Any]], list[Note]]:
    """The values of each column, and what was odd. Raises :class:`Wider` when the columns do not do."""
    cells: dict[str, list[Any]] = {column.name: [None] * len(records) for column in columns}
    wider, trouble = tuple(columns), None
    for index, record in enumerate(records):
        for name, value in record:
            if name not in cells:
                wider += extra_columns(records, wider)
                trouble = trouble or (name, "is in no row before", index + 1)
                break
            cells[name][index] = value
    out: list[list[Any]] = []
    notes: dict[tuple[str, str], Note] = {}
    for column in columns:
        values: list[Any] = []
        kind = column.kind
        for row, value in enumerate(cells[column.name], 1):
            if value is None:
                values.append(None)
                continue
            read, odd = _READERS[kind](value)
            if read is _NO:
                trouble = trouble or (column.name, odd, row)
                better = _joined(kind, _kind(value)) if kind == "integer" else "text"
                wider = tuple(replace(each, kind=better) if each.name == column.name else each for each in wider)
                break
            if odd:
                key = (column.name, odd)
                known = notes.get(key)
                notes[key] = replace(known, count=known.count + 1) if known else Note(column.name, odd, row)
            values.append(read)
        out.append(values)
    if trouble is not None:
        raise Wider(wider, *trouble)
    return out, list(notes.values())


_NO: Final = object()


def _text(value: Any) -> tuple[Any, str]:
    if isinstance(value, bool):
        return ("true" if value else "false"), "true or false in a field of text"
    if isinstance(value, Number):
        return str(value), ""
    if isinstance(value, Nested):
        return whole_text(value), ""
    cleaned = whole_text(value)
    return cleaned, "" if cleaned is value else "half of a surrogate pair, now U+FFFD"


def _integer(value: Any) -> tuple[Any, str]:
    if isinstance(value, str) and not value.strip():
        return None, "an empty text in a field of integers, read as null"
    number = _as_integer(value)
    if number is None:
        return _NO, f"is {shown(value)}, which is no integer"
    return number, "" if isinstance(value, Number) else "an integer written as text"


def _number(value: Any) -> tuple[Any, str]:
    if isinstance(value, str) and not value.strip():
        return None, "an empty text in a field of numbers, read as null"
    number = _as_number(value)
    if number is None:
        return _NO, f"is {shown(value)}, which is no number"
    return number, "" if isinstance(value, Number) else "a number written as text"


def _time(value: Any) -> tuple[Any, str]:
    if isinstance(value, str) and not value.strip():
        return None, "an empty text in a field of times, read as null"
    moment = read_time(value)
    return (_NO, f"is {shown(value)}, which is no time") if moment is None else (moment, "")


_READERS: Final[dict[ColumnKind, Callable[[Any], tuple[Any, str]]]] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "timestamp": _time,
}


def _as_integer(value: Any) -> int | None:
    """The integer that a JSON number, or text with one, says without loss."""
    text = value.strip() if isinstance(value, str) and not isinstance(value, Nested) else ""
    if len(text) > 40 or not NUMBER.fullmatch(text):
        return None
    exact = Decimal(text)
    if abs(exact.adjusted()) > 20 or exact != exact.to_integral_value():
        return None
    number = int(exact)
    return number if -_MOST <= number < _MOST else None


def _as_number(value: Any) -> float | None:
    text = value.strip() if isinstance(value, str) and not isinstance(value, Nested) else ""
    if not NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def read_time(value: Any) -> datetime | None:
    """A time from ISO 8601 (UTC where no zone stands) or from milliseconds since 1970; whole milliseconds only."""
    try:
        if isinstance(value, Number):
            whole = _as_integer(value)
            return None if whole is None else datetime.fromtimestamp(whole / 1000, UTC)
        if not isinstance(value, str):
            return None
        moment = datetime.fromisoformat(value.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.microsecond % 1000 == 0 else None
