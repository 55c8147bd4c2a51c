"""End-to-end encryption as FileSender's browsers do it (spec filesender §10). The server never has the password.

Files have fixed chunks, each with its own IV; version 3 binds the number of chunks and the position of each, so that
nothing can be cut off, moved or swapped unseen. Nothing here keeps state: one :class:`FileCrypto` serves any number of
threads. Key derivation (from ``keys``, to be had here too) and AES-GCM release the GIL; AES-CBC (old transfers) does
not: some milliseconds per chunk.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.padding import PKCS7

from packhorse.errors import DecryptionError, IntegrityError, ProtocolError
from packhorse.model import ByteRange
from packhorse.wire.filesender.keys import (
    DEFAULT_ITERATIONS,
    MAX_ITERATIONS,
    CryptoParams,
    KeyVersion,
    derive_key,
    generate_password,
    new_client_entropy,
    new_salt,
    params_of,
    password_bytes,
)
from packhorse.wire.filesender.shared import SharedFile

__all__ = [
    "DEFAULT_ITERATIONS",
    "MAX_CHUNK",
    "MAX_ITERATIONS",
    "OVERHEAD",
    "Aead",
    "ChunkLayout",
    "CryptoParams",
    "FileCrypto",
    "KeyVersion",
    "aead_text",
    "derive_key",
    "generate_password",
    "new_client_entropy",
    "new_file_crypto",
    "new_salt",
    "open_file_crypto",
    "params_of",
    "parse_aead",
    "password_bytes",
]

OVERHEAD: Final = 32
"""Bytes by which a full stored chunk is longer than its plaintext."""

MAX_CHUNK: Final = 2**30
"""Plain bytes of the largest chunk: one chunk is held in memory."""

_IV: Final = 16
_MAX_TEXT: Final = 4096
_MAX_COUNT: Final = 2**32  # the counter in a chunk's IV has 4 bytes


@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """Where the chunks of one file are, plain and stored (§10.3, §10.6). Sizes are bytes.

    ``ProtocolError`` for sizes that cannot be: a chunk size of 0, one above 1 GiB, or for versions 0 and 1 one that is
    no multiple of 16 (their chunks would not fit their places).
    """

    key_version: KeyVersion
    chunk_size: int
    size: int

    def __post_init__(self) -> None:
        if not 1 <= self.chunk_size <= MAX_CHUNK:
            raise ProtocolError(f"{self.chunk_size:,} bytes cannot be an encrypted file's chunk size")
        if self.key_version is not KeyVersion.GCM and self.chunk_size % 16:
            raise ProtocolError(f"{self.chunk_size:,} bytes cannot be the chunk size of AES-CBC: no multiple of 16")
        if self.chunk_count > _MAX_COUNT:
            raise ProtocolError(f"a file of {self.size:,} bytes has too many chunks of {self.chunk_size:,} bytes")
        if self.size < 0:
            raise ProtocolError(f"{self.size} bytes cannot be a file's size")

    @property
    def chunk_count(self) -> int:
        """How many chunks there are; an empty file has none."""
        return -(-self.size // self.chunk_size)

    @property
    def stored_size(self) -> int:
        """The size of the whole encrypted file on the server."""
        last = self.chunk_count - 1
        return 0 if last < 0 else self.stored_offset(last) + self.stored_length(last)

    def plain_length(self, index: int) -> int:
        """Plain bytes of one chunk. ``IndexError`` beyond the last."""
        if not 0 <= index < self.chunk_count:
            raise IndexError(f"the file has {self.chunk_count} chunks, none with index {index}")
        return min(self.chunk_size, self.size - index * self.chunk_size)

    def stored_length(self, index: int) -> int:
        """Bytes of one stored chunk, IV and tag or padding included."""
        return self.stored_for(self.plain_length(index))

    def stored_for(self, plain: int) -> int:
        """Bytes that a chunk of ``plain`` bytes is stored in."""
        return plain + OVERHEAD - (0 if self.key_version is KeyVersion.GCM else plain % 16)

    def stored_offset(self, index: int) -> int:
        """Where a chunk starts in the stored file."""
        return index * (self.chunk_size + OVERHEAD)

    def wire_range(self, index: int) -> ByteRange:
        """What to ask of ``download.php`` for one chunk: its plain start, and its stored length (§10.6)."""
        start = index * self.chunk_size
        return ByteRange(start, start + self.stored_length(index))

    def stored_range(self, asked: ByteRange) -> ByteRange:
        """The stored bytes that answer a ``Range`` of a client: plain start, stored length (the server's side).

        A start within a chunk counts from that chunk's start on; what lies beyond the stored file is cut off.
        """
        index, inside = divmod(asked.start, self.chunk_size)
        start = min(self.stored_offset(index) + inside, self.stored_size)
        return ByteRange(start, min(start + len(asked), self.stored_size))


def aead_text(chunk_count: int, chunk_size: int, iv: bytes) -> str:
    """The text that version 3 authenticates with every chunk, exactly as all clients build it (§10.4)."""
    iv64 = base64.b64encode(iv).decode()
    return f'{{"aeadversion":1,"chunkcount":{chunk_count},"chunksize":{chunk_size},"iv":"{iv64}","aeadterminator":1}}'


@dataclass(frozen=True, slots=True)
class Aead:
    """What an AEAD text states."""

    chunk_count: int
    chunk_size: int
    iv: bytes


def parse_aead(text: bytes) -> Aead:
    """Read an AEAD text. ``ProtocolError`` for anything but version 1 with sane members."""
    try:
        value = json.loads(text) if len(text) <= _MAX_TEXT else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ProtocolError("the encrypted file's AEAD text cannot be read")
    if value.get("aeadversion") != 1 or value.get("aeadterminator") != 1:
        raise ProtocolError("the encrypted file's AEAD text is of a version that is not known")
    count, size, iv = value.get("chunkcount"), value.get("chunksize"), value.get("iv")
    if type(count) is not int or type(size) is not int or not isinstance(iv, str) or not _sane(count, size):
        raise ProtocolError("the encrypted file's AEAD text lacks the number of chunks, their size or the IV")
    return Aead(count, size, _base64(iv, "AEAD IV"))


def _sane(*counts: int) -> bool:
    return all(0 <= count < 2**63 for count in counts)


def _base64(text: str, what: str) -> bytes:
    try:
        if len(text) <= _MAX_TEXT:
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise ProtocolError(f"the encrypted file's {what} is not base64")


@dataclass(frozen=True, slots=True)
class FileCrypto:
    """One file's cipher. ``iv`` is the file's (12 bytes for version 3, else 16).

    ``aead`` is the raw AEAD text of version 3, else empty.

    Made by :func:`new_file_crypto` and :func:`open_file_crypto`. Raises ``ProtocolError`` when key, IV, AEAD text and
    sizes do not go together: the number of chunks in the AEAD text is the only protection against truncation.
    """

    key: bytes = field(repr=False)
    key_version: KeyVersion
    chunk_size: int
    size: int
    iv: bytes
    aead: bytes
    layout: ChunkLayout = field(init=False)

    def __post_init__(self) -> None:
        layout = ChunkLayout(self.key_version, self.chunk_size, self.size)
        object.__setattr__(self, "layout", layout)
        if len(self.key) != 32:
            raise ValueError("an AES-256 key has 32 bytes")
        if self.key_version is not KeyVersion.GCM:
            return
        if len(self.iv) != 12:
            raise ProtocolError(f"the encrypted file's IV has {len(self.iv)} bytes, not 12")
        stated = parse_aead(self.aead)
        if stated.iv != self.iv:
            raise ProtocolError("the encrypted file's IV is not the one of its AEAD text")
        if stated.chunk_size != self.chunk_size:
            raise ProtocolError(
                f"the encrypted file's chunks have {stated.chunk_size:,} bytes by its AEAD text,"
                f" not {self.chunk_size:,}"
            )
        if stated.chunk_count != layout.chunk_count:
            raise ProtocolError(
                f"the encrypted file has {stated.chunk_count} chunks by its AEAD text, {layout.chunk_count} by its"
                " size: it was cut, or its size is wrong"
            )

    @property
    def stored_size(self) -> int:
        """The size of the encrypted file on the server."""
        return self.layout.stored_size

    @property
    def chunk_count(self) -> int:
        """How many chunks there are."""
        return self.layout.chunk_count

    @property
    def authenticates(self) -> bool:
        """Whether decoding every byte proves them: version 3, and not an empty file, which has nothing to check."""
        return self.key_version is KeyVersion.GCM and self.size > 0

    @property
    def iv_field(self) -> str:
        """The file's ``iv`` in POST /transfer."""
        return base64.b64encode(self.iv).decode()

    @property
    def aead_field(self) -> str:
        """The file's ``aead`` in POST /transfer."""
        return base64.b64encode(self.aead).decode()

    def wire_range(self, index: int) -> ByteRange:
        """What to ask for one chunk (:meth:`ChunkLayout.wire_range`)."""
        return self.layout.wire_range(index)

    def encrypt(self, index: int, plain: bytes | bytearray | memoryview) -> bytes:
        """The stored form of one whole chunk. ``ValueError`` when its length is not the chunk's.

        Version 3 gives the same bytes for the same plaintext. Never encrypt two plaintexts as one chunk of one file.
        """
        if len(plain) != self.layout.plain_length(index):
            raise ValueError(f"chunk {index} has {self.layout.plain_length(index)} bytes, {len(plain)} were given")
        if self.key_version is KeyVersion.GCM:
            nonce = self._nonce(index)
            return nonce + AESGCM(self.key).encrypt(nonce, plain, self.aead)
        iv = os.urandom(_IV)
        padder = PKCS7(128).padder()
        cbc = Cipher(AES256(self.key), modes.CBC(iv)).encryptor()
        return b"".join((iv, cbc.update(padder.update(plain)), cbc.update(padder.finalize()), cbc.finalize()))

    def decrypt(self, index: int, stored: bytes | bytearray | memoryview) -> bytes:
        """The plaintext of one whole stored chunk.

        ``IntegrityError`` when it has a wrong length, or is not this chunk of this file; ``DecryptionError`` when the
        password is wrong or bytes were changed, which look the same. Versions 0 and 1 notice a changed chunk only by
        its padding: nothing authenticates them.
        """
        expected = self.layout.stored_length(index)
        if len(stored) != expected:
            raise IntegrityError(
                f"encrypted chunk {index + 1} of {self.chunk_count} has a wrong length",
                expected=f"{expected} bytes",
                got=f"{len(stored)} bytes",
            )
        view = memoryview(stored)
        plain = self._open_gcm(index, view) if self.key_version is KeyVersion.GCM else self._open_cbc(index, view)
        if len(plain) != self.layout.plain_length(index):
            raise _undecryptable(index)
        return plain

    def _nonce(self, index: int) -> bytes:
        return self.iv + index.to_bytes(4, "little")

    def _open_gcm(self, index: int, stored: memoryview) -> bytes:
        nonce = self._nonce(index)
        if stored[:_IV] != nonce:
            raise IntegrityError(
                f"encrypted chunk {index + 1} of {self.chunk_count} is another chunk, or of another file",
                expected=f"iv:{nonce.hex()}",
                got=f"iv:{bytes(stored[:_IV]).hex()}",
            )
        try:
            return AESGCM(self.key).decrypt(nonce, stored[_IV:], self.aead)
        except InvalidTag:
            raise _undecryptable(index) from None

    def _open_cbc(self, index: int, stored: memoryview) -> bytes:
        cbc = Cipher(AES256(self.key), modes.CBC(bytes(stored[:_IV]))).decryptor()
        padded = cbc.update(stored[_IV:]) + cbc.finalize()
        padding = padded[-1]
        if not 1 <= padding <= _IV or padded[-padding:] != bytes([padding]) * padding:
            raise _undecryptable(index)
        return padded[:-padding]


def _undecryptable(index: int) -> DecryptionError:
    return DecryptionError(f"chunk {index + 1} cannot be decrypted: the password is wrong, or the file was changed")


def new_file_crypto(key: bytes, size: int, chunk_size: int, key_version: KeyVersion = KeyVersion.GCM) -> FileCrypto:
    """A cipher with a fresh random IV, for a file of ``size`` plain bytes that is to be sent."""
    if key_version is not KeyVersion.GCM:
        return FileCrypto(key, key_version, chunk_size, size, os.urandom(_IV), b"")
    iv = os.urandom(12)
    count = ChunkLayout(key_version, chunk_size, size).chunk_count
    return FileCrypto(key, key_version, chunk_size, size, iv, aead_text(count, chunk_size, iv).encode())


def open_file_crypto(key: bytes, file: SharedFile, chunk_size: int | None = None) -> FileCrypto:
    """The cipher of a file that a server lists, everything it states checked (§10.4).

    The chunk size is the AEAD text's (it is authenticated, and a site may have changed its own since), else the page's,
    else ``chunk_size`` (from ``/info``). ``ProtocolError`` when what the server states does not go together.
    """
    version = KeyVersion.of(file.key_version)
    aead = b""
    if version is KeyVersion.GCM:
        aead = _base64(file.aead, "AEAD text")
        found = parse_aead(aead).chunk_size
    else:
        found = file.chunk_size or chunk_size or 0
    crypto = FileCrypto(key, version, found, file.size, _base64(file.iv, "IV"), aead)
    if file.size and file.encrypted_size and file.encrypted_size != crypto.stored_size:
        raise ProtocolError(
            f"the encrypted file has {file.encrypted_size:,} bytes on the server where {crypto.stored_size:,} belong:"
            " it was cut, or its chunk size is another one"
        )
    return crypto
