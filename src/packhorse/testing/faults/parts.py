"""What takes uploads in parts: a small protocol of its own, and everything that it was given.

::

    POST   /uploads                {"files": [{"name", "size"}, …]}   201 {"id", "files": {name: number}}
    GET    /uploads/ID                                                200 {"id", "status", "files"}
    PUT    /uploads/ID/FILE/OFFSET the part's bytes                   200 {"offset", "written"}
    PUT    /uploads/ID/FILE        nothing                            200 {"size"}
    PUT    /uploads/ID             nothing                            200 {"id", "status": "finished"}
    DELETE /uploads/ID                                                200 {}

Parts may come in any order and again. As real portals do, it does not notice holes: a file may be finished whose last
part came. What came is there to be compared.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field

from packhorse.testing.faults.message import Ask, Reply

_PATH = re.compile(r"/uploads(?:/(\d+)(?:/(\d+)(?:/(\d+))?)?)?")


@dataclass
class Taken:
    """One file of an upload. ``parts`` maps each offset to the bytes that came last; ``versions`` counts the different
    bytes that ever came for it."""

    name: str
    size: int
    parts: dict[int, bytes] = field(default_factory=dict)
    versions: dict[int, set[bytes]] = field(default_factory=dict)
    finished: int = 0

    def bytes(self) -> bytes:
        """All of it, as far as it came without a hole."""
        whole = bytearray()
        while (part := self.parts.get(len(whole))) is not None and part:
            whole += part
        return bytes(whole)


@dataclass
class Upload:
    """One upload. ``finishes`` counts how often it was asked to finish while it was open: more than one cannot be;
    ``late`` counts parts that came after it."""

    number: int
    files: dict[int, Taken]
    status: str = "open"
    finishes: int = 0
    finish_calls: int = 0
    late: int = 0


class PartStore:
    """Uploads in memory. Thread-safe."""

    def __init__(self, *, keep: bool = True) -> None:
        self.uploads: dict[int, Upload] = {}
        self.created = 0
        self.calls: Counter[str] = Counter()
        self._keep = keep
        self._lock = threading.Lock()

    def knows(self, ask: Ask) -> bool:
        """Whether the path is ours."""
        return _PATH.fullmatch(ask.name) is not None

    def answer(self, ask: Ask) -> Reply | None:
        """Do what is asked; None where the path is not ours."""
        found = _PATH.fullmatch(ask.name)
        if found is None:
            return None
        numbers = [int(text) for text in found.groups() if text is not None]
        with self._lock:
            if not numbers:
                return self._create(ask) if ask.method == "POST" else Reply.error(405)
            upload = self.uploads.get(numbers[0])
            if upload is None or upload.status == "deleted":
                return Reply.error(404)
            self.calls[f"{ask.method} {len(numbers)}"] += 1
            if len(numbers) == 1:
                return self._whole(ask, upload)
            file = upload.files.get(numbers[1])
            if file is None or ask.method != "PUT":
                return Reply.error(404)
            if upload.status != "open":
                upload.late += 1
                return Reply.error(400, "the upload is finished")
            if len(numbers) == 2:
                file.finished += 1
                return _json(200, {"size": file.size})
            return self._part(ask, file, numbers[2])

    def _create(self, ask: Ask) -> Reply:
        try:
            wanted = json.loads(ask.body)["files"]
            files = {number: Taken(str(one["name"]), int(one["size"])) for number, one in enumerate(wanted, 1)}
        except (ValueError, KeyError, TypeError):
            return Reply.error(400)
        self.created += 1
        upload = Upload(self.created, files)
        self.uploads[upload.number] = upload
        named = {file.name: number for number, file in files.items()}
        return _json(201, {"id": upload.number, "files": named})

    def _whole(self, ask: Ask, upload: Upload) -> Reply:
        if ask.method == "PUT":
            upload.finish_calls += 1
            if upload.status != "open":
                return Reply.error(409, "it was finished before")
            upload.finishes += 1
            upload.status = "finished"
        elif ask.method == "DELETE":
            upload.status = "deleted"
            return _json(200, {})
        elif ask.method != "GET":
            return Reply.error(405)
        named = {file.name: number for number, file in upload.files.items()}
        return _json(200, {"id": upload.number, "status": upload.status, "files": named})

    def _part(self, ask: Ask, file: Taken, offset: int) -> Reply:
        if offset + len(ask.body) > file.size and not ask.header("x-encoded"):
            return Reply.error(400, "out of bounds")
        file.parts[offset] = ask.body if self._keep else b""
        file.versions.setdefault(offset, set()).add(ask.body if self._keep else b"")
        return _json(200, {"offset": offset, "written": len(ask.body)})

    @property
    def last(self) -> Upload:
        """The upload that was created last."""
        with self._lock:
            return self.uploads[self.created]

    def contents(self, number: int | None = None) -> dict[str, bytes]:
        """Every file of an upload (default: the last) by its name."""
        upload = self.last if number is None else self.uploads[number]
        with self._lock:
            return {file.name: file.bytes() for file in upload.files.values()}


def _json(status: int, value: object) -> Reply:
    return Reply.of(status, json.dumps(value).encode())
