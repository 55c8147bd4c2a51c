"""Columns of a table and what they hold; the one place that loads pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from packhorse.errors import SettingsError
from packhorse.wire.immport.models import Model

__all__ = ["Column", "ColumnKind", "Note", "arrow", "arrow_schema", "columns_of", "pandas", "with_text"]

ColumnKind = Literal["text", "integer", "number", "timestamp"]

_KINDS: Final[dict[str, ColumnKind]] = {"integer": "integer", "number": "number", "timestamp": "timestamp"}
_TYPES: Final = {"text": "string", "integer": "int64", "number": "float64"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. In Arrow text is ``string``, integer ``int64``, number ``float64``, timestamp ``timestamp(ms, UTC)``.

    ``stated``: the record model has it (else a server sent it in addition).
    """

    name: str
    kind: ColumnKind = "text"
    stated: bool = True


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd in a server's answer that was read without loss: what, in which member, first in which row (from
    1), and in how many."""

    member: str
    what: str
    row: int
    count: int = 1

    def __str__(self) -> str:
        more = f" and {self.count - 1:,} more" if self.count > 1 else ""
        return f"{self.member}: {self.what} (row {self.row:,}{more})"


def arrow() -> Any:
    """The ``pyarrow`` module, loaded at first use. Raises :class:`SettingsError` that says what to install."""
    try:
        import pyarrow as pa
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise _missing("pyarrow") from None
    return pa


def pandas() -> Any:
    """The ``pandas`` module, loaded at first use. Raises :class:`SettingsError` that says what to install."""
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pandas", "numpy"):
            raise
        raise _missing("pandas") from None
    return pd


def _missing(name: str) -> SettingsError:
    return SettingsError(f"tables need {name}, which is not installed", hint="pip install 'packhorse[tables]'")


def columns_of(model: Model) -> tuple[Column, ...]:
    """The columns of a record model, in its order; nested records become columns of JSON text.

    >>> from packhorse.wire.immport.models import MODELS
    >>> columns_of(MODELS["VElisaResult"])[:2]
    (Column(name='resultId', kind='integer', stated=True), Column(name='ageEvent', kind='text', stated=True))
    """
    return tuple(Column(member.name, _KINDS.get(member.kind, "text")) for member in model.members)


def with_text(columns: Sequence[Column], names: Iterable[str]) -> tuple[Column, ...]:
    """The columns with the named ones as text; a name that is not there becomes a column of text at the end.

    >>> [(c.name, c.kind) for c in with_text([Column("a", "number"), Column("b", "number")], ["a", "z"])]
    [('a', 'text'), ('b', 'number'), ('z', 'text')]
    """
    wanted = dict.fromkeys(names)
    known = {column.name for column in columns}
    changed = [replace(column, kind="text") if column.name in wanted else column for column in columns]
    return (*changed, *(Column(name, stated=False) for name in wanted if name not in known))


def arrow_schema(columns: Iterable[Column], *, times_as_text: bool = False) -> Any:
    """The ``pyarrow.Schema`` of the columns; ``times_as_text`` for what is still to be read."""
    pa = arrow()

    def kind(column: Column) -> Any:
        if column.kind == "timestamp":
            return pa.string() if times_as_text else pa.timestamp("ms", tz="UTC")
        return getattr(pa, _TYPES[column.kind])()

    return pa.schema([(column.name, kind(column)) for column in columns])
