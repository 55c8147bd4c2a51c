"""FileSender's records as clients read them: transfers, files, recipients, guests, logs (spec filesender §3-§9).

One frozen dataclass per record serves both sides: ``parse_*`` reads leniently, ``bodies`` builds exactly. Times are
Unix seconds, sizes bytes. Names, subjects and messages are hostile text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from packhorse.errors import ProtocolError
from packhorse.wire.filesender.audit import AuditActor, AuditEvent, AuditTarget, parse_audit_log
from packhorse.wire.filesender.lenient import flag, items, mapping, moment, number, required, text, whole

__all__ = [
    "AuditActor",
    "AuditEvent",
    "AuditTarget",
    "Guest",
    "Info",
    "Quota",
    "Recipient",
    "Transfer",
    "TransferFile",
    "Trouble",
    "UserInfo",
    "parse_audit_log",
    "parse_file",
    "parse_guest",
    "parse_guests",
    "parse_info",
    "parse_json",
    "parse_quota",
    "parse_recipient",
    "parse_transfer",
    "parse_transfers",
    "parse_user",
    "parse_written",
]

Json = dict[str, Any]
_LIMIT: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Trouble:
    """One entry of ``errors`` on a recipient or guest, mostly a bounced letter (``type`` ``bounce``)."""

    type: str
    date: int | None = None
    details: Any = None


@dataclass(frozen=True, slots=True)
class TransferFile:
    """A file of a transfer as its owner sees it. ``puid`` is the per-file key (``uid`` on servers before Oct 2025).

    ``cid`` is what the client called it at creation, ``None`` where the server did not keep it (it says ``false``).
    """

    id: int
    transfer_id: int
    puid: str
    name: str
    size: int
    sha1: str | None = None
    cid: str | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets a transfer. ``email`` is empty for the anonymous one of a link; ``token`` opens the download page."""

    id: int
    transfer_id: int
    token: str
    email: str
    created: int | None = None
    last_activity: int | None = None
    options: Any = None
    download_url: str = ""
    errors: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer. ``roundtriptoken`` is a secret and only there in the answer to its creation.

    ``expiry_date_extension`` is the days that the next extension gives, 0 for none.
    """

    id: int
    user_id: int = 0
    user_email: str = ""
    subject: str = ""
    message: str = ""
    created: int | None = None
    expires: int | None = None
    expiry_date_extension: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    salt: str = ""
    roundtriptoken: str = field(default="", repr=False)
    files: tuple[TransferFile, ...] = ()
    recipients: tuple[Recipient, ...] = ()


@dataclass(frozen=True, slots=True)
class Guest:
    """An invitation. ``token`` is the voucher (``vid``); ``transfer_options`` are for what the guest uploads."""

    id: int
    user_id: int = 0
    user_email: str = ""
    email: str = ""
    token: str = field(default="", repr=False)
    transfer_count: int = 0
    subject: str = ""
    message: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    transfer_options: Mapping[str, Any] = field(default_factory=dict)
    created: int | None = None
    expires: int | None = None
    upload_url: str = field(default="", repr=False)
    expiry_date_extension: int = 0
    errors: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True)
class UserInfo:
    """The signed-in user. ``saml_id`` is the name that signs requests, mostly the e-mail address."""

    id: int
    saml_id: str = ""
    created: int | None = None
    last_activity: int | None = None
    lang: str = ""
    aup_ticked: bool = False
    frequent_recipients: tuple[str, ...] = ()
    transfer_preferences: Mapping[str, Any] = field(default_factory=dict)
    guest_preferences: Mapping[str, Any] = field(default_factory=dict)
    additional_attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quota:
    """A user's quota in bytes."""

    total: int
    used: int
    available: int


@dataclass(frozen=True, slots=True)
class Info:
    """``/info``. ``disclosed`` holds whatever else the site tells (``version``, ``max_transfer_size``, …), as sent.

    ``chunk_size`` is ``None`` where the server does not say it (then it is not a FileSender that can be used).
    """

    url: str
    name: str
    chunk_size: int | None
    logon_url: str = ""
    disclosed: Mapping[str, Any] = field(default_factory=dict)

    def limit(self, name: str) -> int | None:
        """A disclosed number such as ``max_transfer_files``; ``None`` where the site tells none, or 0 for no limit."""
        return number(self.disclosed.get(name)) or None


def parse_json(body: bytes) -> Any:
    """An answer's JSON. ``ProtocolError`` when it is empty, longer than 64 MiB, or something else, such as HTML."""
    if not body.strip():
        raise ProtocolError("the server's answer is empty where JSON belongs")
    if len(body) > _LIMIT:
        raise ProtocolError("the server's answer is longer than 64 MiB")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        what = "HTML" if body.lstrip()[:1] == b"<" else "something else"
        raise ProtocolError(f"the server's answer is {what} where JSON belongs") from None


def parse_transfer(value: object) -> Transfer:
    """Read a transfer. ``ProtocolError`` without a number, or with files or recipients that cannot be read."""
    record, transfer_id = required(value, "a transfer", "id")
    return Transfer(
        id=transfer_id,
        user_id=whole(record.get("userid", record.get("user_id"))),
        user_email=text(record.get("user_email")),
        subject=text(record.get("subject")),
        message=text(record.get("message")),
        created=moment(record.get("created")),
        expires=moment(record.get("expires")),
        expiry_date_extension=whole(record.get("expiry_date_extension")),
        options=mapping(record.get("options")),
        salt=text(record.get("salt")),
        roundtriptoken=text(record.get("roundtriptoken")),
        files=items(record.get("files"), "files", parse_file),
        recipients=items(record.get("recipients"), "recipients", parse_recipient),
    )


