"""Assay results: joins, filters, layouts."""

from __future__ import annotations

import json
import re

import pytest

from packhorse.wire.immport.models import MODELS

from .conftest import Site
from .packages import LONG


def test_the_layout_is_the_documented_one(site: Site) -> None:
    answer = site.get("result/elisa?studyAccession=SDY31&analyteReported=x".replace("&analyteReported=x", ""))
    text = answer.text
    assert text.startswith('[ {\n  "resultId" : 1001,\n  "ageEvent" : "Age at Study Day 0",\n')
    assert '\n}, {\n  "resultId" : 1002,\n' in text
    assert text.endswith('" : null\n} ]')
    assert '"maxSubjectAge" : 31.00,\n' in text
    assert '"valuePreferred" : -1.0,\n' in text
    records = json.loads(text)
    members = list(MODELS["VElisaResult"].names)
    older = [name for name in members if name != "analyteAccession"]  # as the documented rows, where it is not known
    known = ["analyteAccession" in record for record in records]
    assert any(known)
    assert [list(record) for record in records] == [members if one else older for one in known]
    assert [record["resultId"] for record in records] == [1001, 1002, 1003, 1004, 1005]


def test_a_row_says_what_its_tables_say(site: Site) -> None:
    first, bare, other, lone, pooled = site.json("result/elisa?studyAccession=SDY31")
    assert first["armAccession"] == "ARM2"
    assert first["subjectPhenotype"] == "vaccinated"
    assert first["analyteAccession"] == "ANA148"  # the package already has the accession
    assert other["armName"] == "Placebo ÄRM"
    assert other["analyteAccession"] == "ANA148"  # by its symbol
    assert (other["maxSubjectAge"], other["minSubjectAge"]) == (30.5, 30.0)
    assert other["treatmentAccession"] == "TRT2,TRT1,TRT3"
    assert other["plannedVisitAccession"] == "PV1"
    assert other["studyTitle"] == LONG
    assert other["comments"] == 'said "no" \\ back'
    # of a row that names its sample only: the one biosample and its subject; the arm is open, the subject has two
    assert (bare["biosampleAccession"], bare["subjectAccession"], bare["armAccession"]) == ("BS1", "SUB1", None)
    assert bare["valuePreferred"] == 0.5
    assert bare["studyTimeCollected"] == 0.0
    assert bare["comments"] == "Ünï\u0001\u2028x"
    assert (lone["biosampleAccession"], lone["subjectAccession"], lone["armAccession"]) == ("BS2", "SUB2", "ARM2")
    assert lone["expsampleAccession"] is None
    assert lone["valuePreferred"] is None
    assert lone["valueReported"] == ">10"
    assert lone["maxSubjectAge"] is None
    # pooled of two: neither is the sample's
    assert (pooled["biosampleAccession"], pooled["subjectAccession"]) == (None, None)
    assert "analyteAccession" not in pooled  # as the documented rows, which are older than it
    assert pooled["valuePreferred"] == 1000


def test_bead_arrays_name_their_source(site: Site) -> None:
    sample, control = site.json("result/mbaa")
    assert (sample["sourceAccession"], sample["sourceType"], sample["subjectAccession"]) == ("ES4", "EXPSAMPLE", "SUB2")
    assert "expsampleAccession" not in sample
    assert (control["sourceAccession"], control["subjectAccession"]) == ("CTL1", None)
    assert [row["resultId"] for row in site.json("result/mbaa?expsampleAccession=es4")] == [7]


def test_mass_spectrometry_comes_from_later_releases(site: Site) -> None:
    (row,) = site.json("result/massSpectrometryResult?studyAccession=SDY31")
    assert row["intensity"] == 12.5
    assert (row["zcharge"], row["mzratio"]) == ("2", 500.25)
    assert row["biosampleAccession"] == "BS1"


def test_files_come_once_for_each_sample_and_arm(site: Site) -> None:
    text = site.get("result/filePath?studyAccession=SDY31").text
    rows = json.loads(text)
    found = [
        (row["fileInfoId"], row["sourceAccession"], row["biosampleAccession"], row["armAccession"]) for row in rows
    ]
    assert found == [
        (501, "ES3", "BS1", "ARM1"),
        (501, "ES3", "BS1", "ARM2"),
        (502, "ES1", "BS1", "ARM1"),
        (502, "ES1", "BS1", "ARM2"),
        (502, "ES2", "BS2", "ARM2"),
        (502, "ES2", "BS3", "ARM1"),
        (503, "CTL1", None, None),
    ]
    assert len({row["filePathId"] for row in rows}) == len(rows)
    # what the download tool does: fgrep '"filePath"' | cut -d: -f2
    lines = [line for line in text.splitlines() if '"filePath"' in line]
    assert lines[0] == '  "filePath" : "/SDY31/ResultFiles/Flow_cytometry_result/a b.501.fcs"'
    assert len(lines) == len(rows)


