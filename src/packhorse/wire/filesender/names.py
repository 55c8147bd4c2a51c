"""Which file names a FileSender server takes, known before the first byte (spec filesender §4.1).

Stock servers take letters and digits of any script, the space and a few signs; the last extension has plain letters and
digits only and is not a banned one. We also refuse what no server of ours stores: empty parts, ``.`` and ``..``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

__all__ = ["BANNED_EXTENSIONS", "MAX_NAME", "Refusal", "refusal", "refused_because"]

BANNED_EXTENSIONS: Final = frozenset({"exe", "bat"})
"""The stock black list."""

MAX_NAME: Final = 1024
"""Characters of a whole name with its folders; one part may have 255 (ours: the stock limit is not announced)."""

_MAX_PART: Final = 255
_SIGNS: Final = frozenset(" /_.,;:!@#$%^&*)(][-")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a name is not taken: the server's ``identifier`` (§1.1) and the words for a person."""

    identifier: str
    because: str


def refusal(name: str, *, banned: Collection[str] = BANNED_EXTENSIONS) -> Refusal | None:
    """Why a server refuses ``name`` (a path with ``/``), or ``None`` when it takes it. ``banned`` is in lower case."""
    because = _bad_shape(name) or _bad_character(name)
    if because:
        return Refusal("transfer_file_name_invalid", because)
    _, dot, extension = name.rpartition("/")[2].rpartition(".")
    if not dot:
        return None
    if not (extension.isascii() and (extension.isalnum() or not extension)):
        return Refusal("file_extension_not_allowed", f"its extension .{extension} has more than letters and digits")
    if extension.lower() in banned:
        return Refusal("file_extension_not_allowed", f"the server does not take .{extension.lower()} files")
    return None


def refused_because(name: str, *, banned: Collection[str] = BANNED_EXTENSIONS) -> str | None:
    """The words of :func:`refusal`, to follow the name and a colon.

    >>> refused_because("reads/a_R1.fastq.gz"), refused_because("it's.txt"), refused_because("setup.EXE")
    (None, "it has the character ' (U+0027)", 'the server does not take .exe files')
    """
    found = refusal(name, banned=banned)
    return found.because if found else None


def _bad_shape(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME:
        return f"it has {len(name)} characters, more than {MAX_NAME}"
    for part in name.split("/"):
        if not part:
            return "it has an empty folder name"
        if part in (".", ".."):
            return f"it has the folder name {part}"
        if len(part) > _MAX_PART:
            return f"a part of it has {len(part)} characters, more than {_MAX_PART}"
    return None


def _bad_character(name: str) -> str | None:
    for character in name:
        if character in _SIGNS:
            continue
        category = unicodedata.category(character)
        if category[0] in "LN":
            continue
        if category[0] == "M" and unicodedata.normalize("NFC", name) != name:
            return "its accents are separate characters (Unicode NFD); rename it to the composed form (NFC)"
        shown = f"the character {character}" if character.isprintable() else "a character"
        return f"it has {shown} (U+{ord(character):04X})"
    return None
