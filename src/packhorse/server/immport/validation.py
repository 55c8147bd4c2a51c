"""The rules of an uploaded package: what its rows must hold before a record is made of any (spec immport §4).

For every row in turn: required values and types, references (a user defined ID of the package or the workspace, or an
accession), files, IDs that are unique, vocabularies, and rules between columns. Pure but for :class:`Known`, which is
asked for what stands in the database.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from packhorse.server.immport.sheets import Row, Sheet
from packhorse.server.immport.values import between_columns, wrong_kind
from packhorse.wire.immport.reports import ResultRow
from packhorse.wire.immport.templates import YES_NO, Column
from packhorse.wire.zip.records import brief

__all__ = ["Known", "Link", "Made", "Verdict", "validate"]

_MOST_FAULTS: Final = 1000
_MOST_NOTES: Final = 100
_ID_LIMIT: Final = 200
_TEXT_LIMIT: Final = 32_000
_ACCESSION: Final = re.compile(r"[A-Z]{1,6}[0-9]{1,15}", re.ASCII)
_STORED_AS: Final = {"protocol": "protocols", "study_file": "study_file"}


class Known(Protocol):
    """What the server holds already."""

    def identifiers(self, table: str, ids: Iterable[str]) -> Mapping[str, str]:
        """Those of the IDs that the workspace has for records of the table, with their accessions."""

    def accessions(self, table: str, values: Iterable[str]) -> frozenset[str]:
        """Those of the accessions that the caller may refer to."""

    def terms(self, vocabulary: str) -> Sequence[str] | None:
        """The terms of a vocabulary; ``None`` where the server has none."""


@dataclass(frozen=True, slots=True)
class Link:
    """A value that becomes an accession: an ID of a record that the package itself makes."""

    column: str
    table: str
    identifier: str


@dataclass(slots=True)
class Made:
    """A record to be made. ``links`` go into ``values`` once accessions are given out."""

    table: str
    identifier: str | None
    file_name: str
    line: int
    values: dict[str, str]
    links: list[Link] = field(default_factory=list)


@dataclass(slots=True)
class Verdict:
    """What was found: the rows of the report, and, if nothing is wrong, the records in the package's order."""

    rows: list[ResultRow] = field(default_factory=list)
    records: list[Made] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)
    faults: int = 0

    @property
    def good(self) -> bool:
        return self.faults == 0


def validate(
    sheets: Sequence[Sheet], names: Mapping[str, int], known: Known, stopped: Callable[[], bool] = lambda: False
) -> Verdict:
    """Judge a package: its templates in order, and the names of all its files with their sizes.

    ``stopped`` is asked now and then; what is validated when it says yes counts for nothing (``InterruptedError``).
    """
    return _Validation(sheets, names, known, stopped).run()


