"""From a query's name and filters to requests. Pure."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import UsageError
from packhorse.portals.immport.asking import filters_of, prepare
from packhorse.wire.immport.queries import QUERIES


def filled(name: str) -> dict[str, str]:
    values = {"studyAccession": "SDY2", "compoundRole": "Other", "pivotTable": "arm", "experimentAccession": "EXP1"}
    return {each: values[each] for each in QUERIES[name].accessions}


@pytest.mark.parametrize("name", [name for name, query in QUERIES.items() if query.shape != "hits"])
def test_every_query_can_be_asked(name: str) -> None:
    extra = {"studyAccession": "SDY2"} if name == "ui/study/downloadCount" else {}
    asked = prepare(name, {**filled(name), **extra})
    assert len(asked.requests) == 1
    path, params = asked.requests[0]
    assert "{" not in path
    assert dict(params) == extra
    assert (asked.query.model is None) == (asked.columns == ())


@pytest.mark.parametrize(
    ("name", "filters", "told"),
    [
        ("elisa", {"studyAcession": "SDY2"}, "no filter 'studyAcession'; did you mean"),
        ("elisa", {"GENDER": "Male"}, "did you mean gender"),
        ("arm", {}, "asked with --studyAccession"),
        ("arm", {"studyAccession": "SDY2/../x"}, "no study accession"),
        ("arm", {"studyAccession": "$(id)"}, "no study accession"),
        ("arm", {"gender": "Male"}, "study/arm has no filter 'gender'"),
        ("elisa", {"studyAccession": "SDY1\n"}, ""),
        ("elisa", {"minSubjectAge": "old"}, "is a number, not 'old'"),
        ("elisa", {"minSubjectAge": [1, 2]}, "takes one value"),
        ("elisa", {"clinical": "maybe"}, "clinical is Y or N"),
        ("elisa", {"gender": {"a": 1}}, "is a mapping"),
        ("manifest", {"studyAccession": "SDY2", "fileType": "result_fil"}, "no file type 'result_fil'; did you mean"),
        ("ui/study/plannedvisit", {"studyAccession": "SDY2", "pivotTable": "../x"}, "cannot be a pivotTable"),
        ("ui/study/plannedvisit", {"studyAccession": "SDY2", "pivotTable": ".."}, "cannot be a pivotTable"),
        ("ui/study/downloadCount", {}, "asked with --studyAccession"),
        ("search/study", {}, "is a search"),
        ("elisaa", {}, "no query 'elisaa'"),
    ],
)
def test_what_cannot_be_asked_is_told(name: str, filters: dict[str, Any], told: str) -> None:
    if not told:  # blanks around are taken off
        assert prepare(name, filters).requests
        return
    with pytest.raises(UsageError, match=told.replace("(", r"\(")) as caught:
        prepare(name, filters)
    assert caught.value.hint


def test_values_are_taken_as_people_have_them() -> None:
    asked = prepare("elisa", {"clinical": True, "minSubjectAgeGte": 18, "armName": ["a", "b"], "race": None})
    assert asked.requests[0][1] == (("clinical", "Y"), ("minSubjectAgeGte", "18"), ("armName", "a,b"))
    assert (
        prepare("ui/intervention/compoundrolesummary", {"studyAccession": "SDY2", "compoundRole": "a b"})
        .requests[0][0]
        .endswith("/SDY2/a%20b")
    )
    assert "fileType" in filters_of(QUERIES["study/manifest"])


@given(subjects=st.lists(st.integers(1, 10**7).map(lambda n: f"SUB{n}"), min_size=1, max_size=3000, unique=True))
def test_long_lists_are_asked_for_in_parts_that_fit(subjects: list[str]) -> None:
    asked = prepare("elisa", {"subjectAccession": subjects, "studyAccession": ["SDY1", "SDY2"]})
    for study in ("SDY1", "SDY2"):
        parts = [dict(params) for _, params in asked.requests if ("studyAccession", study) in params]
        assert [one for part in parts for one in part["subjectAccession"].split(",")] == subjects
    assert all(len(urlencode(params)) <= 6000 for _, params in asked.requests)


def test_words_that_are_too_long_are_refused() -> None:
    with pytest.raises(UsageError, match="too long for one address"):
        prepare("elisa", {"armName": ["x" * 100 + str(n) for n in range(100)]})
