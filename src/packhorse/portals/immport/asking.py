"""A query with its filters to the requests that ask for it (spec immport §2.1, §2.3, §2.5). Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from packhorse.errors import UsageError
from packhorse.tables import Column, columns_of
from packhorse.wire.immport.filters import FILTERS, Condition, check_study, parse_filters
from packhorse.wire.immport.queries import Query, find_query

__all__ = ["FILE_TYPES", "Ask", "Wire", "filters_of", "prepare"]

Wire = Literal["auto", "json", "tsv"]
"""How rows travel: ``auto`` is TSV for assay results into a table or file, JSON for everything else."""

FILE_TYPES: Final = ("all", "archive_file", "release_file", "study_file", "protocol_file", "result_file", "zip_file")
_MANIFEST: Final = "study/manifest"
_OF_QUERIES: Final[Mapping[str, tuple[str, ...]]] = {
    _MANIFEST: ("fileType",),
    "ui/resrcpgcnt/cntByPgmID": ("programIds",),
    "ui/study/downloadCount": ("studyAccession",),
}
_LONGEST_QUERY: Final = 6000
"""Characters of a query string that every server takes; longer lists of values are asked for in parts."""

Value = str | int | float | bool
Filters = Mapping[str, Value | Sequence[Value] | None]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be asked: ``requests`` are paths below the query base with their parameters, their answers are rows
    in that order. ``conditions`` are the filters of assay results, as checked."""

    query: Query
    requests: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    columns: tuple[Column, ...]
    conditions: tuple[Condition, ...] = ()

    @property
    def needs_token(self) -> bool:
        """Whether the service asks for a token: results, study data, and the lookups of the first generation do."""
        return self.query.needs_token or (self.query.group == "lookup" and self.query.shape == "page")


def filters_of(query: Query) -> tuple[str, ...]:
    """The names that a query can be asked with.

    >>> filters_of(find_query("arm")), filters_of(find_query("lkSex")), len(filters_of(find_query("elisa")))
    (('studyAccession',), (), 44)
    """
    if query.group == "result":
        return tuple(FILTERS)
    return (*query.accessions, *_OF_QUERIES.get(query.name, ()))


def prepare(name: str, filters: Filters | None = None) -> Ask:
    """Check a query and its filters, and say what to send. Several studies, and lists that are too long for one
    address, become several requests.

    Raises :class:`UsageError` with near names and the way to write it.

    >>> ask = prepare("elisa", {"studyAccession": "SDY2,SDY4", "minSubjectAgeGte": 18})
    >>> [params for path, params in ask.requests]
    [(('studyAccession', 'SDY2'), ('minSubjectAgeGte', '18')), (('studyAccession', 'SDY4'), ('minSubjectAgeGte', '18'))]
    >>> prepare("arm", {"studyAccession": ["sdy2"]}).requests
    (('api/study/arm/SDY2', ()),)
    """
    query = find_query(name)
    pairs = _pairs(query, filters or {})
    columns = columns_of(query.model) if query.model is not None else ()
    if query.shape == "hits":
        raise UsageError(f"{query.name} is a search", hint="packhorse studies search REMOTE WORDS")
    if query.group == "result":
        conditions = parse_filters(pairs)
        found = {condition.filter.name: condition.values for condition in conditions}
        requests = tuple((query.path, params) for params in _parts(found))
        return Ask(query, requests, columns, conditions)
    return Ask(query, tuple(_filled(query, pairs)), columns)


def _pairs(query: Query, filters: Filters) -> list[tuple[str, str]]:
    """Filters as a query string has them. Raises :class:`UsageError` for a name that the query does not know."""
    known = filters_of(query)
    pairs: list[tuple[str, str]] = []
    for name, given in filters.items():
        if given is None:
            continue
        if name not in known:
            raise UsageError(f"{query.name} has no filter {name!r}{_near(name, known)}", hint=_how(query, known))
        if isinstance(given, Mapping):
            raise UsageError(f"{name} is a mapping; give text, a number, or a list of those", hint=_how(query, known))
        values = [given] if isinstance(given, str | int | float) else list(given)
        pairs += [(name, _text(name, value)) for value in values]
    return pairs


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "Y" if value else "N"
    if not isinstance(value, str | int | float):
        raise UsageError(f"{name} is {type(value).__name__}; give text or a number")
    return str(value)


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    if not near:  # people forget only how the capitals are
        near = [each for each in known if each.lower() == name.lower()]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _how(query: Query, known: Sequence[str]) -> str:
    if query.group == "result":
        return "packhorse query --filters"
    return f"it is asked with {', '.join('--' + name for name in known)}" if known else "it is asked without any"


def _parts(found: Mapping[str, Sequence[str]]) -> list[tuple[tuple[str, str], ...]]:
    """The parameters of each request: one a study, fewer values where the address would be too long."""
    studies = found.get("studyAccession")
    if studies is not None and len(studies) > 1:
        return [part for study in studies for part in _parts({**found, "studyAccession": (study,)})]
    params = tuple((name, ",".join(values)) for name, values in found.items())
    if len(urlencode(params)) <= _LONGEST_QUERY:
        return [params]
    exact = [name for name in found if FILTERS[name].match == "exact" and len(found[name]) > 1]
    if not exact:
        # A row may match two parts of a word: asked for in parts it would come twice.
        raise UsageError("the filters are too long for one address", hint="give fewer values")
    longest = max(exact, key=lambda name: sum(map(len, found[name])))
    values = found[longest]
    half = len(values) // 2
    return [part for piece in (values[:half], values[half:]) for part in _parts({**found, longest: piece})]


def _filled(query: Query, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """A path for every study, and parameters for what is in no path."""
    values: dict[str, list[str]] = {}
    for name, text in pairs:
        values.setdefault(name, []).extend(part.strip() for part in text.split(",") if part.strip())
    if "studyAccession" in values:
        values["studyAccession"] = list(dict.fromkeys(map(check_study, values["studyAccession"])))
    paths = [query.path]
    for name in query.accessions:
        given = values.pop(name, [])
        if not given:
            raise UsageError(
                f"{query.name} is asked with --{name}",
                hint=f"packhorse query REMOTE {query.name} --{name} {'SDY1' if name == 'studyAccession' else 'VALUE'}",
            )
        paths = [path.replace(f"{{{name}}}", _part(name, value)) for value in given for path in paths]
    for value in values.get("fileType", []):
        if value not in FILE_TYPES:
            raise UsageError(
                f"there is no file type {value[:60]!r}{_near(value, FILE_TYPES)}", hint=", ".join(FILE_TYPES)
            )
    if query.name == "ui/study/downloadCount" and not values.get("studyAccession"):
        raise UsageError(f"{query.name} is asked with --studyAccession", hint="--studyAccession SDY1,SDY2")
    params = tuple((name, ",".join(given)) for name, given in values.items() if given)
    return [(path, params) for path in paths]


def _part(name: str, value: str) -> str:
    """A value as one part of a path. Raises :class:`UsageError` for what would be another path."""
    if not value.isprintable() or value in (".", "..") or "/" in value or "\\" in value or len(value) > 200:
        raise UsageError(f"{value[:60]!r} cannot be a {name}", hint="give a name without slashes, 200 letters at most")
    return quote(value, safe="")
