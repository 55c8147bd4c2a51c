"""Which files a study has: its manifest, and what older servers have instead (spec immport §2.5, §3.1, §3.2)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from packhorse.errors import NotFoundError, PackhorseError, ProtocolError, RemoteError
from packhorse.portals.immport.api import ImmPortApi
from packhorse.portals.immport.places import ALL_STUDIES, Place, below
from packhorse.portals.immport.rows import FileRow, detail_row, joined, list_row, result_row, rows_of

__all__ = ["Listing"]

_FRESH_FOR: Final = 60.0
_KEPT: Final = 8
_MOST_FOLDERS: Final = 10_000
_NO_SERVICE: Final = (404, 405, 501)


class Listing:
    """The files of studies at one remote. A study's list is kept for a minute: ``ls``, ``get`` and a file system ask
    again and again."""

    def __init__(self, api: ImmPortApi) -> None:
        self.api = api
        self._held: dict[str, tuple[float, list[FileRow]]] = {}

    async def studies(self) -> list[str]:
        """Every study accession. Needs no sign-in."""
        answer: Any = None
        for path in ("ui/study/findAllStudyAccessions", "study/findAllStudyAccessions"):
            try:
                answer = await self.api.get_json(path, auth=False)
                break
            except NotFoundError:
                if path.startswith("study"):
                    raise
        found = answer.get("studyAccessions") if isinstance(answer, Mapping) else answer
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise ProtocolError(f"{self.api.remote} answers the question for its studies with something else")
        return sorted(set(found), key=lambda name: (len(name), name))

    async def rows(self, place: Place) -> list[FileRow]:
        """The files that a place means, without doubles. Raises :class:`NotFoundError`, :class:`PermissionDeniedError`
        for a restricted study."""
        if place.filters:
            found = await self._filtered(place)
        else:
            found = await self._study(place)
        return [row for row in found if place.wants(row.path, row.file_type)]

    async def _study(self, place: Place) -> list[FileRow]:
        held = self._held.get(place.study)
        if held is not None and time.monotonic() - held[0] < _FRESH_FOR:
            return held[1]
        found = _once(await self._asked(place.study))
        while len(self._held) >= _KEPT:
            self._held.pop(next(iter(self._held)))
        self._held[place.study] = (time.monotonic(), found)
        return found

    async def _asked(self, study: str) -> list[FileRow]:
        if study == ALL_STUDIES:
            return await self._walk(study)
        try:
            return await self._manifest(study)
        except PackhorseError as error:
            if not _absent(error):
                raise
            first = error
        for older in (self._walk, self._file_paths, self._results):
            try:
                found = await older(study)
            except PackhorseError as error:
                if not _absent(error):
                    raise
            else:
                if found:
                    return found
        raise first

    async def _manifest(self, study: str) -> list[FileRow]:
        path = f"api/study/manifest/{study}"
        answer = await self.api.get_json(path, [("fileType", "all"), ("format", "json")])
        return [row for raw in rows_of(answer, path) if (row := detail_row(raw, study)) is not None]

    async def _file_paths(self, study: str) -> list[FileRow]:
        path = f"api/study/filePath/{study}"
        answer = await self.api.get_json(path, [("format", "json")])
        return [row for raw in rows_of(answer, path) if (row := detail_row(raw, study)) is not None]

    async def _results(self, study: str, filters: tuple[tuple[str, str], ...] = ()) -> list[FileRow]:
        params = [("studyAccession", study), *filters, ("format", "json")]
        answer = await self.api.get_json("result/filePath", params)
        return [row for raw in rows_of(answer, "result/filePath") if (row := result_row(raw, study)) is not None]

    async def _filtered(self, place: Place) -> list[FileRow]:
        """Files by what they were measured on; the manifest, where there is one, adds digest and id of each."""
        found = _once(await self._results(place.study, place.filters))
        try:
            known = {row.path: row for row in await self._study(Place(place.study))}
        except PackhorseError as error:
            if not _absent(error):
                raise
            known = {}
        return [joined(row, known.get(row.path)) for row in found]

    async def _walk(self, study: str) -> list[FileRow]:
        """Every file below a study's folder in the data browser, folder by folder."""
        found: list[FileRow] = []
        folders, seen = [study], {study}
        while folders:
            folder = folders.pop(0)
            answer = await self.api.post_json("list", {"path": f"/{folder}"})
            items = answer.get("items") if isinstance(answer, Mapping) else None
            for raw in rows_of(items, f"list of {folder}"):
                listed = list_row(raw, study)
                if listed is None:
                    continue
                row, is_folder = listed
                if not is_folder:
                    found.append(row)
                elif row.path not in seen and below(row.path, folder):  # a list that leads upwards never ends
                    seen.add(row.path)
                    folders.append(row.path)
            if len(seen) > _MOST_FOLDERS:
                raise ProtocolError(f"{self.api.remote}:{study} has more than {_MOST_FOLDERS:,} folders")
        return found


def _absent(error: PackhorseError) -> bool:
    """Whether the server has no such service, or no such study."""
    if isinstance(error, NotFoundError):
        return True
    return isinstance(error, RemoteError) and error.status in _NO_SERVICE


def _once(rows: list[FileRow]) -> list[FileRow]:
    """Without the repeated rows of one file."""
    found: dict[tuple[str, str], FileRow] = {}
    for row in rows:
        found.setdefault((row.path, row.uuid), row)
    return list(found.values())
