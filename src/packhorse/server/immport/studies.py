"""The studies that are served: listing them, and taking one out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from packhorse.errors import NotFoundError
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.immport import RELEASE, Package, Study
from packhorse.server.db.models import Share, StudyFile
from packhorse.server.immport import AFTER_IMPORT
from packhorse.server.immport.packages import drop_rows
from packhorse.wire.immport.filters import check_study

__all__ = ["StudyEntry", "drop_study", "find_study", "list_studies", "study_entry"]


@dataclass(frozen=True, slots=True)
class StudyEntry:
    """A study as lists show it. ``rows`` are those of its package; where that has other studies too, only those that
    name this one. ``files`` are those whose bytes are here."""

    accession: str
    title: str
    release: str
    package: str
    restricted: bool
    rows: int
    files: int


def list_studies(config: ServerConfig) -> list[StudyEntry]:
    """Every study, by number."""
    with _session(config) as session:
        studies = session.execute(
            select(Study, Package).join(Package, Study.package_id == Package.id).order_by(Study.number)
        ).all()
        many = {key for key, count in Counter(package.id for _, package in studies).items() if count > 1}
        rows = _rows_by_study(session, many)
        files = Counter(path.partition("/")[0] for path in session.scalars(select(StudyFile.path)))
        table = RELEASE["study"]
        found = select(table.c.package_id, table.c.study_accession, table.c.brief_title)
        titles = {(key, accession): title or "" for key, accession, title in session.execute(found)}
        return [
            StudyEntry(
                accession=study.accession,
                title=titles.get((package.id, study.accession), ""),
                release=package.release,
                package=package.name,
                restricted=study.restricted,
                rows=rows[package.id, study.accession]
                if package.id in many
                else sum(count for name, count in package.counts.items() if not name.startswith("lk_")),
                files=files[study.accession],
            )
            for study, package in studies
        ]


def find_study(session: Session, accession: str) -> Study:
    """The study of this accession. Raises :class:`UsageError` and :class:`NotFoundError`."""
    study = session.get(Study, check_study(accession))
    if study is None:
        raise NotFoundError(f"no study {check_study(accession)} on this server", hint="packhorse server studies")
    return study


def study_entry(config: ServerConfig, accession: str) -> StudyEntry:
    """The study as lists show it. Raises as :func:`find_study`."""
    with _session(config) as session:
        wanted = find_study(session, accession).accession
    return next(each for each in list_studies(config) if each.accession == wanted)


def drop_study(config: ServerConfig, accession: str) -> None:
    """Take a study out: its rows, the links to its files, who was let in. Files that were attached in place stay where
    they are. Raises as :func:`find_study`."""
    wanted = check_study(accession)
    with _session(config) as session:
        study = find_study(session, wanted)
        package_id = study.package_id
        session.execute(delete(StudyFile).where(StudyFile.path.startswith(f"{wanted}/", autoescape=True)))
        session.execute(delete(Share).where(Share.kind == "study", Share.object_id == study.number))
        session.delete(study)
        session.flush()
        left = select(func.count()).select_from(Study).where(Study.package_id == package_id)
        if session.scalar(left):
            drop_rows(session, package_id, wanted)
            for hook in AFTER_IMPORT:
                hook(session, package_id)
        else:
            session.delete(session.get_one(Package, package_id))


def _rows_by_study(session: Session, packages: set[int]) -> Counter[tuple[int, str]]:
    found: Counter[tuple[int, str]] = Counter()
    for table in RELEASE.values() if packages else ():
        if "study_accession" in table.c:
            keys = (table.c.package_id, table.c.study_accession)
            counted = select(*keys, func.count()).where(table.c.package_id.in_(packages)).group_by(*keys)
            for package_id, accession, count in session.execute(counted):
                found[package_id, accession] += count
    return found


@contextmanager
def _session(config: ServerConfig) -> Iterator[Session]:
    database = open_database(config)
    try:
        with database.write() as session:
            yield session
    finally:
        database.close()
