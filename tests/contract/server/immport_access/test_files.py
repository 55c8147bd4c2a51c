"""Folders, transfer tokens, DRS and the links' bytes (spec immport §3)."""

from __future__ import annotations

import hashlib
import io
import re
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from packhorse.server.users import share

from .conftest import FILES, Browser, Site
from .test_keys import make

FOLDER = "SDY1/ResultFiles/Flow_cytometry_result"
FCS = f"{FOLDER}/a.1.fcs"
SECRET = "SDY9/StudyFiles/secret.5.txt"


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    return site.token()


@pytest.fixture(scope="module")
def uuids(site: Site) -> dict[str, str]:
    with sqlite3.connect(site.config.home / "packhorse.db") as connection:
        rows = dict(connection.execute("SELECT path, uuid FROM study_files").fetchall())
    connection.close()
    return rows


@pytest.mark.parametrize("path", ["/SDY1", "SDY1", "SDY1/", "/SDY1/"])
def test_a_folder_is_listed_however_its_path_is_written(site: Site, token: str, path: str) -> None:
    answer = site.post("/data/list", token, json={"path": path})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    everything = [data for name, data in FILES.items() if name.startswith("SDY1/")]
    assert found["self"] == {
        "path": "/SDY1",
        "basename": "SDY1",
        "type": "directory",
        "size": sum(map(len, everything)),
        "mtime": "2017-04-20T12:00:00Z",
        "permissions": [{"name": "view"}],
        "fileCount": 4,
    }
    assert [(item["path"], item["type"], item["fileCount"]) for item in found["items"]] == [
        ("/SDY1/ResultFiles", "directory", 3),
        ("/SDY1/StudyFiles", "directory", 1),
    ]


def test_files_are_listed_with_their_size(site: Site, token: str) -> None:
    found = site.post("/data/list", token, json={"path": FOLDER}).json()["items"]
    assert [(item["basename"], item["size"], item["type"]) for item in found] == [
        ("a.1.fcs", len(FILES[FCS]), "file"),
        ("b.2.fcs", 6, "file"),
    ]
    assert "fileCount" not in found[0]
    found = site.post("/data/list", token, json={"path": FCS}).json()
    assert (found["self"]["type"], found["items"]) == ("file", [])


def test_the_root_shows_what_one_may_see(site: Site, token: str) -> None:
    found = site.post("/data/list", token, json={"path": "/"}).json()
    assert [item["path"] for item in found["items"]] == ["/SDY1"]
    found = site.post("/data/list", site.token("admin"), json={"path": "/"}).json()
    assert [item["path"] for item in found["items"]] == ["/SDY1", "/SDY9"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("SDY1/Nothing", 404),
        ("SDY1/ResultFiles/Flow", 404),
        ("SDY7", 404),
        ("SDY9", 403),
        (SECRET, 403),
        ("SDY9/nothing", 403),
        ("../etc", 400),
        ("SDY1/../SDY9", 400),
        ("SDY1//x", 400),
        ("SDY1/a\nb", 400),
        ("SDY1/a\0b", 400),
        ("SDY1\\x", 400),
        ("SDY1/%", 404),
        ("SDY1/_esultFiles", 404),
        ("sdy1/ResultFiles", 404),
        ("SDY1/" + "x" * 2000, 400),
        ("SDY1/it's", 404),
        ('SDY1/$(touch /tmp/x)"', 404),
        ("SDY1/\ud800", 400),
    ],
)
@pytest.mark.parametrize("address", ["list", "download/token"])
def test_bad_paths_are_refused_alike(site: Site, token: str, path: str, status: int, address: str) -> None:
    body = {"path": path} if address == "list" else {"paths": [FCS, path]}
    answer = site.post(f"/data/{address}", token, json=body)
    assert answer.status_code == status, answer.text
    assert re.search(r'^ *"error" *:', answer.text, re.MULTILINE)
    assert re.search(r'^ *"message" *:', answer.text, re.MULTILINE)
    assert answer.json()["message"]


