"""Bringing a lab's own folder in: hashed where it lies or copied, and again whenever it changed.

A ``sample`` is a folder of files, an ``execution`` a folder of results under their relative paths, a ``project`` a
folder of sample folders. Importing a folder again keeps what is unchanged by size and modification time, hashes what
changed, and reports (and withdraws) what is gone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.errors import DestinationError, UsageError
from packhorse.server.api.catalogue import data_type_of
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import Database, open_database
from packhorse.server.db.files import record_file
from packhorse.server.db.models import (
    Data,
    Execution,
    ExecutionOutput,
    ImportEntry,
    ImportRoot,
    Project,
    Sample,
    User,
    now,
)
from packhorse.server.storage import StorageError, StoredFacts
from packhorse.server.storage.disk import DiskStorage
from packhorse.server.users import find_user

__all__ = ["ImportKind", "ImportReport", "Skipped", "import_folder", "take_file"]

ImportKind = Literal["sample", "execution", "project"]
_BLOCK: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Skipped:
    """A path that was left out, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class ImportReport:
    """What an import did. Paths are relative to the folder; ``hashed_bytes`` counts what had to be read."""

    kind: ImportKind
    object_id: str = ""
    name: str = ""
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    hashed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """A file of the folder: its path in it, where it is, and how it looked."""

    relative: str
    path: Path
    size: int
    mtime_ns: int


def import_folder(
    config: ServerConfig,
    directory: Path,
    kind: ImportKind,
    *,
    owner: str,
    name: str | None = None,
    public: bool = False,
    copy: bool = False,
) -> ImportReport:
    """Import ``directory`` for the user ``owner``; ``name`` defaults to the folder's.

    Without ``copy`` files stay where they are and are served from there, as long as size and modification time are
    those that were hashed. Links that lead out of the folder, hidden files, ``.part`` files and what is no regular file
    are skipped and reported. Raises :class:`UsageError` for a folder that is none, :class:`NotFoundError` for the
    owner, :class:`DestinationError` for a file that cannot be read.
    """
    if kind not in ("sample", "execution", "project"):
        raise UsageError(f"cannot import a folder as {kind!r}", hint="--as sample, execution or project")
    try:
        root = directory.resolve(strict=True)
    except OSError as error:
        raise UsageError(f"{directory} is not there or cannot be read: {error.strerror}") from error
    if not root.is_dir():
        raise UsageError(f"{directory} is not a folder")
    database = open_database(config)
    try:
        return _Import(
            database, DiskStorage(config.objects), root, kind=kind, owner=owner, name=name, public=public, copy=copy
        ).run()
    finally:
        database.close()


def take_file(storage: DiskStorage, path: Path, *, size: int, mtime_ns: int, copy: bool, verb: str) -> StoredFacts:
    """Hash a file that looked like this: where it lies, or while it is copied in. ``verb``: what nothing was, if this
    fails. Raises :class:`DestinationError` for a file that cannot be read or is not what it was."""
    try:
        if copy:
            with path.open("rb", buffering=0) as source:
                facts = storage.put(iter(lambda: source.read(_BLOCK), b""), modified=mtime_ns / 1e9)
        else:
            facts = storage.link(path)
        after = path.stat()
    except StorageError as error:
        raise DestinationError(f"{error}; nothing was {verb}") from error
    except OSError as error:
        raise DestinationError(f"{path} cannot be {verb}: {error.strerror}; nothing was {verb}") from error
    if (after.st_size, after.st_mtime_ns) != (size, mtime_ns) or facts.size != size:
        raise DestinationError(f"{path} changed while it was read; nothing was {verb}")
    return facts


