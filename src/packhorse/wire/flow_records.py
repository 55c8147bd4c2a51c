"""Flow's records, built exactly (spec flow §6). Ids are strings, times are Unix seconds unless said otherwise.

Beyond what the live service sends, a data record has ``md5``, ``sha256`` and ``download_url``, a sample ``data``, a
project ``samples``, an execution ``outputs``: the guide reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from packhorse.wire.flow import download_path, execution_path

__all__ = [
    "DataFacts",
    "ExecutionFacts",
    "OwnerFacts",
    "ProjectFacts",
    "SampleFacts",
    "data_brief",
    "data_record",
    "data_row",
    "execution_output",
    "execution_record",
    "execution_row",
    "filetype_of",
    "iso_time",
    "project_record",
    "project_row",
    "sample_record",
    "sample_row",
]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OwnerFacts:
    """Whom an object belongs to."""

    username: str
    name: str


@dataclass(frozen=True, slots=True)
class DataFacts:
    """One data file. ``sample``, ``project`` are (id, name); ``execution`` is (id, pipeline name)."""

    id: str
    filename: str
    size: int
    created: int
    md5: str
    sha256: str
    private: bool
    category: int
    owner: OwnerFacts
    binary: bool
    data_type: Mapping[str, str] | None = None
    sample: tuple[str, str] | None = None
    project: tuple[str, str] | None = None
    execution: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """One sample. ``metadata`` maps identifiers to the attribute's name, description, value and annotation."""

    id: str
    name: str
    created: int
    private: bool
    owner: OwnerFacts
    sample_type: Mapping[str, str]
    organism: Mapping[str, str] | None
    project: tuple[str, str] | None
    pubmed: str
    metadata: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """One project."""

    id: str
    name: str
    description: str
    created: int
    private: bool
    owner: OwnerFacts


@dataclass(frozen=True, slots=True)
class ExecutionFacts:
    """One run of a pipeline."""

    id: str
    identifier: str
    pipeline_name: str
    pipeline_version: str
    nextflow_version: str
    status: str
    created: int
    started: int | None
    finished: int | None
    private: bool
    owner: OwnerFacts
    command: str = ""
    params: Mapping[str, Any] | None = None
    sample: tuple[str, str] | None = None
    project: tuple[str, str] | None = None


def iso_time(seconds: int) -> str:
    """ISO-8601 with offset, as two of Flow's lists want it.

    >>> iso_time(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def filetype_of(filename: str) -> str:
    """The file's type by its name, compression included.

    >>> filetype_of("a.fastq.gz"), filetype_of("b.html"), filetype_of("README")
    ('fastq.gz', 'html', '')
    """
    stem, dot, last = filename.rpartition(".")
    if not dot:
        return ""
    inner = stem.rpartition(".")[2] if last.lower() in ("gz", "bz2", "xz", "zst") and "." in stem else ""
    return (f"{inner}.{last}" if inner else last).lower()


def _pair(pair: tuple[str, str] | None) -> Json | None:
    return None if pair is None else {"id": pair[0], "name": pair[1]}


def _owner(owner: OwnerFacts) -> Json:
    return {"username": owner.username, "name": owner.name, "image": None}


def data_brief(data: DataFacts) -> Json:
    """A data file inside another record."""
    return {
        "id": data.id,
        "filename": data.filename,
        "size": data.size,
        "md5": data.md5,
        "sha256": data.sha256,
        "download_url": download_path(data.id, data.filename),
    }


def data_record(data: DataFacts, *, can_edit: bool) -> Json:
    """``/data/<id>`` (§6.2)."""
    execution = None
    if data.execution is not None:
        execution = {
            "id": data.execution[0],
            "pipeline_name": data.execution[1],
            "process_name": "",
            "process_command": "",
        }
    return {
        **data_brief(data),
        "filetype": filetype_of(data.filename),
        "is_binary": data.binary,
        "is_directory": False,
        "created": data.created,
        "category": data.category,
        "data_type": dict(data.data_type) if data.data_type else None,
        "private": data.private,
        "owner": _owner(data.owner),
        "group_owner": None,
        "paired": None,
        "fileset": None,
        "execution": execution,
        "sample": _pair(data.sample),
        "project": _pair(data.project),
        "can_edit": can_edit,
    }


def data_row(data: DataFacts, *, can_delete: bool, iso: bool = False) -> Json:
    """A row of a data list (§6.1, §6.2)."""
    return {
        **data_brief(data),
        "created": iso_time(data.created) if iso else data.created,
        "pipeline_name": data.execution[1] if data.execution else None,
        "process_execution_name": None,
        "sample_name": data.sample[1] if data.sample else None,
        "owner_name": data.owner.name,
        "can_delete": can_delete,
    }


def sample_record(sample: SampleFacts, data: Sequence[DataFacts], *, can_edit: bool) -> Json:
    """``/samples/<id>`` (§6.1), with the flat ``data`` that the guide reads."""
    files = [data_brief(one) for one in data]
    return {
        "id": sample.id,
        "name": sample.name,
        "created": sample.created,
        "private": sample.private,
        "can_edit": can_edit,
        "pubmed": sample.pubmed,
        "sample_type": sample.sample_type["identifier"],
        "metadata": {
            identifier: {
                "attribute_name": entry["name"],
                "attribute_description": entry["description"],
                "is_list": False,
                "url_pattern": "",
                "value": entry["value"],
                "annotation": entry["annotation"],
            }
            for identifier, entry in sample.metadata.items()
        },
        "organism": dict(sample.organism) if sample.organism else None,
        "filesets": [{"id": sample.id, "created": sample.created, "data": files}] if files else [],
        "data": files,
        "owner": _owner(sample.owner),
        "group_owner": None,
        "project": _pair(sample.project),
    }


def sample_row(
    sample: SampleFacts, *, can_delete: bool, paired: bool, metadata: Mapping[str, Mapping[str, str]]
) -> Json:
    """A row of a sample list; ``metadata`` is what the list shows of it."""
    return {
        "id": sample.id,
        "name": sample.name,
        "created": sample.created,
        "private": sample.private,
        "can_delete": can_delete,
        "organism": dict(sample.organism) if sample.organism else None,
        "sample_type": {"identifier": sample.sample_type["identifier"], "name": sample.sample_type["name"]},
        "metadata": {
            identifier: {"attribute_name": entry["name"], "value": entry["value"], "annotation": entry["annotation"]}
            for identifier, entry in metadata.items()
        },
        "project_name": sample.project[1] if sample.project else None,
        "owner_name": sample.owner.name,
        "is_paired": paired,
    }


def project_record(
    project: ProjectFacts, samples: Sequence[tuple[str, str, Sequence[DataFacts]]], *, can_edit: bool
) -> Json:
    """``/projects/<id>`` (§6.3), with the ``samples`` (id, name, data) that the guide reads."""
    return {
        "id": project.id,
        "name": project.name,
        "created": project.created,
        "description": project.description,
        "private": project.private,
        "can_edit": can_edit,
        "owner": _owner(project.owner),
        "group_owner": None,
        "papers": [],
        "samples": [
            {"id": key, "name": name, "data": [data_brief(one) for one in data]} for key, name, data in samples
        ],
    }


def project_row(project: ProjectFacts, *, sample_count: int, execution_count: int) -> Json:
    """A row of a project list. ``description`` is never null: the v2 client's model refuses that."""
    return {
        "id": project.id,
        "name": project.name,
        "created": project.created,
        "private": project.private,
        "description": project.description,
        "sample_count": sample_count,
        "execution_count": execution_count,
        "owner_name": project.owner.name,
    }


