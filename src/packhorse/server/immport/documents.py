"""A package's own files: protocols, study documents, images, and the package itself, as files of the study."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.server.db.files import record_file
from packhorse.server.db.models import StudyFile
from packhorse.server.immport.archive import Member, PackageFiles
from packhorse.server.immport.files import NamedFile
from packhorse.server.immport.report import ImportReport
from packhorse.server.storage import StoredFacts
from packhorse.server.storage.disk import DiskStorage
from packhorse.wire.immport.paths import package_path

__all__ = ["attach", "keep_documents", "keep_package", "withdraw"]

_BLOCK: Final = 4 << 20


def attach(session: Session, path: str, facts: StoredFacts) -> None:
    """Give a study's path these bytes, instead of those that it had."""
    file_id = record_file(session, facts).id
    row = session.get(StudyFile, path)
    if row is None:
        session.add(StudyFile(path=path, file_id=file_id, modified=int(facts.modified)))
    else:
        row.file_id, row.modified = file_id, int(facts.modified)
    session.flush()


def withdraw(session: Session, accession: str, paths: Iterable[str]) -> list[str]:
    """Take away paths that a newer release does not name any more, and earlier releases' packages; which they were."""
    packages = select(StudyFile.path).where(StudyFile.path.startswith(f"{accession}/{accession}-", autoescape=True))
    gone = [*session.scalars(packages)]
    gone += [path for path in paths if session.get(StudyFile, path) is not None]
    for path in gone:
        session.delete(session.get_one(StudyFile, path))
    session.flush()
    return sorted(gone)


def keep_documents(
    session: Session,
    storage: DiskStorage,
    members: tuple[Member, ...],
    named: Mapping[str, NamedFile],
    report: ImportReport,
) -> None:
    """Store the package's documents under the paths of the study that its tables give them by name."""
    paths = {file.name: file.path for file in named.values() if file.kind != "result"}
    for member in members:
        path = paths.get(member.name)
        if path is not None:
            attach(session, path, storage.put(member.blocks(), modified=member.modified))
            report.documents.append(path)
        elif len(report.studies) == 1:
            report.warn(f"{member.path} is in no table; it was left out")


def keep_package(
    session: Session, storage: DiskStorage, files: PackageFiles, accession: str, report: ImportReport
) -> None:
    """Offer the package itself among the study's files; a folder is no file and cannot be."""
    if files.zip is None:
        report.warn(f"{files.name} is a folder: {package_path(accession, report.release)} is not offered")
        return
    path = package_path(accession, report.release)
    attach(session, path, storage.put(_blocks(files.zip), modified=files.zip.stat().st_mtime))
    report.documents.append(path)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            yield block
