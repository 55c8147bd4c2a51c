"""What files a token or a transfer holds: by REST or by the page, of 3.x and 2.x servers (spec §5, §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from packhorse.errors import ExpiredError, NetworkError, NotFoundError, PackhorseError, ProtocolError
from packhorse.model import Identity, Item
from packhorse.net.calls import call
from packhorse.net.message import Request
from packhorse.portals.filesender.api import FileSenderApi
from packhorse.portals.filesender.places import Place, fits, voucher_refused
from packhorse.settings import near
from packhorse.wire.filesender.links import download_link, upload_link
from packhorse.wire.filesender.pages import MAX_PAGE, DownloadPage, parse_download_page, parse_upload_page
from packhorse.wire.filesender.records import Transfer, TransferFile, parse_transfer
from packhorse.wire.filesender.shared import SharedFile, parse_shared_files

__all__ = ["Listed", "by_token", "by_transfer", "item_of", "only"]

_KIND: Final = "transfer"


@dataclass(frozen=True, slots=True)
class Listed:
    """A file with what its download needs: the token, or (``None``) the owner's key."""

    file: SharedFile
    token: str | None = None


async def by_token(api: FileSenderApi, token: str) -> list[Listed]:
    """The files that a recipient's token opens. Raises :class:`NotFoundError` for a dead one, and
    :class:`UsageError` for a voucher, which names the difference."""
    await api.auth.ready()
    if api.auth.signs:
        # 2.x and 3.x both answer this to anybody signed in; a refusal may concern the key and not the token.
        try:
            answer = await api.get("transfer/fileidsextended", [("token", token)], what="the files of this link")
            return _listed(parse_shared_files(answer), token)
        except NetworkError:
            raise
        except PackhorseError:
            pass  # a wrong key, an application without the right, an old server: the page needs none of these
    page = await _page(api, token)
    if page.files:
        return _listed(page.files, token)
    raise await _dead(api, token)


def _listed(files: Sequence[SharedFile], token: str | None) -> list[Listed]:
    return [Listed(file, token) for file in files]


async def _page(api: FileSenderApi, token: str) -> DownloadPage:
    url = download_link(api.base, token)
    request = Request("GET", url, {"Accept": "text/html"}, secret_url=True)
    reply = await call(api.network, request, limit=MAX_PAGE, settled=lambda reply: reply.status == 500)
    api.auth.learn(reply.head)
    if reply.status in (404, 410) and "html" in (reply.head.headers.get("content-type") or ""):
        return DownloadPage(())  # as plain as real servers' page without files, which is a 200
    if not reply.head.ok:
        raise api.refused(reply, "this link")
    return parse_download_page(reply.content)


async def _dead(api: FileSenderApi, token: str) -> PackhorseError:
    """Why a token's page lists nothing."""
    request = Request("GET", upload_link(api.base, token), {"Accept": "text/html"}, secret_url=True)
    reply = await call(api.network, request, limit=MAX_PAGE, settled=lambda reply: reply.status == 500)
    try:
        if reply.head.ok and parse_upload_page(reply.content).is_open:
            return voucher_refused(api.remote, api.base)
    except ProtocolError:
        pass
    return NotFoundError(
        f"{api.remote}: nothing is behind this link: it is over, was withdrawn, or is incomplete",
        hint="paste the whole link, or ask the sender for a new one",
    )


async def by_transfer(api: FileSenderApi, number: str) -> list[Listed]:
    """The files of a transfer of one's own (or of one's guests), fetched with the key. Raises
    :class:`AuthenticationError` without one, :class:`NotFoundError`, :class:`ExpiredError` for a closed one."""
    await api.auth.require("your own transfers")
    transfer = parse_transfer(await api.get(f"transfer/{number}"))
    if not transfer.options.get("encryption"):
        return _listed([_shared(file, transfer) for file in transfer.files], None)
    # What the cipher needs is told to holders of a token only.
    for recipient in transfer.recipients:
        if recipient.token:
            return await by_token(api, recipient.token)
    raise ExpiredError(
        f"{api.remote}:transfers/{number}: it is encrypted, and has no recipient by whom it could be read",
        status=410,
        hint="add one: packhorse transfers add ID EMAIL",
    )


def _shared(file: TransferFile, transfer: Transfer) -> SharedFile:
    return SharedFile(id=file.id, name=file.name, size=file.size, transfer_id=transfer.id)


def item_of(api: FileSenderApi, listed: Listed) -> Item:
    """The engine's view of a file. Its id never names other bytes; tokens stand in no key, which ledgers keep."""
    file = listed.file
    return Item(
        remote=api.remote,
        key=f"{file.transfer_id}/{file.id}",
        path=file.name,
        size=file.size,
        identity=Identity("id", f"{api.base}#{file.id}", file.size),
        media_type=file.mime or None,
        labels={"kind": _KIND, "id": str(file.id), "transfer": str(file.transfer_id)},
    )


def only(api: FileSenderApi, place: Place, files: Sequence[Listed]) -> list[Listed]:
    """Those that the address means: a name, a folder, a pattern, file ids. Raises :class:`NotFoundError` for none."""
    found = [entry for entry in files if fits(entry.file.name, place.rest)]
    if place.files:
        found = [entry for entry in found if entry.file.id in place.files]
    if not found and files:
        names = [entry.file.name for entry in files]
        wanted = repr(place.rest) if place.rest else "such file"
        raise NotFoundError(
            f"{api.remote}: there is no {wanted} among the {len(files):,} files here{near(place.rest, names)}",
            hint="packhorse ls ADDRESS shows them",
        )
    return found
