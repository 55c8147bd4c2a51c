"""A package's contexts: what its result rows say beside their measurements, with the members' texts.

A context says what its result row says; what the row leaves open is taken from the sample, the experiment and the
subject, where they leave no choice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, Subquery, Table, and_, func, literal, select

from packhorse.server.db.immport import RELEASE
from packhorse.server.db.immport_views import CONTEXT, CONTEXTS, Kind, folded_column, snake
from packhorse.server.immport.folding import fold, number
from packhorse.server.immport.sources import KEYS, value

__all__ = ["all_contexts", "context_row", "joined_keys"]


def joined_keys(rows: FromClause) -> ColumnElement[str]:
    """All keys as one text."""
    found: ColumnElement[str] = literal("")
    for name in KEYS:
        found = found.concat(func.coalesce(rows.c[name], "")).concat("\x1f")
    return found


def context_row(package_id: int, kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
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


def all_contexts(package_id: int, rows: Subquery) -> Select[Any]:
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
    all_keys = joined_keys(k).label("joined")
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
