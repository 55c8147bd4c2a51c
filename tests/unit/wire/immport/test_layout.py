"""Records as bytes: whatever the values, a JSON reader and a TSV reader get them back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from packhorse.wire.immport.layout import JsonRows, Number, TsvRows, json_number, pretty
from packhorse.wire.immport.models import Member

MEMBERS = (Member("resultId", "integer"), Member("name"), Member("shared"), Member("value", "number"), Member("last"))
OWN = ("value", "resultId", "name")  # in another order than the members
text = st.one_of(st.none(), st.text(st.characters(exclude_categories=("Cs",)), max_size=30))
numbers = st.one_of(
    st.none(), st.sampled_from(["1.00", "-1.0", "0", ".5", "5.", "+3", "1e5", "NaN", "inf", ">10", "", "1_0", "٣"])
)
values = st.lists(st.tuples(numbers, st.integers(0, 10**17), text), max_size=5)


@given(values, text, text)
def test_json_says_the_same(
    rows: list[tuple[str | None, int, str | None]], shared: str | None, last: str | None
) -> None:
    layout = JsonRows(MEMBERS, OWN)
    frame = layout.frame({"shared": shared, "last": last})
    body = b"".join(layout.pieces((layout.record(frame, row) for row in rows), 10))
    found = json.loads(body)
    assert [list(record) for record in found] == [[member.name for member in MEMBERS]] * len(rows)
    for record, (number, result, name) in zip(found, rows, strict=True):
        assert (record["resultId"], record["name"], record["shared"], record["last"]) == (result, name, shared, last)
        assert record["value"] is None or float(number or "") == record["value"]
    assert body == b"[]" if not rows else body.startswith(b'[ {\n  "resultId" : ')


@given(values, text)
def test_tsv_is_a_line_a_record(rows: list[tuple[str | None, int, str | None]], shared: str | None) -> None:
    layout = TsvRows(MEMBERS, OWN)
    frame = layout.frame({"shared": shared})
    body = b"".join(layout.pieces(layout.record(frame, row) for row in rows)).decode()
    header, *lines = body.split("\n")
    assert header == "resultId\tname\tshared\tvalue\tlast"
    assert lines.pop() == ""
    assert len(lines) == len(body.splitlines()) - 1 == len(rows)
    for line, (number, result, _) in zip(lines, rows, strict=True):
        cells = line.split("\t")
        assert len(cells) == len(MEMBERS)
        assert (cells[0], cells[3], cells[4]) == (str(result), number or "", "")


def test_the_first_piece_leaves_at_once() -> None:
    layout = JsonRows(MEMBERS[:1])
    frame = layout.frame()
    sizes = [len(piece) for piece in layout.pieces((layout.record(frame, (number,)) for number in range(10_000)), 4096)]
    assert sizes[0] < 40
    assert max(sizes) < 5000


@given(st.text(max_size=12))
def test_a_number_is_one_or_null(given_text: str) -> None:
    found = json.loads(json_number(given_text))
    assert found is None or float(found) == float(given_text)


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
                    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner)),
                    max_leaves=8))  # fmt: skip
def test_pretty_is_json(value: object) -> None:
    assert json.loads(pretty(value)) == value
    assert pretty([Number("1.00"), Number("x")]) == "[ 1.00, null ]"
