"""Writing a release package in Tab form: what the demo and the tests' generator are made of (spec immport §3.1)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final

from packhorse.wire.immport.models import MODELS
from packhorse.wire.immport.queries import QUERIES
from packhorse.wire.immport.release import TABLES

__all__ = ["LOOKUP_COLUMNS", "Row", "write_package"]

Row = Mapping[str, Any]
"""A row by column; what is missing or ``None`` becomes an empty cell."""

_DATE: Final = (2017, 4, 20, 12, 0, 0)
_TEXT: Final = 256 << 10


def _lookup_columns() -> dict[str, tuple[str, ...]]:
    found = {}
    for name, query in QUERIES.items():
        vocabulary = name.removeprefix("lookup/")
        if query.model is not None and vocabulary != name:
            found[_snake(vocabulary)] = tuple(_snake(member) for member in query.model.names)
    return found


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


LOOKUP_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = _lookup_columns()
"""The columns of the 45 vocabularies: ``lk_time_unit`` has ``name``, ``description``, ``link``."""

_OTHERS: Final = {"mass_spectrometry_result": tuple(_snake(name) for name in MODELS["MassSpectrometryResult"].names)}


def write_package(
    to: Path | IO[bytes],
    accession: str,
    release: str,
    tables: Mapping[str, Iterable[Row]],
    *,
    documents: Mapping[str, bytes] | None = None,
    level: int = 6,
) -> None:
    """Write ``SDYn-DRm_Tab.zip``: every known table (those not in ``tables`` have only a header), vocabularies and
    tables of later releases where ``tables`` has them, ``documents`` by their path beside the tables
    (``protocols/NAME``). Rows are taken one at a time; equal input gives equal bytes.
    """
    top = f"{accession}-{release}_Tab/Tab/"
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as made:
        for name in sorted({*TABLES, *tables}):
            columns = TABLES.get(name) or LOOKUP_COLUMNS.get(name) or _OTHERS.get(name)
            rows = iter(tables.get(name, ()))
            if columns is None:
                first = next(rows)
                columns = tuple(first)
                rows = iter([first, *rows])
            info = zipfile.ZipInfo(f"{top}{name}.txt", _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            with made.open(info, "w") as file:
                for piece in _text(columns, rows):
                    file.write(piece.encode())
        for path, content in sorted((documents or {}).items()):
            made.writestr(zipfile.ZipInfo(f"{top}{path}", _DATE), content)


def _text(columns: tuple[str, ...], rows: Iterable[Row]) -> Iterable[str]:
    held = ["\t".join(columns).upper()]
    size = 0
    for row in rows:
        unknown = row.keys() - set(columns) if len(row) > 0 else ()
        if unknown:
            raise ValueError(f"no such column: {', '.join(sorted(unknown))}")
        line = "\t".join("" if (cell := row.get(column)) is None else str(cell) for column in columns)
        held.append(line)
        size += len(line)
        if size > _TEXT:
            yield "\n".join(held) + "\n"
            held.clear()
            size = 0
    if held:
        yield "\n".join(held) + "\n"
