"""A file as recipients see it: the download page's attributes and ``fileidsextended`` (spec filesender §6, §10.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packhorse.errors import ProtocolError
from packhorse.wire.filesender.lenient import flag, items, number, text, whole

__all__ = ["SharedFile", "file_attributes", "parse_shared_files", "shared_file_body", "shared_file_from"]


@dataclass(frozen=True, slots=True)
class SharedFile:
    """One file of a transfer. ``name`` is a hostile path; sizes are bytes; ``iv`` and ``aead`` are base64 texts.

    ``encrypted_size`` is 0 where nothing was encrypted or the server says nothing. The ``key_version``,
    ``iterations`` and the two chunk sizes are ``None`` where the server says nothing: an encrypted file with no key
    version has version 0. The page of 2.x and ``fileidsextended`` never state chunk sizes.
    """

    id: int
    name: str
    size: int
    transfer_id: int
    mime: str = "application/binary"
    encrypted: bool = False
    encrypted_size: int = 0
    key_version: int | None = None
    salt: str = ""
    password_version: int | None = None
    password_encoding: str = ""
    iterations: int | None = None
    client_entropy: str = ""
    iv: str = ""
    aead: str = ""
    chunk_size: int | None = None
    crypted_chunk_size: int | None = None


def shared_file_from(values: Mapping[str, Any]) -> SharedFile:
    """A file from values by name, with ``-`` or ``_``, texts or not. ``ProtocolError`` without id, name or size."""

    def get(name: str) -> Any:
        found = values.get(name)
        return values.get(name.replace("-", "_")) if found is None else found

    file_id, size = number(get("id")), number(get("size"))
    if file_id is None or file_id < 0 or size is None or size < 0:
        raise ProtocolError("the server lists a file without a number or a size")
    name = get("name")
    if not isinstance(name, str):
        raise ProtocolError(f"the server lists file {file_id} without a name")
    return SharedFile(
        id=file_id,
        name=name,
        size=size,
        transfer_id=whole(get("transferid")),
        mime=text(get("mime")) or "application/binary",
        encrypted=flag(get("encrypted")),
        encrypted_size=whole(get("encrypted-size")),
        key_version=number(get("key-version")),
        salt=text(get("key-salt")),
        password_version=number(get("password-version")),
        password_encoding=text(get("password-encoding")),
        iterations=number(get("password-hash-iterations")),
        client_entropy=text(get("client-entropy")),
        iv=text(get("fileiv")),
        aead=text(get("fileaead")),
        chunk_size=number(get("chunk-size")) or None,
        crypted_chunk_size=number(get("crypted-chunk-size")) or None,
    )


def parse_shared_files(value: object) -> tuple[SharedFile, ...]:
    """The answer of ``fileidsextended``. ``ProtocolError`` when it is no whole list of files."""

    def one(item: object) -> SharedFile:
        if not isinstance(item, dict):
            raise ProtocolError("the server's list of files has an entry that is none")
        return shared_file_from(item)

    return items(value, "files", one)


def file_attributes(file: SharedFile) -> dict[str, str]:
    """The page's ``data-…`` attributes, unescaped, in order; the template escapes them. All 15, and the two of 3.x.

    As on real servers unencrypted files have an empty ``data-encrypted``, and version 0 has an empty key version.
    """

    def shown(value: int | None) -> str:
        return "" if value is None else str(value)

    return {
        "data-id": str(file.id),
        "data-name": file.name,
        "data-size": str(file.size),
        "data-mime": file.mime,
        "data-encrypted": "1" if file.encrypted else "",
        "data-encrypted-size": shown(file.encrypted_size),
        "data-key-version": shown(file.key_version or None),
        "data-key-salt": file.salt,
        "data-password-version": shown(file.password_version),
        "data-password-encoding": file.password_encoding,
        "data-password-hash-iterations": shown(file.iterations),
        "data-client-entropy": file.client_entropy,
        "data-fileiv": file.iv,
        "data-fileaead": file.aead,
        "data-transferid": str(file.transfer_id),
        "data-chunk-size": shown(file.chunk_size),
        "data-crypted-chunk-size": shown(file.crypted_chunk_size),
    }


def shared_file_body(file: SharedFile) -> dict[str, Any]:
    """One entry of ``fileidsextended``: every name with hyphens and again with underscores."""
    dashed = {
        "id": file.id,
        "encrypted": file.encrypted,
        "mime": file.mime,
        "name": file.name,
        "size": file.size,
        "encrypted-size": file.encrypted_size,
        "key-version": file.key_version,
        "key-salt": file.salt,
        "password-version": file.password_version,
        "password-encoding": file.password_encoding,
        "password-hash-iterations": file.iterations,
        "client-entropy": file.client_entropy,
        "fileiv": file.iv,
        "fileaead": file.aead,
        "transferid": file.transfer_id,
    }
    return dashed | {name.replace("-", "_"): value for name, value in dashed.items()}
