"""Controlled vocabularies: ``/data/query/api/lookup/{name}`` and the fourteen older lists (spec immport §2.6)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final

from sqlalchemy.orm import Session
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.server.api.immport.core import Context, Refusal, endpoint
from packhorse.server.api.immport.pages import answer_page, page_asked
from packhorse.server.api.immport.results import PREFIXES
from packhorse.server.api.immport.rows import answer_rows, rows_for
from packhorse.server.immport.vocabularies import lookup_rows, older_rows
from packhorse.wire.immport.queries import LOOKUPS, QUERIES, TYPOS

__all__ = ["routes"]

_OLDER: Final = tuple(query.path for query in QUERIES.values() if query.group == "lookup" and query.shape == "page")
_MOST: Final = 1_000_000


def _lookup(ctx: Context) -> ASGIApp:
    name = ctx.path("name")
    query = QUERIES.get(f"lookup/{name}")
    if query is None or query.model is None:
        near = difflib.get_close_matches(name, LOOKUPS, n=3, cutoff=0.5)
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise Refusal(404, f"There is no lookup {name[:60]!r}{meant}")
    model = query.model
    rows = rows_for(ctx.request, model.members)

    def records(session: Session) -> Iterator[bytes]:
        frame = rows.frame()
        for values in lookup_rows(session, name, model):
            yield rows.record(frame, values)

    return answer_rows(ctx, rows, records)


def _older(ctx: Context) -> ASGIApp:
    """Everything in one page unless a size is asked for: the clients of that time read ``content`` once."""
    name = ctx.request.url.path.rpartition("/")[2]
    page, size = page_asked(ctx, _MOST, _MOST)
    found = older_rows(ctx.session, TYPOS.get(name, name))
    size = min(size, max(len(found), 1)) if "size" not in ctx.request.query_params else size
    return answer_page(found[page * size : (page + 1) * size], len(found), page, size)


def _routes() -> list[Route]:
    found: list[Route] = []
    for prefix in PREFIXES:
        found.append(Route(f"{prefix}/api/lookup/{{name}}", endpoint(_lookup, scope=None), methods=["GET"]))
        found += [
            Route(f"{prefix}{base}/{name}", endpoint(_older, scope="browse"), methods=["GET"])
            for base in ("", "/ui")
            for name in (*_OLDER, *TYPOS)
        ]
    return found


routes: list[Route] = _routes()
