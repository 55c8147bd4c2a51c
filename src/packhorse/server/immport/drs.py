"""Study files as DRS objects: by id, checked for who asks, with links to their bytes (spec immport §3.5)."""

from __future__ import annotations

import datetime as dt
import re
import time
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.errors import NotFoundError, PermissionDeniedError, ServerError
from packhorse.server import access
from packhorse.server.api.core import Home, log
from packhorse.server.api.serving import media_type
from packhorse.server.db.files import facts_of
from packhorse.server.db.models import StudyFile
from packhorse.server.immport.access import may_see_path
from packhorse.server.immport.links import Links, Method
from packhorse.server.storage import StorageError

__all__ = ["Link", "drs_object", "find_file", "link_to"]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Link:
    """An address that opens a file until ``expires`` (Unix seconds)."""

    url: str
    expires: float


def find_file(session: Session, caller: access.Caller | None, uuid: str) -> StudyFile:
    """The file of this id. Raises :class:`NotFoundError` and :class:`PermissionDeniedError`."""
    uuid = uuid.lower()
    row = session.scalar(select(StudyFile).where(StudyFile.uuid == uuid)) if _UUID.fullmatch(uuid) else None
    if row is None:
        raise NotFoundError(f"no file of id {uuid[:60]!r} has its bytes on this server")
    if not may_see_path(session, caller, row.path):
        raise PermissionDeniedError("this file belongs to a restricted study", status=403)
    return row


def link_to(home: Home, row: StudyFile, caller: access.Caller, method: Method, base: str) -> Link:
    """A signed link. Raises :class:`ServerError` when the file's bytes cannot be read any more."""
    try:
        home.storage.open(facts_of(row.file)).close()
    except StorageError as error:
        log.error("the bytes of %s cannot be read: %s", row.path, error)
        raise ServerError("the bytes of this file cannot be read on the server", status=503) from None
    settings, at = home.config.immport, time.time()
    links = Links(base, home.immport, caller.user_id)
    if method == "s3":
        seconds = settings.link_days * 86_400
        return Link(links.s3(row.path, seconds, at), at + seconds)
    return Link(links.stream(row.path, settings.stream_seconds, at), at + settings.stream_seconds)


def drs_object(row: StudyFile, host: str) -> dict[str, Any]:
    """The file as GA4GH's DRS has it (version 1.4, ``DrsObject``)."""
    name = row.path.rpartition("/")[2]
    moment = f"{dt.datetime.fromtimestamp(row.modified, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {
        "id": row.uuid,
        "name": name,
        "self_uri": f"drs://{host}/{row.uuid}",
        "size": row.file.size,
        "created_time": moment,
        "updated_time": moment,
        "version": row.file.md5,
        "mime_type": media_type(name).partition(";")[0],
        "checksums": [{"type": "md5", "checksum": row.file.md5}, {"type": "sha-256", "checksum": row.file.sha256}],
        "access_methods": [{"type": "https", "access_id": "s3"}, {"type": "https", "access_id": "stream"}],
        "aliases": [row.path],
    }
