from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.cli.texts import Column, parse_rate, safe, shorten, size, table, wide
from packhorse.errors import UsageError


@given(st.integers(0, 2**60))
def test_sizes_are_short_and_close(number: int) -> None:
    text, unit = size(number).split()
    value = float(text) * 1024 ** ("B", "KiB", "MiB", "GiB", "TiB", "PiB").index(unit)
    assert abs(value - number) <= max(0.006 * number, 0.5)
    assert len(size(number)) <= 8


@pytest.mark.parametrize("text", ["", "M", "ten", "-5", "0", "10X", "1e9", "0.0001", "10M;rm"])
def test_bad_rates(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("500k", 512000), ("10m", 10485760), ("2G", 2**31), ("1kB", 1000), ("3MiB/s", 3 * 2**20), (".5K", 512)],
)
def test_rates(text: str, number: int) -> None:
    assert parse_rate(text) == number


@given(st.text())
def test_safe_text_has_nothing_that_steers(text: str) -> None:
    shown = safe(text)
    assert all(ch == " " or unicodedata.category(ch)[0] not in "CZ" for ch in shown)
    assert safe(shown) == shown


@given(st.text(), st.integers(1, 40))
def test_shortened_text_fits_and_keeps_both_ends(text: str, width: int) -> None:
    text = safe(text)
    short = shorten(text, width)
    assert wide(short) <= width
    if short != text:
        head, _, tail = short.partition("…")
        assert text.startswith(head)
        assert text.endswith(tail)


@given(st.lists(st.tuples(st.text(max_size=120), st.text("0123456789", max_size=8)), max_size=5))
def test_tables_fit_the_line(rows: list[tuple[str, str]]) -> None:
    columns = (Column("file", flexible=True), Column("size", right=True), Column("proof"))
    lines = table(columns, [[*row, "sha256"] for row in rows], 80)
    assert all(wide(line) <= 80 for line in lines)
    assert all(line.endswith(("sha256", "proof")) for line in lines)


def test_a_column_that_is_always_empty_is_left_out() -> None:
    assert table([Column("file"), Column("note")], [["a", ""]], 80) == ["file", "a"]
    assert table([Column("file")], [], 80) == []
