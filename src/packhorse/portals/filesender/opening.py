"""Passwords of encrypted transfers: asked once for each, tried on one chunk before anything is fetched (spec §10)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from packhorse.errors import AuthenticationError, DecryptionError, PackhorseError, ProtocolError
from packhorse.model import Secret
from packhorse.net.calls import call
from packhorse.net.message import Request
from packhorse.net.redact import show_text
from packhorse.portals.filesender.api import FileSenderApi
from packhorse.portals.filesender.downloads import download_url, head_check
from packhorse.portals.filesender.listing import Listed
from packhorse.wire.filesender.crypto import (
    CryptoParams,
    FileCrypto,
    KeyVersion,
    derive_key,
    open_file_crypto,
    params_of,
    password_bytes,
)
from packhorse.wire.filesender.links import new_token
from packhorse.wire.filesender.shared import SharedFile

__all__ = ["Opener"]

_ASKED: Final = 3
_TRIED: Final = 64 * 1024 * 1024  # a chunk above this is not fetched only to try a password


class Opener:
    """The keys of the encrypted transfers of one portal, in memory only. Lives on the engine's loop."""

    def __init__(self, api: FileSenderApi) -> None:
        self.api = api
        self._passwords: dict[int, Secret] = {}
        self._keys: dict[tuple[int, CryptoParams], bytes] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self._refused: dict[int, PackhorseError] = {}

    def ask_again(self) -> None:
        """A new job begins: what was not given, or wrong, may be asked for again."""
        self._refused.clear()

    async def crypto(self, file: SharedFile, siblings: Sequence[Listed]) -> FileCrypto:
        """The cipher of a file; ``siblings`` are all listed files of its transfer.

        Raises :class:`DecryptionError` for a wrong password, :class:`AuthenticationError` where nobody can be asked,
        :class:`ProtocolError` where what the server states does not go together.
        """
        params = params_of(file)
        open_file_crypto(bytes(32), file, await self._chunk(file))  # nobody is asked for what cannot be read
        async with self._locks.setdefault(file.transfer_id, asyncio.Lock()):
            key = self._keys.get((file.transfer_id, params))
            if key is None:
                known = self._passwords.get(file.transfer_id)
                key = await (self._once(file, siblings) if known is None else self._derived(known, params))
                self._keys[file.transfer_id, params] = key
        return open_file_crypto(key, file, await self._chunk(file))

    async def _once(self, file: SharedFile, siblings: Sequence[Listed]) -> bytes:
        """All files of a transfer share one question, and its error."""
        if file.transfer_id in self._refused:
            raise self._refused[file.transfer_id]
        try:
            return await self._asked(file, siblings)
        except (DecryptionError, AuthenticationError) as error:
            self._refused[file.transfer_id] = error
            raise

    async def _asked(self, file: SharedFile, siblings: Sequence[Listed]) -> bytes:
        ask = self.api.context.passphrase
        before: Secret | None = None
        for _ in range(_ASKED):
            what = f"Password of the encrypted transfer {file.transfer_id} ({show_text(file.name, 60)} …)"
            password = await asyncio.to_thread(ask, what) if ask is not None else None
            if password is None or not password:
                raise AuthenticationError(
                    f"{self.api.remote}: the files are encrypted, and no password was given",
                    hint="the sender tells it to you by another way than the link; it is asked for on a terminal",
                )
            if password == before:
                break  # from a file or a variable: it will not change
            before = password
            try:
                return await self._tried(password, file, siblings)
            except DecryptionError:
                continue
        raise DecryptionError(f"{self.api.remote}: the password is wrong; nothing was written")

    async def _tried(self, password: Secret, file: SharedFile, siblings: Sequence[Listed]) -> bytes:
        """The key, if it opens the first chunk of the smallest file that has one."""
        params = params_of(file)
        key = await self._derived(password, params)
        fitting = [entry for entry in siblings if entry.file.encrypted and params_of(entry.file) == params]
        sample = min((entry for entry in fitting if entry.file.size), key=lambda entry: entry.file.size, default=None)
        if sample is not None:
            crypto = open_file_crypto(key, sample.file, await self._chunk(sample.file))
            wanted = crypto.wire_range(0)
            if len(wanted) <= _TRIED:
                stored = await self._first_chunk(sample, crypto)
                await asyncio.to_thread(crypto.decrypt, 0, stored)
        self._passwords[file.transfer_id] = password
        return key

    async def _first_chunk(self, sample: Listed, crypto: FileCrypto) -> bytes:
        wanted = crypto.wire_range(0)
        url = download_url(self.api, sample.file.id, sample.token, new_token())
        request = Request("GET", url, {"Range": wanted.header, "Accept-Encoding": "identity"}, secret_url=True)
        reply = await call(self.api.network, request, limit=2 * len(wanted) + 65536)
        if not reply.head.ok:
            raise self.api.refused(reply, f"file {sample.file.id}")
        head_check(self.api, sample.file)(reply.head)
        if len(reply.content) != len(wanted):
            raise ProtocolError(
                f"{self.api.remote}: file {sample.file.id}: {len(reply.content):,} bytes came for its first chunk, "
                f"which has {len(wanted):,}"
            )
        return reply.content

    async def _derived(self, password: Secret, params: CryptoParams) -> bytes:
        def derive() -> bytes:
            raw = password_bytes(password.reveal(), params.password_version, params.password_encoding)
            return derive_key(raw, params)

        return await asyncio.to_thread(derive)

    async def _chunk(self, file: SharedFile) -> int | None:
        """The chunk size by ``/info``, where neither AEAD text nor page say it."""
        if KeyVersion.of(file.key_version) is KeyVersion.GCM or file.chunk_size is not None:
            return None
        return (await self.api.info()).chunk_size
