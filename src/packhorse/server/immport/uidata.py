"""What the data browser's pages show of a study: rows of its tables and counts of them (spec immport §2.7).

The columns of these answers are not published; ours are those of the matching tables, in camelCase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Table, and_, func, select
from sqlalchemy.orm import Session

from packhorse.server.db.immport import RELEASE, Study
from packhorse.server.immport.studydata import study_select
from packhorse.server.immport.vocabularies import camel
from packhorse.wire.immport.layout import Number
from packhorse.wire.immport.models import MODELS

__all__ = ["OF_STUDY", "PIVOTS", "design", "experiment_samples", "interventions", "planned_visits", "records", "typed"]

_KINDS: Final = {
    member.name: member.kind for model in MODELS.values() for member in model.members if not model.name.startswith("Lk")
}


def typed(name: str, value: Any) -> Any:
    """A cell as JSON: numbers where the record models have them."""
    if isinstance(value, str) and _KINDS.get(name) in ("integer", "number"):
        return Number(value)
    return value


def records(session: Session, asked: Select[Any]) -> list[dict[str, Any]]:
    """The rows of a statement as objects, with the columns' names in camelCase."""
    rows = session.execute(asked).mappings()
    return [{camel(name): typed(camel(name), value) for name, value in row.items()} for row in rows]


def columns(table: Table) -> list[ColumnElement[Any]]:
    """The columns that the release has."""
    return [column for column in table.c if column.name not in ("package_id", "line", "extra", "workspace_id")]


def _mine(table: Table, study: Study) -> ColumnElement[bool]:
    return and_(table.c.package_id == study.package_id, table.c.study_accession == study.accession)


def _same(one: Table, other: Table, column: str) -> ColumnElement[bool]:
    return and_(one.c.package_id == other.c.package_id, one.c[column] == other.c[column])


def _rows(name: str) -> Callable[[Session, Study], list[dict[str, Any]]]:
    table = RELEASE[name]
    return lambda session, study: records(
        session, select(*columns(table)).where(_mine(table, study)).order_by(table.c.line)
    )


def _counted(name: str, *by: str) -> Callable[[Session, Study], list[dict[str, Any]]]:
    table = RELEASE[name]
    grouped = [table.c[column] for column in by]

    def made(session: Session, study: Study) -> list[dict[str, Any]]:
        asked = select(*grouped, func.count().label("count")).where(_mine(table, study))
        return records(session, asked.group_by(*grouped).order_by(func.count().desc(), *grouped))

    return made


def _panels(panel_name: str, part_name: str) -> Callable[[Session, Study], list[dict[str, Any]]]:
    panel, part = RELEASE[panel_name], RELEASE[part_name]
    key = f"{panel_name}_accession"

    def made(session: Session, study: Study) -> list[dict[str, Any]]:
        counted = select(func.count()).where(_same(part, panel, key)).correlate(panel).scalar_subquery()
        asked = select(*columns(panel), counted.label("component_count")).where(_mine(panel, study))
        return records(session, asked.order_by(panel.c.line))

    return made


def _parts(panel_name: str, part_name: str) -> Callable[[Session, Study], list[dict[str, Any]]]:
    panel, part = RELEASE[panel_name], RELEASE[part_name]

    def made(session: Session, study: Study) -> list[dict[str, Any]]:
        asked = select(*columns(part)).join(panel, _same(panel, part, f"{panel_name}_accession"))
        return records(session, asked.where(_mine(panel, study)).order_by(part.c.line))

    return made


def _assays(session: Session, study: Study) -> list[dict[str, Any]]:
    """Every experiment with the numbers of its samples and of their subjects."""
    experiment, sample, pool, biosample = (
        RELEASE[name] for name in ("experiment", "expsample", "expsample_2_biosample", "biosample")
    )
    asked = (
        select(
            *columns(experiment),
            func.count(sample.c.expsample_accession.distinct()).label("expsample_count"),
            func.count(biosample.c.biosample_accession.distinct()).label("biosample_count"),
            func.count(biosample.c.subject_accession.distinct()).label("subject_count"),
        )
        .outerjoin(sample, _same(sample, experiment, "experiment_accession"))
        .outerjoin(pool, _same(pool, sample, "expsample_accession"))
        .outerjoin(biosample, _same(biosample, pool, "biosample_accession"))
        .where(_mine(experiment, study))
        .group_by(experiment.c.line, *columns(experiment))
    )
    return records(session, asked.order_by(experiment.c.line))