def test_an_empty_answer_is_a_list(site: Site) -> None:
    assert site.get("result/hai?studyAccession=SDY31").text == "[]"
    assert site.get("result/hai?studyAccession=SDY99999").text == "[]"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("gender=female", [1001, 1002, 1003]),
        ("sex=FEMALE,male", [1001, 1002, 1003, 1004]),
        ("gender=Female&gender=Male", [1001, 1002, 1003, 1004]),
        ("gender=Female&armAccession=arm1", [1003]),
        ("armName=%C3%A4rm", [1003]),
        ("armName=cebo,VACC", [1001, 1003, 1004]),
        ("studyTitle=GR%C3%96SSE", [1001, 1002, 1003, 1004, 1005]),
        ("studyTitle=gr%C3%B6%C3%9Fe", [1001, 1002, 1003, 1004, 1005]),
        ("studyTitle=grosse", []),
        ("studyTitle=GR%C3%96%E1%BA%9EE", [1001, 1002, 1003, 1004, 1005]),
        ("studyTitle=100%25_X%5Cy", [1001, 1002, 1003, 1004, 1005]),
        ("studyTitle=100%25%25x", []),
        ("treatmentAccession=trt3", [1001, 1002, 1003]),
        ("treatmentAccession=TRT1,TRT9", [1001, 1002, 1003]),
        ("maxSubjectAge=31", [1001]),
        ("maxSubjectAgeGt=30.5", [1001]),
        ("maxSubjectAgeGte=30.5", [1001, 1003]),
        ("maxSubjectAgeLt=31.0", [1003]),
        ("minSubjectAgeLte=30&clinical=y", [1003]),
        ("studyTimeCollected=7", [1004]),
        ("studyTimeCollectedLte=0", [1001, 1002, 1003]),
        ("biosampleType=whole blood".replace(" ", "+"), [1004]),
        ("ancestralPopulation=ICELAND", [1001, 1002, 1003]),
        ("ageEvent=Age%20at%20enrollment", [1003]),
        ("measurementTechnique=elisa", [1001, 1002, 1003, 1005]),
        ("plannedVisitAccession=pv2", [1004]),
        ("expsampleAccession=es2", [1005]),
        ("subjectPhenotype=nobody", []),
        ("clinical=N", []),
        ("gender=%00", []),
        ("gender=", [1001, 1002, 1003, 1004, 1005]),
    ],
)
def test_filters(site: Site, query: str, numbers: list[int]) -> None:
    assert [row["resultId"] for row in site.json(f"result/elisa?studyAccession=sdy31&{query}")] == numbers


def test_ten_thousand_values_are_fine_and_more_are_not(site: Site) -> None:
    values = ",".join(f"ES{number}" for number in range(10_000))
    found = site.json(f"result/elisa?studyAccession=SDY31&expsampleAccession={values}&armName={values[:-7]},Placebo")
    assert [row["resultId"] for row in found] == [1003]
    assert site.get(f"result/elisa?expsampleAccession={values},ES99999").status_code == 400


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("studyAcession=SDY31", "did you mean studyAccession"),
        ("maxSubjectAge=old", "maxSubjectAge is a number"),
        ("maxSubjectAge=nan", "maxSubjectAge is a number"),
        ("maxSubjectAge=1&maxSubjectAge=2", "takes one value"),
        ("clinical=perhaps", "clinical is Y or N"),
        ("studyAccession=SDY", "no study accession"),
        ("studyAccession=$(reboot)", "no study accession"),
    ],
)
def test_what_is_asked_wrongly_is_said(site: Site, query: str, said: str) -> None:
    answer = site.get(f"result/elisa?{query}")
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert re.search(r'^ *"message" *:', answer.text, re.MULTILINE)


def test_unknown_results_are_named(site: Site) -> None:
    answer = site.get("result/elispots")
    assert answer.status_code == 404
    assert "elispot" in answer.json()["message"]


def test_a_token_is_needed_and_restricted_studies_stay_out(site: Site) -> None:
    assert site.get("result/elisa?studyAccession=SDY31", None).status_code == 401
    assert {row["studyAccession"] for row in site.json("result/elisa")} == {"SDY31"}
    assert site.json("result/elisa?studyAccession=SDY32") == []
    found = site.json("result/elisa", "guest")
    assert [(row["resultId"], row["studyAccession"]) for row in found][:2] == [(1001, "SDY31"), (1001, "SDY32")] or [
        (row["resultId"], row["studyAccession"]) for row in found
    ][:2] == [(1001, "SDY32"), (1001, "SDY31")]
    assert len(found) == 6


def test_tsv(site: Site) -> None:
    for answer in (
        site.get("result/elisa?studyAccession=SDY31&format=TSV"),
        site.get("result/elisa?studyAccession=SDY31", Accept="text/tab-separated-values"),
    ):
        assert answer.headers["content-type"].startswith("text/tab-separated-values")
        header, *lines = answer.content.decode().split("\n")
        assert header.split("\t") == list(MODELS["VElisaResult"].names)
        assert lines.pop() == ""
        rows = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
        assert [row["resultId"] for row in rows] == ["1001", "1002", "1003", "1004", "1005"]
        assert rows[0]["valuePreferred"] == "-1.0"
        assert rows[0]["comments"] == ""
        assert rows[1]["comments"] == "Ünï\u0001 x"
    empty = site.get("result/hai?studyAccession=SDY31&format=tsv").text
    assert empty == "\t".join(MODELS["VHaiResult"].names) + "\n"
    assert site.get("result/elisa?studyAccession=SDY31&format=csv").text.startswith("[ {")
