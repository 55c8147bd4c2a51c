"""The demo's studies: what the documents print of them, joined here by hand, and that no table that a query needs is
empty."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.immport import RELEASE, Lookup, OtherRow, Study
from packhorse.server.db.models import Share, StudyFile, User
from packhorse.server.demo import ensure_demo
from packhorse.server.immport.files import named_files
from packhorse.wire.immport.queries import LOOKUPS

from .conftest import Demo

PRINTED = {
    "ageEvent": "Age at enrollment", "ageEventSpecify": None, "ageUnit": "Years", "ancestralPopulation": None,
    "analytePreferred": None, "analyteReported": "VZVQual", "armAccession": "ARM235", "armName": "Healthy controls",
    "biosampleType": "Other", "biosampleSubtype": None, "clinical": "Y", "comments": "negative qualitative result",
    "ethnicity": "Not Hispanic or Latino", "experimentAccession": "EXP8311", "maxSubjectAge": "1.00",
    "measurementTechnique": "ELISA", "minSubjectAge": "1.00", "plannedVisitAccession": "PV1518", "race": "White",
    "raceSpecify": None, "repositoryAccession": None, "repositoryName": None, "species": "Homo sapiens",
    "strain": None, "studyAccession": "SDY2", "studyTimeCollected": "1.00", "studyTimeCollectedUnit": "Days",
    "studyTitle": "Immune Response to Varicella Vaccination in Subjects with Atopic Dermatitis Compared to Nonatopic "
    "Controls",
    "subjectPhenotype": "non atopic dermititis", "unitPreferred": None, "unitReported": "-1: neg 1: pos",
    "valuePreferred": "-1.0", "valueReported": "-1", "treatmentAccession": None, "studyTimeT0EventSpecify": None,
    "studyTimeT0Event": "Not Specified",
}  # fmt: skip
"""What both rows of the documented answer have, as text."""

JOINED = """
SELECT r.result_id AS "resultId", a.age_event AS "ageEvent", a.age_event_specify AS "ageEventSpecify",
  a.age_unit AS "ageUnit", s.ancestral_population AS "ancestralPopulation",
  r.analyte_preferred AS "analytePreferred", r.analyte_reported AS "analyteReported",
  r.arm_accession AS "armAccession", arm.name AS "armName", r.biosample_accession AS "biosampleAccession",
  b.type AS "biosampleType", b.subtype AS "biosampleSubtype", st.clinical_trial AS "clinical",
  r.comments AS "comments", s.ethnicity AS "ethnicity", r.experiment_accession AS "experimentAccession",
  r.expsample_accession AS "expsampleAccession", s.gender AS "gender", a.max_subject_age AS "maxSubjectAge",
  e.measurement_technique AS "measurementTechnique", a.min_subject_age AS "minSubjectAge",
  b.planned_visit_accession AS "plannedVisitAccession", s.race AS "race", s.race_specify AS "raceSpecify",
  r.repository_accession AS "repositoryAccession", r.repository_name AS "repositoryName", s.species AS "species",
  s.strain AS "strain", r.study_accession AS "studyAccession", st.brief_title AS "studyTitle",
  r.study_time_collected AS "studyTimeCollected", r.study_time_collected_unit AS "studyTimeCollectedUnit",
  r.subject_accession AS "subjectAccession", a.subject_phenotype AS "subjectPhenotype",
  r.unit_preferred AS "unitPreferred", r.unit_reported AS "unitReported", r.value_preferred AS "valuePreferred",
  r.value_reported AS "valueReported", t.treatment_accession AS "treatmentAccession",
  b.study_time_t0_event_specify AS "studyTimeT0EventSpecify", b.study_time_t0_event AS "studyTimeT0Event"
FROM ip_elisa_result r
  JOIN ip_study st ON st.package_id = r.package_id AND st.study_accession = r.study_accession
  JOIN ip_arm_or_cohort arm ON arm.package_id = r.package_id AND arm.arm_accession = r.arm_accession
  JOIN ip_subject s ON s.package_id = r.package_id AND s.subject_accession = r.subject_accession
  JOIN ip_arm_2_subject a ON a.package_id = r.package_id AND a.subject_accession = r.subject_accession
    AND a.arm_accession = r.arm_accession
  JOIN ip_biosample b ON b.package_id = r.package_id AND b.biosample_accession = r.biosample_accession
  JOIN ip_experiment e ON e.package_id = r.package_id AND e.experiment_accession = r.experiment_accession
  LEFT JOIN ip_expsample_2_treatment t
    ON t.package_id = r.package_id AND t.expsample_accession = r.expsample_accession
