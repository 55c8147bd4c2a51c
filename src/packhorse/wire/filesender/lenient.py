"""Reading values that PHP wrote: numbers as texts, ``[]`` for an empty map, dates as objects or numbers (trap 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from packhorse.errors import ProtocolError

__all__ = ["flag", "items", "mapping", "moment", "number", "required", "text", "whole"]

T = TypeVar("T")

_MOST: Final = 1_000_000


def number(value: object) -> int | None:
    """A whole number, also as text or as a float without a fraction; ``None`` for anything else.

    >>> number("5"), number(5.0), number(" -7 "), number(True), number("5x"), number(None)
    (5, 5, -7, 1, None, None)
    """
    if isinstance(value, bool | int):
        return int(value) if -(2**63) <= value < 2**63 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    if isinstance(value, str):
        stripped = value.strip()
        digits = stripped.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) < 20:
            return number(int(stripped))
    return None


def whole(value: object, default: int = 0) -> int:
    """A number from 0 upwards, else ``default``."""
    found = number(value)
    return default if found is None or found < 0 else found


def text(value: object, default: str = "") -> str:
    """A text; numbers become one, anything else is ``default``."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return default


def flag(value: object) -> bool:
    """PHP's truth: ``false``, 0, ``"0"``, ``""``, ``"false"``, null and empty lists are false."""
    return value.strip().lower() not in ("", "0", "false") if isinstance(value, str) else bool(value)


def mapping(value: object) -> Mapping[str, Any]:
    """A map; ``[]``, null and everything else are an empty one. A list of names is a map of ``True`` (old options)."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {name: True for name in value if isinstance(name, str)}
    return {}


def moment(value: object) -> int | None:
    """Unix seconds of a date object ``{"raw", "formatted"}``, a number or a text of digits; ``None`` for no date."""
    return number(value.get("raw")) if isinstance(value, dict) else number(value)


def items(value: object, what: str, parse: Callable[[object], T]) -> tuple[T, ...]:
    """A list (or PHP's map with numbers as keys) with every item parsed. ``ProtocolError`` for what is no list."""
    if value is None:
        return ()
    if isinstance(value, dict) and all(number(key) is not None for key in value):
        value = list(value.values())
    if not isinstance(value, list):
        raise ProtocolError(f"the server's answer has no list of {what} where one belongs")
    if len(value) > _MOST:
        raise ProtocolError(f"the server's list of {what} has more than {_MOST:,} entries")
    return tuple(parse(item) for item in value)


def required(value: object, what: str, *members: str) -> tuple[Mapping[str, Any], int]:
    """A record and its number: the first of ``members`` that has one. ``ProtocolError`` when there is none."""
    if isinstance(value, dict):
        for member in members:
            found = number(value.get(member))
            if found is not None and found >= 0:
                return value, found
    raise ProtocolError(f"the server's answer is not {what}: it has no {members[0]}")