class _Import:
    """One run. Files are hashed outside any transaction; then everything is recorded in one."""

    def __init__(
        self,
        database: Database,
        storage: DiskStorage,
        root: Path,
        *,
        kind: ImportKind,
        owner: str,
        name: str | None,
        public: bool,
        copy: bool,
    ) -> None:
        self._database, self._storage, self._root, self._kind = database, storage, root, kind
        self._owner, self._name = owner, name or root.name or "import"
        self._public, self._copy = public, copy
        self._report = ImportReport(kind, name=self._name)

    def run(self) -> ImportReport:
        with self._database.read() as session:
            owner_id = find_user(session, self._owner).id
            before = self._entries(session, owner_id)
        found = list(self._files())
        fresh: dict[str, StoredFacts] = {}
        for file in found:
            entry = before.get(file.relative)
            if entry is not None and (entry.size, entry.mtime_ns) == (file.size, file.mtime_ns):
                self._report.kept.append(file.relative)
                continue
            fresh[file.relative] = self._take(file)
            (self._report.added if entry is None else self._report.changed).append(file.relative)
        with self._database.write() as session:
            self._record(session, find_user(session, self._owner), found, fresh)
        return self._report

    def _files(self) -> Iterator[_Found]:
        """The folder's files in order, without what must not come in."""
        for top, folders, names in os.walk(self._root):
            kept = sorted(folder for folder in folders if not folder.startswith("."))
            for folder in kept:
                if (Path(top) / folder).is_symlink():
                    self._skip(Path(top) / folder, "a link to a folder")
            folders[:] = [folder for folder in kept if not (Path(top) / folder).is_symlink()]
            for name in sorted(names):
                found = self._look(Path(top) / name)
                if found is not None:
                    yield found

    def _look(self, path: Path) -> _Found | None:
        """The file, or ``None`` when it must not come in, which is reported."""
        found, reason = self._judge(path)
        if reason:
            self._skip(path, reason)
        return found

    def _judge(self, path: Path) -> tuple[_Found | None, str]:
        if path.name.startswith(".") or path.name.endswith(".part"):
            return None, "hidden or unfinished"
        try:
            real = path.resolve(strict=True)
            seen = real.stat()
        except OSError as error:
            return None, error.strerror or "cannot be read"
        relative = path.relative_to(self._root).as_posix()
        if not real.is_relative_to(self._root):
            reason = "a link that leads out of the folder"
        elif not stat.S_ISREG(seen.st_mode):
            reason = "not a regular file"
        elif not _servable(relative):
            reason = "its name cannot be served"
        elif self._kind == "project" and "/" not in relative:
            reason = "not in a sample's folder"
        else:
            return _Found(relative, real, seen.st_size, seen.st_mtime_ns), ""
        return None, reason

    def _skip(self, path: Path, reason: str) -> None:
        relative = path.relative_to(self._root).as_posix()
        self._report.skipped.append(Skipped(relative.encode("utf-8", "replace").decode(), reason))

    def _take(self, file: _Found) -> StoredFacts:
        facts = take_file(
            self._storage, file.path, size=file.size, mtime_ns=file.mtime_ns, copy=self._copy, verb="imported"
        )
        self._report.hashed_bytes += facts.size
        return facts

    def _entries(self, session: Session, owner_id: int) -> dict[str, ImportEntry]:
        root = session.scalar(self._find_root(owner_id))
        if root is None:
            return {}
        rows = session.scalars(select(ImportEntry).where(ImportEntry.root_id == root.id))
        return {row.path: row for row in rows}

    def _find_root(self, owner_id: int) -> Any:
        return select(ImportRoot).where(
            ImportRoot.directory == str(self._root), ImportRoot.kind == self._kind, ImportRoot.owner_id == owner_id
        )

    def _record(self, session: Session, owner: User, found: list[_Found], fresh: dict[str, StoredFacts]) -> None:
        root = session.scalar(self._find_root(owner.id))
        target = self._target(session, owner, root.object_id if root else None)
        if root is None:
            root = ImportRoot(directory=str(self._root), kind=self._kind, owner_id=owner.id, object_id=target.id)
            session.add(root)
            session.flush()
        entries = {row.path: row for row in session.scalars(select(ImportEntry).where(ImportEntry.root_id == root.id))}
        samples = self._samples(session, owner, target, found) if isinstance(target, Project) else {}
        for position, file in enumerate(found):
            parent: Sample | Execution = samples[file.relative.partition("/")[0]] if samples else target  # type: ignore[assignment]
            entry = entries.pop(file.relative, None)
            if entry is None:
                data = self._data(session, owner, parent, file, fresh[file.relative])
                entry = ImportEntry(root_id=root.id, path=file.relative, data_id=data.id, size=0, mtime_ns=0)
                session.add(entry)
            else:
                data = session.get_one(Data, entry.data_id)
                data.private = not self._public
                if file.relative in fresh:
                    data.file_id = record_file(session, fresh[file.relative]).id
            data.position = position
            entry.size, entry.mtime_ns = file.size, file.mtime_ns
        for path, entry in sorted(entries.items()):
            self._withdraw(session, entry)
            self._report.removed.append(path)
        self._report.object_id = str(target.id)

    def _target(self, session: Session, owner: User, known: int | None) -> Sample | Execution | Project:
        """The object that the folder is; made at the first import, renamed and published by the later ones."""
        made: dict[str, Any] = {"sample": Sample, "execution": Execution, "project": Project}
        target: Sample | Execution | Project | None = (
            session.get(made[self._kind], known) if known is not None else None
        )
        if target is None:
            target = made[self._kind](owner_id=owner.id)
            session.add(target)
        if isinstance(target, Execution):
            target.identifier, target.pipeline_name = self._name, target.pipeline_name or self._name
            target.started = target.finished = target.finished or now()
        else:
            target.name = self._name
        target.private = not self._public
        session.flush()
        return target

    def _samples(self, session: Session, owner: User, project: Project, found: list[_Found]) -> dict[str, Sample]:
        """A project's samples by folder name."""
        have = {row.name: row for row in session.scalars(select(Sample).where(Sample.project_id == project.id))}
        for name in dict.fromkeys(file.relative.partition("/")[0] for file in found):
            if name not in have:
                have[name] = Sample(name=name, owner_id=owner.id, project_id=project.id)
                session.add(have[name])
            have[name].private = not self._public
        session.flush()
        return have

    def _data(
        self, session: Session, owner: User, parent: Sample | Execution, file: _Found, facts: StoredFacts
    ) -> Data:
        name = file.relative.rpartition("/")[2]
        data = Data(filename=name, owner_id=owner.id, data_type=data_type_of(name))
        data.file_id, data.private = record_file(session, facts).id, not self._public
        if isinstance(parent, Sample):
            data.sample_id, data.category = parent.id, 4
        else:
            data.execution_id = parent.id
        session.add(data)
        session.flush()
        if isinstance(parent, Execution):
            session.add(ExecutionOutput(execution_id=parent.id, path=file.relative, data_id=data.id))
        return data

    def _withdraw(self, session: Session, entry: ImportEntry) -> None:
        """A file that is gone from the folder is gone from the portal; its id is not used again."""
        data = session.get_one(Data, entry.data_id)
        data.removed = now()
        if data.execution_id is not None:
            output = session.get(ExecutionOutput, (data.execution_id, entry.path))
            if output is not None:
                session.delete(output)
        session.delete(entry)


def _servable(relative: str) -> bool:
    """Whether a path can be stored and asked for: UTF-8, of bounded length, without a backslash."""
    try:
        size = len(relative.encode("utf-8"))
    except UnicodeEncodeError:
        return False
    return size <= 1000 and len(relative.rpartition("/")[2]) <= 255 and "\\" not in relative
