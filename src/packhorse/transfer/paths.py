"""What lands where: hostile names made safe, reversibly, before the first byte (DESIGN §4). Pure.

A server's name becomes a :class:`SafePath`; where it had to change, the original is recorded in the ledger, and the
mapping is deterministic, so that the same command finds its files again.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from packhorse.model import Item, SafePath
from packhorse.transfer.options import Layout
from packhorse.wire.filenames import fold, shorten

__all__ = ["MAX_NAME_BYTES", "PathPlan", "layout_path", "part_name", "plan_paths", "safe_component"]

MAX_NAME_BYTES: Final = 255
MAX_DEPTH: Final = 64
_PART_RESERVE: Final = len(".12345678.part.123456")
_WINDOWS_RESERVED: Final = re.compile(r"(?i)^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,198}[A-Za-z0-9_]", re.ASCII)
_OURS: Final = re.compile(r"(?is).*\.([0-9a-f]{8}|[0-9]+-[0-9]+)(?P<part>\.part)(\.[0-9]+)?", re.ASCII)
"""Part files, journals, and files on their way to a name."""
_FORBIDDEN: Final = frozenset('<>:"/\\|?*')


def _escape(text: str) -> str:
    """Percent-escape bytes, the reversible mapping: ``urllib.parse.unquote`` gives the original back."""
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def _is_bad(ch: str) -> bool:
    # Controls, format characters (bidi overrides), surrogates, private use, unassigned, line separators.
    return ch in _FORBIDDEN or unicodedata.category(ch) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def safe_component(name: str) -> str:
    """One path component that every file system takes, from a name that nobody vouches for.

    >>> safe_component("reads 1.fastq.gz")
    'reads 1.fastq.gz'
    >>> safe_component("..")
    '%2E%2E'
    >>> safe_component("a:b\\0")
    'a%3Ab%00'
    """
    ours = ".part" in name.lower() and _OURS.fullmatch(name)
    if _PLAIN.fullmatch(name) and not ours and not _WINDOWS_RESERVED.match(name):
        return name
    text = unicodedata.normalize("NFC", name)
    text = "".join(_escape(ch) if _is_bad(ch) else ch for ch in text)
    if not text:
        return "%"
    if (match := _OURS.fullmatch(text)) is not None:
        at = match.start("part")
        text = f"{text[:at]}{_escape('.')}{text[at + 1 :]}"
    if set(text) == {"."} or text.casefold().startswith(".packhorse"):
        text = text.replace(".", "%2E", 2 if text == ".." else 1) if set(text) != {"."} else "%2E" * len(text)
    if _WINDOWS_RESERVED.match(text):
        text = _escape(text[0]) + text[1:]
    if text[0].isspace():
        text = _escape(text[0]) + text[1:]
    if text[-1].isspace() or text[-1] == ".":
        text = text[:-1] + _escape(text[-1])
    return shorten(text, MAX_NAME_BYTES - _PART_RESERVE)


def _split(path: str) -> list[str]:
    """Components of a server's path. ``.`` and empty ones say nothing; ``..`` is kept, and escaped later."""
    return [part for part in re.split(r"[/\\]", path) if part not in ("", ".")][:MAX_DEPTH]


def layout_path(item: Item, layout: Layout) -> list[str]:
    """The item's components under a layout: raw, not yet safe (see :data:`Layout`)."""
    name = _split(item.path) or [item.key or "unnamed"]
    labels = item.labels
    if layout == "organized":
        if sample := labels.get("sample"):
            return ["samples", sample, *name]
        if execution := labels.get("execution"):
            return ["executions", execution, *name]
        return ["data", *name]
    if layout == "patterns":
        folders: list[str] = []
        if project := labels.get("project"):
            folders.append(project)
        if sample := labels.get("sample"):
            folders.append(sample)
        elif execution := labels.get("execution"):
            folders.append(f"execution_{execution}")
        return [*folders, *name]
    return name


@dataclass(frozen=True, slots=True)
class PathPlan:
    """Where an item lands; ``original`` is the path by the server's own names where these had to change."""

    item: Item
    path: SafePath
    original: str | None


def _distinct(parts: list[str], key: str) -> list[str]:
    """Another name for the second of two that collide: its key, or a hash of it, before the suffixes."""
    mark = key if re.fullmatch(r"[0-9A-Za-z_-]{1,24}", key) else hashlib.sha256(key.encode()).hexdigest()[:10]
    name = parts[-1]
    stem, dot, suffix = name.partition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    return [*parts[:-1], shorten(f"{stem}~{mark}{dot}{suffix}", MAX_NAME_BYTES - _PART_RESERVE)]


def plan_paths(items: Iterable[Item], layout: Layout = "plain") -> list[PathPlan]:
    """A safe, collision-free path for every item, in order.

    Names that are one on a case-folding or normalising file system get the item's key; so does a file whose name is
    another's folder. An item listed twice (same remote and key at the same path) is planned once.
    """
    rows: list[tuple[Item, list[str], str]] = []
    seen: set[tuple[str, str, str]] = set()
    for item in items:
        raw = layout_path(item, layout)
        shown = "/".join(raw)
        if (item.remote, item.key, shown) in seen:
            continue
        seen.add((item.remote, item.key, shown))
        rows.append((item, [safe_component(part) for part in raw], shown))
    folders: set[str] = set()
    for _, parts, _ in rows:
        for depth in range(1, len(parts)):
            folders.add(fold("/".join(parts[:depth])))
    taken: set[str] = set()
    plans: list[PathPlan] = []
    for number, (item, parts, shown) in enumerate(rows):
        chosen, key = parts, item.key
        while (folded := fold("/".join(chosen))) in taken or folded in folders:
            chosen = _distinct(parts, key)
            key = f"{item.key}-{number}" if key == item.key else f"{key}~"
        taken.add(folded)
        path = SafePath(tuple(chosen))
        plans.append(PathPlan(item, path, None if str(path) == shown else shown))
    return plans


def part_name(name: str, short: str) -> str:
    """The part file's name beside ``name``: ``NAME.<identity8>.part``, shortened to fit."""
    room = MAX_NAME_BYTES - _PART_RESERVE
    return f"{shorten(name, room)}.{short}.part"
