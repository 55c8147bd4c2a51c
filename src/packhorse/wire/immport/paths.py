"""Where a study's files are: the layout of the data browser (spec immport §3.1).

A path as we keep it has no slash at either end: ``SDY1/ResultFiles/Flow_cytometry_result/a.1.fcs``. The service writes
it with one before it in some answers and without in others, and takes both (:func:`check_path`).
"""

from __future__ import annotations

import re
from typing import Final

from packhorse.errors import UsageError
from packhorse.wire.immport.filters import check_study

__all__ = [
    "PROTOCOLS",
    "RESULT_FILES",
    "STUDY_FILES",
    "check_name",
    "check_path",
    "package_path",
    "protocol_path",
    "result_path",
    "study_file_path",
    "study_of",
    "with_slash",
]

RESULT_FILES: Final = "ResultFiles"
STUDY_FILES: Final = "StudyFiles"
PROTOCOLS: Final = "Protocols"
"""The folder's real name was never seen; this one is ours."""
_LONGEST: Final = 1000
_LONGEST_NAME: Final = 255
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check_path(text: str) -> str:
    """A path that came in, as we keep it; a slash at either end is taken off, and ``/`` alone is ``""``, the root.

    Raises :class:`UsageError` for ``.`` and ``..``, empty parts, a backslash, NUL, newlines and other control
    characters, and what is too long.

    >>> check_path("/SDY1/ResultFiles/")
    'SDY1/ResultFiles'
    """
    path = text.removeprefix("/").removesuffix("/")
    if len(path.encode("utf-8", "replace")) > _LONGEST:
        raise UsageError(f"a path has at most {_LONGEST:,} bytes, not {len(path.encode('utf-8', 'replace')):,}")
    if path:
        for part in path.split("/"):
            check_name(part)
    return path


def check_name(name: str) -> str:
    """The name of a file or folder, as it is. Raises :class:`UsageError` for what would not stay one name in a path.

    >>> check_name("02054141.001.52628.fcs")
    '02054141.001.52628.fcs'
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name or _CONTROL.search(name):
        shown = name[:60] + ("…" if len(name) > 60 else "")
        raise UsageError(f"{shown!r} cannot be the name of a file", hint="a path looks like SDY1/StudyFiles/NAME")
    if len(name.encode("utf-8")) > _LONGEST_NAME:
        raise UsageError(f"the name {name[:60] + '…'!r} is longer than {_LONGEST_NAME} bytes")
    return name


def with_slash(path: str) -> str:
    """The path as ``result/filePath`` writes it: with a slash before it.

    >>> with_slash("SDY1/a.txt")
    '/SDY1/a.txt'
    """
    return "/" + path


def study_of(path: str) -> str | None:
    """The accession of the study that a checked path lies in; ``None`` at the root or outside of studies.

    >>> study_of("SDY1/ResultFiles/x/y.fcs")
    'SDY1'
    """
    first = path.partition("/")[0]
    return first if re.fullmatch(r"SDY[0-9]{1,12}", first, re.ASCII) else None


def result_path(accession: str, detail: str | None, name: str) -> str:
    """A result file (a row of ``file_info`` that a sample, control, standard curve or assessment is linked with).

    The folder is ``file_info.detail`` with underscores for blanks; without a detail the file lies in ``ResultFiles``.
    Raises :class:`UsageError` for a name that cannot be one.

    >>> result_path("SDY1", "Flow cytometry result", "02054141.001.52628.fcs")
    'SDY1/ResultFiles/Flow_cytometry_result/02054141.001.52628.fcs'
    """
    folder = re.sub(r"[\s/\\]+", "_", (detail or "").strip())
    return _joined(accession, RESULT_FILES, folder, name) if folder else _joined(accession, RESULT_FILES, name)


def study_file_path(accession: str, name: str) -> str:
    """A study document (``study_file.file_name``). Raises as :func:`result_path`.

    >>> study_file_path("SDY1", "consent.5.pdf")
    'SDY1/StudyFiles/consent.5.pdf'
    """
    return _joined(accession, STUDY_FILES, name)


def protocol_path(accession: str, name: str) -> str:
    """A protocol document (``protocol.file_name``). Raises as :func:`result_path`.

    >>> protocol_path("SDY1", "ELISA.PTL12.docx")
    'SDY1/Protocols/ELISA.PTL12.docx'
    """
    return _joined(accession, PROTOCOLS, name)


def package_path(accession: str, release: str) -> str:
    """The study's release package; ``release`` as in ``DR25``, ``DR54.2``. Raises as :func:`result_path`.

    >>> package_path("SDY1", "DR54.2")
    'SDY1/SDY1-DR54.2_Tab.zip'
    """
    return _joined(accession, f"{check_study(accession)}-{release}_Tab.zip")


def _joined(accession: str, *names: str) -> str:
    return "/".join([check_study(accession), *(check_name(name) for name in names)])
