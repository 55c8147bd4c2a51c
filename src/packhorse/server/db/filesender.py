"""FileSender's tables, and the drafts that uploads of every portal are written to. Times are Unix seconds.

Ids of transfers, files, recipients and guests are small numbers (clients hold them in 53 bits) that are never used
twice. Download and voucher tokens are kept as they are, since owners see their links again and again; the tokens of
an upload and the cookies are kept as sha256.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from packhorse.server.db.models import Base, StoredFile, User, now
from packhorse.wire.filesender.crypto import new_salt
from packhorse.wire.filesender.links import new_token

__all__ = [
    "AVAILABLE",
    "CLOSED",
    "STARTED",
    "UPLOADING",
    "AuditEvent",
    "Download",
    "Draft",
    "DraftPart",
    "FilesenderKey",
    "Guest",
    "Profile",
    "Recipient",
    "RemoteApplication",
    "Transfer",
    "TransferFile",
    "Visit",
]

STARTED: Final = "started"
UPLOADING: Final = "uploading"
AVAILABLE: Final = "available"
CLOSED: Final = "closed"

_SMALL: Final = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers only INTEGER keys by itself
_NEVER_AGAIN: Final = {"sqlite_autoincrement": True}


def _number() -> Mapped[int]:
    return mapped_column(_SMALL, primary_key=True, autoincrement=True)


class Draft(Base):
    """An object that is being written, by any portal's upload. ``key`` names it in the storage; ``size`` is what it
    must have when it is complete; ``touched`` is when the last part came."""

    __tablename__ = "drafts"
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    size: Mapped[int]
    created: Mapped[int] = mapped_column(default=now)
    touched: Mapped[int] = mapped_column(default=now, index=True)


class DraftPart(Base):
    """A range of a draft that arrived. ``crc32`` (8 hexadecimal digits) is ``None`` for what is left of a part that a
    later one overwrote in part."""

    __tablename__ = "draft_parts"
    draft_key: Mapped[str] = mapped_column(ForeignKey("drafts.key", ondelete="CASCADE"), primary_key=True)
    offset: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    length: Mapped[int]
    crc32: Mapped[str | None] = mapped_column(String(8))
    sha256: Mapped[str | None] = mapped_column(String(64))


class Guest(Base):
    """A voucher: ``token`` is the ``vid`` of its link. ``status`` is ``available`` or ``closed``; ``expires`` is
    ``None`` for one that does not expire. ``options`` are the guest options, ``transfer_options`` what the guest's
    transfers get."""

    __tablename__ = "fs_guests"
    __table_args__ = _NEVER_AGAIN
    id: Mapped[int] = _number()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    user_email: Mapped[str] = mapped_column(String(254))
    email: Mapped[str] = mapped_column(String(254))
    token: Mapped[str] = mapped_column(String(36), unique=True, default=new_token)
    subject: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(20), default=AVAILABLE, index=True)
    options: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    transfer_options: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    transfer_count: Mapped[int] = mapped_column(default=0)
    reminders: Mapped[int] = mapped_column(default=0)
    extensions: Mapped[int] = mapped_column(default=0)
    created: Mapped[int] = mapped_column(default=now)
    expires: Mapped[int | None]
    last_activity: Mapped[int | None]
    errors: Mapped[list[Any]] = mapped_column(JSON, default=list)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Transfer(Base):
    """Files on their way to people. ``status``: started, uploading, available, closed.

    ``options`` holds every transfer option's value. ``roundtrip_sha256`` is kept instead of the token, which only the
    creation's answer shows. ``chunk_size`` is what the site had at creation: encrypted files are cut by it for ever.
    ``touched`` is when the last chunk came or an act was done; writers take the row by updating it.
    """

    __tablename__ = "fs_transfers"
    __table_args__ = (Index(None, "status", "expires"), _NEVER_AGAIN)
    id: Mapped[int] = _number()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    guest_id: Mapped[int | None] = mapped_column(ForeignKey("fs_guests.id"), index=True)
    application: Mapped[str] = mapped_column(String(100), default="")
    status: Mapped[str] = mapped_column(String(20), default=STARTED)
    user_email: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    lang: Mapped[str] = mapped_column(String(20), default="")
    options: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    salt: Mapped[str] = mapped_column(String(32), default=new_salt)
    roundtrip_sha256: Mapped[str] = mapped_column(String(64))
    chunk_size: Mapped[int]
    encrypted: Mapped[bool] = mapped_column(Boolean, default=False)
    key_version: Mapped[int | None]
    password_version: Mapped[int | None]
    password_encoding: Mapped[str | None] = mapped_column(String(20))
    password_iterations: Mapped[int | None]
    client_entropy: Mapped[str | None] = mapped_column(String(100))
    extensions: Mapped[int] = mapped_column(default=0)
    created: Mapped[int] = mapped_column(default=now)
    expires: Mapped[int]
    made_available: Mapped[int | None]
    closed: Mapped[int | None]
    close_reason: Mapped[str | None] = mapped_column(String(40))
    touched: Mapped[int] = mapped_column(default=now)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)
    guest: Mapped[Guest | None] = relationship(lazy="joined")
    files: Mapped[list[TransferFile]] = relationship(
        back_populates="transfer", order_by="TransferFile.id", cascade="all, delete-orphan", lazy="selectin"
    )
    recipients: Mapped[list[Recipient]] = relationship(
        back_populates="transfer", order_by="Recipient.id", cascade="all, delete-orphan", lazy="selectin"
    )


class TransferFile(Base):
    """One file of a transfer. ``size`` is the plain size, ``stored_size`` what lies here (more, if encrypted).

    ``draft_key`` is set while it is uploaded, ``file_id`` from its completion until the data is deleted.
    """

    __tablename__ = "fs_files"
    __table_args__ = _NEVER_AGAIN
    id: Mapped[int] = _number()
    transfer_id: Mapped[int] = mapped_column(ForeignKey("fs_transfers.id", ondelete="CASCADE"), index=True)
    puid: Mapped[str] = mapped_column(String(36), unique=True, default=new_token)
    name: Mapped[str] = mapped_column(String(1024))
    size: Mapped[int]
    stored_size: Mapped[int]
    mime: Mapped[str] = mapped_column(String(255), default="application/binary")
    iv: Mapped[str] = mapped_column(String(100), default="")
    aead: Mapped[str] = mapped_column(String(1000), default="")
    draft_key: Mapped[str | None] = mapped_column(ForeignKey("drafts.key", ondelete="SET NULL"), index=True)
    file_id: Mapped[int | None] = mapped_column(ForeignKey("stored_files.id"), index=True)
    completed: Mapped[int | None]
    transfer: Mapped[Transfer] = relationship(back_populates="files", lazy="joined", innerjoin=True)
    file: Mapped[StoredFile | None] = relationship(lazy="select")


class Recipient(Base):
    """Who may download: ``token`` is the one of the link; ``email`` is empty for "get a link"."""

    __tablename__ = "fs_recipients"
    __table_args__ = _NEVER_AGAIN
    id: Mapped[int] = _number()
    transfer_id: Mapped[int] = mapped_column(ForeignKey("fs_transfers.id", ondelete="CASCADE"), index=True)
    email: Mapped[str] = mapped_column(String(254), default="")
    token: Mapped[str] = mapped_column(String(36), unique=True, default=new_token)
    created: Mapped[int] = mapped_column(default=now)
    last_activity: Mapped[int | None]
    reminders: Mapped[int] = mapped_column(default=0)
    errors: Mapped[list[Any]] = mapped_column(JSON, default=list)
    transfer: Mapped[Transfer] = relationship(back_populates="recipients", lazy="joined", innerjoin=True)


class AuditEvent(Base):
    """What happened (spec §8). It outlives what it speaks of, so nothing here is a foreign key.

    ``author_kind`` and ``target_kind``: User, Guest, Recipient, Transfer, File. ``seconds``: how long it took.
    """

    __tablename__ = "fs_audit"
    __table_args__ = (Index(None, "author_kind", "author_id", "event", "created"), _NEVER_AGAIN)
    id: Mapped[int] = _number()
    transfer_id: Mapped[int | None] = mapped_column(index=True)
    created: Mapped[int] = mapped_column(default=now)
    event: Mapped[str] = mapped_column(String(60))
    author_kind: Mapped[str] = mapped_column(String(20), default="")
    author_id: Mapped[int | None]
    author: Mapped[str | None] = mapped_column(String(254))
    ip: Mapped[str] = mapped_column(String(60), default="")
    target_kind: Mapped[str] = mapped_column(String(20))
    target_id: Mapped[int]
    target_name: Mapped[str | None] = mapped_column(String(1024))
    target_size: Mapped[int | None]
    seconds: Mapped[int | None]


class Download(Base):
    """One logical download of one file, known by the client's ``transaction_id``: it is logged once however many
    ranges it takes. ``recipient_id`` is 0 for the owner. ``sent`` counts the bytes of all its answers."""

    __tablename__ = "fs_downloads"
    transaction_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    recipient_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    file_id: Mapped[int] = mapped_column(
        ForeignKey("fs_files.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    started: Mapped[int] = mapped_column(default=now)
    sent: Mapped[int] = mapped_column(default=0)
    ended: Mapped[int | None]


class FilesenderKey(Base):
    """A user's API key, sealed with the home's key: HMAC needs the key itself, so a hash would not do."""

    __tablename__ = "fs_keys"
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    sealed: Mapped[str] = mapped_column(Text)
    created: Mapped[int] = mapped_column(default=now)


class RemoteApplication(Base):
    """A program that signs with a secret of its own and acts for users. ``acl`` maps endpoints to lists of methods,
    both with ``*`` for all."""

    __tablename__ = "fs_applications"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    sealed: Mapped[str] = mapped_column(Text)
    admin: Mapped[bool] = mapped_column(Boolean, default=False)
    acl: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    created: Mapped[int] = mapped_column(default=now)


class Profile(Base):
    """What a user has on FileSender's side: quota in bytes (``None``: the site's), language, preferences."""

    __tablename__ = "fs_profiles"
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    quota: Mapped[int | None]
    lang: Mapped[str | None] = mapped_column(String(20))
    aup_ticked: Mapped[bool] = mapped_column(Boolean, default=False)
    last_activity: Mapped[int | None]
    transfer_preferences: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    guest_preferences: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    frequent_recipients: Mapped[list[Any]] = mapped_column(JSON, default=list)


class Visit(Base):
    """A browser's session, of a guest or of a user; the cookie ``PHPSESSID`` is kept as sha256."""

    __tablename__ = "fs_visits"
    __table_args__ = (UniqueConstraint("cookie_sha256"),)
    id: Mapped[int] = _number()
    cookie_sha256: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    guest_id: Mapped[int | None] = mapped_column(ForeignKey("fs_guests.id", ondelete="CASCADE"), index=True)
    security_token: Mapped[str] = mapped_column(String(36), default=new_token)
    csrf_token: Mapped[str] = mapped_column(String(32))
    created: Mapped[int] = mapped_column(default=now)
    expires: Mapped[int] = mapped_column(index=True)
