"""``download.php``: redirects, ranges, encrypted ranges, archives, refusals, the log (spec §6, §10.6)."""

from __future__ import annotations

import io
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import CHUNK, Fs, Site, by_hand, sha256

DATA = random.Random(6).randbytes(3_000_000)


@pytest.fixture(scope="module")
def made(alice: Fs) -> dict[str, Any]:
    return alice.send({"dir/naïve %.txt": DATA, "b": b"second", "empty": b""})


def test_the_redirect_and_the_file(alice: Fs, made: dict[str, Any]) -> None:
    query = {"token": made["recipients"][0]["token"], "files_ids": str(made["files"][0]["id"])}
    answer = alice.call("GET", "/download.php", query=query, signed=False)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("download.php?")
    sent = parse_qs(urlsplit(answer.headers["location"]).query)
    assert len(sent["transaction_id"][0]) == 36
    for address in (f"{alice.url}/download.php", f"{alice.url}/download.php?"):
        followed = alice.http.get(address, params=query, timeout=30)
        assert followed.content == DATA
        assert "transaction_id=" in followed.url
    doubled = "?" + answer.headers["location"].partition("?")[2]  # trap 9: a stray question mark is taken off
    assert alice.http.get(f"{alice.url}/download.php?{doubled}", timeout=30).content == DATA
    assert followed.headers["content-length"] == str(len(DATA))
    assert followed.headers["content-type"] == "application/binary"
    assert followed.headers["accept-ranges"] == "bytes"
    file = made["files"][0]["id"]
    assert followed.headers["etag"] == f'"t{made["id"]}_f{file}_s{len(DATA)}_ranges_"'
    disposition = followed.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="na')
    assert disposition.endswith("filename*=UTF-8''na%C3%AFve%20%25.txt")
    assert "no-store" in followed.headers["cache-control"]
    assert "content-encoding" not in followed.headers
    posted = alice.http.post(f"{alice.url}/download.php", data=query, timeout=30)
    assert posted.content == DATA


def test_head(alice: Fs, made: dict[str, Any]) -> None:
    answer = alice.fetch(made, method="HEAD")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, str(len(DATA)), b"")


@pytest.mark.parametrize(
    ("asked", "begin", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-9", 0, 10),
        ("bytes=2999999-", 2_999_999, 3_000_000),
        ("bytes=1000000-", 1_000_000, 3_000_000),
        ("bytes=-5", 2_999_995, 3_000_000),
        ("bytes=-99999999", 0, 3_000_000),
        ("bytes=100-99999999", 100, 3_000_000),
    ],
)
def test_ranges(alice: Fs, made: dict[str, Any], asked: str, begin: int, stop: int) -> None:
    answer = alice.fetch(made, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == DATA[begin:stop]
    assert answer.headers["content-range"] == f"bytes {begin}-{stop - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(stop - begin)
    assert answer.headers["etag"] == alice.fetch(made, method="HEAD").headers["etag"]


@settings(max_examples=40, deadline=None)
@given(begin=st.integers(0, len(DATA) + 10), length=st.integers(1, 300_000))
def test_any_range_is_that_slice(alice: Fs, made: dict[str, Any], begin: int, length: int) -> None:
    answer = alice.fetch(made, headers={"Range": f"bytes={begin}-{begin + length - 1}"})
    if begin >= len(DATA):
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(DATA)}")
    else:
        assert (answer.status_code, answer.content) == (206, DATA[begin : begin + length])


def test_ranges_that_are_none(alice: Fs, made: dict[str, Any]) -> None:
    for asked in ("bytes=5-2", "items=0-5", "bytes=a-b", "bytes=0-1,5-6", "bytes="):
        answer = alice.fetch(made, headers={"Range": asked})
        assert (answer.status_code, len(answer.content)) == (200, len(DATA))
    assert alice.fetch(made, 2, headers={"Range": "bytes=0-"}).status_code == 416
    assert alice.fetch(made, 2).content == b""
    tag = alice.fetch(made, method="HEAD").headers["etag"]
    assert alice.fetch(made, headers={"Range": "bytes=0-4", "If-Range": tag}).status_code == 206
    assert alice.fetch(made, headers={"Range": "bytes=0-4", "If-Range": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "identifier"),
    [
        ({"token": "11111111-2222-4333-8444-000000000000"}, 404, "recipient_not_found"),
        ({"token": "x"}, 400, "token_has_bad_format"),
        ({"token": ""}, 400, "token_is_missing"),
        ({"files_ids": ""}, 400, "download_missing_files_ids"),
        ({"files_ids": "999999999"}, 404, "download_bad_files_ids"),
        ({"files_ids": "1;2"}, 404, "download_bad_files_ids"),
        ({"archive_format": "rar"}, 400, "rest_bad_parameter"),
    ],
)
def test_refusals_have_a_status_and_a_page(
    alice: Fs, made: dict[str, Any], query: dict[str, str], status: int, identifier: str
) -> None:
    answer = alice.fetch(made, query=query)
    assert (answer.status_code, answer.headers["x-filesender-error"]) == (status, identifier)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<!doctype html>")


