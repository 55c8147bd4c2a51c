"""Paths of study files: both forms of the slash come in, nothing that leads elsewhere does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import UsageError
from packhorse.wire.immport import paths


@pytest.mark.parametrize(
    ("given_path", "kept"),
    [("SDY1/a", "SDY1/a"), ("/SDY1/a", "SDY1/a"), ("/SDY1/", "SDY1"), ("/", ""), ("", ""), ("ä/b c.txt", "ä/b c.txt")],
)
def test_slashes_at_the_ends_come_off(given_path: str, kept: str) -> None:
    assert paths.check_path(given_path) == kept


@pytest.mark.parametrize(
    "text",
    ["../x", "SDY1/../x", "SDY1/./x", "//SDY1", "SDY1//x", "SDY1\\x", "SDY1/a\0", "a\nb", "a\rb", "a\x85b", "a\u2028b",
     "SDY1/\ud800", "x" * 256, "/".join(["y" * 200] * 6)],
)  # fmt: skip
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        paths.check_path(text)


@given(st.text(max_size=40))
def test_what_passes_stays_below_its_folder(text: str) -> None:
    try:
        path = paths.check_path(text)
    except UsageError:
        return
    assert paths.check_path(paths.with_slash(path)) == path
    assert ".." not in path.split("/")
    assert not any(ord(ch) < 32 for ch in path)


def test_the_layout_of_the_data_browser() -> None:
    assert paths.result_path("sdy7", "Image Histology result", "a.9.tif") == (
        "SDY7/ResultFiles/Image_Histology_result/a.9.tif"
    )
    assert paths.result_path("SDY7", "a / b", "c") == "SDY7/ResultFiles/a_b/c"
    assert paths.result_path("SDY7", None, "c") == "SDY7/ResultFiles/c"
    assert paths.study_file_path("SDY7", "c") == "SDY7/StudyFiles/c"
    assert paths.protocol_path("SDY7", "c") == "SDY7/Protocols/c"
    assert paths.package_path("SDY7", "DR25") == "SDY7/SDY7-DR25_Tab.zip"
    assert paths.study_of("SDY7/x") == "SDY7"
    assert paths.study_of("") is None
    assert paths.study_of("ALLSTUDIES/x") is None


@pytest.mark.parametrize(("accession", "name"), [("SDY1", "a/b"), ("SDY1", ".."), ("SDY1", "a\nb"), ("EXP1", "a")])
def test_a_name_that_leads_elsewhere_is_refused(accession: str, name: str) -> None:
    with pytest.raises(UsageError):
        paths.result_path(accession, "ELISA result", name)
