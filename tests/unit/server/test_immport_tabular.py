"""Tables in Tab form: what is a row, what is none, and that no byte of a cell is lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import PackageError
from packhorse.server.immport.checks import RowChecks
from packhorse.server.immport.rules import KEYS
from packhorse.server.immport.tabular import Problem, TabReader
from packhorse.wire.immport.release import TABLES


def read(*blocks: bytes) -> tuple[TabReader, list[object]]:
    reader = TabReader("t.txt", blocks)
    return reader, list(reader.rows())


def test_rows_keep_their_text_and_line_numbers() -> None:
    reader, rows = read(b"ID\tVALUE\n1\t1.00\n\n2\t\"quoted 'x\r\n3\t\n4\t a ")
    assert reader.columns == ("id", "value")
    assert rows == [(2, ["1", "1.00"]), (4, ["2", "\"quoted 'x"]), (5, ["3", None]), (6, ["4", " a "])]


def test_too_many_and_too_few_cells_and_nul_are_problems_with_their_line() -> None:
    _, rows = read(b"A\tB\n1\n1\t2\t3\n1\t2\n\0\t2\n")
    assert [str(row) for row in rows if isinstance(row, Problem)] == [
        "t.txt:2: 1 cells, the header has 2",
        "t.txt:3: 3 cells, the header has 2",
        "t.txt:5: the line holds a NUL",
    ]
    assert [row for row in rows if not isinstance(row, Problem)] == [(4, ["1", "2"])]


def test_old_encodings_are_read_and_counted() -> None:
    reader, rows = read("A\tB\nµ\tü\n".encode(), b"\xb5\t\x80\n\x81\tx\n")
    assert rows == [(2, ["µ", "ü"]), (3, ["µ", "€"]), (4, ["\x81", "x"])]
    assert (reader.recoded, reader.recoded_line) == (2, 3)


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    assert read(b"\xef\xbb\xbfSTUDY_ACCESSION\tX\n")[0].columns == ("study_accession", "x")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "no header"),
        (b"\nA\tB\n", "no header"),
        ("A\tB\n".encode("utf-16"), "UTF-16"),
        (b"A\tB\tA\n", "a is there twice"),
        (b"A\t\n", "cannot be the name of column 2"),
        (b"A\tDROP TABLE x;--\n", "cannot be the name"),
        (b"\t".join(b"c%d" % n for n in range(1001)), "1,001 columns"),
    ],
)
def test_a_header_that_cannot_be_used(raw: bytes, words: str) -> None:
    with pytest.raises(PackageError, match=words):
        TabReader("t.txt", [raw])


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    given_out = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal given_out
        yield b"A\tB\n"
        while True:
            given_out += 1 << 20
            yield b"x" * (1 << 20)

    with pytest.raises(PackageError, match="longer than 16 MiB"):
        list(TabReader("t.txt", endless()).rows())
    assert given_out <= 18 << 20


_cell = st.text(st.characters(blacklist_characters="\t\n\0", blacklist_categories=("Cs",)), max_size=8)


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.tuples(st.just(width), st.lists(st.lists(_cell, min_size=width, max_size=width), max_size=8))
    ),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_what_is_written_comes_back(
    table: tuple[int, list[list[str]]], end: bytes, ended: bool, cuts: list[int]
) -> None:
    """Whatever the cells are, and wherever the blocks are cut."""
    width, rows = table
    # what a line alone cannot tell: an empty line, and a carriage return before the line's end
    rows = [row for row in rows if any(row) or width > 1]
    rows = [[*row[:-1], row[-1].rstrip("\r")] for row in rows]
    rows = [row for row in rows if any(row) or width > 1]
    lines = ["\t".join(f"c{n}" for n in range(width)), *("\t".join(row) for row in rows)]
    raw = end.join(line.encode() for line in lines) + (end if ended else b"")
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    blocks = [raw[a:b] for a, b in itertools.pairwise(edges)]
    reader = TabReader("t.txt", blocks)
    found = list(reader.rows())
    assert [cells for _, cells in found] == [[cell or None for cell in row] for row in rows]  # type: ignore[misc]
    assert [line for line, _ in found] == list(range(2, len(rows) + 2))  # type: ignore[misc]
    assert reader.recoded == 0


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_make_it_stumble(blocks: list[bytes]) -> None:
    try:
        reader = TabReader("t.txt", blocks)
        rows = list(reader.rows())
    except PackageError:
        return
    for row in rows:
        assert isinstance(row, Problem) or len(row[1]) == len(reader.columns)


# --------------------------------------------------------------------------- the rows of a table


def checks(table: str, columns: tuple[str, ...], **more: object) -> RowChecks:
    settings = {"terms": lambda name: None, "studies": frozenset({"SDY1"}), **more}
    return RowChecks(table, f"{table}.txt", columns, **settings)  # type: ignore[arg-type]


def test_every_key_is_a_column_of_its_table() -> None:
    assert all(set(key) <= set(TABLES[name]) for name, key in KEYS.items())
    assert KEYS["arm_2_subject"] == ("arm_accession", "subject_accession")


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["5", "ES1", "SDY1"], None),
        (["5", None, "SDY1"], None),
        ([None, "ES1", "SDY1"], "result_id is empty"),
        (["5.0", "ES1", "SDY1"], "result_id is '5.0', not a whole number"),
        (["5", "ES 1", "SDY1"], "expsample_accession is 'ES 1', not an accession"),
        (["5", "ES1", "EXP1"], "study_accession is 'EXP1', not a study accession"),
        (["5", "ES1", "SDY2"], "study_accession is SDY2, and study.txt has no such study"),
        (["5", "ES1'; DROP TABLE x", "SDY1"], "not an accession"),
    ],
)
def test_rows_of_results(cells: list[str | None], words: str | None) -> None:
    reason = checks("elisa_result", ("result_id", "expsample_accession", "study_accession")).reason(2, cells)
    assert (reason is None) if words is None else (reason is not None and words in reason)


def test_a_name_that_would_leave_its_folder_is_bad() -> None:
    made = checks("file_info", ("file_info_id", "name"))
    assert made.reason(2, ["1", "a.fcs"]) is None
    assert "cannot be the name" in (made.reason(3, ["2", "../../etc/passwd"]) or "")


def test_a_key_column_must_be_there() -> None:
    with pytest.raises(PackageError, match="no column subject_accession"):
        checks("arm_2_subject", ("arm_accession", "age_unit"))


def test_terms_that_no_vocabulary_has_are_warnings_and_counted() -> None:
    made = checks("subject", ("subject_accession", "gender"), terms={"lk_gender": frozenset({"Male"})}.get)
    for line, term in enumerate(("Male", "male", "Mal", "Mal", None), 2):
        assert made.reason(line, [f"SUB{line}", term]) is None
    assert made.warnings() == ["subject.txt:4: gender 'Mal' is not in its vocabulary (in 2 rows)"]
