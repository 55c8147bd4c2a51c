"""Study data, lookups, the data browser's lists: shapes, joins, permissions."""

from __future__ import annotations

import json

import pytest

from packhorse.wire.immport.queries import LOOKUPS, QUERIES

from .conftest import Site

STUDY_ROWS = [query for query in QUERIES.values() if query.group == "study" and query.shape == "rows"]


@pytest.mark.parametrize("query", STUDY_ROWS, ids=lambda query: query.name)
def test_every_study_query_has_the_members_of_its_model(site: Site, query: object) -> None:
    path = query.path.replace("{studyAccession}", "sdy31")  # type: ignore[attr-defined]
    names = list(query.model.names)  # type: ignore[attr-defined]
    rows = site.json(path)
    if query.name != "study/file" and "studyFiles" not in path and "protocol" not in path and "inclusion" not in path:  # type: ignore[attr-defined]
        assert rows
    assert all(list(row) == names for row in rows)
    header, *lines = site.get(f"{path}?format=tsv").content.decode().split("\n")
    assert header.split("\t") == names
    assert len(lines) == len(rows) + 1
    assert all(len(line.split("\t")) == len(names) for line in lines[:-1])
    assert site.get(path, None).status_code == 401
    assert site.get(path.replace("sdy31", "SDY32")).status_code == 403
    assert site.get(path.replace("sdy31", "SDY32"), "guest").status_code == 200
    assert site.get(path.replace("sdy31", "SDY404")).status_code == 404
    assert site.get(path.replace("sdy31", "SDYx")).status_code == 400


def test_the_study_itself(site: Site) -> None:
    (study,) = site.json("api/study/SDY31")
    assert study["actualEnrollment"] == 4
    assert study["genderIncluded"] == "Both"
    assert study["latestDataReleaseVersion"] == "DR25"


def test_subjects_come_once_for_each_arm(site: Site) -> None:
    text = site.get("api/study/demographic/SDY31").text
    rows = json.loads(text)
    pairs = [(row["subjectAccession"], row["armAccession"]) for row in rows]
    assert pairs == [("SUB1", "ARM1"), ("SUB1", "ARM2"), ("SUB2", "ARM2"), ("SUB3", "ARM1")]
    assert '"maxSubjectAge" : 30.50,' in text
    assert rows[0]["max_subject_age_in_years"] == "30.50"
    assert rows[3]["max_subject_age_in_years"] is None  # months: the package does not say it in years
    assert rows[0]["ancestral_population"] == "Iceland"
    assert rows[1]["armTypeReported"] == "Interventional"


def test_samples_and_their_biosamples(site: Site) -> None:
    rows = site.json("api/study/expsample/SDY31")
    found = [(row["expsampleAccession"], row["biosampleAccession"], row["armAccession"]) for row in rows]
    assert found == [
        ("ES1", "BS1", "ARM1"), ("ES1", "BS1", "ARM2"), ("ES2", "BS2", "ARM2"), ("ES2", "BS3", "ARM1"),
        ("ES3", "BS1", "ARM1"), ("ES3", "BS1", "ARM2"), ("ES4", "BS2", "ARM2"),
    ]  # fmt: skip
    assert rows[0]["expsampleName"] == "sample one"
    assert rows[0]["measurementTechnique"] == "ELISA"
    (test,) = site.json("api/study/labtest/SDY31")
    assert (test["labTestPanelNameReported"], test["labTestNameReported"], test["resultValuePreferred"]) == (
        "Blood count", "WBC", 4.5,
    )  # fmt: skip
    assert test["plannedVisitAccession"] == "PV2"
    (exposure,) = site.json("api/study/immuneExposure/SDY31")
    assert (exposure["armAccession"], exposure["exposureProcessPreferred"]) == ("ARM2", "Administration")
    parts = site.json("api/study/assessment/SDY31")
    assert [(row["assessmentComponentNameReported"], row["assessmentPanelNameReported"]) for row in parts] == [
        ("Smoker?", "Questions"), ("Smoker?", "Questions"),
    ]  # fmt: skip
    (contract,) = site.json("api/study/contract/SDY31")
    assert (contract["contractGrantName"], contract["programName"], contract["externalId"]) == (
        "A grant",
        "HIPC",
        "U19",
    )
    assert site.json("api/study/condition/SDY31") == [
        {"studyAccession": "SDY31", "conditionReported": "influenza; HIV", "conditionPreferred": None}
    ]


def test_the_summary(site: Site) -> None:
    answer = site.get("api/study/summary/SDY31")
    assert answer.text.startswith('{\n  "studyAccession" : "SDY31",\n  "doi" : "10.1/x",\n')
    found = answer.json()
    assert found["pi"] == "Ada Lovelace"
    assert found["subjectsNumber"] == 3
    assert found["studyLinks"] == [{"studyLinkId": 5, "name": "here", "type": None, "value": "http://x"}]
    assert found["studyPubmeds"][0]["id"] == {"studyAccession": "SDY31", "pubmedId": "123"}
    ui = site.json("ui/study/summary/SDY31", None)
    assert ui["studyGlossarys"] == []
    assert {name: ui[name] for name in found} == found


