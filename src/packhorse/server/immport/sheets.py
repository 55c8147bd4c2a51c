"""Reading a filled-in template: its header lines, its columns, its rows, with every fault by line (spec immport §4)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from packhorse.wire.immport.reports import ResultRow
from packhorse.wire.immport.templates import (
    FIRST_CELL,
    SCHEMA_VERSION,
    SCHEMA_VERSIONS,
    SEPARATOR,
    TEMPLATES,
    Block,
    Column,
    Template,
    block_attribute,
    find_template,
)
from packhorse.wire.zip.records import brief

__all__ = ["Row", "Sheet", "looks_like_template", "read_sheet"]

_VERSION: Final = "Schema Version "
_CELL_LIMIT: Final = 32_000
_MOST_COLUMNS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """A filled-in row: values by column name, empty ones left out; ``results`` are those of the repeating columns."""

    block: Block
    line: int
    values: dict[str, str]
    results: tuple[dict[str, str], ...] = ()


@dataclass(slots=True)
class Sheet:
    """A template file that was read. With ``problems`` its rows cannot be trusted to be all."""

    file_name: str
    size: int
    template: Template | None = None
    rows: list[Row] = field(default_factory=list)
    problems: list[ResultRow] = field(default_factory=list)

    def fault(self, line: int | None, text: str) -> None:
        """Note an error."""
        self.problems.append(ResultRow("Error", self.file_name, line, text))


def looks_like_template(name: str, beginning: bytes) -> bool:
    """Whether a package's file is meant as a template: by its first line, or by its name."""
    head = beginning.removeprefix(b"\xef\xbb\xbf")
    if find_template(name) is not None:
        return True
    if name.lower().endswith(".txt"):
        return _VERSION.encode() in head.partition(b"\n")[0]
    return name.lower().endswith(".json") and b'"schemaVersion"' in head[:4096]


def read_sheet(name: str, content: bytes) -> Sheet:
    """Read a template file. Raises nothing: what is wrong stands in ``problems``."""
    sheet = Sheet(name, len(content))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        sheet.fault(line, "the file is not UTF-8 text; save it as text (UTF-8) and send it again")
        return sheet
    if "\0" in text:
        sheet.fault(text[: text.index("\0")].count("\n") + 1, "the file holds a NUL character: it is not text")
    elif name.lower().endswith(".json"):
        _JsonReader(sheet).read(text)
    else:
        _TextReader(sheet, text.replace("\r\n", "\n").replace("\r", "\n").split("\n")).read()
    return sheet


def _check_head(sheet: Sheet, name: str, version: str, line: int | None) -> Template | None:
    """The template by its stated name and version, or a fault."""
    template = find_template(name)
    if template is None:
        near = difflib.get_close_matches(name, TEMPLATES, n=1)
        wish = f"; did you mean {near[0]}" if near else ""
        sheet.fault(line, f"there is no template {brief(name)}{wish}")
        return None
    if SCHEMA_VERSIONS.fullmatch(version) is None:
        sheet.fault(line, f"the schema version {brief(version)} is not known; {SCHEMA_VERSION} is the current one")
        return None
    return template


def _clean(cell: str) -> str:
    """A cell without blanks around it, and without the quotes that spreadsheets put around some."""
    cell = cell.strip()
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        cell = cell[1:-1].replace('""', '"').strip()
    return cell


@dataclass(slots=True)
class _Header:
    """Where the columns of a block are: by position, and the groups of repeating ones."""

    own: dict[int, Column]
    groups: list[dict[int, Column]]
    width: int


