"""Bulk downloads: many files out of one archive that the server makes ready (spec flow §4.3).

A job is created, waited for, and its ZIP's directory is read with suspicion; then every file is a slice of the archive,
fetched, resumed and proven like any other by the engine. What a file is does not depend on the archive that it comes
out of: when a job is over, another takes its place, and what is here of a file stays.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from packhorse.errors import AuthenticationError, NetworkError, PackhorseError, ProtocolError, RemoteError, ServerError
from packhorse.model import ByteRange, Digest, Item
from packhorse.net.calls import call
from packhorse.net.message import Reply, Request
from packhorse.net.redact import show_text
from packhorse.net.redirect import same_origin
from packhorse.portals.flow.api import FlowApi
from packhorse.portals.flow.rows import decoded
from packhorse.transfer.portal import Locator
from packhorse.wire.flow_jobs import JOB_SECONDS, JobState, job_path, parse_job
from packhorse.wire.http import ContentRange, parse_content_range
from packhorse.wire.zip.directory import ReadEntry
from packhorse.wire.zip.reading import Limits, data_slice, directory_steps, head_range

__all__ = ["ADVISED", "Bulk", "create", "job_fields", "match", "status"]

ADVISED: Final = 100
"""The guide: above so many files, a bulk download."""
_AT_ONCE: Final = 10_000
_NONE: Final = (404, 405, 501)
_WAITS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_MOST_WAIT: Final = 5.0
_LARGE: Final = 1 << 20
_AGAIN: Final = 30.0


async def create(api: FlowApi, ids: Sequence[str], name: str) -> JobState:
    """Ask for an archive of data files. Raises the error that the server's answer means."""
    body = json.dumps({"data_ids": [int(one) if one.isdigit() else one for one in ids], "name": name})
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    # it may be asked for twice: a job that nobody fetches is nothing but a line in a list
    request = Request("POST", api.url("downloads"), headers, body=body.encode(), idempotent=True)
    reply = await call(api.network, request, authorise=api.auth.authorise, renew=api.auth.renew)
    if not reply.head.ok:
        raise api.refused(reply, "downloads")
    return parse_job(decoded(reply))


async def status(api: FlowApi, job_id: str) -> JobState:
    """How a job is."""
    return parse_job(await api.get(f"{job_path(job_id)}/status", what="downloads"))


