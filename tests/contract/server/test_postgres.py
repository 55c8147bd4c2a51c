"""The same server over a real PostgreSQL: its migrations, and the main job of each portal."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from tests.postgres import Cluster, cluster

from packhorse.errors import SettingsError
from packhorse.server.config import ServerConfig
from packhorse.server.db.engine import migrate, open_database
from packhorse.server.db.migrations import HEAD
from packhorse.server.db.models import Base

from .conftest import end, start
from .filesender.conftest import Fs


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


def plain(url: str) -> str:
    """As people write it."""
    return url.replace("postgresql+psycopg://", "postgresql://")


def test_migrations_from_nothing_and_from_the_first_release(postgres: Cluster, tmp_path: Path) -> None:
    for begun in (None, "0001"):
        url = postgres.database()
        if begun:
            engine = create_engine(url)
            with engine.begin() as connection:
                migrate(connection, begun)
            engine.dispose()
        database = open_database(ServerConfig(home=tmp_path / "home", database_url=plain(url)))
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []
            assert context.get_current_revision() == HEAD
        database.close()


def test_servers_that_start_together_migrate_once(postgres: Cluster, tmp_path: Path) -> None:
    config = ServerConfig(home=tmp_path / "home", database_url=plain(postgres.database()))
    failed: list[BaseException] = []

    def begin() -> None:
        try:
            open_database(config).close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


def test_the_main_job_of_each_portal(postgres: Cluster, tmp_path: Path) -> None:
    process, ready = start(tmp_path / "home", "--demo", "--database-url", plain(postgres.database()))
    try:
        url = ready["url"]
        users: dict[str, dict[str, Any]] = {user["username"]: user for user in ready["users"]}
        with requests.Session() as http:
            http.trust_env = False
            body = {"username": "demo", "password": users["demo"]["password"]}
            token = http.post(f"{url}/api/login", json=body, timeout=30).json()["token"]
            http.headers["Authorization"] = f"Bearer {token}"
            record = http.get(f"{url}/api/data/789", timeout=30).json()
            got = http.get(f"{url}/api/downloads/789/{record['filename']}", timeout=30).content
            assert len(got) == record["size"]
            search = http.get(f"{url}/api/samples/search", params={"name": "WT"}, timeout=30).json()
            assert {row["name"] for row in search["samples"]} == {"WT_rep1", "WT_rep2"}
        sender = Fs(url, "demo", users["demo"]["filesender_api_key"])
        try:
            content = bytes(range(256)) * 40_000
            made = sender.send({"a b.bin": content}, recipients=["ada@lab.example"], options={"get_a_link": False})
            kept = sender.ok("GET", f"/transfer/{made['id']}")
            link = kept["recipients"][0]["download_url"]
            listed = sender.http.get(link, timeout=30).text
            assert "a b.bin" in listed
            got = sender.http.get(
                f"{url}/download.php",
                params={"token": link.rpartition("token=")[2], "files_ids": kept["files"][0]["id"]},
                timeout=30,
            ).content
            assert hashlib.sha256(got).hexdigest() == hashlib.sha256(content).hexdigest()
        finally:
            sender.http.close()
    finally:
        code, _, err = end(process)
    assert code == 0
    assert "Traceback" not in err, err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://nobody:s3cret@127.0.0.1:1/none", "127.0.0.1"),
        ("mysql://u:s3cret@localhost/x", "mysql"),
        ("postgresql://u:s3cret@[::1/x", "address"),
        ("s3cret", "address"),
    ],
)
def test_an_address_that_does_not_work(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_database(ServerConfig(home=tmp_path / "home", database_url=url))
    assert said in caught.value.message
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


def test_the_command_reads_the_variable(postgres: Cluster, tmp_path: Path) -> None:
    import os

    environment = {
        **os.environ,
        "PACKHORSE_DATABASE": plain(postgres.database()),
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    command = [sys.executable, "-m", "packhorse.cli", "server", "user", "list", "--home", str(tmp_path / "home")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "home" / "packhorse.db").exists()
