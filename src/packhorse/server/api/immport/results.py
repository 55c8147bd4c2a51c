"""Assay results: ``/data/query/result/{name}`` (spec immport §2.2, §2.3)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final

from sqlalchemy.orm import Session
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.errors import UsageError
from packhorse.server.api.immport.core import Context, Refusal, endpoint
from packhorse.server.api.immport.rows import answer_rows, refuse_usage, rows_for
from packhorse.server.db.immport_views import KINDS
from packhorse.server.immport.access import visible_studies
from packhorse.server.immport.results import result_records, result_select
from packhorse.wire.immport.filters import parse_filters

__all__ = ["PREFIXES", "routes"]

PREFIXES: Final = ("/data/query", "/shared/data/query")
"""Where the API stands; the second is what the web interface of the second generation calls."""


_OPTIONAL: Final = {"elisa": ("analyteAccession",)}
"""Older than this member are the answers that the service's overview prints: where an analyte has no accession, its
rows are as they are there (seed 002)."""


def _results(ctx: Context) -> ASGIApp:
    kind = KINDS.get(ctx.path("name"))
    if kind is None:
        near = difflib.get_close_matches(ctx.path("name"), KINDS, n=3, cutoff=0.5)
        meant = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(KINDS)}"
        raise Refusal(404, f"There are no results named {ctx.path('name')[:60]!r}{meant}")
    try:
        conditions = parse_filters(ctx.request.query_params.multi_items())
    except UsageError as error:
        raise refuse_usage(error) from None
    own = [*(["resultId"] if "resultId" in kind.model.names else []), *kind.own]
    rows = rows_for(ctx.request, kind.model.members, own, _OPTIONAL.get(kind.name, ()))
    caller = ctx.caller

    def records(session: Session) -> Iterator[bytes]:
        asked = result_select(session, kind, conditions, visible_studies(session, caller))
        if asked is not None:
            yield from result_records(session, kind, rows, asked)

    return answer_rows(ctx, rows, records)


routes: list[Route] = [
    Route(f"{prefix}/result/{{name}}", endpoint(_results, scope="browse"), methods=["GET"]) for prefix in PREFIXES
]