@pytest.mark.parametrize(
    "body", [[], {}, {"paths": []}, {"paths": "SDY1"}, {"paths": [1]}, {"path": 1}, {"paths": [""]}]
)
def test_bad_bodies_are_refused(site: Site, token: str, body: Any) -> None:
    assert site.post("/data/download/token", token, json=body).status_code == 400


def test_a_transfer_token_is_one_word_that_a_shell_passes_unquoted(site: Site, token: str) -> None:
    raw = f'{{ "paths" :\n [ "{FCS}" , "/{FOLDER}/" ] }}'
    answer = site.post("/data/download/token", token, data=raw)
    line = re.search(r'^.*"token" *: *"(.*)"', answer.text, re.MULTILINE)
    assert line is not None, answer.text
    assert re.fullmatch(r"ATM2_[A-Za-z0-9._=+/-]+", line[1])
    echoed = subprocess.run(f"echo {line[1]}", shell=True, capture_output=True, text=True, check=True)
    assert echoed.stdout.strip() == line[1]


def test_a_transfer_token_opens_its_paths_and_no_others(site: Site, token: str) -> None:
    given = site.post("/data/download/token", token, json={"paths": [f"/{FOLDER}"]}).json()["token"]
    answer = site.post("/data/download/transfer", given, json={"paths": [FOLDER]})
    assert answer.status_code == 200, answer.text
    found = {file["path"]: file for file in answer.json()["files"]}
    assert sorted(found) == [FCS, f"{FOLDER}/b.2.fcs"]
    assert found[FCS]["md5"] == hashlib.md5(FILES[FCS]).hexdigest()
    assert found[FCS]["modified"] == 1_492_689_600
    assert site.get(found[FCS]["url"]).content == FILES[FCS]

    for path, status in (("SDY1/StudyFiles/empty.4.txt", 403), ("SDY1", 403), (f"{FOLDER}x", 403), ("..", 400)):
        assert site.post("/data/download/transfer", given, json={"paths": [path]}).status_code == status
    # it is for files, and opens nothing else
    assert site.post("/data/list", given, json={"path": "SDY1"}).status_code == 401


def test_forged_and_stale_transfer_tokens_are_refused(site: Site, own_site: Callable[..., Any], token: str) -> None:
    given = site.post("/data/download/token", token, json={"paths": [FCS]}).json()["token"]
    head, _, signature = given.partition(".")
    tampered = f"{head[:-2]}{'AA' if head[-2:] != 'AA' else 'BB'}.{signature}"
    for bad in (tampered, f"{head}.{'0' * 64}", head, "ATM2_", "ATM2_x.y", token, "x"):
        answer = site.post("/data/download/transfer", bad, json={"paths": [FCS]})
        assert answer.status_code == 401, bad
    assert site.post("/data/download/transfer", json={"paths": [FCS]}).status_code == 401
    with own_site(transfer_seconds=1) as short:
        given = short.post("/data/download/token", short.token(), json={"paths": [FCS]}).json()["token"]
        until = time.monotonic() + 30
        while short.post("/data/download/transfer", given, json={"paths": [FCS]}).status_code == 200:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_a_restricted_study_opens_for_those_who_were_let_in(own_site: Callable[..., Any]) -> None:
    with own_site() as site:
        other = site.token("other")
        assert site.post("/data/list", other, json={"path": "SDY9"}).status_code == 403
        share(site.config, "study", 9, "other")
        assert site.post("/data/list", other, json={"path": "SDY9"}).status_code == 200
        given = site.post("/data/download/token", other, json={"paths": [SECRET]}).json()["token"]
        found = site.post("/data/download/transfer", given, json={"paths": [SECRET]}).json()["files"][0]
        assert site.get(found["url"]).content == FILES[SECRET]
        share(site.config, "study", "SDY9", "other", "none")
        # what was handed out before opens nothing either
        assert site.get(found["url"]).status_code == 403
        assert site.post("/data/download/transfer", given, json={"paths": [SECRET]}).status_code == 403


