"""Judging the rows of one table while they pass: forms, studies, names of files, vocabularies. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from packhorse.errors import PackageError, UsageError
from packhorse.server.immport.rules import KEYS, form_of, vocabulary_of
from packhorse.server.immport.tabular import Cells
from packhorse.wire.immport.paths import check_name

__all__ = ["RowChecks", "Terms"]

Terms = Callable[[str], frozenset[str] | None]
"""The terms of a vocabulary, by its name; ``None`` where nobody knows it."""

_FILE_NAMES: Final = {
    ("file_info", "name"),
    ("study_file", "file_name"),
    ("protocol", "file_name"),
    ("study_image", "image_filename"),
}
_MOST_TERMS: Final = 1000


@dataclass(slots=True)
class _Odd:
    """A term that its vocabulary does not have: where it was seen first, and how often."""

    line: int
    count: int = 1


class RowChecks:
    """The checks of one table with these columns. ``studies`` are the accessions that the package brings; ``None``
    while they are not known.

    Raises :class:`PackageError` where a column is missing that joins rest on.
    """

    def __init__(
        self, table: str, file: str, columns: Sequence[str], *, terms: Terms, studies: frozenset[str] | None
    ) -> None:
        missing = [column for column in KEYS.get(table, ()) if column not in columns]
        if missing:
            raise PackageError(
                f"{file} has no column {' and no '.join(missing)}, which its rows are told apart by",
                hint="is it a package in Tab form, and whole? fetch it again",
            )
        self._file = file
        self._forms: list[tuple[int, str, re.Pattern[str], bool, str]] = []
        self._needed: list[tuple[int, str]] = []
        self._names: list[tuple[int, str]] = []
        self._terms: list[tuple[int, str, frozenset[str]]] = []
        self._study: int | None = None
        self._studies = studies
        self._odd: dict[tuple[str, str], _Odd] = {}
        for index, column in enumerate(columns):
            pattern, needed, words = form_of(table, column)
            if pattern is not None:
                self._forms.append((index, column, pattern, needed, words))
            elif needed:
                self._needed.append((index, column))
            if column == "study_accession":
                self._study = index
            if (table, column) in _FILE_NAMES:
                self._names.append((index, column))
            known = next((found for name in vocabulary_of(table, column) if (found := terms(name))), None)
            if known:
                self._terms.append((index, column, known | {term.casefold() for term in known}))

    def reason(self, line: int, cells: Cells) -> str | None:
        """Why the row is bad, or ``None``; terms that no vocabulary has are remembered."""
        for index, column, pattern, needed, words in self._forms:
            cell = cells[index]
            if cell is None:
                if needed:
                    return f"{column} is empty"
            elif pattern.fullmatch(cell) is None:
                return f"{column} is {_shown(cell)}, not {words}"
        for index, column in self._needed:
            if cells[index] is None:
                return f"{column} is empty"
        if self._study is not None and self._studies is not None:
            study = cells[self._study]
            if study is not None and study not in self._studies:
                return f"study_accession is {study}, and study.txt has no such study"
        for index, column in self._names:
            name = cells[index]
            try:
                if name is not None:
                    check_name(name)
            except UsageError:
                return f"{column} is {_shown(name or '')}, which cannot be the name of a file"
        for index, column, known in self._terms:
            term = cells[index]
            if term is not None and term not in known and term.casefold() not in known:
                self._remember(column, term, line)
        return None

    def warnings(self) -> list[str]:
        """The terms that no vocabulary has, in words."""
        return [
            f"{self._file}:{odd.line}: {column} {_shown(term)} is not in its vocabulary"
            + (f" (in {odd.count:,} rows)" if odd.count > 1 else "")
            for (column, term), odd in self._odd.items()
        ]

    def _remember(self, column: str, term: str, line: int) -> None:
        odd = self._odd.get((column, term))
        if odd is not None:
            odd.count += 1
        elif len(self._odd) < _MOST_TERMS:
            self._odd[column, term] = _Odd(line)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
