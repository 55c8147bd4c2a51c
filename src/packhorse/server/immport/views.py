"""Fills what result queries read from a package's tables (see ``db.immport_views``), within the import's transaction.

Joins stay within the package. A context says what its result row says; what the row leaves open is taken from the
sample, the experiment and the subject, where they leave no choice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    Table,
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
from packhorse.server.db.immport_views import CONTEXT, CONTEXTS, KINDS, Analyte, Kind, folded_column, snake
from packhorse.server.immport.folding import fold, number
from packhorse.server.immport.searchdocs import rebuild_search
from packhorse.server.immport.sources import KEYS, file_rows, result_rows, value
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


def _joined(rows: FromClause) -> ColumnElement[str]:
    """All keys as one text."""
    found: ColumnElement[str] = literal("")
    for name in KEYS:
        found = found.concat(func.coalesce(rows.c[name], "")).concat("\x1f")
    return found


def _contexts(session: Session, package_id: int, kind: Kind, rows: Subquery) -> bool:
    """Add the contexts of these rows; whether there was any."""
    found = False
    last = None
    for batch in _batches(session, _wide(package_id, rows)):
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
            made.append(_context(package_id, kind, row))
        if made:
            found = True
            session.execute(insert(CONTEXTS), made)
    return found


def _batches(session: Session, asked: Select[Any]) -> Iterator[list[dict[str, Any]]]:
    result = session.execute(asked.execution_options(yield_per=_BATCH))
    for part in result.mappings().partitions(_BATCH):
        yield [dict(row) for row in part]


def _context(package_id: int, kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
    texts = [row[member] or None for member in CONTEXT]
    made: dict[str, Any] = {
        "package_id": package_id,
        "kind": kind.name,
        "joined": row["joined"],
        "study": (row["studyAccession"] or "").upper()[:20],
        "members": json.dumps(texts, ensure_ascii=False, separators=(",", ":")),
    }
    for member, text in zip(CONTEXT, texts, strict=True):
        column = CONTEXTS.c.get(folded_column(member))
        if column is not None:
            is_number = column.type.python_type is float
            made[column.name] = number(text) if is_number else fold(text) if text else None
    return made


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


def _wide(package_id: int, rows: Subquery) -> Select[Any]:
    """Every context of some rows with its members' texts, ordered so that doubled ones follow one another."""
    k = select(*(rows.c[name] for name in KEYS)).distinct().subquery("k")
    study, arm, member, subject, biosample, sample, experiment = (
        RELEASE[name]
        for name in ("study", "arm_or_cohort", "arm_2_subject", "subject", "biosample", "expsample", "experiment")
    )
    biosample_accession = func.coalesce(k.c.biosample_accession, _only_biosample(package_id, k))
    experiment_accession = func.coalesce(k.c.experiment_accession, sample.c.experiment_accession)
    subject_accession = func.coalesce(k.c.subject_accession, biosample.c.subject_accession)
    study_accession = func.coalesce(k.c.study_accession, experiment.c.study_accession, biosample.c.study_accession)
    arm_accession = func.coalesce(k.c.arm_accession, _only_arm(package_id, subject_accession, study_accession))
    joined = k
    for table, matches in (
        (sample, sample.c.expsample_accession == k.c.expsample_accession),
        (experiment, experiment.c.experiment_accession == experiment_accession),
        (biosample, biosample.c.biosample_accession == biosample_accession),
        (subject, subject.c.subject_accession == subject_accession),
        (arm, arm.c.arm_accession == arm_accession),
        # by the subject's index: an arm may have thousands of subjects
        (
            member,
            and_(
                member.c.subject_accession == subject_accession,
                func.coalesce(member.c.arm_accession, "") == arm_accession,
            ),
        ),
        (study, study.c.study_accession == study_accession),
    ):
        joined = joined.outerjoin(table, and_(table.c.package_id == package_id, matches))  # type: ignore[assignment]
    members: dict[str, ColumnElement[Any]] = {
        "studyAccession": study_accession,
        "studyTitle": study.c.brief_title,
        "clinical": study.c.clinical_trial,
        "armAccession": arm_accession,
        "armName": arm.c.name,
        "subjectAccession": subject_accession,
        "ancestralPopulation": func.coalesce(k.c.ancestral_population, subject.c.ancestral_population),
        "gender": value(subject, "gender", "sex"),
        "biosampleAccession": biosample_accession,
        "biosampleType": biosample.c.type,
        "biosampleSubtype": biosample.c.subtype,
        "studyTimeCollected": func.coalesce(k.c.study_time_collected, biosample.c.study_time_collected),
        "studyTimeCollectedUnit": func.coalesce(k.c.study_time_collected_unit, biosample.c.study_time_collected_unit),
        "experimentAccession": experiment_accession,
        "measurementTechnique": experiment.c.measurement_technique,
        "expsampleAccession": k.c.expsample_accession,
        "treatmentAccession": literal(""),
        "sourceAccession": k.c.source_accession,
        "sourceType": k.c.source_type,
    }
    by_table: Mapping[Table, str] = {
        member: "ageEvent ageEventSpecify ageUnit maxSubjectAge minSubjectAge subjectPhenotype",
        subject: "ethnicity race raceSpecify species strain",
        biosample: "plannedVisitAccession studyTimeT0Event studyTimeT0EventSpecify",
    }
    for table, names in by_table.items():
        members.update((name, table.c[_COLUMNS.get(name, snake(name))]) for name in names.split())
    all_keys = _joined(k).label("joined")
    return select(all_keys, *(members[name].label(name) for name in CONTEXT)).select_from(joined).order_by(all_keys)


_COLUMNS: Final = {
    "studyTimeT0Event": "study_time_t0_event",
    "studyTimeT0EventSpecify": "study_time_t0_event_specify",
}


def _only_biosample(package_id: int, k: Subquery) -> ColumnElement[Any]:
    """The sample's biosample when there is just one."""
    pool = RELEASE["expsample_2_biosample"]
    return (
        select(func.min(pool.c.biosample_accession))
        .where(pool.c.package_id == package_id, pool.c.expsample_accession == k.c.expsample_accession)
        .having(func.count(pool.c.biosample_accession.distinct()) == 1)
        .correlate(k)
        .scalar_subquery()
    )


def _only_arm(package_id: int, subject: ColumnElement[Any], study: ColumnElement[Any]) -> ColumnElement[Any]:
    """The subject's arm when it has just one in the study."""
    member, arm = RELEASE["arm_2_subject"].alias("m1"), RELEASE["arm_or_cohort"].alias("a1")
    return (
        select(func.min(member.c.arm_accession))
        .join(arm, and_(arm.c.package_id == package_id, arm.c.arm_accession == member.c.arm_accession))
        .where(member.c.package_id == package_id, member.c.subject_accession == subject)
        .where(func.coalesce(arm.c.study_accession, "") == study)
        .having(func.count(member.c.arm_accession.distinct()) == 1)
        .correlate_except(member, arm)
        .scalar_subquery()
    )


def _of_context(package_id: int, kind: Kind, rows: Subquery) -> ColumnElement[bool]:
    return and_(CONTEXTS.c.package_id == package_id, CONTEXTS.c.kind == kind.name, CONTEXTS.c.joined == _joined(rows))


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
