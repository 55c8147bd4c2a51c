"""What an invented study shall be like, and the numbers that its accessions get."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

__all__ = ["KINDS", "StudyPlan", "Tables"]

KINDS: Final = ("elisa", "elispot", "fcs_analyzed", "hai", "hla_typing", "kir_typing", "mbaa", "neut_ab_titer", "pcr",
                "mass_spectrometry")  # fmt: skip
"""The kinds of results, as their tables are called without ``_result``."""


@dataclass(frozen=True)
class StudyPlan:
    """An invented study. ``seed`` decides every number; ``subjects`` in two arms give a sample at each of ``visits``
    visits; each sample is measured in every one of ``kinds``.

    ``fixed`` gives single cells of the ``study`` table. ``elisa_from`` is the first id of an ELISA result.
    ``result_files`` are (id, detail, name, bytes in size) of result files.
    """

    accession: str
    title: str
    seed: int = 0
    subjects: int = 6
    visits: int = 2
    kinds: tuple[str, ...] = KINDS
    elisa_from: int | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)
    result_files: tuple[tuple[int, str, str, int], ...] = ()

    @property
    def number(self) -> int:
        """The accession's digits."""
        return int(self.accession[3:])

    @cached_property
    def random(self) -> random.Random:
        """The study's own source of numbers."""
        return random.Random(f"{self.accession}/{self.seed}")

    def id(self, at: int) -> int:
        """An id that no other invented study has."""
        return self.number * 1_000_000 + at

    def key(self, prefix: str, at: int) -> str:
        """An accession that no other invented study has.

        >>> StudyPlan("SDY7", "x").key("BS", 3)
        'BS7000003'
        """
        return f"{prefix}{self.id(at)}"


class Tables(dict[str, list[dict[str, Any]]]):
    """A package's tables, filled row by row."""

    def add(self, table: str, **cells: Any) -> dict[str, Any]:
        """A row of a table; it may still be changed."""
        self.setdefault(table, []).append(cells)
        return cells
