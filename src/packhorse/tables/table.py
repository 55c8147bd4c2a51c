"""A table in memory: rows as Arrow, with names, notes, and ways out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from packhorse.tables.blocks import batch_of
from packhorse.tables.careful import Wider, extra_columns
from packhorse.tables.columns import Column, Note, arrow, arrow_schema, pandas
from packhorse.tables.placing import STDOUT, placed, standard_output
from packhorse.tables.records import records_of
from packhorse.tables.writers import Format, format_of, writing

__all__ = ["Table"]


class Table:
    """Rows as Arrow. ``notes``: what was odd in the answer and was read without loss.

    >>> table = Table.from_records([{"name": "Male", "size": 1}, {"name": None, "size": 2.5}])
    >>> len(table), table.names, table.column("size")
    (2, ('name', 'size'), [1.0, 2.5])
    >>> table.to_pylist()[0]
    {'name': 'Male', 'size': 1.0}

    pandas, polars, DuckDB and whatever else knows Arrow's C interface take it as it is.
    """

    def __init__(self, columns: Sequence[Column], batches: Iterable[Any], notes: Iterable[Note] = ()) -> None:
        self.columns = tuple(columns)
        self.notes = tuple(notes)
        self._arrow = arrow().Table.from_batches(list(batches), schema=arrow_schema(self.columns))

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]], columns: Sequence[Column] = ()) -> Self:
        """A table of plain records. Members that no column has become columns behind, of the kind that their values
        say; a column that does not fit becomes text. Raises :class:`ProtocolError` for what are no records."""
        rows = records_of(list(records))
        columns = (*columns, *extra_columns(rows, columns))
        while True:
            try:
                batch, notes = batch_of(rows, columns)
            except Wider as wider:
                columns = wider.columns
            else:
                return cls(columns, [batch], notes)

    def __len__(self) -> int:
        return int(self._arrow.num_rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._arrow.to_batches(max_chunksize=1024):
            yield from batch.to_pylist()

    def __repr__(self) -> str:
        return f"<Table: {len(self):,} rows, {len(self.columns)} columns>"

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._arrow.__arrow_c_stream__(requested_schema)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> list[Any]:
        """One column's values. Raises ``KeyError``."""
        return list(self._arrow.column(name).to_pylist())

    def to_arrow(self) -> Any:
        """The ``pyarrow.Table``."""
        return self._arrow

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame``. Integers with nulls among them are pandas' ``Int64``, so that none loses digits.

        >>> table = Table.from_records([{"id": 2**60, "unit": "ng/ml"}, {"id": None, "unit": None}])
        >>> str(table.to_pandas()["id"].dtype)
        'Int64'
        """
        pd = pandas()
        nullable = [
            column.name
            for column in self.columns
            if column.kind == "integer" and self._arrow.column(column.name).null_count
        ]
        plain = self._arrow.drop_columns(nullable) if nullable else self._arrow
        frame = plain.to_pandas()
        if nullable:
            for name in nullable:
                frame[name] = self._arrow.select([name]).to_pandas(types_mapper=lambda _: pd.Int64Dtype())[name]
            frame = frame[list(self.names)]
        return frame

    def to_pylist(self) -> list[dict[str, Any]]:
        """The rows as dicts."""
        return list(self)

    def write(
        self, target: str | Path | BinaryIO, kind: Format | None = None, *, overwrite: bool = False
    ) -> tuple[Note, ...]:
        """Write all rows to a file (``-`` for standard output, or an open binary file). The format is what the name
        says unless it is given. The file is whole or not there. What could not be written as it is, is noted.

        Raises :class:`DestinationError` where something is there already, :class:`UsageError` for no format.
        """
        opened: contextlib.AbstractContextManager[BinaryIO]
        if isinstance(target, str | Path):
            kind = kind or format_of(str(target))
            opened = standard_output() if target == STDOUT else placed(target, overwrite=overwrite)
        else:
            kind = kind or format_of(str(getattr(target, "name", "")))
            opened = contextlib.nullcontext(target)
        with opened as file, writing(kind, file, self.columns) as writer:
            for batch in self._arrow.to_batches(max_chunksize=65_536):
                writer.write(batch)
        return tuple(writer.notes)
