"""Flow's read API: records, lists, filters, paging, refusals."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from .conftest import Demo


def test_what_the_guide_reads(demo: Demo) -> None:
    data = demo.json("/data/789", "demo")
    assert data["id"] == "789"
    assert data["download_url"] == f"/downloads/789/{data['filename']}"
    sample = demo.json("/samples/12", "demo")
    assert [entry["id"] for entry in sample["data"]] == ["789", "790"]
    project = demo.json("/projects/3", "demo")
    assert len(project["samples"]) >= 2
    assert [entry["id"] for one in project["samples"] for entry in one["data"]] == ["789", "790", "791"]
    execution = demo.json("/executions/456", "demo")
    assert {output["filename"] for output in execution["outputs"]} == {
        "multiqc_report.html",
        "pipeline_report.html",
        "results/counts/all.gene_counts.tsv",
        "results/salmon/salmon.merged.gene_tpm.tsv",
    }
    assert all(isinstance(output["size"], int) for output in execution["outputs"])
    assert len(execution["process_executions"][0]["downstream_data"]) == 4


def test_fields_of_the_live_service(demo: Demo) -> None:
    wanted = [
        "id",
        "filename",
        "filetype",
        "size",
        "is_binary",
        "is_directory",
        "created",
        "category",
        "data_type",
        "private",
        "owner",
        "group_owner",
        "paired",
        "fileset",
        "execution",
        "sample",
        "project",
        "can_edit",
    ]
    assert set(wanted) <= set(demo.json("/data/789", "demo"))
    assert "absolute_path" not in demo.json("/data/789", "demo")
    sample = demo.json("/samples/12", "demo")
    assert sample["sample_type"] == "RNA-Seq"
    assert sample["metadata"]["strandedness"]["value"] == "reverse"
    assert sample["filesets"][0]["data"][0]["filename"] == "WT_rep1_R1.fastq.gz"
    row = demo.json("/samples/search?name=wt_REP1", "demo")["samples"][0]
    assert row["sample_type"] == {"identifier": "RNA-Seq", "name": "RNA-Seq"}
    assert row["is_paired"] is True
    assert set(row["metadata"]) == {"source", "condition"}
    full = demo.json("/samples/search?name=wt_REP1&full_metadata=yes", "demo")["samples"][0]
    assert "strandedness" in full["metadata"]
    me = demo.json("/me", "demo")
    assert (me["username"], me["is_admin"]) == ("demo", False)
    assert demo.get("/me").status_code == 401


def test_times_are_iso_where_flow_has_them_so(demo: Demo) -> None:
    assert "T" in demo.json("/samples/12/data", "demo")["data"][0]["created"]
    assert "T" in demo.json("/samples/12/executions", "demo")["executions"][0]["created"]
    assert isinstance(demo.json("/data/search", "demo")["data"][0]["created"], int)


def ids(answer: Any, plural: str = "data") -> set[str]:
    return {row["id"] for row in answer[plural]}


def test_lists_show_only_what_the_caller_may_read(demo: Demo) -> None:
    everything = ids(demo.json("/data/search?count=100", "admin"))
    public, other = ids(demo.json("/data/search?count=100")), ids(demo.json("/data/search?count=100", "other"))
    assert public == {"792", "793", "794", "801", "802", "803"}
    assert other == public | {"795"}
    assert ids(demo.json("/data/search?count=100", "demo")) == everything >= {"789", "790", "791", "1001", "1004"}
    assert ids(demo.json("/data/search?owned=true", "other")) == set()
    assert ids(demo.json("/data/search?owned=true")) == set()
    assert ids(demo.json("/samples/search"), "samples") == {"14", "20"}
    assert ids(demo.json("/projects/search"), "projects") == {"4", "5"}
    assert ids(demo.json("/executions/search"), "executions") == set()
    assert ids(demo.json("/executions/search?return_data=1", "demo"), "executions") == {"456"}
    for row in demo.json("/search?q=rep")["results"].values():
        assert row == []
    assert demo.json("/search?q=rep", "demo")["total_count"] > 0


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("filename=rep1", {"789", "790"}),
        ("pattern=R1%5C.fastq", {"789", "791", "792", "793"}),
        ("data_types=fcs,report", {"801", "802", "803", "1001", "1002"}),
        ("size_gt=60000000", {"792"}),
        ("size_gt=242048&size_lt=242048", {"801", "803"}),
        ("category=4&owner=demo&filename=public", {"793", "794"}),
        ("uploaded=false", {"1001", "1002", "1003", "1004"}),
        ("pipeline=rna", {"1001", "1002", "1003", "1004"}),
        ("filename=%25", set()),
        ("filename=_rep", {"789", "790", "791", "1001", "1002"}),
        ("created_lt=5", set()),
        ("unknown=parameter&filename=rep2", {"791"}),
    ],
)
def test_data_filters(demo: Demo, query: str, wanted: set[str]) -> None:
    answer = demo.json(f"/data/search?count=100&{query}", "demo")
    assert ids(answer) == wanted
    assert answer["count"] == len(wanted)


def test_pages_and_order(demo: Demo) -> None:
    seen: list[str] = []
    for page in range(1, 4):
        answer = demo.json(f"/data/search?page={page}&count=5&sort=filename", "demo")
        assert (answer["page"], answer["count"]) == (page, 14)
        seen += [row["filename"] for row in answer["data"]]
    assert len(seen) == 14
    assert seen == sorted(seen)
    assert demo.json("/data/search?page=99", "demo")["data"] == []
    assert len(demo.json("/data/search", "demo")["data"]) == 10
    newest = [row["created"] for row in demo.json("/data/search?count=100", "demo")["data"]]
    assert newest == sorted(newest, reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "count=101",
        "count=x",
        "page=0",
        "page=-1",
        "count=0",
        "page=1.5",
        "sort=size",
        "created_gt=soon",
        "pattern=(a%2B)%2B",
        "pattern=[",
        "pattern=a*a*a*a*b",
        "page=99999999999999999999999",
    ],
)
def test_bad_parameters(demo: Demo, query: str) -> None:
    answer = demo.get(f"/data/search?{query}")
    assert answer.status_code == 400
    body = answer.json()
    assert (body["code"], body["status"]) == ("VALIDATION_ERROR", 400)
    if query == "count=101":
        assert body["error"] == "Cannot request more than 100 items"


def test_text_previews_put_together_are_the_file(demo: Demo) -> None:
    text, position, more = "", 0, True
    while more:
        answer = demo.json(f"/data/1003/contents?position={position}", "demo")
        text, position, more = text + answer["contents"], position + 1, answer["has_more"]
    assert hashlib.sha256(text.encode()).hexdigest() == demo.json("/data/1003", "demo")["sha256"]
    assert text.startswith("gene_id\tgene_name\t")
    assert demo.get("/data/789/contents", "demo").json()["error"] == "Data is binary"
    assert demo.json("/data/1003/contents?position=999999", "demo") == {"contents": "", "has_more": False}


def test_parts_of_an_execution(demo: Demo) -> None:
    assert set(demo.json("/executions/456?include=outputs&include=status", "demo")) == {"id", "outputs", "status"}
    assert "log" not in demo.json("/executions/456?exclude=log", "demo")
    assert demo.get("/executions/456?exclude=log&include=log", "demo").status_code == 400
    assert demo.json("/executions/456?log=5", "demo")["log"] == demo.json("/executions/456", "demo")["log"][5:]


def test_vocabularies_and_stubs(demo: Demo) -> None:
    assert demo.json("/samples/types/RNA-Seq")["sample_count"] == 1
    assert demo.get("/samples/types/none").status_code == 404
    options = demo.json("/samples/metadata/strandedness/options?value=re")
    assert [option["value"] for option in options["options"]] == ["reverse"]
    assert demo.get("/samples/metadata/none/options").status_code == 404
    assert demo.json("/organisms/Hs")["latin_name"] == "Homo sapiens"
    assert {entry["identifier"]: entry["data_count"] for entry in demo.json("/data/types")}["fcs"] == 3
    assert demo.json("/pipelines", "demo")[0]["subcategories"][0]["pipelines"][0]["name"] == "RNA-Seq"
    assert demo.json("/pipelines") == []
    assert demo.get("/pipelines/versions/1/run", "demo", method="POST").status_code == 403
    assert demo.json("/users/search?name=res", "demo")["users"][0]["username"] == "demo"
    assert demo.get("/users/search?name=res").status_code == 401


@pytest.mark.parametrize(
    "path", ["/nothing", "/data", "/data/search/x/y", "/downloads/789", "/v2/nothing", "//", "/%00", "/data/%F0%9F"]
)
def test_unknown_addresses_answer_json_and_never_redirect(demo: Demo, path: str) -> None:
    for shown in (path, path + "/"):
        answer = demo.get(shown)
        assert answer.status_code == 404, shown
        assert answer.headers["Content-Type"].startswith("application/")
        assert isinstance(answer.json(), dict)


def test_other_methods(demo: Demo) -> None:
    answer = demo.get("/data/789", "demo", method="DELETE")
    assert answer.status_code == 405
    assert answer.json()["code"] == "METHOD_NOT_ALLOWED"
    assert demo.get("/data/792", method="HEAD").status_code == 200


def test_pages_outside_the_api(demo: Demo) -> None:
    page = demo.http.get(demo.url + "/", timeout=9)
    assert demo.api in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert demo.http.get(demo.url + "/healthz", timeout=9).json()["status"] == "ok"
