"""Reading a study's release package into the database: all of it or nothing, in one transaction (spec immport §3.1).

The rows are loaded under a new package first; then the studies are pointed at it and what they had before is taken
out. Others can read meanwhile; with the embedded database they cannot write until it is over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from packhorse.errors import BusyError, PackageError, UsageError
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import Database, open_database
from packhorse.server.db.immport import RELEASE, Package, Study
from packhorse.server.db.models import now
from packhorse.server.immport import AFTER_IMPORT
from packhorse.server.immport.archive import PackageFiles, open_package
from packhorse.server.immport.documents import keep_documents, keep_package, withdraw
from packhorse.server.immport.files import NamedFile, named_files
from packhorse.server.immport.loading import TableLoader
from packhorse.server.immport.report import ImportReport, Progress
from packhorse.server.storage.disk import DiskStorage
from packhorse.wire.immport.release import TABLES

__all__ = ["drop_rows", "import_package", "release_number"]

_RELEASE: Final = re.compile(r"DR[0-9]{1,4}(?:\.[0-9]{1,4}){0,2}", re.ASCII)


def import_package(
    config: ServerConfig,
    path: Path,
    *,
    restricted: bool | None = None,
    skip_bad_rows: bool = False,
    replace: bool = False,
    release: str | None = None,
    progress: Progress | None = None,
    database: Database | None = None,
) -> ImportReport:
    """Import the package at ``path``: a ZIP in Tab form, or a folder that one was unpacked to.

    ``restricted`` studies are for those who are let in; ``None`` leaves a study as it is, and a new one public.
    ``release`` (``DR25``) is asked for only where neither the package's names nor its ``study.txt`` say it.
    A package with bad rows is refused, with ``skip_bad_rows`` they are left out. A package of an older release than
    what is served is refused without ``replace``. The very same package does nothing. ``database`` is the home's, where
    the caller has it open: many imports are faster with one.

    Raises :class:`PackageError` for a package that cannot be imported, :class:`UsageError` for a path or release that
    is none, :class:`BusyError` when somebody else writes for too long. Nothing is changed then.
    """
    if release is not None and not _RELEASE.fullmatch(release.upper()):
        raise UsageError(f"{release[:40]!r} is no release", hint="--release DR25, or DR54.2")
    with open_package(path) as files:
        opened = database or open_database(config)
        try:
            with _patience(), opened.write() as session:
                run = _Import(session, files, DiskStorage(config.objects), restricted=restricted, progress=progress)
                return run.run(skip=skip_bad_rows, replace=replace, release=release and release.upper())
        finally:
            if database is None:
                opened.close()


@contextmanager
def _patience() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if "locked" not in str(error.orig):
            raise
        raise BusyError(
            "somebody else is writing to the server's database; nothing was changed", hint="try again in a minute"
        ) from error


def release_number(release: str) -> tuple[int, ...]:
    """A release as numbers that can be compared.

    >>> release_number("DR54.2") > release_number("DR54") > release_number("DR9")
    True
    """
    return tuple(int(part) for part in re.findall(r"[0-9]+", release))


class _Import:
    """One import, in the session's transaction."""

    def __init__(
        self,
        session: Session,
        files: PackageFiles,
        storage: DiskStorage,
        *,
        restricted: bool | None,
        progress: Progress | None,
    ) -> None:
        self._session, self._files, self._storage = session, files, storage
        self._restricted, self._progress = restricted, progress
        self._report = ImportReport(files.name, files.release, files.sha256)

    def run(self, *, skip: bool, replace: bool, release: str | None) -> ImportReport:
        session, files, report = self._session, self._files, self._report
        for same in session.scalars(select(Package).where(Package.sha256 == files.sha256)):
            if _study_count(session, same.id) == same.counts.get("study"):  # none of its studies was dropped since
                return self._as_before(same)
        package = Package(name=files.name[:255], sha256=files.sha256, imported=now())
        session.add(package)
        session.flush()
        loader = TableLoader(session, package.id, report, skip=skip, progress=self._progress)
        loader.table("study", files.tables["study"])
        accessions = self._accessions(package)
        package.release = report.release = release or files.release or self._release_of_study(package)
        before = self._check_releases(accessions, report.release, replace=replace)
        loader.studies = frozenset(accessions)
        for name in sorted(files.tables):
            if name.startswith("lk_"):
                newest = self._is_newest(name, report.release)
                loader.lookup(name, files.tables[name], keep=newest)
                if newest:
                    report.lookups.append(name)
        # those that others refer to come first only where a reader of the progress would expect them
        for name in [*TABLES, *sorted(set(files.tables) - set(TABLES))]:
            if name in files.tables and name != "study" and not name.startswith("lk_"):
                loader.table(name, files.tables[name])
        if report.bad_rows and not skip:
            raise _refused(report)
        package.counts = dict(sorted(report.counts.items()))
        self._serve(package, accessions, before)
        return report

    def _as_before(self, package: Package) -> ImportReport:
        """The package is there. Only who may see its studies can have been meant."""
        report = self._report
        report.unchanged, report.release, report.counts = True, package.release, dict(package.counts)
        for study in self._session.scalars(select(Study).where(Study.package_id == package.id).order_by(Study.number)):
            report.studies.append(study.accession)
            if self._restricted is not None:
                study.restricted = self._restricted
            if study.restricted:
                report.restricted.append(study.accession)
        return report

    def _accessions(self, package: Package) -> list[str]:
        table = RELEASE["study"]
        found = select(table.c.study_accession).where(table.c.package_id == package.id).order_by(table.c.line)
        accessions = list(self._session.scalars(found))
        if self._report.bad_rows and not accessions:
            raise _refused(self._report)
        if not accessions:
            raise PackageError(f"{self._files.name}: its study.txt names no study", hint="fetch the package again")
        return accessions

    def _release_of_study(self, package: Package) -> str:
        table = RELEASE["study"]
        wanted = select(table.c.latest_data_release_version).where(table.c.package_id == package.id)
        named = [f"DR{(text or '').upper().removeprefix('DR')}" for text in self._session.scalars(wanted)]
        fit = [text for text in named if _RELEASE.fullmatch(text)]
        if not fit:
            raise PackageError(
                f"neither the name of {self._files.name} nor its study.txt says which release it is",
                hint="packhorse server import-study PACKAGE --release DR25",
            )
        return max(fit, key=release_number)

    def _check_releases(self, accessions: list[str], release: str, *, replace: bool) -> dict[str, Package]:
        """The packages that the studies came with before. Raises :class:`PackageError` where one of them is newer."""
        before: dict[str, Package] = {}
        for accession in accessions:
            study = self._session.get(Study, accession)
            if study is None:
                continue
            before[accession] = self._session.get_one(Package, study.package_id)
            held = before[accession].release
            if release_number(held) > release_number(release) and not replace:
                raise PackageError(
                    f"{accession} is here in release {held}, which is newer than {release} of {self._files.name}",
                    hint="--replace takes the older one all the same",
                )
        return before

    def _is_newest(self, vocabulary: str, release: str) -> bool:
        """Whether no newer release brought this vocabulary."""
        rows = self._session.execute(select(Package.release, Package.counts).where(Package.release != ""))
        newer = (held for held, counts in rows if vocabulary in counts)
        return all(release_number(held) <= release_number(release) for held in newer)

    def _serve(self, package: Package, accessions: list[str], before: dict[str, Package]) -> None:
        """Point the studies at the package, and take out what they had."""
        session, report = self._session, self._report
        gone: dict[str, dict[str, NamedFile]] = {}
        for accession, old in before.items():
            study = session.get_one(Study, accession)
            gone[accession] = named_files(session, study, only=_study_count(session, old.id) == 1)
            report.replaced.append(accession)
        for accession in accessions:
            study = session.get(Study, accession) or Study(accession=accession, number=int(accession[3:]))
            study.package_id = package.id
            if self._restricted is not None:
                study.restricted = self._restricted
            session.add(study)
            if study.restricted:
                report.restricted.append(accession)
        session.flush()
        report.studies = sorted(accessions, key=lambda accession: int(accession[3:]))
        changed = {old.id for old in before.values() if not self._drop_if_empty(old)}
        alone = len(accessions) == 1
        for accession in accessions:
            study = session.get_one(Study, accession)
            named = named_files(session, study, only=alone)
            if accession in before:
                report.withdrawn += withdraw(session, accession, set(gone[accession]) - set(named))
            keep_documents(session, self._storage, self._files.documents, named, report)
        if alone:
            keep_package(session, self._storage, self._files, accessions[0], report)
        else:
            report.warn(f"{self._files.name} is of {len(accessions)} studies: the package itself is not offered")
        for path in self._files.others[:20]:
            report.warn(f"{path} is neither a table nor a document; it was left out")
        for accession, old in before.items():
            if old.id in changed:
                drop_rows(session, old.id, accession)
        for package_id in (package.id, *sorted(changed)):
            for hook in AFTER_IMPORT:
                hook(session, package_id)

    def _drop_if_empty(self, package: Package) -> bool:
        if _study_count(self._session, package.id):
            return False
        self._session.delete(package)
        self._session.flush()
        return True


def _study_count(session: Session, package_id: int) -> int:
    return session.scalar(select(func.count()).select_from(Study).where(Study.package_id == package_id)) or 0


def drop_rows(session: Session, package_id: int, accession: str) -> None:
    """Take a study's rows out of a package that has other studies too. What has no accession of a study stays with the
    package: nothing leads to it any more."""
    for table in RELEASE.values():
        if "study_accession" in table.c:
            session.execute(delete(table).where(table.c.package_id == package_id, table.c.study_accession == accession))


def _refused(report: ImportReport) -> PackageError:
    rows = "a bad row" if report.bad_rows == 1 else f"{report.bad_rows:,} bad rows"
    return PackageError(
        f"{report.package} has {rows}; nothing was imported",
        problems=tuple(str(problem) for problem in report.problems),
        total=report.bad_rows,
        hint="--skip-bad-rows imports the others",
    )
