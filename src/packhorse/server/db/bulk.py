"""Bulk downloads: which files a job's archive holds, under which names (spec flow §4.3)."""

from __future__ import annotations

import uuid

from sqlalchemy import BigInteger, Boolean, Float, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from packhorse.server.db.models import Base, StoredFile, now

__all__ = ["BulkJob", "BulkMember"]


class BulkJob(Base):
    """A job of one user. ``size`` is the archive's in bytes; the state follows from the times and ``error``."""

    __tablename__ = "bulk_jobs"
    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid.uuid4()))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(255))
    by_execution: Mapped[bool] = mapped_column(Boolean, default=False)
    created: Mapped[int] = mapped_column(default=now)
    started: Mapped[int | None]
    finished: Mapped[int | None] = mapped_column(BigInteger, index=True)
    progress: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(Text, default="")
    size: Mapped[int] = mapped_column(default=0)
    members: Mapped[list[BulkMember]] = relationship(
        order_by="BulkMember.position", cascade="all, delete-orphan", passive_deletes=True, lazy="select"
    )


class BulkMember(Base):
    """A file of the archive, as it was when the job was made: later versions of the data change nothing here."""

    __tablename__ = "bulk_members"
    job_id: Mapped[str] = mapped_column(ForeignKey("bulk_jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data_id: Mapped[int]
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_files.id"), index=True)
    path: Mapped[str] = mapped_column(Text)
    modified: Mapped[float] = mapped_column(Float)
    file: Mapped[StoredFile] = relationship(lazy="joined", innerjoin=True)
