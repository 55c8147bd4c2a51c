"""Search over studies and subjects: conditions to SQL, and answers in Elasticsearch's shape (spec immport §2.4)."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Float, Select, and_, case, cast, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from packhorse.server.db.immport import Study
from packhorse.server.db.immport_views import Document, Facet
from packhorse.server.immport.folding import fold
from packhorse.server.immport.searchdocs import FACETS, STUDY_FIELDS, SUBJECT_FIELDS, words_of

__all__ = ["FIELDS", "NARROW", "Search", "SearchKind", "answer", "documents", "parse_term"]

SearchKind = Literal["study", "subject"]
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {"study": STUDY_FIELDS, "subject": SUBJECT_FIELDS}
"""The members of ``_source``."""
NARROW: Final = ("studyAccession", "subjectAccession", *FACETS)
"""What a search can be narrowed by."""
_NUMBERS: Final = ("actual_enrollment", "min_age", "max_age")
_BUCKETS: Final = 1000
_FRAGMENT: Final = 200


@dataclass(frozen=True, slots=True)
class Search:
    """A search as it was asked for."""

    kind: SearchKind
    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    narrowed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    """``searchFields``: where the words must stand; anywhere when empty."""
    source: tuple[str, ...] = ()
    sort: str | None = None
    descending: bool = False
    start: int = 0
    size: int = 10
    tags: tuple[str, str] = ("<em>", "</em>")


def parse_term(term: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Bare words and phrases of a search term; an odd quotation mark opens a phrase to the end.

    >>> parse_term('flu "T cell" CD4')
    (('flu', 'cd4'), ('t cell',))
    """
    words: list[str] = []
    phrases: list[str] = []
    for number, part in enumerate(term.split('"')):
        found = words_of(part).strip()
        if number % 2 and found:
            phrases.append(found)
        elif found:
            words += found.split()
    return tuple(dict.fromkeys(words)), tuple(dict.fromkeys(phrases))


def _wanted(search: Search, visible: ColumnElement[bool]) -> ColumnElement[bool]:
    """All words and phrases, and one value of every facet."""
    found: list[ColumnElement[bool]] = [
        Document.kind == search.kind,
        Document.study.in_(select(Study.accession).where(visible, Study.package_id == Document.package_id)),
    ]
    found += [_within(search, word, word) for word in search.words]
    found += [_within(search, f" {phrase} ", phrase) for phrase in search.phrases]
    for name, values in search.narrowed.items():
        folded = [fold(value) for value in values]
        if name in FACETS:
            of = aliased(Facet)
            having = select(of.document_id).where(of.facet == name, of.folded.in_(folded))
            found.append(Document.id.in_(having))
        elif name == "studyAccession":
            found.append(Document.study.in_([value.upper() for value in folded]))
        elif search.kind == "subject":
            found.append(Document.accession.in_([value.upper() for value in folded]))
        else:
            subject = Document.__table__.alias("s")
            theirs = select(subject.c.study).where(
                subject.c.kind == "subject", subject.c.accession.in_([value.upper() for value in folded])
            )
            found.append(Document.study.in_(theirs))
    return and_(*found)


def _within(search: Search, whole: str, plain: str) -> ColumnElement[bool]:
    """Whether a text stands anywhere, or in one of the fields that were asked for."""
    if not search.fields:
        return Document.words.contains(whole, autoescape=True)
    texts = (func.lower(Document.source[name].as_string()) for name in search.fields)
    return or_(*(text.contains(plain, autoescape=True) for text in texts))


def _score(search: Search) -> ColumnElement[float]:
    """How often what was looked for occurs; 1 when nothing was."""
    found: ColumnElement[Any] | None = None
    for each in (*search.words, *(f" {phrase} " for phrase in search.phrases)):
        length = func.length(Document.words) - func.length(func.replace(Document.words, each, ""))
        times = cast(length, Float) / len(each)
        found = times if found is None else found + times
    return literal(1.0) if found is None else case((found > 0, found), else_=1.0)


