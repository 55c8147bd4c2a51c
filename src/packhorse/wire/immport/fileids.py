"""The identifiers that DRS knows the files of a study by (spec immport §3.5)."""

from __future__ import annotations

import uuid
from typing import Final

__all__ = ["file_uuid"]

_FILES: Final = uuid.UUID("6f1c2f0e-8d0b-5c53-9d8c-4f5d2b1a7e90")


def file_uuid(path: str) -> str:
    """The identifier of the file at a path of the data browser; a leading slash counts for nothing.

    Equal on every server and for ever, whether or not the file's bytes are there.

    >>> file_uuid("/SDY1/StudyFiles/a.txt") == file_uuid("SDY1/StudyFiles/a.txt")
    True
    """
    return str(uuid.uuid5(_FILES, path.lstrip("/")))
