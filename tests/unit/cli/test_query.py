"""``query``, ``lookup`` and ``studies`` over a session that is a stand-in."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest

from packhorse.cli.rows import telling
from packhorse.errors import NetworkError
from packhorse.portals.immport.queries import Written
from packhorse.portals.immport.searching import Found, Hit
from packhorse.tables import Column, Note, Table

from .conftest import FakeSession, Ran

Packhorse = Callable[..., Ran]
ROWS = [{"resultId": n, "studyAccession": "SDY2", "valuePreferred": n / 2, "comments": None} for n in range(30)]


def batches(rows: list[dict[str, Any]] = ROWS) -> Any:
    def give(*_: Any, **__: Any) -> Any:
        yield from Table.from_records(rows).to_arrow().to_batches(max_chunksize=7)

    return give


def write(_: str, __: str, target: Any, *, kind: str, **___: Any) -> Written:
    table = Table.from_records(ROWS)
    table.write(target, kind)  # type: ignore[arg-type]
    return Written(len(table), table.columns, (Note("comments", "odd", 3),))


def test_a_terminal_shows_the_first_rows_and_how_many_there_are(packhorse: Packhorse) -> None:
    ran = packhorse("query", "lab", "elisa", terminal=True, session=FakeSession(query_batches=batches()))
    lines = ran.out.splitlines()
    assert ran.code == 0
    assert "studyAccession  valuePreferred  resultId" in lines[0]
    assert "comments" not in ran.out
    assert "20 of 30 rows, 3 of 4 columns; all of it: -o FILE.tsv" in lines[-1]
    assert len(lines) == 22
    none = packhorse("query", "lab", "elisa", terminal=True, session=FakeSession(query_batches=batches([])))
    assert (none.code, "no row matches" in none.out) == (0, True)


def test_a_pipe_gets_every_row_and_warnings_go_elsewhere(packhorse: Packhorse) -> None:
    ran = packhorse("query", "lab", "elisa", session=FakeSession(write_query=write))
    assert ran.out.splitlines()[0].split("\t") == list(ROWS[0])
    assert len(ran.out.splitlines()) == 31
    assert ran.err == "warning: comments: odd (row 3)\n"


def test_programs_get_a_line_a_row(packhorse: Packhorse) -> None:
    ran = packhorse("query", "lab", "elisa", "--json", session=FakeSession(query_batches=batches()))
    assert [line["row"] for line in ran.objects] == ROWS
    assert {(line["v"], line["event"]) for line in ran.objects} == {(1, "row")}


def test_options_reach_the_session(packhorse: Packhorse, tmp_path: Any) -> None:
    session = FakeSession(write_query=write)
    target = str(tmp_path / "rows.parquet")
    options = ["--study-accession", "SDY2,SDY4", "--GENDER", "Male", "--gender", "Female", "--minSubjectAgeGte", "18"]
    ran = packhorse(
        "query", "lab", "elisa", *options, "-o", target, "--limit", "9", "--text", "x", "--force", session=session
    )
    assert ran.code == 0, ran.err
    assert ran.out == f"{target}: 30 rows, 4 columns\n"
    assert session.calls[0][1] == ("lab", "elisa", target)
    assert session.calls[0][2] == {
        "kind": "parquet",
        "overwrite": False,
        "text": ("x",),
        "limit": 9,
        "force": True,
        "wire": "auto",
        "studyAccession": ("SDY2,SDY4",),
        "gender": ("Male", "Female"),
        "minSubjectAgeGte": ("18",),
    }
    assert pq.read_table(target).num_rows == 30


def test_a_terminal_cannot_show_parquet(packhorse: Packhorse) -> None:
    ran = packhorse("query", "lab", "elisa", "--format", "parquet", terminal=True, session=FakeSession())
    assert ran.code == 2
    assert "-o rows.parquet" in ran.err


@pytest.mark.parametrize("words", [("query",), ("query", "lab"), ("query", "lab", "elisa", "--studyAcession", "S")])
def test_usage_errors_say_what_to_type(packhorse: Packhorse, words: tuple[str, ...]) -> None:
    ran = packhorse(*words, session=FakeSession())
    assert ran.code == 2
    assert "hint: packhorse query" in ran.err


def test_a_failure_keeps_its_code(packhorse: Packhorse) -> None:
    ran = packhorse("query", "lab", "elisa", session=FakeSession(write_query=NetworkError("cut")))
    assert (ran.code, ran.out) == (1, "")


def test_lists_of_queries_and_filters(packhorse: Packhorse) -> None:
    queries = packhorse("query", "--list", "--json").objects
    assert {
        "name": "study/arm",
        "path": "api/study/arm/{studyAccession}",
        "needs": ["--studyAccession"],
    }.items() <= next(line for line in queries if line["name"] == "study/arm").items()
    filters = packhorse("query", "--filters", "-q").out.split()
    assert len(filters) == 44
    assert "studyTimeCollectedGte" in filters


def test_lookups(packhorse: Packhorse) -> None:
    session = FakeSession(lookup=Table.from_records([{"name": "Male", "description": ""}]))
    assert packhorse("lookup", "lab", "lkSex", session=session).out == "name\tdescription\nMale\t\n"
    assert "1 term" in packhorse("lookup", "lab", "lkSex", terminal=True, session=session).out
    assert session.calls[0][2] == {"fresh": False}
    assert "lkVirusStrain" in packhorse("lookup", "lab", "-q").out.split()


def test_search_shows_hits_and_counts(packhorse: Packhorse) -> None:
    hit = Hit("SDY2", 1.0, {"study_accession": "SDY2", "species": ["Homo sapiens", "Mus musculus"]}, {})
    session = FakeSession(search=Found(7, (hit,), {"sex": {"Female": 2}}))
    ran = packhorse("studies", "search", "lab", "x", "--facet", "sex=Female,Male", "--format", "json", session=session)
    assert json.load(io.StringIO(ran.out)) == [{"study_accession": "SDY2", "species": "Homo sapiens; Mus musculus"}]
    assert "1 of 7 hits" in ran.err
    assert session.calls[0][2]["sex"] == ["Female", "Male"]
    counts = packhorse("studies", "search", "lab", "--counts", session=session)
    assert counts.out == "facet\tvalue\tstudy_count\nsex\tFemale\t2\n"
    assert packhorse("studies", "search", "lab", "x", "--facet", "sex", session=session).code == 2


def test_a_study_is_shown(packhorse: Packhorse) -> None:
    session = FakeSession(info={"studyAccession": "SDY2", "title": "A title", "doi": None})
    ran = packhorse("studies", "show", "lab", "sdy2", session=session)
    assert ran.out == "studyAccession: SDY2\ntitle: A title\n"
    assert session.calls[0][1] == ("lab:SDY2",)
    assert packhorse("studies", "show", "lab", "x", session=session).code == 2


def test_the_fuller_of_two_twins_is_shown() -> None:
    rows = [{"analytePreferred": None, "analyteReported": "IL-2"}, {"analytePreferred": "x", "analyteReported": "y"}]
    assert telling(list(rows[0]), rows, 80) == ["analyteReported"]
    assert telling(["a" * 200], [{"a" * 200: 1}], 80) == ["a" * 200]
    assert Column("a").kind == "text"