WHERE r.study_accession = :study ORDER BY CAST(r.result_id AS INTEGER)
"""


@pytest.fixture
def session(demo: Demo) -> Iterator[Session]:
    database = open_database(ServerConfig(home=demo.home))
    with database.read() as session:
        yield session
    database.close()


def joined(session: Session, study: str) -> list[dict[str, Any]]:
    return [dict(row) for row in session.execute(text(JOINED), {"study": study}).mappings()]


def test_the_two_rows_that_the_document_prints(session: Session) -> None:
    found = joined(session, "SDY2")
    own = [
        {"resultId": "89390", "biosampleAccession": "BS476749", "expsampleAccession": "ES474813", "gender": "Male",
         "subjectAccession": "SUB106751"},
        {"resultId": "89391", "biosampleAccession": "BS476750", "expsampleAccession": "ES474814", "gender": "Female",
         "subjectAccession": "SUB106784"},
    ]  # fmt: skip
    assert found[:2] == [{**PRINTED, **each} for each in own]
    assert len(found) == session.scalar(
        select(func.count()).where(RELEASE["elisa_result"].c.study_accession == "SDY2")
    ), "every row joins, and once"
    assert len(found) > 10
    assert len(joined(session, "SDY4")) > 10


def test_the_flow_cytometry_files_of_the_first_study(session: Session) -> None:
    study = session.get_one(Study, "SDY1")
    named = named_files(session, study, only=False)
    folder = "SDY1/ResultFiles/Flow_cytometry_result/"
    sizes = {"02054141.001.52628.fcs": 242048, "02054142.001.52644.fcs": 1523228, "02054151.001.52646.fcs": 242048}
    for name, size in sizes.items():
        assert named[folder + name].size == size
        assert named[folder + name].accession == name.split(".")[2]
        assert session.get_one(StudyFile, folder + name).file.size == size


@pytest.mark.parametrize("accession", ["SDY1", "SDY2", "SDY4", "SDY5"])
def test_every_file_that_a_study_names_is_there(session: Session, accession: str) -> None:
    study = session.get_one(Study, accession)
    for path, file in named_files(session, study, only=True).items():
        stored = session.get_one(StudyFile, path).file
        assert file.size in (None, stored.size), path
    assert session.get_one(StudyFile, f"{accession}/{accession}-DR21_Tab.zip").file.size > 10_000


def test_no_query_is_without_an_answer(session: Session) -> None:
    studies = {study.accession: study.restricted for study in session.scalars(select(Study))}
    assert studies == {"SDY1": False, "SDY2": False, "SDY4": False, "SDY5": True}
    empty = [name for name, table in RELEASE.items() if not session.scalar(select(func.count()).select_from(table))]
    assert empty == []
    others = select(func.count()).where(OtherRow.table_name == "mass_spectrometry_result")
    assert (session.scalar(others) or 0) > 10
    vocabularies = set(session.scalars(select(Lookup.vocabulary).distinct()))
    assert {name.replace("_", "") for name in vocabularies} == {name.lower() for name in LOOKUPS}


def test_who_was_let_in_to_the_restricted_study(session: Session) -> None:
    rows = session.execute(
        select(User.username, Share.level).join(Share, Share.user_id == User.id).where(Share.kind == "study")
    )
    assert [tuple(row) for row in rows] == [("demo", 1)]
    assert session.get_one(Study, "SDY5").number == 5


def test_a_second_start_brings_nothing_twice(demo: Demo, session: Session) -> None:
    def counts() -> str:
        tables = [*RELEASE.values(), Study.__table__, StudyFile.__table__, Lookup.__table__]
        return json.dumps([session.scalar(select(func.count()).select_from(table)) for table in tables])

    before = counts()
    session.rollback()
    ensure_demo(ServerConfig(home=demo.home))
    assert counts() == before
