"""A study in one object: ``study/summary`` of both generations (spec immport §2.5, §2.7)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from packhorse.server.db.immport import RELEASE, Study
from packhorse.server.immport.demographics import column_of
from packhorse.server.immport.studydata import study_select
from packhorse.wire.immport.layout import Number
from packhorse.wire.immport.models import MODELS

__all__ = ["study_record", "study_summary"]


def _records(session: Session, name: str, model: str, study: Study) -> list[dict[str, Any]]:
    names = MODELS[model].names
    return [dict(zip(names, row, strict=True)) for row in session.execute(study_select(name, study))]


def study_record(session: Session, study: Study) -> dict[str, Any]:
    """The study's own row, by the members of ``StudyApi``; empty where the package has none."""
    found = _records(session, "", "StudyApi", study)
    return found[0] if found else dict.fromkeys(MODELS["StudyApi"].names)


def _number(value: str | None) -> Number | None:
    return Number(value) if value and value.lstrip("-").isdigit() and value.isascii() else None


def study_summary(session: Session, study: Study) -> dict[str, Any]:
    """The members of ``StudySummary``, and the glossary that the first generation had."""
    own = study_record(session, study)
    package, accession = study.package_id, study.accession
    people = _records(session, "personnel", "StudyPersonnelApi", study)
    contracts = _records(session, "contract", "StudyContractProgramApi", study)
    conditions = [each["conditionPreferred"] or each["conditionReported"] for each in _records(
        session, "condition", "StudyConditionOrDiseaseApi", study
    )]  # fmt: skip
    focus = RELEASE["study_categorization"]
    focuses = session.scalars(
        select(focus.c.research_focus)
        .where(focus.c.package_id == package, focus.c.study_accession == accession)
        .order_by(focus.c.line)
    )
    links = [
        {"studyLinkId": _number(each["studyLinkId"]), **{name: each[name] for name in ("name", "type", "value")}}
        for each in _records(session, "link", "StudyLinkApi", study)
    ]
    papers = []
    for each in _records(session, "pubmed", "StudyPubmedApi", study):
        identity = {"studyAccession": each.pop("studyAccession"), "pubmedId": each.pop("pubmedId")}
        papers.append({"id": identity, **each})
    found: dict[str, Any] = {
        "studyAccession": accession,
        "doi": own["doi"],
        "title": own["officialTitle"] or own["briefTitle"],
        "pi": _joined(_name(each) for each in people if "principal" in (each["roleInStudy"] or "").lower()),
        "conditionStudied": _joined(conditions),
        "researchFocus": _joined(focuses),
        "briefDescription": own["briefDescription"],
        "startDate": own["actualStartDate"],
        "detailedDescription": own["description"],
        "objectives": own["objectives"],
        "endpoints": own["endpoints"],
        "genderIncluded": own["genderIncluded"],
        "sexIncluded": own["genderIncluded"],
        "subjectsNumber": _subjects(session, study),
        "downloadPackages": f"/{accession}",
        "contractGrant": _joined(each["contractGrantName"] for each in contracts),
        "program": _joined(each["programName"] for each in contracts),
        "dataCompleteness": own["dclId"],
        "hypothesis": own["hypothesis"],
        "sharedStudy": own["sharedStudy"],
        "interventionAgent": own["interventionAgent"],
        "initialDataReleaseDate": own["initialDataReleaseDate"],
        "initialDataReleaseVersion": own["initialDataReleaseVersion"],
        "latestDataReleaseDate": own["latestDataReleaseDate"],
        "latestDataReleaseVersion": own["latestDataReleaseVersion"],
        "studyLinks": links,
        "studyPubmeds": papers,
        "studyPersonnel": _people(session, study),
        "studyGlossarys": _glossary(session, study),
    }
    return found


def _name(person: dict[str, Any]) -> str:
    return " ".join(each for each in (person["firstName"], person["lastName"]) if each)


def _joined(texts: Any) -> str | None:
    return ", ".join(dict.fromkeys(text for text in texts if text)) or None


def _subjects(session: Session, study: Study) -> int:
    member, arm = RELEASE["arm_2_subject"], RELEASE["arm_or_cohort"]
    asked = (
        select(func.count(member.c.subject_accession.distinct()))
        .join(arm, (arm.c.arm_accession == member.c.arm_accession) & (arm.c.package_id == study.package_id))
        .where(member.c.package_id == study.package_id, arm.c.study_accession == study.accession)
    )
    return session.scalar(asked) or 0


def _people(session: Session, study: Study) -> list[dict[str, Any]]:
    table, names = RELEASE["study_personnel"], MODELS["StudyPersonnel"].names
    asked = select(*(column_of(table, name) for name in names)).where(
        table.c.package_id == study.package_id, table.c.study_accession == study.accession
    )
    rows = session.execute(asked.order_by(table.c.line))
    return [{**dict(zip(names, row, strict=True)), "workspaceId": _number(row[-1])} for row in rows]


def _glossary(session: Session, study: Study) -> list[dict[str, Any]]:
    table = RELEASE["study_glossary"]
    asked = select(table.c.study_accession, table.c.term, table.c.definition).where(
        table.c.package_id == study.package_id, table.c.study_accession == study.accession
    )
    return [
        {"id": {"studyAccession": accession, "term": term}, "definition": definition}
        for accession, term, definition in session.execute(asked.order_by(table.c.line))
    ]
