"""Tables in memory, and the way out into files."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import DestinationError, SettingsError, UsageError
from packhorse.tables import FORMATS, Column, Table, placed, writing

COLUMNS = (Column("id", "integer"), Column('text, "odd"'), Column("number", "number"))
NAME = COLUMNS[1].name
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            NAME: st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=10)),
            "number": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        }
    ),
    max_size=20,
)


def written(rows: list[dict[str, Any]], kind: Any) -> bytes:
    out = io.BytesIO()
    Table.from_records(rows, COLUMNS).write(out, kind)
    return out.getvalue()


@given(rows=ROWS)
def test_json_holds_everything(rows: list[dict[str, Any]]) -> None:
    assert json.loads(written(rows, "json")) == rows
    assert [json.loads(line) for line in written(rows, "ndjson").split(b"\n")[:-1]] == rows


@given(rows=ROWS)
def test_parquet_holds_everything(rows: list[dict[str, Any]]) -> None:
    assert pq.read_table(io.BytesIO(written(rows, "parquet"))).to_pylist() == rows


@given(rows=ROWS)
def test_csv_holds_everything_but_null_and_empty_for_plain_readers(rows: list[dict[str, Any]]) -> None:
    text = written(rows, "csv").decode()
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found[0] == [column.name for column in COLUMNS]
    assert len(found) == len(rows) + 1
    for cells, row in zip(found[1:], rows, strict=True):
        assert cells[1] == (row[NAME] or "")
        assert (int(cells[0]) if cells[0] else None) == row["id"]
        assert (float(cells[2]) if cells[2] else None) == row["number"]


def test_csv_keeps_null_and_empty_text_apart() -> None:
    rows = [{"id": 1, NAME: ""}, {"id": 2, NAME: None}, {"id": 3, NAME: 'a "b", c'}]
    assert written(rows, "csv").decode().splitlines()[1:] == ['1,"",', "2,,", '3,"a ""b"", c",']


@given(rows=ROWS)
def test_tsv_has_a_line_for_every_row(rows: list[dict[str, Any]]) -> None:
    lines = written(rows, "tsv").decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        cells = line.split("\t")
        expected = (row[NAME] or "").replace("\r\n", " ")
        assert cells[1] == expected.replace("\t", " ").replace("\n", " ").replace("\r", " ")
        assert (float(cells[2]) if cells[2] else None) == row["number"]


def test_tsv_says_what_it_could_not_write() -> None:
    out = io.BytesIO()
    rows = [{"id": 1, NAME: "plain"}, {"id": 2, NAME: "a\tb"}, {"id": 3, NAME: "c\nd"}]
    notes = Table.from_records(rows, COLUMNS).write(out, "tsv")
    assert [str(note) for note in notes] == [f"{NAME}: a tab or line break, written as a blank (row 2 and 1 more)"]


def test_numbers_are_written_with_a_point() -> None:
    rows = [{"id": 1, "number": value} for value in (1.0, -1.0, 0.25, 1e300)]
    assert [line.split("\t")[2] for line in written(rows, "tsv").decode().splitlines()[1:]] == [
        "1.0",
        "-1.0",
        "0.25",
        "1e+300",
    ]


def test_every_format_can_be_empty() -> None:
    assert written([], "json") == b"[]\n"
    assert written([], "ndjson") == b""
    assert written([], "tsv").count(b"\n") == 1
    assert written([], "csv").count(b"\n") == 1
    assert pq.read_table(io.BytesIO(written([], "parquet"))).num_rows == 0


def test_pandas_gets_whole_integers_and_real_nulls() -> None:
    table = Table.from_records(
        [{"id": 2**60 + 1, "n": 1, "t": ""}, {"id": None, "n": 2, "t": None}], (Column("id", "integer"),)
    )
    frame = table.to_pandas()
    assert list(frame.columns) == ["id", "n", "t"]
    assert frame["id"][0] == 2**60 + 1
    assert frame["id"].isna().tolist() == [False, True]
    assert str(frame["n"].dtype) == "int64"
    assert frame["t"].isna().tolist() == [False, True]
    assert isinstance(frame, pd.DataFrame)


def test_other_tools_take_a_table_as_it_is() -> None:
    import pyarrow as pa

    table = Table.from_records([{"a": 1}])
    assert pa.table(table).to_pylist() == [{"a": 1}]
    assert repr(table) == "<Table: 1 rows, 1 columns>"


def fail_in_the_middle(target: Path, kind: Any, batch: Any) -> None:
    with placed(target) as file, writing(kind, file, [Column("a", "integer")]) as writer:
        writer.write(batch)
        raise RuntimeError


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_whole_or_not_there(kind: Any, tmp_path: Path) -> None:
    target = tmp_path / "new" / f"rows.{kind}"
    batch = Table.from_records([{"a": 1}]).to_arrow().to_batches()[0]
    with pytest.raises(RuntimeError):
        fail_in_the_middle(target, kind, batch)
    assert list(target.parent.iterdir()) == []
    table = Table.from_records([{"a": 1}])
    table.write(target)
    first = target.read_bytes()
    assert first
    with pytest.raises(DestinationError, match="is there already") as caught:
        table.write(target)
    assert "--overwrite" in str(caught.value.hint)
    Table.from_records([{"a": 1}, {"a": 2}]).write(target, overwrite=True)
    assert target.read_bytes() != first
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_folder_and_a_place_without_rights_are_refused(tmp_path: Path) -> None:
    table = Table.from_records([{"a": 1}])
    with pytest.raises(DestinationError, match="is a folder"):
        table.write(tmp_path, "csv", overwrite=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(DestinationError, match="cannot be written"):
        table.write(tmp_path / "file" / "rows.csv")
    with pytest.raises(UsageError, match="does not say a format"):
        table.write(tmp_path / "rows.xlsx")


def write_while_it_appears(target: Path) -> None:
    with placed(target) as file:
        file.write(b"mine")
        target.write_text("theirs")


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    with pytest.raises(DestinationError, match="is there already"):
        write_while_it_appears(target)
    assert target.read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 1


def test_records_that_do_not_fit_turn_their_column_into_text() -> None:
    table = Table.from_records([{"a": 1}, {"a": "x"}], (Column("a", "integer"),))
    assert table.column("a") == ["1", "x"]


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = "import sys, packhorse.tables, packhorse.session; print({'pyarrow', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_missing_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(SettingsError, match=name) as caught:
            Table.from_records([{"a": 1}]).to_pandas()
        assert caught.value.hint == "pip install 'packhorse[tables]'"
        monkeypatch.undo()
