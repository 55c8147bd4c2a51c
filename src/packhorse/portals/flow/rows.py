"""Rows from a Flow server: hostile until read here. Pure (spec flow §6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from packhorse.errors import ProtocolError
from packhorse.model import Digest, Identity, Item
from packhorse.net.message import Reply
from packhorse.net.redact import show_text
from packhorse.wire.flow import download_path, execution_path, parse_download_path, parse_id, safe_relative_path

__all__ = [
    "FileRow",
    "decoded",
    "file_row",
    "item_of",
    "label",
    "mapping",
    "output_rows",
    "record_id",
    "rows_of",
    "seconds",
]

_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file as a record states it. ``id`` is ``None`` for an execution's output without a Data record."""

    id: str | None
    filename: str
    path: str
    size: int | None = None
    digests: tuple[Digest, ...] = ()
    created: float | None = None
    is_directory: bool = False
    stated_name: str | None = None
    """The name in the download URL that the record states for this id, where that is another than ``filename``."""


def decoded(reply: Reply) -> Any:
    """The answer's JSON. Raises :class:`ProtocolError`, also for JSON that is nested to exhaust the reader."""
    try:
        return reply.json()
    except RecursionError:
        raise ProtocolError("the server's answer is nested too deeply to be read") from None


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """A JSON object. Raises :class:`ProtocolError`."""
    if not isinstance(value, Mapping):
        raise ProtocolError(f"the server's answer about {what} is not a record")
    return value


def rows_of(record: Mapping[str, Any], key: str) -> list[Mapping[str, Any]] | None:
    """A member that is a list of records; ``None`` where there is no such member. Raises :class:`ProtocolError`."""
    value = record.get(key)
    if value is None:
        return None
    if not isinstance(value, list):
        raise ProtocolError(f"the server's {key!r} is not a list")
    return [mapping(entry, key) for entry in value]


def record_id(value: object, what: str) -> str:
    """An id as text. Raises :class:`ProtocolError` for anything but decimal digits."""
    number = parse_id(value)
    if number is None:
        raise ProtocolError(f"the server's id of a {what} is not a number: {show_text(str(value), 40)!r}")
    return str(number)


def seconds(value: object) -> float | None:
    """Unix seconds from a number or an ISO-8601 text; ``None`` for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e11:
        return float(value)
    if isinstance(value, str) and len(value) < 64:
        try:
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    return None


def label(value: object) -> str:
    """A name for a label: text, or nothing."""
    return value if isinstance(value, str) else ""


def file_row(row: Mapping[str, Any], *, path: str | None = None) -> FileRow:
    """Read one file's row. Raises :class:`ProtocolError` for nonsense in the id, the name or the size."""
    name = row.get("filename")
    given = row.get("path") if path is None else path
    if not isinstance(name, str) or not name:
        name = given.rpartition("/")[2] if isinstance(given, str) else ""
    if not name:
        raise ProtocolError("the server lists a file without a name")
    data_id = None if row.get("id") is None else record_id(row["id"], "data file")
    digests = [Digest.maybe(algorithm, row.get(algorithm)) for algorithm in ("sha256", "md5")]
    return FileRow(
        id=data_id,
        filename=name,
        path=given if isinstance(given, str) and given else name,
        size=_size(row.get("size"), name),
        digests=tuple(digest for digest in digests if digest is not None),
        created=seconds(row.get("created")),
        is_directory=row.get("is_directory") is True,
        stated_name=_stated_name(row, data_id),
    )


def _stated_name(row: Mapping[str, Any], data_id: str | None) -> str | None:
    # Of a URL that a server states only the name is taken: where it is asked for is ours to say.
    for key in ("data_url", "download_url"):
        url = row.get(key)
        if isinstance(url, str) and (found := parse_download_path(url.partition("?")[0])) and found[0] == data_id:
            return found[1]
    return None


def _size(value: object, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise ProtocolError(f"the server states a nonsensical size for {show_text(name, 80)!r}")
    return value


def output_rows(record: Mapping[str, Any]) -> Iterator[FileRow]:
    """An execution's outputs: the ``outputs`` member, else ``downstream_data`` of every process (spec flow §6.5)."""
    outputs = rows_of(record, "outputs")
    if outputs is not None:
        yield from map(file_row, outputs)
        return
    seen: set[str | None] = set()
    for process in rows_of(record, "process_executions") or ():
        for row in rows_of(process, "downstream_data") or ():
            file = file_row(row)
            if file.id is not None and file.id not in seen:
                seen.add(file.id)
                yield file


def item_of(remote: str, row: FileRow, *, kind: str, execution: str = "", sample: str = "", project: str = "") -> Item:
    """The engine's item for a row. A Data id never names other bytes, so it is an identity by itself."""
    path = row.path if kind == "execution" else row.filename
    if row.id is not None:
        key = download_path(row.id, row.stated_name or row.filename)
    elif execution and safe_relative_path(row.path):
        key = execution_path(execution, row.path)
    else:
        raise ProtocolError(f"the server lists a file that cannot be asked for: {show_text(row.path, 80)!r}")
    identity = None
    if row.digests:
        identity = Identity("digest", str(row.digests[0]), row.size)
    elif row.id is not None:
        identity = Identity("id", f"data/{row.id}", row.size)
    labels = {"kind": kind, "id": row.id or "", "sample": sample, "execution": execution, "project": project}
    return Item(
        remote=remote,
        key=key.lstrip("/"),
        path=path,
        size=row.size,
        digests=row.digests,
        identity=identity,
        modified=row.created,
        labels={name: value for name, value in labels.items() if value},
    )
