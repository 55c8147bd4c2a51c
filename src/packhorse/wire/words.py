"""Numbers as people read them, on both sides."""

from __future__ import annotations

__all__ = ["count", "size"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(number: float | None) -> str:
    """Bytes in binary units, three significant digits at most.

    >>> size(0), size(999), size(2048), size(64 * 1024 * 1024), size(int(1.25 * 2**30)), size(None)
    ('0 B', '999 B', '2 KiB', '64 MiB', '1.25 GiB', '?')
    """
    if number is None:
        return "?"
    value = float(number)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1024
    digits = 0 if unit == "B" or value >= 99.95 else 1 if value >= 9.995 else 2
    shown = f"{value:.{digits}f}"
    return f"{shown.rstrip('0').rstrip('.') if '.' in shown else shown} {unit}"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    >>> count(1, "file"), count(5000, "file"), count(2, "entry", "entries")
    ('1 file', '5,000 files', '2 entries')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
