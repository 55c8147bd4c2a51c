"""Release packages come in whole or not at all."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from packhorse.errors import BusyError, NotFoundError, PackageError, UsageError
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import open_database
from packhorse.server.db.immport import RELEASE, Lookup, OtherRow, Package, Study
from packhorse.server.db.models import Share, StudyFile
from packhorse.server.immport import AFTER_IMPORT
from packhorse.server.immport.packages import import_package
from packhorse.server.immport.studies import drop_study, list_studies
from packhorse.server.storage.disk import DiskStorage
from packhorse.testing.immport_package import make_package

from .immport_tabs import STUDY, fresh_config, read_tables, tab_zip

ELISA = "RESULT_ID\tSTUDY_ACCESSION\tVALUE_PREFERRED\n"


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    return fresh_config(tmp_path / "home")


def rows(config: ServerConfig, *what: Any, where: Any = None) -> list[tuple[Any, ...]]:
    database = open_database(config)
    try:
        with database.read() as session:
            wanted = select(*what)
            return [tuple(row) for row in session.execute(wanted if where is None else wanted.where(where))]
    finally:
        database.close()


def everything(config: ServerConfig) -> dict[str, int]:
    """How many rows each of the import's tables has, those with none left out."""
    database = open_database(config)
    try:
        with database.read() as session:
            tables = [*RELEASE.values(), *(m.__table__ for m in (Package, Study, Lookup, OtherRow, StudyFile))]
            counts = {t.name: session.scalar(select(func.count()).select_from(t)) or 0 for t in tables}
            return {name: count for name, count in counts.items() if count}
    finally:
        database.close()


def content(config: ServerConfig, path: str) -> bytes:
    from packhorse.server.db.files import facts_of

    database = open_database(config)
    try:
        with database.read() as session:
            reader = DiskStorage(config.objects).open(facts_of(session.get_one(StudyFile, path).file))
            try:
                return reader.read(0, 1 << 20)
            finally:
                reader.close()
    finally:
        database.close()


def test_a_whole_invented_package(config: ServerConfig, tmp_path: Path) -> None:
    """Every row of every table, as an independent reader sees them."""
    path = tmp_path / "SDY9001-DR54_Tab.zip"
    make_package(path)
    report = import_package(config, path)
    assert (report.release, report.studies, report.bad_rows, report.warnings) == ("DR54", ["SDY9001"], 0, [])
    tables = read_tables(path)
    assert {name: len(found) for name, found in tables.items()} == report.counts
    for name, wanted in tables.items():
        if name not in RELEASE:
            continue
        columns = [RELEASE[name].c[column] for column in tables[name][0]] if wanted else []
        got = rows(config, *columns) if columns else []
        assert got == [tuple(cell or None for cell in row.values()) for row in wanted], name
    vocabulary = rows(config, Lookup.name, Lookup.record, where=Lookup.vocabulary == "lk_species")
    assert [name for name, _ in vocabulary] == ["Homo sapiens", "Mus musculus"]
    assert vocabulary[0][1] == {"name": "Homo sapiens", "common_name": "human", "link": None, "taxonomy_id": "9606"}
    others = rows(config, OtherRow.record, where=OtherRow.table_name == "mass_spectrometry_result")
    assert [record["result_id"] for (record,) in others] == [
        row["result_id"] for row in tables["mass_spectrometry_result"]
    ]
    assert content(config, "SDY9001/Protocols/Sampling.PTL9001000001.txt").startswith(b"SDY9001: Sampling")
    assert content(config, "SDY9001/SDY9001-DR54_Tab.zip") == path.read_bytes()


def test_the_generator_is_deterministic_and_listens_to_its_seed() -> None:
    made = []
    for seed in (1, 1, 2):
        file = io.BytesIO()
        make_package(file, seed=seed, rows=50)
        made.append(file.getvalue())
    assert made[0] == made[1] != made[2]
    assert len(read_tables(made[0])["elisa_result"]) == 12 + 50


