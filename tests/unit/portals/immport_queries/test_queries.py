"""Queries as a program asks them, against answers as good and as bad as servers give."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from packhorse.errors import (
    AuthenticationError,
    DestinationError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    ServerError,
    UsageError,
)
from packhorse.session import Session
from packhorse.wire.immport.models import MODELS

from .conftest import Answer, Site

NAMES = MODELS["VElisaResult"].names


def lines(study: str, count: int = 3) -> bytes:
    rows = [dict.fromkeys(NAMES, "") | {"resultId": str(n), "studyAccession": study} for n in range(count)]
    return ("\t".join(NAMES) + "\n" + "".join("\t".join(row.values()) + "\n" for row in rows)).encode()


def records(study: str, count: int = 3, **more: Any) -> bytes:
    rows = [dict.fromkeys(NAMES) | {"resultId": n, "studyAccession": study, **more} for n in range(count)]
    return json.dumps(rows, indent=2).encode()


def elisa(site: Site, count: int = 3) -> None:
    def answer(params: dict[str, str]) -> Answer:
        study = params.get("studyAccession", "SDY1")
        if params.get("format") == "tsv":
            return Answer(lines(study, count), kind="text/tab-separated-values")
        return Answer(records(study, count))

    site.answers["result/elisa"] = answer


def test_studies_are_asked_at_once_and_come_in_the_order_given(site: Site, session: Session) -> None:
    together = threading.Barrier(3, timeout=30)

    def answer(params: dict[str, str]) -> Answer:
        return Answer(lines(params["studyAccession"], 4), kind="text/tab-separated-values", before=together.wait)

    site.answers["result/elisa"] = answer
    table = session.query("lab", "elisa", studyAccession=["sdy9", "SDY2", "SDY4", "SDY2"])
    assert table.column("studyAccession") == ["SDY9"] * 4 + ["SDY2"] * 4 + ["SDY4"] * 4
    assert table.names == NAMES
    assert sorted(params["studyAccession"] for params in site.paths()) == ["SDY2", "SDY4", "SDY9"]
    assert {params["format"] for params in site.paths()} == {"tsv"}


def test_a_server_that_ignores_the_format_and_answers_json(site: Site, session: Session) -> None:
    site.answers["result/elisa"] = records("SDY2", comments="")
    table = session.query("lab", "result/elisa", studyAccession="SDY2")
    assert table.column("comments") == ["", "", ""]
    assert table.column("armName") == [None] * 3


@pytest.mark.parametrize("kind", ["json", "ndjson", "tsv", "csv", "parquet"])
def test_every_format_is_written(site: Site, session: Session, kind: str, tmp_path: Path) -> None:
    elisa(site, 5000)
    target = tmp_path / f"rows.{kind}"
    written = session.write_query("lab", "elisa", target, studyAccession="SDY2,SDY4")
    assert (written.rows, written.notes) == (10_000, ())
    assert [params.get("format") for params in site.paths()] == [None if "json" in kind else "tsv"] * 2
    if kind == "parquet":
        assert pq.read_table(target).column("studyAccession").to_pylist() == ["SDY2"] * 5000 + ["SDY4"] * 5000
    elif kind == "json":
        assert len(json.loads(target.read_bytes())) == 10_000
    else:
        assert target.read_bytes().count(b"\n") == 10_000 + (kind != "ndjson")


def test_no_rows_are_a_table_with_all_columns(site: Site, session: Session, tmp_path: Path) -> None:
    site.answers["result/hai"] = b"[]"
    table = session.query("lab", "hai", studyAccession="SDY2")
    assert (len(table), table.names) == (0, MODELS["VHaiResult"].names)
    written = session.write_query("lab", "hai", tmp_path / "hai.csv", studyAccession="SDY2")
    assert written.rows == 0
    assert (tmp_path / "hai.csv").read_text().strip() == ",".join(MODELS["VHaiResult"].names)


def test_a_late_member_is_asked_for_again_and_kept(site: Site, session: Session, tmp_path: Path) -> None:
    first = [{"name": "x" * 100, "armAccession": f"ARM{n}"} for n in range(2000)]
    site.answers["api/study/arm/SDY2"] = json.dumps([*first, {"name": "last", "late": 7}]).encode()
    table = session.query("lab", "arm", studyAccession="SDY2")
    assert (table.column("late")[-1], table.column("late")[0], len(table)) == (7, None, 2001)
    written = session.write_query("lab", "arm", tmp_path / "arms.csv", studyAccession="SDY2")
    assert [column.name for column in written.columns][-1] == "late"
    assert len(site.paths("api/study/arm")) == 4


def test_a_stream_that_cannot_begin_again_says_what_to_type(site: Site, session: Session) -> None:
    first = [{"name": "x" * 100, "orderNumber": n} for n in range(2000)]
    site.answers["api/study/plannedVisit/SDY2"] = json.dumps([*first, {"orderNumber": "N/A"}]).encode()
    with pytest.raises(ProtocolError, match=r"row 2,001 .*orderNumber is 'N/A', which is no integer") as caught:
        list(session.query_batches("lab", "plannedVisit", studyAccession="SDY2"))
    assert "--text orderNumber" in str(caught.value.hint)
    batches = list(session.query_batches("lab", "plannedVisit", studyAccession="SDY2", text=["orderNumber"]))
    assert sum(batch.num_rows for batch in batches) == 2001


def test_a_cut_answer_is_asked_for_again(site: Site, session: Session, tmp_path: Path) -> None:
    body = lines("SDY2", 3000)
    left = [60_000, 100]

    def answer(_: dict[str, str]) -> Answer:
        return Answer(body, kind="text/tab-separated-values", cut=left.pop() if left else None)

    site.answers["result/elisa"] = answer
    written = session.write_query("lab", "elisa", tmp_path / "rows.tsv", studyAccession="SDY2")
    assert written.rows == 3000
    assert (tmp_path / "rows.tsv").read_bytes().count(b"\n") == 3001
    assert len(site.paths()) == 3


def test_an_answer_that_is_always_cut_leaves_nothing(
    site: Site, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packhorse.net.retry.RetryPolicy.backoff", lambda *_: 0.01)
    site.answers["result/elisa"] = Answer(lines("SDY2", 3000), kind="text/tab-separated-values", cut=1000)
    with pytest.raises(NetworkError):
        session.write_query("lab", "elisa", tmp_path / "rows.tsv", studyAccession="SDY2")
    site.answers["result/elisa"] = Answer(records("SDY2", 10)[:-20])
    with pytest.raises(ProtocolError, match=r"lab:result/elisa: the answer was cut off"):
        session.write_query("lab", "elisa", tmp_path / "rows.json", studyAccession="SDY2")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "rows"))]


def test_lines_without_a_stated_end_are_not_trusted(site: Site, session: Session) -> None:
    site.answers["result/elisa"] = Answer(lines("SDY2"), kind="text/tab-separated-values", length=False)
    with pytest.raises(ProtocolError, match="end cannot be told") as caught:
        session.query("lab", "elisa", studyAccession="SDY2")
    assert "--wire json" in str(caught.value.hint)
    site.answers["result/elisa"] = Answer(records("SDY2"), length=False)
    assert len(session.query("lab", "elisa", studyAccession="SDY2", wire="json")) == 3


def test_a_web_page_is_no_table(site: Site, session: Session) -> None:
    site.answers["result/elisa"] = Answer(b"<!doctype html><title>Sign in</title>", kind="text/html")
    with pytest.raises(ProtocolError, match="lab:result/elisa: the answer is a web page"):
        session.query("lab", "elisa", studyAccession="SDY2")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationError), (403, PermissionDeniedError), (404, NotFoundError), (500, ServerError)],
)
def test_refusals_are_errors_of_their_kind(
    site: Site, session: Session, status: int, kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packhorse.net.retry.RetryPolicy.backoff", lambda *_: 0.01)
    site.answers["result/elisa"] = Answer(b'{"error" : "no"}', status)
    with pytest.raises(kind):
        session.write_query("lab", "elisa", tmp_path / "rows.csv", studyAccession=["SDY2", "SDY4"])
    assert not (tmp_path / "rows.csv").exists()


def test_one_refused_study_fails_the_whole(site: Site, session: Session, tmp_path: Path) -> None:
    def answer(params: dict[str, str]) -> Answer:
        if params["studyAccession"] == "SDY4":
            return Answer(b'{"error" : "Forbidden", "message" : "SDY4 is restricted"}', 403)
        return Answer(lines(params["studyAccession"], 2000), kind="text/tab-separated-values")

    site.answers["result/elisa"] = answer
    with pytest.raises(PermissionDeniedError, match="SDY4 is restricted"):
        session.write_query("lab", "elisa", tmp_path / "rows.csv", studyAccession=["SDY2", "SDY4"])
    assert not (tmp_path / "rows.csv").exists()


def test_a_file_that_is_there_is_refused_before_anything_is_asked(site: Site, session: Session, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("mine")
    with pytest.raises(DestinationError, match="there already"):
        session.write_query("lab", "elisa", tmp_path / "rows.csv", studyAccession="SDY2")
    assert site.paths() == []


def test_a_limit_ends_the_requests(site: Site, session: Session) -> None:
    elisa(site, 5000)
    table = session.query("lab", "elisa", studyAccession=["SDY2", "SDY4"], limit=5001)
    assert table.column("studyAccession")[-2:] == ["SDY2", "SDY4"]
    assert len(table) == 5001
    batches = session.query_batches("lab", "elisa", studyAccession="SDY2")
    assert next(batches).num_rows
    batches.close()


def test_async_callers_get_the_same(site: Site, session: Session, tmp_path: Path) -> None:
    elisa(site, 10)

    async def all_of_it() -> tuple[int, int, int]:
        table = await session.aquery("lab", "elisa", studyAccession="SDY2")
        written = await session.awrite_query("lab", "elisa", tmp_path / "rows.csv", studyAccession="SDY2", limit=5)
        streamed = [batch async for batch in session.aquery_batches("lab", "elisa", studyAccession="SDY2")]
        return len(table), written.rows, sum(batch.num_rows for batch in streamed)

    assert asyncio.run(all_of_it()) == (10, 5, 10)


def test_a_slow_reader_costs_disk_and_not_memory(site: Site, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packhorse.portals.immport.pipe._MEMORY", 1)
    monkeypatch.setattr("packhorse.portals.immport.pipe._CHUNK", 10_000)
    monkeypatch.setattr("packhorse.portals.immport.pipe._PATIENCE", 0.001)
    elisa(site, 5000)
    found = []
    for batch in session.query_batches("lab", "elisa", studyAccession=[f"SDY{n}" for n in range(1, 7)]):
        found += batch.column("studyAccession").to_pylist()
        time.sleep(0.01)
    assert found == [f"SDY{n}" for n in range(1, 7) for _ in range(5000)]


# Values and vocabularies.


def sexes(site: Site, *names: str) -> None:
    site.answers["api/lookup/lkSex"] = json.dumps([{"name": name} for name in names]).encode()


def test_an_unknown_value_is_refused_with_near_ones_and_can_be_forced(site: Site, session: Session) -> None:
    elisa(site)
    sexes(site, "Male", "Female")
    with pytest.raises(UsageError, match="'Femal' is not in the vocabulary lkSex; did you mean 'Female'") as caught:
        session.query("lab", "elisa", studyAccession="SDY2", gender="Femal")
    assert "--force" in str(caught.value.hint)
    assert site.paths() == []
    assert len(session.query("lab", "elisa", studyAccession="SDY2", gender="Femal", force=True)) == 3
    assert len(session.query("lab", "elisa", studyAccession="SDY2", gender="FEMALE")) == 3


def test_a_vocabulary_is_fetched_once_and_kept_for_a_day(
    site: Site, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    elisa(site)
    sexes(site, "Male")
    for _ in range(2):
        session.query("lab", "elisa", gender="male")
    monkeypatch.setattr("packhorse.portals.immport.vocabulary._CACHED", {})
    session.query("lab", "elisa", gender="male")
    assert len(site.paths("api/lookup")) == 1
    sexes(site, "Male", "Female")  # it has grown: a value that is missing is looked for again
    session.query("lab", "elisa", gender="female")
    assert len(site.paths("api/lookup")) == 2
    kept = next(session.settings.state_dir.glob("lookups/*/lkSex.json"))
    os.utime(kept, (0, time.time() - 25 * 3600))
    monkeypatch.setattr("packhorse.portals.immport.vocabulary._CACHED", {})
    session.query("lab", "elisa", gender="male")
    assert len(site.paths("api/lookup")) == 3


@pytest.mark.parametrize("answer", [Answer(b"{}", 404), Answer(b"<html>"), Answer(b"[]"), Answer(b'{"content": 7}')])
def test_a_server_without_the_vocabulary_refuses_no_value(site: Site, session: Session, answer: Answer) -> None:
    elisa(site)
    site.answers["api/lookup/lkSex"] = answer
    assert len(session.query("lab", "elisa", gender="anything")) == 3


def test_lookups_of_both_generations(site: Site, session: Session) -> None:
    sexes(site, "Male", "Female")
    assert session.lookup("lab", "lkSex").column("name") == ["Male", "Female"]
    site.answers["lk_analyte"] = b'{"content": [{"analyteAccession": "ANA1"}], "totalPages": 1}'
    assert session.lookup("lab", "lk_analyte").to_pylist() == [{"analyteAccession": "ANA1"}]
    with pytest.raises(UsageError, match="there is no lookup 'lkSx'; did you mean lkSex"):
        session.lookup("lab", "lkSx")


# The other shapes.


def test_one_object_is_a_table_of_one_row_and_a_record(site: Site, session: Session) -> None:
    body = {"studyAccession": "SDY2", "subjectsNumber": 2, "studyLinks": [{"name": "a", "value": "b"}]}
    site.answers["api/study/summary/SDY2"] = json.dumps(body).encode()
    table = session.query("lab", "study/summary", studyAccession="SDY2")
    assert len(table) == 1
    assert table.column("studyLinks") == ['[{"name":"a","value":"b"}]']
    assert session.query_record("lab", "study/summary", studyAccession="SDY2") == body


def test_lists_of_accessions_are_a_column(site: Site, session: Session) -> None:
    site.answers["api/study/getRestrictedStudyAccessions"] = b'["SDY3", "SDY5"]'
    site.answers["ui/study/findAllStudyAccessions"] = b'{"studyAccessions": ["SDY1"]}'
    restricted = session.query("lab", "study/getRestrictedStudyAccessions")
    assert restricted.to_pylist() == [{"studyAccession": "SDY3"}, {"studyAccession": "SDY5"}]
    assert session.query("lab", "ui/study/findAllStudyAccessions").to_pylist() == [{"studyAccession": "SDY1"}]


def test_lists_without_a_model_and_pages(site: Site, session: Session) -> None:
    site.answers["ui/reagent"] = b'{"content": [{"reagentAccession": "ESR1", "n": 1}], "last": true}'
    assert session.query("lab", "ui/reagent").to_pylist() == [{"reagentAccession": "ESR1", "n": 1}]
    site.answers["ui/subject/demographics/SDY2"] = b'[{"gender": "Male", "count": 3}]'
    assert session.query("lab", "ui/subject/demographics", studyAccession="SDY2").column("count") == [3]


def hits(count: int, total: Any, size: int = 1000) -> Any:
    def answer(params: dict[str, str]) -> bytes:
        start, asked = int(params["fromRecord"]), min(size, int(params["pageSize"]))
        found = [
            {"_id": f"SDY{n}", "_score": 1.5, "_source": {"study_accession": f"SDY{n}", "species": ["Homo sapiens"]}}
            for n in range(start, min(start + asked, count))
        ]
        buckets = {"gender": {"buckets": [{"key": "Female", "doc_count": 2}]}}
        return json.dumps({"hits": {"total": total, "hits": found}, "aggregations": buckets}).encode()

    return answer


@pytest.mark.parametrize("total", [7, {"value": 7, "relation": "eq"}, None])
def test_search_reads_all_pages_in_both_shapes(site: Site, session: Session, total: Any) -> None:
    site.answers["api/search/study"] = hits(7, total, size=3)
    found = session.search("lab", "asthma", sex="Female", researchFocus=["a", "b"])
    assert [hit.id for hit in found.hits] == [f"SDY{n}" for n in range(7)]
    assert found.total == 7
    assert found.facets == {"sex": {"Female": 2}}
    assert site.paths("api/search")[0] == {
        "term": "asthma",
        "sex": "Female",
        "researchFocus": "a,b",
        "fromRecord": "0",
        "pageSize": "500",
    }


def test_search_ends_with_a_server_that_ignores_pages(site: Site, session: Session) -> None:
    site.answers["api/search/study"] = lambda _: hits(5, 100)({"fromRecord": "0", "pageSize": "5"})
    found = session.search("lab", "x")
    assert len(found.hits) == 5
    assert len(site.paths("api/search")) == 2
    assert len(session.search("lab", "x", limit=2).hits) == 2


def test_search_refuses_what_is_no_facet_and_no_answer(site: Site, session: Session) -> None:
    with pytest.raises(UsageError, match="no facet 'gendr'"):
        session.search("lab", "x", gendr="Female")
    site.answers["api/search/study"] = b'{"total": 1}'
    with pytest.raises(ProtocolError, match="has no hits"):
        session.search("lab", "x")


def test_a_remote_without_tables_says_so(session: Session) -> None:
    with pytest.raises(UsageError, match="flow has no tables"):
        session.query("flow", "elisa")