def documents(search: Search, visible: ColumnElement[bool]) -> Select[Any]:
    """The statement of a page: accession, source, score."""
    score = _score(search)
    asked = select(Document.accession, Document.source, score.label("score")).where(_wanted(search, visible))
    if search.sort is not None:
        member = Document.source[search.sort]
        key = member.as_float() if search.sort in _NUMBERS else func.lower(member.as_string())
        if search.sort in ("study_accession", "subject_accession"):
            key = Document.number
        asked = asked.order_by(key.is_(None), key.desc() if search.descending else key.asc())
    else:
        asked = asked.order_by(score.desc())
    return asked.order_by(Document.number, Document.accession, Document.study).offset(search.start).limit(search.size)


def answer(session: Session, search: Search, visible: ColumnElement[bool]) -> dict[str, Any]:
    """A page of hits in Elasticsearch's shape, with the counts of facets on the first page."""
    wanted = _wanted(search, visible)
    total = session.scalar(select(func.count(Document.id)).where(wanted)) or 0
    hits = [_hit(search, row) for row in session.execute(documents(search, visible))] if search.size else []
    scores = [hit["_score"] for hit in hits]
    found: dict[str, Any] = {
        "timed_out": False,
        "hits": {
            "total": {"value": total, "relation": "eq"},
            "max_score": max(scores) if scores else None,
            "hits": hits,
        },
    }
    if search.start == 0:
        found["aggregations"] = _counts(session, wanted)
    return found


def _hit(search: Search, row: Any) -> dict[str, Any]:
    accession, source, score = row
    shown = {name: source.get(name) for name in (search.source or FIELDS[search.kind])}
    hit: dict[str, Any] = {"_index": search.kind, "_id": accession, "_score": round(float(score), 4), "_source": shown}
    highlight = _highlight(search, source)
    return {**hit, "highlight": highlight} if highlight else hit


def _counts(session: Session, wanted: ColumnElement[bool]) -> dict[str, Any]:
    counted = (
        select(Facet.facet, func.min(Facet.value), func.count())
        .join(Document, Document.id == Facet.document_id)
        .where(wanted)
        .group_by(Facet.facet, Facet.folded)
        .order_by(func.count().desc(), func.min(Facet.value))
    )
    found: dict[str, list[dict[str, Any]]] = {"gender" if name == "sex" else name: [] for name in FACETS}
    for name, value, number in session.execute(counted):
        buckets = found["gender" if name == "sex" else name]
        if len(buckets) < _BUCKETS:
            buckets.append({"key": value, "doc_count": number})
    return {name: {"buckets": buckets} for name, buckets in found.items()}


def _highlight(search: Search, source: Mapping[str, Any]) -> dict[str, list[str]]:
    """The fields in which something was found, as HTML: only the tags that were asked for are markup."""
    parts = [re.escape(word) for word in search.words]
    # a sign between the words of a phrase counts for nothing
    between = r"[\W_]+"
    parts += [rf"(?<![^\W_]){between.join(map(re.escape, each.split()))}(?![^\W_])" for each in search.phrases]
    if not parts:
        return {}
    looked_for = re.compile("|".join(parts), re.IGNORECASE)
    found: dict[str, list[str]] = {}
    for name in search.fields or FIELDS[search.kind]:
        value = source.get(name)
        texts = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
        fragments = [fragment for text in texts for fragment in _fragments(text, looked_for, search.tags)]
        if fragments:
            found[name] = fragments
    return found


def _fragments(text: str, looked_for: re.Pattern[str], tags: tuple[str, str]) -> Iterator[str]:
    """At most three pieces of a text around what was found in it."""
    at, made = 0, 0
    for match in looked_for.finditer(text):
        if match.start() < at or made == 3:
            continue
        begin = max(at, match.start() - _FRAGMENT // 2)
        at, made = min(len(text), match.end() + _FRAGMENT // 2), made + 1
        piece, end = "", begin
        for inner in looked_for.finditer(text, begin, at):
            piece += html.escape(text[end : inner.start()]) + tags[0] + html.escape(inner[0]) + tags[1]
            end = inner.end()
        yield piece + html.escape(text[end:at])
