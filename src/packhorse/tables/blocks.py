"""A block of records to an Arrow record batch: by Arrow's own readers, or cell by cell where those refuse.

Arrow's readers let go of the interpreter, so blocks are decoded in several threads at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from packhorse.tables.careful import Wider, convert, read_time
from packhorse.tables.columns import Column, Note, arrow, arrow_schema
from packhorse.tables.records import Record, RowError, json_records, line_records

__all__ = ["Block", "Decoded", "batch_of"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """One block as a record batch, or what stood against it."""

    batch: Any = None
    notes: tuple[Note, ...] = ()
    trouble: Wider | RowError | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records as they came. ``header`` is ``None`` for JSON."""

    data: bytes
    columns: tuple[Column, ...]
    separator: bytes | None = None
    header: tuple[str, ...] | None = None
    records: list[Record] | None = None

    def decode(self) -> Decoded:
        """The block's records. Raises :class:`ProtocolError`. May be called in any thread."""
        if self.records is None:
            batch = _fast_json(self) if self.header is None else _fast_lines(self, self.header)
            if batch is not None:
                return Decoded(batch)
        return self._carefully()

    def _carefully(self) -> Decoded:
        try:
            records = self.records
            if records is None:
                records = json_records(self.data) if self.header is None else line_records(self.data, self.header)
            batch, notes = batch_of(records, self.columns)
        except (Wider, RowError) as trouble:
            return Decoded(trouble=trouble)
        return Decoded(batch, tuple(notes))


def batch_of(records: Sequence[Record], columns: Sequence[Column]) -> tuple[Any, list[Note]]:
    """A record batch of the records, and what was odd. Raises :class:`Wider`."""
    pa = arrow()
    values, notes = convert(records, columns)
    schema = arrow_schema(columns)
    arrays = [pa.array(column, type=kind.type) for column, kind in zip(values, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema), notes


def _fast_json(block: Block) -> Any:
    """By Arrow's reader of JSON lines: commas between records become blanks. ``None`` where it refuses."""
    pa = arrow()
    import pyarrow.json as reader

    data = block.data
    if b"NaN" in data or b"Infinity" in data:  # which the reader would take for numbers
        return None
    if block.separator is not None:
        data = data.replace(block.separator, block.separator.replace(b",", b" ", 1))
    try:
        table = reader.read_json(
            pa.BufferReader(data),
            read_options=reader.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=reader.ParseOptions(
                explicit_schema=arrow_schema(block.columns, times_as_text=True),
                newlines_in_values=True,
                unexpected_field_behavior="error",
            ),
        )
        batch = table.combine_chunks().to_batches()[0]
        if not data.isascii():
            batch.validate(full=True)
    except (pa.ArrowInvalid, IndexError):
        return None
    return _with_times(batch, block.columns)


def _fast_lines(block: Block, header: tuple[str, ...]) -> Any:
    """By Arrow's reader of separated text, nothing quoted. ``None`` where it refuses."""
    pa = arrow()
    import pyarrow.compute as pc
    import pyarrow.csv as reader

    data = block.data
    if b"0x" in data or b"0X" in data:  # which the reader would take for numbers
        return None
    schema = arrow_schema(block.columns, times_as_text=True)
    try:
        table = reader.read_csv(
            pa.BufferReader(data),
            read_options=reader.ReadOptions(column_names=header, use_threads=False, block_size=len(data) + 1),
            parse_options=reader.ParseOptions(
                delimiter="\t",
                quote_char=False,
                double_quote=False,
                escape_char=False,
                newlines_in_values=False,
                ignore_empty_lines=len(header) > 1,
            ),
            convert_options=reader.ConvertOptions(
                column_types={name: schema.field(name).type for name in header},
                check_utf8=not data.isascii(),
                null_values=[""],
                strings_can_be_null=True,
            ),
        ).combine_chunks()
    except pa.ArrowInvalid:
        return None
    arrays = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name not in header:
            arrays.append(pa.nulls(table.num_rows, kind))
            continue
        chunks = table.column(name).chunks
        array = chunks[0] if chunks else pa.nulls(0, kind)
        if kind == pa.float64() and not pc.all(pc.is_finite(array), min_count=0).as_py():
            return None
        arrays.append(array)
    return _with_times(pa.RecordBatch.from_arrays(arrays, schema=schema), block.columns)


def _with_times(batch: Any, columns: Sequence[Column]) -> Any:
    """The batch with its texts of times read; ``None`` where one is none."""
    times = [index for index, column in enumerate(columns) if column.kind == "timestamp"]
    if not times:
        return batch
    pa = arrow()
    schema = arrow_schema(columns)
    arrays = list(batch.columns)
    for index in times:
        texts = arrays[index].to_pylist()
        moments = [None if text is None else read_time(text) for text in texts]
        if any(moment is None and text is not None for text, moment in zip(texts, moments, strict=True)):
            return None
        arrays[index] = pa.array(moments, type=schema.types[index])
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
