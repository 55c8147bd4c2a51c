"""The files of a study: those that its tables name and those whose bytes are here (spec immport §2.5, §3.1)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from packhorse.server.db.immport import RELEASE, Study
from packhorse.server.db.models import StoredFile, StudyFile
from packhorse.server.immport.files import named_files
from packhorse.wire.immport import paths
from packhorse.wire.immport.fileids import file_uuid

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
    """The files of a study of one kind, each once, by path."""
    accession = study.accession
    below = StudyFile.path.startswith(f"{accession}/", autoescape=True)
    asked = select(StudyFile.path, StoredFile.md5, StoredFile.size, StudyFile.modified).join(
        StoredFile, StoredFile.id == StudyFile.file_id
    )
    held = {path: (md5, size, modified) for path, md5, size, modified in session.execute(asked.where(below))}
    alone = session.scalar(select(func.count()).where(Study.package_id == study.package_id)) == 1
    table = RELEASE["study"]
    workspace = session.scalar(
        select(table.c.workspace_id).where(
            table.c.package_id == study.package_id, table.c.study_accession == study.accession
        )
    )
    listed: dict[str, ListedFile] = {}
    for path, each in named_files(session, study, only=alone).items():
        if kind in ("all", f"{each.kind}_file"):
            md5, size, modified = held.get(path, (None, each.size, None))
            found = (f"{each.kind}_file", each.accession, each.name, size, md5, modified, workspace)
            listed[path] = ListedFile(path, *found)
    for path, (md5, size, modified) in held.items():
        of_kind = _kind_of(path)
        if path not in listed and kind in ("all", of_kind):
            listed[path] = ListedFile(path, of_kind, None, path.rpartition("/")[2], size, md5, modified, workspace)
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