def test_scopes_are_kept_apart(site: Site, browser: Browser, uuids: dict[str, str]) -> None:
    browser.sign_in()
    browse, download = (make(browser, scope).json()["api_key"] for scope in ("browse", "download"))
    assert site.post("/data/list", browse, json={"path": "SDY1"}).status_code == 200
    answer = site.post("/data/list", download, json={"path": "SDY1"})
    assert answer.status_code == 403
    assert 'scope="browse"' in answer.headers["WWW-Authenticate"]
    for key, status in ((browse, 403), (download, 200)):
        assert site.post("/data/download/token", key, json={"paths": [FCS]}).status_code == status
        assert site.get(f"/data/query/drs/download/s3/{uuids[FCS]}", key).status_code == status


def test_drs_leads_to_the_bytes(site: Site, token: str, uuids: dict[str, str]) -> None:
    for path, data in FILES.items():
        if path == SECRET:
            continue
        for method in ("s3", "stream"):
            answer = site.get(f"/data/query/drs/download/{method}/{uuids[path].upper()}", token)
            assert answer.status_code == 200, answer.text
            assert list(answer.json()) == ["message", "url", "status"]
            got = site.get(answer.json()["url"])
            assert got.status_code == 200
            assert got.content == data
            assert got.headers["Content-Length"] == str(len(data))


def test_the_links_serve_ranges_and_conditions(site: Site, token: str, uuids: dict[str, str]) -> None:
    for method in ("s3", "stream"):
        url = site.get(f"/data/query/drs/download/{method}/{uuids[FCS]}", token).json()["url"]
        got = site.get(url, headers={"Range": "bytes=100-199"})
        assert (got.status_code, got.content) == (206, FILES[FCS][100:200])
        assert got.headers["Content-Range"] == f"bytes 100-199/{len(FILES[FCS])}"
        assert site.get(url, headers={"Range": "bytes=99999999-"}).status_code == 416
        tag = got.headers["ETag"]
        assert site.get(url, headers={"If-None-Match": tag}).status_code == 304
        assert site.get(url, headers={"If-Match": '"other"'}).status_code == 412


def test_an_s3_link_behaves_like_one(site: Site, token: str, uuids: dict[str, str]) -> None:
    url = site.get(f"/data/query/drs/download/s3/{uuids[FCS]}", token).json()["url"]
    assert "X-Amz-Expires=604800" in url
    answer = site.get(url, token)
    assert answer.status_code == 400
    assert "<Code>InvalidArgument</Code>" in answer.text
    assert site.request("HEAD", url).status_code == 403
    for old, new in (("X-Amz-Expires=604800", "X-Amz-Expires=9604800"), ("a.1.fcs", "b.2.fcs"), ("SDY1", "SDY9")):
        answer = site.get(url.replace(old, new))
        assert answer.status_code == 403
        assert "<Code>SignatureDoesNotMatch</Code>" in answer.text
    assert site.get(url.partition("?")[0]).status_code == 403
    quoted = 'SDY1/ResultFiles/ELISA_result/it\'s $(here) "x".3.txt'
    url = site.get(f"/data/query/drs/download/s3/{uuids[quoted]}", token).json()["url"]
    assert re.fullmatch(r"[!-~]+", url)
    assert not set(urlsplit(url).path) & set(" \"'$()<>")


