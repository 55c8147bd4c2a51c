"""Flow's bulk download jobs: their record, their states, the archive's name (spec flow §4.3)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from packhorse.errors import ProtocolError

__all__ = [
    "EXPIRED",
    "JOB_SECONDS",
    "JobFacts",
    "JobState",
    "State",
    "archive_name",
    "job_path",
    "job_record",
    "job_state",
    "parse_job",
]

State = Literal["pending", "processing", "completed", "failed", "expired"]
JOB_SECONDS: Final = 24 * 3600
"""How long after completion an archive can be fetched."""
EXPIRED: Final = "Download link has expired"
_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job as the server keeps it. Times in Unix seconds, ``progress`` in percent, ``size`` in bytes."""

    id: str
    name: str
    user: str
    created: int
    started: int | None
    finished: int | None
    progress: int
    error: str
    size: int
    by_execution: bool
    data: Sequence[str]


def job_state(facts: JobFacts, now: float) -> State:
    """The state at a time.

    >>> facts = JobFacts("x", "a.zip", "1", 0, 1, 2, 100, "", 0, False, [])
    >>> job_state(facts, 3), job_state(facts, 2 + JOB_SECONDS)
    ('completed', 'expired')
    """
    if facts.error:
        return "failed"
    if facts.finished is not None:
        return "completed" if now < facts.finished + JOB_SECONDS else "expired"
    return "pending" if facts.started is None else "processing"


def job_path(job_id: str, name: str = "") -> str:
    """The path of a job's archive, below the API's base."""
    return f"/downloads/{job_id}/{quote(name, safe='')}" if name else f"/downloads/{job_id}"


def job_record(facts: JobFacts, now: float, *, base: str) -> dict[str, Any]:
    """The job as clients see it; ``base`` is the API's address, so that ``download_url`` is a whole one.

    ``error`` is never empty for a job that failed or is over; ``progress`` is always there and only grows.
    """
    state = job_state(facts, now)
    ready = state == "completed"
    expires = None if facts.finished is None or facts.error else facts.finished + JOB_SECONDS
    return {
        "id": facts.id,
        "name": facts.name,
        "status": state,
        "progress": 100 if ready or state == "expired" else facts.progress,
        "error": EXPIRED if state == "expired" else facts.error or None,
        "download_url": f"{base}{job_path(facts.id, facts.name)}" if ready else None,
        "status_url": f"{base}{job_path(facts.id)}/status",
        "created": facts.created,
        "started": facts.started,
        "finished": facts.finished,
        "expires": expires,
        "size": facts.size if ready else None,
        "md5": None,  # of an archive that nobody wrote no digest is known; its entries have theirs
        "sha256": None,
        "by_execution": facts.by_execution,
        "data": list(facts.data),
        "user": facts.user,
    }


def archive_name(text: object, fallback: str) -> str:
    """A file name for an archive: what was asked for, made safe, with ``.zip``.

    >>> archive_name("my dataset", "x"), archive_name("../a/b.ZIP", "x"), archive_name("", "download")
    ('my dataset.zip', 'b.ZIP', 'download.zip')
    """
    name = text if isinstance(text, str) else ""
    name = re.split(r"[/\\]", name)[-1]
    name = "".join("_" if unicodedata.category(sign)[0] == "C" else sign for sign in name).strip(" .")
    name = name or fallback
    stem, dot, end = name.rpartition(".")
    stem = stem if dot and end.lower() == "zip" and stem else name
    end = end if stem != name else "zip"
    while len(stem.encode("utf-8", "replace")) > _NAME:
        stem = stem[:-1]
    return f"{stem}.{end}"


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as a server told of it: any state outside the first three is a failure whose text is ``error``."""

    id: str
    status: str
    progress: float | None
    error: str
    download_url: str
    size: int | None
    record: Mapping[str, Any]

    @property
    def waiting(self) -> bool:
        """Whether to ask again."""
        return self.status in ("pending", "processing")

    @property
    def ready(self) -> bool:
        """Whether the archive can be fetched."""
        return self.status == "completed"


def parse_job(record: object) -> JobState:
    """A job out of a server's answer. Raises :class:`ProtocolError` for one without id or status.

    The live service's jobs have no status: there the times tell.
    """
    if not isinstance(record, Mapping) or not isinstance(record.get("id"), str | int) or record["id"] == "":
        raise ProtocolError("the server's answer is no download job")
    status = record.get("status")
    if not isinstance(status, str):
        if record.get("finished") is not None:
            status = "completed"
        else:
            status = "processing" if record.get("started") is not None else "pending"
    progress = record.get("progress")
    size = record.get("size")
    error, url = record.get("error"), record.get("download_url")
    return JobState(
        id=str(record["id"]),
        status=status,
        progress=float(progress) if isinstance(progress, int | float) and not isinstance(progress, bool) else None,
        error=error if isinstance(error, str) else "",
        download_url=url if isinstance(url, str) else "",
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        record=record,
    )
