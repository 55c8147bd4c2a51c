"""From rows to FileSender's records (spec §4.1, §7, §8, §10.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packhorse.server.db import filesender as db
from packhorse.server.filesender.acts import extension_days
from packhorse.server.filesender.settings import FileSenderSettings
from packhorse.wire.filesender import bodies, links, records, shared
from packhorse.wire.filesender.crypto import OVERHEAD

__all__ = ["event_record", "file_json", "guest_json", "recipient_json", "shared_file", "transfer_json"]


def transfer_json(
    row: db.Transfer,
    settings: FileSenderSettings,
    base: str,
    *,
    roundtrip: str = "",
    cids: Mapping[int, Any] | None = None,
) -> dict[str, Any]:
    """A transfer. ``roundtrip`` and ``cids`` (by file id) only in the answer to its creation."""
    body = bodies.transfer_body(
        records.Transfer(
            id=row.id,
            user_id=row.user_id,
            user_email=row.user_email,
            subject=row.subject or "",
            message=row.message or "",
            created=row.created,
            expires=row.expires,
            expiry_date_extension=extension_days(settings, row),
            options=row.options,
            salt=row.salt,
            roundtriptoken=roundtrip,
            files=tuple(_file(file) for file in row.files),
            recipients=tuple(_recipient(recipient, base) for recipient in row.recipients),
        )
    )
    for file in body["files"]:
        if cids is not None and file["id"] in cids:
            file["cid"] = cids[file["id"]]
    return body


def file_json(row: db.TransferFile) -> dict[str, Any]:
    """A file."""
    return bodies.file_body(_file(row))


def recipient_json(row: db.Recipient, base: str) -> dict[str, Any]:
    """A recipient, with the link."""
    return bodies.recipient_body(_recipient(row, base))


def guest_json(row: db.Guest, settings: FileSenderSettings, base: str) -> dict[str, Any]:
    """A voucher, with the link."""
    return bodies.guest_body(
        records.Guest(
            id=row.id,
            user_id=row.user_id,
            user_email=row.user_email,
            email=row.email,
            token=row.token,
            transfer_count=row.transfer_count,
            subject=row.subject or "",
            message=row.message or "",
            options=row.options,
            transfer_options=row.transfer_options,
            created=row.created,
            expires=row.expires,
            upload_url=links.upload_link(base, row.token),
            expiry_date_extension=extension_days(settings, row),
            errors=_troubles(row.errors),
        )
    )


def event_record(row: db.AuditEvent, *, show_ip: bool) -> records.AuditEvent:
    """A line of the log."""
    name = row.target_name or ""
    is_file = row.target_kind == "File"
    return records.AuditEvent(
        date=row.created,
        event=row.event,
        author=records.AuditActor(
            type=row.author_kind,
            id="" if row.author_id is None else str(row.author_id),
            identity=row.author,
            ip=row.ip if show_ip else "",
            email=(row.author or "") if row.author_kind == "Recipient" else "",
        ),
        target=records.AuditTarget(
            type=row.target_kind,
            id=str(row.target_id),
            name=name.rpartition("/")[2] if is_file else "",
            path=name if is_file else "",
            size=row.target_size,
            email=name if row.target_kind == "Recipient" else "",
        ),
        time_taken=row.seconds,
    )


def shared_file(row: db.TransferFile) -> shared.SharedFile:
    """A file as recipients see it: for ``fileidsextended`` and the download page."""
    transfer = row.transfer
    return shared.SharedFile(
        id=row.id,
        name=row.name,
        size=row.size,
        transfer_id=row.transfer_id,
        mime=row.mime,
        encrypted=transfer.encrypted,
        encrypted_size=row.stored_size,
        key_version=transfer.key_version,
        salt=transfer.salt,
        password_version=transfer.password_version,
        password_encoding=transfer.password_encoding or "",
        iterations=transfer.password_iterations,
        client_entropy=transfer.client_entropy or "",
        iv=row.iv,
        aead=row.aead,
        chunk_size=transfer.chunk_size,
        crypted_chunk_size=transfer.chunk_size + OVERHEAD,
    )


def _file(row: db.TransferFile) -> records.TransferFile:
    return records.TransferFile(row.id, row.transfer_id, row.puid, row.name, row.size)


def _recipient(row: db.Recipient, base: str) -> records.Recipient:
    return records.Recipient(
        id=row.id,
        transfer_id=row.transfer_id,
        token=row.token,
        email=row.email,
        created=row.created,
        last_activity=row.last_activity,
        download_url=links.download_link(base, row.token),
        errors=_troubles(row.errors),
    )


def _troubles(entries: list[Any]) -> tuple[records.Trouble, ...]:
    return tuple(
        records.Trouble(str(entry.get("type", "")), entry.get("date"), entry.get("details"))
        for entry in entries
        if isinstance(entry, dict)
    )
