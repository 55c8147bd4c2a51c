"""Projects (spec flow §6.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from starlette.routing import Route

from packhorse.server.access import visible
from packhorse.server.api.core import Answer, Context, endpoint
from packhorse.server.api.executions import execution_rows
from packhorse.server.api.lists import by_id, counts, listed, order, owner_filter, substring, times
from packhorse.server.api.records import can_edit, project_facts, sample_files
from packhorse.server.api.samples import sample_rows
from packhorse.server.db.models import Execution, Project, Sample
from packhorse.wire import flow_records

__all__ = ["routes"]


def record(ctx: Context) -> Answer:
    """``/projects/<id>``."""
    row = by_id(ctx, Project, ctx.path("id"))
    samples = ctx.session.scalars(
        select(Sample).where(Sample.project_id == row.id, visible(Sample, ctx.caller)).order_by(Sample.id)
    ).all()
    files = sample_files(ctx.session, [sample.id for sample in samples], ctx.caller)
    shown = [(str(sample.id), sample.name, files[sample.id]) for sample in samples]
    return flow_records.project_record(project_facts(row), shown, can_edit=can_edit(ctx.session, row, ctx.caller))


def _rows(ctx: Context, rows: Sequence[Project]) -> list[dict[str, Any]]:
    ids = [row.id for row in rows]

    def by_project(kind: type[Sample | Execution]) -> dict[int | None, int]:
        counted = (
            select(kind.project_id, func.count())
            .where(kind.project_id.in_(ids), visible(kind, ctx.caller))
            .group_by(kind.project_id)
        )
        return counts(ctx, counted)

    samples, executions = by_project(Sample), by_project(Execution)
    return [
        flow_records.project_row(
            project_facts(row), sample_count=samples.get(row.id, 0), execution_count=executions.get(row.id, 0)
        )
        for row in rows
    ]


def search(ctx: Context) -> Answer:
    """``/projects/search``."""
    conditions: list[ColumnElement[bool]] = [
        visible(Project, ctx.caller),
        *substring(Project.name, ctx.text("name")),
        *substring(Project.description, ctx.text("description")),
        *owner_filter(ctx, Project),
        *times(ctx, Project),
    ]
    if kinds := ctx.texts("sample_types"):
        conditions.append(Project.id.in_(select(Sample.project_id).where(Sample.sample_type.in_(kinds))))
    if (pipeline := ctx.text("pipeline")) is not None:
        named = select(Execution.project_id).where(Execution.pipeline_name.icontains(pipeline, autoescape=True))
        conditions.append(Project.id.in_(named))
    query = select(Project).where(*conditions).order_by(*order(ctx, Project, Project.name))
    return listed(ctx, "projects", query, lambda rows: _rows(ctx, rows))


def owned(ctx: Context) -> Answer:
    """``/projects/owned``."""
    query = select(Project).where(Project.owner_id == ctx.user.user_id).order_by(*order(ctx, Project, Project.name))
    return listed(ctx, "projects", query, lambda rows: _rows(ctx, rows))


def samples(ctx: Context) -> Answer:
    """``/projects/<id>/samples``; the rows' metadata is empty."""
    row = by_id(ctx, Project, ctx.path("id"))
    query = (
        select(Sample)
        .where(Sample.project_id == row.id, visible(Sample, ctx.caller), *substring(Sample.name, ctx.text("filter")))
        .order_by(*order(ctx, Sample, Sample.name))
    )
    return listed(ctx, "samples", query, lambda rows: sample_rows(ctx, rows, bare=True))


def executions(ctx: Context) -> Answer:
    """``/projects/<id>/executions``."""
    row = by_id(ctx, Project, ctx.path("id"))
    query = (
        select(Execution)
        .where(
            Execution.project_id == row.id,
            visible(Execution, ctx.caller),
            *substring(Execution.pipeline_name, ctx.text("filter")),
        )
        .order_by(*order(ctx, Execution, Execution.pipeline_name))
    )
    return listed(ctx, "executions", query, lambda rows: execution_rows(ctx, rows))


routes = [
    Route("/projects/search", endpoint(search), methods=["GET"]),
    Route("/projects/owned", endpoint(owned, auth="required"), methods=["GET"]),
    Route("/projects/{id}/samples", endpoint(samples), methods=["GET"]),
    Route("/projects/{id}/executions", endpoint(executions), methods=["GET"]),
    Route("/projects/{id}", endpoint(record), methods=["GET"]),
]
