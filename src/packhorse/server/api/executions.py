"""Executions, their results' bytes, and the pipelines that made them (spec flow §4.2, §6.5, §6.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from starlette.routing import Route

from packhorse.server.access import visible
from packhorse.server.api.core import Answer, Context, Refusal, endpoint
from packhorse.server.api.data import send_file
from packhorse.server.api.lists import by_id, listed, order, owner_filter, substring, times
from packhorse.server.api.records import can_edit, execution_facts, execution_outputs, sample_files
from packhorse.server.db.models import Execution, ExecutionOutput, Sample
from packhorse.wire import flow, flow_records

__all__ = ["execution_rows", "routes"]


def record(ctx: Context) -> Answer:
    """``/executions/<id>``; ``log`` is a byte offset, ``include`` or ``exclude`` choose fields."""
    include, exclude = ctx.request.query_params.getlist("include"), ctx.request.query_params.getlist("exclude")
    if include and exclude:
        raise Refusal(400, "Give include or exclude, not both")
    row = by_id(ctx, Execution, ctx.path("id"))
    outputs = execution_outputs(ctx.session, [row.id], ctx.caller)[row.id]
    log = row.log.encode("utf-8")[max(ctx.number("log") or 0, 0) :].decode("utf-8", "replace")
    shown = flow_records.execution_record(execution_facts(row), outputs, log=log)
    if include:
        return {key: value for key, value in shown.items() if key in include or key == "id"}
    return {key: value for key, value in shown.items() if key not in exclude}


def result(ctx: Context) -> Answer:
    """``/executions/<id>/<path>``: a result's bytes by its place in the execution's folder."""
    path = ctx.path("path")
    row = by_id(ctx, Execution, ctx.path("id"))
    output = ctx.session.get(ExecutionOutput, (row.id, path)) if flow.safe_relative_path(path) else None
    if output is None or output.data.removed is not None:
        raise Refusal(404, "Execution file not found")
    return send_file(ctx, output.data.file, path.rpartition("/")[2])


def execution_rows(ctx: Context, rows: Sequence[Execution], *, iso: bool = False) -> list[dict[str, Any]]:
    """Rows of an execution list, with results and inputs when ``return_data`` and ``return_inputs`` ask for them."""
    results = execution_outputs(ctx.session, [row.id for row in rows], ctx.caller) if ctx.flag("return_data") else None
    samples = [row.sample_id for row in rows if row.sample_id is not None]
    inputs = sample_files(ctx.session, samples, ctx.caller) if ctx.flag("return_inputs") else None
    shown = []
    for row in rows:
        facts = execution_facts(row)
        entry = flow_records.execution_row(facts, can_delete=can_edit(ctx.session, row, ctx.caller), iso=iso)
        if results is not None:
            entry["downstream_data"] = [
                {
                    "id": data.id,
                    "filename": data.filename,
                    "filetype": flow_records.filetype_of(data.filename),
                    "process_execution_name": facts.pipeline_name,
                }
                for _, data in results[row.id]
            ]
        if inputs is not None:
            entry["inputs"] = [flow_records.data_brief(data) for data in inputs.get(row.sample_id or 0, [])]
        shown.append(entry)
    return shown


def search(ctx: Context) -> Answer:
    """``/executions/search``."""
    conditions: list[ColumnElement[bool]] = [
        visible(Execution, ctx.caller),
        *substring(Execution.pipeline_name, ctx.text("name")),
        *substring(Execution.pipeline_name, ctx.text("pipeline")),
        *owner_filter(ctx, Execution),
        *times(ctx, Execution),
    ]
    if versions := [*ctx.texts("pipeline_versions"), *ctx.texts("pipeline_version")]:
        conditions.append(Execution.pipeline_version.in_(versions))
    if (status := ctx.text("status")) is not None:
        conditions.append(Execution.status == status)
    if (version := ctx.text("nextflow_version")) is not None:
        conditions.append(Execution.nextflow_version == version)
    if (organism := ctx.text("organism")) is not None:
        conditions.append(Execution.sample_id.in_(select(Sample.id).where(Sample.organism == organism)))
    lasted = Execution.finished - Execution.started
    if (longer := ctx.number("duration_gt")) is not None:
        conditions.append(lasted >= longer)
    if (shorter := ctx.number("duration_lt")) is not None:
        conditions.append(lasted <= shorter)
    query = select(Execution).where(*conditions).order_by(*order(ctx, Execution, Execution.pipeline_name))
    return listed(ctx, "executions", query, lambda rows: execution_rows(ctx, rows))


def pipelines(ctx: Context) -> Answer:
    """``/pipelines``: this server runs none, but names those whose results it has."""
    named = (
        select(Execution.pipeline_name).where(visible(Execution, ctx.caller), Execution.pipeline_name != "").distinct()
    )
    names = sorted(ctx.session.scalars(named))
    if not names:
        return []
    shown = [{"id": str(number), "name": name, "description": ""} for number, name in enumerate(names, 1)]
    return [{"name": "Imported results", "subcategories": [{"name": "All", "pipelines": shown}]}]


def no_pipeline(_ctx: Context) -> Answer:
    """``/pipelines/<id>``, ``/pipelines/versions/<id>``."""
    raise Refusal(404, "Pipeline not found")


def run_pipeline(_ctx: Context) -> Answer:
    """``POST /pipelines/versions/<id>/run``."""
    raise Refusal(403, "User cannot run pipelines")


routes = [
    Route("/executions/search", endpoint(search), methods=["GET"]),
    Route("/executions/{id}", endpoint(record), methods=["GET"]),
    Route("/executions/{id}/{path:path}", endpoint(result, download=True), methods=["GET"]),
    Route("/pipelines", endpoint(pipelines), methods=["GET"]),
    Route("/pipelines/versions/{id}/run", endpoint(run_pipeline, auth="required"), methods=["POST"]),
    Route("/pipelines/versions/{id}", endpoint(no_pipeline), methods=["GET"]),
    Route("/pipelines/{id}", endpoint(no_pipeline), methods=["GET"]),
]
