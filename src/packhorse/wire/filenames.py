"""Names of files that travel: which are one file to some file system, and safe unique names inside archives. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

__all__ = ["archive_names", "fold", "shorten"]

_COMPONENT: Final = 240
"""Bytes of one component: file systems take 255, and extractors like to add something."""
_PATH: Final = 4000
_ODD_CHARACTERS: Final = bytes({*range(32), 127, *b"\\:"} - {10})
_ODD_PAIRS: Final = ("//", "\n/", "/\n", "/.", "\n.", "./", ".\n", " /", " \n")
"""In names between line ends: what may have to change (no regular expression is as quick)."""
_DRIVE: Final = re.compile(r"^([A-Za-z]):")
_SUFFIXES: Final = re.compile(r"(?s)(.+?)((?:\.[A-Za-z][A-Za-z0-9]{0,7}){0,2})")
_BIDI: Final = frozenset("\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def fold(path: str) -> str:
    """What a path is to the least able file system: paths with the same fold are one file there.

    >>> fold("Data/RÉSUMÉ") == fold("data/re\\u0301sume\\u0301")
    True
    """
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", path).casefold())


def shorten(name: str, limit: int) -> str:
    """A name of at most ``limit`` UTF-8 bytes: its beginning, a hash of all of it, and its suffix.

    >>> shorten("a" * 300 + ".gz", 30)
    'aaaaaaaaaaaaaa~0b682ae28a8b.gz'
    """
    if len(name.encode("utf-8")) <= limit:
        return name
    stem, dot, suffix = name.rpartition(".")
    tail = f"{dot}{suffix}" if stem and len(suffix) <= 16 else ""
    mark = "~" + hashlib.sha256(name.encode("utf-8")).hexdigest()[:12]
    room = limit - len(mark) - len(tail.encode("utf-8"))
    head = name.encode("utf-8")[:room].decode("utf-8", "ignore")
    return f"{head}{mark}{tail}"


def archive_names(names: Sequence[str]) -> list[str]:
    """A relative, unique name for every entry of an archive, in order; what needs no change keeps its name.

    ``/`` and ``\\`` divide folders. Roots and drives, ``..``, controls, lone surrogates and direction marks become
    readable (``_``); of names that are one file on some file system, or a file where others have a folder, all but the
    first get a number.

    >>> archive_names(["a.txt", "A.txt", "/etc/../x", "C:\\\\b", "b", "b/c.fastq.gz", "b/c.fastq.gz"])
    ['a.txt', 'A (2).txt', 'etc/__/x', 'C_/b', 'b (2)', 'b/c.fastq.gz', 'b/c (2).fastq.gz']
    """
    return list(names) if _fit(names) else _unique([_safe(name) for name in names])


def _fit(names: Sequence[str]) -> bool:
    """Whether all names can stay, decided for all of them at once: so it goes in nearly every archive, and is quick."""
    lines = "\n".join(names)
    if not lines.isascii() or lines.count("\n") != len(names) - 1 or not all(names):
        return not names
    raw = lines.encode("ascii")
    if len(raw.translate(None, _ODD_CHARACTERS)) < len(raw) or max(map(len, names)) > _COMPONENT:
        return False
    fenced = f"\n{lines}\n"
    if any(pair in fenced for pair in _ODD_PAIRS):
        return False
    folded = set(lines.lower().split("\n"))
    return len(folded) == len(names) and folded.isdisjoint(_folders(folded))


def _folders(paths: set[str]) -> set[str]:
    """Every folder that one of the paths lies in."""
    folders: set[str] = set()
    level = {path.rpartition("/")[0] for path in paths}
    while level := level - folders - {""}:
        folders |= level
        level = {path.rpartition("/")[0] for path in level}
    return folders


def _safe(name: str) -> str:
    """One entry's path without what could lead outside or deceive; not yet unique."""
    parts = [_component(part) for part in re.split(r"[/\\]", name) if part not in ("", ".")] or ["unnamed"]
    kept: list[str] = []
    room = _PATH
    for part in reversed(parts):  # of a path that nothing could unpack, the innermost folders stay
        room -= len(part.encode("utf-8")) + 1
        if room < 0:
            break
        kept.insert(0, part)
    return _DRIVE.sub(r"\1_", "/".join(kept))


def _component(part: str) -> str:
    clean = part
    if not part.isprintable():
        clean = "".join(
            "_" if ch in _BIDI or unicodedata.category(ch) in ("Cc", "Cs", "Zl", "Zp") else ch for ch in part
        )
    if not clean.strip(" ."):
        clean = "_" * len(clean)
    return shorten(clean, _COMPONENT)


def _deceives(ch: str) -> bool:
    return ch in _BIDI or unicodedata.category(ch) in ("Cc", "Cs", "Zl", "Zp")


def _key(path: str) -> str:
    """The fold, also without what Windows leaves out at the end of a component."""
    return "/".join(part.rstrip(" .") for part in fold(path).split("/"))


def _unique(paths: list[str]) -> list[str]:
    keys = [_key(path) for path in paths]
    folders = _folders(set(keys))
    taken = set(keys) | folders  # a new name is never one that another entry has by right
    seen: set[str] = set()
    numbers: Counter[str] = Counter()
    for index, key in enumerate(keys):
        if key in folders or key in seen:
            paths[index] = _numbered(paths[index], key, numbers, taken)
        seen.add(key)
    return paths


def _numbered(path: str, key: str, numbers: Counter[str], taken: set[str]) -> str:
    folder, slash, name = path.rpartition("/")
    match = _SUFFIXES.fullmatch(name)
    assert match is not None  # a name is never empty
    while True:
        numbers[key] += 1
        mark = f" ({numbers[key] + 1})"
        stem = shorten(match[1], _COMPONENT - len(mark) - len(match[2]))
        other = f"{folder}{slash}{stem}{mark}{match[2]}"
        if (again := _key(other)) not in taken:
            taken.add(again)
            return other
