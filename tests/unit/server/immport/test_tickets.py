"""A ticket's work: once and whole, whatever happens on the way; packages that are dropped; files nobody needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from tests.immport_upload import FILES, zipped

from packhorse.server.api.core import Home
from packhorse.server.app import open_home
from packhorse.server.config import ServerConfig
from packhorse.server.db.files import record_file
from packhorse.server.db.immport import Lookup
from packhorse.server.db.immport_uploads import Registration, RegistrationFile, RegistrationResult, UploadRecord
from packhorse.server.db.models import StoredFile, User
from packhorse.server.immport import dropping, parcels, tickets
from packhorse.server.immport.tickets import OFFLINE, ONLINE, Sent, process, register, workspaces_of
from packhorse.server.users import add_user
from packhorse.wire.immport.tickets import UPLOAD


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = open_home(ServerConfig(home=tmp_path / "home"))
    with made.database.write() as session:
        add_user(session, "ada", "a long password")
    yield made
    made.jobs.stop()
    made.database.close()


def ticket(home: Home, content: bytes | None, purpose: str = "uploadData", name: str = "p.zip") -> int:
    """A registration, as the API makes it."""
    facts = None if content is None else home.storage.put([content], modified=0)
    with home.database.write() as session:
        user = session.scalar(select(User).where(User.username == "ada"))
        assert user is not None
        workspace = workspaces_of(session, user)[0].id
        method = ONLINE if facts else OFFLINE
        sent = Sent(UPLOAD, purpose, workspace, method, "" if facts else name, name if facts else "")
        files = [(name, record_file(session, facts))] if facts else []
        return register(session, user, sent, files).id


def state(home: Home, number: int) -> tuple[str, int, int]:
    """Status, rows of results, records."""
    with home.database.read() as session:
        row = session.get_one(Registration, number)
        results = session.scalar(
            select(func.count()).select_from(RegistrationResult).where(RegistrationResult.registration_id == number)
        )
        return row.status, results or 0, session.scalar(select(func.count()).select_from(UploadRecord)) or 0


def test_a_job_that_was_killed_is_done_again_and_counts_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    number = ticket(home, zipped())
    real = tickets.store

    def killed(*given: Any) -> Any:
        real(*given)
        raise KeyboardInterrupt  # as late as can be: everything is written, nothing is committed

    monkeypatch.setattr(tickets, "store", killed)
    with pytest.raises(KeyboardInterrupt):
        process(home, registration=number)
    assert state(home, number) == ("Pending", 0, 0)
    monkeypatch.undo()
    process(home, registration=number)
    done = state(home, number)
    assert done[0] == "Completed"
    assert done[2] > 10
    process(home, registration=number)  # a job is done at least once
    assert state(home, number) == done


def test_a_stopping_server_leaves_the_ticket_for_its_next_start(home: Home) -> None:
    number = ticket(home, zipped(), "validateData")
    home.jobs.stopping.set()
    with pytest.raises(InterruptedError):
        process(home, registration=number)
    assert state(home, number) == ("Pending_Validation", 0, 0)
    home.jobs.stopping.clear()
    process(home, registration=number)
    assert state(home, number)[0] == "Completed_Validation"


def test_two_at_once_store_it_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process ends the ticket while this one is still at work."""
    number = ticket(home, zipped())
    real = tickets.validate

    def slow(*given: Any) -> Any:
        monkeypatch.setattr(tickets, "validate", real)
        process(home, registration=number)
        return real(*given)

    monkeypatch.setattr(tickets, "validate", slow)
    process(home, registration=number)
    with home.database.read() as session:
        twice = session.execute(
            select(UploadRecord.identifier).group_by(UploadRecord.table_name, UploadRecord.identifier)
            .having(func.count() > 1).where(UploadRecord.identifier.is_not(None))
        ).all()  # fmt: skip
    assert twice == []
    assert state(home, number)[0] == "Completed"


def test_the_servers_own_vocabularies_are_asked(home: Home) -> None:
    with home.database.write() as session:
        session.add(Lookup(vocabulary="lk_sample_type", position=0, name="PBMC", record={}))
        session.add(Lookup(vocabulary="lk_sex", position=0, name="Male", record={}))  # a newer name for lk_gender
    number = ticket(home, zipped(), "validateData")
    process(home, registration=number)
    with home.database.read() as session:
        row = session.get_one(Registration, number)
    assert row.status == "Rejected_Validation"
    assert row.report is not None
    assert "'Whole blood' is no term of lk_sample_type" in row.report
    assert "'Female' is no term of lk_gender" in row.report
    assert "lk_time_unit is not on this server: its terms are not checked" in row.report


def test_a_bomb_is_not_unpacked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "UNPACKED", 4 << 20)  # 4 GiB take long to make
    number = ticket(home, zipped({f"{number}.bin": bytes(1 << 20) for number in range(5)}), "validateData")
    process(home, registration=number)
    with home.database.read() as session:
        assert "bomb" in (session.get_one(Registration, number).report or "")


def test_too_many_files_and_rows_are_refused(home: Home) -> None:
    config = home.config
    small = ServerConfig(home=config.home, immport=type(config.immport)(package_files=3))
    object.__setattr__(home, "config", small)
    number = ticket(home, zipped(), "validateData")
    process(home, registration=number)
    with home.database.read() as session:
        assert "3 are allowed" in (session.get_one(Registration, number).report or "")
    object.__setattr__(home, "config", ServerConfig(home=config.home, immport=type(config.immport)(package_rows=3)))
    number = ticket(home, zipped(), "validateData")
    process(home, registration=number)
    with home.database.read() as session:
        assert "more than 3 rows" in (session.get_one(Registration, number).report or "")


def test_an_offline_package_is_taken_from_the_drop_folder(home: Home) -> None:
    number, second = ticket(home, None, name="big.zip"), ticket(home, None, name="folder")
    assert dropping.take_in(home) == 0
    drop = home.config.home / "drop"
    assert drop.stat().st_mode & 0o077 == 0 or os.name != "posix"
    (drop / "big.zip").write_bytes(zipped())
    assert dropping.take_in(home) == 0  # it may still be on its way
    (drop / "link.zip").symlink_to("/etc/passwd")
    with home.database.read() as session:
        named = session.get_one(Registration, second).ticket
    folder = drop / f"{named}___folder"
    (folder / "inner").mkdir(parents=True)
    for name, content in FILES.items():
        (folder / "inner" / name).write_bytes(content)
    (folder / ".hidden").write_bytes(b"x")
    assert dropping.take_in(home, settled=0) == 2
    assert not (drop / "big.zip").exists()
    for one in (number, second):
        process(home, registration=one)
    assert state(home, number)[0] == "Completed"
    status, _, _ = state(home, second)
    assert status == "Rejected"  # the same IDs again
    with home.database.read() as session:
        names = [file.name for file in session.get_one(Registration, second).files]
    assert names == sorted(FILES)


def test_files_of_packages_that_were_only_looked_at_are_forgotten(home: Home) -> None:
    checked, stored = ticket(home, zipped(), "validateData"), ticket(home, zipped())
    for one in (checked, stored):
        process(home, registration=one)
    with home.database.write() as session:
        session.execute(update(Registration).values(updated=1))
    dropping.forget_packages(home)
    with home.database.read() as session:
        left = session.scalars(select(RegistrationFile.registration_id)).all()
        files = session.scalar(select(func.count()).select_from(StoredFile))
        report = session.get_one(Registration, checked).report
    assert list(left) == [stored]
    assert files == 1
    assert report is not None
