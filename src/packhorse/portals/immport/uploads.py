"""Data upload and batch update: workspaces, templates, packages, tickets and their reports (spec immport §4).

A package is registered at most once: when its answer is lost, nobody knows whether the server took it, so it is not
sent again by itself. Everything after that is asked for by the ticket, which is written down as soon as it is known.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from packhorse.errors import (
    NetworkError,
    NotFoundError,
    PackhorseError,
    ProtocolError,
    ServerError,
    UsageError,
)
from packhorse.net.calls import Collect, stream_following
from packhorse.net.message import Reply, Request
from packhorse.portals.immport.api import STALL, ImmPortApi
from packhorse.portals.immport.bases import Service
from packhorse.portals.immport.packages import LocalPackage, MultipartBody
from packhorse.portals.immport.refusals import decoded
from packhorse.portals.immport.submitted import RejectedError, TicketReport, WorkspaceInfo
from packhorse.portals.immport.tickets import KnownTicket, TicketBook
from packhorse.wire.immport.reports import (
    ResultRow,
    Section,
    parse_summary,
    parse_upload_report,
    parse_validation_report,
)
from packhorse.wire.immport.tickets import BATCH, UPLOAD, Scheme, is_final, is_ticket

__all__ = ["ImmPortUploads", "Patience", "RejectedError", "TicketReport", "WorkspaceInfo"]

_ANSWER_LIMIT: Final = 256 << 20
OnStatus = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait between two looks at a ticket, in seconds: from ``first``, half as long again each time, to
    ``most``. ``sleep`` waits."""

    first: float = 5.0
    most: float = 60.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(slots=True)
