"""``/workspaces``: where the caller may upload to (spec immport §4)."""

from __future__ import annotations

from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.server.api.immport.core import Context, endpoint
from packhorse.server.api.immport.registration import answer
from packhorse.server.db.models import User
from packhorse.server.immport.tickets import workspaces_of

__all__ = ["routes"]


def workspaces(ctx: Context) -> ASGIApp:
    """The caller's workspaces; made at first sight."""
    user = ctx.session.get_one(User, ctx.user.user_id)
    return answer(
        {
            "workspaces": [
                {
                    "workspaceId": one.id,
                    "name": one.name,
                    "type": one.kind,
                    "category": one.category,
                    "dateCreated": one.created * 1000,
                    "dateLastUpdated": one.updated * 1000,
                    "createdBy": user.username,
                    "lastUpdatedBy": user.username,
                }
                for one in workspaces_of(ctx.session, user)
            ]
        }
    )


routes = [Route("/workspaces", endpoint(workspaces, scope="upload", write=True), methods=["GET"])]
