"""The real study: what the API answers equals an independent join of the package's tables by pandas."""

from __future__ import annotations

import io
import json
import zipfile
from decimal import Decimal
from typing import Any

import pytest

from .conftest import REAL, Site

pd = pytest.importorskip("pandas")

Frame = Any


def _table(name: str) -> Frame:
    with zipfile.ZipFile(REAL) as package:
        (path,) = (each for each in package.namelist() if each.endswith(f"/Tab/{name}.txt"))
        text = package.read(path).decode("utf-8")
    return pd.read_csv(io.StringIO(text), sep="\t", dtype=str, keep_default_na=False, quoting=3, na_values=[""])


def _context(rows: Frame) -> Frame:
    """The rows with everything that belongs to their study, arm, subject, biosample and experiment."""
    found = rows.merge(
        _table("study")[["STUDY_ACCESSION", "BRIEF_TITLE", "CLINICAL_TRIAL"]], on="STUDY_ACCESSION", how="left"
    )
    found = found.merge(
        _table("experiment")[["EXPERIMENT_ACCESSION", "MEASUREMENT_TECHNIQUE"]], on="EXPERIMENT_ACCESSION", how="left"
    )
    found = found.merge(
        _table("arm_or_cohort")[["ARM_ACCESSION", "NAME"]].rename(columns={"NAME": "ARM_NAME"}),
        on="ARM_ACCESSION",
        how="left",
    )
    found = found.merge(_table("arm_2_subject"), on=["ARM_ACCESSION", "SUBJECT_ACCESSION"], how="left")
    subject = _table("subject").drop(columns=["DESCRIPTION", "WORKSPACE_ID", "STRAIN_CHARACTERISTICS"])
    found = found.merge(subject, on="SUBJECT_ACCESSION", how="left")
    biosample = _table("biosample")[
        ["BIOSAMPLE_ACCESSION", "PLANNED_VISIT_ACCESSION", "STUDY_TIME_T0_EVENT", "STUDY_TIME_T0_EVENT_SPECIFY",
         "SUBTYPE", "TYPE"]
    ]  # fmt: skip
    return found.merge(biosample, on="BIOSAMPLE_ACCESSION", how="left")


_NAMES = {
    "studyTitle": "BRIEF_TITLE", "clinical": "CLINICAL_TRIAL", "biosampleType": "TYPE", "biosampleSubtype": "SUBTYPE",
    "populationDefnitionPreferred": "POPULATION_DEFNITION_PREFERRED", "studyTimeT0Event": "STUDY_TIME_T0_EVENT",
    "studyTimeT0EventSpecify": "STUDY_TIME_T0_EVENT_SPECIFY", "fileDetail": "DETAIL", "fileName": "NAME",
}  # fmt: skip


def _column(member: str) -> str:
    upper = "".join(f"_{letter}" if letter.isupper() else letter for letter in member).upper()
    return _NAMES.get(member, upper)


def _same(answered: list[dict[str, Any]], expected: Frame, ignore: frozenset[str], order: str | None) -> None:
    assert len(answered) == len(expected) > 0
    if order:
        expected = expected.assign(_n=expected[order].astype(int)).sort_values("_n", kind="stable")
    members = [name for name in answered[0] if name not in ignore]
    wanted = [
        {name: None if pd.isna(row[_column(name)]) else row[_column(name)] for name in members}
        for row in expected.to_dict("records")
    ]
    got = [{name: None if row[name] is None else str(row[name]) for name in members} for row in answered]
    assert got == wanted


def _answer(site: Site, path: str) -> list[dict[str, Any]]:
    text = site.get(path).text
    found: list[dict[str, Any]] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    return found


@pytest.mark.parametrize(
    ("name", "table", "looked_up"),
    [("pcr", "pcr_result", "GENE_SYMBOL_PREFERRED"), ("elispot", "elispot_result", "ANALYTE_PREFERRED"),
     ("fcsAnalyzed", "fcs_analyzed_result", None)],
)  # fmt: skip
def test_results_are_the_join_of_the_tables(real: Site, name: str, table: str, looked_up: str | None) -> None:
    answered = _answer(real, f"result/{name}?studyAccession=SDY139")
    expected = _context(_table(table))
    if looked_up is not None:  # the preferred names of this release are accessions
        known = set(_table("lk_analyte")["ANALYTE_ACCESSION"])
        expected["ANALYTE_ACCESSION"] = expected[looked_up].where(expected[looked_up].isin(known))
        assert expected["ANALYTE_ACCESSION"].notna().any()
    expected["TREATMENT_ACCESSION"] = None  # the package has none
    assert _table("expsample_2_treatment").empty
    assert _table("biosample_2_treatment").empty
    _same(answered, expected, frozenset(), "RESULT_ID")


