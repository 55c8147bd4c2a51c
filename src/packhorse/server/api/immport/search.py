"""Search: ``/data/query/api/search/{study|subject}`` and its download (spec immport §2.4)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy.orm import Session
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.server.api.immport.core import Context, Refusal, endpoint
from packhorse.server.api.immport.pages import whole_number
from packhorse.server.api.immport.results import PREFIXES
from packhorse.server.api.immport.rows import RowsAnswer, answer_value, one_value, wants_tsv
from packhorse.server.immport.access import visible_studies
from packhorse.server.immport.searching import FIELDS, NARROW, Search, SearchKind, answer, documents, parse_term
from packhorse.wire.immport.layout import TsvRows
from packhorse.wire.immport.models import Member

__all__ = ["OPTIONS", "routes"]

OPTIONS: Final = (
    "term", "fromRecord", "pageSize", "preTag", "postTag", "format", "sourceFields", "searchFields", "sortField",
    "sortFieldDirection",
)  # fmt: skip
_IGNORED: Final = ("searchTerm",)
"""The service passes over it without a word, and clients send it."""
_MOST: Final = 10_000
_DEEPEST: Final = 10_000_000
_VALUES: Final = 10_000
_TERM: Final = 1000


def _search(ctx: Context) -> Search:
    kind: SearchKind = "study" if "/search/study" in ctx.request.url.path else "subject"
    for name in ctx.request.query_params:
        if name not in OPTIONS and name not in NARROW and name not in _IGNORED:
            near = difflib.get_close_matches(name, [*OPTIONS, *NARROW], n=3, cutoff=0.6)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise Refusal(400, f"Search has no parameter {name[:60]!r}{meant}")
    term = _text(ctx, "term") or ""
    if len(term) > _TERM:
        raise Refusal(400, f"term has at most {_TERM:,} characters, not {len(term):,}")
    words, phrases = parse_term(term)
    direction = (_text(ctx, "sortFieldDirection") or "asc").lower()
    if direction not in ("asc", "desc"):
        raise Refusal(400, f"sortFieldDirection is asc or desc, not {direction[:60]!r}")
    sort = _fields(ctx, "sortField", kind)
    if len(sort) > 1:
        raise Refusal(400, f"sortField takes one field, not {len(sort)}")
    narrowed = {name: values for name in NARROW if (values := _values(ctx, name))}
    download = ctx.request.url.path.endswith("/download")
    return Search(
        kind,
        words,
        phrases,
        narrowed,
        _fields(ctx, "searchFields", kind),
        _fields(ctx, "sourceFields", kind),
        sort[0] if sort else None,
        direction == "desc",
        whole_number(ctx, "fromRecord", 0, _DEEPEST),
        whole_number(ctx, "pageSize", _MOST if download else 10, _MOST),
        (_text(ctx, "preTag") or "<em>", _text(ctx, "postTag") or "</em>"),
    )


def _text(ctx: Context, name: str) -> str | None:
    text = one_value(ctx, name)
    return text.replace("\0", " ") if text else None


def _values(ctx: Context, name: str) -> list[str]:
    found = [part.strip() for text in ctx.request.query_params.getlist(name) for part in text.split(",")]
    unique = list(dict.fromkeys(part for part in found if part and "\0" not in part))
    if len(unique) > _VALUES:
        raise Refusal(400, f"{name} has {len(unique):,} values; at most {_VALUES:,} are taken")
    if not unique and any(found):
        return ["\x01"]  # a value that nothing has
    return unique


def _fields(ctx: Context, name: str, kind: SearchKind) -> tuple[str, ...]:
    """Fields by their names in ``_source``; camelCase is understood too."""
    found = []
    for text in ctx.request.query_params.getlist(name):
        for part in filter(None, (part.strip() for part in text.split(","))):
            field = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", part).lower()
            if field not in FIELDS[kind]:
                near = difflib.get_close_matches(field, FIELDS[kind], n=3, cutoff=0.5)
                meant = f"; did you mean {' or '.join(near)}?" if near else ""
                raise Refusal(400, f"{name}: a {kind} has no field {part[:60]!r}{meant}")
            found.append(field)
    return tuple(dict.fromkeys(found))


def _found(ctx: Context) -> ASGIApp:
    return _tsv(ctx, _search(ctx)) if wants_tsv(ctx.request) else answer_value(_answer(ctx))


def _answer(ctx: Context) -> dict[str, Any]:
    return answer(ctx.session, _search(ctx), visible_studies(ctx.session, ctx.caller))


def _download(ctx: Context) -> ASGIApp:
    search = _search(ctx)
    if wants_tsv(ctx.request):
        return _tsv(ctx, search)
    named = f'attachment; filename="{search.kind}_search.json"'
    found: Response = answer_value(_answer(ctx), {"Content-Disposition": named})
    return found


def _tsv(ctx: Context, search: Search) -> ASGIApp:
    """The hits as a table; several values of a field stand in one cell."""
    fields = search.source or FIELDS[search.kind]
    rows = TsvRows([Member(name) for name in fields])
    visible = visible_studies(ctx.session, ctx.caller)

    def records(session: Session) -> Iterator[bytes]:
        frame = rows.frame()
        for _, source, _ in session.execute(documents(search, visible).execution_options(yield_per=500)):
            yield rows.record(frame, [_cell(source.get(name)) for name in fields])

    media_type = "text/tab-separated-values"
    return RowsAnswer(ctx.home.database, media_type, lambda session: rows.pieces(records(session)))


def _cell(value: Any) -> str | None:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(each) for each in value) or None
    return None if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _routes() -> list[Route]:
    found: list[Route] = []
    for prefix in PREFIXES:
        for kind in ("study", "subject"):
            base = f"{prefix}/api/search/{kind}"
            found.append(Route(base, endpoint(_found, scope=None), methods=["GET"]))
            found.append(Route(f"{base}/download", endpoint(_download, scope=None), methods=["GET"]))
    return found


routes: list[Route] = _routes()
