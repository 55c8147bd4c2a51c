"""Batch updates: a text file that changes values of a workspace's records, row by row (spec immport §4).

The file begins with four settings, a line each: ``table_name``, ``format`` (``update_value``), ``key_columns`` and
``data_columns`` (joined by ``~``), each followed by a tab (or ``=``, ``:``) and its value; lines that begin with ``#``
are comments. Then rows: the record's accession, and the new values. An empty cell empties the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from packhorse.server.immport.records import accession_column
from packhorse.server.immport.validation import Known
from packhorse.server.immport.values import check_value
from packhorse.wire.immport.release import TABLES
from packhorse.wire.immport.reports import ResultRow
from packhorse.wire.immport.templates import PREFIXES, SCHEMA_VERSION, TEMPLATES, Column
from packhorse.wire.zip.records import brief

__all__ = ["BatchFile", "Change", "batch_template", "check_batch", "editable", "read_batch"]

_SETTINGS: Final = ("table_name", "format", "key_columns", "data_columns")
_SETTING: Final = re.compile(rf"\s*({'|'.join(_SETTINGS)})\s*(?:\t|=>|=|:)\s*(.*?)\s*", re.ASCII)
_FORMAT: Final = "update_value"
_MOST_TOLD: Final = 500
_MOST_ROWS: Final = 100_000
_CELL_LIMIT: Final = 32_000


@dataclass(frozen=True, slots=True)
class Change:
    """New values of one record."""

    line: int
    accession: str
    values: dict[str, str]


@dataclass(slots=True)
class BatchFile:
    """A batch file that was read, with the rows of its report."""

    name: str
    size: int
    settings: dict[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    rows: list[ResultRow] = field(default_factory=list)

    @property
    def table(self) -> str:
        return self.settings.get("table_name", "")

    @property
    def columns(self) -> list[str]:
        return [name.strip() for name in self.settings.get("data_columns", "").split("~") if name.strip()]

    def good(self) -> bool:
        """Whether nothing is wrong so far."""
        return not any(row.status == "Error" for row in self.rows)

    def fault(self, line: int | None, text: str) -> None:
        """Note an error."""
        self.rows.append(ResultRow("Error", self.name, line, text))

    def tell(self, line: int, text: str) -> None:
        """Note a step."""
        if len(self.rows) < _MOST_TOLD:
            self.rows.append(ResultRow("Information", self.name, line, None, text))


@cache
def editable(table: str) -> dict[str, Column | None]:
    """The columns of a table that may be changed, with the template's rules for them, where one has any."""
    own = accession_column(table)
    found: dict[str, Column | None] = {
        name: None
        for name in TABLES.get(table, ())
        if not name.endswith("_accession") and name not in ("workspace_id", "result_id", own)
    }
    for template in TEMPLATES.values():
        for block in template.blocks:
            for column in (*block.columns, *block.results):
                plain = not (column.key or column.reference or column.kind in ("file", "files"))
                if table in column.tables and plain:
                    found[column.column] = column
    return found


def batch_template(table: str) -> str:
    """An empty batch file for a table."""
    columns = list(editable(table))
    lines = [
        f"# Changes values of records of the table {table} (schema version {SCHEMA_VERSION}).",
        "# Keep in data_columns only those that you want to change, joined by ~. Below the line of",
        "# column names, each line is a record: its accession, then its new values, divided by tabs.",
        "# An empty cell empties the value.",
        f"table_name\t{table}",
        f"format\t{_FORMAT}",
        f"key_columns\t{accession_column(table)}",
        f"data_columns\t{'~'.join(columns)}",
        "\t".join([accession_column(table), *columns]),
    ]
    return "\n".join(lines) + "\n"