def parse_transfers(value: object) -> tuple[Transfer, ...]:
    """Read a list of transfers."""
    return items(value, "transfers", parse_transfer)


def parse_file(value: object) -> TransferFile:
    """Read a file; ``puid`` or ``uid`` is its key. ``ProtocolError`` without number, name or size."""
    record, file_id = required(value, "a file", "id")
    size, name = number(record.get("size")), record.get("name")
    if size is None or size < 0 or not isinstance(name, str):
        raise ProtocolError(f"the server's answer names file {file_id} without a name or a size")
    cid = record.get("cid")
    return TransferFile(
        id=file_id,
        transfer_id=whole(record.get("transfer_id")),
        puid=text(record.get("puid")) or text(record.get("uid")),
        name=name,
        size=size,
        sha1=text(record.get("sha1")) or None,
        cid=cid if isinstance(cid, str) and cid else None,
    )


def parse_recipient(value: object) -> Recipient:
    """Read a recipient. ``ProtocolError`` without a number."""
    record, recipient_id = required(value, "a recipient", "id")
    return Recipient(
        id=recipient_id,
        transfer_id=whole(record.get("transfer_id")),
        token=text(record.get("token")),
        email=text(record.get("email")),
        created=moment(record.get("created")),
        last_activity=moment(record.get("last_activity")),
        options=record.get("options"),
        download_url=text(record.get("download_url")),
        errors=items(record.get("errors"), "errors", _trouble),
    )


def _trouble(value: object) -> Trouble:
    record = mapping(value)
    return Trouble(text(record.get("type")), moment(record.get("date")), record.get("details"))


def parse_guest(value: object) -> Guest:
    """Read a guest. ``ProtocolError`` without a number.

    ``options`` is flat on some servers and has halves ``guest`` and ``transfer`` on others: both are understood.
    """
    record, guest_id = required(value, "a guest", "id")
    options = mapping(record.get("options"))
    halves = ("guest", "transfer")
    flat = {name: chosen for name, chosen in options.items() if name not in halves}
    return Guest(
        id=guest_id,
        user_id=whole(record.get("userid", record.get("user_id"))),
        user_email=text(record.get("user_email")),
        email=text(record.get("email")),
        token=text(record.get("token")),
        transfer_count=whole(record.get("transfer_count")),
        subject=text(record.get("subject")),
        message=text(record.get("message")),
        options=flat | dict(mapping(options.get("guest"))),
        transfer_options=dict(mapping(options.get("transfer"))) | dict(mapping(record.get("transfer_options"))),
        created=moment(record.get("created")),
        expires=moment(record.get("expires")),
        upload_url=text(record.get("upload_url")),
        expiry_date_extension=whole(record.get("expiry_date_extension")),
        errors=items(record.get("errors"), "errors", _trouble),
    )


def parse_guests(value: object) -> tuple[Guest, ...]:
    """Read a list of guests."""
    return items(value, "guests", parse_guest)


def parse_user(value: object) -> UserInfo:
    """Read ``/user/@me``. ``ProtocolError`` without a number."""
    record, user_id = required(value, "a user", "id")
    frequent = record.get("frequent_recipients")
    return UserInfo(
        id=user_id,
        saml_id=text(record.get("saml_id")),
        created=moment(record.get("created")),
        last_activity=moment(record.get("last_activity")),
        lang=text(record.get("lang")),
        aup_ticked=flag(record.get("aup_ticked")),
        frequent_recipients=tuple(name for name in frequent if isinstance(name, str))
        if isinstance(frequent, list)
        else (),
        transfer_preferences=mapping(record.get("transfer_preferences")),
        guest_preferences=mapping(record.get("guest_preferences")),
        additional_attributes=mapping(record.get("additional_attributes")),
    )


def parse_quota(value: object) -> Quota | None:
    """Read ``/user/@me/quota``; ``None`` when the user has none."""
    record = mapping(value)
    total = number(record.get("total"))
    if total is None:
        return None
    used = whole(record.get("used"))
    available = number(record.get("available"))
    return Quota(total, used, max(0, total - used if available is None else available))


def parse_info(value: object) -> Info:
    """Read ``/info``. ``ProtocolError`` for what is no object."""
    if not isinstance(value, dict):
        raise ProtocolError("the server's answer is not FileSender's /info")
    chunk = number(value.get("upload_chunk_size"))
    return Info(
        url=text(value.get("url")),
        name=text(value.get("name")),
        chunk_size=chunk if chunk and chunk > 0 else None,
        logon_url=text(value.get("logon_url")),
        disclosed={
            name: value[name] for name in value if name not in ("url", "name", "logon_url", "upload_chunk_size")
        },
    )


def parse_written(value: object) -> int:
    """The bytes that a chunk's answer says were written. ``ProtocolError`` when it does not say it."""
    written = number(mapping(value).get("written"))
    if written is None or written < 0:
        raise ProtocolError("the server's answer to a part does not say how much was written")
    return written