def test_file_paths_are_the_join_of_the_tables(real: Site) -> None:
    links = _table("expsample_2_file_info")[["EXPSAMPLE_ACCESSION", "FILE_INFO_ID"]]
    files = _table("file_info")[["FILE_INFO_ID", "DETAIL", "FILESIZE_BYTES", "NAME", "ORIGINAL_FILE_NAME"]]
    rows = links.merge(files, on="FILE_INFO_ID")
    rows = rows.merge(_table("expsample")[["EXPSAMPLE_ACCESSION", "EXPERIMENT_ACCESSION"]], on="EXPSAMPLE_ACCESSION")
    rows = rows.merge(_table("experiment")[["EXPERIMENT_ACCESSION", "STUDY_ACCESSION"]], on="EXPERIMENT_ACCESSION")
    rows = rows.merge(_table("expsample_2_biosample"), on="EXPSAMPLE_ACCESSION")
    times = ["BIOSAMPLE_ACCESSION", "SUBJECT_ACCESSION", "STUDY_TIME_COLLECTED", "STUDY_TIME_COLLECTED_UNIT"]
    rows = rows.merge(_table("biosample")[times], on="BIOSAMPLE_ACCESSION")
    rows = rows.merge(_table("arm_2_subject")[["SUBJECT_ACCESSION", "ARM_ACCESSION"]], on="SUBJECT_ACCESSION")
    expected = _context(rows)
    expected["SOURCE_TYPE"] = "EXPSAMPLE"
    expected["SOURCE_ACCESSION"] = expected["EXPSAMPLE_ACCESSION"]
    folder = expected["DETAIL"].str.replace(" ", "_")
    expected["FILE_PATH"] = "/SDY139/ResultFiles/" + folder + "/" + expected["NAME"]
    by = ["FILE_INFO_ID", "SOURCE_ACCESSION", "BIOSAMPLE_ACCESSION"]
    expected = expected.sort_values(by)
    answered = _answer(real, "result/filePath?studyAccession=SDY139")
    answered.sort(key=lambda row: (str(row["fileInfoId"]), row["sourceAccession"], row["biosampleAccession"]))
    _same(answered, expected, frozenset({"filePathId"}), None)
    assert len({row["filePathId"] for row in answered}) == len(answered)


def test_the_manifest_names_every_file_once(real: Site) -> None:
    listed = [row["path"] for row in real.json("api/study/manifest/SDY139?fileType=result_file")]
    assert len(listed) == len(set(listed)) == len(_table("file_info"))
    assert {row["fileName"] for row in real.json("api/study/manifest/SDY139?fileType=protocol_file")} == set(
        _table("protocol")["FILE_NAME"]
    )


@pytest.mark.parametrize(
    ("name", "table"),
    [("arm", "arm_or_cohort"), ("experiment", "experiment"), ("plannedVisit", "planned_visit"),
     ("protocol", "protocol"), ("demographic", "subject"), ("biosample", "biosample"), ("expsample", "expsample"),
     ("personnel", "study_personnel"), ("pubmed", "study_pubmed"), ("link", "study_link")],
)  # fmt: skip
def test_study_data_has_every_row(real: Site, name: str, table: str) -> None:
    assert len(real.json(f"api/study/{name}/SDY139")) == len(_table(table))


def test_lookups_have_every_row_and_the_right_columns(real: Site) -> None:
    analytes = real.json("api/lookup/lkAnalyte")
    expected = _table("lk_analyte")
    assert [row["analyteAccession"] for row in analytes] == list(expected["ANALYTE_ACCESSION"])
    symbols = [None if pd.isna(symbol) else symbol for symbol in expected["IMMUNOLOGY_GENE_SYMBOL"]]
    assert [row["immunologySymbol"] for row in analytes] == symbols
    roles = _table("lk_personnel_role")
    assert [row["description"] for row in real.json("api/lookup/lkPersonnelRole")] == list(roles["DESCRIPTON"])
    assert [row["name"] for row in real.json("api/lookup/lkSex")] == list(_table("lk_gender")["NAME"])
    assert real.json("api/lookup/lkHmdb") == []
    older = real.json("lk_analyte")
    assert older["totalElements"] == len(older["content"]) == len(expected)