def _demographics(session: Session, study: Study) -> list[dict[str, Any]]:
    """How many subjects of each kind every arm has."""
    names = MODELS["StudySubjectDemographicsApi"].names
    shown = ("armAccession", "armName", "gender", "race", "ethnicity", "species", "strain")
    counts: dict[tuple[Any, ...], int] = {}
    for row in session.execute(study_select("demographic", study)):
        found = dict(zip(names, row, strict=True))
        key = tuple(found[name] for name in shown)
        counts[key] = counts.get(key, 0) + 1
    return [{**dict(zip(shown, key, strict=True)), "subjectCount": number} for key, number in counts.items()]


OF_STUDY: Final[Mapping[str, Callable[[Session, Study], list[dict[str, Any]]]]] = {
    "adverseevent/summary": _counted(
        "adverse_event", "organ_or_body_system_preferred", "name_preferred", "name_reported", "severity_preferred"
    ),
    "adverseevent/detail": _rows("adverse_event"),
    "assessmentpanel/summary": _panels("assessment_panel", "assessment_component"),
    "intervention/summary": _counted("intervention", "compound_role"),
    "labtestpanel/summary": _panels("lab_test_panel", "lab_test"),
    "study/studyfile": _rows("study_file"),
    "study/mechanisticAssay": _assays,
    "study/labtestcomponent": _parts("lab_test_panel", "lab_test"),
    "study/assessmentcomponent": _parts("assessment_panel", "assessment_component"),
    "subject/demographics": _demographics,
}
"""The lists of a study by the ends of their paths."""

PIVOTS: Final[Sequence[str]] = ("biosample", "assessment_component", "lab_test")
"""What planned visits can be counted by."""


def interventions(session: Session, study: Study, role: str, *, detail: bool) -> list[dict[str, Any]]:
    """A study's interventions of one compound role: the rows, or how often each name occurs."""
    table = RELEASE["intervention"]
    mine = and_(_mine(table, study), func.lower(table.c.compound_role) == role.lower())
    if detail:
        return records(session, select(*columns(table)).where(mine).order_by(table.c.line))
    grouped = (table.c.compound_role, table.c.name_preferred, table.c.name_reported)
    asked = select(*grouped, func.count().label("count")).where(mine)
    return records(session, asked.group_by(*grouped).order_by(func.count().desc(), *grouped))


def experiment_samples(session: Session, studies: Sequence[Study], accession: str) -> list[dict[str, Any]] | None:
    """The samples of an experiment; ``None`` when none of the studies has it."""
    experiment, sample = RELEASE["experiment"], RELEASE["expsample"]
    packages = {study.accession: study.package_id for study in studies}
    asked = select(experiment.c.package_id, experiment.c.study_accession).where(
        experiment.c.package_id.in_(set(packages.values())), experiment.c.experiment_accession == accession
    )
    for package, study in session.execute(asked):
        if packages.get(study) == package:
            of = select(*columns(sample)).where(
                sample.c.package_id == package, sample.c.experiment_accession == accession
            )
            return records(session, of.order_by(sample.c.line))
    return None


def planned_visits(session: Session, study: Study, pivot: str) -> list[dict[str, Any]]:
    """A study's planned visits, and how many rows of the pivot table each has."""
    visit, biosample = RELEASE["planned_visit"], RELEASE["biosample"]
    table = RELEASE[pivot]
    asked = select(func.count())
    if pivot == "lab_test":
        asked = asked.select_from(table).join(biosample, _same(biosample, table, "biosample_accession"))
        asked = asked.where(_same(biosample, visit, "planned_visit_accession"))
    else:
        asked = asked.where(_same(table, visit, "planned_visit_accession"))
    counted = asked.correlate(visit).scalar_subquery()
    rows = select(*columns(visit), counted.label(f"{pivot}_count")).where(_mine(visit, study))
    return records(session, rows.order_by(visit.c.line))


def design(session: Session, study: Study) -> dict[str, Any]:
    """The arms, visits, experiments and pictures of a study."""
    found: dict[str, Any] = {"studyAccession": study.accession}
    for member, table in (
        ("arms", "arm_or_cohort"),
        ("plannedVisits", "planned_visit"),
        ("periods", "period"),
        ("inclusionExclusions", "inclusion_exclusion"),
        ("images", "study_image"),
    ):
        found[member] = _rows(table)(session, study)
    found["experiments"] = _assays(session, study)
    return found
