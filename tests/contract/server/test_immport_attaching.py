"""The bytes of a study's files, attached from a folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from sqlalchemy import select

from packhorse.errors import DestinationError, NotFoundError, UsageError
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.models import StudyFile
from packhorse.server.immport.attaching import attach_files
from packhorse.server.immport.packages import import_package

from .immport_tabs import fresh_config, tab_zip

FILES = "FILE_INFO_ID\tDETAIL\tFILESIZE_BYTES\tNAME\n"


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    made = fresh_config(tmp_path / "home")
    tables = {
        "file_info": FILES
        + "1\tELISA result\t3\ta.1.txt\n2\tELISA result\t\tb.2.txt\n3\tFlow cytometry result\t9\tc.3.fcs\n"
        "4\tHAI result\t1\ttwice.txt\n5\tELISA result\t1\ttwice.txt\n",
        "study_file": "STUDY_FILE_ACCESSION\tFILE_NAME\tSTUDY_ACCESSION\nSF1\td ü.pdf\tSDY7\n",
    }
    import_package(made, tab_zip(tmp_path / "SDY7-DR30_Tab.zip", tables))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    for name, text in {
        "SDY7/ResultFiles/ELISA_result/a.1.txt": "abc",
        "deep/er/b.2.txt": "of any size",
        "c.3.fcs": "too short",
        "StudyFiles/d ü.pdf": "pdf",
        "ResultFiles/Extra/note.txt": "not in the tables",
        "twice.txt": "x",
        "notes.txt": "?",
        ".hidden": "no",
        "e.part": "no",
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    (made / "c.3.fcs").write_text("short")
    (tmp_path / "secret.txt").write_text("secret")
    (made / "leak.txt").symlink_to(tmp_path / "secret.txt")
    (made / "back\\slash.txt").write_text("?")
    return made


def stored(config: ServerConfig) -> dict[str, tuple[str, str]]:
    database = open_database(config)
    try:
        with database.read() as session:
            found = session.scalars(select(StudyFile).where(~StudyFile.path.endswith(".zip")))
            return {row.path: (row.file.sha256, row.file.backend) for row in found}
    finally:
        database.close()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("copy", [False, True])
def test_attaching_and_again(config: ServerConfig, folder: Path, copy: bool) -> None:
    report = attach_files(config, "sdy7", folder, copy=copy)
    kind = "objects" if copy else "in-place"
    assert stored(config) == {
        "SDY7/ResultFiles/ELISA_result/a.1.txt": (digest("abc"), kind),
        "SDY7/ResultFiles/ELISA_result/b.2.txt": (digest("of any size"), kind),
        "SDY7/StudyFiles/d ü.pdf": (digest("pdf"), kind),
        "SDY7/ResultFiles/Extra/note.txt": (digest("not in the tables"), kind),
    }
    assert report.unlisted == ["SDY7/ResultFiles/Extra/note.txt"]
    assert report.missing == [
        "SDY7/ResultFiles/ELISA_result/twice.txt",
        "SDY7/ResultFiles/Flow_cytometry_result/c.3.fcs",
        "SDY7/ResultFiles/HAI_result/twice.txt",
    ]
    odd = {each.path: (each.reason, each.harm) for each in report.odd}
    assert odd == {
        "c.3.fcs": ("it has 5 bytes, the tables say 9", True),
        "leak.txt": ("a link that leads out of the folder", False),
        "back\\slash.txt": ("'back\\\\slash.txt' cannot be the name of a file", False),
        "notes.txt": ("the study's tables name no such file", False),
        "twice.txt": ("several files of the study have this name", False),
    }
    (folder / "c.3.fcs").write_text("nine char")
    os.utime(folder / "StudyFiles/d ü.pdf", ns=(1, 1))
    again = attach_files(config, "SDY7", folder, copy=copy)
    assert sorted(again.attached) == ["SDY7/ResultFiles/Flow_cytometry_result/c.3.fcs", "SDY7/StudyFiles/d ü.pdf"]
    assert len(again.kept) == 3
    assert again.hashed_bytes == 9 + 3


def test_refusals(config: ServerConfig, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NotFoundError, match="no study SDY8"):
        attach_files(config, "SDY8", folder)
    with pytest.raises(UsageError, match="no study accession"):
        attach_files(config, "../SDY7", folder)
    with pytest.raises(UsageError, match="not a folder"):
        attach_files(config, "SDY7", folder / "notes.txt")
    with pytest.raises(UsageError, match="is not there"):
        attach_files(config, "SDY7", tmp_path / "nowhere")


def test_a_file_that_changes_meanwhile_attaches_nothing(
    config: ServerConfig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grow(path: str, _: int) -> None:
        if path.endswith("b.2.txt"):
            (folder / "deep/er/b.2.txt").write_text("something longer than before")

    with pytest.raises(DestinationError, match="nothing was attached"):
        attach_files(config, "SDY7", folder, progress=grow)
    assert stored(config) == {}
