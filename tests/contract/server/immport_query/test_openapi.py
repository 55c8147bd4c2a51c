"""The API's description, its page, and requests made from it with what an attacker would send."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packhorse.wire.immport.filters import FILTERS
from packhorse.wire.immport.openapi import describe
from packhorse.wire.immport.queries import QUERIES

from .conftest import Site

HOSTILE = [
    "'", '"', "';--", "$(reboot)", "`id`", "a\nb", "\x00", "..", "../../etc/passwd", "%", "_", "\\", "<script>", "İ",
    "ß", "\U0001f9ec", "1e400", "-1", "nan", "9" * 40, ",", ",,,", " ", "x" * 5000,
]  # fmt: skip
KNOWN = {"studyAccession": "SDY31", "experimentAccession": "EXP1", "compoundRole": "x", "pivotTable": "biosample"}
PATHS = describe("0", "http://test")["paths"]


def test_the_document(site: Site) -> None:
    found = site.json("v3/api-docs", None)
    assert found["openapi"].startswith("3.0.")
    text = json.dumps(found)
    for reference in set(re.findall(r'"\$ref": "#/components/(\w+)/(\w+)"', text)):
        assert reference[1] in found["components"][reference[0]]
    operations = [operation["get"]["operationId"] for operation in found["paths"].values()]
    assert len(operations) == len(set(operations))
    described = {path.removeprefix("/data/query/") for path in found["paths"]}
    assert {query.path for query in QUERIES.values()} <= described
    elisa = found["paths"]["/data/query/result/elisa"]["get"]
    names = [parameter["name"] for parameter in elisa["parameters"]]
    assert set(names) == {*FILTERS, "format"}
    assert elisa["security"] == [{"token": []}]


def test_every_path_of_the_document_is_there(site: Site) -> None:
    for path, operation in PATHS.items():
        if "/drs/" in path:
            continue
        filled = re.sub(r"\{(\w+)\}", lambda match: KNOWN[match[1]], path)
        answer = site.get(filled)
        assert answer.status_code == 200, (filled, answer.text)
        anonymous = site.get(filled, None)
        assert anonymous.status_code == (401 if operation["get"]["security"] == [{"token": []}] else 200), filled


def test_the_page_needs_nothing_from_elsewhere(site: Site) -> None:
    page = site.get("swagger-ui/index.html", None)
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in policy
    assert "<script>" not in page.text
    for name in re.findall(r'(?:src|href)="([^"/]+)"', page.text):
        asset = site.get(f"swagger-ui/{name}", None)
        assert asset.status_code == 200, name
        assert asset.content
    assert site.get("swagger-ui/swagger-ui-bundle.js", None).headers["content-type"].startswith("text/javascript")
    assert site.get("swagger-ui/..%2Findex.html", None).status_code == 404
    assert site.get("swagger-ui.html", None).headers["location"].endswith("/swagger-ui/index.html")


@pytest.mark.parametrize("path", sorted(path for path in PATHS if "/drs/" not in path and path.startswith("/data")))
def test_nothing_hostile_makes_the_server_fail(site: Site, path: str) -> None:
    names = re.findall(r"\{(\w+)\}", path)
    for value in HOSTILE if names else ():
        filled = path.removeprefix("/data/query/")
        for name in names:
            filled = filled.replace(f"{{{name}}}", quote(value, safe=""))
        _not_500(site, filled)
    parameters = [each["name"] for each in PATHS[path]["get"]["parameters"] if each["in"] == "query"]
    for number, name in enumerate(parameters):
        base = re.sub(r"\{\w+\}", "SDY31", path.removeprefix("/data/query/"))
        _not_500(site, f"{base}?{name}={quote(HOSTILE[number % len(HOSTILE)], safe='')}&studyAccession=SDY31")


def _not_500(site: Site, path: str) -> Any:
    answer = site.get(path)
    assert answer.status_code in (200, 400, 404), (path, answer.status_code, answer.text)
    return answer


@settings(deadline=None, max_examples=60)
@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from([*FILTERS, "format", "drop table"]),
            st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20)),
        ),
        max_size=4,
    )
)
def test_any_filters_are_answered_or_refused(site: Site, pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote(name)}={quote(value, safe='', errors='surrogatepass')}" for name, value in pairs)
    answer = _not_500(site, f"result/elisa?{query}")
    if answer.status_code == 200 and not any(
        value.strip().lower() == "tsv" for name, value in pairs if name == "format"
    ):
        assert isinstance(answer.json(), list)


@pytest.mark.parametrize("query", ["gender=%ED%A0%80", "armName=%FF%FE", "%ED%A0%80=x", "gender=%", "=x", "&&&"])
def test_bytes_that_are_no_text(site: Site, query: str) -> None:
    _not_500(site, f"result/elisa?{query}")
    _not_500(site, f"api/search/study?{query.replace('gender', 'term').replace('armName', 'sex')}")
