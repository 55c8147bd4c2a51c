"""Lookups as the API has them: the members of its models from the columns of the package (spec immport §2.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.server.db.immport import Lookup
from packhorse.server.db.immport_views import snake
from packhorse.wire.immport.models import Model

__all__ = ["camel", "lookup_rows", "older_rows", "table_name"]

_ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "description": ("description", "descripton"),  # lk_personnel_role misspells it
    "immunologySymbol": ("immunology_symbol", "immunology_gene_symbol"),
}
_TABLES: Final[Mapping[str, tuple[str, ...]]] = {"lkSex": ("lk_sex", "lk_gender"), "lkT0Event": ("lk_t0_event",)}


def table_name(name: str) -> tuple[str, ...]:
    """The tables that a lookup of the current API can be from; the first that is there counts.

    >>> table_name("lkCellPopulation"), table_name("lkSex")
    (('lk_cell_population',), ('lk_sex', 'lk_gender'))
    """
    return _TABLES.get(name) or (snake(name),)


def _records(session: Session, tables: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    for table in tables:
        found = False
        asked = select(Lookup.record).where(Lookup.vocabulary == table).order_by(Lookup.position)
        for record in session.scalars(asked.execution_options(yield_per=1000)):
            found = True
            yield record
        if found:
            return


def lookup_rows(session: Session, name: str, model: Model) -> Iterator[list[Any]]:
    """The rows of a lookup of the current API, the model's members in order."""
    columns = [_ELSEWHERE.get(member, (snake(member), member)) for member in model.names]
    for record in _records(session, table_name(name)):
        yield [next((record[c] for c in names if record.get(c) is not None), None) for names in columns]


def older_rows(session: Session, table: str) -> list[dict[str, Any]]:
    """The rows of one of the older lookups: its columns in camelCase."""
    return [{camel(column): text for column, text in record.items()} for record in _records(session, (table,))]


def camel(column: str) -> str:
    """A column's name as a member's.

    >>> camel("immunology_gene_symbol"), camel("study_time_t0_event")
    ('immunologySymbol', 'studyTimeT0Event')
    """
    column = {"descripton": "description", "immunology_gene_symbol": "immunology_symbol"}.get(column, column)
    first, *others = column.split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others)
