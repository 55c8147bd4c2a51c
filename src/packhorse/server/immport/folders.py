"""The data browser's folders: what is at a path, and which files lie below it (spec immport §3.1, §3.2).

Folders are not kept: they are what the paths of the files say. A study that has no file yet is an empty folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select, true
from sqlalchemy.orm import Session

from packhorse.errors import NotFoundError, PermissionDeniedError
from packhorse.server import access
from packhorse.server.db.immport import Study
from packhorse.server.db.models import StoredFile, StudyFile
from packhorse.server.immport.access import may_see, visible_studies
from packhorse.wire.immport.paths import study_of

__all__ = ["Place", "check_path_access", "files_at", "list_folder"]


@dataclass(frozen=True, slots=True)
class Place:
    """A file or a folder. ``size`` in bytes (of a folder: of all files below it); ``modified`` in Unix seconds;
    ``files`` is how many lie below a folder, ``None`` for a file."""

    path: str
    size: int
    modified: int
    files: int | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def check_path_access(session: Session, caller: access.Caller | None, path: str) -> None:
    """Whether the caller may know what is at a checked path. Raises :class:`NotFoundError` for a study that is not
    here, :class:`PermissionDeniedError` for a restricted one."""
    accession = study_of(path)
    if accession is None or may_see(session, caller, accession):
        return
    if session.get(Study, accession) is None:
        raise NotFoundError(f"there is no study {accession} on this server")
    raise PermissionDeniedError(f"the study {accession} is restricted", status=403)


def files_at(session: Session, caller: access.Caller | None, path: str) -> list[StudyFile]:
    """The file at a checked path, or every file below the folder there, by path, that the caller may read.

    Raises as :func:`check_path_access`, and :class:`NotFoundError` when nothing is there.
    """
    check_path_access(session, caller, path)
    row = session.get(StudyFile, path)
    if row is not None:
        return [row]
    found = session.scalars(select(StudyFile).where(_below(session, path)).order_by(StudyFile.path))
    rows = [row for row in _exact(found, path) if _shown(session, caller, row.path, path)]
    if not rows and not _is_study(session, path):
        raise NotFoundError(f"there is no file or folder {path or '/'}")
    return rows


def list_folder(session: Session, caller: access.Caller | None, path: str) -> tuple[Place, list[Place]]:
    """What is at a checked path, and, of a folder, what is in it (one level): folders first, then files, by name.

    Raises as :func:`files_at`.
    """
    check_path_access(session, caller, path)
    file = session.get(StudyFile, path) if path else None
    if file is not None:
        return Place(path, file.file.size, file.modified), []
    rows = session.execute(
        select(StudyFile.path, StoredFile.size, StudyFile.modified)
        .join(StoredFile, StoredFile.id == StudyFile.file_id)
        .where(_below(session, path))
    ).all()
    start = len(path) + 1 if path else 0
    seen = set(session.scalars(select(Study.accession).where(visible_studies(session, caller)))) if not path else set()
    folders: dict[str, Place] = {}
    files: list[Place] = []
    for full, size, modified in rows:
        if path and not full.startswith(path + "/"):  # LIKE knows no case on some databases
            continue
        accession = study_of(full) if not path else None
        if accession is not None and accession not in seen:
            continue
        name, slash, _ = full[start:].partition("/")
        at = full[:start] + name
        if not slash:
            files.append(Place(full, size, modified))
            continue
        before = folders.get(at, Place(at, 0, 0, 0))
        folders[at] = Place(at, before.size + size, max(before.modified, modified), (before.files or 0) + 1)
    for accession in seen:
        folders.setdefault(accession, Place(accession, 0, 0, 0))
    inside = [*sorted(folders.values(), key=_by_path), *sorted(files, key=_by_path)]
    if not inside and path and not _is_study(session, path):
        raise NotFoundError(f"there is no file or folder {path}")
    return _summed(path, inside), inside


def _summed(path: str, inside: Iterable[Place]) -> Place:
    size = modified = count = 0
    for place in inside:
        size, modified = size + place.size, max(modified, place.modified)
        count += 1 if place.files is None else place.files
    return Place(path, size, modified, count)


def _by_path(place: Place) -> str:
    return place.path


def _below(session: Session, path: str) -> ColumnElement[bool]:
    if not path:
        return true()
    if (
        session.get_bind().dialect.name == "sqlite"
    ):  # there texts compare by their bytes, so that the key's index serves
        return and_(StudyFile.path > path + "/", StudyFile.path < path + "0")
    return StudyFile.path.startswith(path + "/", autoescape=True)


def _exact(rows: Iterable[StudyFile], path: str) -> Iterable[StudyFile]:
    return (row for row in rows if not path or row.path.startswith(path + "/"))


def _shown(session: Session, caller: access.Caller | None, full: str, asked: str) -> bool:
    """Below the root every study counts by itself; below a study it was asked already."""
    accession = study_of(full)
    return bool(asked) or accession is None or may_see(session, caller, accession)


def _is_study(session: Session, path: str) -> bool:
    return study_of(path) == path and session.get(Study, path) is not None
