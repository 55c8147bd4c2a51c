"""Fills what result queries read from a package's tables (see ``db.immport_views``), within the import's transaction.

Joins stay within the package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session

from packhorse.errors import UsageError
from packhorse.server.db.immport import RELEASE, Lookup
from packhorse.server.db.immport_views import CONTEXTS, KINDS, Analyte, Kind
from packhorse.server.immport.contexts import all_contexts, context_row, joined_keys
from packhorse.server.immport.folding import fold
from packhorse.server.immport.searchdocs import rebuild_search
from packhorse.server.immport.sources import file_rows, result_rows
from packhorse.wire.immport import paths

__all__ = ["rebuild"]

_BATCH: Final = 500
_TREATED: Final = (("expsample_2_treatment", "expsample_accession"), ("biosample_2_treatment", "biosample_accession"))


def rebuild(session: Session, package_id: int) -> None:
    """Derive everything that queries need from a package's tables anew; the caller commits."""
    for kind in KINDS.values():
        session.execute(delete(kind.table).where(kind.table.c.package_id == package_id))
    session.execute(delete(CONTEXTS).where(CONTEXTS.c.package_id == package_id))
    session.execute(delete(Analyte).where(Analyte.package_id == package_id))
    _analytes(session, package_id)
    for kind in KINDS.values():
        rows = file_rows(package_id) if kind.name == "filePath" else result_rows(kind, package_id)
        if not _contexts(session, package_id, kind, rows):
            continue
        if kind.name == "filePath":
            _take_files(session, package_id, kind, rows)
        else:
            _take_results(session, package_id, kind, rows)
        _count(session, package_id, kind)
    rebuild_search(session, package_id)


def _analytes(session: Session, package_id: int) -> None:
    """What the preferred names are in ``lk_analyte``: an accession stands for itself, else the symbol decides."""
    named: set[str] = set()
    for table, column in (
        ("elisa_result", "analyte_preferred"),
        ("elispot_result", "analyte_preferred"),
        ("mbaa_result", "analyte_preferred"),
        ("pcr_result", "gene_symbol_preferred"),
    ):
        of = RELEASE[table]
        asked = select(of.c[column]).where(of.c.package_id == package_id, of.c[column].is_not(None)).distinct()
        named.update(session.scalars(asked))
    if not named:
        return
    exact: dict[str, str] = {}
    folded: dict[str, str] = {}
    symbols = ("analyte_accession", "immunology_symbol", "immunology_gene_symbol", "gene_symbol")
    records = session.scalars(select(Lookup.record).where(Lookup.vocabulary == "lk_analyte").order_by(Lookup.position))
    for record in records:
        accession = record.get("analyte_accession")
        for symbol in (record.get(name) for name in symbols) if accession else ():
            if symbol:
                exact.setdefault(symbol, accession)
                folded.setdefault(fold(symbol), accession)
    rows = []
    for name in sorted(named):
        accession = exact.get(name) or folded.get(fold(name))
        if accession:
            rows.append({"package_id": package_id, "preferred": name, "accession": accession})
    if rows:
        session.execute(insert(Analyte), rows)


def _contexts(session: Session, package_id: int, kind: Kind, rows: Subquery) -> bool:
    """Add the contexts of these rows; whether there was any."""
    found = False
    last = None
    for batch in _batches(session, all_contexts(package_id, rows)):
        treatments = _treatments(session, package_id, batch)
        made = []
        for row in batch:
            if row["joined"] == last:  # an accession that stands twice in its table
                continue
            last = row["joined"]
            row["treatmentAccession"] = ",".join(
                dict.fromkeys(
                    each
                    for accession in (row["expsampleAccession"], row["biosampleAccession"])
                    for each in treatments.get(accession, ())
                )
            )
            made.append(context_row(package_id, kind, row))
        if made:
            found = True
            session.execute(insert(CONTEXTS), made)
    return found


def _batches(session: Session, asked: Select[Any]) -> Iterator[list[dict[str, Any]]]:
    result = session.execute(asked.execution_options(yield_per=_BATCH))
    for part in result.mappings().partitions(_BATCH):
        yield [dict(row) for row in part]


def _treatments(session: Session, package_id: int, batch: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, column in _TREATED:
        table = RELEASE[name]
        member = "expsampleAccession" if column.startswith("exp") else "biosampleAccession"
        accessions = {row[member] for row in batch if row[member]}
        asked = (
            select(table.c[column], table.c.treatment_accession)
            .where(table.c.package_id == package_id, table.c[column].in_(accessions))
            .where(table.c.treatment_accession.is_not(None))
            .order_by(table.c.line)
        )
        for accession, treatment in session.execute(asked):
            found.setdefault(accession, []).append(treatment)
    return found


def _of_context(package_id: int, kind: Kind, rows: Subquery) -> ColumnElement[bool]:
    return and_(
        CONTEXTS.c.package_id == package_id, CONTEXTS.c.kind == kind.name, CONTEXTS.c.joined == joined_keys(rows)
    )


def _take_results(session: Session, package_id: int, kind: Kind, rows: Subquery) -> None:
    """One statement a kind. A row whose number is none stands first, without one."""
    digits = rows.c.result_id.regexp_match("^[0-9]{1,18}$")
    columns = {
        "result_id": case((digits, cast(rows.c.result_id, BigInteger)), else_=0),
        "package_id": literal(package_id, BigInteger),
        "line": rows.c.line,
        "context_id": CONTEXTS.c.id,
        **{column.name: rows.c[column.name] for column in kind.own.values()},
    }
    asked = select(*(column.label(name) for name, column in columns.items())).join(
        CONTEXTS, _of_context(package_id, kind, rows)
    )
    session.execute(insert(kind.table).from_select(list(columns), asked))


def _take_files(session: Session, package_id: int, kind: Kind, rows: Subquery) -> None:
    """In Python, which alone knows what is a safe path; a name that is none has no path."""
    parts = ("file_info_id", "source_accession", "biosample_accession", "arm_accession")
    asked = (
        select(rows, CONTEXTS.c.id.label("context_id"), CONTEXTS.c.study.label("study"))
        .join(CONTEXTS, _of_context(package_id, kind, rows))
        .order_by(*(rows.c[part] for part in parts))
    )
    line = 0
    for batch in _batches(session, asked):
        made = []
        for row in batch:
            line += 1
            digits = (row["result_id"] or "").strip()
            own = {column.name: row.get(column.name) for column in kind.own.values()}
            own["file_path_id"] = "-".join(row[part] for part in parts if row[part])
            own["file_path"] = _file_path(row)
            result_id = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
            row_id = {"result_id": result_id, "package_id": package_id, "line": line, "context_id": row["context_id"]}
            made.append({**row_id, **own})
        session.execute(insert(kind.table), made)


def _file_path(row: Mapping[str, Any]) -> str | None:
    try:
        return paths.with_slash(paths.result_path(row["study"], row["file_detail"], row["file_name"] or ""))
    except UsageError:
        return None


def _count(session: Session, package_id: int, kind: Kind) -> None:
    """How many rows a context has, and between which numbers: what decides the way of a query."""
    rows = kind.table
    of = rows.c.context_id == CONTEXTS.c.id
    counted = {
        "row_count": select(func.count()).where(of).scalar_subquery(),
        "first_row": select(func.min(rows.c.result_id)).where(of).scalar_subquery(),
        "last_row": select(func.max(rows.c.result_id)).where(of).scalar_subquery(),
    }
    mine = and_(CONTEXTS.c.package_id == package_id, CONTEXTS.c.kind == kind.name)
    session.execute(update(CONTEXTS).where(mine).values(**counted))
