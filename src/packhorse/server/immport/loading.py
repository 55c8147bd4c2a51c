"""From a package's tables into the database's, row by row in batches, in the caller's transaction.

Memory is bounded by the batch, whatever the table's length. Keys that come twice are found by the database, when all
rows of a table are in.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Table, delete, func, insert, select
from sqlalchemy.orm import Session

from packhorse.server.db.immport import RELEASE, Lookup, OtherRow
from packhorse.server.db.models import Base
from packhorse.server.immport.archive import Member
from packhorse.server.immport.checks import RowChecks
from packhorse.server.immport.report import ImportReport, Progress
from packhorse.server.immport.rules import KEYS
from packhorse.server.immport.tabular import Cells, Problem, TabReader

__all__ = ["TableLoader"]

_Row = TypeVar("_Row")
# as plain tables: nobody holds these rows as objects, and the ORM's way of writing them is slower
_LOOKUPS: Final = Base.metadata.tables[Lookup.__tablename__]
_OTHERS: Final = Base.metadata.tables[OtherRow.__tablename__]
_BATCH: Final = 2000
_LARGE: Final = 16 << 20
_ROW_BYTES: Final = 100
_EVERY_ROWS: Final = 20_000
_EVERY_SECONDS: Final = 2.0


class TableLoader:
    """Loads the tables of one package. Bad rows go into ``report``; unless ``skip``, nothing more is written once there
    is one, for the caller will refuse the package."""

    def __init__(
        self, session: Session, package_id: int, report: ImportReport, *, skip: bool, progress: Progress | None
    ) -> None:
        self._session, self._package_id, self._report = session, package_id, report
        self._skip, self._progress = skip, progress
        self._terms: dict[str, frozenset[str] | None] = {}
        self._told = time.monotonic()
        self.studies: frozenset[str] | None = None

    def lookup(self, name: str, member: Member, *, keep: bool) -> None:
        """A controlled vocabulary; with ``keep`` it becomes the server's, instead of what was there."""
        reader = TabReader(f"{name}.txt", member.blocks())
        column = reader.columns.index("name") if "name" in reader.columns else 0
        if keep:
            self._session.execute(delete(_LOOKUPS).where(_LOOKUPS.c.vocabulary == name))
        terms: set[str] = set()

        def rows() -> Iterator[dict[str, Any]]:
            for position, (_, cells) in enumerate(self._good(reader, None), 1):
                label = cells[column] or ""
                terms.add(label)
                record = dict(zip(reader.columns, cells, strict=True))
                yield {"vocabulary": name, "position": position, "name": label, "record": record}

        count = 0
        for batch in _batches(rows()):
            count += len(batch)
            if keep and self._writes():
                self._session.execute(insert(_LOOKUPS), batch)
        self._terms[name] = frozenset(terms)
        self._end(name, reader, count, None)

    def table(self, name: str, member: Member) -> None:
        """A table of studies, or one that we do not know, which is kept as it is."""
        reader = TabReader(f"{name}.txt", member.blocks())
        checks = RowChecks(name, reader.file, reader.columns, terms=self._known, studies=self.studies)
        table = RELEASE.get(name)
        rows = self._good(reader, checks)
        if table is None:
            count = self._other(name, reader, rows)
            self._report.other_tables.append(name)
        else:
            with self._indexes_later(table, member.size):
                count = self._release(name, table, reader, rows)
            absent = [column for column in table.columns.keys()[2:-1] if column not in reader.columns]
            if absent:
                self._report.warn(f"{reader.file} lacks {', '.join(absent)}: null in every row")
        self._end(name, reader, count, checks)

    def _known(self, vocabulary: str) -> frozenset[str] | None:
        """A vocabulary's terms: the package's, else the server's."""
        if vocabulary not in self._terms:
            found = frozenset(self._session.scalars(select(Lookup.name).where(Lookup.vocabulary == vocabulary)))
            self._terms[vocabulary] = found or None
        return self._terms[vocabulary]

    def _good(self, reader: TabReader, checks: RowChecks | None) -> Iterator[tuple[int, Cells]]:
        """The rows that can be taken in."""
        for row in reader.rows():
            if isinstance(row, Problem):
                self._report.bad(row)
                continue
            reason = checks.reason(*row) if checks is not None else None
            if reason is None:
                yield row
            else:
                self._report.bad(Problem(reader.file, row[0], reason))

    def _writes(self) -> bool:
        return self._skip or not self._report.bad_rows

    def _release(self, name: str, table: Table, reader: TabReader, rows: Iterator[tuple[int, Cells]]) -> int:
        known = [(index, column) for index, column in enumerate(reader.columns) if column in table.columns]
        places = [index for index, _ in known]
        extra = [(index, column) for index, column in enumerate(reader.columns) if column not in table.columns]
        write = self._writer(table, [column for _, column in known])
        package_id = self._package_id
        ordered = _Ordered(reader.columns.index(KEYS[name][0]) if len(KEYS[name]) == 1 else None)

        def values() -> Iterator[tuple[Any, ...]]:
            for line, cells in rows:
                ordered.see(cells)
                yield (package_id, line, _extra(cells, extra) if extra else None, *[cells[place] for place in places])

        count = 0
        for batch in _batches(values()):
            count += len(batch)
            if self._writes():
                write(batch)
            self._tell(name, count)
        if count > 1 and not ordered.surely_unique and self._writes():
            count -= self._drop_doubles(name, table, reader.file)
        return count

    @contextmanager
    def _indexes_later(self, table: Table, size: int) -> Iterator[None]:
        """Make the indexes of a table anew after very many rows, instead of with each: in the embedded database, where
        it is part of the transaction and locks nobody out who is not locked out already, three times as fast."""
        connection = self._session.connection()
        pays = size > _LARGE and connection.dialect.name == "sqlite"
        if pays:
            there = self._session.scalar(select(func.max(table.c.line)).select_from(table)) or 0
            pays = there * _ROW_BYTES < 4 * size
        if not pays:
            yield
            return
        for index in table.indexes:
            index.drop(connection)
        yield
        for index in table.indexes:
            index.create(connection)

    def _writer(self, table: Table, columns: list[str]) -> Callable[[list[tuple[Any, ...]]], None]:
        """Batches of plain tuples straight to the driver: the ORM's way takes four times as long."""
        connection = self._session.connection()
        dialect = connection.dialect
        quoted = [dialect.identifier_preparer.quote(name) for name in ("package_id", "line", "extra", *columns)]
        mark = "?" if dialect.paramstyle == "qmark" else "%s"
        statement = f"INSERT INTO {table.name} ({', '.join(quoted)}) VALUES ({', '.join([mark] * len(quoted))})"  # noqa: S608 - names of our own tables and columns

        def write(batch: list[tuple[Any, ...]]) -> None:
            connection.exec_driver_sql(statement, batch)

        return write

    def _other(self, name: str, reader: TabReader, rows: Iterator[tuple[int, Cells]]) -> int:
        def values() -> Iterator[dict[str, Any]]:
            for line, cells in rows:
                record = dict(zip(reader.columns, cells, strict=True))
                yield {"package_id": self._package_id, "table_name": name, "line": line, "record": record}

        count = 0
        for batch in _batches(values()):
            count += len(batch)
            if self._writes():
                self._session.execute(insert(_OTHERS), batch)
            self._tell(name, count)
        return count

    def _drop_doubles(self, name: str, table: Table, file: str) -> int:
        """Report the rows whose key stands in an earlier line, and take them out again; how many they were."""
        keys = [table.c[column] for column in KEYS[name]]
        numbered = (
            select(
                table.c.line,
                func.min(table.c.line).over(partition_by=keys).label("first"),
                *(key.label(f"key{index}") for index, key in enumerate(keys)),
            )
            .where(table.c.package_id == self._package_id)
            .subquery()
        )
        found = select(numbered).where(numbered.c.line > numbered.c.first).order_by(numbered.c.line)
        lines: list[int] = []
        for line, first, *values in self._session.execute(found):
            shown = ", ".join(f"{column} {value}" for column, value in zip(KEYS[name], values, strict=True))
            self._report.bad(Problem(file, line, f"{shown[:120]} stands in line {first} already"))
            lines.append(line)
        for at in range(0, len(lines), 500):
            mine = table.c.package_id == self._package_id
            self._session.execute(delete(table).where(mine, table.c.line.in_(lines[at : at + 500])))
        return len(lines)

    def _tell(self, name: str, count: int) -> None:
        if self._progress is None or count % _EVERY_ROWS:
            return
        now = time.monotonic()
        if now - self._told >= _EVERY_SECONDS:
            self._told = now
            self._progress(name, count)

    def _end(self, name: str, reader: TabReader, count: int, checks: RowChecks | None) -> None:
        self._report.counts[name] = count
        if reader.recoded:
            lines = f"{reader.recoded:,} lines are" if reader.recoded > 1 else "a line is"
            self._report.warn(
                f"{reader.file}:{reader.recoded_line}: {lines} not UTF-8 and read as Windows-1252; look at the letters"
            )
        for text in checks.warnings() if checks is not None else ():
            self._report.warn(text)
        if self._progress is not None:
            self._progress(name, count)


class _Ordered:
    """Whether a column of numbers only ever rises: then none of them stands twice, and nobody has to look."""

    def __init__(self, index: int | None) -> None:
        self._index = index
        self._last = -1

    def see(self, cells: Cells) -> None:
        if self._index is None:
            return
        text = cells[self._index] or ""
        if text.isdecimal() and text.isascii() and int(text) > self._last and text[0] != "0":
            self._last = int(text)
        else:
            self._index = None

    @property
    def surely_unique(self) -> bool:
        return self._index is not None


def _extra(cells: Cells, columns: list[tuple[int, str]]) -> str | None:
    found = {column: cells[index] for index, column in columns if cells[index] is not None}
    return json.dumps(found, ensure_ascii=False) if found else None


def _batches(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    batch: list[_Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
