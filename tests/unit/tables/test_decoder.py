"""A server's answer to Arrow: however it is cut, whatever it holds, nothing is silently wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import ProtocolError
from packhorse.tables import Column, Decoder, WiderAnswerError, columns_of
from packhorse.wire.immport.models import MODELS

COLUMNS = (Column("id", "integer"), Column("text"), Column("number", "number"))


def rows_of(data: bytes, columns: tuple[Column, ...] = COLUMNS, step: int | None = None) -> list[dict[str, Any]]:
    return table_of(data, columns, step)[0]


def table_of(
    data: bytes, columns: tuple[Column, ...] = COLUMNS, step: int | None = None
) -> tuple[list[dict[str, Any]], Decoder]:
    decoder = Decoder(columns)
    blocks = []
    for start in range(0, len(data), step or max(1, len(data))):
        blocks += decoder.feed(data[start : start + (step or len(data))])
    blocks += decoder.finish()
    batches = [decoder.accept(block.decode()) for block in blocks]
    return [row for batch in batches for row in batch.to_pylist()], decoder


def pretty(rows: list[dict[str, Any]]) -> bytes:
    """The layout of the service."""
    inner = ", ".join(
        "{\n" + ",\n".join(f"  {json.dumps(k)} : {json.dumps(v, ensure_ascii=False)}" for k, v in row.items()) + "\n}"
        for row in rows
    )
    return f"[ {inner} ]".encode()


TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["}, {", '},\n  {\n "id"', '"},{"id":', "\\", '\\\\"', "]", "[[{", "é", "1.00", "", " ", "null"]),
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            "text": TEXTS,
            "number": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        }
    ),
    max_size=12,
)
LAYOUTS = st.sampled_from(
    [
        pretty,
        lambda rows: json.dumps(rows).encode(),
        lambda rows: json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode(),
        lambda rows: b"\xef\xbb\xbf" + json.dumps(rows, indent=1).encode() + b"\r\n",
    ]
)


@given(rows=RECORDS, layout=LAYOUTS, step=st.integers(1, 300), first=st.integers(1, 200), block=st.integers(1, 200))
def test_any_cut_of_json_gives_the_same_rows(
    rows: list[dict[str, Any]], layout: Any, step: int, first: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("packhorse.tables.decoder.FIRST_BLOCK", first)
        patch.setattr("packhorse.tables.decoder.JSON_BLOCK", block)
        assert rows_of(layout(rows), step=step) == rows


FINITE = st.floats(allow_nan=False, allow_infinity=False)
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=10)


@given(
    rows=st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), CELLS, FINITE),
        max_size=12,
    ),
    step=st.integers(1, 100),
    block=st.integers(1, 100),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_cut_of_lines_gives_the_same_rows(
    rows: list[tuple[int, str, float]], step: int, block: int, end: str
) -> None:
    text = "id\ttext\tnumber" + end + "".join(f"{a}\t{b}\t{c!r}{end}" for a, b, c in rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("packhorse.tables.decoder.FIRST_BLOCK", block)
        patch.setattr("packhorse.tables.decoder.LINE_BLOCK", block)
        found = rows_of(text.encode(), step=step)
    assert found == [{"id": a, "text": b or None, "number": c} for a, b, c in rows]


def test_the_documented_answer_keeps_order_nulls_and_numbers() -> None:
    model = MODELS["VElisaResult"]
    given = dict.fromkeys(model.names) | {"resultId": 89390, "studyAccession": "SDY2", "valueReported": "-1"}
    body = pretty([given]).replace(b'"maxSubjectAge" : null', b'"maxSubjectAge" : 1.00')
    rows, decoder = table_of(body, columns_of(model))
    assert list(rows[0]) == list(model.names)
    assert rows[0] == {**given, "maxSubjectAge": 1.0}
    assert decoder.notes == []


def test_null_and_empty_text_are_two_things_in_json() -> None:
    assert rows_of(b'[{"text": ""}, {"text": null}, {}]') == [
        {"id": None, "text": text, "number": None} for text in ("", None, None)
    ]


def test_members_in_addition_become_columns_of_their_kind() -> None:
    body = b'[{"id": 1, "n": 1, "x": 2.5, "t": "a", "deep": {"b": [1.00, null]}}, {"id": 2, "n": null, "x": 1}]'
    rows, decoder = table_of(body)
    assert [(c.name, c.kind, c.stated) for c in decoder.columns[3:]] == [
        ("n", "integer", False),
        ("x", "number", False),
        ("t", "text", False),
        ("deep", "text", False),
    ]
    assert rows[0]["deep"] == '{"b":[1.00,null]}'
    assert [row["x"] for row in rows] == [2.5, 1.0]


def test_a_member_that_appears_late_widens_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packhorse.tables.decoder.FIRST_BLOCK", 1)
    body = pretty([{"id": n, "text": "x", "number": 1.0} for n in range(50)] + [{"id": 51, "late": "here"}])
    with pytest.raises(WiderAnswerError, match="row 51 of the answer: late is in no row before") as caught:
        rows_of(body, step=100)
    rows = rows_of(body, caught.value.columns, step=100)
    assert rows[-1]["late"] == "here"
    assert rows[0]["late"] is None


@pytest.mark.parametrize(
    ("value", "told"),
    [('"N/A"', "is 'N/A', which is no number"), ("true", "is 'True'"), ("[1]", "is '[1]'"), ("1e999", "is '1e999'")],
)
def test_what_is_no_number_turns_its_column_into_text(value: str, told: str) -> None:
    body = f'[{{"number": 1.00}}, {{"number": {value}}}]'.encode()
    with pytest.raises(WiderAnswerError) as caught:
        rows_of(body)
    assert told in str(caught.value)
    assert "row 2" in str(caught.value)
    assert caught.value.hint is not None
    assert "--text number" in caught.value.hint
    found = [row["number"] for row in rows_of(body, caught.value.columns)]
    assert found == ["1.00", {"true": "true"}.get(value, value.strip('"'))]


def test_numbers_as_text_and_empty_texts_are_read_and_noted() -> None:
    rows, decoder = table_of(b'[{"id": "7", "number": "2.50", "text": 1.00}, {"id": 1.0, "number": "", "text": false}]')
    assert rows == [{"id": 7, "text": "1.00", "number": 2.5}, {"id": 1, "text": "false", "number": None}]
    assert sorted(str(note) for note in decoder.notes) == [
        "id: an integer written as text (row 1)",
        "number: a number written as text (row 1)",
        "number: an empty text in a field of numbers, read as null (row 2)",
        "text: true or false in a field of text (row 2)",
    ]


def test_integers_that_do_not_fit_lose_no_digit() -> None:
    with pytest.raises(WiderAnswerError) as caught:
        rows_of(b'[{"id": 99999999999999999999}]')
    assert rows_of(b'[{"id": 99999999999999999999}]', caught.value.columns)[0]["id"] == "99999999999999999999"


def test_times_are_read_from_text_and_from_milliseconds() -> None:
    columns = (Column("when", "timestamp"),)
    moment = datetime(2024, 5, 6, 7, 8, 9, 250_000, UTC)
    for body in (b'[{"when": "2024-05-06T07:08:09.250Z"}]', b'[{"when": 1714979289250}]'):
        assert rows_of(body, columns) == [{"when": moment}]
    with pytest.raises(WiderAnswerError, match="which is no time"):
        rows_of(b'[{"when": "yesterday"}]', columns)


@pytest.mark.parametrize("text", ["nan", "inf", "0x10", "1_000", "N/A"])
def test_lines_whose_numbers_are_none_turn_into_text(text: str) -> None:
    body = f"id\tnumber\n1\t1.0\n2\t{text}\n".encode()
    with pytest.raises(WiderAnswerError) as caught:
        rows_of(body)
    assert [row["number"] for row in rows_of(body, caught.value.columns)] == ["1.0", text]
    body = b"id\tnumber\n0x10\t1\n"
    with pytest.raises(WiderAnswerError, match="no integer"):
        rows_of(body)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "empty"),
        (b"  \r\n ", "empty"),
        (b"<!doctype html><title>Sign in</title>", "web page"),
        (b'[{"id": 1}, {"id": 2}', "cut off"),
        (b'[{"id": 1}, {"id": ', "cut off"),
        (b"[", "cut off"),
        (b'[{"id": 1}] [', "goes on"),
        (b'[{"id": 1}, 2]', "cut off|no record|not JSON"),
        (b'[{"id": 1}, [2]]', "no record"),
        (b'[{"id": 1 "x"}]', "not JSON"),
        (b'[{"text": "\xff"}]', "not UTF-8"),
        (b'[{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]", "beyond reason"),
        (b'[{"other": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001 + b"]", "beyond reason"),
        (b'[{"id": 1, "id": 2}]', "row 1 of the answer has 'id' twice"),
        (b'{"error": "no such \xc3\xa9 view"}', r"it says: no such \\xe9 view"),
        (b'{"id": 1}', "one object, not rows"),
        (b"id\ttext\n1\tx\ty\n", "row 1 of the answer has 3 cells, not 2"),
        (b"id\tid\n1\t2\n", "no table of these rows"),
        (b"<<<<<\n", "web page"),
        (b"No rows for you\n", "no table of these rows"),
        (b"id\ttext\n1\t\xff\n", "not UTF-8"),
        (b"x" * 100_000, "neither JSON nor tab-separated"),
    ],
)
@pytest.mark.parametrize("step", [None, 7])
def test_hostile_answers_are_refused(body: bytes, told: str, step: int | None) -> None:
    with pytest.raises(ProtocolError, match=told):
        rows_of(body, step=step)


def test_a_record_without_end_is_not_held_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packhorse.tables.splitting.MAX_RECORD", 1000)
    for start in (b'[{"text": "', b"id\ttext\n1\t"):
        decoder = Decoder(COLUMNS)
        decoder.feed(start)
        with pytest.raises(ProtocolError, match="longer than 1,000 bytes"):
            fed(decoder, b"x" * 5000)


def fed(decoder: Decoder, piece: bytes) -> None:
    for _ in range(1000):
        decoder.feed(piece)


def test_endless_names_are_refused() -> None:
    with pytest.raises(ProtocolError, match="beyond reason"):
        rows_of(json.dumps([{f"m{n}": n for n in range(3000)}]).encode())


def test_half_a_surrogate_pair_is_replaced_and_noted() -> None:
    rows, decoder = table_of(b'[{"text": "a\\ud800b"}, {"text": "\\ud83d\\ude00"}]')
    assert [row["text"] for row in rows] == ["a\ufffdb", "\U0001f600"]
    assert "surrogate" in str(decoder.notes[0])


def test_equal_repeats_of_a_member_are_one() -> None:
    assert rows_of(b'[{"id": 1, "id": 1}]') == [{"id": 1, "text": None, "number": None}]


def test_a_page_object_has_its_rows_in_content() -> None:
    assert [row["id"] for row in rows_of(b'{"totalPages": 1, "content": [{"id": 1}, {"id": 2}]}', step=3)] == [1, 2]
    assert rows_of(b'{"content": []}') == []


def test_lines_without_rows_and_without_a_last_line_end() -> None:
    assert rows_of(b"id\ttext\tnumber") == []
    assert rows_of(b"id\tmore\n1\tx") == [{"id": 1, "text": None, "number": None, "more": "x"}]


def test_quotes_in_lines_are_letters() -> None:
    assert rows_of(b'text\tid\n"a\t1\nb"\t2\n""\t3\n')[0]["text"] == '"a'


def test_the_fast_readers_take_the_usual_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> Any:
        raise AssertionError("read cell by cell")

    monkeypatch.setattr("packhorse.tables.blocks.Block._carefully", refused)
    rows = [{"id": n, "text": "é" if n % 2 else None, "number": n / 4} for n in range(100)]
    assert rows_of(pretty(rows)) == rows
    assert rows_of(json.dumps(rows).encode()) == rows
    assert len(rows_of(b"id\ttext\n" + b"1\tx\n" * 100)) == 100
    assert pa.__version__
