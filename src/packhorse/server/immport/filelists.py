"""The files of a study: those that its tables name and those whose bytes are here (spec immport §2.5, §3.1)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, select, union
from sqlalchemy.orm import Session

from packhorse.errors import UsageError
from packhorse.server.db.immport import RELEASE, Study
from packhorse.server.db.models import StoredFile, StudyFile
from packhorse.wire.immport import paths
from packhorse.wire.immport.ids import file_uuid

__all__ = ["FILE_TYPES", "ListedFile", "study_files"]

FILE_TYPES: Final = ("archive_file", "release_file", "study_file", "protocol_file", "result_file", "zip_file")
"""The kinds of a manifest; ``all`` is every one of them."""
_FOLDERS: Final = {
    paths.STUDY_FILES: "study_file",
    paths.PROTOCOLS: "protocol_file",
    paths.RESULT_FILES: "result_file",
}


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file. ``path`` has no leading slash; ``md5`` and ``modified`` (Unix seconds) are known of stored bytes."""

    path: str
    kind: str
    accession: str | None
    name: str
    size: int | None
    md5: str | None = None
    modified: int | None = None
    workspace: str | None = None

    @property
    def uuid(self) -> str:
        return file_uuid(self.path)

    @property
    def number(self) -> int:
        """A stable number for what packages give none: 48 bits, which every JSON reader keeps."""
        return uuid.UUID(self.uuid).int >> 80


def study_files(session: Session, study: Study, kind: str = "all") -> Iterator[ListedFile]:
    """The files of a study of one kind, each once, by path; names that cannot be a path are left out."""
    accession = study.accession
    below = StudyFile.path.startswith(f"{accession}/", autoescape=True)
    asked = select(StudyFile.path, StoredFile.md5, StoredFile.size, StudyFile.modified).join(
        StoredFile, StoredFile.id == StudyFile.file_id
    )
    held = {path: (md5, size, modified) for path, md5, size, modified in session.execute(asked.where(below))}
    listed: dict[str, ListedFile] = {}
    for each in _named(session, study, kind):
        if each.path in held:
            md5, size, modified = held[each.path]
            each = ListedFile(  # noqa: PLW2901 - the same file, with what its bytes tell
                each.path, each.kind, each.accession, each.name, size, md5, modified, each.workspace
            )
        listed.setdefault(each.path, each)
    for path, (md5, size, modified) in held.items():
        of_kind = _kind_of(path)
        if path not in listed and kind in ("all", of_kind):
            listed[path] = ListedFile(path, of_kind, None, path.rpartition("/")[2], size, md5, modified)
    yield from (listed[path] for path in sorted(listed))


def _kind_of(path: str) -> str:
    """What a stored file is, by where it stands."""
    _, _, rest = path.partition("/")
    folder, below, _ = rest.partition("/")
    if below and folder in _FOLDERS:
        return _FOLDERS[folder]
    if rest.endswith("_ALL_DATA.zip"):
        return "zip_file"
    return "archive_file" if re.fullmatch(r"SDY\d+-DR[\d.]+\.zip", rest, re.ASCII) else "release_file"


def _named(session: Session, study: Study, kind: str) -> Iterator[ListedFile]:
    package, accession = study.package_id, study.accession
    if kind in ("all", "study_file"):
        table = RELEASE["study_file"]
        asked = select(table.c.study_file_accession, table.c.file_name, table.c.workspace_id).where(
            table.c.package_id == package, table.c.study_accession == accession, table.c.file_name.is_not(None)
        )
        for number, name, workspace in session.execute(asked.order_by(table.c.line)):
            yield from _listed("study_file", number, name, None, workspace, paths.study_file_path, accession)
    if kind in ("all", "protocol_file"):
        link, protocol = RELEASE["study_2_protocol"], RELEASE["protocol"]
        asked = (
            select(protocol.c.protocol_accession, protocol.c.file_name, protocol.c.workspace_id)
            .join(link, _same(package, link, protocol, "protocol_accession"))
            .where(protocol.c.package_id == package, link.c.study_accession == accession)
            .where(protocol.c.file_name.is_not(None))
        )
        for number, name, workspace in session.execute(asked.order_by(protocol.c.line)):
            yield from _listed("protocol_file", number, name, None, workspace, paths.protocol_path, accession)
    if kind in ("all", "result_file"):
        yield from _result_files(session, package, accession)


def _listed(
    kind: str, number: str | None, name: str, size: int | None, workspace: str | None, place: Any, accession: str
) -> Iterator[ListedFile]:
    try:
        yield ListedFile(place(accession, name), kind, number, name, size, None, None, workspace)
    except UsageError:
        return


def _same(package: int, one: Any, other: Any, column: str) -> ColumnElement[bool]:
    return and_(one.c.package_id == package, one.c[column] == other.c[column])


def _result_files(session: Session, package: int, accession: str) -> Iterator[ListedFile]:
    """Every file that a sample, control, standard curve or assessment of the study is linked with."""
    file, experiment = RELEASE["file_info"], RELEASE["experiment"]
    linked = []
    for name in ("expsample", "control_sample", "standard_curve"):
        link, source = RELEASE[f"{name}_2_file_info"], RELEASE[name]
        linked.append(
            select(link.c.file_info_id)
            .join(source, _same(package, source, link, f"{name}_accession"))
            .join(experiment, _same(package, experiment, source, "experiment_accession"))
            .where(link.c.package_id == package, experiment.c.study_accession == accession)
        )
    link, panel = RELEASE["assessment_2_file_info"], RELEASE["assessment_panel"]
    linked.append(
        select(link.c.file_info_id)
        .join(panel, _same(package, panel, link, "assessment_panel_accession"))
        .where(link.c.package_id == package, panel.c.study_accession == accession)
    )
    asked = select(file.c.file_info_id, file.c.name, file.c.detail, file.c.filesize_bytes, file.c.workspace_id).where(
        file.c.package_id == package, file.c.file_info_id.in_(union(*linked)), file.c.name.is_not(None)
    )
    for number, name, detail, size, workspace in session.execute(asked.order_by(file.c.line)):
        known = int(size) if size and size.isascii() and size.isdigit() and len(size) < 19 else None
        yield from _listed(
            "result_file", number, name, known, workspace, lambda a, n, d=detail: paths.result_path(a, d, n), accession
        )