def test_files_of_a_study(site: Site) -> None:
    manifest = site.json("api/study/manifest/SDY31")
    paths = [row["path"] for row in manifest]
    assert paths == sorted(paths)
    flow = next(row for row in manifest if row["fileAccession"] == "501")
    assert flow["path"] == "SDY31/ResultFiles/Flow_cytometry_result/a b.501.fcs"
    assert (flow["filesizeBytes"], flow["generatedMD5"], flow["drsObjectCreated"]) == (12, None, "N")
    assert {row["fileType"] for row in site.json("api/study/manifest/SDY31?fileType=result_file")} == {"result_file"}
    refused = site.get("api/study/manifest/SDY31?fileType=result_files")
    assert (refused.status_code, "result_file" in refused.json()["message"]) == (400, True)
    listed = site.json("api/study/filePath/resultFiles/SDY31")
    assert {row["path"] for row in listed} == {
        "/" + row["path"] for row in manifest if row["fileType"] == "result_file"
    }
    assert site.json("api/study/getRestrictedStudyAccessions") == ["SDY32"]


@pytest.mark.parametrize("name", LOOKUPS)
def test_lookups_need_no_token(site: Site, name: str) -> None:
    rows = site.json(f"api/lookup/{name}", None)
    model = QUERIES[f"lookup/{name}"].model
    assert model is not None
    assert all(list(row) == list(model.names) for row in rows)
    assert site.get(f"api/lookup/{name}?format=tsv", None).text.startswith("\t".join(model.names) + "\n")


def test_older_lookups_are_pages(site: Site) -> None:
    for name in ("lk_exposure_process", "lk_exposure_procees", "ui/lk_exposure_process"):
        assert site.get(name, None).status_code == 401
        page = site.json(name)
        assert {"name": "Administration", "description": "Administration", "link": None}.items() <= page["content"][
            0
        ].items()
        assert page["last"] is True
    assert site.json("lk_exposure_materials")["content"] == site.json("lk_exposure_material")["content"]
    small = site.json("lk_time_unit?size=1&page=0")
    assert (len(small["content"]), small["size"]) == (1, 1)
    assert site.get("lk_time_unit?size=x").status_code == 400


UI = [
    ("adverseevent/summary/SDY31", 1), ("adverseevent/detail/SDY31", 1), ("assessmentpanel/summary/SDY31", 1),
    ("intervention/summary/SDY31", 1), ("intervention/compoundrolesummary/SDY31/intervention", 1),
    ("intervention/compoundroledetail/SDY31/Intervention", 1), ("labtestpanel/summary/SDY31", 1),
    ("resrcpgcnt/cntByPgmID?programIds=19", 1), ("study/studyfile/SDY31", 0), ("study/mechanisticAssay/SDY31", 3),
    ("experiment/mechanisticAssay/EXP1", 2), ("study/labtestcomponent/SDY31", 1),
    ("study/assessmentcomponent/SDY31", 1), ("study/plannedvisit/SDY31/biosample", 2),
    ("subject/demographics/SDY31", 4),
    ("study/downloadCount?studyAccession=SDY31", 1),
]  # fmt: skip


@pytest.mark.parametrize(("path", "number"), UI)
def test_lists_of_the_data_browser(site: Site, path: str, number: int) -> None:
    for base in ("", "ui/"):
        rows = site.json(base + path, None)
        assert len(rows) == number
        assert not any("_" in name or name == "packageId" for row in rows for name in row)


def test_counts_of_the_data_browser(site: Site) -> None:
    assert site.json("ui/adverseevent/detail/SDY31", None)[0]["startStudyDay"] == 2.0
    (elisa, flow, _) = site.json("ui/study/mechanisticAssay/SDY31", None)
    assert (elisa["expsampleCount"], elisa["biosampleCount"], elisa["subjectCount"]) == (2, 3, 3)
    assert (flow["expsampleCount"], flow["subjectCount"]) == (1, 1)
    assert [row["biosampleCount"] for row in site.json("study/plannedvisit/SDY31/biosample", None)] == [1, 2]
    assert [row["labTestCount"] for row in site.json("study/plannedvisit/SDY31/lab_test", None)] == [0, 1]
    assert site.get("study/plannedvisit/SDY31/nothing", None).status_code == 400
    assert site.json("study/downloadCount?studyAccession=SDY31", None)[0]["downloadCount"] is None


def test_pages_of_the_data_browser(site: Site) -> None:
    assert site.json("ui/fcs_header/SDY31", None)["content"][0]["numberOfEvents"] == "1000"
    assert site.json("fcs_header_marker/SDY31?size=1&page=1", None)["content"][0]["pnnReported"] == "SSC-A"
    assert "anti-IL-2" in [row["name"] for row in site.json("reagent", None)["content"]]
    assert len(site.json("treatment", None)["content"]) == 3
    assert site.json("immune_exposure", None)["content"][0]["exposureAccession"] == "IE1"
    assert site.json("expsample_public_repository", None)["content"] == []


def test_objects_of_the_data_browser(site: Site) -> None:
    assert "SDY32" not in site.json("ui/study/findAllStudyAccessions", None)["studyAccessions"]
    assert "SDY32" in site.json("study/findAllStudyAccessions", "guest")["studyAccessions"]
    release = site.json("studydatarel/datarelver", None)
    assert next(iter(release.values())) == "DR25"
    design = site.json("study/design/SDY31", None)
    assert [arm["armAccession"] for arm in design["arms"]] == ["ARM1", "ARM2"]
    assert site.get("ui/study/summary/SDY32", None).status_code == 401
    assert site.get("ui/study/summary/SDY32").status_code == 403
    assert site.get("ui/experiment/mechanisticAssay/$(x)", None).status_code == 400
    assert site.get("ui/experiment/mechanisticAssay/EXP999", None).status_code == 404
