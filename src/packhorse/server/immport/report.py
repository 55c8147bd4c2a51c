"""What an import found and did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from packhorse.server.immport.tabular import Problem

__all__ = ["SHOWN", "ImportReport", "Progress"]

SHOWN: Final = 50
"""So many bad rows, and so many warnings, are named; the others are counted."""

Progress = Callable[[str, int], None]
"""Called with a table's name and its rows so far: now and then, and at its end."""


@dataclass(slots=True)
class ImportReport:
    """``counts`` are the rows by table that are served now; ``lookups`` the vocabularies that were taken over.

    ``bad_rows`` counts the rows that could not be, ``problems`` are the first of them. ``unchanged``: this very package
    was there already, and nothing was done. ``replaced`` are the studies that came with an earlier package.
    """

    package: str
    release: str
    sha256: str
    studies: list[str] = field(default_factory=list)
    restricted: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    lookups: list[str] = field(default_factory=list)
    other_tables: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    bad_rows: int = 0
    warnings: list[str] = field(default_factory=list)
    more_warnings: int = 0
    unchanged: bool = False

    @property
    def rows(self) -> int:
        """All rows, without those of vocabularies."""
        return sum(count for name, count in self.counts.items() if not name.startswith("lk_"))

    def bad(self, problem: Problem) -> None:
        """Note a row that cannot be taken in."""
        self.bad_rows += 1
        if len(self.problems) < SHOWN:
            self.problems.append(problem)

    def warn(self, text: str) -> None:
        """Note what is odd and does no harm."""
        if len(self.warnings) < SHOWN:
            self.warnings.append(text)
        else:
            self.more_warnings += 1
