"""A real release package, where it stands beside the checkout: read in place, compared with what a plain reading of
its bytes gives."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.immport import RELEASE, Lookup, OtherRow, Study
from packhorse.server.db.models import StudyFile
from packhorse.server.immport.files import named_files
from packhorse.server.immport.packages import import_package
from packhorse.server.immport.report import ImportReport


@dataclass
class Imported:
    session: Session
    report: ImportReport
    raw: dict[str, bytes]
    path: Path

    def lines(self, table: str) -> list[list[str]]:
        """The table's lines as cells, without its header."""
        return [line.split("\t") for line in self.raw[table].decode().split("\n")[1:] if line]


@pytest.fixture(scope="module")
def sdy139(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    path = Path(__file__).resolve().parents[4] / "shared/data/SDY139-DR25_Tab.zip"
    if not path.exists():
        pytest.skip("the package is not here: put it beside the checkout as ../shared/data/SDY139-DR25_Tab.zip")
    with zipfile.ZipFile(path) as opened:
        raw = {
            name.rpartition("/")[2][:-4]: opened.read(name)
            for name in opened.namelist()
            if name.endswith(".txt") and "/Tab/" in name
        }
    config = ServerConfig(home=tmp_path_factory.mktemp("sdy139") / "home")
    report = import_package(config, path)
    database = open_database(config)
    with database.read() as session:
        yield Imported(session, report, raw, path)
    database.close()


def test_every_table_has_as_many_rows_as_its_file_has_lines(sdy139: Imported) -> None:
    wanted = {name: text.count(b"\n") - 1 for name, text in sdy139.raw.items()}
    assert len(wanted) > 100
    assert sdy139.report.counts == wanted
    for name, count in wanted.items():
        if name in RELEASE:
            got = sdy139.session.scalar(select(func.count()).select_from(RELEASE[name]))
        else:
            got = sdy139.session.scalar(select(func.count()).where(Lookup.vocabulary == name))
        assert got == count, name
    assert sdy139.session.scalar(select(func.count()).select_from(OtherRow)) == 0
    assert (sdy139.report.bad_rows, sdy139.report.warnings) == (0, [])


def test_every_cell_is_the_package_s_own_text(sdy139: Imported) -> None:
    compared = 0
    for name, table in RELEASE.items():
        if name not in sdy139.raw:
            continue
        header = sdy139.raw[name].decode().split("\n")[0].lower().split("\t")
        columns = [table.c[column] for column in header]
        rows = sdy139.session.execute(select(table.c.line, *columns).order_by(table.c.line)).all()
        for number, (row, cells) in enumerate(zip(rows, sdy139.lines(name), strict=True), 2):
            assert row[0] == number
            assert ["" if cell is None else cell for cell in row[1:]] == cells
            compared += len(cells)
        assert not any(row.extra for row in sdy139.session.execute(select(table.c.extra)))
    assert compared > 50_000


def test_vocabularies(sdy139: Imported) -> None:
    rows = sdy139.session.scalars(select(Lookup).where(Lookup.vocabulary == "lk_analyte").order_by(Lookup.position))
    header = sdy139.raw["lk_analyte"].decode().split("\n")[0].lower().split("\t")
    for row, cells in zip(rows, sdy139.lines("lk_analyte"), strict=True):
        assert [row.record[column] or "" for column in header] == cells


def test_files_and_documents(sdy139: Imported) -> None:
    study = sdy139.session.get_one(Study, "SDY139")
    named = named_files(sdy139.session, study, only=True)
    expected = {
        f"SDY139/ResultFiles/{detail.replace(' ', '_')}/{name}": int(size)
        for _, detail, size, name, *_ in sdy139.lines("file_info")
    }
    assert {path: file.size for path, file in named.items() if file.kind == "result"} == expected
    # the package has one study only, so that following the links must lead to the same files
    assert named_files(sdy139.session, study, only=False) == named
    stored = {row.path: row.file.sha256 for row in sdy139.session.scalars(select(StudyFile))}
    with zipfile.ZipFile(sdy139.path) as opened:
        documents = {name: opened.read(name) for name in opened.namelist() if not name.endswith(("/", ".txt"))}
    wanted = {
        f"SDY139/{'Protocols' if '/protocols/' in name else 'StudyFiles'}/{name.rpartition('/')[2]}": content
        for name, content in documents.items()
    }
    wanted["SDY139/SDY139-DR25_Tab.zip"] = sdy139.path.read_bytes()
    assert stored == {path: hashlib.sha256(content).hexdigest() for path, content in wanted.items()}
