"""Who signs in, and what goes in and out, as the documented client has it (seed 004; members: spec §3 to §7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

__all__ = [
    "Auth",
    "File",
    "FileUpdate",
    "Guest",
    "GuestAuth",
    "PartialTransfer",
    "ServerInfo",
    "Transfer",
    "TransferUpdate",
    "UserAuth",
]


class Auth:
    """Nobody: enough to receive files."""


@dataclass(unsafe_hash=True)
class UserAuth(Auth):
    """Used to authenticate the client with all permissions of a full user.

    ``username`` (mostly the e-mail address) and ``api_key`` stand at ``https://SITE/?s=user``. ``delay`` post-dates
    the timestamp of signed requests, in seconds.
    """

    username: str
    api_key: str = field(repr=False)
    delay: int = 0


@dataclass(unsafe_hash=True)
class GuestAuth(Auth):
    """Used to authenticate the client as a guest. ``guest_token`` is what stands after ``vid=`` in the voucher's link;
    the other two are fetched where they are not given."""

    guest_token: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    csrf_token: str | None = field(default=None, repr=False)


_Date = dict[str, Any]

PartialTransfer = TypedDict(
    "PartialTransfer",
    {
        "recipients": list[str],
        "options": dict[str, Any] | list[str],
        "from": str,
        "subject": str | None,
        "message": str | None,
        "expires": int | str | _Date,
        "lang": str,
        "aup_checked": bool | int,
        "encryption": bool,
        "encryption_key_version": int,
        "encryption_password_version": int,
        "encryption_password_encoding": str,
        "encryption_password_hash_iterations": int,
        "encryption_client_entropy": str,
    },
    total=False,
)
"""What may be said of a transfer when it is made (spec §4.1)."""


class File(TypedDict, total=False):
    """A file of a transfer. ``puid`` is its key; older servers say ``uid``."""

    id: int
    transfer_id: int
    puid: str
    uid: str
    name: str
    size: int
    mime_type: str
    cid: str
    sha1: str | None
    iv: str
    aead: str


class Transfer(PartialTransfer, total=False):
    """A transfer: what it is made of, and what the server answers."""

    id: int
    userid: int
    user_email: str
    created: _Date
    expiry_date_extension: int
    salt: str
    roundtriptoken: str
    files: list[File]


class TransferUpdate(TypedDict, total=False):
    """Changes of a transfer (spec §4.4, §5)."""

    complete: bool
    closed: bool
    extend_expiry_date: bool | int
    remind: bool
    optionremove: bool
    option: str
    decryptfailed: bool


class FileUpdate(TypedDict, total=False):
    """Changes of a file."""

    complete: bool


Guest = TypedDict(
    "Guest",
    {
        "recipient": str,
        "from": str,
        "subject": str | None,
        "message": str | None,
        "options": dict[str, Any],
        "expires": int | _Date,
        "id": int,
        "userid": int,
        "user_email": str,
        "email": str,
        "token": str,
        "transfer_count": int,
        "transfer_options": dict[str, bool],
        "created": _Date,
        "upload_url": str,
        "expiry_date_extension": int,
        "errors": list[Any],
    },
    total=False,
)
"""A voucher: what it is made of (spec §7), and what the server answers."""


class ServerInfo(TypedDict, total=False):
    """What a server says of itself (spec §3); sites may disclose more."""

    url: str
    name: str
    logon_url: str
    upload_chunk_size: int
    version: str
    max_transfer_size: int
    max_transfer_files: int
    max_transfer_days_valid: int
    terasender_enabled: bool
    forward_capabilities: list[dict[str, Any]]
