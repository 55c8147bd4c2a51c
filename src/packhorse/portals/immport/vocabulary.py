"""The controlled vocabularies: fetched once, kept for a day, and asked whether a filter's value can be right."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from packhorse.errors import PackhorseError, UsageError
from packhorse.portals.immport.api import ImmPortApi
from packhorse.wire.immport.filters import Condition

__all__ = ["Vocabularies", "check_values"]

_FRESH: Final = 24 * 3600.0
_CACHED: Final[dict[tuple[str, str], tuple[float, list[Mapping[str, Any]]]]] = {}


class Vocabularies:
    """The lookups of one server, as it gave them: in memory, and in ``state_dir`` for a day."""

    def __init__(self, api: ImmPortApi, state_dir: Path) -> None:
        self._api = api
        base = api.url("query", "")
        self._folder = state_dir / "lookups" / hashlib.sha256(base.encode()).hexdigest()[:16]
        self._base = base

    async def records(self, name: str, *, fresh: bool = False) -> list[Mapping[str, Any]]:
        """The records of a lookup by its current name (``lkSex``). ``fresh``: from the server, whatever is kept.

        Raises what the request does.
        """
        key = (self._base, name)
        kept = None if fresh else (_CACHED.get(key) or self._from_disk(name))
        if kept is None or time.time() - kept[0] > _FRESH or kept[0] > time.time() + 60:
            answer = await self._api.get_json(f"api/lookup/{name}", auth=False)
            kept = (time.time(), _records(answer))
            self._to_disk(name, kept)
        _CACHED[key] = kept
        return kept[1]

    def kept(self, name: str) -> bool:
        """Whether the next answer comes from what is kept."""
        return (self._base, name) in _CACHED or self._from_disk(name) is not None

    def _from_disk(self, name: str) -> tuple[float, list[Mapping[str, Any]]] | None:
        file = self._folder / f"{name}.json"
        try:
            when = file.stat().st_mtime
            return when, _records(msgspec.json.decode(file.read_bytes()))
        except (OSError, msgspec.DecodeError, RecursionError):
            return None

    def _to_disk(self, name: str, kept: tuple[float, list[Mapping[str, Any]]]) -> None:
        """Keep it where that works; a full disk is no reason to fail."""
        fresh = self._folder / f".{name}.{os.getpid()}"
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.write_bytes(msgspec.json.encode(kept[1]))
            fresh.replace(self._folder / f"{name}.json")


def _records(answer: Any) -> list[Mapping[str, Any]]:
    rows = answer.get("content") if isinstance(answer, Mapping) else answer
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


async def check_values(vocabularies: Vocabularies, conditions: Sequence[Condition], remote: str) -> None:
    """Raises :class:`UsageError` for a value that its vocabulary lacks, with near matches and the way to send it
    anyway. A vocabulary that the server does not have, or that is empty, says nothing."""
    for condition in conditions:
        name = condition.filter.vocabulary
        if not name:
            continue
        kept = vocabularies.kept(name)
        try:
            missing, known = _missing(condition, await vocabularies.records(name))
            if missing and kept:  # it may have grown since
                missing, known = _missing(condition, await vocabularies.records(name, fresh=True))
        except PackhorseError:
            continue  # the query itself will say what is wrong with the server
        if missing and known:
            value = missing[0]
            near = _near(value, known)
            meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise UsageError(
                f"{condition.filter.name}: {value[:80]!r} is not in the vocabulary {name}{meant}",
                hint=f"packhorse lookup {remote} {name} shows them; --force sends it as it is",
            )


def _missing(condition: Condition, records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    known = [str(record["name"]) for record in records if record.get("name") is not None]
    folded = {name.casefold() for name in known}
    return [value for value in condition.values if value.casefold() not in folded], known


def _near(value: str, known: Sequence[str]) -> list[str]:
    """Up to three that are spelt alike, else that hold the word."""
    by_fold = {name.casefold(): name for name in known}
    wanted = value.casefold()
    close = difflib.get_close_matches(wanted, list(by_fold), n=3, cutoff=0.6)
    if not close and len(wanted) > 2:
        close = [name for name in by_fold if wanted in name or name in wanted][:3]
    return [by_fold[name] for name in close]
