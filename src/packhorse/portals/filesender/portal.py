"""The FileSender portal: lists, describes, locates and authorises; the engine does the rest (DESIGN §3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from packhorse.credentials.ladder import Answer
from packhorse.errors import NotFoundError, PackhorseError, UsageError
from packhorse.model import Item, Secret
from packhorse.net.message import Reply, Request, ResponseHead
from packhorse.net.transport import Network
from packhorse.portals.context import PortalContext
from packhorse.portals.filesender.api import FileSenderApi
from packhorse.portals.filesender.auth import Signer
from packhorse.portals.filesender.codec import ChunkCodec
from packhorse.portals.filesender.downloads import archive_url, download_url, head_check, page_instead
from packhorse.portals.filesender.guest import Voucher
from packhorse.portals.filesender.listing import Listed, by_token, by_transfer, item_of, only
from packhorse.portals.filesender.manage import Manager
from packhorse.portals.filesender.opening import Opener
from packhorse.portals.filesender.places import Place, parse_place, voucher_refused
from packhorse.transfer.portal import Entry, Locator
from packhorse.wire.filesender.links import is_token, new_token, parse_link

if TYPE_CHECKING:
    from packhorse.portals.filesender.receiver import FileSenderReceiver
    from packhorse.portals.filesender.sending import Sending

__all__ = ["FileSenderPortal", "open_portal"]


def open_portal(context: PortalContext) -> FileSenderPortal:
    """The portal of a remote of kind ``filesender``."""
    return FileSenderPortal(context)


class FileSenderPortal:
    """One FileSender server, as the engine and the session see it. Lives on the engine's loop.

    ``manage`` is for one's own transfers and guests; :meth:`receiver` takes uploads. ``voucher``: as that guest;
    ``by``: with this key, whatever the ladder has.
    """

    def __init__(self, context: PortalContext, *, voucher: Voucher | None = None, by: Signer | None = None) -> None:
        self.context = context
        self.remote = context.remote.name
        self.api = FileSenderApi(context, voucher=voucher, by=by)
        self.manage = Manager(self.api)
        self._opener = Opener(self.api)
        self._listed: dict[str, Listed] = {}
        self._archives: dict[str, tuple[list[Listed], str]] = {}
        self._transactions: dict[str, str] = {}

    def as_guest(self, voucher: str | Secret) -> FileSenderPortal:
        """The same server, as the guest of this voucher (its id or its link). Raises :class:`UsageError`."""
        text = (voucher.reveal() if isinstance(voucher, Secret) else voucher).strip()
        link = parse_link(text)
        if link is not None and link.kind == "download":
            raise UsageError(
                f"{self.remote}: this link is for receiving; a voucher's has s=upload&vid=", hint="packhorse get LINK"
            )
        if link is not None and link.base != self.api.base:
            raise UsageError(f"{self.remote}: this voucher is of another site, {link.base}")
        vid = link.token if link is not None else text.lower()
        if not is_token(vid):
            raise UsageError(f"{self.remote}: that is no voucher: 8-4-4-4-12 letters and digits, or its whole link")
        return FileSenderPortal(self.context, voucher=Voucher(Secret(vid)))

    def attach(self, network: Network) -> None:
        """Go on over another network (a fork needs a new one), with the same credentials."""
        self.context = self.api.context = replace(self.context, network=network)
        self.api.network = self.api.auth.network = network
        if self.api.auth.door is not None:
            self.api.auth.door.network = network

    async def receiver(self, sending: Sending) -> FileSenderReceiver:
        """What takes one upload, for :func:`packhorse.transfer.send.send`. Asks ``/info``; creates nothing yet."""
        from packhorse.portals.filesender.receiver import open_receiver

        return await open_receiver(self.api, sending)

    # Listing.

    async def items(self, path: str) -> AsyncIterator[Item]:
        """Every file that ``path`` means; an archive of them where the address asks for one."""
        place = parse_place(path)
        self._opener.ask_again()
        listed = await self._files(place)
        if place.archive:
            yield self._archive(place, listed)
            return
        for entry in listed:
            item = item_of(self.api, entry)
            self._listed[item.key] = entry
            yield item

    async def _files(self, place: Place) -> list[Listed]:
        if place.kind == "token":
            listed = await by_token(self.api, place.id)
        elif place.kind == "transfers" and place.id:
            listed = await by_transfer(self.api, place.id)
        elif place.kind == "voucher":
            raise voucher_refused(self.remote, self.api.base)
        else:
            raise UsageError(
                f"{self.remote}: name one transfer, or a link's token", hint=f"packhorse ls {self.remote}:"
            )
        # All of them, also those that are not wanted: a password is tried on the smallest.
        for entry in listed:
            self._listed[item_of(self.api, entry).key] = entry
        return only(self.api, place, listed)

    def _archive(self, place: Place, listed: Sequence[Listed]) -> Item:
        if any(entry.file.encrypted for entry in listed):
            raise UsageError(
                f"{self.remote}: these files are encrypted, an archive would hold what nobody can read",
                hint="leave ?archive= out: the files are fetched and decrypted one by one",
            )
        number = listed[0].file.transfer_id
        key = f"{number}/{','.join(str(entry.file.id) for entry in listed)}.{place.archive}"
        self._archives[key] = (list(listed), place.archive)
        return Item(self.remote, key, f"transfer_{number}.{place.archive}", labels={"kind": "archive"})

    async def entries(self, path: str) -> AsyncIterator[Entry]:
        """One level. The root and ``transfers`` show one's own transfers, ``guests`` one's vouchers."""
        place = parse_place(path)
        if place.kind == "root" or (place.kind == "transfers" and not place.id):
            for transfer in await self.manage.transfers():
                name = transfer.subject or ", ".join(file.name for file in transfer.files[:3]) or str(transfer.id)
                size = sum(file.size for file in transfer.files)
                address = f"{self.remote}:transfers/{transfer.id}"
                yield Entry(address, name, "transfer", size, transfer.created, details=_record(transfer))
        elif place.kind == "guests":
            for guest in await self.manage.guests():
                yield Entry(guest.upload_url, guest.email, "guest", None, guest.created, details=_record(guest))
        else:
            for entry in self._level(place, await self._files(place)):
                yield entry

    def _level(self, place: Place, listed: Sequence[Listed]) -> list[Entry]:
        base = f"{self.remote}:{'transfers/' if place.kind == 'transfers' else ''}{place.id}"
        above = place.rest + "/" if all(e.file.name.startswith(place.rest + "/") for e in listed) else ""
        found: list[Entry] = []
        folders: set[str] = set()
        for entry in listed:
            name, slash, _ = entry.file.name.removeprefix(above).partition("/")
            if slash and name and not (place.rest and not above):
                if name not in folders:
                    folders.add(name)
                    found.append(Entry(f"{base}/{above}{name}", name, "folder"))
                continue
            item = item_of(self.api, entry)
            shown = entry.file.name.removeprefix(above)
            details = {"encrypted": entry.file.encrypted}
            found.append(Entry(f"{base}/{entry.file.name}", shown, "file", item.size, item=item, details=details))
        return found

    async def describe(self, path: str) -> Mapping[str, Any]:
        """The server's own record. Without a path: the site's limits, and who is signed in."""
        place = parse_place(path)
        if place.kind == "root":
            info = await self.api.info()
            return {"remote": self.remote, **_record(info), **await self.whoami()}
        if place.kind == "transfers" and place.id and not place.rest:
            return _record(await self.manage.transfer(int(place.id)))
        if place.kind in ("guests", "transfers") and not place.id:
            raise UsageError(f"{self.remote}:{path} is a list", hint=f"packhorse ls {self.remote}:{path}")
        listed = await self._files(place)
        if len(listed) == 1:
            return _record(listed[0].file)
        return {
            "transfer": listed[0].file.transfer_id if listed else None,
            "files": len(listed),
            "size": sum(entry.file.size for entry in listed),
            "encrypted": any(entry.file.encrypted for entry in listed),
        }

    # Bytes.

    async def locate(self, item: Item) -> Locator:
        """``download.php``, with the cipher of an encrypted file. Raises :class:`DecryptionError` …"""
        transaction = self._transactions.setdefault(item.key, new_token())
        if item.key in self._archives:
            listed, kind = self._archives[item.key]
            ids = [entry.file.id for entry in listed]
            token = listed[0].token
            url = archive_url(self.api, ids, token, kind, transaction)
            check = head_check(self.api, None)
            return Locator(url, secret_url=bool(token), authorised=token is None, ranges=False, check=check)
        found = self._listed.get(item.key)
        if found is None:
            raise NotFoundError(f"{self.remote}: file {item.key} was not listed here", hint="list its transfer first")
        codec = None
        if found.file.encrypted:
            number = found.file.transfer_id
            siblings = [entry for entry in self._listed.values() if entry.file.transfer_id == number]
            codec = ChunkCodec(await self._opener.crypto(found.file, siblings))
        return Locator(
            download_url(self.api, found.file.id, found.token, transaction),
            size=found.file.size,
            identity=item.identity,
            codec=codec,
            secret_url=found.token is not None,
            authorised=found.token is None,
            check=head_check(self.api, found.file),
        )

    async def authorise(self, request: Request) -> Request:
        return await self.api.auth.authorise(request)

    async def renew(self, refused: Request) -> bool:
        return await self.api.auth.renew(refused)

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        """Without a session a refused download is an empty 500: whether the link still lists files tells more."""
        self.api.auth.learn(head)
        page = page_instead(self.api, head, "download")
        if page is not None:
            return page
        if head.status == 500 and not body.strip():
            for token in {entry.token for entry in self._listed.values() if entry.token}:
                try:
                    await by_token(self.api, token)
                except PackhorseError as error:
                    return error
        return self.api.refused(Reply(head, body), "download")

    async def aclose(self) -> None:
        """Nothing is held."""

    # Accounts (packhorse.portals.context.SignsIn).

    async def sign_in(self, username: str, password: Secret, *, store: str = "auto") -> Mapping[str, Any]:
        """FileSender knows no passwords here: what is given must be the API key."""
        return await self.use_token(password, username=username, store=store)

    async def use_token(self, token: Secret, *, username: str | None = None, store: str = "auto") -> Mapping[str, Any]:
        auth = self.api.auth
        auth.use(token, username or auth.source.username)
        me = await self.whoami()  # a wrong key is refused here, before it is kept
        by = auth.by
        return {**me, "stored": await auth.keep(token, by.user if by is not None else username, store)}

    async def sign_out(self) -> bool:
        return await self.api.auth.forget()

    async def whoami(self) -> Mapping[str, Any]:
        auth = self.api.auth
        await auth.ready()
        if not auth.signs or auth.by is None:
            return {}
        me: dict[str, Any] = {}
        if auth.by.application is not None:
            me["application"] = auth.by.application
        if auth.by.user is not None:
            user = await self.manage.user()
            me.update(username=user.saml_id or auth.by.user, id=user.id, lang=user.lang)
        credential = auth.answer.credential if auth.answer is not None else None
        if credential is not None:
            me.update(rung=credential.rung, origin=credential.origin)
        return me

    async def credentials(self) -> Answer:
        return await self.api.auth.credentials()


def _record(value: Any) -> dict[str, Any]:
    """A wire record as plain values, without what is empty."""
    return {name: held for name, held in asdict(value).items() if held not in (None, "", (), {})}
