"""Checking what a sender announces, in the order that FileSender checks it (spec §4.1), and making the transfer."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from packhorse.errors import ProtocolError, UsageError
from packhorse.server.db.filesender import Guest, Recipient, Transfer, TransferFile
from packhorse.server.db.models import User, now
from packhorse.server.filesender.acts import room_left
from packhorse.server.filesender.faults import Fault
from packhorse.server.filesender.options import transfer_options
from packhorse.server.filesender.settings import FileSenderSettings
from packhorse.server.mail import check_address
from packhorse.wire.filesender.crypto import ChunkLayout, KeyVersion
from packhorse.wire.filesender.lenient import flag, number, text
from packhorse.wire.filesender.names import refusal

__all__ = ["Announced", "create_transfer", "emails", "expiry", "good_email", "limited_text", "sender_of"]

_DAY: Final = 24 * 3600
_URL: Final = re.compile(r"https?://|www\.", re.IGNORECASE)
_MIME: Final = re.compile(r"[a-zA-Z0-9!#$&^_.+-]{1,100}/[a-zA-Z0-9!#$&^_.+-]{1,100}", re.ASCII)
_CID_LIMIT: Final = 200
_GCM_IV: Final = 12
_CBC_IV: Final = 16


@dataclass(frozen=True, slots=True)
class Announced:
    """One file as it was announced."""

    name: str
    size: int
    mime: str
    cid: str | None
    iv: str
    aead: str


@dataclass(frozen=True, slots=True)
class _Crypto:
    key_version: int
    password_version: int
    password_encoding: str
    iterations: int
    entropy: str


def create_transfer(
    session: Session,
    settings: FileSenderSettings,
    sent: Mapping[str, Any],
    owner: User,
    guest: Guest | None,
    *,
    any_sender: bool,
) -> tuple[Transfer, str, dict[int, Any]]:
    """Make a transfer of what was sent: the row, its round-trip token, and the files' ``cid`` by id.

    A guest's transfer belongs to who invited; the voucher's options count, not those sent. ``any_sender``: ``from`` is
    taken as it is (signed requests). Raises :class:`Fault` for the first thing that is not allowed.
    """
    files = _files(sent, settings)
    crypto = _crypto(sent, files)
    if settings.encryption_mandatory and crypto is None:
        raise Fault("transfer_must_be_encrypted")
    if settings.terms and not flag(sent.get("aup_checked")):
        raise Fault("rest_missing_parameter", {"parameter": "aup_checked"})
    sender = guest.email if guest else sender_of(sent, owner, any_sender=any_sender)
    people = emails(sent.get("recipients"))
    options = _options(sent, settings, guest, people)
    options["encryption"] = crypto is not None
    people = _recipients(settings, options, guest, people, sender)
    stored = _sizes(settings, files, crypto)
    room_left(session, settings, owner, sum(stored))
    until = _until(sent, settings, guest)
    _check_names(settings, files)
    roundtrip = secrets.token_hex(16)
    transfer = Transfer(
        user_id=owner.id,
        guest_id=guest.id if guest else None,
        user_email=sender,
        subject=limited_text(sent.get("subject"), 1000),
        message=_message(sent, settings),
        lang=text(sent.get("lang"))[:20],
        options=options,
        roundtrip_sha256=hashlib.sha256(roundtrip.encode()).hexdigest(),
        chunk_size=settings.chunk_size,
        encrypted=crypto is not None,
        expires=until,
    )
    if crypto is not None:
        transfer.key_version, transfer.password_version = crypto.key_version, crypto.password_version
        transfer.password_encoding, transfer.password_iterations = crypto.password_encoding, crypto.iterations
        transfer.client_entropy = crypto.entropy
    transfer.user = owner
    transfer.files = [
        TransferFile(name=file.name, size=file.size, stored_size=size, mime=file.mime, iv=file.iv, aead=file.aead)
        for file, size in zip(files, stored, strict=True)
    ]
    transfer.recipients = [Recipient(email=email, errors=[]) for email in people]
    session.add(transfer)
    session.flush()
    cids = {
        row.id: file.cid if file.cid is not None else False
        for row, file in zip(transfer.files, files, strict=True)
        if file.cid != ""
    }
    return transfer, roundtrip, cids


def good_email(address: str) -> bool:
    """Whether an address can be one: no header, no list, no display name."""
    try:
        check_address(address)
    except UsageError:
        return False
    return len(address) <= 254


def emails(value: object) -> list[str]:
    """Addresses from a list, each once. Raises :class:`Fault` that names those that are none."""
    if value in (None, "", {}):
        return []
    entries = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else [value]
    found: dict[str, str] = {}
    bad = []
    for entry in entries:
        address = text(entry.get("email") if isinstance(entry, dict) else entry).strip()
        if not good_email(address):
            bad.append(address[:254])
        else:
            found.setdefault(address.lower(), address)
    if bad:
        raise Fault("transfer_no_recipients", {"bad_email": bad[:10]})
    return list(found.values())


def expiry(value: object, least: int, most: int) -> int:
    """An expiry that was sent: Unix time or ``YYYY-MM-DD``. Raises :class:`Fault` outside of ``least`` to ``most``."""
    moment = number(value)
    if moment is None and isinstance(value, str):
        try:
            moment = int(dt.datetime.strptime(value.strip(), "%Y-%m-%d").replace(tzinfo=dt.UTC).timestamp())
        except ValueError:
            moment = None
    if moment is None or not least <= moment <= most:
        raise Fault("bad_expire")
    return moment


def limited_text(value: object, most: int) -> str | None:
    """A text that was sent, cut; ``None`` for none."""
    return text(value)[:most] or None


def _files(sent: Mapping[str, Any], settings: FileSenderSettings) -> list[Announced]:
    entries = sent.get("files")
    if isinstance(entries, dict):
        entries = list(entries.values())
    if not isinstance(entries, list) or not entries:
        raise Fault("transfer_no_files")
    if len(entries) > settings.max_transfer_files:
        raise Fault("transfer_too_many_files", {"limit": settings.max_transfer_files})
    return [_file(entry) for entry in entries]


def _file(entry: object) -> Announced:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise Fault("rest_bad_parameter", {"parameter": "files"})
    size = number(entry.get("size"))
    if size is None or size < 0 or isinstance(entry.get("size"), bool):
        raise Fault("rest_bad_parameter", {"parameter": "size"})
    mime = text(entry.get("mime_type"))
    cid = entry.get("cid", "")
    return Announced(
        entry["name"],
        size,
        mime if _MIME.fullmatch(mime) else "application/binary",
        cid if isinstance(cid, str) and len(cid) <= _CID_LIMIT else None,
        text(entry.get("iv")),
        text(entry.get("aead")),
    )


def _crypto(sent: Mapping[str, Any], files: Sequence[Announced]) -> _Crypto | None:
    options = sent.get("options")
    wanted = flag(sent.get("encryption")) or (isinstance(options, dict) and flag(options.get("encryption")))
    if not wanted:
        return None
    version = number(sent.get("encryption_key_version", KeyVersion.GCM if files[0].aead else KeyVersion.CBC))
    password_version = number(sent.get("encryption_password_version", 1))
    encoding = text(sent.get("encryption_password_encoding")) or "none"
    iterations = number(sent.get("encryption_password_hash_iterations", 150_000))
    entropy = text(sent.get("encryption_client_entropy"))
    sound = password_version in (1, 2) and encoding in ("none", "base64", "ascii85") and len(entropy) <= 100
    if version not in (KeyVersion.CBC_PLAIN_KEY, KeyVersion.CBC, KeyVersion.GCM) or not sound:
        raise Fault("rest_bad_parameter", {"parameter": "encryption"})
    if iterations is None or not 1 <= iterations <= 100_000_000 or password_version is None:
        raise Fault("rest_bad_parameter", {"parameter": "encryption"})
    gcm = version == KeyVersion.GCM
    for file in files:
        if file.iv and _decoded(file.iv) != (_GCM_IV if gcm else _CBC_IV):
            raise Fault("rest_bad_parameter", {"parameter": "iv"})
        if gcm and (not file.iv or not 1 <= _decoded(file.aead) <= 600):
            raise Fault("rest_bad_parameter", {"parameter": "aead"})
    return _Crypto(version, password_version, encoding, iterations, entropy)


def _decoded(value: str) -> int:
    """How many bytes a base64 text has; -1 when it is none."""
    try:
        return len(base64.b64decode(value, validate=True)) if len(value) <= 1000 else -1
    except (binascii.Error, ValueError):
        return -1


def sender_of(sent: Mapping[str, Any], owner: User, *, any_sender: bool) -> str:
    """The address that a transfer or an invitation comes from. Raises :class:`Fault` (``bad_email``).

    ``from`` may also be the owner's user name: clients put there what they sign in with (spec §12.3).
    """
    own = owner.email or (owner.username if good_email(owner.username) else f"{owner.username}@localhost")
    given = text(sent.get("from")).strip()
    if not given or given.lower() == owner.username.lower():
        return own
    if not good_email(given) or (not any_sender and given.lower() != own.lower()):
        raise Fault("bad_email")
    return given


def _options(
    sent: Mapping[str, Any], settings: FileSenderSettings, guest: Guest | None, people: Sequence[str]
) -> dict[str, Any]:
    if guest is None:
        return transfer_options(sent.get("options"), recipients=bool(people), link=settings.get_a_link)
    alone = bool(guest.options.get("can_only_send_to_me"))
    return transfer_options(guest.transfer_options, recipients=bool(people) or alone, link=settings.get_a_link)


def _recipients(
    settings: FileSenderSettings, options: Mapping[str, Any], guest: Guest | None, people: list[str], sender: str
) -> list[str]:
    """Who gets the transfer; one without address stands for a link."""
    if guest is not None and guest.options.get("can_only_send_to_me"):
        if people:
            raise Fault("transfer_too_many_recipients", {"limit": 0})
        return [guest.user_email]
    if options["get_a_link"]:
        return [""]
    if options["add_me_to_recipients"] and sender.lower() not in [email.lower() for email in people]:
        people = [*people, sender]
    if not people:
        raise Fault("transfer_no_recipients")
    if len(people) > settings.max_recipients:
        raise Fault("transfer_too_many_recipients", {"limit": settings.max_recipients})
    return people


def _sizes(settings: FileSenderSettings, files: Sequence[Announced], crypto: _Crypto | None) -> list[int]:
    """What each file takes here, after the limits on sizes."""
    if sum(file.size for file in files) > settings.max_transfer_size:
        raise Fault("transfer_maximum_size_exceeded", {"limit": settings.max_transfer_size})
    if crypto is None:
        if settings.max_file_size and any(file.size > settings.max_file_size for file in files):
            raise Fault("transfer_maximum_file_size_exceeded", {"limit": settings.max_file_size})
        return [file.size for file in files]
    most = settings.max_encrypted_file_size or settings.max_file_size
    if most and any(file.size > most for file in files):
        raise Fault("transfer_maximum_encrypted_file_size_exceeded", {"limit": most})
    try:
        version = KeyVersion(crypto.key_version)
        return [ChunkLayout(version, settings.chunk_size, file.size).stored_size for file in files]
    except ProtocolError:
        raise Fault("rest_bad_parameter", {"parameter": "encryption"}) from None


def _until(sent: Mapping[str, Any], settings: FileSenderSettings, guest: Guest | None) -> int:
    most = now() + settings.max_days * _DAY
    default = now() + settings.default_days * _DAY
    if guest is not None and guest.expires is not None:
        fixed = guest.options.get("guest_upload_expire_read_only")
        if fixed or guest.options.get("guest_upload_default_expire_is_guest_expire"):
            default = min(guest.expires, most)
        if fixed:
            return default
    if sent.get("expires") in (None, "", 0):
        return default
    return expiry(sent["expires"], now() + 1, most + 60)


def _message(sent: Mapping[str, Any], settings: FileSenderSettings) -> str | None:
    message = limited_text(sent.get("message"), 100_000)
    if message and not settings.urls_in_messages and _URL.search(message):
        raise Fault("transfer_message_can_not_contain_urls")
    return message


def _check_names(settings: FileSenderSettings, files: Sequence[Announced]) -> None:
    found = [(file.name, refusal(file.name, banned=settings.banned_extensions)) for file in files]
    for wanted in ("file_extension_not_allowed", "transfer_file_name_invalid"):
        for name, because in found:
            if because is not None and because.identifier == wanted:
                raise Fault(wanted, {"name": name[:1000], "because": because.because})
