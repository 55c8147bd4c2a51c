"""From a good package to records with accessions, in one transaction; and what validation asks the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from sqlalchemy import CursorResult, func, insert, select, update
from sqlalchemy.orm import Session

from packhorse.server.db.immport import RELEASE, Lookup, Study
from packhorse.server.db.immport_uploads import AccessionSeries, UploadRecord, Workspace
from packhorse.server.db.models import User
from packhorse.server.immport.access import caller_of_user, visible_studies
from packhorse.server.immport.validation import Made
from packhorse.wire.immport.reports import Section
from packhorse.wire.immport.templates import PREFIXES

__all__ = ["Stand", "accession_column", "known_terms", "sections", "store"]

_FIRST: Final = 1_000_000_000
"""New accessions begin beyond all that releases have, so that a later import never meets one of them."""
_AT_ONCE: Final = 500
_SHOWN: Final = ("name", "name_reported", "brief_title", "type", "file_name", "description")
_COLUMN: Final = {
    "arm_or_cohort": "arm_accession",
    "inclusion_exclusion": "criterion_accession",
    "study_personnel": "person_accession",
    "immune_exposure": "exposure_accession",
}
_OTHER_NAMES: Final = {"lk_gender": "lk_sex", "lk_sex": "lk_gender"}


def accession_column(table: str) -> str:
    """The column of a table's own accession."""
    return _COLUMN.get(table, f"{table}_accession")


def known_terms(session: Session, vocabulary: str) -> list[str] | None:
    """A vocabulary's terms in order; ``None`` where this server has none."""
    for name in (vocabulary, _OTHER_NAMES.get(vocabulary)):
        if name is not None:
            found = session.scalars(
                select(Lookup.name).where(Lookup.vocabulary == name).order_by(Lookup.position)
            ).all()
            if found:
                return [term for term in found if term]
    return None


class Stand:
    """What a workspace's owner may refer to: see :class:`~packhorse.server.immport.validation.Known`."""

    def __init__(self, session: Session, workspace: Workspace) -> None:
        self._session = session
        self._workspace = workspace
        self._owner = session.get_one(User, workspace.user_id)
        self._packages: list[int] | None = None

    def identifiers(self, table: str, ids: Iterable[str]) -> Mapping[str, str]:
        """See :class:`~packhorse.server.immport.validation.Known`."""
        found: dict[str, str] = {}
        for some in _parts(ids):
            rows = self._session.execute(
                select(UploadRecord.identifier, UploadRecord.accession).where(
                    UploadRecord.workspace_id == self._workspace.id,
                    UploadRecord.table_name == table,
                    UploadRecord.identifier.in_(some),
                )
            )
            found.update((name, accession or "") for name, accession in rows if name is not None)
        return found

    def accessions(self, table: str, values: Iterable[str]) -> frozenset[str]:
        """See :class:`~packhorse.server.immport.validation.Known`. Those of releases whose study the owner may see,
        and those of the owner's workspaces."""
        found: set[str] = set()
        own = select(Workspace.id).where(Workspace.user_id == self._owner.id)
        release = RELEASE.get(table)
        for some in _parts(values):
            query = select(UploadRecord.accession).where(
                UploadRecord.table_name == table, UploadRecord.accession.in_(some), UploadRecord.workspace_id.in_(own)
            )
            found.update(accession for accession in self._session.scalars(query) if accession is not None)
            if release is not None and accession_column(table) in release.c:
                column = release.c[accession_column(table)]
                for packages in _parts(self._visible()):
                    there = select(column).where(release.c.package_id.in_(packages), column.in_(some)).distinct()
                    found.update(self._session.scalars(there))
        return frozenset(found)

    def own(self, table: str, values: Iterable[str]) -> frozenset[str]:
        """Those of the accessions that are records of the workspace."""
        found: set[str] = set()
        for some in _parts(values):
            query = select(UploadRecord.accession).where(
                UploadRecord.workspace_id == self._workspace.id,
                UploadRecord.table_name == table,
                UploadRecord.accession.in_(some),
            )
            found.update(accession for accession in self._session.scalars(query) if accession is not None)
        return frozenset(found)

    def terms(self, vocabulary: str) -> Sequence[str] | None:
        """See :class:`~packhorse.server.immport.validation.Known`."""
        return known_terms(self._session, vocabulary)

    def _visible(self) -> list[int]:
        if self._packages is None:
            caller = caller_of_user(self._owner, frozenset(), None)
            query = select(Study.package_id).where(visible_studies(self._session, caller)).distinct()
            self._packages = list(self._session.scalars(query))
        return self._packages


def _parts(values: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(values)
    while part := list(islice(rest, _AT_ONCE)):
        yield part


def store(session: Session, workspace_id: int, registration_id: int, records: Sequence[Made]) -> list[dict[str, Any]]:
    """Give accessions to the records and store them; what was stored, in order. The caller commits."""
    wanted = Counter(PREFIXES[made.table] for made in records if made.table in PREFIXES)
    series = {prefix: _take(session, prefix, count) for prefix, count in sorted(wanted.items())}
    given: list[str | None] = []
    by_id: dict[tuple[str, str], str] = {}
    for made in records:
        prefix = PREFIXES.get(made.table)
        accession = f"{prefix}{next(series[prefix])}" if prefix is not None else None
        given.append(accession)
        if made.identifier is not None and accession is not None:
            by_id[made.table, made.identifier] = accession
    rows = []
    for position, (made, accession) in enumerate(zip(records, given, strict=True)):
        values = dict(made.values)
        for link in made.links:
            linked = by_id[link.table, link.identifier]
            before = values.get(link.column)
            values[link.column] = f"{before}; {linked}" if before else linked
        if accession is not None:
            values = {accession_column(made.table): accession, **values}
        rows.append(
            {
                "workspace_id": workspace_id,
                "registration_id": registration_id,
                "position": position,
                "table_name": made.table,
                "accession": accession,
                "identifier": made.identifier,
                "file_name": made.file_name,
                "line": made.line,
                "record": values,
            }
        )
    for some in _parts(rows):
        session.execute(insert(UploadRecord), some)
    return rows


def _take(session: Session, prefix: str, count: int) -> Iterator[int]:
    """The next numbers of a series; the series is held until the transaction ends."""
    moved: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        update(AccessionSeries).where(AccessionSeries.prefix == prefix).values(last=AccessionSeries.last + count)
    )
    if moved.rowcount != 1:
        session.add(AccessionSeries(prefix=prefix, last=_FIRST + count - 1))
        session.flush()
    last = session.scalar(select(func.max(AccessionSeries.last)).where(AccessionSeries.prefix == prefix)) or 0
    return iter(range(last - count + 1, last + 1))


def sections(rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    """The parts of an upload's report: the new accessions of each template and table, in order."""
    parts: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["accession"] is not None:
            parts.setdefault((row["file_name"], row["table_name"]), []).append(row)
    found = []
    for (file_name, table), held in parts.items():
        shown = [name for name in _SHOWN if any(name in row["record"] for row in held)][:4]
        columns = ("USER_DEFINED_ID", accession_column(table).upper(), *(name.upper() for name in shown))
        cells = (
            (row["identifier"] or "", row["accession"], *(row["record"].get(name, "") for name in shown))
            for row in held
        )
        found.append(Section(file_name, columns, tuple(cells)))
    return found
