"""Names inside archives: safe on every system, unique there, readable, and untouched where nothing is wrong."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.wire.filenames import archive_names


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["a"],
        ["a/b/c.fastq.gz", "a/b/d", "a/c"],
        ["HLA-A*02:01.txt", "naïve 中文.txt", "..a", "a..b", "x/.hidden", "é/ß"],
        ["v1.2 (2).txt", "v1.2.txt"],
    ],
)
def test_what_is_right_stays(names: list[str]) -> None:
    assert archive_names(names) == names


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["/etc/passwd"], ["etc/passwd"]),
        (["../../x"], ["__/__/x"]),
        (["a\\..\\b"], ["a/__/b"]),
        (["C:\\Users\\x", "d:x", "/A:", "./b:/x"], ["C_/Users/x", "d_x", "A_", "b_/x"]),
        (["\\\\host\\share\\x"], ["host/share/x"]),
        (["", ".", "/", "./"], ["unnamed", "unnamed (2)", "unnamed (3)", "unnamed (4)"]),
        (["a\0b\nc\x7f", "\u202egpj.exe", "\udce9"], ["a_b_c_", "_gpj.exe", "_"]),
        (["...", " ", "a/ . /b"], ["___", "_", "a/___/b"]),
        (["a.txt", "a.txt", "A.TXT"], ["a.txt", "a (2).txt", "A (3).TXT"]),
        (["r.fastq.gz", "r.fastq.gz"], ["r.fastq.gz", "r (2).fastq.gz"]),
        (["v1.2 report", "v1.2 report"], ["v1.2 report", "v1.2 report (2)"]),
        (["a", "a/b", "A/c"], ["a (2)", "a/b", "A/c"]),
        (["a", "a", "a (2)"], ["a", "a (3)", "a (2)"]),
        (["é", "e\u0301"], ["é", "e\u0301 (2)"]),
        (["ß", "SS", "ss"], ["ß", "SS (2)", "ss (3)"]),
        (["a.", "a", "a "], ["a.", "a (2)", "a  (3)"]),
    ],
)
def test_what_is_wrong_is_renamed_readably(names: list[str], wanted: list[str]) -> None:
    assert archive_names(names) == wanted


def test_long_names_fit_and_keep_their_suffix() -> None:
    found = archive_names(["é" * 300 + ".fastq.gz", "x" * 300, "/".join(["f" * 200] * 100) + "/last.txt"])
    assert found[0].startswith("é" * 80)
    assert found[0].endswith(".gz")
    assert all(len(part.encode()) <= 255 for name in found for part in name.split("/"))
    assert len(found[2].encode()) <= 4096
    assert found[2].endswith("/last.txt")


def test_many_of_one_name_take_no_square_of_time() -> None:
    found = archive_names(["same.txt"] * 20_000)
    assert found[:3] == ["same.txt", "same (2).txt", "same (3).txt"]
    assert len(set(found)) == 20_000


parts = st.sampled_from(["a", "A", "b", "", ".", "..", "a.txt", "A.txt", "é", "e\u0301", "C:", " ", "a ", "ß", "ss"])
hostile = st.text(max_size=20) | st.lists(parts, max_size=4).map("/".join) | st.lists(parts, max_size=3).map("\\".join)


def weakest(path: str) -> str:
    """A file system that folds case, normalises and drops dots and blanks at the ends, written for this test."""
    folded = unicodedata.normalize("NFKD", path).casefold()
    return "/".join(part.rstrip(". ") for part in unicodedata.normalize("NFC", folded).split("/"))


@given(st.lists(hostile, max_size=12))
def test_nothing_escapes_collides_or_depends_on_luck(names: list[str]) -> None:
    found = archive_names(names)
    assert len(found) == len(names)
    assert archive_names(names) == found
    for name in found:
        name.encode("utf-8")
        assert "\\" not in name
        assert not re.match(r"[A-Za-z]:", name)
        for part in name.split("/"):
            assert part.strip(". ")
            assert not any(unicodedata.category(ch) in ("Cc", "Cs") for ch in part)
    files = [weakest(name) for name in found]
    assert len(set(files)) == len(files)
    folders = {file.rsplit("/", depth)[0] for file in files for depth in range(1, file.count("/") + 1)}
    assert not folders & set(files)
    assert archive_names(found) == found
