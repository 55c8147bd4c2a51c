"""The guide's client: records, joining, origins, threads, forks, progress; the guide's own text is in tests/seeds."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from packhorse.errors import (
    AuthenticationError,
    IntegrityError,
    NotFoundError,
    PackhorseError,
    SettingsError,
    UsageError,
)
from packhorse.portals.flow import Client, Record
from packhorse.portals.flow.progress import ProgressLine
from packhorse.settings import Settings
from packhorse.transfer.events import Failed, Placed, Progress

from .conftest import Answer, Asked, Script

READS = gzip.compress(b"@read\nACGT\n+\nIIII\n" * 1000, mtime=0)
MD5 = hashlib.md5(READS).hexdigest()


def settings_for(tmp_path: Path, **environ: str) -> Settings:
    return Settings.load({"PACKHORSE_HOME": str(tmp_path / "packhorse"), "HOME": str(tmp_path), **environ})


@pytest.fixture
def client(script: Script, tmp_path: Path) -> Client:
    script.routes["/api/data/789"] = {"id": 789, "filename": "a.gz", "size": len(READS), "md5": MD5}
    script.routes["/api/downloads/789/a.gz"] = Answer(READS, headers={"ETag": '"1"'})
    return Client(settings=settings_for(tmp_path, FLOW_API_URL=f"{script.url}/api/", FLOW_ACCESS_TOKEN="token"))


def test_the_base_is_the_variable_s_else_the_remote_s_else_what_is_given(tmp_path: Path) -> None:
    assert Client(settings=settings_for(tmp_path)).api_url == "https://app.flow.bio/api"
    assert Client(settings=settings_for(tmp_path, FLOW_API_URL="http://h/api/")).api_url == "http://h/api"
    assert Client("http://other/api/", settings=settings_for(tmp_path)).api_url == "http://other/api"
    with pytest.raises(SettingsError, match="api_url must be an address"):
        Client("app.flow.bio", settings=settings_for(tmp_path))


def test_another_server_gets_no_credential_of_this_one(script: Script, tmp_path: Path) -> None:
    script.routes["/api/data/789"] = {"id": "789", "filename": "a.gz"}
    other = Client(f"{script.url}/api", settings=settings_for(tmp_path, FLOW_ACCESS_TOKEN="token"))
    other.get_data(789)
    assert "Authorization" not in script.asked[0].headers
    assert other.access_token is None


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("/downloads/7/a", "https://h/api/downloads/7/a"),
        ("downloads/7/a", "https://h/api/downloads/7/a"),
        ("https://else/x", "https://else/x"),
        ("//else/x", "https://else/x"),
    ],
)
def test_paths_are_joined_with_one_slash(tmp_path: Path, given: str, url: str) -> None:
    assert Client("https://h/api/", settings=settings_for(tmp_path)).url(given) == url


def test_records_have_what_the_guide_reads(script: Script, client: Client) -> None:
    data = client.get_data("789")
    assert (data.id, data.filename, data.size, data.md5) == ("789", "a.gz", len(READS), MD5)
    assert data.download_url == "/downloads/789/a.gz"
    script.routes["/api/data/7"] = {"id": "7", "filename": "a b.gz"}
    bare = client.get_data(7)
    assert (bare.md5, bare.size, bare.download_url) == (None, None, "/downloads/7/a%20b.gz")
    script.routes["/api/executions/4"] = {
        "id": "4",
        "process_executions": [{"downstream_data": [{"id": "5", "filename": "x.tsv", "size": 3}]}],
    }
    (output,) = client.get_execution(4).outputs
    assert (output.filename, output.size, output.download_url) == ("x.tsv", 3, "/downloads/5/x.tsv")
    script.routes["/api/projects/3"] = {
        "id": "3",
        "name": "P",
        "samples": [{"id": "1", "name": "S", "data": [{"id": 9, "filename": "y"}]}],
    }
    project = client.get_project(3)
    assert [file.id for sample in project.samples for file in sample.data] == ["9"]
    assert isinstance(project, Record)


def test_a_download_is_proven_and_replaces_what_was_there(script: Script, client: Client, tmp_path: Path) -> None:
    target = tmp_path / "out" / "a.gz"
    target.parent.mkdir()
    target.write_bytes(b"an old version")
    assert client.download_file("/downloads/789/a.gz", str(target)) == target
    assert target.read_bytes() == READS
    client.download_file("/downloads/789/a.gz", target.parent)
    assert {asked.headers.get("Authorization") for asked in script.asked} == {"Bearer token"}


def test_bytes_that_are_not_the_stated_ones_replace_nothing(script: Script, client: Client, tmp_path: Path) -> None:
    script.routes["/api/downloads/789/a.gz"] = Answer(READS[:-1] + b"\xff", headers={"ETag": '"1"'})
    (tmp_path / "a.gz").write_bytes(b"an old version")
    with pytest.raises(IntegrityError):
        client.download_file("/downloads/789/a.gz", tmp_path / "a.gz")
    assert (tmp_path / "a.gz").read_bytes() == b"an old version"


def test_another_origin_gets_no_bearer(script: Script, client: Client, tmp_path: Path) -> None:
    script.routes["/elsewhere/x.bin"] = Answer(b"12345")
    port = script.url.rpartition(":")[2]
    client.download_file(f"http://localhost:{port}/elsewhere/x.bin", tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == b"12345"
    # The base's own origin, outside the API: an address like any other.
    client.download_file(f"{script.url}/elsewhere/x.bin", tmp_path / "y.bin")
    fetched = [asked for asked in script.asked if asked.path == "/elsewhere/x.bin"]
    assert fetched
    assert {asked.headers.get("Authorization") for asked in fetched} == {None}


def test_a_file_of_which_nothing_is_stated(script: Script, client: Client, tmp_path: Path) -> None:
    script.routes["/api/executions/456/results/x.tsv"] = Answer(b"a\tb\n")
    script.routes["/api/executions/456/empty.txt"] = Answer(b"")
    for name in ("results/x.tsv", "empty.txt"):
        client.download_file(f"/executions/456/{name}", tmp_path / name)
    assert (tmp_path / "results" / "x.tsv").read_bytes() == b"a\tb\n"
    assert (tmp_path / "empty.txt").read_bytes() == b""


def test_failures_leave_nothing_and_are_also_requests_errors(script: Script, client: Client, tmp_path: Path) -> None:
    with pytest.raises(requests.exceptions.HTTPError) as caught:
        client.download_file("/downloads/1/none", tmp_path / "none")
    assert isinstance(caught.value, NotFoundError)
    assert caught.value.response.status_code == 404
    script.routes["/api/downloads/2/x"] = Answer({"error": "Invalid or expired token", "status": 401}, 401)
    with pytest.raises(AuthenticationError) as refused:
        client.download_file("/downloads/2/x", tmp_path / "none")
    assert isinstance(refused.value, requests.exceptions.HTTPError)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("none")] == []
    with pytest.raises(UsageError):
        client.get_data("../789")
    with pytest.raises(UsageError):
        client.download_file("  ", tmp_path / "x")


def test_nobody_there_is_a_connection_error(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:9/api", settings=settings_for(tmp_path), timeout=2)
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        client.login("ada", "pw")
    assert isinstance(caught.value, PackhorseError)
    assert "pw" not in str(caught.value)


def test_refresh_token(script: Script, tmp_path: Path) -> None:
    given = iter(["t1", "t2"])

    def give(asked: Asked) -> Any:
        return Answer({"token": next(given)}, headers={"Set-Cookie": "flow_refresh_token=r; Path=/; HttpOnly"})

    script.routes.update({"POST /api/login": give, "/api/token": give, "/api/me": {"username": "ada"}})
    client = Client(f"{script.url}/api", settings=settings_for(tmp_path))
    with pytest.raises(AuthenticationError, match="cannot be renewed"):
        client.refresh_token()
    assert client.login("ada", "pw").username == "ada"
    assert client.access_token == "t1"
    assert client.refresh_token() == "t2"
    assert client.access_token == "t2"
    assert client.login_with_token("key").username == "ada"
    assert client.access_token == "key"
    assert not (tmp_path / "packhorse").exists()  # nothing of this client is kept on disk


def test_threads_share_a_client(script: Script, client: Client, tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def fetch(number: int) -> None:
        try:
            client.download_file("/downloads/789/a.gz", tmp_path / "together" / f"{number}.gz")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for number in range(8):
        assert (tmp_path / "together" / f"{number}.gz").read_bytes() == READS


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork: a POSIX system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_goes_on_with_the_same_client(script: Script, client: Client, tmp_path: Path) -> None:
    assert client.get_data(789).filename == "a.gz"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            client.download_file("/downloads/789/a.gz", tmp_path / "child.gz")
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / "child.gz").read_bytes() == READS
    assert script.asked[-1].headers["Authorization"] == "Bearer token"


# Progress.


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_one_line() -> None:
    stream = _Terminal()
    line = ProgressLine("a.gz", stream)
    line(Progress(path="a.gz", done=250, size=1000))
    line(Progress(done=1, size=2))  # the whole job's is not this file's
    line(Placed(path="a.gz", size=1000, proof="md5"))
    assert stream.getvalue() == "\ra.gz: 25.0% (250 of 1,000 bytes)\ra.gz: 100.0% (1,000 of 1,000 bytes)\n"


def test_progress_elsewhere_is_plain_lines() -> None:
    stream = io.StringIO()
    line = ProgressLine("a.gz", stream)
    line(Progress(path="a.gz", done=250, size=1000))
    line(Placed(path="a.gz", size=0, proof="md5"))
    line(Failed(path="a.gz", code="x", message="x"))
    assert stream.getvalue() == "a.gz: 100.0% (0 of 0 bytes)\n"


def test_progress_without_a_size_counts_bytes() -> None:
    stream = _Terminal()
    line = ProgressLine("a.gz", stream)
    line(Progress(path="a.gz", done=250))
    line(Failed(path="a.gz", code="x", message="x"))
    assert stream.getvalue().startswith("\ra.gz: 250 bytes\r")


def test_progress_goes_to_standard_error(client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client.download_file("/downloads/789/a.gz", tmp_path / "a.gz", progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"a.gz: 100.0% ({len(READS):,} of {len(READS):,} bytes)" in shown.err
    assert sys.stderr is not None