def execution_output(execution_id: str, path: str, data: DataFacts) -> Json:
    """One result: ``filename`` is its path in the execution's folder, which the guide prints and asks for.

    ``download_url`` is the execution's own path; ``data_url`` the same bytes as a data file.
    """
    return {
        **data_brief(data),
        "filename": path,
        "path": path,
        "filetype": filetype_of(path),
        "download_url": execution_path(execution_id, path),
        "data_url": download_path(data.id, data.filename),
    }


def execution_row(execution: ExecutionFacts, *, can_delete: bool, iso: bool = False) -> Json:
    """A row of an execution list (§6.5)."""

    def shown(seconds: int | None) -> int | str | None:
        return iso_time(seconds) if iso and seconds is not None else seconds

    return {
        "id": execution.id,
        "identifier": execution.identifier,
        "pipeline_name": execution.pipeline_name,
        "pipeline_version": execution.pipeline_version,
        "created": shown(execution.created),
        "started": shown(execution.started),
        "finished": shown(execution.finished),
        "status": execution.status,
        "can_delete": can_delete,
        "retries": None,
        "retried_by": [],
        "fileset": None,
        "sample_name": execution.sample[1] if execution.sample else None,
        "owner_name": execution.owner.name,
    }


def execution_record(execution: ExecutionFacts, outputs: Sequence[tuple[str, DataFacts]], *, log: str) -> Json:
    """``/executions/<id>`` (§6.5): results as the live service nests them, and flat in ``outputs``."""
    downstream = [
        {
            "id": data.id,
            "filename": data.filename,
            "filetype": filetype_of(data.filename),
            "size": data.size,
            "created": data.created,
        }
        for _, data in outputs
    ]
    step = {
        "id": execution.id,
        "name": execution.pipeline_name,
        "process_name": execution.pipeline_name,
        "status": "COMPLETED",
        "started": execution.started,
        "finished": execution.finished,
        "downstream_data": downstream,
        "upstream_data": [],
    }
    return {
        "id": execution.id,
        "identifier": execution.identifier,
        "uuid": None,
        "status": execution.status,
        "created": execution.created,
        "started": execution.started,
        "finished": execution.finished,
        "private": execution.private,
        "nextflow_version": execution.nextflow_version,
        "stdout": "",
        "stderr": "",
        "log": log,
        "command": execution.command,
        "params": dict(execution.params or {}),
        "data_params": {},
        "csv_params": {},
        "pipeline": {"name": execution.pipeline_name, "version": execution.pipeline_version},
        "sample": _pair(execution.sample),
        "project": _pair(execution.project),
        "fileset": None,
        "owner": _owner(execution.owner),
        "group_owner": None,
        "retries": None,
        "retried_by": [],
        "process_executions": [step],
        "outputs": [execution_output(execution.id, path, data) for path, data in outputs],
    }
