"""Migrations, storage, users, keys and limits, in process."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from packhorse.errors import NotFoundError, SettingsError, UsageError
from packhorse.server import users
from packhorse.server.config import ServerConfig, read_private, write_private
from packhorse.server.db.engine import Database, migrate, open_database
from packhorse.server.db.files import facts_of, record_file
from packhorse.server.db.migrations import HEAD
from packhorse.server.db.models import Base, StoredFile, new_id
from packhorse.server.security import AttemptLimiter, Tokens, check_password, hash_password
from packhorse.server.storage import Piece, StorageError
from packhorse.server.storage.disk import DiskStorage


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    made = ServerConfig(home=tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
def database(config: ServerConfig) -> Iterator[Database]:
    opened = open_database(config)
    yield opened
    opened.close()


def test_the_migrations_make_what_the_models_say(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == set(Base.metadata.tables) | {"alembic_version"}


def test_the_newest_revision_is_named(database: Database) -> None:
    with database.engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == HEAD


def test_migrating_twice_is_nothing(database: Database) -> None:
    with database.engine.begin() as connection:
        migrate(connection)


def test_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError):
        open_database(ServerConfig(home=tmp_path / "file" / "home"))
    home = tmp_path / "home"
    home.mkdir()
    (home / "packhorse.db").mkdir()
    with pytest.raises(SettingsError):
        open_database(ServerConfig(home=home))


def test_sqlite_is_set_up_for_many_readers(database: Database) -> None:
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_private_files(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert read_private(path) is None
    write_private(path, "one")
    write_private(path, "two")
    assert read_private(path) == "one"  # who comes second does not win
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(SettingsError):
        read_private(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_stored_bytes(config: ServerConfig, database: Database) -> None:
    storage = DiskStorage(config.objects)
    body = os.urandom(3_000_000)
    facts = storage.put([body[:1000], body[1000:]], modified=5)
    assert (facts.md5, facts.sha256) == (hashlib.md5(body).hexdigest(), hashlib.sha256(body).hexdigest())
    assert int(facts.crc32, 16) == zlib.crc32(body)
    assert storage.put([body], modified=5).pieces == facts.pieces  # kept once
    assert not list(config.objects.glob(".draft*"))
    with database.write() as session:
        number = record_file(session, facts).id
    with database.read() as session:
        assert facts_of(session.get_one(StoredFile, number)) == facts
    (object_path,) = [path for path in config.objects.rglob("*") if path.is_file()]
    object_path.chmod(0o600)
    with object_path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(StorageError, match="1000 bytes"):
        storage.open(facts)
    object_path.unlink()
    with pytest.raises(StorageError, match="cannot be opened"):
        storage.open(facts)


def test_an_empty_file(config: ServerConfig) -> None:
    storage = DiskStorage(config.objects)
    facts = storage.put([], modified=0)
    assert (facts.size, facts.md5) == (0, "d41d8cd98f00b204e9800998ecf8427e")
    storage.open(facts).close()


def test_a_broken_put_leaves_nothing(config: ServerConfig) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"begun"
        raise RuntimeError("the sender went away")

    with pytest.raises(RuntimeError):
        DiskStorage(config.objects).put(blocks(), modified=0)
    assert list(config.objects.iterdir()) == []


def test_segments_read_as_one_file(config: ServerConfig) -> None:
    body = bytes(range(256)) * 4
    (config.objects / "a").write_bytes(b"junk" + body[:300])
    (config.objects / "b").write_bytes(body[300:])
    facts = DiskStorage(config.objects).put([body], modified=0)
    pieces = (Piece("a", 4, 300, ""), Piece("b", 0, 100, ""), Piece("b", 100, 624, ""))
    reader = DiskStorage(config.objects).open(replace(facts, pieces=pieces))
    for start, stop in ((0, 1024), (299, 301), (300, 400), (399, 401), (1023, 1024)):
        for read in (reader.read, lambda at, length: reader.read_hot(at, length) or reader.read(at, length)):
            found = b""
            while start + len(found) < stop:
                found += read(start + len(found), stop - start - len(found))
            assert found == body[start:stop]
    reader.close()
    reader.close()
    with pytest.raises(StorageError):
        DiskStorage(config.objects).open(replace(facts, pieces=pieces[:2]))


def test_a_file_in_place_is_guarded(config: ServerConfig, tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_bytes(b"first")
    storage = DiskStorage(config.objects)
    facts = storage.link(path)
    reader = storage.open(facts)
    assert reader.read(0, 10) == b"first"
    path.write_bytes(b"other")
    os.utime(path, ns=(0, 0))
    with pytest.raises(StorageError, match="changed"):
        reader.check()
    reader.close()
    with pytest.raises(StorageError, match="changed"):
        storage.open(facts)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StorageError, match="regular"):
        storage.open(facts)
    path.unlink()
    path.symlink_to(config.home / "packhorse.db")
    with pytest.raises(StorageError):
        storage.open(facts)


def test_users(config: ServerConfig) -> None:
    made = users.create_user(config, "ada", "long enough", email="ada@lab.invalid")
    assert (made.username, made.name, made.role) == ("ada", "ada", "user")
    assert [user.username for user in users.list_users(config)] == ["ada"]
    for name, password, role in (
        ("ada", "long enough", "user"),
        ("a b", "long enough", "user"),
        ("eve", "short", "user"),
        ("eve", "long enough", "root"),
    ):
        with pytest.raises(UsageError):
            users.create_user(config, name, password, role=role)
    users.set_password(config, "ada", "another one")
    assert users.create_api_key(config, "ada").startswith("phk_")
    for call in (lambda: users.set_password(config, "eve", "long enough"), lambda: users.create_api_key(config, "eve")):
        with pytest.raises(NotFoundError):
            call()
    with pytest.raises(NotFoundError):
        users.share(config, "data", "5", "ada")
    with pytest.raises(UsageError):
        users.share(config, "house", "5", "ada")


def test_passwords() -> None:
    stored = hash_password("right one")
    assert stored.startswith("$argon2id$")
    assert check_password(stored, "right one")
    assert not check_password(stored, "wrong one")
    assert not check_password(None, "right one")
    assert not check_password("not a hash", "right one")


def test_tokens() -> None:
    tokens = Tokens(b"k" * 40, access_seconds=0.2, refresh_seconds=9)
    token = tokens.access(5, "s")
    assert token != tokens.access(5, "s")
    claims = tokens.read(token)
    assert claims is not None
    assert (claims.user_id, claims.session_id, claims.use) == (5, "s", "access")
    assert Tokens(b"other" * 8, access_seconds=9, refresh_seconds=9).read(token) is None
    import time

    time.sleep(0.25)
    assert tokens.read(token) is None
    assert tokens.read("") is None


def test_the_limiter_slides() -> None:
    clock = [0.0]
    limiter = AttemptLimiter(3, 10, clock=lambda: clock[0])
    for second in (0, 4, 8):
        clock[0] = second
        assert limiter.wait("k") == 0
        limiter.failed("k")
    assert limiter.wait("k") == pytest.approx(2)
    assert limiter.wait("other") == 0
    clock[0] = 10.0
    assert limiter.wait("k") == 0
    limiter.failed("k")
    assert limiter.wait("k") > 0
    limiter.succeeded("k")
    assert limiter.wait("k") == 0


def test_ids() -> None:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(set(made))
    assert all(len(str(number)) == 18 for number in made)


def test_a_fresh_engine_per_url(tmp_path: Path) -> None:
    config = ServerConfig(home=tmp_path / "h", database_url=f"sqlite:///{tmp_path / 'elsewhere.db'}")
    open_database(config).close()
    engine = create_engine(config.database)
    assert "users" in inspect(engine).get_table_names()
    engine.dispose()
