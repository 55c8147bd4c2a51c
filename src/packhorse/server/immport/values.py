"""Rules for values: their kinds, those between the columns of one row, and one value alone (spec immport §4). Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from packhorse.wire.immport.templates import YES_NO, Column
from packhorse.wire.zip.records import brief

__all__ = ["between_columns", "check_value", "wrong_kind"]

_DAY: Final = re.compile(r"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{2}|[0-9]{4})", re.ASCII)
_RISING: Final = (
    ("Min Subject Age", "Max Subject Age"),
    ("Min Start Day", "Max Start Day"),
    ("Start Day", "End Day"),
    ("Start Study Day", "End Study Day"),
)
_AMOUNTS: Final = ("Amount", "Duration", "Temperature")


def wrong_kind(kind: str, value: str) -> str | None:
    """What a value of this kind must be, if it is not; ``None`` if it is.

    >>> wrong_kind("number", "1.5e3"), wrong_kind("integer", "0")
    (None, 'a positive whole number')
    """
    return _KINDS[kind](value) if kind in _KINDS else None


def between_columns(table: str, values: Mapping[str, str]) -> Iterator[str]:
    """What is wrong between the columns of one row."""
    for low, high in _RISING:
        first, second = _number(values.get(low)), _number(values.get(high))
        if first is not None and second is not None and first > second:
            yield f"'{low}' ({first}) is above '{high}' ({second})"
    if table != "treatment":
        return
    for kind in _AMOUNTS:
        if bool(values.get(f"{kind} Value")) != bool(values.get(f"{kind} Unit")):
            yield f"'{kind} Value' and '{kind} Unit' go together: one of them is empty"
    used = values.get("Use Treatment?", "").lower() == "yes"
    if used and not any(values.get(f"{kind} Value") for kind in _AMOUNTS):
        yield "'Use Treatment?' is Yes: an amount, a duration or a temperature is required"


def _number(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and text.isascii() and "_" not in text else None


def _wrong_number(text: str) -> str | None:
    return None if _number(text) is not None else "a number"


def _wrong_integer(text: str) -> str | None:
    return (
        None
        if text.isascii() and text.isdigit() and int(text[:18]) > 0 and len(text) < 18
        else "a positive whole number"
    )


def _wrong_date(text: str) -> str | None:
    found = _DAY.fullmatch(text)
    if found is not None:
        day, month, year = found.groups()
        names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
        if month.lower() in names:
            full = int(year) if len(year) == 4 else int(year) + (2000 if int(year) < 70 else 1900)
            try:
                dt.date(full, names.index(month.lower()) + 1, int(day))
            except ValueError:
                pass
            else:
                return None
    return "a date in the form dd-MMM-yyyy, such as 05-Mar-2019"


_KINDS: Final[Mapping[str, Callable[[str], str | None]]] = {
    "number": _wrong_number,
    "integer": _wrong_integer,
    "date": _wrong_date,
}


def check_value(column: Column, value: str, terms_of: Callable[[str], Sequence[str] | None]) -> tuple[str | None, str]:
    """One value alone by its column's rules: what is wrong with it, and the value as it is to be stored."""
    if not value:
        return (f"'{column.name}' is required: it cannot be emptied" if column.required else None), ""
    wrong = wrong_kind(column.kind, value)
    if wrong:
        return f"'{column.name}' must be {wrong}; it is {brief(value)}", value
    if column.strict:
        terms = YES_NO if column.vocabulary == "lk_yes_no" else terms_of(column.vocabulary)
        by_fold = {term.lower(): term for term in terms or ()}
        if terms is not None and value.lower() not in by_fold:
            return f"'{column.name}': {brief(value)} is no term of {column.vocabulary}", value
        return None, by_fold.get(value.lower(), value)
    return None, value
