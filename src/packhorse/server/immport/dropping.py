"""Offline packages: an administrator puts them into the home's folder ``drop``, and their tickets go on (spec §4).

A package is found by its ticket and name (``TICKET___NAME``), or by the ``packageName`` that it was registered with:
then the oldest ticket of that name gets it. It may be a ZIP, a single file, or a folder of files.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, or_, select

from packhorse.server.db.files import facts_of, record_file
from packhorse.server.db.immport_uploads import Registration, RegistrationFile
from packhorse.server.db.models import StoredFile, now
from packhorse.server.immport.parcels import bad_name
from packhorse.server.immport.tickets import JOB, OFFLINE
from packhorse.server.jobs import periodic
from packhorse.server.storage import StorageError
from packhorse.wire.immport.tickets import UPLOAD, stored_name

if TYPE_CHECKING:
    from packhorse.server.api.core import Home

__all__ = ["drop_folder", "forget_packages", "take_in"]

log = logging.getLogger("packhorse.server")

_SETTLED: Final = 5.0
"""Seconds that a dropped file must have been left alone: until then it may still be on its way."""
_BLOCK: Final = 4 << 20
_KEEP: Final = 7 * 24 * 3600
_AT_ONCE: Final = 200
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def drop_folder(home: Home) -> Path:
    """Where packages are put; made when it is first looked into."""
    folder = home.config.home / "drop"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@periodic(10, "take in offline packages")
def take_in_periodically(home: Home) -> None:
    """Look into the folder."""
    take_in(home)


def take_in(home: Home, *, settled: float = _SETTLED) -> int:
    """Give the packages that lie in the folder to their tickets: how many."""
    folder = drop_folder(home)
    if not any(folder.iterdir()):
        return 0
    with home.database.read() as session:
        waiting = session.scalars(
            select(Registration)
            .where(Registration.method == OFFLINE, Registration.status.startswith("Pending"))
            .order_by(Registration.id)
        ).all()
        rows = [(row.id, row.ticket or "", row.package_name, row.purpose) for row in waiting if not row.files]
    done = 0
    for number, ticket, name, purpose in rows:
        if home.jobs.stopping.is_set():
            break
        place = next((one for one in (stored_name(ticket, name), name) if _there(folder / one)), None)
        if place is not None and _is_settled(folder / place, settled):
            done += _take(home, number, folder / place, validating=UPLOAD.validating(purpose))
    return done


def _there(path: Path) -> bool:
    """Whether something of ours to take lies there; links are not followed."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _files(path: Path) -> Iterator[Path]:
    """The file, or the files of the folder in order; what is hidden, a link or no regular file is left out."""
    if not path.is_dir():
        yield path
        return
    for one in sorted(path.rglob("*")):
        if not one.name.startswith(".") and stat.S_ISREG(one.lstat().st_mode) and bad_name(one.name) is None:
            yield one


def _is_settled(path: Path, seconds: float) -> bool:
    try:
        newest = max((one.lstat().st_mtime for one in _files(path)), default=0.0)
    except OSError:
        return False
    return newest <= time.time() - seconds


def _take(home: Home, number: int, path: Path, *, validating: bool) -> bool:
    """Take a package into the storage and start its ticket; the dropped files go once that counts."""
    taken = list(_files(path))
    try:
        stored = [(one.name, home.storage.put(_blocks(one), modified=one.lstat().st_mtime)) for one in taken]
    except (OSError, StorageError) as error:
        log.warning("the dropped package %s cannot be read: %s", path.name, error)
        return False
    with home.database.write() as session:
        row = session.get(Registration, number)
        if row is None or row.files or not row.status.startswith("Pending"):
            return False
        row.files = [
            RegistrationFile(position=at, name=name, file_id=record_file(session, facts).id)
            for at, (name, facts) in enumerate(stored)
        ]
        row.file_name = path.name if path.is_file() else row.package_name
        row.updated = now()
    if not validating:
        home.jobs.enqueue(JOB, registration=number)
    try:
        for one in taken:
            one.unlink()
        for inner in sorted((one for one in path.rglob("*") if one.is_dir()), reverse=True) if path.is_dir() else ():
            inner.rmdir()
        if path.is_dir():
            path.rmdir()
    except OSError as error:
        log.warning("the dropped package %s was taken in, but stays in the folder: %s", path.name, error)
    return True


def _blocks(path: Path) -> Iterator[bytes]:
    with open(os.open(path, _FLAGS), "rb", buffering=0) as file:  # noqa: PTH123 - without following a link
        while block := file.read(_BLOCK):
            yield block


@periodic(3600, "forget packages that were only validated")
def forget_packages(home: Home) -> None:
    """Delete the files of packages that were validated or rejected a week ago; their reports stay."""
    before = int(time.time()) - _KEEP
    with home.database.write() as session:
        useless = or_(Registration.status.like("Rejected%"), Registration.status.like("Completed%Validation"))
        rows = session.scalars(
            select(RegistrationFile).join(Registration).where(useless, Registration.updated < before).limit(_AT_ONCE)
        ).all()
        files = [row.file for row in rows]
        keys = [piece.key for file in files for piece in facts_of(file).pieces if piece.key.startswith("uploads/")]
        for row in rows:
            session.delete(row)
        session.flush()
        session.execute(delete(StoredFile).where(StoredFile.id.in_([file.id for file in files])))
    for key in keys:
        home.storage.drop(key)
