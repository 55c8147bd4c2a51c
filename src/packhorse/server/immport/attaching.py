"""Attaching the bytes of a study's files from a folder: served where they lie, or copied in.

The folder is laid out like the data browser (``SDY1/ResultFiles/…``, with or without ``SDY1/``), or it just holds the
files under their names, wherever: the names carry the file's id, so that few are there twice.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from packhorse.errors import UsageError
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.immport import Study
from packhorse.server.db.models import StudyFile
from packhorse.server.immport.documents import attach
from packhorse.server.immport.files import NamedFile, named_files
from packhorse.server.immport.studies import find_study
from packhorse.server.importer import take_file
from packhorse.server.storage import StoredFacts
from packhorse.server.storage.disk import DiskStorage
from packhorse.wire.immport.paths import PROTOCOLS, RESULT_FILES, STUDY_FILES, check_path

__all__ = ["AttachReport", "Odd", "attach_files", "place_of"]


@dataclass(frozen=True, slots=True)
class Odd:
    """A file of the folder that was left out, and why. ``harm``: it is one that the tables name."""

    path: str
    reason: str
    harm: bool = False


@dataclass(slots=True)
class AttachReport:
    """``attached`` and ``kept`` (as they were) are paths of the study, ``unlisted`` those among them that its tables do
    not name, ``missing`` what the tables name and nobody brought yet. ``hashed_bytes`` counts what had to be read."""

    study: str
    attached: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    odd: list[Odd] = field(default_factory=list)
    hashed_bytes: int = 0


def place_of(relative: str, accession: str, named: Mapping[str, NamedFile]) -> tuple[str | None, str]:
    """Where in the study a file of the folder belongs, or ``None`` and why not. Pure.

    >>> place_of("SDY1/StudyFiles/a.pdf", "SDY1", {})
    ('SDY1/StudyFiles/a.pdf', '')
    """
    try:
        path = check_path(relative)
    except UsageError as error:
        return None, error.message
    first, _, rest = path.partition("/")
    layout = first.upper() == accession and bool(rest)
    if not layout and first in (RESULT_FILES, STUDY_FILES, PROTOCOLS) and rest:
        layout, rest = True, path
    if layout:
        # a name of our own is safe to make; the tables need not know it
        return f"{accession}/{rest}", ""
    name = path.rpartition("/")[2]
    fits = [file.path for file in named.values() if file.name == name]
    if len(fits) == 1:
        return fits[0], ""
    return None, "several files of the study have this name" if fits else "the study's tables name no such file"


def attach_files(
    config: ServerConfig,
    accession: str,
    directory: Path,
    *,
    copy: bool = False,
    progress: Callable[[str, int], None] | None = None,
) -> AttachReport:
    """Attach what ``directory`` holds of the study's files. A file whose size is not the one that the tables say is
    left out. Run again, only what is new or changed is read. ``progress`` is called with each path and its size.

    Raises :class:`UsageError` for a folder that is none, :class:`NotFoundError` for the study,
    :class:`DestinationError` for a file that cannot be read or changes meanwhile; nothing is attached then.
    """
    try:
        root = directory.resolve(strict=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such path"
        raise UsageError(f"{directory} is not there or cannot be read: {reason}") from error
    if not root.is_dir():
        raise UsageError(f"{directory} is not a folder")
    storage = DiskStorage(config.objects)
    database = open_database(config)
    try:
        with database.read() as session:
            study = find_study(session, accession)
            named = named_files(session, study, only=_alone(session, study))
            report = AttachReport(study.accession)
            before = _attached(session, study.accession)
        fresh: dict[str, StoredFacts] = {}
        for path, file in _matched(root, named, report):
            if _unchanged(before.get(path), file, copy=copy):
                report.kept.append(path)
                continue
            if progress is not None:
                progress(path, file.size)
            fresh[path] = take_file(
                storage, file.path, size=file.size, mtime_ns=file.mtime_ns, copy=copy, verb="attached"
            )
            report.hashed_bytes += file.size
            report.attached.append(path)
        with database.write() as session:
            find_study(session, study.accession)
            for path, facts in fresh.items():
                attach(session, path, facts)
    finally:
        database.close()
    have = {*before, *fresh}
    report.missing = sorted(path for path in named if path not in have)
    report.unlisted = [path for path in (*report.attached, *report.kept) if path not in named]
    return report


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    size: int
    mtime_ns: int


def _matched(root: Path, named: Mapping[str, NamedFile], report: AttachReport) -> Iterator[tuple[str, _Found]]:
    taken: dict[str, str] = {}
    for relative, file in _files(root, report):
        path, reason = place_of(relative, report.study, named)
        if path is None:
            report.odd.append(Odd(relative, reason))
            continue
        wanted = named.get(path)
        if wanted is not None and wanted.size is not None and wanted.size != file.size:
            reason = f"it has {file.size:,} bytes, the tables say {wanted.size:,}"
            report.odd.append(Odd(relative, reason, harm=True))
        elif path in taken:
            report.odd.append(Odd(relative, f"{taken[path]} is {path} already"))
        else:
            taken[path] = relative
            yield path, file


def _files(root: Path, report: AttachReport) -> Iterator[tuple[str, _Found]]:
    """The folder's regular files in order; hidden and unfinished ones are passed over, links out of it are odd."""
    for top, folders, names in os.walk(root):
        folders[:] = sorted(
            each for each in folders if not each.startswith(".") and not (Path(top) / each).is_symlink()
        )
        for name in sorted(names):
            if name.startswith(".") or name.endswith(".part"):
                continue
            relative = (Path(top) / name).relative_to(root).as_posix()
            shown = relative.encode("utf-8", "replace").decode()
            try:
                real = (Path(top) / name).resolve(strict=True)
                seen = real.stat()
            except OSError as error:
                report.odd.append(Odd(shown, error.strerror or "it cannot be read"))
                continue
            if not real.is_relative_to(root):
                report.odd.append(Odd(shown, "a link that leads out of the folder"))
            elif not stat.S_ISREG(seen.st_mode):
                report.odd.append(Odd(shown, "not a regular file"))
            else:
                yield relative, _Found(real, seen.st_size, seen.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class _Before:
    backend: str
    size: int
    modified: float
    mtime_ns: int | None
    key: str


def _attached(session: Session, accession: str) -> dict[str, _Before]:
    rows = session.scalars(select(StudyFile).where(StudyFile.path.startswith(f"{accession}/", autoescape=True)))
    return {
        row.path: _Before(
            row.file.backend,
            row.file.size,
            row.file.modified,
            row.file.mtime_ns,
            row.file.segments[0].key if row.file.segments else "",
        )
        for row in rows
    }


def _unchanged(before: _Before | None, file: _Found, *, copy: bool) -> bool:
    if before is None or before.size != file.size:
        return False
    if copy:
        return before.backend == "objects" and before.modified == file.mtime_ns / 1e9
    return before.backend == "in-place" and before.mtime_ns == file.mtime_ns and before.key == str(file.path)


def _alone(session: Session, study: Study) -> bool:
    count = select(func.count()).select_from(Study).where(Study.package_id == study.package_id)
    return session.scalar(count) == 1
