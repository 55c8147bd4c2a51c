"""Refusals by FileSender's identifiers (spec filesender §1.1)."""

from __future__ import annotations

from typing import Any

from packhorse.wire.filesender.errors import status_of

__all__ = ["Fault"]


class Fault(Exception):  # noqa: N818 - an answer, not a fault of ours
    """An answer that is not the thing asked for. ``details`` goes out as it is; the status follows the identifier."""

    def __init__(self, identifier: str, details: Any = None, *, status: int | None = None) -> None:
        super().__init__(identifier)
        self.identifier = identifier
        self.details = details
        self.status = status or status_of(identifier)
