"""Study data: ``/data/query/api/study/…`` (spec immport §2.5)."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.server.api.immport.core import Context, Refusal, check_study_access, endpoint
from packhorse.server.api.immport.results import PREFIXES
from packhorse.server.api.immport.rows import answer_list, answer_rows, answer_value, one_value, rows_for
from packhorse.server.db.immport import Study
from packhorse.server.immport.filelists import FILE_TYPES, ListedFile, study_files
from packhorse.server.immport.studydata import STUDY_QUERIES, study_select
from packhorse.server.immport.summaries import study_summary
from packhorse.wire.immport import paths
from packhorse.wire.immport.layout import Rows
from packhorse.wire.immport.models import MODELS
from packhorse.wire.immport.queries import QUERIES

__all__ = ["routes", "rows_of"]

_PART: Final = 1000
_FILE_LISTS: Final = {
    "filePath": "all",
    "filePath/studyFiles": "study_file",
    "filePath/protocolFiles": "protocol_file",
    "filePath/resultFiles": "result_file",
}


def rows_of(session: Session, rows: Rows, asked: Any) -> Iterator[bytes]:
    """The records of a statement that gives the members in order."""
    frame = rows.frame()
    for part in session.execute(asked.execution_options(yield_per=_PART)).partitions(_PART):
        for row in part:
            yield rows.record(frame, row)


def _study(ctx: Context) -> ASGIApp:
    return _rows(ctx, "")


def _named(ctx: Context) -> ASGIApp:
    name = ctx.path("name")
    if name in STUDY_QUERIES:
        return _rows(ctx, name)
    if name in _FILE_LISTS:
        return _files(ctx, _FILE_LISTS[name])
    if name == "manifest":
        return _manifest(ctx)
    if name == "summary":
        summary = study_summary(ctx.session, check_study_access(ctx, ctx.path("accession")))
        return answer_value({member: summary[member] for member in MODELS["StudySummary"].names})
    known = [*STUDY_QUERIES, *_FILE_LISTS, "manifest", "summary"]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    raise Refusal(404, f"There is no study data named {name[:60]!r}{meant}")


def _rows(ctx: Context, name: str) -> ASGIApp:
    study = check_study_access(ctx, ctx.path("accession"))
    model = QUERIES[f"study/{name}" if name else "study"].model
    assert model is not None
    rows = rows_for(ctx.request, model.members)
    return answer_rows(ctx, rows, lambda session: rows_of(session, rows, study_select(name, study)))


def _some_files(ctx: Context) -> ASGIApp:
    name = f"filePath/{ctx.path('part')}"
    if name not in _FILE_LISTS:
        raise Refusal(404, "A study's files are at filePath, filePath/studyFiles, …/protocolFiles and …/resultFiles")
    return _files(ctx, _FILE_LISTS[name])


def _files(ctx: Context, kind: str) -> ASGIApp:
    study = check_study_access(ctx, ctx.path("accession"))
    members = MODELS["StudyFileDetailsApi"].members
    return answer_list(
        ctx,
        members,
        (
            (file.number, file.md5, study.accession, file.kind, file.accession, file.name, paths.with_slash(file.path))
            for file in study_files(ctx.session, study, kind)
        ),
    )


def _manifest(ctx: Context) -> ASGIApp:
    study = check_study_access(ctx, ctx.path("accession"))
    kind = one_value(ctx, "fileType") or "all"
    if kind != "all" and kind not in FILE_TYPES:
        near = difflib.get_close_matches(kind, FILE_TYPES, n=1, cutoff=0.5)
        meant = f"; did you mean {near[0]}?" if near else f": all, {', '.join(FILE_TYPES)}"
        raise Refusal(400, f"There is no fileType {kind[:60]!r}{meant}")
    members = MODELS["FileDetails"].members
    records = (_details(study, file) for file in study_files(ctx.session, study, kind))
    return answer_list(ctx, members, ([record.get(member.name) for member in members] for record in records))


def _details(study: Study, file: ListedFile) -> dict[str, Any]:
    updated = None
    if file.modified is not None:
        updated = time.strftime("%Y-%m-%dT%H:%M:%S.000+00:00", time.gmtime(file.modified))
    return {
        "fileDetailsId": file.number,
        "generatedMD5": file.md5,
        "studyAccession": study.accession,
        "filesizeBytes": file.size,
        "fileType": file.kind,
        "fileAccession": file.accession,
        "fileName": file.name,
        "path": file.path,
        "dateFileUpdated": updated,
        "fileUUID": file.uuid,
        "drsObjectCreated": "N" if file.md5 is None else "Y",
        "workspaceId": file.workspace,
    }


def _restricted(ctx: Context) -> ASGIApp:
    asked = select(Study.accession).where(Study.restricted).order_by(Study.number)
    return answer_value(list(ctx.session.scalars(asked)))


def _routes() -> list[Route]:
    found: list[Route] = []
    for prefix in PREFIXES:
        base = f"{prefix}/api/study"
        for path, handler in (
            ("getRestrictedStudyAccessions", _restricted),
            ("{accession}", _study),
            ("{name}/{accession}", _named),
            ("filePath/{part}/{accession}", _some_files),
        ):
            found.append(Route(f"{base}/{path}", endpoint(handler, scope="browse"), methods=["GET"]))
    return found


routes: list[Route] = _routes()
