"""``packhorse server import-study`` and its like: what is said, and the exit codes."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from packhorse.testing.immport_package import make_package

from .conftest import Ran

Run = Callable[..., Ran]


@pytest.fixture
def server(packhorse: Run, tmp_path: Path) -> Run:
    home = str(tmp_path / "server")
    return lambda *words, **more: packhorse("server", *words, "--home", home, **more)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "SDY9001-DR54_Tab.zip"
    make_package(path, subjects=3)
    return path


def test_a_study_s_whole_way(server: Run, package: Path, tmp_path: Path) -> None:
    ran = server("import-study", str(package), "--restricted")
    assert (ran.code, ran.err) == (0, "")
    first, second = ran.out.splitlines()
    assert first.startswith("SDY9001: release DR54, ")
    assert first.endswith(" 45 vocabularies, 6 documents")
    assert second == "restricted: SDY9001"
    again = server("import-study", str(package))
    assert "is here already (SDY9001, DR54); nothing was read" in again.out
    listed = server("studies")
    assert "Invented study SDY9001" in listed.out
    assert "restricted" in listed.out
    assert listed.out.endswith("1 study\n")
    assert server("studies", "--quiet").out == "SDY9001\n"

    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "SDY9001_beads.9001000900.txt").write_text("wrong size")
    (folder / "note.txt").write_text("?")
    ran = server("attach-files", "SDY9001", str(folder))
    assert ran.code == 5
    assert "SDY9001: 0 files attached, 0 as before, 2 left out, 2 missing" in ran.out
    assert "left out SDY9001_beads.9001000900.txt: it has 10 bytes, the tables say" in ran.err
    assert "error: 1 file of SDY9001 did not have the size" in ran.err
    (folder / "SDY9001_beads.9001000900.txt").unlink()
    (folder / "ResultFiles").mkdir()
    (folder / "ResultFiles/new.txt").write_text("mine")
    ran = server("attach-files", "sdy9001", str(folder), "--json")
    assert ran.code == 0
    (done,) = ran.objects
    assert (done["event"], done["attached"]) == ("files-attached", ["SDY9001/ResultFiles/new.txt"])
    assert done["odd"] == [{"path": "note.txt", "reason": "the study's tables name no such file", "harm": False}]

    ran = server("drop-study", "SDY9001")
    assert (ran.code, "--yes" in ran.err) == (2, True)
    assert server("drop-study", "SDY9001", "--yes").out.startswith("SDY9001 is gone: ")
    assert server("studies").out.endswith("0 studies\n")
    assert server("drop-study", "SDY9001", "--yes").code == 4
    assert server("drop-study", "../x", "--yes").code == 2
    assert server("attach-files", "SDY9001", str(folder)).code == 4


def test_files_come_with_the_import(server: Run, package: Path, tmp_path: Path) -> None:
    (tmp_path / "data/StudyFiles").mkdir(parents=True)
    (tmp_path / "data/StudyFiles/more.pdf").write_text("pdf")
    ran = server("import-study", str(package), "--files", str(tmp_path / "data"))
    assert ran.code == 0
    assert "SDY9001: 1 file attached" in ran.out
    assert "not named by the study's tables: SDY9001/StudyFiles/more.pdf" in ran.out


def test_bad_rows(server: Run, tmp_path: Path) -> None:
    path = tmp_path / "SDY9001-DR54_Tab.zip"

    def spoil(tables) -> None:  # type: ignore[no-untyped-def]
        tables["subject"][0]["subject_accession"] = "nobody"
        tables["arm_or_cohort"] += [dict(tables["arm_or_cohort"][0], arm_accession=f"?{n}") for n in range(60)]

    make_package(path, subjects=3, change=spoil)
    ran = server("import-study", str(path))
    assert (ran.code, ran.out) == (1, "")
    lines = ran.err.splitlines()
    assert (
        lines[0] == "warning: arm_or_cohort.txt:4: arm_accession is '?0', not an accession (capital letters and digits)"
    )
    assert sum(line.startswith("warning: arm_or_cohort.txt:") for line in lines) == 50
    assert lines[-3:] == [
        "warning: and 11 more bad rows",
        "error: SDY9001-DR54_Tab.zip has 61 bad rows; nothing was imported",
        "hint: --skip-bad-rows imports the others",
    ]
    (failed,) = server("import-study", str(path), "--json").objects
    assert (failed["event"], failed["code"], failed["total"], len(failed["problems"])) == (
        "error", "bad-package", 61, 50,
    )  # fmt: skip
    assert server("studies").out.endswith("0 studies\n")
    ran = server("import-study", str(path), "--skip-bad-rows")
    assert ran.code == 0
    assert "61 bad rows left out" in ran.out
    assert "and 11 more bad rows were left out" in ran.err


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [(b"no zip", 1, "no ZIP"), (None, 2, "is not there"), (b"PK\x05\x06" + b"\0" * 18, 1, "holds no study.txt")],
)
def test_no_package(server: Run, tmp_path: Path, content: bytes | None, code: int, words: str) -> None:
    path = tmp_path / "x.zip"
    if content is not None:
        path.write_bytes(content)
    ran = server("import-study", str(path))
    assert ran.code == code
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_an_older_release(server: Run, tmp_path: Path, package: Path) -> None:
    older = tmp_path / "SDY9001-DR9_Tab.zip"
    make_package(older, release="DR9", subjects=2)
    assert server("import-study", str(package)).code == 0
    ran = server("import-study", str(older))
    assert ran.code == 1
    assert "SDY9001 is here in release DR54, which is newer than DR9" in ran.err
    assert "hint: --replace" in ran.err
    ran = server("import-study", str(older), "--replace")
    assert ran.code == 0
    assert "replaced: SDY9001" in ran.out
    assert "withdrawn: SDY9001/SDY9001-DR54_Tab.zip" in ran.out


def test_a_wrong_release(server: Run, package: Path, tmp_path: Path) -> None:
    unnamed = tmp_path / "unnamed.zip"
    with zipfile.ZipFile(unnamed, "w") as made:
        made.writestr("study.txt", "STUDY_ACCESSION\nSDY3\n")
    ran = server("import-study", str(unnamed))
    assert ran.code == 1
    assert "--release DR25" in ran.err
    assert server("import-study", str(unnamed), "--release", "25").code == 2
    assert "release DR25.1" in server("import-study", str(unnamed), "--release", "dr25.1").out
