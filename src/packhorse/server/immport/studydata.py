"""Study data: where the members of each record model are in a package's tables (spec immport §2.5).

A row of a subject comes once for each arm of the study that the subject is in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, Table, and_, func, select

from packhorse.server.db.immport import RELEASE, OtherRow, Study
from packhorse.server.db.immport_views import snake
from packhorse.server.immport.demographics import column_of, demographic_columns, subjects_of_arms, with_subject
from packhorse.server.immport.sources import value
from packhorse.wire.immport.models import MODELS

__all__ = ["STUDY_QUERIES", "study_select"]

Columns = Mapping[str, ColumnElement[Any]]


def _of_study(name: str, model: str, **spelt: tuple[str, ...]) -> Callable[[int, str], Select[Any]]:
    """The rows of one table that name their study."""
    table = RELEASE[name]

    def made(package: int, accession: str) -> Select[Any]:
        columns = [column_of(table, member, *spelt.get(member, ())) for member in MODELS[model].names]
        asked = select(*columns).where(table.c.package_id == package, table.c.study_accession == accession)
        return asked.order_by(table.c.line)

    return made


def _same(package: int, one: Table, other: Table, column: str) -> ColumnElement[bool]:
    return and_(one.c.package_id == package, one.c[column] == other.c[column])


def _chosen(model: str, columns: Columns) -> list[ColumnElement[Any]]:
    return [columns[name].label(f"m{number}") for number, name in enumerate(MODELS[model].names)]


def _demographic(package: int, accession: str) -> Select[Any]:
    study, subject, member = RELEASE["study"], RELEASE["subject"], RELEASE["arm_2_subject"]
    joined = (
        subjects_of_arms(package, accession)
        .join(study, and_(study.c.package_id == package, study.c.study_accession == accession))
        .join(subject, _same(package, subject, member, "subject_accession"))
    )
    return (
        select(*_chosen("StudySubjectDemographicsApi", demographic_columns()))
        .select_from(joined)
        .order_by(member.c.line)
    )


def _by_subject(
    model: str, base: FromClause, on: ColumnElement[Any], own: Mapping[str, tuple[Table, str]], of: ColumnElement[Any]
) -> Callable[[int, str], Select[Any]]:
    """Rows with the demographic members first; ``own`` finds the rest, ``of`` is the column that names the study."""

    def made(package: int, accession: str) -> Select[Any]:
        columns = demographic_columns()
        for member, (table, name) in own.items():
            columns[member] = value(table, name)
        tables = {table for table, _ in own.values()}
        first = next(iter(own.values()))[0]
        asked = select(*_chosen(model, columns)).select_from(with_subject(base, on, package, accession))
        asked = asked.where(of == accession, first.c.package_id == package)
        asked = asked.where(*(func.coalesce(table.c.package_id, package) == package for table in tables - {first}))
        return asked.order_by(first.c.line, RELEASE["arm_2_subject"].c.line)

    return made


def _own(model: str, *tables: tuple[Table, str]) -> dict[str, tuple[Table, str]]:
    """Where the members after the demographic ones are: each in the table that comes with it (``member=column``, or
    the members of the same names)."""
    base = set(MODELS["StudySubjectDemographicsApi"].names)
    found: dict[str, tuple[Table, str]] = {}
    for table, words in tables:
        for word in words.split():
            member, _, column = word.partition("=")
            found[member] = (table, column or snake(member))
    left = [name for name in MODELS[model].names if name not in base and name not in found]
    found.update((name, (tables[0][0], snake(name))) for name in left)
    first = tables[0][0]
    return dict(sorted(found.items(), key=lambda item: item[1][0] is not first))


def _biosample() -> Callable[[int, str], Select[Any]]:
    table, model = RELEASE["biosample"], "StudySubjectBioSampleApi"
    own = _own(model, (table, "biosampleName=name"))
    return _by_subject(model, table, table.c.subject_accession, own, table.c.study_accession)


def _expsample() -> Callable[[int, str], Select[Any]]:
    sample, experiment, pool, biosample = (
        RELEASE[name] for name in ("expsample", "experiment", "expsample_2_biosample", "biosample")
    )
    model = "StudySubjectExpSampleApi"
    base = (
        sample.join(experiment, _pair(experiment, sample, "experiment_accession"))
        .outerjoin(pool, _pair(pool, sample, "expsample_accession"))
        .outerjoin(biosample, _pair(biosample, pool, "biosample_accession"))
    )
    own = _own(
        model,
        (sample, "expsampleName=name"),
        (experiment, "measurementTechnique experimentName=name"),
        (biosample, "biosampleAccession plannedVisitAccession biosampleName=name type subtype"),
    )
    return _by_subject(model, base, biosample.c.subject_accession, own, experiment.c.study_accession)


def _assessment() -> Callable[[int, str], Select[Any]]:
    panel, part, model = RELEASE["assessment_panel"], RELEASE["assessment_component"], "StudySubjectAssessmentsApi"
    base = part.join(panel, _pair(panel, part, "assessment_panel_accession"))
    names = "assessmentComponentNamePreferred=name_preferred assessmentComponentNameReported=name_reported"
    panels = "assessmentType resultSchema status assessmentPanelNamePreferred=name_preferred"
    own = _own(model, (part, names), (panel, f"{panels} assessmentPanelNameReported=name_reported"))
    return _by_subject(model, base, part.c.subject_accession, own, panel.c.study_accession)


def _immune_exposure() -> Callable[[int, str], Select[Any]]:
    table, model = RELEASE["immune_exposure"], "StudySubjectImmuneExposureApi"
    arm = RELEASE["arm_or_cohort"].alias("exposed")
    base = table.join(arm, _pair(arm, table, "arm_accession"))
    made = _by_subject(model, base, table.c.subject_accession, _own(model, (table, "")), arm.c.study_accession)
    member = RELEASE["arm_2_subject"]
    # an exposure names its arm
    return lambda package, accession: made(package, accession).where(
        func.coalesce(member.c.arm_accession, table.c.arm_accession) == table.c.arm_accession
    )


def _intervention() -> Callable[[int, str], Select[Any]]:
    table, model = RELEASE["intervention"], "StudySubjectInterventionApi"
    return _by_subject(model, table, table.c.subject_accession, _own(model, (table, "")), table.c.study_accession)


def _labtest() -> Callable[[int, str], Select[Any]]:
    panel, test, biosample = RELEASE["lab_test_panel"], RELEASE["lab_test"], RELEASE["biosample"]
    model = "StudySubjectLabTestsApi"
    base = test.join(panel, _pair(panel, test, "lab_test_panel_accession")).outerjoin(
        biosample, _pair(biosample, test, "biosample_accession")
    )
    own = _own(
        model,
        (test, "labTestNamePreferred=name_preferred labTestNameReported=name_reported"),
        (panel, "labTestPanelNamePreferred=name_preferred labTestPanelNameReported=name_reported"),
        (biosample, "plannedVisitAccession"),
    )
    return _by_subject(model, base, biosample.c.subject_accession, own, panel.c.study_accession)


def _pair(one: Any, other: Any, column: str) -> ColumnElement[bool]:
    return and_(one.c.package_id == other.c.package_id, one.c[column] == other.c[column])


def _contract(package: int, accession: str) -> Select[Any]:
    link, grant, program = RELEASE["contract_grant_2_study"], RELEASE["contract_grant"], RELEASE["program"]
    grants = {"externalId": "external_id", "contractGrantId": "contract_grant_id"}
    columns: dict[str, ColumnElement[Any]] = {"studyAccession": link.c.study_accession}
    for name in MODELS["StudyContractProgramApi"].names:
        if name in columns:
            continue
        table = grant if name.startswith("contractGrant") or name in grants else program
        short = snake(name).removeprefix("contract_grant_" if table is grant else "program_")
        columns[name] = value(table, grants.get(name) or {"id": "program_id"}.get(short, short))
    joined = link.join(grant, _same(package, grant, link, "contract_grant_id")).outerjoin(
        program, _same(package, program, grant, "program_id")
    )
    asked = select(*_chosen("StudyContractProgramApi", columns)).select_from(joined)
    return asked.where(link.c.package_id == package, link.c.study_accession == accession).order_by(link.c.line)


def _protocol(package: int, accession: str) -> Select[Any]:
    link, table = RELEASE["study_2_protocol"], RELEASE["protocol"]
    names = MODELS["StudyProtocolApi"].names
    columns = [link.c.study_accession if name == "studyAccession" else column_of(table, name) for name in names]
    asked = select(*columns).join(table, _same(package, table, link, "protocol_accession"))
    return asked.where(link.c.package_id == package, link.c.study_accession == accession).order_by(link.c.line)


def _condition(package: int, accession: str) -> Select[Any]:
    """Later releases have a table of conditions; before, the study has a text."""
    study = RELEASE["study"]
    named = OtherRow.record["study_accession"].as_string()
    mine = and_(
        OtherRow.package_id == package, OtherRow.table_name == "study_2_condition_or_disease", named == accession
    )
    listed = select(
        named.label("a"),
        OtherRow.record["condition_reported"].as_string().label("b"),
        OtherRow.record["condition_preferred"].as_string().label("c"),
    ).where(mine)
    only = select(study.c.study_accession, study.c.condition_studied, func.nullif("", "")).where(
        study.c.package_id == package,
        study.c.study_accession == accession,
        study.c.condition_studied.is_not(None),
        ~select(OtherRow.line).where(mine).exists(),
    )
    both = listed.union_all(only).subquery()
    return select(both.c.a, both.c.b, both.c.c)


STUDY_QUERIES: Final[Mapping[str, Callable[[int, str], Select[Any]]]] = {
    "": _of_study("study", "StudyApi"),
    "adverseEvent": _of_study("adverse_event", "StudyAdverseEventApi"),
    "arm": _of_study("arm_or_cohort", "StudyArmApi"),
    "assessment": _assessment(),
    "biosample": _biosample(),
    "condition": _condition,
    "contract": _contract,
    "demographic": _demographic,
    "experiment": _of_study("experiment", "StudyExperimentApi"),
    "expsample": _expsample(),
    "file": _of_study("study_file", "StudyFileApi"),
    "immuneExposure": _immune_exposure(),
    "inclusionExclusion": _of_study("inclusion_exclusion", "StudyInclusionExclusionApi"),
    "intervention": _intervention(),
    "labtest": _labtest(),
    "link": _of_study("study_link", "StudyLinkApi"),
    "personnel": _of_study("study_personnel", "StudyPersonnelApi"),
    "plannedVisit": _of_study("planned_visit", "StudyPlannedVisitApi"),
    "protocol": _protocol,
    "pubmed": _of_study("study_pubmed", "StudyPubmedApi"),
}
"""The statements by the query's name; each gives the model's members in order."""


def study_select(name: str, study: Study) -> Select[Any]:
    """The rows of one study-data query."""
    return STUDY_QUERIES[name](study.package_id, study.accession)
