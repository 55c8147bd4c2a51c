"""The table of mails to send. Times are Unix seconds."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from packhorse.server.db.models import Base, now

__all__ = ["FAILED", "QUEUED", "SENDING", "SENT", "QueuedLetter"]

QUEUED: Final = "queued"
SENDING: Final = "sending"
SENT: Final = "sent"
FAILED: Final = "failed"


class QueuedLetter(Base):
    """One mail to one person. ``message_id`` and ``created`` (its Date) are fixed when it is posted.

    ``due``: not before then; while it is being sent, when it may be taken for left behind. ``error`` is the last
    trouble, in words. ``about`` is what it speaks of (``transfer-7``).
    """

    __tablename__ = "letters"
    __table_args__ = (Index(None, "state", "due"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True
    )
    message_id: Mapped[str] = mapped_column(String(200), unique=True)
    recipient: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    html: Mapped[str] = mapped_column(Text, default="")
    headers: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    about: Mapped[str] = mapped_column(String(100), default="", index=True)
    state: Mapped[str] = mapped_column(String(20), default=QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    created: Mapped[int] = mapped_column(default=now)
    due: Mapped[int] = mapped_column(default=now)
    sent: Mapped[int | None]
    error: Mapped[str] = mapped_column(Text, default="")
