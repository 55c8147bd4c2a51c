"""Addresses of ImmPort: ``SDY1/ResultFiles/…``, ``SDY1?fileType=result_file``, pasted links. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from packhorse.errors import AddressError, UsageError
from packhorse.net.redact import show_text
from packhorse.settings import RemoteSettings, near
from packhorse.wire.immport.filters import FILTERS, check_study, parse_filters

__all__ = ["ALL_STUDIES", "FILE_TYPES", "ROUTES", "Place", "below", "link_path", "parse_place"]

ALL_STUDIES: Final = "ALLSTUDIES"
FILE_TYPES: Final = (
    "all", "archive_file", "release_file", "study_file", "protocol_file", "result_file", "zip_file",
)  # fmt: skip
ROUTES: Final = ("https", "aspera", "auto")
_ALIASES: Final = {
    "assay": "measurementTechnique",
    "subject": "subjectAccession",
    "arm": "armAccession",
    "experiment": "experimentAccession",
    "biosample": "biosampleAccession",
    "type": "fileType",
    "file_type": "fileType",
}
_HOSTS: Final = frozenset(
    {"www.immport.org", "immport.org", "browser.immport.org", "data.immport.org", "shared.immport.org"}
)
_EXAMPLES: Final = "for example SDY1, SDY1/ResultFiles or SDY1?fileType=result_file"


@dataclass(frozen=True, slots=True)
class Place:
    """``study`` is an accession, :data:`ALL_STUDIES`, or empty for the root; ``rest`` the path below it without slashes
    around. ``file_types`` and ``patterns`` choose among the files by name; ``filters`` by what they were measured on
    (parameters of ``result/filePath``). ``route``: how the bytes are to come, where the address says it.
    """

    study: str = ""
    rest: str = ""
    file_types: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    route: str = ""

    @property
    def path(self) -> str:
        """Study and path, as the server writes it."""
        return f"{self.study}/{self.rest}" if self.rest else self.study

    def wants(self, path: str, file_type: str) -> bool:
        """Whether a file of this path and kind is meant, as far as names tell."""
        if self.rest and not below(path, self.path):
            return False
        if self.file_types and "all" not in self.file_types and file_type not in self.file_types:
            return False
        name = path.rpartition("/")[2]
        return not self.patterns or any(fnmatchcase(path, each) or fnmatchcase(name, each) for each in self.patterns)


def below(path: str, folder: str) -> bool:
    """Whether a path is this one or lies below it."""
    return path == folder or path.startswith(f"{folder}/")


def parse_place(path: str) -> Place:
    """Read the path of an ImmPort address. Raises :class:`AddressError`, or :class:`UsageError` for a filter.

    >>> parse_place("/sdy1/ResultFiles/")
    Place(study='SDY1', rest='ResultFiles', file_types=(), patterns=(), filters=(), route='')
    >>> parse_place("SDY1?assay=ELISA&pattern=*.fcs").filters
    (('measurementTechnique', 'ELISA'),)
    """
    path, question, query = path.partition("?")
    if any(not ch.isprintable() for ch in path):
        raise AddressError(f"{show_text(path)!r} is no ImmPort address: it holds a line break or control character")
    words = [word for word in path.split("/") if word]
    if ".." in words or "." in words:
        raise AddressError(f"{show_text(path)!r} is no ImmPort address: a path has no '..'", hint=_EXAMPLES)
    asked = parse_qsl(query, keep_blank_values=True) if question else []
    if not words:
        if asked:
            raise AddressError("filters want a study in front of them", hint=_EXAMPLES)
        return Place()
    first, *rest = words
    if first.upper() == ALL_STUDIES:
        study = ALL_STUDIES
    else:
        try:
            study = check_study(first)
        except UsageError:
            raise AddressError(f"{show_text(first)!r} is no study accession: SDY and digits", hint=_EXAMPLES) from None
    return _filtered(study, "/".join(rest), asked)


def _filtered(study: str, rest: str, asked: Iterable[tuple[str, str]]) -> Place:
    types: list[str] = []
    patterns: list[str] = []
    filters: list[tuple[str, str]] = []
    route = ""
    names = {name.lower(): name for name in (*FILTERS, "fileType", "pattern", "route")}
    for given, value in asked:
        name = _ALIASES.get(given) or names.get(given.lower())
        if name is None or name == "studyAccession":
            known = [*names.values(), *_ALIASES]
            raise UsageError(
                f"files cannot be chosen by {show_text(given)!r}{near(given, known)}",
                hint="fileType, pattern, assay, subject, route, and the filters of packhorse query --filters",
            )
        if not value.strip():
            raise UsageError(f"{given} wants a value", hint=f"{study}?{given}=…")
        if name == "fileType":
            types += _each_of(value, FILE_TYPES, "file type")
        elif name == "route":
            route = _each_of(value, ROUTES, "route")[0]
        elif name == "pattern":
            patterns.append(value.lstrip("/"))
        else:
            filters.append((name, value))
    if filters and study == ALL_STUDIES:
        raise UsageError(f"{ALL_STUDIES} takes no filters of subjects and assays", hint="name a study: SDY1?…")
    parse_filters(filters)  # a wrong name or value is said before anything is asked
    return Place(study, rest, tuple(types), tuple(patterns), tuple(filters), route)


def _each_of(value: str, known: tuple[str, ...], what: str) -> list[str]:
    found = []
    for word in filter(None, (word.strip() for word in value.split(","))):
        meant = next((name for name in known if word.lower() in (name, name.removesuffix("_file"))), None)
        if meant is None:
            raise UsageError(
                f"there is no {what} {show_text(word)!r}{near(word, known)}", hint=f"one of {', '.join(known)}"
            )
        found.append(meant)
    if not found:
        raise UsageError(f"no {what} is named", hint=f"one of {', '.join(known)}")
    return found


def link_path(url: str, remote: RemoteSettings) -> str | None:
    """The path at ``remote`` that a pasted web link means, or ``None`` when it is not this remote's.

    >>> immport = RemoteSettings("immport", "immport", "https://www.immport.org")
    >>> link_path("https://www.immport.org/shared/study/SDY269", immport)
    'SDY269'
    >>> link_path("https://browser.immport.org/browser?path=SDY1%2FStudyFiles", immport)
    'SDY1/StudyFiles'
    """
    try:
        link, own = urlsplit(url), urlsplit(remote.url)
        mine = (link.hostname, link.port) == (own.hostname, own.port)
        mine = mine or (own.hostname in _HOSTS and link.hostname in _HOSTS and link.port is None)
    except ValueError:
        return None
    if not mine or not own.hostname:
        return None
    named = parse_qs(link.query).get("path", [""])[0] if link.path.strip("/") == "browser" else ""
    found = re.fullmatch(r"/(?:shared/)?study/(SDY\d+)(?:/.*)?", unquote(link.path), re.IGNORECASE)
    path = named or (found[1] if found else "")
    try:
        return parse_place(path).path or None if path else None
    except (AddressError, UsageError):
        return None
