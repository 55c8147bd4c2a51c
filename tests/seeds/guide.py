"""The examples of Flow's guide "Downloading Data", taken from the document's own text.

The document is plain text without fences. A line that begins with a capital letter or a digit is prose; whatever
stands between two such lines is one example, and belongs to the prose line above it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Example", "document", "examples", "substituted"]

Kind = Literal["python", "shell", "json", "drawing"]


@dataclass(frozen=True)
class Example:
    """``key`` is the prose line above; a second example under an equal line gets `` (2)``."""

    key: str
    kind: Kind
    text: str


def document() -> Path | None:
    """Where the document is: beside the checkout, in ``shared/seeds``; ``None`` where it is not."""
    root = Path(__file__).resolve().parents[2]
    found = sorted((root.parent / "shared" / "seeds").glob("003*.txt"))
    return found[0] if found else None


def examples(text: str) -> dict[str, Example]:
    """Every example of the document, in its order, by key."""
    found: dict[str, Example] = {}
    title = ""
    lines: list[str] = []
    for line in [*text.splitlines(), "End"]:
        if re.match(r"[A-Z0-9]", line) is None:
            lines.append(line)
            continue
        body = "\n".join(lines).strip("\n") + "\n"
        if body.strip():
            key = title if title not in found else f"{title} (2)"
            found[key] = Example(key, _kind(body), body)
        title, lines = line, []
    return found


def _kind(body: str) -> Kind:
    first = next(line for line in body.splitlines() if line.strip() and not line.startswith("#"))
    if first.startswith("curl "):
        return "shell"
    if first.startswith("{"):
        return "json"
    return "drawing" if first[0] in "┌│└" else "python"


def substituted(example: Example, changes: Mapping[str, str]) -> str:
    """The example's text with only these texts replaced. Each must be there: the document may not drift unseen."""
    text = example.text
    for old, new in changes.items():
        assert old in text, f"{example.key!r} no longer holds {old!r}"
        text = text.replace(old, new)
    return text
