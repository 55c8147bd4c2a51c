"""The id that a study's file has in manifests and at DRS (``fileUUID``)."""

from __future__ import annotations

import re
import uuid
from typing import Final

__all__ = ["file_uuid", "is_uuid"]

_FILES: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://www.immport.org/data/files")
_FORM: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def file_uuid(path: str) -> str:
    """The id of a file by its path (:func:`~packhorse.wire.immport.paths.check_path`): the same on every server.

    >>> file_uuid("SDY1/StudyFiles/a.pdf") == file_uuid("/SDY1/StudyFiles/a.pdf")
    True
    """
    return str(uuid.uuid5(_FILES, path.strip("/")))


def is_uuid(text: str) -> bool:
    """Whether a text has the form of such an id.

    >>> is_uuid("5f1d3472-71e9-4485-b46f-03a80f629845"), is_uuid("../etc/passwd")
    (True, False)
    """
    return _FORM.fullmatch(text) is not None
