"""A lab's folder comes in, again and again, and only its own files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from packhorse.errors import NotFoundError, UsageError
from packhorse.server import users
from packhorse.server.app import create_app
from packhorse.server.config import ServerConfig
from packhorse.server.importer import import_folder

from .asgi import Client


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    made = ServerConfig(home=tmp_path / "home")
    users.create_user(made, "ada", "long enough")
    users.create_user(made, "eve", "long enough")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "lab data"
    (made / "sub").mkdir(parents=True)
    (made / "a.fastq.gz").write_bytes(b"reads one")
    (made / "sub" / "b ä.tsv").write_bytes(b"x\ty\n")
    (made / ".hidden").write_text("no")
    (made / "c.part").write_text("no")
    (made / ".packhorse").mkdir()
    (made / ".packhorse" / "ledger").write_text("no")
    (tmp_path / "outside.txt").write_text("secret")
    (made / "leak.txt").symlink_to(tmp_path / "outside.txt")
    (made / "leaks").symlink_to(tmp_path)
    (made / "inside.gz").symlink_to(made / "a.fastq.gz")
    os.mkfifo(made / "pipe")
    return made


@pytest.fixture
def client(config: ServerConfig) -> Iterator[Client]:
    app = create_app(config)
    yield Client(app)
    app.state.home.database.close()


def key(config: ServerConfig, name: str = "ada") -> dict[str, str]:
    return {"Authorization": "Bearer " + users.create_api_key(config, name)}


@pytest.mark.parametrize("copy", [False, True])
def test_an_execution(config: ServerConfig, folder: Path, client: Client, copy: bool) -> None:
    report = import_folder(config, folder, "execution", owner="ada", copy=copy)
    assert report.added == ["a.fastq.gz", "inside.gz", "sub/b ä.tsv"]
    assert {entry.path for entry in report.skipped} == {".hidden", "c.part", "leak.txt", "leaks", "pipe"}
    ada = key(config)
    record = client.get(f"/api/executions/{report.object_id}", headers=ada).json()
    assert [output["path"] for output in record["outputs"]] == report.added
    assert record["pipeline"]["name"] == "lab data"
    answer = client.get("/api" + record["outputs"][2]["download_url"], headers=ada)
    assert answer.content == b"x\ty\n"
    assert "filename*=UTF-8''b%20%C3%A4.tsv" in answer.headers["Content-Disposition"]
    assert client.get(f"/api/executions/{report.object_id}").status_code == 401
    assert client.get(f"/api/executions/{report.object_id}", headers=key(config, "eve")).status_code == 403
    (folder / "a.fastq.gz").write_bytes(b"changed!!")
    os.utime(folder / "a.fastq.gz", (1, 1))
    changed = client.get(f"/api/executions/{report.object_id}/a.fastq.gz", headers=ada)
    assert (changed.status_code, changed.content) == ((200, b"reads one") if copy else (503, changed.content))
    if not copy:
        assert str(folder) not in changed.text
        assert changed.json()["status"] == 503


def test_again_and_again(config: ServerConfig, folder: Path, client: Client) -> None:
    first = import_folder(config, folder, "sample", owner="ada", name="liver")
    ada = key(config)
    before = client.get(f"/api/samples/{first.object_id}", headers=ada).json()
    again = import_folder(config, folder, "sample", owner="ada", name="liver")
    assert (again.object_id, again.added, again.changed, again.hashed_bytes) == (first.object_id, [], [], 0)
    assert again.kept == first.added
    assert client.get(f"/api/samples/{first.object_id}", headers=ada).json() == before

    (folder / "a.fastq.gz").write_bytes(b"more reads")
    (folder / "sub" / "b ä.tsv").unlink()
    (folder / "new.txt").write_text("new")
    third = import_folder(config, folder, "sample", owner="ada", name="liver", public=True)
    assert (third.changed, third.removed, third.added) == (["a.fastq.gz", "inside.gz"], ["sub/b ä.tsv"], ["new.txt"])
    after = client.get(f"/api/samples/{first.object_id}").json()  # now for everybody
    assert [entry["filename"] for entry in after["data"]] == ["a.fastq.gz", "inside.gz", "new.txt"]
    assert after["data"][0]["id"] == before["data"][0]["id"]
    assert after["data"][0]["md5"] != before["data"][0]["md5"]
    assert client.get("/api" + after["data"][0]["download_url"]).content == b"more reads"
    assert client.get("/api" + before["data"][2]["download_url"], headers=ada).status_code == 404


def test_a_project(config: ServerConfig, tmp_path: Path, client: Client) -> None:
    root = tmp_path / "study"
    for name in ("s1", "s2"):
        (root / name).mkdir(parents=True)
        (root / name / f"{name}.fastq.gz").write_text(name)
    (root / "notes.txt").write_text("loose")
    report = import_folder(config, root, "project", owner="ada", public=True)
    record = client.get(f"/api/projects/{report.object_id}").json()
    assert {one["name"]: [entry["filename"] for entry in one["data"]] for one in record["samples"]} == {
        "s1": ["s1.fastq.gz"],
        "s2": ["s2.fastq.gz"],
    }
    assert [entry.path for entry in report.skipped] == ["notes.txt"]
    again = import_folder(config, root, "project", owner="ada", public=True)
    assert len(client.get(f"/api/projects/{again.object_id}").json()["samples"]) == 2


def test_sharing_opens_what_is_below(config: ServerConfig, tmp_path: Path, client: Client) -> None:
    (tmp_path / "p" / "s").mkdir(parents=True)
    (tmp_path / "p" / "s" / "x.txt").write_text("shared")
    report = import_folder(config, tmp_path / "p", "project", owner="ada")
    eve = key(config, "eve")
    assert client.get(f"/api/projects/{report.object_id}", headers=eve).status_code == 403
    users.share(config, "project", report.object_id, "eve")
    sample = client.get(f"/api/projects/{report.object_id}", headers=eve).json()["samples"][0]
    assert client.get(f"/api/samples/{sample['id']}", headers=eve).status_code == 200
    assert client.get(f"/api/downloads/{sample['data'][0]['id']}/x.txt", headers=eve).text == "shared"
    users.share(config, "project", report.object_id, "eve", "none")
    assert client.get(f"/api/downloads/{sample['data'][0]['id']}/x.txt", headers=eve).status_code == 403


def test_a_public_project_shows_its_private_samples_files_to_no_list_of_strangers(
    config: ServerConfig, tmp_path: Path, client: Client
) -> None:
    (tmp_path / "p" / "s").mkdir(parents=True)
    (tmp_path / "p" / "s" / "x.txt").write_text("x")
    report = import_folder(config, tmp_path / "p", "project", owner="ada", public=True)
    sample = client.get(f"/api/projects/{report.object_id}").json()["samples"][0]
    assert client.get(f"/api/samples/{sample['id']}/data").json()["count"] == 1


def test_what_cannot_be_imported(config: ServerConfig, folder: Path) -> None:
    with pytest.raises(UsageError):
        import_folder(config, folder / "nothing", "sample", owner="ada")
    with pytest.raises(UsageError):
        import_folder(config, folder / "a.fastq.gz", "sample", owner="ada")
    with pytest.raises(NotFoundError):
        import_folder(config, folder, "sample", owner="nobody")


def test_a_file_that_changes_while_it_is_sent_is_never_finished(
    config: ServerConfig, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    path = tmp_path / "d" / "big.bin"
    path.write_bytes(bytes(3_000_000))
    report = import_folder(config, tmp_path / "d", "execution", owner="ada", public=True)
    url = f"/api/executions/{report.object_id}/big.bin"
    assert client.get(url).complete
    from packhorse.server.storage.disk import DiskReader

    honest = DiskReader.check

    def late(self: DiskReader) -> None:
        path.write_bytes(b"\1" * 3_000_000)  # between the last read and the last send
        os.utime(path, (5, 5))
        honest(self)

    monkeypatch.setattr(DiskReader, "check", late)
    broken = client.get(url)
    assert broken.status_code == 200
    assert not broken.complete
    assert len(broken.content) < 3_000_000