def test_unknown_columns_are_kept_and_missing_ones_are_null_and_said(config: ServerConfig, tmp_path: Path) -> None:
    text = "RESULT_ID\tNEW_THING\tVALUE_PREFERRED\n1\tü\t1.00\n2\t\t\n"
    report = import_package(config, tab_zip(tmp_path / "p.zip", {"elisa_result": text}))
    assert any("elisa_result.txt lacks" in text and "study_accession" in text for text in report.warnings)
    table = RELEASE["elisa_result"]
    got = rows(config, table.c.line, table.c.result_id, table.c.value_preferred, table.c.comments, table.c.extra)
    assert got == [(2, "1", "1.00", None, {"new_thing": "ü"}), (3, "2", None, None, None)]


def test_bad_rows_refuse_the_package_and_name_their_lines(config: ServerConfig, tmp_path: Path) -> None:
    text = ELISA + "1\tSDY7\t1\n2\tSDY7\nx\tSDY7\t1\n3\tSDY8\t1\n" + "".join(f"bad{n}\t\t\n" for n in range(70))
    path = tab_zip(tmp_path / "p.zip", {"elisa_result": text, "lk_race": "NAME\nWhite\n"})
    with pytest.raises(PackageError, match="73 bad rows; nothing was imported") as caught:
        import_package(config, path)
    assert caught.value.exit_code == 1
    assert caught.value.total == 73
    assert len(caught.value.problems) == 50
    assert caught.value.problems[:3] == (
        "elisa_result.txt:3: 2 cells, the header has 3",
        "elisa_result.txt:4: result_id is 'x', not a whole number",
        "elisa_result.txt:5: study_accession is SDY8, and study.txt has no such study",
    )
    assert everything(config) == {}
    report = import_package(config, path, skip_bad_rows=True)
    assert (report.bad_rows, report.counts["elisa_result"]) == (73, 1)
    table = RELEASE["elisa_result"]
    assert rows(config, table.c.line, table.c.result_id) == [(2, "1")]


def test_keys_that_come_twice(config: ServerConfig, tmp_path: Path) -> None:
    path = tab_zip(
        tmp_path / "p.zip",
        {
            "elisa_result": ELISA + "2\tSDY7\ta\n1\tSDY7\tb\n2\tSDY7\tc\n",
            "arm_2_subject": "ARM_ACCESSION\tSUBJECT_ACCESSION\nARM1\tSUB1\nARM1\tSUB2\nARM1\tSUB1\n",
        },
    )
    with pytest.raises(PackageError) as caught:
        import_package(config, path)
    # the first table's doubles refuse the package already; the tables come in their usual order
    assert caught.value.problems == (
        "arm_2_subject.txt:4: arm_accession ARM1, subject_accession SUB1 stands in line 2 already",
    )
    report = import_package(config, path, skip_bad_rows=True)
    assert [str(problem) for problem in report.problems] == [
        "arm_2_subject.txt:4: arm_accession ARM1, subject_accession SUB1 stands in line 2 already",
        "elisa_result.txt:4: result_id 2 stands in line 2 already",
    ]
    table = RELEASE["elisa_result"]
    assert rows(config, table.c.line, table.c.value_preferred) == [(2, "a"), (3, "b")]
    assert report.counts["elisa_result"] == 2


def test_terms_and_old_letters_are_warnings(config: ServerConfig, tmp_path: Path) -> None:
    subject = b"SUBJECT_ACCESSION\tGENDER\tDESCRIPTION\nSUB1\tMann\tM\xfcller\nSUB2\tMale\tok\n"
    path = tab_zip(tmp_path / "p.zip", {"subject": subject, "lk_gender": "NAME\tDESCRIPTON\nMale\tm\n"})
    report = import_package(config, path)
    joined = "\n".join(report.warnings)
    assert "subject.txt:2: a line is not UTF-8 and read as Windows-1252" in joined
    assert "subject.txt:2: gender 'Mann' is not in its vocabulary" in joined
    assert rows(config, RELEASE["subject"].c.description) == [("Müller",), ("ok",)]
    assert rows(config, Lookup.record) == [({"name": "Male", "description": "m"},)]


