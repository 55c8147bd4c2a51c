"""Every query of the Data Query API as a typed call: rows as Arrow, in memory, in a file, or batch by batch (spec
immport §2)."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

from packhorse.errors import NetworkError, NotFoundError, PackhorseError, ProtocolError, UsageError
from packhorse.net.retry import RetryPolicy, judge_error
from packhorse.portals.immport.api import ImmPortApi
from packhorse.portals.immport.asking import Ask, Filters, Wire, prepare
from packhorse.portals.immport.searching import Found, search, search_params
from packhorse.portals.immport.streaming import Rows
from packhorse.portals.immport.vocabulary import Vocabularies, check_values
from packhorse.tables import (
    Column,
    Format,
    Note,
    Table,
    WiderAnswerError,
    format_of,
    placed,
    with_text,
    writing,
)
from packhorse.tables.columns import arrow
from packhorse.wire.immport.queries import LOOKUPS, QUERIES, TYPOS, Query

__all__ = ["ImmPortQueries", "Written"]

T = TypeVar("T")
_RELEASE: Final = 16 * 1024 * 1024
_WIDENED: Final = 8
"""How often an answer may turn out wider than it began before it is called broken."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a query wrote: how many rows, and what was odd."""

    rows: int
    columns: tuple[Column, ...]
    notes: tuple[Note, ...]


class ImmPortQueries:
    """The queries of one server. Lives on the engine's loop.

    ``filters`` everywhere: a text, a number, or a list of those, by the filter's name; ``force`` sends values that no
    vocabulary has; ``text`` names members to be read as text; ``wire`` is how rows travel: as JSON, which keeps null
    and empty text apart, or as TSV, which is several times smaller and faster (``auto``: TSV for assay results into a
    table or a file other than JSON).
    """

    def __init__(self, api: ImmPortApi, state_dir: Path) -> None:
        self.api = api
        self.vocabularies = Vocabularies(api, state_dir)

    async def ask(self, name: str, filters: Filters | None = None, *, force: bool = False) -> Ask:
        """Check a query: its name, its filters, their values. Raises :class:`UsageError`."""
        asked = prepare(name, filters)
        if not force and asked.conditions:
            await check_values(self.vocabularies, asked.conditions, self.api.remote)
        return asked

    async def table(
        self,
        name: str,
        filters: Filters | None = None,
        *,
        wire: Wire = "auto",
        text: Iterable[str] = (),
        limit: int | None = None,
        force: bool = False,
    ) -> Table:
        """All rows of a query, in memory. Raises :class:`UsageError`, :class:`ProtocolError`, and what requests do."""
        asked = await self.ask(name, filters, force=force)
        if asked.query.shape in ("record", "texts"):
            return await self._small(asked, text, limit)

        async def read(rows: Rows) -> Table:
            async with contextlib.aclosing(rows.batches()) as batches:
                found = [batch async for batch in batches]
            return Table(rows.columns, found, rows.notes)

        return await self._again(asked, read, wire=_wire(wire, asked), text=text, limit=limit)

    async def write(
        self,
        name: str,
        target: str | Path | BinaryIO,
        filters: Filters | None = None,
        *,
        kind: Format | None = None,
        overwrite: bool = False,
        wire: Wire = "auto",
        text: Iterable[str] = (),
        limit: int | None = None,
        force: bool = False,
    ) -> Written:
        """All rows of a query into a file, in bounded memory: the file is whole or not there. An open binary file is
        written as the rows come. Raises as :meth:`table` does, and :class:`DestinationError`."""
        if kind is None:
            kind = format_of(str(target if isinstance(target, str | Path) else getattr(target, "name", "")))
        asked = await self.ask(name, filters, force=force)
        carried = _wire(wire, asked) if kind not in ("json", "ndjson") or wire != "auto" else "json"
        if asked.query.shape in ("record", "texts"):
            table = await self._small(asked, text, limit)
            notes = await asyncio.to_thread(table.write, target, kind, overwrite=overwrite)
            return Written(len(table), table.columns, (*table.notes, *notes))
        if not isinstance(target, str | Path):
            return await self._poured(
                Rows(self.api, asked, with_text(asked.columns, text), carried, limit), kind, target
            )

        async def read(rows: Rows) -> Written:
            stack = contextlib.ExitStack()
            file = await asyncio.to_thread(stack.enter_context, placed(target, overwrite=overwrite))
            try:
                written = await self._poured(rows, kind, file)
            except BaseException as error:
                await asyncio.to_thread(stack.__exit__, type(error), error, error.__traceback__)
                raise
            await _finished(stack.close)
            return written

        return await self._again(asked, read, wire=carried, text=text, limit=limit)

    async def _poured(self, rows: Rows, kind: Format, file: BinaryIO) -> Written:
        """The rows through a writer, which is opened when the columns are known."""
        stack = contextlib.ExitStack()
        writer, held = None, 0
        try:
            async with contextlib.aclosing(rows.batches()) as batches:
                async for batch in batches:
                    if writer is None:
                        writer = stack.enter_context(writing(kind, file, rows.columns))
                    await _finished(writer.write, batch)
                    held += batch.nbytes
                    if held > _RELEASE:  # what was decoded would else pile up in the allocator
                        held = 0
                        arrow().default_memory_pool().release_unused()
            if writer is None:
                writer = stack.enter_context(writing(kind, file, rows.columns))
        except BaseException as error:
            stack.__exit__(type(error), error, error.__traceback__)
            raise
        await _finished(stack.close)
        return Written(rows.count, rows.columns, (*rows.notes, *writer.notes))

    async def batches(
        self,
        name: str,
        filters: Filters | None = None,
        *,
        wire: Wire = "auto",
        text: Iterable[str] = (),
        limit: int | None = None,
        force: bool = False,
    ) -> AsyncGenerator[Any, None]:
        """``pyarrow.RecordBatch`` by batch, as they come. Raises as :meth:`table` does; nothing is asked again once a
        batch is out."""
        asked = await self.ask(name, filters, force=force)
        if asked.query.shape in ("record", "texts"):
            for batch in (await self._small(asked, text, limit)).to_arrow().to_batches():
                yield batch
            return
        rows = Rows(self.api, asked, with_text(asked.columns, text), _wire(wire, asked), limit)
        async with contextlib.aclosing(rows.batches()) as batches:
            async for batch in batches:
                yield batch

    async def record(self, name: str, filters: Filters | None = None) -> Any:
        """The answer of a query as it is, decoded: one object (``study/summary``), a list, a page. Raises
        :class:`UsageError` for one that takes several requests."""
        asked = prepare(name, filters)
        if len(asked.requests) != 1:
            raise UsageError(f"{name} is asked for one study at a time here", hint="give one --studyAccession")
        return await self._whole(asked, *asked.requests[0])

    async def lookup(self, name: str, *, fresh: bool = False) -> Table:
        """A controlled vocabulary by its current or older name. Raises :class:`NotFoundError`, :class:`UsageError`."""
        query = _lookup_of(name)
        short = query.name.partition("/")[2]
        if short not in LOOKUPS:
            return await self.table(query.name)
        records = await self.vocabularies.records(short, fresh=fresh)
        if not records:
            raise NotFoundError(f"{self.api.remote} has nothing in {short}", hint=f"packhorse lookup {self.api.remote}")
        return Table.from_records(records, prepare(query.name).columns)

    async def search(
        self,
        kind: str,
        term: str = "",
        facets: Mapping[str, str | Sequence[str]] | None = None,
        *,
        sort: str = "",
        descending: bool = False,
        limit: int | None = None,
    ) -> Found:
        """Search ``study`` or ``subject``. Raises :class:`UsageError` for an unknown facet, with near names."""
        if kind not in ("study", "subject"):
            raise UsageError(f"{kind!r} cannot be searched", hint="study or subject")
        params = search_params(term, facets or {}, sort=sort, descending=descending)
        return await search(self.api, kind, params, limit=limit)

    async def _small(self, asked: Ask, text: Iterable[str], limit: int | None) -> Table:
        """The answers that are one object or a list of texts, as a table of few rows."""
        records: list[Mapping[str, Any]] = []
        for path, params in asked.requests:
            records += _as_records(asked, await self._whole(asked, path, params))
        return Table.from_records(records[:limit], with_text(asked.columns, text))

    async def _whole(self, asked: Ask, path: str, params: tuple[tuple[str, str], ...]) -> Any:
        return await self.api.get_json(path, params, auth=asked.needs_token)

    async def _again(
        self,
        asked: Ask,
        read: Callable[[Rows], Awaitable[T]],
        *,
        wire: str,
        text: Iterable[str],
        limit: int | None,
    ) -> T:
        """Read, and read again from the start: with more columns where the answer has them, after a cut line."""
        columns = with_text(asked.columns, text)
        cuts, widened, policy = 0, 0, RetryPolicy()
        while True:
            rows = Rows(self.api, asked, columns, wire, limit)
            try:
                return await read(rows)
            except WiderAnswerError as error:
                widened += 1
                if widened > _WIDENED:
                    raise
                columns = error.columns
            except (NetworkError, ProtocolError) as error:
                cuts += 1
                verdict = judge_error(error, attempt=cuts, policy=policy, jitter=random.random())
                if verdict.action == "fail" or not _cut(error):
                    raise
                await asyncio.sleep(verdict.delay)


