"""Result queries: conditions to SQL, and rows to the bytes of an answer, with bounded memory and in a stable order.

Filters speak of contexts only, so they are answered by the contexts' indexes. Then there are two ways to the rows: few
are found by their contexts and sorted; many are read in the order of their numbers, so that the first leaves at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    UnaryExpression,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
    text,
    true,
    tuple_,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql import operators

from packhorse.server.db.immport import Study
from packhorse.server.db.immport_views import CONTEXT, CONTEXTS, Kind, folded_column
from packhorse.server.immport.folding import fold
from packhorse.wire.immport.filters import Condition
from packhorse.wire.immport.layout import Rows

__all__ = ["matching", "one_of", "result_records", "result_select"]

_SORTED: Final = 50_000
"""Up to so many rows are sorted: that takes less than a tenth of a second."""
_PART: Final = 1000
_FRAMES: Final = 8192
_INLINE: Final = 200


def one_of(session: Session, column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column has one of some texts. Many go as one JSON parameter: databases limit the number of those."""
    if len(values) <= _INLINE:
        return column.in_(values)
    listed = json.dumps(list(values), ensure_ascii=False)
    if session.get_bind().dialect.name == "sqlite":
        each = func.json_each(listed).table_valued("value")
        return column.in_(select(each.c.value))
    elements = select(text("jsonb_array_elements_text(CAST(:listed AS jsonb))").bindparams(listed=listed))
    return column.in_(elements.scalar_subquery())


def matching(session: Session, conditions: Sequence[Condition]) -> ColumnElement[bool]:
    """The contexts that meet all conditions."""
    found: list[ColumnElement[bool]] = []
    for condition in conditions:
        member, match = condition.filter.member, condition.filter.match
        # no database keeps a NUL, so no row has one
        values = [value for value in condition.values if "\0" not in value]
        if not values:
            found.append(false())
        elif condition.filter.name == "studyAccession":
            found.append(one_of(session, CONTEXTS.c.study, values))
        elif match == "exact":
            column = CONTEXTS.c[folded_column(member)]
            found.append(one_of(session, column, list(dict.fromkeys(map(fold, values)))))
        elif match == "substring":
            column = CONTEXTS.c[folded_column(member)]
            found.append(_contains_any(session, column, list(dict.fromkeys(map(fold, values)))))
        else:
            column = CONTEXTS.c[folded_column(member)]
            wanted = float(values[0])
            compared: dict[str, ColumnElement[bool]] = {
                "=": column == wanted,
                ">=": column >= wanted,
                "<=": column <= wanted,
                ">": column > wanted,
                "<": column < wanted,
            }
            found.append(compared[match])
    return and_(true(), *found)


def _contains_any(session: Session, column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    if len(values) <= _INLINE:
        return or_(*(column.contains(value, autoescape=True) for value in values))
    # a few texts stand in many rows: whether one matches is asked once
    known = session.scalars(select(column).where(column.is_not(None)).distinct())
    return one_of(session, column, [held for held in known if any(value in held for value in values)])


def result_select(
    session: Session, kind: Kind, conditions: Sequence[Condition], visible: ColumnElement[bool]
) -> Select[Any] | None:
    """The rows of a result query: the context's id, the row's number, its own columns; ``None`` when there are none.

    ``visible`` says of :class:`~packhorse.server.db.immport.Study` which may be seen.
    """
    served = select(Study.package_id, Study.accession).where(visible)
    wanted = and_(
        CONTEXTS.c.kind == kind.name,
        matching(session, conditions),
        tuple_(CONTEXTS.c.package_id, CONTEXTS.c.study).in_(served),
    )
    counted = select(
        func.coalesce(func.sum(CONTEXTS.c.row_count), 0), func.min(CONTEXTS.c.first_row), func.max(CONTEXTS.c.last_row)
    )
    rows, first, last = session.execute(counted.where(wanted)).one()
    if not rows:
        return None
    table = kind.table
    asked = select(table.c.context_id, table.c.result_id, *kind.own.values())
    if rows <= _SORTED:
        asked = asked.join(CONTEXTS, table.c.context_id == _plus(CONTEXTS.c.id)).where(wanted)
        return asked.order_by(_plus(table.c.result_id), table.c.package_id, table.c.line)
    within = select(func.sum(CONTEXTS.c.row_count)).where(
        CONTEXTS.c.kind == kind.name, CONTEXTS.c.last_row >= first, CONTEXTS.c.first_row <= last
    )
    if session.scalar(within) != rows:
        asked = asked.join(CONTEXTS, CONTEXTS.c.id == _plus(table.c.context_id)).where(wanted)
    asked = asked.where(table.c.result_id.between(first, last))
    return asked.order_by(table.c.result_id, table.c.package_id, table.c.line)


def _plus(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column with a unary plus, which keeps the planner from its index: it knows nothing yet of a package that has
    just come, and one of the two ways takes minutes where the other takes none."""
    return UnaryExpression(column, operator=operators.custom_op("+"), type_=column.type)


def result_records(session: Session, kind: Kind, rows: Rows, asked: Select[Any]) -> Iterator[bytes]:
    """The records of an answer. ``rows`` was made for ``resultId`` and the kind's own members."""
    frames: dict[int, list[bytes]] = {}
    record = rows.record
    skipped = 1 if "resultId" in kind.model.names else 2
    result = session.execute(asked.execution_options(yield_per=_PART))
    try:
        for part in result.partitions(_PART):
            _load(session, rows, frames, {row[0] for row in part})
            for row in part:
                yield record(frames[row[0]], row[skipped:])
    finally:
        result.close()


def _load(session: Session, rows: Rows, frames: dict[int, list[bytes]], needed: set[int]) -> None:
    """Have the frames of these contexts, and not too many others."""
    if len(frames) + len(needed) > _FRAMES:
        for known in frames.keys() - needed:
            del frames[known]
    missing = needed - frames.keys()
    if not missing:
        return
    asked = select(CONTEXTS.c.id, CONTEXTS.c.members).where(
        CONTEXTS.c.id.in_(bindparam("ids", sorted(missing), expanding=True))
    )
    for context_id, members in session.execute(asked):
        frames[context_id] = rows.frame(dict(zip(CONTEXT, json.loads(members), strict=True)))