def read_batch(name: str, content: bytes) -> BatchFile:
    """Read a batch file. Raises nothing: what is wrong stands in ``rows``."""
    found = BatchFile(name, len(content))
    found.rows.append(ResultRow("Parsing", name, 0, None, f"Size:{len(content)} bytes"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found.fault(content[: error.start].count(b"\n") + 1, "the file is not UTF-8 text")
        return found
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    at = _head(found, lines)
    if not found.good():
        return found
    shown = ", ".join(f"{key} => {found.settings[key]}" for key in sorted(_SETTINGS))
    found.tell(at, f"The header was read as follows: [{shown}]")
    found.tell(at, f"The data_columns are [{', '.join(found.columns)}].")
    _body(found, lines, at)
    if found.good() and not found.changes:
        found.fault(None, "the file holds no row below its header")
    return found


def _head(found: BatchFile, lines: Sequence[str]) -> int:
    """Read the settings; the number of the last line of the header."""
    at = 0
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        setting = _SETTING.fullmatch(line.rstrip("\t "))
        if setting is None:
            break
        if setting[1] in found.settings:
            found.fault(number, f"{setting[1]} is there twice")
        found.settings[setting[1]], at = setting[2], number
    for key in _SETTINGS:
        if not found.settings.get(key):
            found.fault(at or 1, f"the header has no {key}: it needs {', '.join(_SETTINGS)}, one a line")
    if not found.good():
        return at
    if found.table not in PREFIXES:
        found.fault(at, f"there is no table {brief(found.table)} whose records have accessions")
        return at
    if found.settings["format"] != _FORMAT:
        found.fault(at, f"the format must be {_FORMAT}; it is {brief(found.settings['format'])}")
    key = accession_column(found.table)
    if found.settings["key_columns"] != key:
        found.fault(at, f"key_columns must be {key}; it is {brief(found.settings['key_columns'])}")
    known = editable(found.table)
    for column in found.columns:
        if column not in known:
            found.fault(at, f"{brief(column)} is no column of {found.table} that can be changed")
    if len(set(found.columns)) < len(found.columns):
        found.fault(at, "data_columns names a column twice")
    return at


def _body(found: BatchFile, lines: Sequence[str], at: int) -> None:
    key, columns = found.settings["key_columns"], found.columns
    seen: dict[str, int] = {}
    for number, line in enumerate(lines[at:], at + 1):
        cells = [cell.strip() for cell in line.split("\t")]
        if not any(cells) or line.startswith("#") or [cell.lower() for cell in cells] == [key, *columns]:
            continue
        while len(cells) > len(columns) + 1 and not cells[-1]:
            cells.pop()
        if len(cells) != len(columns) + 1:
            found.fault(number, f"the line has {len(cells)} cells; {len(columns) + 1} are needed")
        elif any(len(cell) > _CELL_LIMIT for cell in cells):
            found.fault(number, f"a cell holds more than {_CELL_LIMIT:,} characters")
        elif cells[0] in seen:
            found.fault(number, f"the record {brief(cells[0])} is there twice, first in line {seen[cells[0]]}")
        elif len(found.changes) >= _MOST_ROWS:
            found.fault(number, f"a batch file may hold {_MOST_ROWS:,} rows")
            return
        else:
            seen[cells[0]] = number
            found.changes.append(Change(number, cells[0], dict(zip(columns, cells[1:], strict=True))))


def check_batch(
    found: BatchFile,
    there: Callable[[Iterable[str]], frozenset[str]],
    known: Known,
) -> None:
    """Compare the changes with the workspace (``there`` says which accessions are its records) and the vocabularies."""
    records = there(change.accession for change in found.changes)
    rules = editable(found.table)
    for change in found.changes:
        if change.accession not in records:
            found.fault(change.line, f"{brief(change.accession)} is no {found.table} of this workspace")
            continue
        found.tell(
            change.line,
            f"Parsing the line with primaryKey [{found.settings['key_columns']}] whose value is [{change.accession}].",
        )
        for name, value in change.values.items():
            column = rules[name]
            if column is not None:
                wrong, change.values[name] = check_value(column, value, known.terms)
                if wrong:
                    found.fault(change.line, wrong)
        found.tell(
            change.line,
            f"Parsing the line with dataColumns [{', '.join(change.values)}] whose values are "
            f"[{', '.join(change.values.values())}].",
        )
    if found.good():
        found.rows.append(ResultRow("Parsed", found.name, 0, None, f"Size:{found.size} bytes"))