class ImmPortUploads:
    """Uploads to one ImmPort server. Lives on the engine's loop."""

    api: ImmPortApi
    state_dir: Path
    patience: Patience = field(default_factory=Patience)

    @property
    def book(self) -> TicketBook:
        """The tickets that were got from here."""
        return TicketBook(self.state_dir, self.api.remote)

    # ------------------------------------------------------------ places and templates

    async def workspaces(self) -> list[WorkspaceInfo]:
        """Where the user may upload to."""
        body = await self.api.get_json("workspaces", service="upload")
        held = body.get("workspaces") if isinstance(body, Mapping) else None
        if not isinstance(held, list):
            raise ProtocolError(f"{self.api.remote}: the server's list of workspaces is not in the documented form")
        found = []
        for one in held:
            if isinstance(one, Mapping) and isinstance(one.get("workspaceId"), int):
                texts = [str(one.get(name) or "") for name in ("name", "type", "category")]
                found.append(WorkspaceInfo(one["workspaceId"], *texts))
        return found

    async def workspace(self, wish: str | None) -> WorkspaceInfo:
        """The workspace that is meant: by number, name or category, else the only one that is not for tests.

        Raises :class:`UsageError` that lists those there are.
        """
        held = await self.workspaces()
        if wish is None:
            fits = [one for one in held if one.category.upper() != "TEST"]
        else:
            word = wish.casefold()
            fits = [one for one in held if word in (str(one.id), one.name.casefold(), one.category.casefold())]
        if len(fits) == 1:
            return fits[0]
        known = ", ".join(f"{one.id} ({one.name}, {one.category})" for one in held) or "none"
        what = (
            "which workspace?" if wish is None else f"{wish!r} is {'no' if not fits else 'not one'} workspace of yours;"
        )
        raise UsageError(f"{what} you have: {known}", hint="--workspace NUMBER; packhorse immport workspaces")

    async def templates(self, scheme: Scheme, workspace: int) -> bytes:
        """The ZIP of empty templates."""
        service: Service = "batch" if scheme is BATCH else "upload"
        path = "documentation/templates" if scheme is BATCH else f"data/upload/documentation/templates/{workspace}"
        request = Request("GET", self.api.url(service, path), {"Accept": "application/zip, application/json"})
        reply = await self.api.call(request, what="templates")
        if not reply.content.startswith(b"PK"):
            raise ProtocolError(f"{self.api.remote}: the server's templates are no ZIP")
        return reply.content

    # ------------------------------------------------------------ sending

    async def send(
        self, package: LocalPackage, scheme: Scheme, *, validate: bool, workspace: int, notes: str = ""
    ) -> KnownTicket:
        """Register a package, online: its ticket, written down before it is returned.

        Raises :class:`ChangedError` for a file that changed meanwhile, and the error that a refusal means; after a cut
        line nothing is sent again.
        """
        purpose = scheme.validates if validate else scheme.stores
        fields = {
            "workspaceId": str(workspace),
            "packageName": "" if scheme is BATCH else package.name,
            "uploadNotes": notes,
            "uploadPurpose": purpose,
            "serverName": "",
        }
        url = self.api.url("batch", "") if scheme is BATCH else self.api.url("upload", "data/upload/type/online")
        try:
            body = await self._post(url, MultipartBody(fields, package.files), f"the package {package.title}")
        except NetworkError as error:
            if error.code != "refused":
                error.hint = (
                    "the answer was lost, so the server may have taken the package: "
                    "look there before you type the same command again"
                )
            raise
        return self._noted(
            body, package.title, package.fingerprint, scheme=scheme, purpose=purpose, workspace=workspace
        )

    async def register_offline(self, name: str, *, validate: bool, workspace: int, notes: str = "") -> KnownTicket:
        """Reserve a ticket for a package that is brought to the server by other means."""
        purpose = UPLOAD.validates if validate else UPLOAD.stores
        fields = {
            "workspaceId": str(workspace),
            "packageName": name,
            "uploadNotes": notes,
            "uploadPurpose": purpose,
            "serverName": "",
        }
        body = await self._post(self.api.url("upload", "data/upload/type/offline"), MultipartBody(fields), name)
        return self._noted(body, name, "", scheme=UPLOAD, purpose=purpose, workspace=workspace)

    async def known(
        self, package: LocalPackage, scheme: Scheme, *, validate: bool, workspace: int
    ) -> KnownTicket | None:
        """The ticket of the very same package, if one was got from here that was not at its end when last seen."""
        purpose = scheme.validates if validate else scheme.stores
        for one in self.book.all():
            same = (one.scheme, one.purpose, one.workspace) == (scheme.name, purpose, workspace)
            if same and one.fingerprint == package.fingerprint and not is_final(one.status):
                return one
        return None

    async def _post(self, url: str, body: MultipartBody, what: str) -> Any:
        """POST a form, read from disk in a thread of its own; a refused token is renewed once."""
        headers = {"Accept": "application/json", "Content-Type": body.content_type}
        request = Request("POST", url, headers, body, body.size)
        for last in (False, True):
            signed = await self.api.auth.authorise(request)
            sink = Collect(url, _ANSWER_LIMIT)
            head = await stream_following(self.api.network, signed, sink, bulk=True, stall=STALL)
            reply = Reply(head, b"".join(sink.pieces))
            if head.ok:
                return decoded(reply, self.api.remote, what)
            if last or head.status != 401 or not await self.api.auth.renew(signed):
                break
        raise self.api.refused(reply, what)

    def _noted(
        self, body: Any, title: str, fingerprint: str, *, scheme: Scheme, purpose: str, workspace: int
    ) -> KnownTicket:
        ticket = body.get("uploadTicketNumber") if isinstance(body, Mapping) else None
        if not isinstance(ticket, str) or not is_ticket(ticket):
            raise ProtocolError(f"{self.api.remote}: the server's answer names no ticket")
        found = KnownTicket(
            ticket=ticket,
            remote=self.api.remote,
            scheme=scheme.name,
            purpose=purpose,
            workspace=workspace,
            package=title,
            fingerprint=fingerprint,
            status=str(body.get("status") or ""),
            created=time.time(),
        )
        self.book.keep(found)
        return found

    # ------------------------------------------------------------ tickets

    async def validate(self, ticket: str, scheme: Scheme, on_status: OnStatus | None = None) -> str:
        """Have a ticket's validation done; its final status.

        The server answers when it is over. Where that takes longer than a line or a proxy lasts, it is asked for the
        status instead.
        """
        service: Service = "batch" if scheme is BATCH else "upload"
        path = "validation" if scheme is BATCH else "data/upload/validation"
        body = MultipartBody({"uploadTicketNumber": _checked(ticket)})
        content = b"".join(body())
        headers = {"Accept": "application/json", "Content-Type": body.content_type}
        url = self.api.url(service, path)
        request = Request("POST", url, headers, content, len(content), idempotent=True)
        try:
            reply = await self.api.call(request, what=f"the ticket {ticket}")
            status = self._status(decoded(reply, self.api.remote, ticket))
        except NotFoundError as error:
            raise self._no_ticket(error) from None
        except (NetworkError, ServerError):
            status = await self.status(ticket, scheme)
        if not is_final(status):
            return await self.wait(ticket, scheme, on_status)
        self._remember(ticket, status)
        return status

    async def status(self, ticket: str, scheme: Scheme) -> str:
        """A ticket's status. Raises :class:`NotFoundError` for one that the server does not know."""
        try:
            body = await self._get(ticket, scheme, "status")
        except NotFoundError as error:
            raise self._no_ticket(error) from None
        status = self._status(body)
        self._remember(ticket, status)
        return status

    async def wait(self, ticket: str, scheme: Scheme, on_status: OnStatus | None = None) -> str:
        """Look at a ticket, with growing waits, until it is completed or rejected: its final status."""
        pause = self.patience.first
        seen = ""
        while True:
            status = await self.status(ticket, scheme)
            if status != seen and on_status is not None:
                on_status(status)
            if is_final(status):
                return status
            seen = status
            await self.patience.sleep(pause)
            pause = min(pause * 1.5, self.patience.most)

    async def report(self, ticket: str, scheme: Scheme) -> TicketReport:
        """The reports of a ticket, read into rows."""
        try:
            status, rows = parse_summary(await self._get(ticket, scheme, "reports/summary"))
            held = await self._get(ticket, scheme, "reports/database")
        except NotFoundError as error:
            raise self._no_ticket(error) from None
        text = held.get("database") if isinstance(held, Mapping) else None
        text = text if isinstance(text, str) and text else None
        sections: tuple[Section, ...] = ()
        if text is not None:
            if text.startswith("EXPERIMENT DATA UPLOAD REPORT"):
                sections = parse_upload_report(text)
            elif not any(row.status == "Error" for row in rows):
                rows = _with_text(rows, text)
        self._remember(ticket, status)
        return TicketReport(ticket, status, rows, sections, text)

    async def find_scheme(self, ticket: str) -> Scheme:
        """Whether a ticket is an upload's or a batch update's: as it was written down, else by asking."""
        known = self.book.find(ticket)
        if known is not None:
            return BATCH if known.scheme == BATCH.name else UPLOAD
        for scheme in (UPLOAD, BATCH):
            try:
                await self._get(ticket, scheme, "status")
            except NotFoundError as error:
                missing = error
            else:
                return scheme
        raise self._no_ticket(missing) from None

    async def _get(self, ticket: str, scheme: Scheme, what: str) -> Any:
        place = "registration" if scheme is BATCH else "data/upload/registration"
        service: Service = "batch" if scheme is BATCH else "upload"
        return await self.api.get_json(f"{place}/{quote(_checked(ticket), safe='')}/{what}", service=service)

    def _status(self, body: Any) -> str:
        status = body.get("status") if isinstance(body, Mapping) else None
        if not isinstance(status, str) or not status:
            raise ProtocolError(f"{self.api.remote}: the server's answer says no status of the ticket")
        return status

    def _remember(self, ticket: str, status: str) -> None:
        known = self.book.find(ticket)
        if known is not None and known.status != status:
            self.book.keep(replace(known, status=status))

    def _no_ticket(self, error: PackhorseError) -> NotFoundError:
        return NotFoundError(error.message, hint="packhorse immport ticket: lists those that were sent from here")


def _checked(ticket: str) -> str:
    """A ticket's number. Raises :class:`UsageError` for what cannot be one."""
    if not is_ticket(ticket):
        raise UsageError(f"{ticket[:60]!r} is no ticket", hint="tickets look like NAME_20260105_123")
    return ticket


def _with_text(rows: Sequence[ResultRow], text: str) -> tuple[ResultRow, ...]:
    """The rows of a validation's text, where the summary has fewer."""
    try:
        found = parse_validation_report(text)
    except ProtocolError:
        return tuple(rows)
    return found if len(found) > len(rows) else tuple(rows)
