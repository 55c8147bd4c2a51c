"""Bulk downloads as jobs: what goes in, under which names, and when the archive is there (spec flow §4.3).

The archive is never written: it is laid out from sizes and CRCs that are known. So a job of files that only we can
change is complete at once. Files that are served from where a lab keeps them may be gone or changed: a worker looks at
each before the job is called complete.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from packhorse.server.archive import Archive, ArchiveEntry, zip_archive
from packhorse.server.db.bulk import BulkJob, BulkMember
from packhorse.server.db.files import facts_of
from packhorse.server.db.models import Data, now
from packhorse.server.jobs import job, periodic
from packhorse.server.sending import log
from packhorse.server.storage import StorageError
from packhorse.wire.filenames import archive_names
from packhorse.wire.flow_jobs import JOB_SECONDS, JobFacts

if TYPE_CHECKING:
    from packhorse.server.api.core import Home

__all__ = ["COMPLETE", "Archives", "Wanted", "create_job", "drop_old_jobs", "facts_of_job"]

COMPLETE: Final = "complete a bulk download"
_KEEP: Final = 7 * 24 * 3600
"""Seconds after its end for which a job is still listed."""
_TELL: Final = 0.5
_STALE: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file for an archive: where it would like to stand, and in which folder it stands where another would like to
    stand there too (``""``: in one that its id names)."""

    data: Data
    path: str
    folder: str = ""


def create_job(session: Session, user_id: int, name: str, wanted: Sequence[Wanted], *, by_execution: bool) -> BulkJob:
    """A job over these files. It is complete already unless it has ``started`` set to ``None``: then the caller
    enqueues :data:`COMPLETE` when its transaction is through."""
    made = BulkJob(user_id=user_id, name=name, by_execution=by_execution, created=now())
    names = archive_names(_paths(wanted))
    made.members = [
        BulkMember(
            position=position,
            data_id=one.data.id,
            file_id=one.data.file_id,
            path=path,
            modified=one.data.file.modified,
        )
        for position, (one, path) in enumerate(zip(wanted, names, strict=True))
    ]
    entries = [
        ArchiveEntry(path, facts_of(one.data.file), one.data.file.modified)
        for one, path in zip(wanted, names, strict=True)
    ]
    made.size = zip_archive(entries).layout.size
    if all(entry.facts.mtime_ns is None for entry in entries):
        made.started = made.finished = made.created
        made.progress = 100
    session.add(made)
    session.flush()
    return made


def _paths(wanted: Sequence[Wanted]) -> list[str]:
    """Where each file stands: where it would like to if nobody else does, else in its parent's folder, else in one
    that its id names."""
    liked = Counter(one.path.casefold() for one in wanted)
    placed = [
        f"{one.folder}/{one.path}" if one.folder and liked[one.path.casefold()] > 1 else one.path for one in wanted
    ]
    again = Counter(path.casefold() for path in placed)
    return [
        path if again[path.casefold()] == 1 else f"{one.data.id}/{one.path}"
        for one, path in zip(wanted, placed, strict=True)
    ]


def facts_of_job(row: BulkJob, data: Sequence[int] = ()) -> JobFacts:
    """What clients are told of a job; ``data`` are the ids of its members, which take a question of their own."""
    return JobFacts(
        id=row.id,
        name=row.name,
        user=str(row.user_id),
        created=row.created,
        started=row.started,
        finished=row.finished,
        progress=row.progress,
        error=row.error,
        size=row.size,
        by_execution=row.by_execution,
        data=[str(number) for number in data],
    )


class Archives:
    """Archives that were asked for of late, laid out: a client fetches one by many ranges."""

    def __init__(self, most_entries: int = 200_000) -> None:
        self._most = most_entries
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Archive] = OrderedDict()

    def of(self, row: BulkJob) -> Archive:
        """The archive of a job, whose members never change."""
        with self._lock:
            found = self._held.get(row.id)
            if found is not None:
                self._held.move_to_end(row.id)
                return found
        made = zip_archive(ArchiveEntry(one.path, facts_of(one.file), one.modified) for one in row.members)
        with self._lock:
            self._held[row.id] = made
            while len(self._held) > 1 and sum(len(one.entries) for one in self._held.values()) > self._most:
                self._held.popitem(last=False)
        return made


@job(COMPLETE)
def complete(home: Home, *, job_id: str) -> None:
    """Look at every file of a job that somebody else may change, telling how far it is."""
    with home.database.write() as session:
        row = session.get(BulkJob, job_id)
        if row is None or row.finished is not None or row.error:
            return
        row.started = row.started or now()
        members = [(one.path, facts_of(one.file)) for one in row.members]
    told = time.monotonic()
    for count, (path, facts) in enumerate(members):
        if home.jobs.stopping.is_set():
            raise InterruptedError("the server is ending; the job is done again")
        try:
            reader = home.storage.open(facts)
            try:
                reader.check()
            finally:
                reader.close()
        except StorageError as error:
            _settle(home, job_id, error=f"{path} cannot be read on the server any more", why=str(error))
            return
        if time.monotonic() - told >= _TELL:
            told = time.monotonic()
            if not _advance(home, job_id, count * 100 // len(members)):
                return
    _settle(home, job_id)


def _advance(home: Home, job_id: str, progress: int) -> bool:
    """Note how far a job is, which only grows; whether anybody still wants it."""
    with home.database.write() as session:
        session.execute(
            update(BulkJob).where(BulkJob.id == job_id, BulkJob.progress < progress).values(progress=progress)
        )
        return session.scalar(select(BulkJob.id).where(BulkJob.id == job_id)) is not None


def _settle(home: Home, job_id: str, *, error: str = "", why: str = "") -> None:
    if error:
        log.error("bulk download %s: %s", job_id, why)
    with home.database.write() as session:
        values = {"error": error} if error else {"progress": 100}
        session.execute(update(BulkJob).where(BulkJob.id == job_id).values(finished=now(), **values))


@periodic(3600, "drop old bulk downloads")
def drop_old_jobs(home: Home) -> None:
    """Forget jobs a week after they were over, and those that nobody ever completed."""
    with home.database.write() as session:
        session.execute(delete(BulkJob).where(BulkJob.finished < now() - JOB_SECONDS - _KEEP))
        session.execute(delete(BulkJob).where(BulkJob.finished.is_(None), BulkJob.created < now() - _STALE - _KEEP))
