"""Rows that ImmPort lists files by, as the engine's items: everything that comes from the server is checked here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from packhorse.errors import ProtocolError
from packhorse.model import Digest, Identity, Item
from packhorse.net.redact import show_text

__all__ = ["FileRow", "detail_row", "item_of", "joined", "list_row", "result_row", "rows_of", "seconds"]

_LARGEST: Final = 2**60
_UUID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:-]{0,127}")


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file of a study. ``path`` without a slash in front, beginning with the study; ``uuid`` where DRS has it.

    ``mark`` is what the server has instead of a digest to say which file it is (a file id, a date).
    """

    path: str
    uuid: str = ""
    size: int | None = None
    md5: Digest | None = None
    file_type: str = ""
    modified: float | None = None
    mark: str = ""


def rows_of(answer: Any, what: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a list: a bare array, or a page with ``content``. Raises :class:`ProtocolError`."""
    if isinstance(answer, Mapping) and isinstance(answer.get("content"), list):
        answer = answer["content"]
    if not isinstance(answer, list):
        raise ProtocolError(f"{what}: a list of rows was expected")
    for row in answer:
        if not isinstance(row, Mapping):
            raise ProtocolError(f"{what}: a row is no object")
        yield row


def detail_row(row: Mapping[str, Any], study: str) -> FileRow | None:
    """A row of a manifest or of ``study/filePath``; ``None`` for one that names no file."""
    path = _path(row.get("path"), study) or _path(row.get("fileName"), study)
    if path is None:
        return None
    uuid = row.get("fileUUID")
    number = row.get("fileDetailsId")
    return FileRow(
        path,
        uuid=uuid if isinstance(uuid, str) and _UUID.fullmatch(uuid) else "",
        size=_size(row.get("filesizeBytes")),
        md5=Digest.maybe("md5", row.get("generatedMD5")),
        file_type=_word(row.get("fileType")),
        modified=seconds(row.get("dateFileUpdated")),
        mark=f"file/{number}" if isinstance(number, int | float) and not isinstance(number, bool) else "",
    )


def result_row(row: Mapping[str, Any], study: str) -> FileRow | None:
    """A row of ``result/filePath``, which repeats a file for every sample."""
    path = _path(row.get("filePath"), study)
    if path is None:
        return None
    number = row.get("fileInfoId")
    mark = f"file/{number}" if isinstance(number, int) and not isinstance(number, bool) else ""
    return FileRow(path, size=_size(row.get("filesizeBytes")), file_type="result_file", mark=mark)


def list_row(row: Mapping[str, Any], study: str) -> tuple[FileRow, bool] | None:
    """A row of ``/data/list``, and whether it is a folder."""
    path = _path(row.get("path"), study)
    if path is None:
        return None
    folder = row.get("type") == "directory"
    size, stamp = (None if folder else _size(row.get("size"))), row.get("mtime")
    mark = f"{path}@{size}@{stamp}" if size is not None and isinstance(stamp, str) else ""
    return FileRow(path, size=size, file_type=_kind(path), modified=seconds(stamp), mark=mark), folder


def _path(value: object, study: str) -> str | None:
    """The path without slashes around, with the study in front. Its names stay as they are: hostile."""
    if not isinstance(value, str) or not value.strip("/ "):
        return None
    path = value.strip().strip("/")
    first = path.partition("/")[0]
    return path if first.upper() == study.upper() else f"{study}/{path}"


def _kind(path: str) -> str:
    """The kind of file that a place of the data browser holds (spec §3.1)."""
    parts = path.split("/")
    if len(parts) == 2:
        return "release_file"
    folders = {"StudyFiles": "study_file", "ResultFiles": "result_file", "Protocols": "protocol_file"}
    return folders.get(parts[1], "") if len(parts) > 2 else ""


def _word(value: object) -> str:
    return show_text(value, 60) if isinstance(value, str) else ""


def _size(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        return None
    return value


def seconds(value: object) -> float | None:
    """A date of any of the service's forms in Unix seconds: milliseconds, or ISO text; ``None`` for anything else.

    >>> seconds(1492646400000), seconds("2017-04-20T00:00:00Z"), seconds("2017-04-20"), seconds("soon")
    (1492646400.0, 1492646400.0, 1492646400.0, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float) and 0 < value < 1e14:
        return value / 1000 if value > 1e11 else float(value)
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", value.strip()):
        return None
    text = re.sub(r"\.(\d{1,6})\d*", r".\1", value.strip())
    text = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text)
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def item_of(remote: str, row: FileRow, *, study: str, route: str = "") -> Item:
    """The engine's item. The stated MD5 is its identity and proof; a bare file id, or path with size and date, never
    names other bytes either (released files get new names with new contents, spec §3.1)."""
    identity = None
    if row.md5 is not None:
        identity = Identity("digest", str(row.md5), row.size)
    elif row.mark:
        identity = Identity("id", row.mark, row.size)
    labels = {
        "kind": "study",
        "study": study,
        "id": row.uuid,
        "type": row.file_type,
        "source": row.path,
        "route": route,
    }
    return Item(
        remote=remote,
        key=row.uuid or row.path,
        path=row.path,
        size=row.size,
        digests=(row.md5,) if row.md5 is not None else (),
        identity=identity,
        modified=row.modified,
        labels={name: value for name, value in labels.items() if value},
    )


def joined(row: FileRow, known: FileRow | None) -> FileRow:
    """A row of ``result/filePath`` with what the manifest says of the same path."""
    if known is None:
        return row
    return replace(known, size=known.size if known.size is not None else row.size, mark=known.mark or row.mark)
