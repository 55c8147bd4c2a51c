"""The ImmPort portal: lists, describes, locates and authorises; the engine does the rest (DESIGN §3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from packhorse.credentials.ladder import Answer, climb
from packhorse.credentials.tokens import Tokens, claims_of, expiry
from packhorse.errors import NotFoundError, ProtocolError, ServerError, TransferError, UsageError
from packhorse.model import Item, Secret
from packhorse.net.message import Reply, Request, ResponseHead
from packhorse.net.redact import show_text, show_url
from packhorse.net.transport import Network
from packhorse.portals.context import PortalContext
from packhorse.portals.immport.api import ImmPortApi
from packhorse.portals.immport.aspera.route import Aspera
from packhorse.portals.immport.drs import Drs
from packhorse.portals.immport.keys import read_key
from packhorse.portals.immport.listing import Listing
from packhorse.portals.immport.places import Place, below, parse_place
from packhorse.portals.immport.rows import FileRow, item_of, rows_of
from packhorse.settings import near
from packhorse.transfer.portal import Entry, Locator

__all__ = ["ImmPortPortal", "open_portal"]


def open_portal(context: PortalContext) -> ImmPortPortal:
    """The portal of a remote of kind ``immport``."""
    return ImmPortPortal(context)


class ImmPortPortal:
    """One ImmPort server, as the engine and the session see it. Lives on the engine's loop."""

    def __init__(self, context: PortalContext) -> None:
        self.remote = context.remote.name
        self.api = ImmPortApi(context)
        self.listing = Listing(self.api)
        self.drs = Drs(self.api)
        self.aspera = Aspera(self.api)

    def attach(self, network: Network) -> None:
        """Go on over another network (a fork needs a new one), with the same credentials."""
        self.api.network = self.api.auth.network = network

    # Listing.

    async def items(self, path: str) -> AsyncIterator[Item]:
        """Every file at or below ``path``."""
        place = parse_place(path)
        if not place.study:
            raise UsageError(f"{self.remote}: is every study there is; name one", hint=f"packhorse ls {self.remote}:")
        for row in await self._rows(place):
            yield item_of(self.remote, row, study=place.study, route=place.route)

    async def _rows(self, place: Place) -> list[FileRow]:
        found = await self.listing.rows(place)
        if found:
            return found
        address = f"{self.remote}:{place.path}"
        if not (place.filters or place.file_types or place.patterns):
            whole = [row.path for row in await self.listing.rows(Place(place.study))]
            if not whole:
                raise NotFoundError(
                    f"{self.remote}:{place.study} has no files, or there is no such study",
                    hint=f"packhorse ls {self.remote}:",
                )
            folders = {"/".join(path.split("/")[:depth]) for path in whole for depth in range(2, path.count("/") + 1)}
            raise NotFoundError(
                f"{address} does not exist{near(place.path, [*folders, *whole])}",
                hint=f"packhorse ls {self.remote}:{place.study}",
            )
        raise NotFoundError(f"no file of {address} is as the filters ask", hint=f"packhorse ls {address}")

    async def entries(self, path: str) -> AsyncIterator[Entry]:
        """One level: studies, then the folders of a study. With filters: the files themselves."""
        place = parse_place(path)
        if not place.study:
            for study in await self.listing.studies():
                yield Entry(f"{self.remote}:{study}", study, "study")
            return
        rows = await self._rows(place)
        if place.filters or place.file_types or place.patterns:
            for row in rows:
                yield self._entry(row, place, row.path)
            return
        folders: set[str] = set()
        for row in rows:
            inner = row.path.removeprefix(place.path).lstrip("/") or row.path.rpartition("/")[2]
            name, slash, _ = inner.partition("/")
            if not slash:
                yield self._entry(row, place, name)
            elif name not in folders:
                folders.add(name)
                yield Entry(f"{self.remote}:{place.path}/{name}", name, "folder")

    def _entry(self, row: FileRow, place: Place, name: str) -> Entry:
        item = item_of(self.remote, row, study=place.study, route=place.route)
        return Entry(f"{self.remote}:{row.path}", name, row.file_type or "file", row.size, row.modified, item)

    async def describe(self, path: str) -> Mapping[str, Any]:
        """The server's own record: of a study its summary, of a file its row of the manifest."""
        place = parse_place(path)
        if not place.study:
            return {"remote": self.remote, "url": show_url(self.api.bases.origin), **await self.whoami()}
        if not place.rest and place.study.startswith("SDY"):
            return await self._summary(place.study)
        rows = await self._rows(place)
        if len(rows) == 1 and rows[0].path == place.path:
            return _shown(rows[0])
        return {
            "path": place.path,
            "files": sum(below(row.path, place.path) for row in rows),
            "size": sum(row.size or 0 for row in rows),
        }

    async def _summary(self, study: str) -> Mapping[str, Any]:
        try:
            answer = await self.api.get_json(f"api/study/summary/{study}")
        except NotFoundError as error:
            for path in (f"ui/study/summary/{study}", f"study/summary/{study}"):  # the older generations
                try:
                    answer = await self.api.get_json(path, auth=False)
                    break
                except NotFoundError:
                    continue
            else:
                raise error
        if isinstance(answer, Mapping):
            return answer
        return dict(next(rows_of(answer, f"summary of {study}"), {}))

    # Bytes.

    async def locate(self, item: Item) -> Locator:
        """A fresh address of the item's bytes, or how Aspera brings them.

        Route ``auto``: HTTPS, and Aspera for what HTTPS does not have, where there is an ``ascp``.
        """
        route = item.labels.get("route") or self.api.settings.options.get("route") or "auto"
        if route == "aspera":
            return await self.aspera.locator(item)
        if "id" not in item.labels:
            if route == "https":
                raise TransferError(
                    f"{self.remote} gives no HTTPS address of {show_text(item.path)}",
                    hint="older servers send files by Aspera only: --route aspera",
                )
            return await self.aspera.locator(item)
        try:
            return await self.drs.locate(item)
        except (NotFoundError, ServerError, ProtocolError):
            if route == "https" or await asyncio.to_thread(self.aspera.find) is None:
                raise
            return await self.aspera.locator(item)

    async def authorise(self, request: Request) -> Request:
        return await self.api.auth.authorise(request)

    async def renew(self, refused: Request) -> bool:
        return await self.api.auth.renew(refused)

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        if self.api.bases.holds(head.url):
            path = show_url(head.url).removeprefix(show_url(self.api.bases.origin)).strip("/")
            return self.api.refused(Reply(head, body), path.removesuffix("?…"))
        return self.drs.explain(head, body)

    async def aclose(self) -> None:
        """Give the threads of Aspera back."""
        self.aspera.close()

    # Accounts (packhorse.portals.context.SignsIn).

    async def sign_in(self, username: str, password: Secret, *, store: str = "auto") -> Mapping[str, Any]:
        tokens = await self.api.auth.log_in(username, password)
        kept = await self.api.auth.keep(tokens, store)
        return {**await self.whoami(), "stored": kept}

    async def sign_in_by_browser(self, show: Any, *, store: str = "auto", limit: float = 300.0) -> Mapping[str, Any]:
        """Sign in in the browser; ``show`` is told the address to open. Raises :class:`AuthenticationError`."""
        tokens = await self.api.auth.log_in_by_browser(show, limit=limit)
        await self.api.auth.keep(tokens, "none")
        me = await self.whoami()
        return {**me, "stored": await self.api.auth.keep(replace(tokens, username=_name(me)), store)}

    async def use_token(self, token: Secret, *, username: str | None = None, store: str = "auto") -> Mapping[str, Any]:
        auth = self.api.auth
        key = await asyncio.to_thread(read_key, token, "what was given")
        await auth.keep(Tokens(key, username=username), "none")
        me = await self.whoami()  # a bad token is refused here, before it is kept
        return {**me, "stored": await auth.keep(Tokens(key, username=username or _name(me)), store)}

    async def sign_out(self) -> bool:
        return await self.api.auth.forget()

    async def whoami(self) -> Mapping[str, Any]:
        said = await self.api.whoami()
        auth = self.api.auth
        if not said or auth.keeper.token is None:
            return {}
        claims = claims_of(auth.keeper.token)
        me: dict[str, Any] = {**claims, **said}
        name = next((me[key] for key in ("username", "user_name", "preferred_username", "sub") if me.get(key)), None)
        me["username"] = name or auth.keeper.username or ""
        credential = auth.answer.credential if auth.answer is not None else None
        if credential is not None:
            me.update(rung=credential.rung, origin=credential.origin)
        if (end := expiry(auth.keeper.token)) is not None:
            me["token_expires"] = end
        return me

    async def credentials(self) -> Answer:
        return await asyncio.to_thread(climb, self.api.auth.source, every_rung=True)


def _name(me: Mapping[str, Any]) -> str | None:
    return str(me["username"]) if me.get("username") else None


def _shown(row: FileRow) -> Mapping[str, Any]:
    shown = {
        "path": row.path,
        "size": row.size,
        "md5": row.md5.value if row.md5 is not None else None,
        "type": row.file_type,
        "uuid": row.uuid,
        "modified": row.modified,
    }
    return {name: value for name, value in shown.items() if value not in (None, "")}
