"""Lists: pages, order, filters that every resource shares, and records by id (spec flow §2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute

from packhorse.server.access import Owned, readable
from packhorse.server.api.core import Context, Refusal
from packhorse.server.db.models import Data, Execution, Project, Sample, User
from packhorse.wire import flow

# Queries are typed Any here: SQLAlchemy 2.0 and 2.1 disagree about what Select is generic in.
__all__ = ["by_id", "counts", "listed", "order", "owner_filter", "page_of", "pattern_filter", "substring", "times"]

_Row = TypeVar("_Row", bound=Data | Sample | Project | Execution)
_NOUNS: Final = {Data: "file", Sample: "sample", Project: "project", Execution: "execution"}


def page_of(ctx: Context) -> tuple[int, int]:
    """Page number and size. Refuses (400) what is no page."""
    page, size = ctx.number("page"), ctx.number("count")
    page, size = 1 if page is None else page, 10 if size is None else size
    if size > flow.MAX_PAGE:
        raise Refusal(400, f"Cannot request more than {flow.MAX_PAGE} items")
    if page < 1 or size < 1 or page > 10**9:
        raise Refusal(400, {"page" if size >= 1 else "count": ["Enter a number of at least 1."]})
    return page, size


def listed(
    ctx: Context, plural: str, query: Any, show: Callable[[Sequence[Any]], Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """One page of a query in Flow's envelope, with the exact number of all matches."""
    page, size = page_of(ctx)
    total = ctx.session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    rows = ctx.session.scalars(query.limit(size).offset((page - 1) * size)).all()
    return flow.envelope(plural, show(rows), count=total, page=page)


def counts(ctx: Context, query: Any) -> dict[Any, int]:
    """A query of keys and numbers as a dictionary."""
    return {row[0]: row[1] for row in ctx.session.execute(query)}


def order(
    ctx: Context, kind: type[Owned], name: InstrumentedAttribute[str], word: str = "name"
) -> tuple[ColumnElement[Any], ...]:
    """The order that ``sort`` asks for: ``created`` or ``name``, ``-`` for descending; newest first by default."""
    wanted = ctx.text("sort") or "-created"
    key, descending = wanted.removeprefix("-"), wanted.startswith("-")
    column: ColumnElement[Any] | InstrumentedAttribute[Any]
    if key == "created":
        column = kind.created
    elif key in (word, "name"):
        column = name
    else:
        raise Refusal(400, {"sort": [f"Sort by created or {word}, with - for descending."]})
    return (column.desc(), kind.id.desc()) if descending else (column.asc(), kind.id.asc())


def substring(column: InstrumentedAttribute[str], text: str | None) -> list[ColumnElement[bool]]:
    """The condition that a column holds a text somewhere, whatever its case; none without a text."""
    return [] if text is None else [column.icontains(text, autoescape=True)]


def times(ctx: Context, kind: type[Owned]) -> list[ColumnElement[bool]]:
    """``created_gt`` and ``created_lt``, inclusive."""
    after, before = ctx.number("created_gt"), ctx.number("created_lt")
    found: list[ColumnElement[bool]] = []
    if after is not None:
        found.append(kind.created >= after)
    if before is not None:
        found.append(kind.created <= before)
    return found


def owner_filter(ctx: Context, kind: type[Owned]) -> list[ColumnElement[bool]]:
    """``owned`` (the caller's; nobody's for anonymous ones) and ``owner`` (part of a user's name)."""
    found: list[ColumnElement[bool]] = []
    if ctx.flag("owned"):
        found.append(kind.owner_id == (ctx.caller.user_id if ctx.caller else -1))
    if (text := ctx.text("owner")) is not None:
        same = User.name.icontains(text, autoescape=True) | User.username.icontains(text, autoescape=True)
        found.append(kind.owner_id.in_(select(User.id).where(same)))
    return found


def pattern_filter(ctx: Context, column: InstrumentedAttribute[str]) -> list[ColumnElement[bool]]:
    """``pattern``, a regular expression. One that could run for ever on a hostile name is refused (400)."""
    pattern = ctx.text("pattern")
    if pattern is None:
        return []
    repeats = re.findall(r"[*+{]", pattern)
    if len(pattern) > 200 or len(repeats) > 3 or re.search(r"\)\s*[*+{?]|\\[1-9]|\(\?", pattern):
        raise Refusal(400, {"pattern": ["This pattern is too complicated: at most three repeats, none of a group."]})
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        raise Refusal(400, {"pattern": ["This is not a regular expression."]}) from None
    return [column.regexp_match(pattern)]


def by_id(ctx: Context, kind: type[_Row], text: str) -> _Row:
    """A record that the caller may read. Refuses: absent 404, anonymous 401, without the right 403."""
    noun = _NOUNS[kind]
    number = flow.parse_id(text)
    row = ctx.session.get(kind, number) if number is not None else None
    if row is None or (isinstance(row, Data) and row.removed is not None):
        raise Refusal(404, flow.DOWNLOAD_REFUSALS[404] if kind is Data else f"{noun.capitalize()} not found")
    if not readable(ctx.session, row, ctx.caller):
        if ctx.caller is None:
            raise Refusal(401)
        raise Refusal(
            403, flow.DOWNLOAD_REFUSALS[403] if kind is Data else f"You do not have permission to see this {noun}"
        )
    return row
