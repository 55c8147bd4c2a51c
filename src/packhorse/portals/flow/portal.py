"""The Flow portal: lists, describes, locates and authorises; the engine does the rest (DESIGN §3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from packhorse.credentials.ladder import Answer, climb
from packhorse.credentials.tokens import Tokens, expiry
from packhorse.errors import NotFoundError, ProtocolError, UsageError
from packhorse.model import Item, Secret
from packhorse.net.message import Headers, Reply, Request, ResponseHead
from packhorse.net.redact import show_url
from packhorse.net.transport import Network
from packhorse.portals.context import PortalContext
from packhorse.portals.flow.api import FlowApi
from packhorse.portals.flow.bulk import ADVISED, Bulk
from packhorse.portals.flow.listing import project_samples, sample_files, whole_samples, with_digests
from packhorse.portals.flow.places import KINDS, Place, parse_place
from packhorse.portals.flow.refusals import wrong_base
from packhorse.portals.flow.rows import (
    FileRow,
    file_row,
    item_of,
    label,
    mapping,
    output_rows,
    record_id,
    rows_of,
    seconds,
)
from packhorse.settings import near
from packhorse.transfer.portal import Entry, Locator
from packhorse.wire.flow import execution_path
from packhorse.wire.http import ContentRange, parse_content_length, parse_content_range

__all__ = ["FlowPortal", "open_portal"]

_SINGULAR: Final = {"samples": "sample", "projects": "project", "executions": "execution", "data": "file"}


def open_portal(context: PortalContext) -> FlowPortal:
    """The portal of a remote of kind ``flow``."""
    return FlowPortal(context)


class FlowPortal:
    """One Flow server, as the engine and the session see it. Lives on the engine's loop."""

    def __init__(self, context: PortalContext) -> None:
        self.remote = context.remote.name
        self.api = FlowApi(context)
        self.bulk = Bulk(self.api, context.notify)
        self.gathers_above = ADVISED

    def attach(self, network: Network) -> None:
        """Go on over another network (a fork needs a new one), with the same credentials."""
        self.api.network = self.api.auth.network = network

    # Listing.

    async def items(self, path: str) -> AsyncIterator[Item]:
        """Every file at or below ``path``; a listing only with a question (``samples?name=…``)."""
        place = parse_place(path)
        if place.id is not None:
            async for item in self._items_of(place):
                yield item
            return
        if place.kind in ("root", "search") or not place.query:
            raise UsageError(
                f"{self.remote}:{path} is everything there is; name one thing, or ask a question",
                hint=f"packhorse ls {self.remote}:{'samples' if place.kind == 'root' else place.kind}",
            )
        async for row in self._search(place):
            found = Place(place.kind, record_id(row.get("id"), place.kind))
            async for item in self._items_of(found):
                yield item

    async def _items_of(self, place: Place) -> AsyncIterator[Item]:
        found = False
        async for item in self._files_of(place):
            if not place.rest or _below(item.path, place.rest):
                found = True
                yield item
        if not found and place.rest:
            raise await self._no_such_path(place)

    async def _files_of(self, place: Place) -> AsyncIterator[Item]:
        record = await self.api.record(f"{place.kind}/{place.id}")
        if place.kind == "data":
            row = file_row(record)
            if row.is_directory:
                raise UsageError(f"{self.remote}:data/{place.id} is a directory, which Flow does not serve as a file")
            yield item_of(self.remote, row, kind="data")
        elif place.kind == "samples":
            for item in await self._sample_items(record, await sample_files(self.api, record), kind="sample"):
                yield item
        elif place.kind == "projects":
            project = label(record.get("name")) or str(place.id)
            async for sample, rows in whole_samples(self.api, record):
                for item in await self._sample_items(sample, rows, kind="project", project=project):
                    yield item
        else:
            for row in await self._outputs(record):
                yield item_of(self.remote, row, kind="execution", execution=str(place.id))
            if place.rest and rows_of(record, "outputs") is None and not self._has_output(record, place.rest):
                yield self._unlisted(place)

    async def _sample_items(
        self, sample: Mapping[str, Any], rows: list[Mapping[str, Any]], *, kind: str, project: str = ""
    ) -> list[Item]:
        name = label(sample.get("name")) or record_id(sample.get("id"), "sample")
        files = map(file_row, await with_digests(self.api, rows))
        return [
            item_of(self.remote, row, kind=kind, sample=name, project=project) for row in files if not row.is_directory
        ]

    async def _outputs(self, record: Mapping[str, Any]) -> list[FileRow]:
        outputs = rows_of(record, "outputs")
        if outputs is not None:
            record = {**record, "outputs": await with_digests(self.api, outputs)}
        return [row for row in output_rows(record) if not row.is_directory]

    def _has_output(self, record: Mapping[str, Any], rest: str) -> bool:
        return any(_below(row.path, rest) for row in output_rows(record))

    def _unlisted(self, place: Place) -> Item:
        # The guide fetches results by path; a server that lists none may have them all the same.
        key = execution_path(str(place.id), place.rest)
        labels = {"kind": "execution", "execution": str(place.id)}
        return Item(self.remote, key.lstrip("/"), place.rest, labels=labels)

    async def _no_such_path(self, place: Place) -> NotFoundError:
        names = [item.path async for item in self._files_of(Place(place.kind, place.id))]
        address = f"{self.remote}:{place.kind}/{place.id}"
        return NotFoundError(
            f"{address} holds no {place.rest!r}{near(place.rest, names)}", hint=f"packhorse ls {address}"
        )

    async def _search(self, place: Place) -> AsyncIterator[Mapping[str, Any]]:
        async for row in self.api.pages(f"{place.kind}/search", place.kind, place.query):
            yield row

    async def entries(self, path: str) -> AsyncIterator[Entry]:
        """One level. Listings show what is yours when you are signed in and have any, else all that you may read."""
        place = parse_place(path)
        if place.kind == "root":
            for kind in KINDS:
                yield Entry(f"{self.remote}:{kind}", kind, "folder")
        elif place.kind == "search":
            async for entry in self._search_entries(place):
                yield entry
        elif place.id is None:
            async for entry in self._listing(place):
                yield entry
        elif place.kind == "projects" and not place.rest:
            record = await self.api.record(f"projects/{place.id}")
            async for row in project_samples(self.api, record):
                yield self._entry("samples", row)
        else:
            async for entry in self._level(place):
                yield entry

    async def _listing(self, place: Place) -> AsyncIterator[Entry]:
        await self.api.auth.ready()
        if self.api.auth.signed_in and not place.query:
            mine = False
            path = "projects/owned" if place.kind == "projects" else f"{place.kind}/search"
            params = () if place.kind == "projects" else (("owned", "true"),)
            async for row in self.api.pages(path, place.kind, params):
                mine = True
                yield self._entry(place.kind, row)
            if mine:
                return
        async for row in self._search(place):
            yield self._entry(place.kind, row)

    async def _search_entries(self, place: Place) -> AsyncIterator[Entry]:
        answer = mapping(await self.api.get("search", place.query), "search")
        results = mapping(answer.get("results", {}), "search")
        for kind in KINDS:
            for row in rows_of(results, kind) or ():
                yield self._entry(kind, row)

    async def _level(self, place: Place) -> AsyncIterator[Entry]:
        base = f"{self.remote}:{place.kind}/{place.id}"
        folders: set[str] = set()
        async for item in self._items_of(place):
            below = item.path if place.kind == "executions" else item.path.replace("/", "_")
            inner = below.removeprefix(place.rest).lstrip("/") if place.rest else below
            name, slash, _ = (inner or below.rpartition("/")[2]).partition("/")
            if slash:
                if name not in folders:
                    folders.add(name)
                    yield Entry("/".join(filter(None, (base, place.rest, name))), name, "folder")
                continue
            address = f"{self.remote}:data/{item.labels['id']}" if "id" in item.labels else f"{base}/{item.path}"
            yield Entry(address, name, "file", item.size, item.modified, item)

    def _entry(self, kind: str, row: Mapping[str, Any]) -> Entry:
        number = record_id(row.get("id"), kind)
        item = None
        size = None
        if kind == "data" and "filename" in row:
            item = item_of(self.remote, file_row(row), kind="data")
            size = item.size
        name = label(row.get("name") or row.get("filename") or row.get("identifier") or row.get("pipeline_name"))
        address = f"{self.remote}:{kind}/{number}"
        return Entry(address, name or number, _SINGULAR[kind], size, seconds(row.get("created")), item, row)

    async def describe(self, path: str) -> Mapping[str, Any]:
        """The server's own record. Without a path: who is signed in."""
        place = parse_place(path)
        if place.kind == "root":
            return {"remote": self.remote, "url": self.api.base, **await self.whoami()}
        if place.id is None:
            raise UsageError(f"{self.remote}:{path} is a list", hint=f"packhorse ls {self.remote}:{path}")
        if not place.rest or place.kind == "data":
            return await self.api.record(f"{place.kind}/{place.id}")
        items = [item async for item in self._items_of(place)]
        if len(items) > 1:
            return {"path": place.rest, "files": len(items), "size": sum(item.size or 0 for item in items)}
        item = items[0]
        if "id" in item.labels:
            return await self.api.record(f"data/{item.labels['id']}")
        return {"path": item.path, "size": item.size, **{d.algorithm: d.value for d in item.digests}}

    # Bytes.

    async def gather(self, items: Sequence[Item], *, wished: bool) -> list[Item]:
        """See :class:`~packhorse.transfer.portal.Gathers`."""
        return await self.bulk.gather(items, wished=wished)

    async def locate(self, item: Item) -> Locator:
        """``/downloads/<id>/<name>``, or ``/executions/<id>/<path>`` for outputs without a Data id; a slice of an
        archive for what was gathered."""
        if self.bulk.holds(item):
            return await self.bulk.locate(item)

        def check(head: ResponseHead) -> None:
            if _is_shell(head, item):
                raise ProtocolError(
                    f"{self.remote}:{item.key}: a web page came instead of the file",
                    hint=wrong_base(self.remote, show_url(self.api.base)),
                )

        return Locator(self.api.url(item.key), size=item.size, identity=item.identity, check=check)

    async def authorise(self, request: Request) -> Request:
        return await self.api.auth.authorise(request)

    async def renew(self, refused: Request) -> bool:
        return await self.api.auth.renew(refused)

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        path = show_url(head.url).removeprefix(show_url(self.api.base)).strip("/")
        return self.api.refused(Reply(head, body), path.removesuffix("?…"))

    async def aclose(self) -> None:
        """Nothing is held."""

    # Accounts (packhorse.portals.context.SignsIn).

    async def sign_in(self, username: str, password: Secret, *, store: str = "auto") -> Mapping[str, Any]:
        tokens = await self.api.auth.log_in(username, password)
        kept = await self.api.auth.keep(tokens, store)
        return {**await self.whoami(), "stored": kept}

    async def use_token(self, token: Secret, *, username: str | None = None, store: str = "auto") -> Mapping[str, Any]:
        auth = self.api.auth
        await auth.keep(Tokens(token, username=username), "none")
        me = await self.whoami()  # a bad token is refused here, before it is kept
        known = username or label(me.get("username")) or None
        return {**me, "stored": await auth.keep(Tokens(token, username=known), store)}

    async def sign_out(self) -> bool:
        return await self.api.auth.forget()

    async def whoami(self) -> Mapping[str, Any]:
        auth = self.api.auth
        await auth.ready()
        if not auth.signed_in:
            return {}
        me = dict(await self.api.record("me"))
        credential = auth.answer.credential if auth.answer is not None else None
        if credential is not None:
            me.update(rung=credential.rung, origin=credential.origin)
        if auth.keeper.token is not None and (end := expiry(auth.keeper.token)) is not None:
            me["token_expires"] = end
        return me

    async def credentials(self) -> Answer:
        return await asyncio.to_thread(climb, self.api.auth.source, every_rung=True)


def _below(path: str, rest: str) -> bool:
    return path == rest or path.startswith(rest + "/")


def _is_shell(head: ResponseHead, item: Item) -> bool:
    """Whether this is the web application's page, which answers 2xx at the wrong base (spec flow §1)."""
    headers: Headers = head.headers
    kind = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    if not head.ok or kind not in ("text/html", "application/xhtml+xml"):
        return False
    part = parse_content_range(headers.get("content-range"))
    total = part.total if isinstance(part, ContentRange) else parse_content_length(headers.get_all("content-length"))
    if item.size is not None and total == item.size:
        return False
    if item.digests:
        return False  # the digest decides
    return not item.path.lower().endswith((".html", ".htm", ".xhtml"))
