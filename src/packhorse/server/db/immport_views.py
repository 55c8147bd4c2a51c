"""What result queries read: derived from a package's tables, so that filters are answered by index.

A *context* is everything that a result row says beside its measurement: study, arm, subject, sample, experiment. Many
rows share one. The result tables hold only what is left, under the result's number, in whose order they are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String, Table, Text
from sqlalchemy.orm import Mapped, mapped_column

from packhorse.server.db.models import Base
from packhorse.wire.immport.filters import FILTERS
from packhorse.wire.immport.models import Model
from packhorse.wire.immport.queries import QUERIES

__all__ = ["CONTEXT", "CONTEXTS", "KINDS", "Analyte", "Document", "Facet", "Kind", "folded_column", "snake"]

_CONTEXT: Final = """
studyAccession studyTitle clinical armAccession armName subjectAccession ageEvent ageEventSpecify ageUnit
maxSubjectAge minSubjectAge subjectPhenotype ancestralPopulation ethnicity gender race raceSpecify species strain
biosampleAccession biosampleType biosampleSubtype plannedVisitAccession studyTimeCollected studyTimeCollectedUnit
studyTimeT0Event studyTimeT0EventSpecify experimentAccession measurementTechnique expsampleAccession
treatmentAccession sourceAccession sourceType
"""
CONTEXT: Final = tuple(_CONTEXT.split())
"""The members that stand in a context, in the order in which its ``members`` hold them."""


def snake(member: str) -> str:
    """A member's name as a column's.

    >>> snake("valuePreferred"), snake("allele1"), snake("filesizeBytes")
    ('value_preferred', 'allele_1', 'filesize_bytes')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", member).lower()


def folded_column(member: str) -> str:
    """The context's column that a filter on a member compares: text folded, numbers as numbers."""
    return f"by_{snake(member)}"


def _contexts() -> Table:
    matched = {each.member: each.match for each in FILTERS.values()}
    numbers = {each.member for each in FILTERS.values() if each.match not in ("exact", "substring")}
    columns = {
        member: Column(folded_column(member), Float(53) if member in numbers else Text)
        for member in CONTEXT
        if member in matched
    }
    return Table(
        "immport_contexts",
        Base.metadata,
        Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
        Column("package_id", BigInteger, ForeignKey("immport_packages.id", ondelete="CASCADE"), nullable=False),
        Column("kind", String(30), nullable=False),
        Column("joined", Text, nullable=False),
        Column("study", String(20), nullable=False),
        Column("members", Text, nullable=False),
        Column("row_count", BigInteger, nullable=False, default=0),
        Column("first_row", BigInteger, nullable=False, default=0),
        Column("last_row", BigInteger, nullable=False, default=0),
        *columns.values(),
        Index("ix_immport_contexts_joined", "package_id", "kind", "joined"),
        Index("ix_immport_contexts_study", "kind", "study"),
        *(
            Index(f"ix_immport_contexts_{column.name}", "kind", column.name)
            for member, column in columns.items()
            if matched[member] != "substring" and member != "studyAccession"
        ),
    )


CONTEXTS: Final = _contexts()
"""A context a row: ``members`` is a JSON array of the members' texts as they came (``None`` for none). ``joined`` finds
it from a result row while a package is taken in; ``row_count``, ``first_row`` and ``last_row`` speak of its rows."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One result query: the rows that it has of its own (``own`` by member), beside the context."""

    name: str
    model: Model
    table: Table

    @property
    def own(self) -> Mapping[str, Column[Any]]:
        """The columns that are no part of the context, by member."""
        return {
            member: self.table.c[snake(member)]
            for member in self.model.names
            if member != "resultId" and member not in CONTEXT
        }


def _kinds() -> dict[str, Kind]:
    found = {}
    for query in QUERIES.values():
        if query.group != "result" or query.model is None:
            continue
        name = query.name.removeprefix("result/")
        own = [each for each in query.model.names if each != "resultId" and each not in CONTEXT]
        table = Table(
            f"iv_{snake(name)}",
            Base.metadata,
            Column("result_id", BigInteger, primary_key=True, autoincrement=False),
            Column(
                "package_id",
                BigInteger,
                ForeignKey("immport_packages.id", ondelete="CASCADE"),
                primary_key=True,
                autoincrement=False,
            ),
            Column("line", BigInteger, primary_key=True, autoincrement=False),
            Column("context_id", BigInteger, nullable=False),
            *(Column(snake(each), Text) for each in own),
            Index(None, "context_id"),
            sqlite_with_rowid=False,
        )
        found[name] = Kind(name, query.model, table)
    return found


KINDS: Final[Mapping[str, Kind]] = _kinds()
"""Every result query by its name."""


class Analyte(Base):
    """What a package's preferred analyte or gene symbol is in ``lk_analyte``."""

    __tablename__ = "immport_analytes"
    package_id: Mapped[int] = mapped_column(
        ForeignKey("immport_packages.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    preferred: Mapped[str] = mapped_column(Text, primary_key=True)
    accession: Mapped[str] = mapped_column(Text)


class Document(Base):
    """What search knows of a study or of a subject in a study. ``source`` is what it answers; ``words`` the texts
    folded, every sign that is no letter or digit a blank, with a blank at both ends."""

    __tablename__ = "immport_documents"
    __table_args__ = (Index(None, "kind", "number"), Index(None, "package_id"), Index(None, "kind", "study"))
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    package_id: Mapped[int] = mapped_column(ForeignKey("immport_packages.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(10))
    accession: Mapped[str] = mapped_column(String(50))
    number: Mapped[int]
    study: Mapped[str] = mapped_column(String(20))
    source: Mapped[dict[str, Any]]
    words: Mapped[str] = mapped_column(Text)


class Facet(Base):
    """A value that a search can be narrowed to; ``folded`` is compared, ``value`` shown."""

    __tablename__ = "immport_facets"
    __table_args__ = (Index(None, "facet", "folded", "document_id"),)
    document_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("immport_documents.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    facet: Mapped[str] = mapped_column(String(30), primary_key=True)
    folded: Mapped[str] = mapped_column(String(500), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