async def _finished(work: Callable[..., object], *args: Any) -> None:
    """Run ``work`` in a thread; a cancelled caller waits for its end, because it writes to a file that is closed
    then."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _cut(error: PackhorseError) -> bool:
    """Whether the same request may give a whole answer."""
    return isinstance(error, NetworkError) or "cut off" in error.message


def _wire(wire: str, asked: Ask) -> str:
    if wire not in ("auto", "json", "tsv"):
        raise UsageError(f"rows do not travel as {wire!r}", hint="auto, json or tsv")
    if wire == "auto":
        return "tsv" if asked.query.group == "result" else "json"
    return wire


def _lookup_of(name: str) -> Query:
    """The lookup of that name. Raises :class:`UsageError` with near names."""
    short = name.strip("/").removeprefix("lookup/")
    known = {each.partition("/")[2].lower(): each for each in QUERIES if each.startswith("lookup/")}
    full = known.get(TYPOS.get(short, short).lower())
    if full is None:
        near = difflib.get_close_matches(short.lower(), known, n=3, cutoff=0.6)
        meant = f"; did you mean {' or '.join(known[each].partition('/')[2] for each in near)}?" if near else ""
        raise UsageError(f"there is no lookup {short!r}{meant}", hint="packhorse lookup REMOTE")
    return QUERIES[full]


def _as_records(asked: Ask, answer: Any) -> list[Mapping[str, Any]]:
    """Rows out of one object, or out of a list of texts (accessions)."""
    if isinstance(answer, Mapping) and len(answer) == 1 and isinstance(next(iter(answer.values())), list):
        answer = next(iter(answer.values()))
    if isinstance(answer, Mapping):
        return [answer]
    if isinstance(answer, list):
        return [row if isinstance(row, Mapping) else {"studyAccession": row} for row in answer]
    raise ProtocolError(f"the answer of {asked.query.name} is neither an object nor a list")
