"""The subject's part of study data: the 26 members that six of its record models begin with (spec immport §2.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Table, and_, case, func, join

from packhorse.server.db.immport import RELEASE
from packhorse.server.db.immport_views import snake
from packhorse.server.immport.sources import value

__all__ = ["column_of", "demographic_columns", "subjects_of_arms", "with_subject"]

_OF_MEMBER: Final = "ageEvent ageEventSpecify ageUnit maxSubjectAge minSubjectAge subjectPhenotype subjectLocation"
_OF_SUBJECT: Final = "ancestral_population ethnicity gender race raceSpecify species strain strain_characteristics"
_SPELT: Final[Mapping[str, tuple[str, ...]]] = {
    "armTypeReported": ("type_reported", "type"),
    "armTypePreferred": ("type_preferred",),
    "typeReported": ("type_reported", "type"),
    "typePreferred": ("type_preferred",),
    "gender": ("gender", "sex"),
    "genderIncluded": ("gender_included", "sex_included"),
    "strain_characteristics": ("strain_characteristics",),
}


def column_of(table: Table, member: str, *names: str) -> ColumnElement[Any]:
    """A table's column for a member, under whichever name releases have it."""
    return value(table, *(names or _SPELT.get(member, (snake(member),))))


def subjects_of_arms(package: int, accession: str) -> FromClause:
    """The subjects of the study's arms."""
    member, arm = RELEASE["arm_2_subject"], RELEASE["arm_or_cohort"]
    return join(
        member,
        arm,
        and_(
            arm.c.package_id == package,
            member.c.package_id == package,
            arm.c.arm_accession == member.c.arm_accession,
            arm.c.study_accession == accession,
        ),
    )


def demographic_columns() -> dict[str, ColumnElement[Any]]:
    study, arm, member, subject = (RELEASE[name] for name in ("study", "arm_or_cohort", "arm_2_subject", "subject"))
    years = func.lower(member.c.age_unit).in_(("years", "year"))
    columns = {
        "studyAccession": study.c.study_accession,
        "briefTitle": study.c.brief_title,
        "armAccession": arm.c.arm_accession,
        "armName": arm.c.name,
        "armDescription": arm.c.description,
        "armTypeReported": column_of(arm, "armTypeReported"),
        "armTypePreferred": column_of(arm, "armTypePreferred"),
        "subjectAccession": subject.c.subject_accession,
        "subjectDescription": subject.c.description,
        "max_subject_age_in_years": func.coalesce(
            value(member, "max_subject_age_in_years"), case((years, member.c.max_subject_age))
        ),
        "min_subject_age_in_years": func.coalesce(
            value(member, "min_subject_age_in_years"), case((years, member.c.min_subject_age))
        ),
    }
    columns.update((name, column_of(member, name)) for name in _OF_MEMBER.split())
    columns.update((name, column_of(subject, name)) for name in _OF_SUBJECT.split())
    return columns


def with_subject(base: FromClause, on: ColumnElement[Any], package: int, accession: str) -> FromClause:
    """``base`` with the study, the subject and the subject's arms beside it."""
    study, subject, member = RELEASE["study"], RELEASE["subject"], RELEASE["arm_2_subject"]
    return (
        base.join(study, and_(study.c.package_id == package, study.c.study_accession == accession))
        .outerjoin(subject, and_(subject.c.package_id == package, subject.c.subject_accession == on))
        .outerjoin(subjects_of_arms(package, accession), member.c.subject_accession == on)
    )