def test_tokens_open_their_own_transfer_only_and_only_when_complete(alice: Fs, made: dict[str, Any]) -> None:
    secret = alice.send({"secret": b"s"})
    mixed = {"files_ids": f"{made['files'][1]['id']},{secret['files'][0]['id']}"}
    assert alice.fetch(made, query=mixed).headers["x-filesender-error"] == "download_bad_files_ids"
    open_ = alice.new({"a": 1})
    assert alice.fetch(open_).status_code == 404
    token = {"token": made["recipients"][0]["token"]}
    ids = [file["id"] for file in made["files"]]
    assert alice.ok("GET", "/transfer/fileids", query=token, signed=False) == ids
    listed = alice.ok("GET", "/transfer/fileidsextended", query=token)
    assert [entry["id"] for entry in listed] == ids
    assert (listed[0]["name"], listed[0]["size"], listed[0]["encrypted"]) == ("dir/naïve %.txt", len(DATA), False)
    assert alice.call("GET", "/transfer/fileidsextended", query=token, signed=False).status_code == 403
    private = alice.send({"p": b"p"}, options={"must_be_logged_in_to_download": True})
    assert alice.fetch(private).status_code == 403
    query = {"token": private["recipients"][0]["token"], "files_ids": str(private["files"][0]["id"])}
    assert alice.call("GET", "/download.php", query=query).content == b"p"


def test_the_owner_needs_no_token(alice: Fs, made: dict[str, Any]) -> None:
    ids = {"files_ids": str(made["files"][1]["id"])}
    assert alice.call("GET", "/download.php", query=ids).content == b"second"
    late = alice.call("GET", "/download.php", query=ids, at=-60)
    assert (late.status_code, late.headers["x-filesender-error"]) == (403, "auth_remote_too_late")


