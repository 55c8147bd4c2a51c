"""Sending: files gathered, journalled, sent in parts, acknowledged and finished once (DESIGN §4, Upload)."""

from packhorse.transfer.send.driver import send
from packhorse.transfer.send.gather import Gathered, gather
from packhorse.transfer.send.journal import journal_path, upload_key
from packhorse.transfer.send.status import PendingUpload, discard, pending

__all__ = [
    "Gathered",
    "PendingUpload",
    "discard",
    "gather",
    "journal_path",
    "pending",
    "send",
    "upload_key",
]
