"""What search answers from: a document for every study, and for every subject in a study (spec immport §2.4)."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from packhorse.server.db.immport import RELEASE, Study
from packhorse.server.db.immport_views import Document, Facet
from packhorse.server.immport.folding import fold, number
from packhorse.server.immport.studydata import study_select
from packhorse.wire.immport.models import MODELS

__all__ = ["FACETS", "STUDY_FIELDS", "SUBJECT_FIELDS", "rebuild_search", "words_of"]

FACETS: Final[Mapping[str, str]] = {
    "programName": "program_name",
    "conditionOrDisease": "condition_or_disease",
    "researchFocus": "research_focus",
    "clinicalTrial": "clinical_trial",
    "sex": "sex",
    "race": "race",
    "ethnicity": "ethnicity",
    "species": "species",
    "minAge": "min_age",
    "ageRange": "age_range",
    "assayMethod": "assay_method",
    "biosampleType": "biosample_type",
    "hasAssessment": "has_assessment",
    "hasLabTest": "has_lab_test",
}
"""The facets and the fields that they are of; ``studyAccession`` and ``subjectAccession`` narrow as well."""
_STUDY: Final = """
study_accession actual_enrollment age_range analyte_preferred_count assay_method assay_method_count
assessment_panel_count brief_title brief_description clinical_trial condition_or_disease contract_grant_external_id
contract_grant_name doi sex_included initial_data_release_date initial_data_release_version_number
lab_test_panel_count latest_data_release_version_number latest_data_release_date min_age max_age
planned_visit_total_count program_name pubmed_id research_focus shared_subject_count species study_pi biosample_type
clinicaltrials_link
"""
_SUBJECT: Final = """
study_accession subject_accession arm_name assay_method biosample_type clinical_trial condition_or_disease ethnicity
sex has_assessment has_lab_test min_age max_age race research_focus species
"""
STUDY_FIELDS: Final = tuple(_STUDY.split())
SUBJECT_FIELDS: Final = tuple(_SUBJECT.split())
_YEARS: Final = {"years": 1.0, "months": 12.0, "weeks": 365.25 / 7, "days": 365.25, "hours": 8766.0}
_PART: Final = 500
_WORD: Final = re.compile(r"[^\W_]+")
_OWN_FACETS: Final = ("sex", "race", "ethnicity", "has_assessment", "has_lab_test")
"""Facets of a study that are its subjects', and no field of its own."""


def words_of(text: str) -> str:
    """Text as search compares it: folded words between blanks, with a blank at both ends.

    >>> words_of("T-cell (CD4+)")
    ' t cell cd4 '
    """
    return f" {' '.join(_WORD.findall(fold(text)))} "


def rebuild_search(session: Session, package_id: int) -> None:
    """Make the documents of a package's studies anew."""
    old = select(Document.id).where(Document.package_id == package_id)
    session.execute(delete(Facet).where(Facet.document_id.in_(old)))
    session.execute(delete(Document).where(Document.package_id == package_id))
    for study in session.scalars(select(Study).where(Study.package_id == package_id).order_by(Study.number)).all():
        facts = _Facts(session, study)
        subjects = facts.subjects()
        _add(session, study, "study", ((study.accession, facts.study(subjects), facts.of_subjects(subjects)),))
        _add(session, study, "subject", ((each["subject_accession"], each, {}) for each in subjects))


def _add(
    session: Session,
    study: Study,
    kind: str,
    documents: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Iterable[str]]]],
) -> None:
    for batch in _parts(documents):
        rows = [
            {
                "package_id": study.package_id,
                "kind": kind,
                "accession": accession[:50],
                "number": int("0" + "".join(re.findall(r"[0-9]", accession))[:17]),
                "study": study.accession,
                "source": source,
                "words": words_of(" ".join(text for value in source.values() for text in _texts(value))),
            }
            for accession, source, _ in batch
        ]
        ids = session.scalars(insert(Document).returning(Document.id, sort_by_parameter_order=True), rows).all()
        facets = []
        for document_id, (_, source, more) in zip(ids, batch, strict=True):
            for facet, field in FACETS.items():
                values = dict.fromkeys([*_texts(source.get(field)), *more.get(field, ())])
                by_fold = {fold(value)[:500]: value for value in reversed(list(values))}
                facets += [
                    {"document_id": document_id, "facet": facet, "folded": folded, "value": value}
                    for folded, value in by_fold.items()
                ]
        if facets:
            session.execute(insert(Facet), facets)