class _TextReader:
    """The text form."""

    def __init__(self, sheet: Sheet, lines: list[str]) -> None:
        self._sheet = sheet
        self._lines = lines

    def read(self) -> None:
        head = [_clean(cell) for cell in self._lines[0].split("\t")]
        version = head[1] if len(head) > 1 else ""
        if not version.startswith(_VERSION):
            self._sheet.fault(1, f"the first line must be the template's name, a tab and '{_VERSION}{SCHEMA_VERSION}'")
            return
        template = _check_head(self._sheet, head[0], version.removeprefix(_VERSION).strip(), 1)
        if template is None:
            return
        self._sheet.template = template
        if len(template.blocks) > 1:
            self._compound(template)
        else:
            self._single(template.blocks[0])

    def _single(self, block: Block) -> None:
        if len(self._lines) < 3 or _first(self._lines[2]) != FIRST_CELL.lower():
            self._sheet.fault(3, f"line 3 must hold the column headers, after the cell '{FIRST_CELL}'")
            return
        header = self._header(block, self._lines[2], 3)
        if header is not None:
            for number, line in enumerate(self._lines[3:], 4):
                self._data(block, header, line, number)

    def _data(self, block: Block, header: _Header, line: str, number: int) -> None:
        if not line.strip():
            return
        cells = [_clean(cell) for cell in line.split("\t")]
        if cells[0]:
            self._sheet.fault(number, f"the first cell of a data line must be empty; it holds {brief(cells[0])}")
            return
        if any(cells[header.width :]):
            self._sheet.fault(number, "the line has more cells than there are column headers")
            return
        if any(len(cell) > _CELL_LIMIT for cell in cells):
            self._sheet.fault(number, f"a cell holds more than {_CELL_LIMIT:,} characters")
            return
        values = _pick(header.own, cells)
        results = [found for group in header.groups if (found := _pick(group, cells))]
        if values or results:
            self._sheet.rows.append(Row(block, number, values, tuple(results)))

    def _header(self, block: Block, line: str, number: int) -> _Header | None:
        names = [_clean(cell) for cell in line.split("\t")]
        while names and not names[-1]:
            names.pop()
        if len(names) > _MOST_COLUMNS:
            self._sheet.fault(number, f"there are {len(names):,} columns; {_MOST_COLUMNS:,} are allowed")
            return None
        before = len(self._sheet.problems)
        split = next((at for at, name in enumerate(names) if name.lower() == SEPARATOR.lower()), len(names))
        own = self._columns(block.columns, names[1:split], 1, number)
        groups = self._groups(block, names, split, number)
        present = {column.name for column in own.values()}
        for column in block.columns:
            if column.required and column.name not in present:
                self._sheet.fault(number, f"the column '{column.name}' is missing")
        return _Header(own, groups, len(names)) if len(self._sheet.problems) == before else None

    def _columns(self, columns: Sequence[Column], names: Sequence[str], at: int, line: int) -> dict[int, Column]:
        known = {column.name.lower(): column for column in columns}
        found: dict[int, Column] = {}
        seen: set[str] = set()
        for position, name in enumerate(names, at):
            column = known.get(name.lower())
            if column is None:
                near = difflib.get_close_matches(name, [one.name for one in columns], n=1)
                wish = f"; did you mean '{near[0]}'" if near else ""
                what = (
                    f"the column {brief(name)} is not known in this template{wish}"
                    if name
                    else "a column has no header"
                )
                self._sheet.fault(line, what)
            elif column.name in seen:
                self._sheet.fault(line, f"the column '{column.name}' is there twice")
            else:
                seen.add(column.name)
                found[position] = column
        return found

    def _groups(self, block: Block, names: Sequence[str], split: int, line: int) -> list[dict[int, Column]]:
        if split == len(names):
            return []
        if not block.results:
            self._sheet.fault(line, f"this template has no '{SEPARATOR}'")
            return []
        starts = [at for at in range(split + 1, len(names)) if names[at].lower() == block.results[0].name.lower()]
        if len(names) > split + 1 and starts[:1] != [split + 1]:
            self._sheet.fault(line, f"after '{SEPARATOR}' the first column must be '{block.results[0].name}'")
            return []
        groups = []
        for start, stop in zip(starts, [*starts[1:], len(names)], strict=True):
            groups.append(self._columns(block.results, names[start:stop], start, line))
        return groups

    def _compound(self, template: Template) -> None:
        """Blocks, each after its name: a table with headers, or one name and value a line."""
        by_name = {block.name: block for block in template.blocks}
        block: Block | None = None
        header: _Header | None = None
        upright: dict[str, str] = {}
        began = 0

        def end() -> None:
            if block is not None and upright:
                self._sheet.rows.append(Row(block, began, dict(upright)))
                upright.clear()

        for number, line in enumerate(self._lines[2:], 3):
            cells = [_clean(cell) for cell in line.split("\t")]
            if not any(cells):
                continue
            if cells[0].lower() in by_name and not any(cells[1:]):
                end()
                block, header = by_name[cells[0].lower()], None
                continue
            if block is None:
                self._sheet.fault(number, f"{brief(cells[0])} stands before the first block's name")
                return
            if cells[0].lower() == FIRST_CELL.lower():
                end()
                header = self._header(block, line, number)
                if header is None:
                    return
            elif header is not None:
                self._data(block, header, line, number)
            else:
                column = next((one for one in block.columns if one.name.lower() == cells[0].lower()), None)
                if column is None or any(cells[2:]):
                    self._sheet.fault(number, f"{brief(cells[0])} is no column of the block {block.name}")
                    continue
                if column.name in upright:
                    end()
                if not upright:
                    began = number
                if len(cells) > 1 and cells[1]:
                    upright[column.name] = cells[1]
        end()


