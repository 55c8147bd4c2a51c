"""Small files that were written together and get their names together (DESIGN §4, Placement).

Each is proven and written without a name as it comes; then all are made durable, the ledger notes them, and only then
do they get their names. No thread of its own: whoever calls it does the work.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from packhorse.errors import DestinationError, PackhorseError, TransferError
from packhorse.model import Digest, Identity, Proof
from packhorse.transfer.answer import FirstAnswer
from packhorse.transfer.files import destination_error, pwrite_all, start_writing, sync_directory
from packhorse.transfer.job import Job, Task, claims, mismatch, prove, wanted_algorithms
from packhorse.transfer.ledger import LedgerEntry, entry_for
from packhorse.transfer.options import PlacedFile
from packhorse.transfer.part import new_hash
from packhorse.transfer.place import exists_error, name_unnamed, open_unnamed, set_time

__all__ = ["Pile", "Result", "SmallFile"]


@dataclass(frozen=True, slots=True)
class SmallFile:
    """A small file in memory, all of it. ``reserved`` is given back to the byte budget once it is written.
    ``authenticated``: its bytes came through a codec that authenticates."""

    task: Task
    chunks: list[bytes]
    size: int
    first: FirstAnswer
    reserved: int
    authenticated: bool = False

    @property
    def identity(self) -> Identity:
        return self.task.item.identity or self.first.identity


Result = tuple[SmallFile, PlacedFile | PackhorseError]


@dataclass(slots=True)
class _Written:
    file: SmallFile
    fd: int
    path: Path | None
    folder: str
    entry: LedgerEntry
    proof: Proof


class Pile:
    """``written`` files, of ``weight`` bytes, wait for their names since ``opened`` (``time.monotonic()``);
    ``results`` and ``freed`` (bytes no longer in memory) are for the caller to take."""

    def __init__(self, job: Job) -> None:
        self.written: list[_Written] = []
        self.results: list[Result] = []
        self.freed = 0
        self.weight = 0
        self.opened = 0.0
        self._job = job
        self._durable = job.options.durability == "full"
        self._folders: set[str] = set()

    def take_results(self) -> tuple[list[Result], int]:
        """What came of files since the last time, and the bytes that are no longer in memory."""
        results, self.results = self.results, []
        freed, self.freed = self.freed, 0
        return results, freed

    def write(self, file: SmallFile) -> None:
        """Write it without a name. Nothing is raised: a thread that ends would leave its files unreported."""
        descriptor, path = -1, None
        try:
            proof = self._prove(file)
            target = file.task.target
            folder, name = os.path.split(target)
            folder = folder or "."
            if folder not in self._folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._folders.add(folder)
            descriptor, path = open_unnamed(folder, name)
            pwrite_all(descriptor, file.chunks, 0)
            modified = file.task.item.modified
            set_time(descriptor, path or target, file.first.modified if modified is None else modified)
            entry = self._entry(file, descriptor, proof)
        except Exception as error:  # noqa: BLE001
            if descriptor >= 0:
                os.close(descriptor)
            if path is not None:
                path.unlink(missing_ok=True)
            self.results.append((file, _as_ours(error, file.task.target)))
            return
        finally:
            file.chunks.clear()  # who waits for the batch's end holds no bytes
            self.freed += file.reserved
        if not self.written:
            self.opened = time.monotonic()
        self.written.append(_Written(file, descriptor, path, folder, entry, proof))
        self.weight += file.size

    def _prove(self, file: SmallFile) -> Proof:
        item, options = file.task.item, self._job.options
        stated = claims(item, file.first.digests)
        made: list[Digest] = []
        for name in wanted_algorithms(item, options, stated):
            running = new_hash(name)
            for chunk in file.chunks:
                running.update(chunk)
            made.append(Digest(name, running.hexdigest()))
        proof, claim = prove(
            made,
            stated,
            size=file.size,
            stated_size=item.size,
            whole=file.first.framed,
            authenticated=file.authenticated,
        )
        if claim is not None:
            got = next(digest for digest in made if digest.algorithm == claim.algorithm)
            raise mismatch(file.task.path, claim, got)
        return proof

    def _entry(self, file: SmallFile, descriptor: int, proof: Proof) -> LedgerEntry:
        return entry_for(
            file.task.path,
            os.fstat(descriptor),
            proof,
            item=file.task.item,
            identity=file.identity,
            original=file.task.original,
            durability=self._job.options.durability,
            etag=file.first.etag,
            modified=file.first.last_modified,
        )

    def place(self) -> None:
        """Make all that is written durable, note it in the ledger, and give it its names."""
        written, self.written, self.weight = self.written, [], 0
        if not written:
            return
        try:
            if self._durable:
                start_writing(one.fd for one in written)
                for one in written:
                    os.fsync(one.fd)
            self._job.ledger.add([one.entry for one in written], sync=self._durable)
        except Exception as error:  # noqa: BLE001 - as in write
            for one in written:
                _discard(one)
                self.results.append((one.file, _as_ours(error, one.file.task.target)))
            return
        beaten: list[_Written] = []
        named = [one for one in written if self._name(one, beaten)]
        if beaten:
            self._yield(beaten)
        lost = self._sync({one.folder for one in named}) if self._durable else {}
        for one in named:
            task, size = one.file.task, one.file.size
            placed = PlacedFile(task.item, task.target, size, one.proof, fetched=size)
            self.results.append((one.file, lost.get(one.folder, placed)))

    def _sync(self, folders: set[str]) -> dict[str, PackhorseError]:
        """Make the names durable; the folders where that failed."""
        lost: dict[str, PackhorseError] = {}
        for folder in folders:
            try:
                sync_directory(Path(folder))
            except Exception as error:  # noqa: BLE001 - as in write
                lost[folder] = _as_ours(error, Path(folder))
        return lost

    def _yield(self, beaten: list[_Written]) -> None:
        """Names that something else took meanwhile. What another process placed there is as good as ours."""
        files = [one.file for one in beaten]
        try:
            standing = self._job.ledger.standing({file.task.path: file.task.target for file in files})
        except Exception:  # noqa: BLE001 - as in write
            standing = {}
        for file in files:
            task, entry = file.task, standing.get(file.task.path)
            result: PlacedFile | PackhorseError = exists_error(task.target)
            if entry is not None and entry.stands_for(task.item, file.identity):
                result = PlacedFile(task.item, task.target, entry.size, entry.proof_value(), True, entry.size)
            self.results.append((file, result))

    def _name(self, one: _Written, beaten: list[_Written]) -> bool:
        target = one.file.task.target
        try:
            name_unnamed(one.fd, one.path, target, overwrite=self._job.options.overwrite)
        except Exception as error:  # noqa: BLE001 - as in write
            _discard(one)
            if isinstance(error, DestinationError) and not self._job.options.overwrite:
                beaten.append(one)
            else:
                self.results.append((one.file, _as_ours(error, target)))
            return False
        os.close(one.fd)
        return True


def _discard(one: _Written) -> None:
    os.close(one.fd)
    if one.path is not None:
        with contextlib.suppress(OSError):
            one.path.unlink(missing_ok=True)


def _as_ours(error: Exception, path: Path) -> PackhorseError:
    if isinstance(error, PackhorseError):
        return error
    return destination_error(error, path) if isinstance(error, OSError) else TransferError(f"{path}: {error}")