@dataclass(slots=True)
class _Archive:
    """One job's archive; ``entries`` by the items' keys."""

    name: str
    items: list[Item]
    url: str = ""
    size: int = 0
    expires: float = 0.0
    entries: dict[str, ReadEntry] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Bulk:
    """The archives that one portal fetches from. Lives on the engine's loop."""

    def __init__(self, api: FlowApi, tell: Any = None) -> None:
        self._api = api
        self._tell = tell or (lambda _line: None)
        self._archives: dict[str, _Archive] = {}

    def holds(self, item: Item) -> bool:
        """Whether this item comes out of an archive."""
        return item.key in self._archives

    async def gather(self, items: Sequence[Item], *, wished: bool) -> list[Item]:
        """Have archives made of these items; they are returned with what the archives state of them.

        Where the server has no bulk downloads, or cannot make this one, the files are fetched one by one; that is said
        if it was ``wished``.
        """
        found: dict[str, Item] = {}
        usable = [item for item in items if item.labels.get("id") and item.size is not None]
        for start in range(0, len(usable), _AT_ONCE):
            part = usable[start : start + _AT_ONCE]
            archive = _Archive(_name(part, start // _AT_ONCE + 1 if len(usable) > _AT_ONCE else 0), part)
            try:
                await self._make(archive)
            except (AuthenticationError, NetworkError):
                raise
            except PackhorseError as error:
                if wished or not _has_none(error):
                    self._tell(f"{self._api.remote}: no bulk download ({error.message}); the files come one by one")
                break
            for item in part:
                entry = archive.entries.get(item.key)
                if entry is not None:
                    self._archives[item.key] = archive
                    found[item.key] = _with_claims(item, entry)
        return [found.get(item.key, item) for item in items]

    async def locate(self, item: Item) -> Locator:
        """Where the item's bytes are in its archive, which is made anew when it is over."""
        archive = self._archives[item.key]
        again = item.key in archive.asked
        archive.asked.add(item.key)
        if again or archive.expires - _AGAIN < time.time():
            await self._refresh(archive, archive.url)
        try:
            return await self._slice(archive, item, sure=again)
        except RemoteError:
            await self._refresh(archive, archive.url)
            return await self._slice(archive, item, sure=again)

    async def _slice(self, archive: _Archive, item: Item, *, sure: bool) -> Locator:
        """``sure``: read the entry's own header too. One that contradicts its entry is found by the digest all the
        same, so that it is not asked for at the first try of a small file."""
        entry = archive.entries.get(item.key)
        if entry is None:
            raise ProtocolError(f"{self._api.remote}: the new archive lacks {show_text(item.path, 80)!r}")
        part = ByteRange(entry.stop - entry.stored, entry.stop)
        if sure or entry.stored > _LARGE or entry.flags & 8:
            part = data_slice(entry, await self._range(archive.url, head_range(entry)))
        return Locator(archive.url, size=entry.size, identity=item.identity, slice=part, expires=archive.expires)

    async def _refresh(self, archive: _Archive, seen: str) -> None:
        """Look whether the job at ``seen`` is still there, and make another where it is not; single-flight."""
        async with archive.lock:
            if archive.url != seen:
                return  # another file's try has made it already
            over = archive.expires - _AGAIN < time.time()
            if not over:
                try:
                    await self._range(archive.url, ByteRange(0, 1))
                except RemoteError:
                    over = True
            if over:
                self._tell(f"{self._api.remote}: the archive {archive.name} is over; another one is made")
                await self._make(archive)

    async def _make(self, archive: _Archive) -> None:
        ids = [item.labels["id"] for item in archive.items]
        job = await create(self._api, ids, archive.name)
        turn = 0
        while job.waiting:
            await asyncio.sleep(_WAITS[turn] if turn < len(_WAITS) else _MOST_WAIT)
            turn += 1
            if turn % 4 == 0:
                shown = f" ({job.progress:.0f} %)" if job.progress is not None else ""
                self._tell(f"{self._api.remote}: waiting for the archive {archive.name}{shown}")
            job = await status(self._api, job.id)
        if not job.ready:
            raise ServerError(job.error or f"the archive is {job.status}", status=500)
        archive.url = self._address(job)
        first = await self._reply(archive.url, ByteRange(0, 1))
        told = parse_content_range(first.head.headers.get("content-range"))
        if first.status != 206 or not isinstance(told, ContentRange) or told.total is None:
            raise ProtocolError("the server sends archives only as a whole")
        archive.size = told.total
        expires = job.record.get("expires")
        archive.expires = time.time() + JOB_SECONDS - 600
        if isinstance(expires, int | float) and not isinstance(expires, bool):
            archive.expires = float(expires)
        archive.entries = await self._entries(archive)
        archive.asked.clear()

    def _address(self, job: JobState) -> str:
        """Where the archive is: what the job says, if that is this server, else the path that jobs have."""
        url = job.download_url
        if url.startswith("/"):
            return self._api.url(url)
        return url if url and same_origin(url, self._api.base) else self._api.url(job_path(job.id))

    async def _entries(self, archive: _Archive) -> dict[str, ReadEntry]:
        steps = directory_steps(archive.size, Limits(entries=2 * _AT_ONCE))
        try:
            wanted = next(steps)
            while True:
                wanted = steps.send(await self._range(archive.url, wanted))
        except StopIteration as done:
            entries: list[ReadEntry] = done.value
        return match(archive.items, entries)

    async def _range(self, url: str, wanted: ByteRange) -> bytes:
        reply = await self._reply(url, wanted)
        if reply.status != 206 or len(reply.content) != len(wanted):
            raise ProtocolError(f"{len(wanted)} bytes of an archive were asked for, {len(reply.content)} came")
        return reply.content

    async def _reply(self, url: str, wanted: ByteRange) -> Reply:
        headers = {"Range": wanted.header, "Accept-Encoding": "identity"}
        api = self._api
        reply = await call(
            api.network,
            Request("GET", url, headers),
            authorise=api.auth.authorise,
            renew=api.auth.renew,
            limit=len(wanted) + 4096,
        )
        if not reply.head.ok:
            raise api.refused(reply, "downloads")
        return reply


def match(items: Sequence[Item], entries: Sequence[ReadEntry]) -> dict[str, ReadEntry]:
    """Which entry of an archive each item is, by the items' keys; items that no entry surely is are left out.

    The order counts where names and sizes agree all along; else an entry is an item where it is the only one of that
    name and size. What is packed or cannot be read is left out: the file is fetched by itself. Pure.
    """
    files = [entry for entry in entries if not entry.is_folder]
    if len(files) == len(items) and all(map(_alike, items, files)):
        pairs = list(zip(items, files, strict=True))
    else:
        by_look: dict[tuple[str, int], list[ReadEntry]] = {}
        for entry in files:
            by_look.setdefault((entry.name.rpartition("/")[2], entry.size), []).append(entry)
        wanted: dict[tuple[str, int | None], int] = {}
        for item in items:
            look = (_base(item), item.size)
            wanted[look] = wanted.get(look, 0) + 1
        pairs = []
        for item in items:
            look = (_base(item), item.size)
            known = by_look.get((look[0], item.size if item.size is not None else -1), [])
            if wanted[look] == 1 and len(known) == 1:
                pairs.append((item, known[0]))
    return {item.key: entry for item, entry in pairs if entry.method == 0 and entry.unsupported is None}


def _base(item: Item) -> str:
    return item.path.rpartition("/")[2]


def _alike(item: Item, entry: ReadEntry) -> bool:
    return item.size == entry.size and entry.name.rpartition("/")[2] == _base(item)


def _with_claims(item: Item, entry: ReadEntry) -> Item:
    """The item with the archive's CRC, where the portal stated no digest."""
    return item if item.digests else replace(item, digests=(Digest("crc32", f"{entry.crc32:08x}"),))


def _has_none(error: PackhorseError) -> bool:
    """Whether the server has no bulk downloads at all."""
    return getattr(error, "status", None) in _NONE or error.code == "not-found"


def _name(items: Sequence[Item], number: int) -> str:
    """``<project>_data.zip`` as the guide has it, or what else the items have in common."""
    for label in ("project", "sample", "execution"):
        named = {item.labels.get(label, "") for item in items}
        if len(named) == 1 and (found := named.pop()):
            return f"{found}_data{f'_{number}' if number else ''}.zip"
    return f"packhorse_data{f'_{number}' if number else ''}.zip"


def job_fields(job: JobState) -> Mapping[str, Any]:
    """A job's record with what the guide reads without asking whether it is there."""
    return {**job.record, "id": job.id, "status": job.status, "progress": job.progress or 0, "error": job.error}