def _parts(items: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(items)
    while part := list(itertools.islice(left, _PART)):
        yield part


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [text for each in value for text in _texts(each)]
    return [f"{value:g}" if isinstance(value, float) else str(value)]


class _Facts:
    """What one study's tables say."""

    def __init__(self, session: Session, study: Study) -> None:
        self._session = session
        self._study = study
        row = self._records("", "StudyApi")
        self._own: dict[str, Any] = row[0] if row else dict.fromkeys(MODELS["StudyApi"].names)
        conditions = self._records("condition", "StudyConditionOrDiseaseApi")
        self._conditions = [each["conditionPreferred"] or each["conditionReported"] for each in conditions]
        focus = RELEASE["study_categorization"]
        self._focus = self._column(focus.c.research_focus, focus)

    def _records(self, name: str, model: str) -> list[dict[str, Any]]:
        rows = self._session.execute(study_select(name, self._study))
        return [dict(zip(MODELS[model].names, row, strict=True)) for row in rows]

    def _column(self, column: Any, table: Any) -> list[str]:
        asked = select(column).where(
            table.c.package_id == self._study.package_id, table.c.study_accession == self._study.accession
        )
        return list(dict.fromkeys(text for text in self._session.scalars(asked.order_by(table.c.line)) if text))

    def subjects(self) -> list[dict[str, Any]]:
        """The documents of the study's subjects."""
        assays, samples = self._samples()
        assessed, tested = self._seen()
        found: dict[str, dict[str, Any]] = {}
        for row in self._records("demographic", "StudySubjectDemographicsApi"):
            accession = row["subjectAccession"]
            youngest, oldest = (_years(row[name], row["ageUnit"]) for name in ("minSubjectAge", "maxSubjectAge"))
            if accession in found:
                known = found[accession]
                if row["armName"] and row["armName"] not in known["arm_name"]:
                    known["arm_name"].append(row["armName"])
                ages = (known["min_age"], youngest), (known["max_age"], oldest)
                known["min_age"], known["max_age"] = (
                    of((age for age in each if age is not None), default=None)
                    for of, each in zip((min, max), ages, strict=True)
                )
                continue
            found[accession] = {
                "study_accession": self._study.accession,
                "subject_accession": accession,
                "arm_name": [row["armName"]] if row["armName"] else [],
                "assay_method": sorted(assays[accession]),
                "biosample_type": sorted(samples[accession]),
                "clinical_trial": self._own["clinicalTrial"],
                "condition_or_disease": self._conditions,
                "ethnicity": row["ethnicity"],
                "sex": row["gender"],
                "has_assessment": "Y" if accession in assessed else "N",
                "has_lab_test": "Y" if accession in tested else "N",
                "min_age": youngest,
                "max_age": oldest,
                "race": row["race"],
                "research_focus": self._focus,
                "species": row["species"],
            }
        return list(found.values())

    def _samples(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        experiment, sample, pool, biosample = (
            RELEASE[name] for name in ("experiment", "expsample", "expsample_2_biosample", "biosample")
        )
        package = self._study.package_id
        assays: dict[str, set[str]] = defaultdict(set)
        types: dict[str, set[str]] = defaultdict(set)
        asked = (
            select(biosample.c.subject_accession, experiment.c.measurement_technique)
            .select_from(experiment)
            .join(sample, _same(package, sample, experiment, "experiment_accession"))
            .join(pool, _same(package, pool, sample, "expsample_accession"))
            .join(biosample, _same(package, biosample, pool, "biosample_accession"))
            .where(experiment.c.package_id == package, experiment.c.study_accession == self._study.accession)
        )
        for subject, technique in self._session.execute(asked.distinct()):
            if technique:
                assays[subject].add(technique)
        of_study = select(biosample.c.subject_accession, biosample.c.type).where(
            biosample.c.package_id == package, biosample.c.study_accession == self._study.accession
        )
        for subject, of_type in self._session.execute(of_study.distinct()):
            if of_type:
                types[subject].add(of_type)
        return assays, types

    def _seen(self) -> tuple[set[str], set[str]]:
        part, panel, test, tests, biosample = (
            RELEASE[name]
            for name in ("assessment_component", "assessment_panel", "lab_test", "lab_test_panel", "biosample")
        )
        package, accession = self._study.package_id, self._study.accession
        assessed = (
            select(part.c.subject_accession)
            .join(panel, _same(package, panel, part, "assessment_panel_accession"))
            .where(part.c.package_id == package, panel.c.study_accession == accession)
        )
        tested = (
            select(biosample.c.subject_accession)
            .join(test, _same(package, test, biosample, "biosample_accession"))
            .join(tests, _same(package, tests, test, "lab_test_panel_accession"))
            .where(biosample.c.package_id == package, tests.c.study_accession == accession)
        )
        return set(self._session.scalars(assessed.distinct())), set(self._session.scalars(tested.distinct()))

    def of_subjects(self, subjects: list[dict[str, Any]]) -> dict[str, list[str]]:
        """The study's facets that are its subjects'."""
        return {name: sorted({each[name] for each in subjects if each[name]}) for name in _OWN_FACETS}

    def study(self, subjects: list[dict[str, Any]]) -> dict[str, Any]:
        """The study's document."""
        own = self._own
        contracts = self._records("contract", "StudyContractProgramApi")
        people = self._records("personnel", "StudyPersonnelApi")
        leaders = [each for each in people if "principal" in (each["roleInStudy"] or "").lower()]
        links = [each["value"] for each in self._records("link", "StudyLinkApi")]
        experiment = RELEASE["experiment"]
        assays = self._column(experiment.c.measurement_technique, experiment)
        youngest = min((each["min_age"] for each in subjects if each["min_age"] is not None), default=None)
        oldest = max((each["max_age"] for each in subjects if each["max_age"] is not None), default=None)
        found = {
            "study_accession": self._study.accession,
            "actual_enrollment": number(own["actualEnrollment"]),
            "age_range": None if youngest is None or oldest is None else f"{youngest:g}-{oldest:g} Years",
            "analyte_preferred_count": self._analytes(),
            "assay_method": assays,
            "assay_method_count": len(assays),
            "assessment_panel_count": self._count("assessment_panel"),
            "brief_title": own["briefTitle"],
            "brief_description": own["briefDescription"],
            "clinical_trial": own["clinicalTrial"],
            "condition_or_disease": self._conditions,
            "contract_grant_external_id": _unique(each["externalId"] for each in contracts),
            "contract_grant_name": _unique(each["contractGrantName"] for each in contracts),
            "doi": own["doi"],
            "sex_included": own["genderIncluded"],
            "initial_data_release_date": own["initialDataReleaseDate"],
            "initial_data_release_version_number": own["initialDataReleaseVersion"],
            "lab_test_panel_count": self._count("lab_test_panel"),
            "latest_data_release_version_number": own["latestDataReleaseVersion"],
            "latest_data_release_date": own["latestDataReleaseDate"],
            "min_age": youngest,
            "max_age": oldest,
            "planned_visit_total_count": self._count("planned_visit"),
            "program_name": _unique(each["programName"] for each in contracts),
            "pubmed_id": _unique(each["pubmedId"] for each in self._records("pubmed", "StudyPubmedApi")),
            "research_focus": self._focus,
            "shared_subject_count": len(subjects),
            "species": _unique(each["species"] for each in subjects),
            "study_pi": _unique(" ".join(filter(None, (each["firstName"], each["lastName"]))) for each in leaders),
            "biosample_type": sorted({each for one in subjects for each in one["biosample_type"]}),
            "clinicaltrials_link": next((link for link in links if link and "clinicaltrials.gov" in link), None),
        }
        return {name: found[name] for name in STUDY_FIELDS}

    def _count(self, table: str) -> int:
        of = RELEASE[table]
        asked = select(func.count()).where(
            of.c.package_id == self._study.package_id, of.c.study_accession == self._study.accession
        )
        return self._session.scalar(asked) or 0

    def _analytes(self) -> int:
        found: set[str] = set()
        for name in ("elisa_result", "elispot_result", "mbaa_result"):
            found.update(self._column(RELEASE[name].c.analyte_preferred, RELEASE[name]))
        return len(found)


def _same(package: int, one: Any, other: Any, column: str) -> Any:
    return (one.c.package_id == package) & (one.c[column] == other.c[column])


def _unique(texts: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _years(text: str | None, unit: str | None) -> float | None:
    age, per_year = number(text), _YEARS.get((unit or "years").strip().lower().rstrip("s") + "s")
    return None if age is None or per_year is None else round(age / per_year, 2)
