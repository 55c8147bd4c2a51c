"""Search: terms, facets, paging, sorting, highlights."""

from __future__ import annotations

from typing import Any

import pytest

from packhorse.server.immport.searchdocs import STUDY_FIELDS, SUBJECT_FIELDS

from .conftest import Site


def _ids(found: Any) -> list[str]:
    return [hit["_id"] for hit in found["hits"]["hits"]]


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        ("term=influenza", True), ("term=INFLU", True), ("term=%22t%20cell%20responses%22", True),
        ("term=%22cell%20t%22", False), ("term=%22influ%22", False), ("term=influenza+vacc", True),
        ("term=influenza+absent", False), ("term=", True), ("searchTerm=absent", True), ("sex=female", True),
        ("sex=Female,Other", True), ("sex=Other", False), ("sex=female&species=Mus%20musculus", True),
        ("programName=HIPC", True), ("conditionOrDisease=influenza;%20hiv", True),
        ("researchFocus=vaccine+response", True),
        ("hasLabTest=Y", True), ("assayMethod=ELISA&assayMethod=absent", True), ("subjectAccession=SUB2", True),
        ("subjectAccession=SUB9", False), ("clinicalTrial=N", False), ("minAge=0.5", True), ("term=%25", True),
        ("searchFields=brief_description&term=influenza", True), ("searchFields=doi&term=influenza", False),
    ],
)  # fmt: skip
def test_studies_are_found(site: Site, query: str, hits: bool) -> None:
    found = site.json(f"api/search/study?studyAccession=sdy31&{query}", None)
    assert _ids(found) == (["SDY31"] if hits else [])
    assert found["hits"]["total"]["value"] == int(hits)


def test_a_study_in_full(site: Site) -> None:
    found = site.json("api/search/study?term=vaccine&studyAccession=SDY31", None)
    (hit,) = found["hits"]["hits"]
    assert tuple(hit["_source"]) == STUDY_FIELDS
    assert hit["_source"]["assay_method"] == ["ELISA", "Flow Cytometry", "Luminex xMAP"]
    assert hit["_source"]["shared_subject_count"] == 3
    assert hit["_source"]["study_pi"] == ["Ada Lovelace"]
    assert (hit["_source"]["min_age"], hit["_source"]["max_age"]) == (0.5, 31.0)
    assert hit["highlight"]["brief_description"] == ["T-cell responses to influenza <em>vaccine</em> &amp; more"]
    assert hit["_score"] >= 1
    genders = {bucket["key"]: bucket["doc_count"] for bucket in found["aggregations"]["gender"]["buckets"]}
    assert genders == {"Female": 1, "Male": 1, "Unknown": 1}


def test_highlights_hold_only_the_markup_that_was_asked_for(site: Site) -> None:
    path = "api/search/study?term=official+quoted+g&preTag=%3Cb%3E&postTag=%3C/b%3E&searchFields=brief_title&term="
    found = site.json(path.removesuffix("&term=").replace("official+", ""), None)
    (hit,) = (hit for hit in found["hits"]["hits"] if hit["_id"] == "SDY31")
    (text,) = hit["highlight"]["brief_title"]
    assert text == "<b>G</b>röße = 100%_x\\y &#x27;<b>quoted</b>&#x27; &quot;twice&quot;"


def test_subjects(site: Site) -> None:
    found = site.json("api/search/subject?studyAccession=SDY31&sortField=min_age&sortFieldDirection=desc", None)
    assert _ids(found) == ["SUB1", "SUB3", "SUB2"]  # what has no age comes last
    first = found["hits"]["hits"][0]["_source"]
    assert tuple(first) == SUBJECT_FIELDS
    assert first["arm_name"] == ["Placebo ÄRM", "Vaccine"]
    assert (first["has_assessment"], first["has_lab_test"], first["sex"]) == ("Y", "N", "Female")
    assert found["hits"]["hits"][1]["_source"]["min_age"] == 0.5
    assert _ids(site.json("api/search/subject?studyAccession=SDY31&race=asian", None)) == ["SUB2"]


def test_paging_ends_with_an_empty_page(site: Site) -> None:
    seen: list[str] = []
    while True:
        page = site.json(f"api/search/subject?studyAccession=SDY31&pageSize=2&fromRecord={len(seen)}", None)
        if not page["hits"]["hits"]:
            break
        assert page["hits"]["total"]["value"] == 3
        seen += _ids(page)
    assert seen == ["SUB1", "SUB2", "SUB3"]
    assert site.json("api/search/subject?pageSize=0", None)["hits"]["hits"] == []


def test_source_fields_and_downloads(site: Site) -> None:
    found = site.json("api/search/study?sourceFields=study_accession,briefTitle&studyAccession=SDY31", None)
    assert list(found["hits"]["hits"][0]["_source"]) == ["study_accession", "brief_title"]
    answer = site.get("api/search/subject/download?studyAccession=SDY31", None)
    assert answer.headers["content-disposition"].startswith("attachment")
    assert len(answer.json()["hits"]["hits"]) == 3
    header, first, *_ = site.get("api/search/subject/download?studyAccession=SDY31&format=tsv", None).text.split("\n")
    assert header.split("\t") == list(SUBJECT_FIELDS)
    assert first.split("\t")[2] == "Placebo ÄRM, Vaccine"


def test_restricted_studies_are_not_found(site: Site) -> None:
    assert _ids(site.json("api/search/study?term=hidden", None)) == []
    assert _ids(site.json("api/search/study?term=hidden", "guest")) == ["SDY32"]
    assert _ids(site.json("api/search/subject?studyAccession=SDY32", None)) == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("trem=x", "did you mean term"), ("pageSize=ten", "pageSize is a whole number"), ("pageSize=10001", "at most"),
        ("sortField=brief_titel", "brief_title"), ("sortFieldDirection=up", "asc or desc"),
        ("sourceFields=nope", "nope"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_said(site: Site, query: str, said: str) -> None:
    answer = site.get(f"api/search/study?{query}", None)
    assert answer.status_code == 400
    assert said in answer.json()["message"]