def _first(line: str) -> str:
    return _clean(line.partition("\t")[0]).lower()


def _pick(columns: dict[int, Column], cells: Sequence[str]) -> dict[str, str]:
    return {column.name: cells[at] for at, column in columns.items() if at < len(cells) and cells[at]}


class _JsonReader:
    """The JSON form. Records count from 1 where a text has lines."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet

    def read(self, text: str) -> None:
        try:
            body = json.loads(text, parse_float=str, parse_int=str)
        except (ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None)
            self._sheet.fault(line, f"the file is not JSON: {getattr(error, 'msg', 'it is nested beyond reason')}")
            return
        if not isinstance(body, dict):
            self._sheet.fault(1, "the file must hold a JSON object")
            return
        name = next((str(body[key]) for key in ("name", "fileName") if isinstance(body.get(key), str)), "")
        template = _check_head(self._sheet, name, str(body.get("schemaVersion", "")), None)
        if template is None:
            return
        self._sheet.template = template
        for block in template.blocks:
            self._block(block, self._held(template, block, body))

    def _held(self, template: Template, block: Block, body: dict[str, Any]) -> Any:
        if len(template.blocks) == 1:
            if "data" not in body:
                self._sheet.fault(None, "the member 'data' is missing")
            return body.get("data", [])
        inner = body.get("data")
        where = inner if isinstance(inner, dict) else body
        return where.get(block_attribute(block), [])

    def _block(self, block: Block, held: Any) -> None:
        records = held if isinstance(held, list) else [held]
        for number, record in enumerate(records, 1):
            if not isinstance(record, dict):
                self._sheet.fault(number, f"record {number} is not an object")
                continue
            results: list[dict[str, str]] = []
            own: Any = record
            if block.results and ("metaData" in record or "resultData" in record):
                inner = record.get("resultData") or []
                results = [self._values(block.results, one, number) for one in inner if isinstance(one, dict)]
                own = record.get("metaData") or {}
            values = self._values(block.columns, own, number) if isinstance(own, dict) else {}
            if values or results:
                self._sheet.rows.append(Row(block, number, values, tuple(one for one in results if one)))

    def _values(self, columns: Sequence[Column], record: dict[str, Any], line: int) -> dict[str, str]:
        known = {column.attribute: column for column in columns}
        found: dict[str, str] = {}
        for attribute, value in record.items():
            column = known.get(attribute)
            if column is None:
                near = difflib.get_close_matches(attribute, known, n=1)
                wish = f"; did you mean '{near[0]}'" if near else ""
                self._sheet.fault(line, f"the member {brief(attribute)} is not known in this template{wish}")
                continue
            texts = list(_texts(value))
            if None in texts or (len(texts) > 1 and not column.many):
                self._sheet.fault(line, f"'{attribute}' must be {'a list of texts' if column.many else 'one value'}")
            elif text := "; ".join(one for one in texts if one):
                found[column.name] = text
        return found


def _texts(value: Any) -> Iterator[str | None]:
    """A member's value as text, one by one; ``None`` for what is none."""
    if value is None:
        return
    if isinstance(value, bool):
        yield "Yes" if value else "No"
    elif isinstance(value, str):
        yield " ".join(value.split()) if len(value) <= _CELL_LIMIT else None
    elif isinstance(value, list):
        for one in value:
            yield one.strip() if isinstance(one, str) else None
    else:
        yield None