def test_a_link_ends(own_site: Callable[..., Any]) -> None:
    with own_site(stream_seconds=1) as site:
        with sqlite3.connect(site.config.home / "packhorse.db") as connection:
            (uuid,) = connection.execute("SELECT uuid FROM study_files WHERE path = ?", (FCS,)).fetchone()
        connection.close()
        url = site.get(f"/data/query/drs/download/stream/{uuid}", site.token()).json()["url"]
        until = time.monotonic() + 30
        while (answer := site.get(url)).status_code == 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert answer.status_code == 403
        assert "is over" in answer.json()["message"]
        assert site.get(url.replace("expires=", "expires=9")).status_code == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("s3/5f1d3472-71e9-4485-b46f-03a80f629845", 404),
        ("s3/nothing", 404),
        ("ftp/5f1d3472-71e9-4485-b46f-03a80f629845", 400),
        ("s3/%2e%2e", 404),
        ("stream/'%20OR%201=1", 404),
    ],
)
def test_what_drs_does_not_have(site: Site, token: str, path: str, status: int) -> None:
    answer = site.get(f"/data/query/drs/download/{path}", token)
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == status


def test_restricted_missing_and_gone_are_told_apart(own_site: Callable[..., Any]) -> None:
    with own_site() as site:
        with sqlite3.connect(site.config.home / "packhorse.db") as connection:
            uuids = dict(connection.execute("SELECT path, uuid FROM study_files").fetchall())
            (key,) = connection.execute(
                "SELECT segments.key FROM segments JOIN study_files ON study_files.file_id = segments.file_id "
                "WHERE path = ?", (FCS,),
            ).fetchone()  # fmt: skip
        connection.close()
        token = site.token()
        assert site.get(f"/data/query/drs/download/s3/{uuids[SECRET]}", token).status_code == 403
        assert site.get(f"/data/query/drs/download/s3/{uuids[SECRET]}").status_code == 401
        url = site.get(f"/data/query/drs/download/s3/{uuids[FCS]}", token).json()["url"]
        (site.config.objects / key).unlink()
        answer = site.get(f"/data/query/drs/download/s3/{uuids[FCS]}", token)
        assert answer.status_code == 503
        assert "cannot be read" in answer.json()["message"]
        assert site.get(url).status_code == 503


def test_the_standard_s_objects(site: Site, token: str, uuids: dict[str, str]) -> None:
    host = urlsplit(site.url).netloc
    answer = site.get(f"/ga4gh/drs/v1/objects/{uuids[FCS]}", token)
    found = answer.json()
    assert found["self_uri"] == f"drs://{host}/{uuids[FCS]}"
    assert found["size"] == len(FILES[FCS])
    assert {"type": "md5", "checksum": hashlib.md5(FILES[FCS]).hexdigest()} in found["checksums"]
    assert found["created_time"] == "2017-04-20T12:00:00Z"
    for method in found["access_methods"]:
        link = site.get(f"/ga4gh/drs/v1/objects/{uuids[FCS]}/access/{method['access_id']}", token).json()
        assert site.get(link["url"]).content == FILES[FCS]
    for path, user, status in ((f"/{uuids[FCS]}", None, 401), (f"/{uuids[SECRET]}", token, 403), ("/x", token, 404),
                               (f"/{uuids[FCS]}/access/ftp", token, 404)):  # fmt: skip
        answer = site.get(f"/ga4gh/drs/v1/objects{path}", user)
        assert (answer.status_code, answer.json()["status_code"]) == (status, status)
        assert answer.json()["msg"]
    answer = site.request("OPTIONS", f"/ga4gh/drs/v1/objects/{uuids[FCS]}")
    assert answer.json()["bearer_auth_issuers"] == [f"{site.url}/auth"]
    info = site.get("/ga4gh/drs/v1/service-info").json()
    assert info["type"]["artifact"] == "drs"


def test_the_tool_s_archive_says_what_it_is(site: Site) -> None:
    answer = site.get("/data/download/tool/immport-data-download-tool.zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    text = archive.read("immport-data-download-tool/README.txt").decode()
    assert "not the ImmPort Data Download" in text
    script = archive.getinfo("immport-data-download-tool/bin/immport-download.sh")
    assert script.external_attr >> 16 & 0o111
    subprocess.run(["bash", "-n"], input=archive.read(script), check=True)