class _Validation:
    def __init__(
        self, sheets: Sequence[Sheet], names: Mapping[str, int], known: Known, stopped: Callable[[], bool]
    ) -> None:
        self._sheets = sheets
        self._names = names
        self._known = known
        self._stopped = stopped
        self._verdict = Verdict()
        self._notes = 0
        self._noted: set[tuple[str, str]] = set()
        self._defined: dict[tuple[str, str], tuple[str, int]] = {}  # a table's ID: where it is made
        self._inline: dict[tuple[str, str], tuple[str, int]] = {}
        self._there: dict[str, Mapping[str, str]] = {}
        self._valid: dict[str, frozenset[str]] = {}
        self._terms: dict[str, dict[str, str] | None] = {}

    def run(self) -> Verdict:
        readable = [sheet for sheet in self._sheets if sheet.template is not None]
        self._collect(readable)
        for sheet in self._sheets:
            self._sheet(sheet)
        if not any(sheet.rows or sheet.problems for sheet in self._sheets):
            self._fault("", None, "the package holds no template with a row: nothing would be stored")
        self._study_order()
        if self._verdict.faults > _MOST_FAULTS:
            self._verdict.rows.append(
                ResultRow("Error", "", None, f"{self._verdict.faults - _MOST_FAULTS:,} more errors are not shown")
            )
        return self._verdict

    # ------------------------------------------------------------ what is defined, and what is asked for

    def _collect(self, sheets: Sequence[Sheet]) -> None:
        asked: dict[str, set[str]] = {}
        inline: list[tuple[str, str, str, int]] = []
        for sheet in sheets:
            for row in sheet.rows:
                for column, value, table in _cells(row):
                    if column.key:
                        self._define(sheet.file_name, row.line, table, value)
                        asked.setdefault(table, set()).add(value)
                    elif column.reference:
                        ids = _several(value) if column.many else [value]
                        asked.setdefault(column.reference, set()).update(ids)
                        if column.defines:
                            inline.append((column.reference, value, sheet.file_name, row.line))
        for table, wanted in asked.items():
            self._there[table] = self._known.identifiers(table, wanted)
            accessions = {one for one in wanted if _ACCESSION.fullmatch(one)}
            self._valid[table] = self._known.accessions(table, accessions) if accessions else frozenset()
        for table, value, name, line in inline:
            if not self._exists(table, value):
                self._inline.setdefault((table, value), (name, line))

    def _define(self, name: str, line: int, table: str, value: str) -> None:
        first = self._defined.get((table, value))
        if first is None:
            self._defined[table, value] = (name, line)
        else:
            where = f"line {first[1]}" if first[0] == name else f"{first[0]} line {first[1]}"
            self._fault(name, line, f"the ID {brief(value)} is there twice, first in {where}")

    def _exists(self, table: str, value: str) -> bool:
        return (
            (table, value) in self._defined
            or value in self._there.get(table, {})
            or value in self._valid.get(table, frozenset())
        )

    # ------------------------------------------------------------ one template

    def _sheet(self, sheet: Sheet) -> None:
        rows, title = self._verdict.rows, sheet.template.title if sheet.template else sheet.file_name
        about = f"Template: {title}, Size:{sheet.size} bytes"
        before = self._verdict.faults
        rows.append(ResultRow("Parsing", sheet.file_name, None, None, about))
        rows.append(ResultRow("Information", sheet.file_name, None, None, "Validation Level = Standard"))
        for problem in sheet.problems:
            self._fault(sheet.file_name, problem.line, problem.error or "")
        if not sheet.problems:
            rows.append(ResultRow("Stored in:file_info", sheet.file_name, 3, None, f"Size:{sheet.size} bytes"))
        for count, row in enumerate(sheet.rows):
            if count % 500 == 0 and self._stopped():
                raise InterruptedError
            self._row(sheet.file_name, row)
        if self._verdict.faults == before:
            rows.append(ResultRow("Parsed", sheet.file_name, None, None, about))

    def _row(self, name: str, row: Row) -> None:
        block = row.block
        main = Made(block.table, None, name, row.line, {})
        only_results = block.table == block.result_table  # then the row is no record itself: its results are
        if not only_results:
            self._verdict.records.append(main)
        made = {block.table: main}
        news = self._news(name, row)
        for column in block.columns:
            self._cell(name, row, column, row.values, made=made, news=news)
        for fault in between_columns(block.table, row.values):
            self._fault(name, row.line, fault)
        for values in row.results:
            result = Made(block.result_table, None, name, row.line, {})
            if only_results:
                result.values |= main.values
                result.links += main.links
            elif main.identifier is not None:
                result.links.append(Link(f"{main.table}_accession", main.table, main.identifier))
            for column in block.results:
                self._cell(name, row, column, values, made={block.result_table: result}, news=frozenset())
            self._verdict.records.append(result)

    def _news(self, name: str, row: Row) -> frozenset[str]:
        """The tables of which this row defines a record by the way."""
        found = set()
        for column in row.block.columns:
            value = row.values.get(column.name)
            if column.defines and value and self._inline.get((column.reference, value)) == (name, row.line):
                found.add(column.reference)
        return frozenset(found)

    # ------------------------------------------------------------ one cell

    def _cell(
        self,
        name: str,
        row: Row,
        column: Column,
        values: Mapping[str, str],
        *,
        made: dict[str, Made],
        news: frozenset[str],
    ) -> None:
        value = values.get(column.name)
        if not value:
            if self._wanted(column, values, news):
                why = f" because '{column.when[0]}' is '{column.when[1]}'" if column.when else ""
                why = why or (" for a new record" if column.needed and not column.required else "")
                self._fault(name, row.line, f"'{column.name}' is empty; a value is required{why}")
            return
        targets = self._targets(name, row, column, made, news)
        if column.key:
            self._identify(name, row, column, value, targets)
        elif column.reference:
            self._refer(name, row, column, value, targets=targets, made=made)
        elif column.kind in ("file", "files"):
            self._file(name, row, column, value, targets)
        else:
            text = self._typed(name, row, column, value)
            if column.vocabulary and text is not None:
                text = self._term(name, row, column, text)
            if text is not None:
                for target in targets:
                    target.values[column.column] = text

    def _wanted(self, column: Column, values: Mapping[str, str], news: frozenset[str]) -> bool:
        if column.when is not None:
            other, term = column.when
            return values.get(other, "").lower() == term.lower()
        return column.required or (column.needed and not news.isdisjoint(column.tables))

    def _targets(self, name: str, row: Row, column: Column, made: dict[str, Made], news: frozenset[str]) -> list[Made]:
        """The records of this row that the value belongs to. Records that are there already are not changed."""
        found = []
        for table in column.tables:
            if table in news and table not in made:
                made[table] = Made(table, None, name, row.line, {})
                self._verdict.records.append(made[table])
            if table in made:
                found.append(made[table])
        return found

    def _identify(self, name: str, row: Row, column: Column, value: str, targets: list[Made]) -> None:
        table = column.tables[0]
        if len(value) > _ID_LIMIT:
            self._fault(name, row.line, f"'{column.name}' has {len(value)} characters; {_ID_LIMIT} are allowed")
        elif value in self._there.get(table, {}):
            accession = self._there[table][value]
            self._fault(
                name, row.line, f"the ID {brief(value)} of '{column.name}' is in the workspace already ({accession})"
            )
        elif value in self._valid.get(table, frozenset()):
            self._fault(name, row.line, f"'{column.name}' must be an ID of yours; {value} is an accession")
        for target in targets:
            target.identifier = value

    def _refer(
        self, name: str, row: Row, column: Column, value: str, *, targets: list[Made], made: dict[str, Made]
    ) -> None:
        table = column.reference
        found: list[str] = []
        for one in _several(value) if column.many else [value]:
            if len(one) > _ID_LIMIT:
                self._fault(name, row.line, f"'{column.name}' holds {len(one)} characters; {_ID_LIMIT} are allowed")
            elif (table, one) in self._defined or (table, one) in self._inline:
                self._new_record(name, row, column, one, made)
                for target in targets:
                    target.links.append(Link(column.column, table, one))
            elif one in self._there.get(table, {}):
                found.append(self._there[table][one])
            elif one in self._valid.get(table, frozenset()):
                found.append(one)
            else:
                self._fault(
                    name,
                    row.line,
                    f"'{column.name}': {brief(one)} is neither an ID of a {table.replace('_', ' ')} in the package or "
                    f"the workspace, nor an accession that is there",
                )
        for target in targets:
            if found and target.table != table:
                target.values[column.column] = "; ".join(found)

    def _new_record(self, name: str, row: Row, column: Column, one: str, made: dict[str, Made]) -> None:
        """Give the record that this row defines by the way its ID."""
        if column.defines and self._inline.get((column.reference, one)) == (name, row.line):
            if column.reference not in made:
                made[column.reference] = Made(column.reference, None, name, row.line, {})
                self._verdict.records.append(made[column.reference])
            made[column.reference].identifier = one

    def _file(self, name: str, row: Row, column: Column, value: str, targets: list[Made]) -> None:
        for one in _several(value) if column.many else [value]:
            if one not in self._names:
                near = difflib.get_close_matches(one, list(self._names), n=1)
                wish = f"; did you mean {brief(near[0])}" if near else ""
                self._fault(name, row.line, f"'{column.name}': the package holds no file {brief(one)}{wish}")
                continue
            table = column.tables[0]
            stored = f"Stored in:{_STORED_AS.get(table, 'file_info')}"
            if one not in self._verdict.used:
                self._verdict.used[one] = stored
                self._verdict.rows.append(ResultRow(stored, one, row.line, None, f"Size:{self._names[one]} bytes"))
            for target in targets:
                before = target.values.get(column.column)
                target.values[column.column] = f"{before}; {one}" if before and column.many else one

    def _typed(self, name: str, row: Row, column: Column, value: str) -> str | None:
        if len(value) > _TEXT_LIMIT:
            self._fault(name, row.line, f"'{column.name}' has {len(value):,} characters; {_TEXT_LIMIT:,} are allowed")
            return None
        wrong = wrong_kind(column.kind, value)
        if wrong:
            self._fault(name, row.line, f"'{column.name}' must be {wrong}; it is {brief(value)}")
        return None if wrong else value

    def _term(self, name: str, row: Row, column: Column, value: str) -> str | None:
        terms = self._vocabulary(column.vocabulary)
        if terms is None:
            self._note(
                name,
                None,
                ("", column.vocabulary),
                f"{column.vocabulary} is not on this server: its terms are not checked",
            )
            return value
        found = terms.get(value.lower())
        if found is not None:
            return found
        if not column.strict:
            said = f'"{column.name}" field with value {brief(value)} has no preferred value in {column.vocabulary}'
            self._note(name, row.line, (column.vocabulary, value), said)
            return value
        near = difflib.get_close_matches(value.lower(), terms, n=3, cutoff=0.5)
        wish = f"; near to it: {', '.join(terms[one] for one in near)}" if near else ""
        self._fault(name, row.line, f"'{column.name}': {brief(value)} is no term of {column.vocabulary}{wish}")
        return None

    def _vocabulary(self, vocabulary: str) -> dict[str, str] | None:
        if vocabulary not in self._terms:
            terms = YES_NO if vocabulary == "lk_yes_no" else self._known.terms(vocabulary)
            self._terms[vocabulary] = None if terms is None else {term.lower(): term for term in terms}
        return self._terms[vocabulary]

    # ------------------------------------------------------------ rules between rows

    def _study_order(self) -> None:
        """A compound template is one study's: its records belong to the study that it makes."""
        studies = {made.file_name: made for made in self._verdict.records if made.table == "study"}
        for made in self._verdict.records:
            study = studies.get(made.file_name)
            if study is not None and made is not study and study.identifier is not None:
                made.links.append(Link("study_accession", "study", study.identifier))
        for sheet in self._sheets:
            count = sum(row.block.name == "study" for row in sheet.rows)
            design = sheet.template is not None and sheet.template.name == "basic_study_design"
            if design and count != 1 and not sheet.problems:
                said = f"the block 'study' must be there once; it is there {count} times"
                self._fault(sheet.file_name, None, said)

    # ------------------------------------------------------------ saying so

    def _fault(self, name: str, line: int | None, text: str) -> None:
        self._verdict.faults += 1
        if self._verdict.faults <= _MOST_FAULTS:
            self._verdict.rows.append(ResultRow("Error", name, line, text))

    def _note(self, name: str, line: int | None, what: tuple[str, str], text: str) -> None:
        """Something worth knowing, once for each thing."""
        if what not in self._noted and self._notes < _MOST_NOTES:
            self._noted.add(what)
            self._notes += 1
            self._verdict.rows.append(ResultRow("Information", name, line, None, text))


def _cells(row: Row) -> Iterator[tuple[Column, str, str]]:
    """A row's filled cells: the column, the value, and the table that a key is of."""
    for column in row.block.columns:
        if value := row.values.get(column.name):
            yield column, value, column.tables[0]
    for values in row.results:
        for column in row.block.results:
            if value := values.get(column.name):
                yield column, value, row.block.result_table


def _several(value: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in value.split(";") if part.strip()))
