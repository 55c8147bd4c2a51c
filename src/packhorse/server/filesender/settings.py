"""What a site allows its senders: limits and defaults, as FileSender's own (spec filesender §4.1, §5, §7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FileSenderSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSenderSettings:
    """Sizes in bytes, times in days; a quota of 0 means none.

    ``chunk_security`` is ``key`` (a file's key is enough to add to it) or ``auth`` (callers must prove who they are).
    ``extensions`` are the days that each "extend" adds to a transfer's or voucher's expiry, in order; none forbids it.
    ``get_a_link`` is what counts for a transfer that names neither recipients nor this option. ``show_ip`` lets the
    audit log name addresses. ``mails_per_day`` limits each kind of letter that one user can cause.
    """

    site_name: str = "Packhorse"
    chunk_size: int = 5 << 20
    chunk_security: Literal["key", "auth"] = "key"
    roundtrip_for_users: bool = False
    signature_algorithm: str = "sha1"
    signature_window: int = 15
    max_transfer_size: int = 1 << 40
    max_file_size: int = 0
    max_encrypted_file_size: int = 0
    max_transfer_files: int = 30
    max_recipients: int = 50
    default_days: int = 10
    max_days: int = 20
    extensions: tuple[int, ...] = (10, 5, 5)
    banned_extensions: tuple[str, ...] = ("exe", "bat")
    get_a_link: bool = True
    encryption_mandatory: bool = False
    urls_in_messages: bool = True
    terms: bool = False
    host_quota: int = 0
    user_quota: int = 0
    guests: bool = True
    guest_limit: int = 50
    guests_per_day: int = 100
    guest_days: int = 20
    reminders: int = 50
    mails_per_day: int = 100
    show_ip: bool = False
    cleanup_days: int = 7
