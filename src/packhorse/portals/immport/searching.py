"""Search for studies and subjects: pages, facets, both shapes of ``hits.total`` (spec immport §2.4)."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from packhorse.errors import ProtocolError, UsageError
from packhorse.portals.immport.api import ImmPortApi

__all__ = ["FACETS", "Found", "Hit", "search", "search_params"]

_FACETS: Final = """\
studyAccession subjectAccession programName conditionOrDisease researchFocus clinicalTrial sex race ethnicity species
minAge ageRange assayMethod biosampleType hasAssessment hasLabTest
"""
FACETS: Final = tuple(_FACETS.split())
_PAGE: Final = 500
_MOST_PAGES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit: its accession, its score, its record (members in snake_case), its highlights by member."""

    id: str
    score: float | None
    record: Mapping[str, Any]
    highlight: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found. ``total`` may be more than ``hits``; ``facets``: counts by value, by facet."""

    total: int
    hits: tuple[Hit, ...]
    facets: Mapping[str, Mapping[str, int]]


def search_params(
    term: str, facets: Mapping[str, str | Sequence[str]], *, sort: str = "", descending: bool = False
) -> tuple[tuple[str, str], ...]:
    """The parameters of a search but for its page. Raises :class:`UsageError` for what is no facet, with near names.

    >>> search_params("asthma", {"researchFocus": ["Allergy", "Vaccine Response"], "sex": "Female"})
    (('term', 'asthma'), ('researchFocus', 'Allergy,Vaccine Response'), ('sex', 'Female'))
    """
    params = [("term", term)] if term.strip() else []
    for name, given in facets.items():
        if name not in FACETS:
            near = difflib.get_close_matches(name, FACETS, n=3, cutoff=0.5)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"there is no facet {name!r}{meant}", hint=f"facets: {', '.join(FACETS)}")
        values = [given] if isinstance(given, str) else list(given)
        if not all(value.strip() for value in values) or not values:
            raise UsageError(f"the facet {name} has no value", hint=f"--facet {name}=VALUE")
        params.append((name, ",".join(values)))
    if sort:
        params += [("sortField", sort), ("sortFieldDirection", "desc" if descending else "asc")]
    return tuple(params)


async def search(api: ImmPortApi, kind: str, params: tuple[tuple[str, str], ...], *, limit: int | None = None) -> Found:
    """Every hit (or the first ``limit``), page by page, until a page brings nothing new. ``kind``: study, subject.

    Raises :class:`ProtocolError` for an answer of another shape, and what the requests raise.
    """
    hits: dict[str, Hit] = {}
    total = 0
    facets: dict[str, dict[str, int]] = {}
    async for page in _pages(api, kind, params, limit):
        stated = _total(page)
        total = max(total, stated or 0)
        facets = facets or _facets(page)
        fresh = [hit for hit in _hits(page) if hit.id not in hits]
        hits |= {hit.id: hit for hit in fresh}
        whole = stated is not None and len(hits) >= total
        if not fresh or whole or (limit is not None and len(hits) >= limit):
            break
    found = tuple(hits.values())[:limit]
    return Found(max(total, len(hits)), found, facets)


async def _pages(
    api: ImmPortApi, kind: str, params: tuple[tuple[str, str], ...], limit: int | None
) -> AsyncIterator[Mapping[str, Any]]:
    """The pages, each asked for when the one before was read: a server may give fewer hits than were asked for."""
    start = 0
    size = _PAGE if limit is None else max(1, min(limit, _PAGE))
    for _ in range(_MOST_PAGES):
        paged = (*params, ("fromRecord", str(start)), ("pageSize", str(size)))
        answer = await api.get_json(f"api/search/{kind}", paged, auth=False)
        page = answer.get("hits") if isinstance(answer, Mapping) else None
        if not isinstance(page, Mapping) or not isinstance(page.get("hits"), list):
            raise ProtocolError(f"{api.remote}: the answer of the search has no hits")
        yield answer
        start += len(page["hits"])
        if not page["hits"]:
            return


def _total(answer: Mapping[str, Any]) -> int | None:
    """``hits.total`` as a number, or as an object with ``value``; ``None`` where it is not said."""
    total = answer["hits"].get("total")
    if isinstance(total, Mapping):
        total = total.get("value")
    return total if isinstance(total, int) and total >= 0 else None


def _hits(answer: Mapping[str, Any]) -> list[Hit]:
    found = []
    for hit in answer["hits"]["hits"]:
        if not isinstance(hit, Mapping):
            continue
        record = hit.get("_source")
        record = record if isinstance(record, Mapping) else {}
        accession = hit.get("_id") or record.get("subject_accession") or record.get("study_accession")
        score, highlight = hit.get("_score"), hit.get("highlight")
        found.append(
            Hit(
                str(accession),
                float(score) if isinstance(score, int | float) else None,
                record,
                highlight if isinstance(highlight, Mapping) else {},
            )
        )
    return found


def _facets(answer: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Counts of ``aggregations``. The bucket for sex is named gender by some servers."""
    found: dict[str, dict[str, int]] = {}
    given = answer.get("aggregations")
    for name, value in given.items() if isinstance(given, Mapping) else ():
        buckets = value.get("buckets") if isinstance(value, Mapping) else None
        counts = {
            str(bucket["key"]): bucket["doc_count"]
            for bucket in (buckets if isinstance(buckets, list) else ())
            if isinstance(bucket, Mapping) and "key" in bucket and isinstance(bucket.get("doc_count"), int)
        }
        if counts:
            found["sex" if name == "gender" else str(name)] = counts
    return found
