"""The demo's ImmPort studies: invented ones, but for what the documents print of SDY2 and the names of SDY1's files.

They come in as packages do, through the importer, so that whatever is there for a real study is there for them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import Database, open_database
from packhorse.server.db.immport import Study
from packhorse.server.db.models import User
from packhorse.server.immport.documents import attach
from packhorse.server.immport.packages import import_package
from packhorse.server.immport.synthetic import StudyPlan, Tables, make_study
from packhorse.server.immport.synthetic.files import text_bytes, text_file
from packhorse.server.immport.writing import write_package
from packhorse.server.storage.disk import DiskStorage
from packhorse.server.users import add_share
from packhorse.wire.immport.paths import result_path

__all__ = ["RESTRICTED", "ensure_demo_studies"]

RESTRICTED: Final = "SDY5"
"""Only the user ``demo`` was let in to it (and an administrator)."""

_RELEASE: Final = "DR21"
_DATE: Final = 1_492_689_600
_FLOW: Final = "Flow cytometry result"
_VARICELLA: Final = (
    "Immune Response to Varicella Vaccination in Subjects with Atopic Dermatitis Compared to Nonatopic Controls"
)


def ensure_demo_studies(config: ServerConfig, fcs: Sequence[tuple[int, str, int]]) -> None:
    """Import the demo's studies that are not there. ``fcs`` are SDY1's files: id, name and size."""
    database = open_database(config)
    try:
        with database.read() as session:
            there = set(session.scalars(select(Study.accession)))
        with tempfile.TemporaryDirectory() as folder:
            for plan in _plans(fcs):
                if plan.accession not in there:
                    _import(config, database, plan, Path(folder))
    finally:
        database.close()


def _import(config: ServerConfig, database: Database, plan: StudyPlan, folder: Path) -> None:
    tables, documents = make_study(plan)
    if plan.accession == "SDY2":
        _documented(plan, tables)
    path = folder / f"{plan.accession}-{_RELEASE}_Tab.zip"
    write_package(path, plan.accession, _RELEASE, tables, documents=documents, level=1)
    import_package(config, path, restricted=plan.accession == RESTRICTED, database=database)
    storage = DiskStorage(config.objects)
    with database.write() as session:
        for row in tables["file_info"]:
            if row["name"].endswith(".txt"):
                stored = storage.put([text_bytes(row["name"])], modified=_DATE)
                attach(session, result_path(plan.accession, row["detail"], row["name"]), stored)
        if plan.accession == RESTRICTED:
            demo = session.scalars(select(User).where(User.username == "demo")).one()
            add_share(session, "study", plan.number, demo, 1)


def _plans(fcs: Sequence[tuple[int, str, int]]) -> list[StudyPlan]:
    files = tuple((key, _FLOW, name, size) for key, name, size in fcs)
    varicella = {"condition_studied": "varicella; atopic dermatitis", "clinical_trial": "Y"}
    return [
        StudyPlan("SDY1", "Flow cytometry of blood cells after an invented vaccination", result_files=files,
                  kinds=("fcs_analyzed", "elispot", "mbaa")),
        StudyPlan("SDY2", _VARICELLA, elisa_from=89392, fixed=varicella),
        StudyPlan("SDY4", "Antibodies in an invented second cohort", elisa_from=90001, subjects=8,
                  kinds=("elisa", "hai", "neut_ab_titer", "pcr"),
                  fixed={"clinical_trial": "N", "type": "Observational"}),
        StudyPlan(RESTRICTED, "An invented study that is not for everybody", subjects=4, kinds=("elisa", "hai")),
    ]  # fmt: skip


def _documented(plan: StudyPlan, tables: Tables) -> None:
    """The two ELISA rows that the documentation of the API prints, and all that they are joined with."""
    workspace = plan.id(0)
    tables["arm_or_cohort"][0] |= {"name": "Atopic dermatitis", "type": "Experimental"}
    tables.add("arm_or_cohort", arm_accession="ARM235", description="Without atopic dermatitis.",
               name="Healthy controls", study_accession="SDY2", type="Control", workspace_id=workspace)  # fmt: skip
    tables.add("planned_visit", planned_visit_accession="PV1518", max_start_day="1.00", min_start_day="1.00",
               name="Visit 1", order_number=9, period_accession=plan.key("P", 1), study_accession="SDY2",
               workspace_id=workspace)  # fmt: skip
    tables.add("planned_visit_2_arm", planned_visit_accession="PV1518", arm_accession="ARM235")
    tables.add("experiment", experiment_accession="EXP8311", description="Antibodies against varicella, yes or no.",
               measurement_technique="ELISA", name="VZV qualitative", study_accession="SDY2",
               workspace_id=workspace)  # fmt: skip
    tables.add("experiment_2_protocol", experiment_accession="EXP8311", protocol_accession=plan.key("PTL", 2))
    rows: list[dict[str, Any]] = []
    for number, (subject, gender) in enumerate((("SUB106751", "Male"), ("SUB106784", "Female"))):
        biosample, expsample = f"BS{476749 + number}", f"ES{474813 + number}"
        tables.add("subject", subject_accession=subject, ethnicity="Not Hispanic or Latino", gender=gender,
                   race="White", species="Homo sapiens", workspace_id=workspace)  # fmt: skip
        tables.add("arm_2_subject", arm_accession="ARM235", subject_accession=subject, age_event="Age at enrollment",
                   age_unit="Years", max_subject_age="1.00", min_subject_age="1.00",
                   subject_phenotype="non atopic dermititis")  # fmt: skip
        tables.add("biosample", biosample_accession=biosample, planned_visit_accession="PV1518",
                   study_accession="SDY2", study_time_collected="1.00", study_time_collected_unit="Days",
                   study_time_t0_event="Not Specified", subject_accession=subject, type="Other",
                   workspace_id=workspace)  # fmt: skip
        tables.add("expsample", expsample_accession=expsample, experiment_accession="EXP8311", name=expsample,
                   result_schema="ELISA", upload_result_status="complete", workspace_id=workspace)  # fmt: skip
        tables.add("expsample_2_biosample", biosample_accession=biosample, expsample_accession=expsample)
        rows.append({
            "result_id": 89390 + number, "analyte_reported": "VZVQual", "arm_accession": "ARM235",
            "biosample_accession": biosample, "comments": "negative qualitative result",
            "experiment_accession": "EXP8311", "expsample_accession": expsample, "study_accession": "SDY2",
            "study_time_collected": "1.00", "study_time_collected_unit": "Days", "subject_accession": subject,
            "unit_reported": "-1: neg 1: pos", "value_preferred": "-1.0", "value_reported": "-1",
            "workspace_id": workspace,
        })  # fmt: skip
    tables["elisa_result"][:0] = rows
    text_file(plan, tables, plan.id(910), "ELISA result", "SDY2_VZV_qualitative")
    for number in range(2):
        tables.add("expsample_2_file_info", expsample_accession=f"ES{474813 + number}", file_info_id=plan.id(910),
                   result_schema="ELISA")  # fmt: skip
