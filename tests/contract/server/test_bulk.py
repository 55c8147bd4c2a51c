"""Bulk downloads over plain HTTP: the guide's lifecycle, its refusals, and archives that other programs read."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from packhorse.server.config import ServerConfig
from packhorse.server.importer import import_folder
from packhorse.server.users import create_api_key, create_user

from .conftest import Demo, end, start

DAY = 24 * 3600


def create(demo: Demo, user: str = "demo", path: str = "/downloads", **body: Any) -> requests.Response:
    return demo.get(path, user, method="POST", json=body)


def made(demo: Demo, path: str = "/downloads", **body: Any) -> dict[str, Any]:
    answer = create(demo, path=path, **body)
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()
    return job


def archive_of(demo: Demo, job: dict[str, Any], user: str | None = "demo", **options: Any) -> requests.Response:
    assert job["download_url"].startswith(demo.api)
    return demo.get(job["download_url"].removeprefix(demo.api), user, **options)


def test_the_guides_job(demo: Demo) -> None:
    job = made(demo, data_ids=[789, "790", 791], name="my_dataset.zip")
    assert job["status"] == "completed"  # nothing has to be built
    assert job["progress"] == 100
    assert job["expires"] == job["finished"] + DAY
    assert job["data"] == ["789", "790", "791"]
    assert uuid.UUID(job["id"])
    asked = demo.json(f"/downloads/{job['id']}/status", "demo")
    assert asked == job
    answer = archive_of(demo, job)
    assert answer.status_code == 200
    assert len(answer.content) == job["size"]
    assert 'filename="my_dataset.zip"' in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == ["WT_rep1_R1.fastq.gz", "WT_rep1_R2.fastq.gz", "WT_rep2_R1.fastq.gz"]
        for number, name in zip((789, 790, 791), opened.namelist(), strict=True):
            stated = demo.json(f"/data/{number}", "demo")
            assert hashlib.md5(opened.read(name)).hexdigest() == stated["md5"]
    short = demo.get(f"/downloads/{job['id']}", "demo")
    assert short.content == answer.content


def test_any_range_of_it(demo: Demo) -> None:
    job = made(demo, data_ids=[789, 790], name="ranges")
    assert job["name"] == "ranges.zip"
    whole = archive_of(demo, job)
    for first, last in ((0, 0), (100, 70_000), (len(whole.content) - 30, len(whole.content) - 1)):
        part = archive_of(demo, job, headers={"Range": f"bytes={first}-{last}", "If-Range": whole.headers["ETag"]})
        assert part.status_code == 206
        assert part.content == whole.content[first : last + 1]
    over = archive_of(demo, job, headers={"Range": f"bytes={len(whole.content)}-"})
    assert over.status_code == 416
    assert over.json()["error"] == "The archive has no such range of bytes"


def test_samples_and_executions(demo: Demo) -> None:
    by_sample = made(demo, "/downloads/samples", sample_ids=["12", 13])
    with zipfile.ZipFile(io.BytesIO(archive_of(demo, by_sample).content)) as opened:
        assert opened.namelist() == [
            "WT_rep1/WT_rep1_R1.fastq.gz",
            "WT_rep1/WT_rep1_R2.fastq.gz",
            "WT_rep2/WT_rep2_R1.fastq.gz",
        ]
    by_execution = made(demo, "/downloads/executions", execution_ids=[456])
    assert by_execution["by_execution"] is True
    assert by_execution["name"] == "execution_456.zip"
    with zipfile.ZipFile(io.BytesIO(archive_of(demo, by_execution).content)) as opened:
        assert "456/results/counts/all.gene_counts.tsv" in opened.namelist()


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("", {}, 400, "Give a list of ids"),
        ("", {"data_ids": []}, 400, "Give a list of ids"),
        ("", {"data_ids": "789"}, 400, "Give a list of ids"),
        ("", {"data_ids": [789, "x'; DROP TABLE data"]}, 400, "Not an id"),
        ("", {"data_ids": [True]}, 400, "Not an id"),
        ("", {"data_ids": [789, 5, 6]}, 404, "Not found: 5, 6"),
        ("/samples", {"sample_ids": [99]}, 404, "Not found: 99"),
        ("/executions", {"execution_ids": [{}]}, 400, "Not an id"),
    ],
)
def test_what_cannot_be_had(demo: Demo, path: str, body: dict[str, Any], status: int, said: str) -> None:
    answer = create(demo, path=f"/downloads{path}", **body)
    assert answer.status_code == status
    assert said in str(answer.json()["error"])
    assert answer.json()["status"] == status


def test_nobody_gets_what_they_may_not_read(demo: Demo) -> None:
    refused = create(demo, "other", data_ids=[789, 795])
    assert refused.status_code == 403
    assert refused.json()["error"].endswith(": 789")
    assert demo.get("/downloads", method="POST", json={"data_ids": [793]}).status_code == 401
    job = made(demo, data_ids=[793])
    for path in (f"/downloads/{job['id']}/status", f"/downloads/{job['id']}", f"/downloads/{job['id']}/x.zip"):
        assert demo.get(path, "other").status_code == 404
        assert demo.get(path).status_code == 401
    assert demo.get(f"/downloads/{job['id']}", "other", method="DELETE").status_code == 404
    assert demo.get(f"/downloads/{uuid.uuid4()}/status", "demo").status_code == 404
    assert archive_of(demo, job, "admin").status_code == 200


def test_a_right_that_is_withdrawn_closes_the_archive(demo: Demo) -> None:
    answer = create(demo, "other", data_ids=[795])
    assert answer.status_code == 201
    job = answer.json()
    assert archive_of(demo, job, "other").status_code == 200
    with sqlite3.connect(demo.home / "packhorse.db", timeout=30) as database:
        rows = database.execute("SELECT * FROM shares WHERE kind = 'data' AND object_id = 795").fetchall()
        database.execute("DELETE FROM shares WHERE kind = 'data' AND object_id = 795")
        database.commit()
        try:
            assert archive_of(demo, job, "other").status_code == 403
        finally:
            marks = ",".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO shares VALUES ({marks})", rows)
    database.close()
    assert archive_of(demo, job, "other").status_code == 200


def test_list_and_drop(demo: Demo) -> None:
    job = made(demo, data_ids=[793], name="to be dropped")
    listed = demo.json("/downloads", "demo", params={"count": 100})
    assert job["id"] in [one["id"] for one in listed["downloads"]]
    assert job["id"] not in [one["id"] for one in demo.json("/downloads", "other")["downloads"]]
    assert demo.get(f"/downloads/{job['id']}", "demo", method="DELETE").status_code == 204
    assert demo.get(f"/downloads/{job['id']}", "demo").status_code == 404
    assert demo.get(f"/downloads/{job['id']}", "demo", method="DELETE").status_code == 404


def test_it_expires_after_a_day(demo: Demo) -> None:
    job = made(demo, data_ids=[793])
    with sqlite3.connect(demo.home / "packhorse.db", timeout=30) as database:
        database.execute("UPDATE bulk_jobs SET finished = finished - 86400 WHERE id = ?", (job["id"],))
    database.close()
    over = demo.json(f"/downloads/{job['id']}/status", "demo")
    assert (over["status"], over["error"], over["download_url"]) == ("expired", "Download link has expired", None)
    gone = demo.get(f"/downloads/{job['id']}/{job['name']}", "demo")
    assert gone.status_code == 410
    assert gone.json() == {"error": "Download link has expired", "code": "EXPIRED", "status": 410}


@pytest.mark.parametrize("name", ["../../etc/passwd", 'a"b\r\nX: y.zip', "x" * 5000, 7, None, "数据.zip", ""])
def test_names_of_archives(demo: Demo, name: object) -> None:
    job = made(demo, data_ids=[793], name=name)
    assert job["name"].endswith(".zip")
    assert "/" not in job["name"]
    answer = archive_of(demo, job)
    assert answer.status_code == 200
    assert "X" not in answer.headers


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[Demo, Path]]:
    """A server with two samples of files that have the same names and stay where the lab keeps them."""
    config = ServerConfig(home=tmp_path / "home")
    create_user(config, "ada", "correct horse", email="ada@lab.example", role="user")
    for sample in ("liver", "lung"):
        folder = tmp_path / sample
        folder.mkdir()
        for name in ("a.txt", "b.txt"):
            (folder / name).write_text(f"{sample} {name}" * 1000)
        import_folder(config, folder, "sample", owner="ada")
    key = create_api_key(config, "ada")
    process, ready = start(config.home)
    users = {"ada": {"filesender_api_key": key}}
    with requests.Session() as http:
        http.trust_env = False
        yield Demo(ready["url"], users, config.home, http), folder
    code, _, err = end(process)
    assert code == 0
    assert "Traceback" not in err, err


def ended(demo: Demo, job: dict[str, Any]) -> dict[str, Any]:
    limit = time.monotonic() + 30
    progress = -1
    while job["status"] in ("pending", "processing"):
        assert job["progress"] >= progress
        progress = job["progress"]
        assert time.monotonic() < limit, job
        time.sleep(0.05)
        job = demo.json(f"/downloads/{job['id']}/status", "ada")
    return job


def test_files_of_a_lab_are_looked_at_first(lab: tuple[Demo, Path]) -> None:
    demo, folder = lab
    ids = [row["id"] for row in demo.json("/data/search", "ada")["data"]]
    job = create(demo, "ada", data_ids=ids, name="liver").json()
    assert job["status"] == "pending"
    assert job["download_url"] is None
    job = ended(demo, job)
    assert job["status"] == "completed"
    with zipfile.ZipFile(io.BytesIO(archive_of(demo, job, "ada").content)) as opened:
        assert sorted(opened.namelist()) == ["liver/a.txt", "liver/b.txt", "lung/a.txt", "lung/b.txt"]
        assert opened.read("lung/a.txt") == b"lung a.txt" * 1000
    (folder / "b.txt").write_text("changed meanwhile")
    failed = ended(demo, create(demo, "ada", data_ids=ids).json())
    assert failed["status"] == "failed"
    assert "b.txt" in failed["error"]
    assert str(folder) not in failed["error"]
    assert demo.get(f"/downloads/{failed['id']}", "ada").status_code == 410
