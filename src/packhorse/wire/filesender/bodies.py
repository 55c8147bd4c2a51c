"""FileSender's JSON, built exactly: the server's records and the client's requests (spec filesender §1, §4-§9)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from packhorse.wire.filesender.keys import CryptoParams
from packhorse.wire.filesender.records import (
    AuditEvent,
    Guest,
    Info,
    Quota,
    Recipient,
    Transfer,
    TransferFile,
    Trouble,
    UserInfo,
)

__all__ = [
    "NewFile",
    "audit_log_body",
    "date_body",
    "file_body",
    "guest_body",
    "info_body",
    "new_guest_body",
    "new_transfer_body",
    "php_json",
    "quota_body",
    "recipient_body",
    "request_json",
    "transfer_body",
    "user_body",
    "written_body",
]

Json = dict[str, Any]


def php_json(value: object) -> bytes:
    """JSON as PHP writes it: no blanks, ``/`` as ``\\/``, everything beyond ASCII as ``\\uXXXX``.

    >>> php_json({"url": "https://h/é"})
    b'{"url":"https:\\\\/\\\\/h\\\\/\\\\u00e9"}'
    """
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace("/", "\\/").encode()


def request_json(value: object) -> bytes:
    """JSON for a request, with ``&``, ``<`` and ``>`` as ``\\uXXXX``.

    Servers decode HTML entities and change ``<x`` before they parse (trap 8); so nothing is left to them.

    >>> request_json({"name": "a&amp;b"})
    b'{"name":"a\\\\u0026amp;b"}'
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode()


def date_body(seconds: int | None, *, with_time: bool = False) -> Json | None:
    """A date object in UTC, ``null`` for none.

    >>> date_body(0), date_body(59, with_time=True)["formatted"]
    ({'raw': 0, 'formatted': '01/01/1970'}, '01/01/1970 00:00:59')
    """
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return {"raw": seconds, "formatted": moment.strftime("%d/%m/%Y %H:%M:%S" if with_time else "%d/%m/%Y")}


def file_body(file: TransferFile) -> Json:
    """A file; the key under both of its names (trap 1), ``cid`` only in the answer to the creation."""
    body: Json = {
        "id": file.id,
        "transfer_id": file.transfer_id,
        "puid": file.puid,
        "uid": file.puid,
        "name": file.name,
        "size": file.size,
        "sha1": file.sha1,
    }
    return body if file.cid is None else body | {"cid": file.cid}


def recipient_body(recipient: Recipient) -> Json:
    """A recipient."""
    return {
        "id": recipient.id,
        "transfer_id": recipient.transfer_id,
        "token": recipient.token,
        "email": recipient.email,
        "created": date_body(recipient.created),
        "last_activity": date_body(recipient.last_activity),
        "options": recipient.options,
        "download_url": recipient.download_url,
        "errors": [_trouble(trouble) for trouble in recipient.errors],
    }


def _trouble(trouble: Trouble) -> Json:
    return {"type": trouble.type, "date": date_body(trouble.date), "details": trouble.details}


def transfer_body(transfer: Transfer) -> Json:
    """A transfer. Give ``roundtriptoken`` only in the answer to its creation; elsewhere it is empty."""
    return {
        "id": transfer.id,
        "userid": transfer.user_id,
        "user_id": transfer.user_id,
        "user_email": transfer.user_email,
        "subject": transfer.subject or None,
        "message": transfer.message or None,
        "created": date_body(transfer.created),
        "expires": date_body(transfer.expires),
        "expiry_date_extension": transfer.expiry_date_extension,
        "options": dict(transfer.options),
        "salt": transfer.salt,
        "roundtriptoken": transfer.roundtriptoken,
        "files": [file_body(file) for file in transfer.files],
        "recipients": [recipient_body(recipient) for recipient in transfer.recipients],
    }


def guest_body(guest: Guest) -> Json:
    """A guest: its options flat, and again in the halves ``guest`` and ``transfer``."""
    return {
        "id": guest.id,
        "userid": guest.user_id,
        "user_email": guest.user_email,
        "email": guest.email,
        "token": guest.token,
        "transfer_count": guest.transfer_count,
        "subject": guest.subject or None,
        "message": guest.message or None,
        "transfer_options": dict(guest.transfer_options),
        "options": {**guest.options, "guest": dict(guest.options), "transfer": dict(guest.transfer_options)},
        "created": date_body(guest.created),
        "expires": date_body(guest.expires),
        "upload_url": guest.upload_url,
        "expiry_date_extension": guest.expiry_date_extension,
        "errors": [_trouble(trouble) for trouble in guest.errors],
    }


def audit_log_body(events: Iterable[AuditEvent]) -> list[Json]:
    """A transfer's log. Members that a kind of author or target does not have are left out."""
    return [_event(event) for event in events]