def test_archives(alice: Fs, made: dict[str, Any]) -> None:
    same = alice.send({"a": b"1", "dir/a": b"22"}, options={})
    ids = ",".join(str(file["id"]) for file in same["files"])
    answer = alice.fetch(same, query={"files_ids": ids})
    assert answer.headers["content-type"] == "application/x-zip"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert f"transfer_{same['id']}_files_" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {"a": b"1", "dir/a": b"22"}
    part = alice.fetch(same, query={"files_ids": ids}, headers={"Range": "bytes=30-60"})
    assert (part.status_code, part.content) == (206, answer.content[30:61])
    packed = alice.fetch(same, query={"files_ids": ids, "archive_format": "tar"})
    assert packed.headers["content-type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(packed.content)) as archive_:
        assert sorted(archive_.getnames()) == ["a", "dir/a"]
    one = alice.fetch(same, query={"archive_format": "zip"})
    with zipfile.ZipFile(io.BytesIO(one.content)) as archive:
        assert archive.namelist() == ["a"]
    assert alice.log(same).count("archive_download_ended") >= 2


def test_downloads_are_logged_and_told_once(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    options = {"email_download_complete": True, "enable_recipient_email_download_complete": True}
    made = fs.send({"a": DATA}, recipients=["r@example.org"], options=options)
    count = "SELECT recipient FROM letters ORDER BY id"
    before = len(by_hand(here.config.home, count))
    half = len(DATA) // 2
    assert fs.fetch(made, headers={"Range": f"bytes=0-{half - 1}"}).status_code == 206
    assert fs.log(made).count("download_started") == 1
    assert "download_ended" not in fs.log(made)
    assert fs.fetch(made, headers={"Range": f"bytes={half}-"}).status_code == 206
    assert fs.log(made).count("download_ended") == 1
    assert fs.fetch(made).status_code == 200  # the same transaction again
    assert (fs.log(made).count("download_started"), fs.log(made).count("download_ended")) == (1, 1)
    told = [row[0] for row in by_hand(here.config.home, count)][before:]
    assert sorted(told) == ["demo@demo.invalid", "r@example.org"]
    assert fs.ok("GET", f"/recipient/{made['recipients'][0]['id']}")["last_activity"]["raw"]
    assert fs.call("GET", "/download.php", query={"files_ids": str(made["files"][0]["id"])}).content == DATA
    assert fs.log(made).count("download_ended") == 2
    assert len(by_hand(here.config.home, count)) == before + 2


def _stored(version: int, plain: int) -> int:
    return plain + 32 if version == 3 else 16 + plain + 16 - plain % 16


@pytest.mark.parametrize("version", [0, 1, 3])
@pytest.mark.parametrize("size", [1, 100, CHUNK, CHUNK + 16, 2 * CHUNK + 5])
def test_encrypted_files(alice: Fs, version: int, size: int) -> None:
    """Chunks as §10.3 has them up, ranges as §10.6 has them down; random bytes stand for ciphertext."""
    chunks = [min(CHUNK, size - at) for at in range(0, size, CHUNK)]
    sealed = [os.urandom(_stored(version, plain)) for plain in chunks]
    sent = {
        "files": [
            {"name": "c", "size": size, "iv": "AAAAAAAAAAAAAAAA" if version == 3 else "A" * 22 + "==", "aead": "e30="}
        ],
        "recipients": [],
        "options": {},
        "encryption": True,
        "encryption_key_version": version,
        "encryption_password_version": 1,
        "encryption_password_encoding": "none",
        "encryption_password_hash_iterations": 150000,
        "encryption_client_entropy": "AAAA",
    }
    made = alice.ok("POST", "/transfer", sent)
    assert made["options"]["encryption"] is True
    file = made["files"][0]
    assert file["size"] == size
    for index in reversed(range(len(chunks))):
        headers = {
            "X-Filesender-File-Size": str(size),
            "X-Filesender-Chunk-Offset": str(index * CHUNK),
            "X-Filesender-Chunk-Size": str(chunks[index]),
            "X-Filesender-Encrypted": "1",
            "X-Filesender-Chunk-Size-Encrypted": str(len(sealed[index])),
            "X-Filesender-Digest-SHA256": sha256(sealed[index]),
        }
        answer = alice.chunk(file, index * CHUNK, sealed[index], stated=False, headers=headers)
        assert answer.json() == {"offset": index * (CHUNK + 32), "written": len(sealed[index])}
    short = alice.chunk(file, 0, sealed[0][:-1], stated=False)
    assert (short.status_code, short.json()["message"]) == (400, "rest_sanity_check_failed")
    inside = alice.chunk(file, 1, sealed[0], stated=False)
    assert inside.json()["message"] in ("rest_sanity_check_failed", "file_chunk_out_of_bounds")
    assert alice.complete(file).json() is True
    alice.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
    whole = alice.fetch(made)
    assert (whole.status_code, sha256(whole.content)) == (200, sha256(b"".join(sealed)))
    assert whole.headers["content-length"] == str(sum(map(len, sealed)))
    last = len(chunks) - 1
    for index, body in enumerate(sealed):
        begin = index * CHUNK
        if version == 3:
            stop = begin + CHUNK + 31 if index < last else size + 31
        elif last == 0:
            stop = len(body) - 1
        else:
            plain = chunks[index]
            stop = begin + CHUNK + 31 if index < last else begin + plain + 32 - plain % 16 - 1
        answer = alice.fetch(made, headers={"Range": f"bytes={begin}-{stop}"})
        assert (answer.status_code, sha256(answer.content)) == (206, sha256(body))
        assert answer.headers["content-range"] == f"bytes {begin}-{begin + len(body) - 1}/{size}"
        assert answer.headers["content-length"] == str(len(body))
    assert alice.fetch(made, headers={"Range": f"bytes={size}-{size + 9}"}).status_code == 416
    (entry,) = alice.ok("GET", "/transfer/fileidsextended", query={"token": made["recipients"][0]["token"]})
    assert (entry["encrypted"], entry["encrypted-size"], entry["key_version"]) == (True, len(whole.content), version)
    assert (entry["key-salt"], entry["fileiv"]) == (made["salt"], sent["files"][0]["iv"])
    assert alice.fetch(made, query={"archive_format": "zip"}).status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        {"encryption_key_version": 2},
        {"encryption_key_version": "x"},
        {"encryption_password_version": 9},
        {"encryption_password_encoding": "rot13"},
        {"encryption_password_hash_iterations": 0},
        {"files": [{"name": "c", "size": 5, "iv": "AAAA", "aead": "e30="}]},
        {"files": [{"name": "c", "size": 5, "iv": "AAAAAAAAAAAAAAAA", "aead": "%%%"}]},
        {"files": [{"name": "c", "size": 5}]},
    ],
)
def test_encryption_that_nobody_could_read(alice: Fs, change: dict[str, Any]) -> None:
    file = {"name": "c", "size": 5, "iv": "AAAAAAAAAAAAAAAA", "aead": "e30="}
    sent = {"files": [file], "recipients": [], "encryption": True, "encryption_key_version": 3, **change}
    answer = alice.call("POST", "/transfer", sent)
    assert (answer.status_code, answer.json()["message"]) == (400, "rest_bad_parameter")
