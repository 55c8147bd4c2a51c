"""One file that a portal brings whole, by a tool of its own (``ascp``), into a folder that the engine gives it.

The folder stands beside the part file and outlives an interruption, so that the tool can go on from what it left.
Nothing that the tool says counts: what it left is hashed, proven and placed as every other file (DESIGN §3).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from packhorse.errors import IntegrityError, NetworkError, ProtocolError
from packhorse.model import Digest
from packhorse.transfer.existing import digest_of
from packhorse.transfer.job import Tries, wanted_algorithms
from packhorse.transfer.lease import Lease, keep, still_ours, unless
from packhorse.transfer.options import PlacedFile
from packhorse.transfer.part import Part

if TYPE_CHECKING:
    from packhorse.transfer.fetch import LargeFile
    from packhorse.transfer.portal import Bring

__all__ = ["bring_and_place", "bring_folder", "remove_folder"]


def bring_folder(part: Path) -> Path:
    """The folder of a part file."""
    return part.with_name(f"{part.name}.d")


def remove_folder(part: Path) -> None:
    """Remove the folder of a part file, if there is one. Never raises ``OSError``."""
    shutil.rmtree(bring_folder(part), ignore_errors=True)


async def bring_and_place(large: LargeFile, lease: Lease, bring: Bring) -> PlacedFile:
    """Have the file brought, prove and place it. Raises our errors and ``OSError``; wrong bytes are removed."""
    folder = bring_folder(lease.part)
    folder.mkdir(exist_ok=True)
    beats = asyncio.create_task(keep(lease))
    try:
        return await unless(beats, _under_guard(large, lease, bring, folder))
    except IntegrityError:
        remove_folder(lease.part)  # the tool would take it for done
        raise
    finally:
        beats.cancel()
        await asyncio.wait([beats])
        if not beats.cancelled():
            beats.exception()


async def _under_guard(large: LargeFile, lease: Lease, bring: Bring, folder: Path) -> PlacedFile:
    job, item = large.job, large.item
    path = await _tried(large, bring, folder)
    found = _looked_at(path, folder, large.task.path)
    size = large.size
    if size is not None and found.st_size != size:
        raise IntegrityError(
            f"{large.task.path} arrived with {found.st_size:,} bytes, not {size:,}",
            expected=str(size),
            got=str(found.st_size),
        )
    algorithms = wanted_algorithms(item, job.options, large.stated)
    hashed: tuple[list[Digest], os.stat_result] = await job.blocking(partial(digest_of, path, algorithms))  # type: ignore[assignment]
    digests, state = hashed
    still_ours(lease)
    path.replace(lease.part)
    part = Part.open(lease.part, state.st_size, lease.journal)
    try:
        now = os.fstat(part.fd)
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (state.st_ino, state.st_size, state.st_mtime_ns):
            raise ProtocolError(f"{large.task.path} was still written when it was said to be whole")
        part.wrote(0, state.st_size)
        placed = await large.place_part(part, lease, large.proof_of(part, digests))
    finally:
        part.finish()
        part.close()
    remove_folder(lease.part)
    return placed


async def _tried(large: LargeFile, bring: Bring, folder: Path) -> Path:
    """The portal's tool, as often as it takes; progress starts the count anew."""
    job = large.job
    tries = Tries(job, large.task.path, large.source)

    def tell(count: int) -> None:
        job.meter.add(max(0, count - large.brought))
        large.brought = count

    while True:
        before = large.brought
        try:
            return await bring(folder, tell, job.options.limit_rate)
        except (NetworkError, ProtocolError) as error:
            tries.progress(large.brought - before, done=False)
            await tries.after_error(error)


def _looked_at(path: Path, folder: Path, name: str) -> os.stat_result:
    """The state of what was left: a plain file in the folder, with no other name. Raises :class:`ProtocolError`."""
    try:
        found = path.lstat()
    except OSError:
        found = None
    if found is None or path.parent != folder or not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise ProtocolError(f"{name}: what was brought is no plain file")
    return found
