"""Queries: rows out of a portal that has tables, in memory, in a file, or batch by batch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from packhorse.errors import UsageError
from packhorse.settings import Settings
from packhorse.transfer.engine import Engine

if TYPE_CHECKING:
    from packhorse.portals.immport.queries import ImmPortQueries, Written
    from packhorse.portals.immport.searching import Found
    from packhorse.tables import Format, Table
    from packhorse.transfer.portal import Portal

__all__ = ["Queries"]

T = TypeVar("T")
Value = str | int | float | bool | Sequence[str] | Sequence[int] | Sequence[float] | None


class Queries:
    """The querying half of a :class:`~packhorse.session.Session`.

    ``filters`` are by name: a text, a number, or a list of which any may match. Beside them everywhere: ``force``
    sends values that no vocabulary has; ``text`` names members to be read as text; ``limit`` is the most rows;
    ``wire`` is how rows travel: ``json`` keeps null and empty text apart, ``tsv`` is several times smaller and faster,
    ``auto`` is TSV for assay results into a table or a file other than JSON.
    """

    settings: Settings

    if TYPE_CHECKING:

        def portal(self, remote: str) -> Portal: ...
        def _run(self, work: Coroutine[Any, Any, T]) -> T: ...

    def _queries(self, remote: str) -> ImmPortQueries:
        from packhorse.portals.immport.api import ImmPortApi
        from packhorse.portals.immport.queries import ImmPortQueries

        remote = remote.removesuffix(":")
        api = getattr(self.portal(remote), "api", None)
        if not isinstance(api, ImmPortApi):
            raise UsageError(f"{remote} has no tables to query", hint="packhorse remote list: kind immport has")
        return ImmPortQueries(api, self.settings.state_dir)

    def query(
        self,
        remote: str,
        name: str,
        /,
        *,
        wire: str = "auto",
        text: Iterable[str] = (),
        limit: int | None = None,
        force: bool = False,
        **filters: Value,
    ) -> Table:
        """All rows of a query: ``session.query("immport", "elisa", studyAccession=["SDY2", "SDY4"])``.

        Several studies are asked at once, their rows come in the order given. Raises UsageError for a query, filter or
        value that does not exist, with near names; AuthenticationError, NotFoundError, ProtocolError …
        """
        return self._run(self._table(remote, name, filters, wire=wire, text=text, limit=limit, force=force))

    async def aquery(
        self,
        remote: str,
        name: str,
        /,
        *,
        wire: str = "auto",
        text: Iterable[str] = (),
        limit: int | None = None,
        force: bool = False,
        **filters: Value,
    ) -> Table:
        """:meth:`query` for async callers."""
        work = self._table(remote, name, filters, wire=wire, text=text, limit=limit, force=force)
        return await Engine.shared().bridge(work)

    async def _table(self, remote: str, name: str, filters: Mapping[str, Any], **wishes: Any) -> Table:
        return await self._queries(remote).table(name, filters, **wishes)

    def write_query(
        self,
        remote: str,
        name: str,
        target: str | Path | BinaryIO,
        /,
        *,
        kind: Format | None = None,
        overwrite: bool = False,
        wire: str = "auto",
        text: Iterable[str] = (),
        limit: int | None = None,
        force: bool = False,
        **filters: Value,
    ) -> Written:
        """All rows of a query into a file, in bounded memory whatever their number. The file is whole or not there.

        ``kind``: json, ndjson, tsv, csv or parquet, else what the name says. An open binary file is written as the
        rows come. Raises as :meth:`query` does, and DestinationError.
        """
        wishes = {"wire": wire, "text": text, "limit": limit, "force": force, "kind": kind, "overwrite": overwrite}
        return self._run(self._written(remote, name, target, filters, wishes))

    async def awrite_query(
        self, remote: str, name: str, target: str | Path | BinaryIO, /, *, overwrite: bool = False, **wishes: Any
    ) -> Written:
        """:meth:`write_query` for async callers; ``wishes`` are its options and filters."""
        own: dict[str, Any] = {"overwrite": overwrite}
        own |= {key: wishes.pop(key) for key in ("kind", "wire", "text", "limit", "force") if key in wishes}
        work = self._written(remote, name, target, wishes, own)
        return await Engine.shared().bridge(work)

    async def _written(
        self,
        remote: str,
        name: str,
        target: str | Path | BinaryIO,
        filters: Mapping[str, Any],
        wishes: Mapping[str, Any],
    ) -> Written:
        return await self._queries(remote).write(name, target, filters, **wishes)

    def query_batches(self, remote: str, name: str, /, **wishes: Any) -> Generator[Any, None, None]:
        """The rows of a query as ``pyarrow.RecordBatch`` by batch, as they come; ``wishes`` are the options and filters
        of :meth:`query`. Close it (or read to the end) to end the request."""
        batches = self._run(self._batches(remote, name, wishes))
        try:
            while (batch := self._run(_next(batches))) is not None:
                yield batch
        finally:
            self._run(batches.aclose())

    async def aquery_batches(self, remote: str, name: str, /, **wishes: Any) -> AsyncGenerator[Any, None]:
        """:meth:`query_batches` for async callers."""
        engine = Engine.shared()
        batches = await engine.bridge(self._batches(remote, name, wishes))
        try:
            while (batch := await engine.bridge(_next(batches))) is not None:
                yield batch
        finally:
            await engine.bridge(batches.aclose())

    async def _batches(self, remote: str, name: str, wishes: dict[str, Any]) -> AsyncGenerator[Any, None]:
        own = {key: wishes.pop(key) for key in ("wire", "text", "limit", "force") if key in wishes}
        return self._queries(remote).batches(name, wishes, **own)

    def query_record(self, remote: str, name: str, /, **filters: Value) -> Any:
        """The answer of one request as it is, decoded: the object of ``study/summary``, a list, a page."""
        return self._run(self._record(remote, name, filters))

    async def aquery_record(self, remote: str, name: str, /, **filters: Value) -> Any:
        """:meth:`query_record` for async callers."""
        return await Engine.shared().bridge(self._record(remote, name, filters))

    async def _record(self, remote: str, name: str, filters: Mapping[str, Any]) -> Any:
        return await self._queries(remote).record(name, filters)

    def lookup(self, remote: str, name: str, *, fresh: bool = False) -> Table:
        """A controlled vocabulary (``lkSex``), kept for a day unless ``fresh``. Raises NotFoundError, UsageError."""
        return self._run(self._lookup(remote, name, fresh))

    async def alookup(self, remote: str, name: str, *, fresh: bool = False) -> Table:
        """:meth:`lookup` for async callers."""
        return await Engine.shared().bridge(self._lookup(remote, name, fresh))

    async def _lookup(self, remote: str, name: str, fresh: bool) -> Table:
        return await self._queries(remote).lookup(name, fresh=fresh)

    def search(
        self,
        remote: str,
        term: str = "",
        *,
        kind: str = "study",
        sort: str = "",
        descending: bool = False,
        limit: int | None = None,
        **facets: str | Sequence[str],
    ) -> Found:
        """Search a portal's studies (or subjects): words, ``"phrases"``, facets by name. Every hit, or ``limit``.

        Raises UsageError for an unknown facet, with near names.
        """
        wishes = {"sort": sort, "descending": descending, "limit": limit}
        return self._run(self._search(remote, kind, term, facets, wishes))

    async def asearch(self, remote: str, term: str = "", *, kind: str = "study", **wishes: Any) -> Found:
        """:meth:`search` for async callers; ``wishes`` are its options and facets."""
        own: dict[str, Any] = {}
        own |= {key: wishes.pop(key) for key in ("sort", "descending", "limit") if key in wishes}
        return await Engine.shared().bridge(self._search(remote, kind, term, wishes, own))

    async def _search(
        self, remote: str, kind: str, term: str, facets: Mapping[str, str | Sequence[str]], wishes: Mapping[str, Any]
    ) -> Found:
        return await self._queries(remote).search(kind, term, facets, **wishes)


async def _next(batches: AsyncGenerator[Any, None]) -> Any:
    return await anext(batches, None)
