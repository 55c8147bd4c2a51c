"""One upload to a FileSender server, as the engine drives it (spec §4, §10)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from packhorse.errors import (
    AuthenticationError,
    DecryptionError,
    ExpiredError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ServerError,
    UsageError,
)
from packhorse.model import ByteRange
from packhorse.net.message import HeaderValue, Reply, Request, ResponseHead
from packhorse.portals.filesender.api import FileSenderApi
from packhorse.portals.filesender.checks import about, check_files, check_quota, check_sending, chunk_size
from packhorse.portals.filesender.refusals import identifier_of
from packhorse.portals.filesender.sealing import Sealing
from packhorse.portals.filesender.sending import Sending
from packhorse.transfer.outgoing import Begun, Encoder, LocalFile
from packhorse.wire.filesender.bodies import NewFile, new_transfer_body
from packhorse.wire.filesender.crypto import OVERHEAD
from packhorse.wire.filesender.records import (
    Info,
    Quota,
    Transfer,
    parse_quota,
    parse_transfer,
    parse_transfers,
    parse_written,
)

__all__ = ["FileSenderReceiver", "open_receiver"]

_UNSIGNED_REFUSED: Final = frozenset({"rest_authentication_required", "rest_security_token_did_not_match"})
_GUEST_REFUSED: Final = frozenset({"rest_security_token_did_not_match", "rest_xsrf_token_did_not_match"})
_COMPLETE: Final = frozenset(
    {"cannot_add_data_to_complete_transfer", "cannot_alter_closed_transfer", "bad_transfer_status"}
)
_PROBE_WAITS: Final = (0.2, 1.0, 3.0)
_INCOMPLETE: Final = frozenset({"file_chunk_out_of_bounds", "rest_sanity_check_failed", "rest_bad_parameter"})


async def open_receiver(api: FileSenderApi, sending: Sending) -> FileSenderReceiver:
    """What takes this upload. Asks ``/info`` and signs in; creates nothing. Raises :class:`UsageError` for wishes that
    cannot be, :class:`AuthenticationError` without a key or voucher."""
    await api.auth.require("sending")
    check_sending(sending, api.remote, guest=api.auth.door is not None)
    return FileSenderReceiver(api, sending, await api.info())


class FileSenderReceiver:
    """The engine's ``Receiver``. Lives on the engine's loop; :meth:`encoder` is called in threads."""

    def __init__(self, api: FileSenderApi, sending: Sending, info: Info) -> None:
        self.api = api
        self.sending = sending
        self.info = info
        self.remote = api.remote
        self.part_size = chunk_size(sending, info, api.remote)
        door = api.auth.door
        self.about: Mapping[str, Any] = about(sending, site=api.base, guest=None if door is None else door.voucher.vid)
        self.signed_parts = False
        self.answer: Mapping[str, Any] | None = None  # what the server said last of the whole transfer
        self.roundtrip = ""
        self._sealing: Sealing | None = None
        if sending.password is not None:
            self._sealing = Sealing(sending.password, generated=sending.generated, chunk=self.part_size)

    # Beginning.

    async def check(self, files: Sequence[LocalFile]) -> None:
        """Raise for what the site would refuse: names, pairs, limits, quota. Creates nothing."""
        check_files(files, self.sending, self.info, self.remote)
        if self.api.auth.mode == "user":
            check_quota(files, await self._quota(), self.remote)

    async def _quota(self) -> Quota | None:
        try:
            return parse_quota(await self.api.get("user/@me/quota"))
        except (NotFoundError, PermissionDeniedError, ProtocolError, ServerError):
            return None  # not every site tells; the creation will

    async def begin(self, files: Sequence[LocalFile]) -> Begun:
        """POST /transfer, after everything that would be refused was looked for here."""
        await self.check(files)
        new = [self._new_file(number, file) for number, file in enumerate(files)]
        try:
            answer = await self.api.send("POST", "transfer", body=self._body(new), what="the new transfer")
        except UsageError as error:
            if self.api.auth.door is not None and not self.sending.recipients:
                raise UsageError(error.message, hint="by this voucher, say whom it is for: --to ADDRESS") from None
            raise
        transfer = parse_transfer(answer)
        self.answer = answer
        refs = self._refs(files, new, transfer)
        state = {
            "version": 1,
            "id": transfer.id,
            "roundtrip": transfer.roundtriptoken,
            "puid": next(iter(refs.values()))["puid"],
            "chunk": self.part_size,
            "result": self._result(transfer),
        }
        if self._sealing is not None:
            state |= await self._sealing.begun(transfer.salt)
            for ref in refs.values():
                ref["salt"] = transfer.salt
        self.roundtrip = transfer.roundtriptoken
        state["refs"] = refs
        return Begun(state, refs, self.part_size, str(transfer.id))

    def _new_file(self, number: int, file: LocalFile) -> NewFile:
        # Stock servers want exactly this form, and say false for any other.
        new = NewFile(file.name, file.size, cid=f"file_{number}_{file.size}_0_")
        return new if self._sealing is None else self._sealing.sealed(new)

    def _body(self, new: Sequence[NewFile]) -> dict[str, Any]:
        sending = self.sending
        options = dict(sending.options)
        if sending.link:
            options["get_a_link"] = True
        elif options.get("add_me_to_recipients") or self.api.auth.door is not None:
            options.setdefault("get_a_link", False)
        body = new_transfer_body(
            new,
            recipients=sending.recipients,
            options=options,
            sender=sending.sender,
            subject=sending.subject,
            message=sending.message,
            expires=sending.expires,
            lang=sending.language,
            crypto=None if self._sealing is None else self._sealing.params(),
        )
        return {**sending.extra, **body}

    def _refs(self, files: Sequence[LocalFile], new: Sequence[NewFile], transfer: Transfer) -> dict[str, Any]:
        """Which of the server's files is which of ours: by ``cid``, else by name and size. Folders have entries too."""
        by_cid = {file.cid: file for file in transfer.files if file.cid is not None}
        by_name = {(file.name, file.size): file for file in transfer.files}
        refs: dict[str, Any] = {}
        for file, wanted in zip(files, new, strict=True):
            found = by_cid.get(wanted.cid) or by_name.get((file.name, file.size))
            if found is None:
                raise ProtocolError(
                    f"{self.remote}: the server does not list {file.name} ({file.size:,} bytes) in the new transfer",
                    hint="it may change names: send it under a plainer one",
                )
            if found.size != file.size or not found.puid:
                raise ProtocolError(f"{self.remote}: the server notes {file.name} with another size, or without a key")
            ref = {"id": found.id, "puid": found.puid, "size": file.size, "name": file.name, "transfer": transfer.id}
            if wanted.iv:
                ref |= {"iv": wanted.iv, "aead": wanted.aead, "chunk": self.part_size}
            refs[file.name] = ref
        if len({ref["id"] for ref in refs.values()}) != len(refs):
            raise ProtocolError(f"{self.remote}: the server takes two of the files for one")
        return refs

    def encoder(self, ref: Any, file: LocalFile) -> Encoder | None:
        return None if "iv" not in ref or self._sealing is None else self._sealing.encoder(ref, file.size)

    # Parts.

    def request(self, ref: Any, part: ByteRange, body: bytes, sha256: str) -> Request:
        """PUT of one chunk; the headers state plaintext values, the digest is of what is sent (spec §4.3)."""
        headers: dict[str, HeaderValue] = {
            "Content-Type": "application/octet-stream",
            "Accept": "application/json",
            "X-Filesender-File-Size": str(ref["size"]),
            "X-Filesender-Chunk-Offset": str(part.start),
            "X-Filesender-Chunk-Size": str(len(part)),
            "X-Filesender-Digest-SHA256": sha256,
        }
        if "iv" in ref:
            headers["X-Filesender-Encrypted"] = "1"
            headers["X-Filesender-Chunk-Size-Encrypted"] = str(len(body))
        url = self.api.url(f"file/{ref['id']}/chunk/{part.start}", self._keyed(ref["puid"]))
        return Request("PUT", url, headers, body, len(body), secret_url=True, idempotent=True)

    def _keyed(self, puid: str, *names: str) -> list[tuple[str, str]]:
        query = [(name, puid) for name in names or ("key",)]
        return [*query, ("roundtriptoken", self.roundtrip)] if self.roundtrip else query

    async def authorise(self, request: Request) -> Request:
        """Chunks go out with the file's key alone, which spares the server reading them into memory, unless the site
        wants a signature. Guests always say who they are."""
        if self.api.auth.door is None and not self.signed_parts and "/chunk/" in urlsplit(request.url).path:
            return request
        return await self.api.auth.authorise(request)

    async def renew(self, refused: Request, head: ResponseHead, body: bytes) -> bool:
        self.api.auth.learn(head)
        said = identifier_of(body)
        if self.api.auth.door is not None:
            return said in _GUEST_REFUSED and await self.api.auth.renew(refused)
        unsigned = "signature=" not in urlsplit(refused.url).query
        if unsigned and (said in _UNSIGNED_REFUSED or head.status == 401):
            self.signed_parts = True
            return True
        return False

    def acknowledge(self, ref: Any, part: ByteRange, reply: Reply) -> None:
        """The server wrote as many bytes as were sent. Nothing else tells that a chunk arrived whole (spec §0.4)."""
        self.api.auth.learn(reply.head)
        sent = len(part) + (OVERHEAD if "iv" in ref else 0)
        written = parse_written(self.api.decoded(reply, f"file/{ref['id']}"))
        if written != sent:
            raise ProtocolError(
                f"{self.remote}: {ref['name']}: of {sent:,} bytes sent from {part.start:,} the server wrote {written:,}"
            )

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        said = identifier_of(body)
        if said == "auth_remote_too_late" and self.api.auth.learn(head):
            return ServerError(f"{self.remote}: the clocks differ; signed anew", status=head.status)
        return self.api.refused(Reply(head, body), "upload")

    # The end.

    async def finish_file(self, ref: Any) -> str | None:
        """Idempotent: servers say ``true`` again."""
        path, query = f"file/{ref['id']}", self._keyed(ref["puid"])
        if await self.api.send("PUT", path, query, {"complete": True}, what=ref["name"]) is False:
            raise ProtocolError(f"{self.remote}: the server does not take {ref['name']} as complete")
        return str(ref["id"])

    async def finish(self, state: Any) -> Any:
        """Mails go out with this: it is sent once, and never repeated blindly."""
        query = self._keyed(state["puid"], "key", "puid")
        path = f"transfer/{state['id']}"
        answer = await self.api.send("PUT", path, query, {"complete": True}, repeatable=False)
        if not isinstance(answer, dict):
            return state["result"]
        self.answer = answer
        return self._result(parse_transfer(answer))

    async def finished(self, state: Any) -> Any | None:
        """Owners see available transfers only in their list. Guests have no list, and may read their transfer at any
        time; but it takes no more parts when it is complete, and says so before it looks at one that cannot be."""
        self.roundtrip = str(state.get("roundtrip", ""))  # another process may have begun it
        if self.api.auth.door is not None:
            return state["result"] if await self._full(next(iter(state["refs"].values()))) else None
        for transfer in parse_transfers(await self.api.get("transfer")):
            if transfer.id == state["id"] and _is_ours(transfer, state):
                return self._result(transfer)
        return None

    async def _full(self, ref: Any) -> bool:
        """Whether a part beyond the file's end, which is never written, is refused because of the transfer's state."""
        body = bytes(1 + (OVERHEAD if "iv" in ref else 0))
        beyond = ByteRange(ref["size"], ref["size"] + 1)
        request = self.request(ref, beyond, body, hashlib.sha256(body).hexdigest())
        reply = await self.api.reply(request)
        for wait in _PROBE_WAITS:
            if reply.status != 500 or reply.content.strip():
                break
            await asyncio.sleep(wait)  # a fault without a word says nothing of the transfer; a probe may be repeated
            reply = await self.api.reply(request)
        if reply.head.ok:
            raise ProtocolError(f"{self.remote}: the server takes bytes beyond the end of {ref['name']}")
        said = identifier_of(reply.content)
        if said in _COMPLETE:
            return True
        if said in _INCOMPLETE:
            return False
        raise self.api.refused(reply, f"transfer/{ref['transfer']}")

    async def alive(self, state: Any) -> Begun | None:
        """Whether the server still takes parts. Raises :class:`DecryptionError` for another password than before."""
        if not isinstance(state, dict) or state.get("version") != 1:
            return None
        if (self._sealing is not None) != ("check" in state):
            return None
        if self._sealing is not None:
            await self._sealing.resume(state)
        self.roundtrip = str(state.get("roundtrip", ""))
        if await self._open(state):
            return Begun(state, state["refs"], state["chunk"], str(state["id"]))
        return None

    async def fits(self, state: Any) -> bool:
        """Whether what was sent was encrypted with the password that is given now, if one is."""
        if self.sending.password is None or not isinstance(state, dict) or "check" not in state:
            return True
        try:
            await Sealing(self.sending.password, generated=False, chunk=self.part_size).resume(state)
        except DecryptionError:
            return False
        return True

    async def _open(self, state: Any) -> bool:
        try:
            if self.api.auth.door is not None:
                return not await self._full(next(iter(state["refs"].values())))
            return await self._uploading(state) or await self._begun(state)
        except (NotFoundError, PermissionDeniedError, ExpiredError):
            return False

    async def _uploading(self, state: Any) -> bool:
        """Whether the key alone opens the transfer, which it does only while chunks arrive."""
        query = self._keyed(state["puid"], "key", "puid")
        try:
            await self.api.get(f"transfer/{state['id']}", query, signed=False)
        except (PermissionDeniedError, AuthenticationError, NotFoundError, ExpiredError, UsageError):
            return False
        return True

    async def _begun(self, state: Any) -> bool:
        """Whether the owner sees it, and not among the available ones: begun, and no chunk came yet (or the site wants
        signed chunks). A closed one looks the same and refuses the first part."""
        if not _is_ours(parse_transfer(await self.api.get(f"transfer/{state['id']}")), state):
            return False
        listed = parse_transfers(await self.api.get("transfer"))
        return all(transfer.id != state["id"] for transfer in listed)

    async def discard(self, state: Any) -> None:
        """Delete it. Guests may not: what they began is removed by the server after some days."""
        if self.api.auth.door is not None:
            return
        path = f"transfer/{state['id']}"
        if not _is_ours(parse_transfer(await self.api.get(path)), state):
            raise NotFoundError(f"{self.remote}: {path} is another one there")
        await self.api.send("DELETE", path)

    def _result(self, transfer: Transfer) -> dict[str, Any]:
        """What a person wants to know: the links, who is mailed, until when. Tokens are in the links: journals are
        private, and they are what was asked for."""
        return {
            "id": transfer.id,
            "subject": transfer.subject,
            "expires": transfer.expires,
            "encrypted": self._sealing is not None,
            "recipients": [
                {"id": recipient.id, "email": recipient.email, "download_url": recipient.download_url}
                for recipient in transfer.recipients
            ],
            "files": [{"id": file.id, "name": file.name, "size": file.size} for file in transfer.files],
        }


def _is_ours(transfer: Transfer, state: Any) -> bool:
    """Whether it is the transfer of that journal, by its files' keys: a site that is set up anew counts anew too."""
    keys = {file.puid for file in transfer.files if file.puid}
    return not keys or state["puid"] in keys
