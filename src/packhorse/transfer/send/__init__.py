"""Sending: files gathered, journalled, sent in parts, acknowledged and finished once (DESIGN §4, Upload)."""

from packhorse.transfer.send.driver import send
from packhorse.transfer.send.gather import Gathered, gather
from packhorse.transfer.send.journal import journal_path, upload_key
from packhorse.transfer.send.sent import Sent, forget_sent, sent_before
from packhorse.transfer.send.status import PendingUpload, discard, pending

__all__ = [
    "Gathered",
    "PendingUpload",
    "Sent",
    "discard",
    "forget_sent",
    "gather",
    "journal_path",
    "pending",
    "send",
    "sent_before",
    "upload_key",
]