def _event(event: AuditEvent) -> Json:
    author: Json = {
        "type": event.author.type,
        "id": event.author.id,
        "identity": event.author.identity,
        "ip": event.author.ip,
    }
    if event.author.type == "Recipient":
        author["email"] = event.author.email
    target: Json = {"type": event.target.type, "id": event.target.id}
    if event.target.type == "File":
        target |= {"path": event.target.path, "name": event.target.name, "size": event.target.size}
    elif event.target.type == "Recipient":
        target["email"] = event.target.email
    taken = event.time_taken
    return {
        "date": date_body(event.date, with_time=True),
        "event": event.event,
        "author": author,
        "target": target,
        "time_taken": {"raw": taken, "formatted": "" if taken is None else f"{taken:g} s"},
    }


def user_body(user: UserInfo) -> Json:
    """``/user/@me``."""
    return {
        "id": user.id,
        "saml_id": user.saml_id,
        "additional_attributes": dict(user.additional_attributes),
        "aup_ticked": user.aup_ticked,
        "transfer_preferences": dict(user.transfer_preferences),
        "guest_preferences": dict(user.guest_preferences),
        "created": date_body(user.created),
        "last_activity": date_body(user.last_activity),
        "lang": user.lang or None,
        "frequent_recipients": list(user.frequent_recipients),
        "eventcount": 0,
        "eventip": "",
    }


def quota_body(quota: Quota | None) -> Json | None:
    """``/user/@me/quota``; ``null`` for no quota."""
    return None if quota is None else {"total": quota.total, "used": quota.used, "available": quota.available}


def info_body(info: Info) -> Json:
    """``/info``: the four members that clients rely on, then what the site discloses."""
    return {
        "url": info.url,
        "name": info.name,
        "logon_url": info.logon_url,
        "upload_chunk_size": info.chunk_size,
        **info.disclosed,
    }


def written_body(offset: int, written: int) -> Json:
    """The answer to a chunk: where it is stored, and how many bytes were."""
    return {"offset": offset, "written": written}


@dataclass(frozen=True, slots=True)
class NewFile:
    """One file of POST /transfer. ``iv`` and ``aead`` are base64 texts (:class:`FileCrypto`'s ``*_field``)."""

    name: str
    size: int
    cid: str = ""
    mime_type: str = ""
    iv: str = ""
    aead: str = ""


def new_transfer_body(
    files: Sequence[NewFile],
    *,
    recipients: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    sender: str = "",
    subject: str = "",
    message: str = "",
    expires: int | str | None = None,
    lang: str = "",
    crypto: CryptoParams | None = None,
) -> Json:
    """POST /transfer with all that servers cannot do without (traps 2 and 3).

    ``get_a_link`` is set by the recipients unless ``options`` says it: real servers take its absence for true and then
    drop every recipient.
    """
    chosen: Json = {"get_a_link": not recipients, **(options or {})}
    body: Json = {
        "files": [_new_file(file, encrypted=crypto is not None) for file in files],
        "recipients": list(recipients),
        "options": chosen,
        "aup_checked": True,
    }
    stated: Json = {"from": sender, "subject": subject, "message": message, "expires": expires, "lang": lang}
    body |= {name: value for name, value in stated.items() if value not in ("", None)}
    if crypto is not None:
        chosen["encryption"] = True
        body |= {
            "encryption": True,
            "encryption_key_version": int(crypto.key_version),
            "encryption_password_version": crypto.password_version,
            "encryption_password_encoding": crypto.password_encoding,
            "encryption_password_hash_iterations": crypto.iterations,
            "encryption_client_entropy": crypto.client_entropy,
        }
    return body


def _new_file(file: NewFile, *, encrypted: bool) -> Json:
    body: Json = {"name": file.name, "size": file.size}
    if file.cid:
        body["cid"] = file.cid
    if file.mime_type:
        body["mime_type"] = file.mime_type
    return body | {"iv": file.iv, "aead": file.aead} if encrypted else body


def new_guest_body(
    recipient: str,
    sender: str,
    *,
    subject: str = "",
    message: str = "",
    expires: int | None = None,
    options: Mapping[str, Any] | None = None,
    transfer_options: Mapping[str, Any] | None = None,
) -> Json:
    """POST /guest, with both halves of the options (§7). ``get_a_link`` of the uploads is false unless it is given."""
    body: Json = {
        "recipient": recipient,
        "from": sender,
        "options": {"guest": dict(options or {}), "transfer": {"get_a_link": False, **(transfer_options or {})}},
    }
    stated: Json = {"subject": subject, "message": message, "expires": expires}
    return body | {name: value for name, value in stated.items() if value not in ("", None)}
