"""Text and numbers as filters compare them."""

from __future__ import annotations

import unicodedata

__all__ = ["fold", "number"]


def fold(text: str) -> str:
    """Text as filters compare it: without regard to case, whatever the script.

    >>> fold("Straße") == fold("STRASSE")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.strip()).casefold())


def number(text: str | None) -> float | None:
    """A number as filters compare it, or ``None``."""
    try:
        found = float(text) if text else None
    except ValueError:
        return None
    return found if found is not None and abs(found) < float("inf") else None
