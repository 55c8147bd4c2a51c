"""The search over everything, and the search for users (spec flow §6.7)."""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import select
from starlette.routing import Route

from packhorse.server.access import visible
from packhorse.server.api.core import Answer, Context, Refusal, endpoint
from packhorse.server.db.models import Data, Execution, Project, Sample, User

__all__ = ["routes"]

_MOST: Final = 20


def everything(ctx: Context) -> Answer:
    """``/search?q=``: the newest matches of each kind."""
    began = time.perf_counter()
    text = ctx.text("q")
    if text is None:
        raise Refusal(400, {"q": ["This field is required."]})
    found: dict[str, list[dict[str, Any]]] = {}
    for plural, kind, column in (
        ("samples", Sample, Sample.name),
        ("projects", Project, Project.name),
        ("executions", Execution, Execution.pipeline_name),
        ("data", Data, Data.filename),
    ):
        query = select(kind.id, column).where(visible(kind, ctx.caller), column.icontains(text, autoescape=True))
        if kind is Data:
            query = query.where(Data.removed.is_(None))
        found[plural] = [
            {
                "id": str(number),
                "name": name,
                "type": "data" if kind is Data else plural.removesuffix("s"),
                "url": f"/{plural}/{number}",
                "highlight": None,
            }
            for number, name in ctx.session.execute(query.order_by(kind.created.desc(), kind.id.desc()).limit(_MOST))
        ]
    return {
        "results": found,
        "total_count": sum(map(len, found.values())),
        "query": text,
        "search_time_ms": round((time.perf_counter() - began) * 1000, 3),
    }


def users(ctx: Context) -> Answer:
    """``/users/search?name=``, for those who are signed in: it is how one finds whom to share with."""
    text = ctx.text("name")
    if text is None:
        return {"users": []}
    same = User.name.icontains(text, autoescape=True) | User.username.icontains(text, autoescape=True)
    rows = ctx.session.scalars(select(User).where(User.active, same).order_by(User.username).limit(_MOST))
    return {"users": [{"username": user.username, "name": user.name, "image": None, "groups": []} for user in rows]}


routes = [
    Route("/search", endpoint(everything), methods=["GET"]),
    Route("/users/search", endpoint(users, auth="required"), methods=["GET"]),
]
