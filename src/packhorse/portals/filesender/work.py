"""What the documented client does, on the engine's loop: its async and its sync face are thin over this."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from packhorse.errors import ChangedError, NotFoundError, ProtocolError, UsageError
from packhorse.model import Item, Secret
from packhorse.net.settings import NetSettings
from packhorse.portals.context import PortalContext
from packhorse.portals.filesender.auth import Signer
from packhorse.portals.filesender.guest import Voucher
from packhorse.portals.filesender.lone import LoneFileReceiver
from packhorse.portals.filesender.manage import GUEST_OPTIONS
from packhorse.portals.filesender.portal import FileSenderPortal
from packhorse.portals.filesender.receiver import FileSenderReceiver
from packhorse.portals.filesender.sending import Sending
from packhorse.portals.filesender.types import Auth, GuestAuth, UserAuth
from packhorse.settings import RemoteSettings, Settings
from packhorse.transfer.engine import Engine
from packhorse.transfer.events import Event
from packhorse.transfer.get import get
from packhorse.transfer.options import GetOptions, Want
from packhorse.transfer.outgoing import LocalFile, Receiver, SendOptions, SendOutcome
from packhorse.transfer.paths import safe_component
from packhorse.transfer.send import gather, send
from packhorse.wire.filesender.lenient import mapping, number
from packhorse.wire.filesender.links import parse_link, site_base

__all__ = ["AnyPath", "ClientWork"]

AnyPath = str | os.PathLike[str]
Json = dict[str, Any]
_REMOTE: Final = "filesender"
_SENDING: Final = ("recipients", "options", "from", "subject", "message", "expires", "lang", "files")


class ClientWork:
    """One server, spoken to in one way. Its coroutines run on the engine's loop."""

    def __init__(
        self, base_url: str, chunk_size: int | None, auth: Auth, files: int | None, chunks: int | None
    ) -> None:
        given: Any = base_url  # callers are not all type-checked
        base = site_base(given) if isinstance(given, str) else None
        if base is None:
            raise UsageError("base_url must begin with https:// or http://, as in https://filesender.example.org")
        for name, value in (("concurrent_files", files), ("concurrent_chunks", chunks), ("chunk_size", chunk_size)):
            if value is not None and (type(value) is not int or value < 1):
                raise UsageError(f"{name} must be a whole number, at least 1, not {value!r}")
        self.base = base
        self.chunk_size = chunk_size
        self.auth = auth
        self.password: str | None = None
        self.options = SendOptions(concurrent_files=files, concurrent_parts=chunks)
        self._settings: Settings | None = None
        self._portal: FileSenderPortal | None = None
        self._roundtrips: dict[int, str] = {}
        self._of_file: dict[int, int] = {}

    @property
    def settings(self) -> Settings:
        """Read at the first need."""
        if self._settings is None:
            self._settings = Settings.load()
        return self._settings

    def portal(self) -> FileSenderPortal:
        """The portal on the engine's present network: after a fork that is another one."""
        given = self.settings.network
        network = Engine.shared().network(
            NetSettings(
                ca_bundle=given.ca_bundle,
                proxy=given.proxy,
                no_proxy=given.no_proxy,
                connect_timeout=given.connect_timeout,
                stall_timeout=given.stall_timeout,
            )
        )
        if self._portal is None:
            context = PortalContext(
                remote=RemoteSettings(_REMOTE, "filesender", self.base, {"keyring": False}, "base_url"),
                network=network,
                environ=self.settings.environ,
                state_dir=self.settings.state_dir,
                anonymous=True,
                passphrase=lambda _: Secret(self.password) if self.password else None,
            )
            voucher, by = _as_whom(self.auth)
            self._portal = FileSenderPortal(context, voucher=voucher, by=by)
        elif self._portal.api.network is not network:
            self._portal.attach(network)
        return self._portal

    # Calls.

    async def prepare(self) -> None:
        portal = self.portal()
        info = await portal.api.info()
        if info.chunk_size is None:
            raise ProtocolError(f"{self.base} states no chunk size: is it a FileSender site?")
        if self.chunk_size is None:
            self.chunk_size = info.chunk_size
        elif self.chunk_size > info.chunk_size:
            raise UsageError(f"chunk_size is {self.chunk_size:,} bytes; this server takes {info.chunk_size:,} at most")
        await portal.api.auth.ready()

    async def get_server_info(self) -> Json:
        return dict(mapping(await self.portal().api.get("info", signed=False)))

    async def create_guest(self, body: Mapping[str, Any]) -> Json:
        api = self.portal().api
        await api.auth.require("an invitation")
        whole: Json = {**body, "options": _halves(mapping(body.get("options")))}
        if "from" not in whole and isinstance(self.auth, UserAuth):
            whole["from"] = self.auth.username
        return dict(mapping(await api.send("POST", "guest", body=whole)))

    async def create_transfer(self, body: Mapping[str, Any]) -> Json:
        api = self.portal().api
        if body.get("encryption"):
            raise UsageError(
                "files of an encrypted transfer are not sent one by one",
                hint='client.password = "…" and upload_workflow()',
            )
        await self.prepare()
        await api.auth.require("sending")
        options = dict(mapping(body.get("options")))
        recipients = list(body.get("recipients") or ())
        options.setdefault("get_a_link", not recipients and not isinstance(self.auth, GuestAuth))
        whole: Json = {"aup_checked": True, **body, "recipients": recipients, "options": options}
        answer = dict(mapping(await api.send("POST", "transfer", body=whole, what="the new transfer")))
        made = number(answer.get("id"))
        if made is not None:
            self._roundtrips[made] = str(answer.get("roundtriptoken") or "")
            for file in answer.get("files") or ():
                file_id = number(mapping(file).get("id"))
                if file_id is not None:
                    self._of_file[file_id] = made
        return answer

    async def update_transfer(self, transfer_id: int, body: Mapping[str, Any]) -> Json:
        query = self._query(transfer_id)
        api = self.portal().api
        answer = await api.send("PUT", f"transfer/{int(transfer_id)}", query, dict(body), repeatable=False)
        return dict(mapping(answer)) if isinstance(answer, dict) else {"id": int(transfer_id)}

    async def update_file(self, file_info: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        ref = _ref(file_info)
        query = [("key", ref["puid"]), *self._query(self._transfer_of(ref))]
        await self.portal().api.send("PUT", f"file/{ref['id']}", query, dict(body))

    def _query(self, transfer_id: int) -> list[tuple[str, str]]:
        token = self._roundtrips.get(int(transfer_id))
        return [("roundtriptoken", token)] if token else []

    def _transfer_of(self, ref: Json) -> int:
        # Some servers leave the transfer out of their files.
        return self._of_file.get(int(ref["id"])) or int(ref["transfer"])

    # Sending.

    async def upload_workflow(self, files: Sequence[AnyPath], transfer_args: Mapping[str, Any]) -> Json:
        if transfer_args.get("encryption") and not self.password:
            raise UsageError("an encrypted transfer needs a password", hint='client.password = "…"')
        await self.prepare()
        found = await asyncio.to_thread(gather, [files] if isinstance(files, str | os.PathLike) else list(files))
        receiver = await self.portal().receiver(self._sending(transfer_args))
        outcome = await self._send(receiver, found)
        outcome.raise_for_failures()
        return dict(receiver.answer) if receiver.answer is not None else dict(mapping(outcome.result))

    def _sending(self, given: Mapping[str, Any]) -> Sending:
        options = dict(mapping(given.get("options")))
        people = given.get("recipients") or ()
        guest = isinstance(self.auth, GuestAuth)
        link = options.pop("get_a_link", None)
        return Sending(
            recipients=(people,) if isinstance(people, str) else tuple(people),
            subject=given.get("subject") or "",
            message=given.get("message") or "",
            sender="" if guest else given.get("from") or "",
            expires=given.get("expires"),
            language=given.get("lang") or "",
            options={} if guest else options,  # servers take a voucher's own
            link=bool(link) and not guest,
            password=Secret(self.password) if self.password else None,
            chunk_size=None if self.password else self.chunk_size,
            extra={
                name: value
                for name, value in given.items()
                if name not in _SENDING and not name.startswith("encryption")
            },
        )

    async def _send(self, receiver: Receiver, files: Sequence[LocalFile]) -> SendOutcome:
        state, pool = self.settings.state_dir, Engine.shared().pool
        network = self.portal().api.network
        return await send(receiver, files, self.options, network, _ignore, state_dir=state, pool=pool)

    async def upload_file(self, file_info: Mapping[str, Any], path: AnyPath, *, complete: bool = False) -> None:
        await self.prepare()
        ref = _ref(file_info)
        found = (await asyncio.to_thread(gather, [path]))[:]
        if len(found) != 1:
            raise UsageError(f"{os.fspath(path)} is a folder; one file goes to one file")
        local = replace(found[0], name=ref["name"])
        if local.size != ref["size"]:
            raise UsageError(
                f"{local.path} has {local.size:,} bytes, and {ref['size']:,} were declared of {ref['name']}"
            )
        api = self.portal().api
        whole = FileSenderReceiver(api, Sending(chunk_size=self.chunk_size), await api.info())
        whole.roundtrip = self._roundtrips.get(self._transfer_of(ref), "")
        (await self._send(LoneFileReceiver(whole, ref, complete=complete), [local])).raise_for_failures()

    # Receiving.

    async def download_files(self, token: str, out_dir: AnyPath) -> None:
        items = [item async for item in self.portal().items(_token(token, self.base))]
        await self._fetch([Want(item, self.portal()) for item in items], out_dir)

    async def download_file(
        self, token: str, file_id: int, out_dir: AnyPath, file_size: float | None, file_name: str | None
    ) -> None:
        items = [item async for item in self.portal().items(_token(token, self.base))]
        item = next((item for item in items if item.labels["id"] == str(int(file_id))), None)
        if item is None:
            raise NotFoundError(f"{self.base}: there is no file {file_id} behind this token")
        if file_size is not None and item.size != int(file_size):
            raise ChangedError(f"{self.base}: file {file_id} has {item.size:,} bytes, not {int(file_size):,}")
        folder = Path(out_dir).expanduser()
        await self._fetch([Want(item, self.portal(), _target(folder, item, file_name))], folder)

    async def _fetch(self, wants: list[Want], out_dir: AnyPath) -> None:
        folder = Path(out_dir).expanduser()
        given = self.settings.transfer
        options = GetOptions(overwrite=True, jobs=given.jobs, retries=given.retries, durability=given.durability)
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        network, pool = self.portal().api.network, Engine.shared().pool
        (await get(wants, folder, options, network, _ignore, pool=pool)).raise_for_failures()


def _as_whom(auth: Auth) -> tuple[Voucher | None, Signer | None]:
    if isinstance(auth, UserAuth):
        return None, Signer(Secret(auth.api_key), auth.username, delay=auth.delay)
    if isinstance(auth, GuestAuth):
        security, csrf = auth.security_token, auth.csrf_token
        link = parse_link(auth.guest_token)
        vid = link.token if link is not None and link.kind == "upload" else auth.guest_token.strip()
        return Voucher(Secret(vid), Secret(security) if security else None, Secret(csrf) if csrf else None), None
    return None, None


def _halves(options: Mapping[str, Any]) -> Json:
    """A voucher's options in their two halves; flat ones are told apart by name."""
    flat = {name: value for name, value in options.items() if name not in ("guest", "transfer")}
    guest = {name: value for name, value in flat.items() if name in GUEST_OPTIONS}
    transfer = {name: value for name, value in flat.items() if name not in GUEST_OPTIONS}
    guest |= dict(mapping(options.get("guest")))
    return {"guest": guest, "transfer": {"get_a_link": False, **transfer, **mapping(options.get("transfer"))}}


def _ref(file: Mapping[str, Any]) -> Json:
    """What parts need of a file as the server described it."""
    file_id, size = number(file.get("id")), number(file.get("size"))
    key = file.get("puid") or file.get("uid")
    name = file.get("name")
    if file_id is None or size is None or not isinstance(key, str) or not isinstance(name, str):
        raise UsageError("file_info must be one of the files that create_transfer returned (id, name, size, puid)")
    return {"id": file_id, "size": size, "puid": key, "name": name, "transfer": number(file.get("transfer_id")) or 0}


def _token(text: str, base: str) -> str:
    link = parse_link(text)
    if link is None:
        return text.strip()
    if link.base != base:
        raise UsageError(f"that link is of {link.base}, and this client speaks to {base}")
    return f"voucher/{link.token}" if link.kind == "upload" else link.token


def _target(folder: Path, item: Item, name: str | None) -> Path | None:
    """The exact place for a file under another name than the server's; only below the folder."""
    if name is None or name == item.path:
        return None
    parts = [safe_component(part) for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return folder.joinpath(*parts) if parts else None


def _ignore(_event: Event) -> None:
    """Nobody looks."""
