"""From database rows to the facts that :mod:`packhorse.wire.flow_records` builds records of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.server.access import EDIT, Caller, Owned, level_on, visible
from packhorse.server.api.catalogue import ATTRIBUTES, DATA_TYPES, ORGANISMS, SAMPLE_TYPES, is_binary_name
from packhorse.server.db.models import Data, Execution, ExecutionOutput, Project, Sample, User
from packhorse.wire import flow_records as wire

__all__ = [
    "can_edit",
    "data_facts",
    "execution_facts",
    "execution_outputs",
    "organism_of",
    "project_facts",
    "sample_facts",
    "sample_files",
    "type_of",
]


def can_edit(session: Session, item: Owned, caller: Caller | None) -> bool:
    """Whether the caller may change this object."""
    return caller is not None and level_on(session, item, caller) >= EDIT


def organism_of(identifier: str | None) -> dict[str, str] | None:
    """An organism's id and name."""
    return None if identifier is None else {"id": identifier, "name": ORGANISMS.get(identifier, (identifier, ""))[0]}


def type_of(identifier: str) -> dict[str, str]:
    """A sample type's identifier, name and description."""
    name, description = SAMPLE_TYPES.get(identifier, (identifier, ""))
    return {"identifier": identifier, "name": name, "description": description}


def _owner(user: User) -> wire.OwnerFacts:
    return wire.OwnerFacts(user.username, user.name)


def data_facts(row: Data) -> wire.DataFacts:
    """The facts of a data row."""
    kind = DATA_TYPES.get(row.data_type or "")
    named = {"identifier": row.data_type or "", "name": kind[0], "description": kind[1]} if kind else None
    return wire.DataFacts(
        id=str(row.id),
        filename=row.filename,
        size=row.file.size,
        created=row.created,
        md5=row.file.md5,
        sha256=row.file.sha256,
        private=row.private,
        category=row.category,
        owner=_owner(row.owner),
        binary=is_binary_name(row.filename),
        data_type=named,
        sample=(str(row.sample.id), row.sample.name) if row.sample else None,
        project=(str(row.project.id), row.project.name) if row.project else None,
        execution=(str(row.execution.id), row.execution.pipeline_name) if row.execution else None,
    )


def sample_facts(row: Sample) -> wire.SampleFacts:
    """The facts of a sample row."""
    metadata = {}
    for entry in row.attributes:
        known = ATTRIBUTES.get(entry.identifier)
        metadata[entry.identifier] = {
            "name": known.name if known else entry.identifier,
            "description": known.description if known else "",
            "value": entry.value,
            "annotation": entry.annotation,
        }
    return wire.SampleFacts(
        id=str(row.id),
        name=row.name,
        created=row.created,
        private=row.private,
        owner=_owner(row.owner),
        sample_type=type_of(row.sample_type),
        organism=organism_of(row.organism),
        project=(str(row.project.id), row.project.name) if row.project else None,
        pubmed=row.pubmed,
        metadata=metadata,
    )


def project_facts(row: Project) -> wire.ProjectFacts:
    """The facts of a project row."""
    return wire.ProjectFacts(str(row.id), row.name, row.description, row.created, row.private, _owner(row.owner))


def execution_facts(row: Execution) -> wire.ExecutionFacts:
    """The facts of an execution row."""
    return wire.ExecutionFacts(
        id=str(row.id),
        identifier=row.identifier,
        pipeline_name=row.pipeline_name,
        pipeline_version=row.pipeline_version,
        nextflow_version=row.nextflow_version,
        status=row.status,
        created=row.created,
        started=row.started,
        finished=row.finished,
        private=row.private,
        owner=_owner(row.owner),
        command=row.command,
        params=row.params,
        sample=(str(row.sample.id), row.sample.name) if row.sample else None,
        project=(str(row.project.id), row.project.name) if row.project else None,
    )


def sample_files(session: Session, samples: Sequence[int], caller: Caller | None) -> dict[int, list[wire.DataFacts]]:
    """The input files of samples that the caller may read, in order, by sample."""
    found: dict[int, list[wire.DataFacts]] = {sample: [] for sample in samples}
    rows = session.scalars(
        select(Data)
        .where(Data.sample_id.in_(samples), Data.execution_id.is_(None), Data.removed.is_(None), visible(Data, caller))
        .order_by(Data.position, Data.id)
    )
    for row in rows:
        if row.sample_id is not None:
            found[row.sample_id].append(data_facts(row))
    return found


def execution_outputs(
    session: Session, executions: Iterable[int], caller: Caller | None
) -> dict[int, list[tuple[str, wire.DataFacts]]]:
    """The results of executions that the caller may read, by path, by execution."""
    found: dict[int, list[tuple[str, wire.DataFacts]]] = {execution: [] for execution in executions}
    rows = session.scalars(
        select(ExecutionOutput)
        .join(Data, Data.id == ExecutionOutput.data_id)
        .where(ExecutionOutput.execution_id.in_(list(found)), Data.removed.is_(None), visible(Data, caller))
        .order_by(ExecutionOutput.path)
    )
    for row in rows:
        found[row.execution_id].append((row.path, data_facts(row.data)))
    return found
