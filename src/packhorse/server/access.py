"""Who may do what: one place for every right (spec flow §6.7).

An object is readable when it is public, for its owner, for administrators, and for users it is shared with. A sample
is readable with its project, data with any of its parents, an execution with its project.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.orm import Session

from packhorse.server.db.models import Data, Execution, Project, Sample, Share

__all__ = ["EDIT", "READ", "SHARE", "Caller", "Owned", "level_on", "readable", "visible"]

READ, EDIT, SHARE = 1, 2, 3
Owned = Data | Sample | Project | Execution


@dataclass(frozen=True, slots=True)
class Caller:
    """A user who proved who they are. ``session_id`` is ``None`` with an API key."""

    user_id: int
    username: str
    name: str
    email: str
    admin: bool
    session_id: str | None = None


def visible(kind: type[Owned], caller: Caller | None) -> ColumnElement[bool]:
    """The condition that selects the rows of ``kind`` that the caller may read."""
    if caller is not None and caller.admin:
        return true()
    own = or_(kind.private.is_(False), _owned_or_shared(kind, caller))
    if kind is Project:
        return own
    projects = select(Project.id).where(visible(Project, caller))
    if kind is Sample:
        return or_(own, Sample.project_id.in_(projects))
    if kind is Execution:
        return or_(own, Execution.project_id.in_(projects))
    return or_(
        own,
        Data.project_id.in_(projects),
        Data.sample_id.in_(select(Sample.id).where(visible(Sample, caller))),
        Data.execution_id.in_(select(Execution.id).where(visible(Execution, caller))),
    )


def _owned_or_shared(kind: type[Owned], caller: Caller | None) -> ColumnElement[bool]:
    if caller is None:
        return false()
    shared = select(Share.object_id).where(and_(Share.user_id == caller.user_id, Share.kind == kind_name(kind)))
    return or_(kind.owner_id == caller.user_id, kind.id.in_(shared))


def kind_name(kind: type[Owned]) -> str:
    """What a share calls this kind of object."""
    return {Data: "data", Sample: "sample", Project: "project", Execution: "execution"}[kind]


def readable(session: Session, item: Owned, caller: Caller | None) -> bool:
    """Whether the caller may read this object; the same rule as :func:`visible`."""
    # most downloads are the caller's own: they need no question to the database
    if not item.private or (caller is not None and (caller.admin or item.owner_id == caller.user_id)):
        return True
    kind = type(item)
    return session.scalar(select(kind.id).where(kind.id == item.id, visible(kind, caller))) is not None


def level_on(session: Session, item: Owned, caller: Caller | None) -> int:
    """The caller's own right on this object: 0 none, 1 read, 2 edit, 3 share. Parents are not looked at."""
    if caller is None:
        return 0 if item.private else READ
    if caller.admin or item.owner_id == caller.user_id:
        return SHARE
    shared = session.scalar(
        select(Share.level).where(
            Share.user_id == caller.user_id, Share.kind == kind_name(type(item)), Share.object_id == item.id
        )
    )
    return max(shared or 0, 0 if item.private else READ)
