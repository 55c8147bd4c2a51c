"""Signing in with OAuth, and what was granted for transfers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Boolean, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from packhorse.server.db.models import Base, now

__all__ = ["OAuthClient", "OAuthCode", "TransferGrant"]


class OAuthClient(Base):
    """A program that users may sign in with. One with a secret is confidential; one with a user may act as that user
    by itself (client credentials). ``redirects`` are the addresses that a code may be sent to."""

    __tablename__ = "oauth_clients"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    secret_hash: Mapped[str | None] = mapped_column(String(64))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    redirects: Mapped[list[Any]] = mapped_column(JSON, default=list)
    scopes: Mapped[str] = mapped_column(String(100), default="browse download")
    created: Mapped[int] = mapped_column(default=now)


class OAuthCode(Base):
    """An authorization code: good once, for a minute. ``challenge`` is PKCE's (S256); ``session_id`` the sign-in that
    it led to."""

    __tablename__ = "oauth_codes"
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    redirect: Mapped[str] = mapped_column(String(2000))
    challenge: Mapped[str] = mapped_column(String(128))
    scopes: Mapped[str] = mapped_column(String(200))
    nonce: Mapped[str | None] = mapped_column(String(500))
    used: Mapped[bool] = mapped_column(Boolean, default=False)
    session_id: Mapped[str | None] = mapped_column(String(32))
    expires: Mapped[int] = mapped_column(index=True)


class TransferGrant(Base):
    """What an Aspera token stands for: these paths, for this user, until then (spec immport §3.3)."""

    __tablename__ = "transfer_grants"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    paths: Mapped[str] = mapped_column(Text)
    created: Mapped[int] = mapped_column(default=now)
    expires: Mapped[int] = mapped_column(index=True)
