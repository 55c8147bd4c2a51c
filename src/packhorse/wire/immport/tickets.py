"""Upload tickets: their numbers, and the statuses that uploads, validations and batch updates go through (spec §4)."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

__all__ = [
    "BATCH",
    "SCHEMES",
    "UPLOAD",
    "Scheme",
    "is_final",
    "is_rejected",
    "is_ticket",
    "stored_name",
    "ticket_number",
]

_TICKET: Final = re.compile(r"[A-Za-z0-9@.+_-]{1,150}_[0-9]{8}_[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Scheme:
    """One of the two services: what its ``uploadPurpose`` may be, and what its statuses end in."""

    name: str
    stores: str
    validates: str
    suffix: str

    def validating(self, purpose: str) -> bool:
        """Whether the purpose is to validate only. Raises :class:`ValueError` for one that is unknown."""
        if purpose not in (self.stores, self.validates):
            raise ValueError(purpose)
        return purpose == self.validates

    def status(self, word: str, *, validating: bool) -> str:
        """A status of a ticket.

        >>> UPLOAD.status("Pending", validating=False), BATCH.status("Completed", validating=True)
        ('Pending', 'Completed_Batch_Updater_Validation')
        """
        return f"{word}{self.suffix}{'_Validation' if validating else ''}"

    def row_status(self, word: str) -> str:
        """A status of a row of results (``Registered``, ``Started``).

        >>> BATCH.row_status("Started")
        'Started_Batch_Updater'
        """
        return f"{word}{self.suffix}"


UPLOAD: Final = Scheme("upload", "uploadData", "validateData", "")
BATCH: Final = Scheme("batch", "batchUpdateUpload", "batchUpdateValidate", "_Batch_Updater")
SCHEMES: Final = {scheme.name: scheme for scheme in (UPLOAD, BATCH)}


def ticket_number(user: str, day: dt.date, registration: int) -> str:
    """The ticket of a registration.

    >>> ticket_number("testuser", dt.date(2018, 5, 23), 19546)
    'testuser_20180523_19546'
    """
    return f"{user}_{day:%Y%m%d}_{registration}"


def is_ticket(text: str) -> bool:
    """Whether the text has a ticket's form.

    >>> is_ticket("a_b_20180523_1"), is_ticket("../x_20180523_1"), is_ticket("testuser")
    (True, False, False)
    """
    return _TICKET.fullmatch(text) is not None


def stored_name(ticket: str, original: str) -> str:
    """Under which name the service keeps the package."""
    return f"{ticket}___{original}"


def is_final(status: str) -> bool:
    """Whether nothing more will happen to the ticket."""
    return status.startswith(("Completed", "Rejected"))


def is_rejected(status: str) -> bool:
    """Whether the package was turned down."""
    return status.startswith("Rejected")