# --------------------------------------------------------------------------- packages that are none


def broken(name: str, path: Path) -> None:
    """Something that is no good package, by its name."""
    good = tab_zip(path, {"elisa_result": ELISA + "".join(f"{n}\tSDY7\t1\n" for n in range(500))}).read_bytes()
    if name == "text":
        path.write_text("no zip at all")
    elif name == "empty":
        path.write_bytes(b"")
    elif name == "cut":
        path.write_bytes(good[:-40])
    elif name == "flipped":
        at = good.index(b"elisa_result.txt") + 60
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
    elif name == "encrypted":
        at = good.index(b"PK\x01\x02")
        raw = bytearray(good)
        raw[6] |= 1
        raw[at + 8] |= 1
        path.write_bytes(bytes(raw))
    elif name == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
            made.writestr("Tab/study.txt", STUDY + "SDY7\tx\tDR1\n")
            with made.open("Tab/elisa_result.txt", "w") as file:
                for _ in range(24):
                    file.write(b"\0" * (1 << 20))
    elif name == "outside":
        tab_zip(path, {}, top="../../Tab/")
    elif name == "no study":
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("x/Tab/subject.txt", "SUBJECT_ACCESSION\n")
    elif name == "mysql":
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("SDY7-DR30_MySQL/load.sql", "create table x")
    elif name == "two":
        tab_zip(path, {"more/study.txt": STUDY})
    elif name == "no rows":
        tab_zip(path, {"study": STUDY})
    elif name == "bad study":
        tab_zip(path, {"study": STUDY + "EXP1\tx\tDR1\n"})
    elif name == "no release":
        tab_zip(path, {"study": STUDY + "SDY7\tx\t\n"}, top="Tab/")
    elif name == "no key":
        tab_zip(path, {"subject": "GENDER\nMale\n"})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text", "no ZIP"),
        ("empty", "no ZIP"),
        ("cut", "its end is missing"),
        ("flipped", "damaged"),
        ("encrypted", "is encrypted"),
        ("bomb", "longer than 16 MiB"),
        ("outside", "outside"),
        ("no study", "holds no study.txt"),
        ("mysql", "MySQL form"),
        ("two", "more than one package"),
        ("no rows", "names no study"),
        ("bad study", "a bad row"),
        ("no release", "which release it is"),
        ("no key", "no column subject_accession"),
    ],
)
def test_packages_that_are_none(config: ServerConfig, tmp_path: Path, name: str, words: str) -> None:
    path = tmp_path / "package.zip"
    broken(name, path)
    with pytest.raises(PackageError, match=words) as caught:
        import_package(config, path)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert everything(config) == {}


