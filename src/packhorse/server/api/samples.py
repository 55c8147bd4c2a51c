"""Samples, their types and metadata, organisms (spec flow §6.1, §6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from starlette.routing import Route

from packhorse.server.access import visible
from packhorse.server.api.catalogue import ATTRIBUTES, ORGANISMS, SAMPLE_TYPES, AttributeType
from packhorse.server.api.core import Answer, Context, Refusal, endpoint
from packhorse.server.api.data import data_rows
from packhorse.server.api.executions import execution_rows
from packhorse.server.api.lists import by_id, counts, listed, order, owner_filter, substring, times
from packhorse.server.api.records import can_edit, sample_facts, sample_files
from packhorse.server.db.models import Attribute, Data, Execution, Project, Sample
from packhorse.wire import flow, flow_records

__all__ = ["routes", "sample_rows"]


def record(ctx: Context) -> Answer:
    """``/samples/<id>``."""
    row = by_id(ctx, Sample, ctx.path("id"))
    files = sample_files(ctx.session, [row.id], ctx.caller)[row.id]
    return flow_records.sample_record(sample_facts(row), files, can_edit=can_edit(ctx.session, row, ctx.caller))


def _own(ctx: Context) -> Sample:
    """The sample, which for anonymous callers must itself be public, not only its project (spec §6.7)."""
    row = by_id(ctx, Sample, ctx.path("id"))
    if ctx.caller is None and row.private:
        raise Refusal(401)
    return row


def files(ctx: Context) -> Answer:
    """``/samples/<id>/data``: inputs and results, with ISO times."""
    row = _own(ctx)
    results = select(Execution.id).where(Execution.sample_id == row.id)
    query = (
        select(Data)
        .where(
            or_(Data.sample_id == row.id, Data.execution_id.in_(results)),
            Data.removed.is_(None),
            visible(Data, ctx.caller),
            *substring(Data.filename, ctx.text("filter")),
        )
        .order_by(*order(ctx, Data, Data.filename, "filename"))
    )
    return listed(ctx, "data", query, lambda rows: data_rows(ctx, rows, iso=True))


def executions(ctx: Context) -> Answer:
    """``/samples/<id>/executions``, with ISO times."""
    row = _own(ctx)
    query = (
        select(Execution)
        .where(
            Execution.sample_id == row.id,
            visible(Execution, ctx.caller),
            *substring(Execution.pipeline_name, ctx.text("filter")),
        )
        .order_by(*order(ctx, Execution, Execution.pipeline_name))
    )
    return listed(ctx, "executions", query, lambda rows: execution_rows(ctx, rows, iso=True))


def sample_rows(
    ctx: Context, rows: Sequence[Sample], *, full: bool = False, bare: bool = False
) -> list[dict[str, Any]]:
    """Rows of a sample list; ``full`` shows all metadata, ``bare`` none."""
    counted = (
        select(Data.sample_id, func.count())
        .where(Data.sample_id.in_([row.id for row in rows]), Data.execution_id.is_(None), Data.removed.is_(None))
        .group_by(Data.sample_id)
    )
    files = counts(ctx, counted)
    shown = []
    for row in rows:
        facts = sample_facts(row)
        kept = {
            key: entry
            for key, entry in facts.metadata.items()
            if full or (key in ATTRIBUTES and ATTRIBUTES[key].in_table)
        }
        shown.append(
            flow_records.sample_row(
                facts,
                can_delete=can_edit(ctx.session, row, ctx.caller),
                paired=files.get(row.id, 0) == 2,
                metadata={} if bare else kept,
            )
        )
    return shown


def search(ctx: Context) -> Answer:
    """``/samples/search``."""
    conditions: list[ColumnElement[bool]] = [
        visible(Sample, ctx.caller),
        *substring(Sample.name, ctx.text("name")),
        *owner_filter(ctx, Sample),
        *times(ctx, Sample),
    ]
    if (organism := ctx.text("organism")) is not None:
        if organism in ORGANISMS:
            conditions.append(Sample.organism == organism)
        elif flow.is_truthy(organism):
            conditions.append(Sample.organism.is_not(None))
        else:
            conditions.append(
                Sample.organism.is_(None) if organism.lower() in ("0", "false", "no") else Sample.id.is_(None)
            )
    if kinds := ctx.texts("sample_types"):
        conditions.append(Sample.sample_type.in_(kinds))
    if (project := ctx.text("project")) is not None:
        named = select(Project.id).where(Project.name.icontains(project, autoescape=True))
        conditions.append(Sample.project_id.in_(named))
    asked = ((identifier, ctx.text(identifier)) for identifier in ATTRIBUTES)
    conditions.extend(_attribute(identifier, value) for identifier, value in asked if value is not None)
    query = select(Sample).where(*conditions).order_by(*order(ctx, Sample, Sample.name))
    full = ctx.flag("full_metadata")
    return listed(ctx, "samples", query, lambda rows: sample_rows(ctx, rows, full=full))


def _attribute(identifier: str, value: str) -> ColumnElement[bool]:
    """A metadata filter: part of the value, or yes and no for having one."""
    having = select(Attribute.sample_id).where(Attribute.identifier == identifier)
    if flow.is_truthy(value):
        return Sample.id.in_(having)
    if value.lower() in ("0", "false", "no"):
        return Sample.id.not_in(having)
    return Sample.id.in_(having.where(Attribute.value.icontains(value, autoescape=True)))


def _used(ctx: Context, column: Any) -> dict[str | None, int]:
    counted = select(column, func.count()).where(visible(Sample, ctx.caller)).group_by(column)
    return counts(ctx, counted)


def _type(identifier: str, used: dict[str | None, int]) -> dict[str, Any]:
    name, description = SAMPLE_TYPES[identifier]
    return {
        "identifier": identifier,
        "name": name,
        "description": description,
        "sample_count": used.get(identifier, 0),
        "attributes": [key for key, entry in ATTRIBUTES.items() if not entry.types or identifier in entry.types],
    }


def types(ctx: Context) -> Answer:
    """``/samples/types``."""
    used = _used(ctx, Sample.sample_type)
    return [_type(identifier, used) for identifier in SAMPLE_TYPES]


def one_type(ctx: Context) -> Answer:
    """``/samples/types/<identifier>``."""
    identifier = ctx.path("identifier")
    if identifier not in SAMPLE_TYPES:
        raise Refusal(404, "Sample type not found")
    return _type(identifier, _used(ctx, Sample.sample_type))


def _links(entry: AttributeType) -> list[dict[str, Any]]:
    return [
        {
            "sample_type_identifier": key,
            "sample_type_name": SAMPLE_TYPES[key][0],
            "required": key in entry.required_for,
            "required_for_public": key in entry.required_for,
        }
        for key in entry.types
    ]


def metadata(ctx: Context) -> Answer:
    """``/samples/metadata``."""
    counted = (
        select(Attribute.identifier, func.count())
        .join(Sample, Sample.id == Attribute.sample_id)
        .where(visible(Sample, ctx.caller))
        .group_by(Attribute.identifier)
    )
    used = counts(ctx, counted)
    return [
        {
            "identifier": key,
            "name": entry.name,
            "description": entry.description,
            "required": False,
            "required_for_public": False,
            "in_table": entry.in_table,
            "has_options": bool(entry.options),
            "all_sample_types": not entry.types,
            "regex_validator": "",
            "is_list": False,
            "allow_user_terms": False,
            "allow_annotation": True,
            "url_pattern": "",
            "order": number,
            "sample_count": used.get(key, 0),
            "sample_type_links": _links(entry),
        }
        for number, (key, entry) in enumerate(ATTRIBUTES.items(), 1)
    ]


def options(ctx: Context) -> Answer:
    """``/samples/metadata/<identifier>/options``: at most 100, without pages."""
    entry = ATTRIBUTES.get(ctx.path("identifier"))
    if entry is None:
        raise Refusal(404, "Metadata attribute not found")
    wanted = (ctx.text("value") or "").lower()
    found = [
        {"id": str(number), "value": value, "validated": True}
        for number, value in enumerate(entry.options, 1)
        if wanted in value.lower()
    ]
    return {"count": len(found), "total_count": len(entry.options), "options": found[:100]}


def organisms(_ctx: Context) -> Answer:
    """``/organisms``."""
    return [_organism(key) for key in ORGANISMS]


def organism(ctx: Context) -> Answer:
    """``/organisms/<id>``."""
    key = ctx.path("id")
    if key not in ORGANISMS:
        raise Refusal(404, "Organism not found")
    return {**_organism(key), "filesets": []}


def _organism(key: str) -> dict[str, Any]:
    name, latin = ORGANISMS[key]
    return {"id": key, "name": name, "latin_name": latin, "latest_fileset": None}


routes = [
    Route("/samples/search", endpoint(search), methods=["GET"]),
    Route("/samples/types", endpoint(types), methods=["GET"]),
    Route("/samples/types/{identifier}", endpoint(one_type), methods=["GET"]),
    Route("/samples/metadata", endpoint(metadata), methods=["GET"]),
    Route("/samples/metadata/{identifier}/options", endpoint(options), methods=["GET"]),
    Route("/samples/{id}/data", endpoint(files), methods=["GET"]),
    Route("/samples/{id}/executions", endpoint(executions), methods=["GET"]),
    Route("/samples/{id}", endpoint(record), methods=["GET"]),
    Route("/organisms", endpoint(organisms), methods=["GET"]),
    Route("/organisms/{id}", endpoint(organism), methods=["GET"]),
]
