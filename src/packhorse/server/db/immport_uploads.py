"""Workspaces, upload tickets, and the records that uploads made (spec immport §4).

A record is a row of a table, as JSON under the table's columns. It stands in its workspace, private to its owner:
publishing a workspace as a study is a curator's work, done with a release package.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from packhorse.server.db.models import Base, StoredFile, User, now

__all__ = ["AccessionSeries", "Registration", "RegistrationFile", "RegistrationResult", "UploadRecord", "Workspace"]

_SMALL = BigInteger().with_variant(Integer(), "sqlite")


class Workspace(Base):
    """Where a user's uploads go. ``kind`` is ``PW``; ``category`` is ``LSR`` or ``TEST``."""

    __tablename__ = "immport_workspaces"
    __table_args__ = (UniqueConstraint("user_id", "category"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(_SMALL, primary_key=True, autoincrement=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(10), default="PW")
    category: Mapped[str] = mapped_column(String(10))
    created: Mapped[int] = mapped_column(default=now)
    updated: Mapped[int] = mapped_column(default=now)
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Registration(Base):
    """A ticket. ``scheme`` is ``upload`` or ``batch``; ``status`` as the service says it. ``file_name`` is the name of
    the package as its sender had it. ``report`` is the database report, once there is one."""

    __tablename__ = "immport_registrations"
    __table_args__ = (Index(None, "method", "status"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(_SMALL, primary_key=True, autoincrement=True)
    ticket: Mapped[str | None] = mapped_column(String(200), unique=True)
    workspace_id: Mapped[int] = mapped_column(ForeignKey("immport_workspaces.id", ondelete="CASCADE"), index=True)
    scheme: Mapped[str] = mapped_column(String(10))
    purpose: Mapped[str] = mapped_column(String(30))
    method: Mapped[str] = mapped_column(String(20))
    package_name: Mapped[str] = mapped_column(String(255), default="")
    file_name: Mapped[str] = mapped_column(String(255), default="")
    notes: Mapped[str] = mapped_column(Text, default="")
    server_name: Mapped[str] = mapped_column(String(255), default="")
    status: Mapped[str] = mapped_column(String(50))
    report: Mapped[str | None] = mapped_column(Text)
    created: Mapped[int] = mapped_column(default=now)
    updated: Mapped[int] = mapped_column(default=now)
    workspace: Mapped[Workspace] = relationship(lazy="joined", innerjoin=True)
    files: Mapped[list[RegistrationFile]] = relationship(
        order_by="RegistrationFile.position", cascade="all, delete-orphan", lazy="select"
    )


class RegistrationFile(Base):
    """A file as it was sent: the zip, or one of several."""

    __tablename__ = "immport_registration_files"
    registration_id: Mapped[int] = mapped_column(
        ForeignKey("immport_registrations.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(255))
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_files.id"), index=True)
    file: Mapped[StoredFile] = relationship(lazy="joined", innerjoin=True)


class RegistrationResult(Base):
    """A row of a ticket's summary: a step or an error."""

    __tablename__ = "immport_registration_results"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(_SMALL, primary_key=True, autoincrement=True)
    registration_id: Mapped[int] = mapped_column(ForeignKey("immport_registrations.id", ondelete="CASCADE"), index=True)
    status: Mapped[str] = mapped_column(String(100))
    file_name: Mapped[str] = mapped_column(String(500), default="")
    line: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)


class UploadRecord(Base):
    """A record that an upload made. ``accession`` is ``None`` in tables whose rows have none (results, links);
    ``identifier`` is the sender's user defined ID, unique in the workspace and table."""

    __tablename__ = "immport_upload_records"
    __table_args__ = (
        UniqueConstraint("workspace_id", "table_name", "identifier"),
        Index(None, "registration_id", "position"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(_SMALL, primary_key=True, autoincrement=True)
    workspace_id: Mapped[int] = mapped_column(ForeignKey("immport_workspaces.id", ondelete="CASCADE"))
    registration_id: Mapped[int] = mapped_column(ForeignKey("immport_registrations.id", ondelete="CASCADE"))
    position: Mapped[int]
    table_name: Mapped[str] = mapped_column(String(64))
    accession: Mapped[str | None] = mapped_column(String(30), unique=True)
    identifier: Mapped[str | None] = mapped_column(String(250))
    file_name: Mapped[str] = mapped_column(String(500))
    line: Mapped[int]
    record: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class AccessionSeries(Base):
    """The highest number that was given out for accessions of this beginning (``BS``)."""

    __tablename__ = "immport_accession_series"
    prefix: Mapped[str] = mapped_column(String(10), primary_key=True)
    last: Mapped[int]
