"""What the upload service says of workspaces and tickets, read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from packhorse.errors import TransferError
from packhorse.wire.immport.reports import ResultRow, Section
from packhorse.wire.immport.tickets import is_final, is_rejected

__all__ = ["RejectedError", "TicketReport", "WorkspaceInfo"]


@dataclass(frozen=True, slots=True)
class WorkspaceInfo:
    """A workspace that the user may upload to. ``category`` is ``LSR`` or ``TEST``."""

    id: int
    name: str
    kind: str
    category: str


@dataclass(frozen=True, slots=True)
class TicketReport:
    """What became of a ticket. ``rows`` are its steps and errors, ``sections`` the new records of an upload, ``text``
    the server's whole database report (``None`` where there is none)."""

    ticket: str
    status: str
    rows: tuple[ResultRow, ...]
    sections: tuple[Section, ...]
    text: str | None

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return is_final(self.status)

    @property
    def rejected(self) -> bool:
        """Whether it was turned down."""
        return is_rejected(self.status)

    @property
    def errors(self) -> tuple[ResultRow, ...]:
        """The rows that say what is wrong."""
        return tuple(row for row in self.rows if row.status == "Error" or row.error)

    def records(self) -> list[dict[str, str]]:
        """The new records as a table: a mapping a row, with the file it came from in ``FILENAME``."""
        return [
            {"FILENAME": section.file_name, **dict(zip(section.columns, row, strict=False))}
            for section in self.sections
            if section.file_name
            for row in section.rows
        ]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "ticket": self.ticket,
            "status": self.status,
            "rejected": self.rejected,
            "rows": [
                {
                    "file": row.file_name or None,
                    "line": row.line,
                    "status": row.status,
                    "error": row.error,
                    "description": row.description,
                }
                for row in self.rows
            ],
            "records": self.records(),
        }


class RejectedError(TransferError):
    """The server looked at a package and turned it down. ``report`` says why."""

    code = "rejected"

    def __init__(self, message: str, *, report: TicketReport, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.report = report
