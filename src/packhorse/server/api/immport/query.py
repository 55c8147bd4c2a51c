"""All of the Data Query API but DRS: ``/data/query``, and ``/shared/data/query`` (spec immport §2)."""

from __future__ import annotations

from starlette.routing import BaseRoute

from packhorse.server.api.immport import lookups, openapi, results, search, studies, ui

__all__ = ["routes"]

routes: list[BaseRoute] = [
    *results.routes,
    *studies.routes,
    *lookups.routes,
    *search.routes,
    *ui.routes,
    *openapi.routes,
]
