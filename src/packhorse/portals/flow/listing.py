"""What files a Flow record holds: this server's members and the live service's endpoints, as one (spec flow §6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from packhorse.errors import NotFoundError
from packhorse.portals.ahead import ahead
from packhorse.portals.flow.api import FlowApi
from packhorse.portals.flow.rows import file_row, record_id, rows_of

__all__ = ["project_samples", "sample_files", "whole_samples", "with_digests"]

_BATCH: Final = 64
Row = Mapping[str, Any]


async def sample_files(api: FlowApi, sample: Row) -> list[Row]:
    """A sample's files: its ``data``, else every input and output of ``/samples/<id>/data``, else its filesets."""
    rows = rows_of(sample, "data")
    if rows is not None:
        return rows
    sample_id = record_id(sample.get("id"), "sample")
    try:
        rows = [row async for row in api.pages(f"samples/{sample_id}/data", "data")]
    except NotFoundError:
        rows = []  # that endpoint demands the sample itself to be public; its filesets came with the record
    if not rows:
        rows = [row for fileset in rows_of(sample, "filesets") or () for row in rows_of(fileset, "data") or ()]
    return rows


async def project_samples(api: FlowApi, project: Row) -> AsyncIterator[Row]:
    """A project's samples, each with enough to ask :func:`sample_files`."""
    rows = rows_of(project, "samples")
    if rows is not None:
        for row in rows:
            yield row
        return
    project_id = record_id(project.get("id"), "project")
    async for row in api.pages(f"projects/{project_id}/samples", "samples"):
        yield row


def whole_samples(api: FlowApi, project: Row) -> AsyncIterator[tuple[Row, list[Row]]]:
    """A project's samples with their files. A trimmed row (the live service) is exchanged for its record."""

    async def whole(row: Row) -> tuple[Row, list[Row]]:
        if rows_of(row, "data") is None and rows_of(row, "filesets") is None:
            row = await api.record(f"samples/{record_id(row.get('id'), 'sample')}")
        return row, await sample_files(api, row)

    return ahead(project_samples(api, project), whole)


async def with_digests(api: FlowApi, rows: Sequence[Row]) -> list[Row]:
    """The rows with the digests that the server states in ``/data/<id>`` only.

    One record is looked at first: where it states none (the live service), no others are asked for.
    """
    poor = [row for row in rows if _lacks_digest(row)]
    if not poor or api.states_digests is False:
        return list(rows)
    first = await api.maybe_record(f"data/{record_id(poor[0].get('id'), 'data file')}")
    if first is None:
        return list(rows)
    api.states_digests = bool(file_row({"filename": "x", **first}).digests)
    if not api.states_digests:
        return list(rows)
    asked = poor[1:]
    records = {id(poor[0]): first}
    for start in range(0, len(asked), _BATCH):
        batch = asked[start : start + _BATCH]
        paths = [f"data/{record_id(row.get('id'), 'data file')}" for row in batch]
        found = await asyncio.gather(*(api.maybe_record(path) for path in paths))
        records.update((id(row), record) for row, record in zip(batch, found, strict=True) if record is not None)
    more = {
        key: {name: record[name] for name in ("md5", "sha256", "size") if record.get(name) is not None}
        for key, record in records.items()
    }
    return [{**more.get(id(row), {}), **{k: v for k, v in row.items() if v is not None}} for row in rows]


def _lacks_digest(row: Row) -> bool:
    return row.get("id") is not None and not file_row(row).digests