def test_a_path_that_is_none(config: ServerConfig, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.zip", tmp_path / "a\0b"):
        with pytest.raises(UsageError, match="is not there"):
            import_package(config, path)
    with pytest.raises(UsageError, match="no release"):
        import_package(config, tab_zip(tmp_path / "p.zip", {}), release="25; x")


def test_what_fails_after_the_last_row_undoes_all(
    config: ServerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def fail(session: Any, package_id: int) -> None:
        seen.append(session.scalar(select(func.count()).select_from(RELEASE["study"])))
        raise RuntimeError("derived tables cannot be made")

    monkeypatch.setattr("packhorse.server.immport.packages.AFTER_IMPORT", [*AFTER_IMPORT, fail])
    with pytest.raises(RuntimeError, match="derived"):
        import_package(config, tab_zip(tmp_path / "p.zip", {}))
    assert seen == [1]
    assert everything(config) == {}


def test_somebody_else_writes(config: ServerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    path = tab_zip(tmp_path / "p.zip", {})
    open_database(config).close()
    monkeypatch.setattr("packhorse.server.immport.packages.open_database", _impatient)
    with sqlite3.connect(config.home / "packhorse.db") as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError, match="somebody else is writing"):
            import_package(config, path)
        other.rollback()
    other.close()
    assert import_package(config, path).studies == ["SDY7"]


def _impatient(config: ServerConfig) -> Any:
    from sqlalchemy import event

    database = open_database(config)
    database.engine.dispose()
    event.listen(database.engine, "connect", lambda raw, _: raw.execute("PRAGMA busy_timeout = 50"))
    return database


# --------------------------------------------------------------------------- again, newer, older, several


def test_the_same_package_again_does_nothing_but_who_may_see_it(config: ServerConfig, tmp_path: Path) -> None:
    path = tab_zip(tmp_path / "p.zip", {})
    import_package(config, path)
    before = rows(config, Package.id, Package.imported)
    again = import_package(config, path)
    assert again.unchanged
    assert again.studies == ["SDY7"]
    assert rows(config, Package.id, Package.imported) == before
    assert import_package(config, path, restricted=True).restricted == ["SDY7"]
    assert rows(config, Study.accession, Study.restricted) == [("SDY7", True)]


def test_a_newer_release_replaces_and_an_older_one_needs_a_word(config: ServerConfig, tmp_path: Path) -> None:
    def package(release: str, text: str) -> Path:
        tables = {
            "study_file": f"STUDY_FILE_ACCESSION\tFILE_NAME\tSTUDY_ACCESSION\nSF1\t{text}.txt\tSDY7\n",
            f"study_files/{text}.txt": text,
            "lk_race": f"NAME\n{text}\n",
        }
        return tab_zip(tmp_path / f"{text}.zip", tables, top=f"SDY7-{release}_Tab/Tab/")

    old, new = package("DR9.1", "old"), package("DR30", "new")
    import_package(config, old, restricted=True)
    report = import_package(config, new)
    assert report.replaced == ["SDY7"]
    assert report.withdrawn == ["SDY7/SDY7-DR9.1_Tab.zip", "SDY7/StudyFiles/old.txt"]
    assert report.restricted == ["SDY7"], "a newer release must not open what was restricted"
    assert rows(config, Package.release) == [("DR30",)]
    assert rows(config, RELEASE["study_file"].c.file_name) == [("new.txt",)]
    assert sorted(rows(config, StudyFile.path)) == [("SDY7/SDY7-DR30_Tab.zip",), ("SDY7/StudyFiles/new.txt",)]
    with pytest.raises(PackageError, match="release DR30, which is newer") as caught:
        import_package(config, old)
    assert "--replace" in (caught.value.hint or "")
    assert rows(config, Package.release) == [("DR30",)]
    assert import_package(config, old, replace=True).replaced == ["SDY7"]
    assert rows(config, Package.release) == [("DR9.1",)]
    assert rows(config, RELEASE["study_file"].c.file_name) == [("old.txt",)]


def test_the_newest_vocabulary_wins(config: ServerConfig, tmp_path: Path) -> None:
    for release, number in (("DR30", 1), ("DR20", 2), ("DR30.1", 3)):
        tables = {"study": f"{STUDY}SDY{number}\tx\t\n", "lk_race": f"NAME\nof {release}\n"}
        import_package(config, tab_zip(tmp_path / f"{number}.zip", tables, top=f"SDY{number}-{release}_Tab/Tab/"))
        if number == 2:
            assert rows(config, Lookup.name) == [("of DR30",)]
    assert rows(config, Lookup.name) == [("of DR30.1",)]


def both(path: Path, release: str = "DR40") -> Path:
    return tab_zip(
        path,
        {
            "study": f"{STUDY}SDY7\tseven\t\nSDY8\teight\t\n",
            "elisa_result": ELISA + "1\tSDY7\t1\n2\tSDY8\t2\n3\tSDY8\t3\n",
            "study_2_protocol": "STUDY_ACCESSION\tPROTOCOL_ACCESSION\nSDY8\tPTL1\n",
            "protocol": "PROTOCOL_ACCESSION\tFILE_NAME\nPTL1\tp.pdf\n",
            "protocols/p.pdf": "the protocol",
        },
        top=f"ALLSTUDIES-{release}_Tab/Tab/",
    )


def test_many_studies_in_one_package(config: ServerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    monkeypatch.setattr(
        "packhorse.server.immport.packages.AFTER_IMPORT", [*AFTER_IMPORT, lambda _, package: called.append(package)]
    )
    report = import_package(config, both(tmp_path / "all.zip"))
    assert report.studies == ["SDY7", "SDY8"]
    assert report.documents == ["SDY8/Protocols/p.pdf"], "only the study that has the protocol, and no package"
    assert [(entry.accession, entry.rows) for entry in list_studies(config)] == [("SDY7", 2), ("SDY8", 4)]
    newer = tab_zip(tmp_path / "one.zip", {"elisa_result": ELISA + "9\tSDY7\t9\n"}, top="SDY7-DR41_Tab/Tab/")
    import_package(config, newer)
    packages = {name: key for key, name in rows(config, Package.id, Package.name)}
    assert called == [packages["all.zip"], packages["one.zip"], packages["all.zip"]]
    table = RELEASE["elisa_result"]
    assert rows(config, table.c.result_id, table.c.package_id) == [
        ("2", packages["all.zip"]),
        ("3", packages["all.zip"]),
        ("9", packages["one.zip"]),
    ]
    drop_study(config, "SDY8")
    assert rows(config, Package.name) == [("one.zip",)]


def test_a_dropped_study_is_gone_and_can_come_again(config: ServerConfig, tmp_path: Path) -> None:
    from packhorse.server import users

    path = both(tmp_path / "all.zip")
    import_package(config, path)
    users.create_user(config, "ada", "long enough")
    database = open_database(config)
    with database.write() as session:
        users.add_share(session, "study", 8, users.find_user(session, "ada"), 1)
    database.close()
    drop_study(config, "sdy8")
    assert rows(config, Study.accession) == [("SDY7",)]
    assert rows(config, Share.id) == rows(config, StudyFile.path) == []
    assert rows(config, RELEASE["elisa_result"].c.result_id) == [("1",)]
    with pytest.raises(NotFoundError, match="no study SDY8"):
        drop_study(config, "SDY8")
    assert not import_package(config, path).unchanged
    assert rows(config, Study.accession) == [("SDY7",), ("SDY8",)]
    drop_study(config, "SDY7")
    drop_study(config, "SDY8")
    assert {name for name in everything(config) if name.startswith("ip_")} == set()


def test_a_folder_is_as_good_as_a_zip(config: ServerConfig, tmp_path: Path) -> None:
    path = tmp_path / "SDY9001-DR54_Tab.zip"
    make_package(path)
    with zipfile.ZipFile(path) as opened:
        opened.extractall(tmp_path / "unpacked")
    (tmp_path / "outside.txt").write_text("SUBJECT_ACCESSION\nSUB1\n")
    (tmp_path / "unpacked/SDY9001-DR54_Tab/Tab/secret.txt").symlink_to(tmp_path / "outside.txt")
    first = import_package(config, tmp_path / "unpacked")
    assert "secret" not in first.counts
    assert any("SDY9001/SDY9001-DR54_Tab.zip is not offered" in text for text in first.warnings)
    assert import_package(config, tmp_path / "unpacked").unchanged
    second = import_package(config, path)
    assert second.replaced == ["SDY9001"]
    assert second.counts == first.counts
