"""Chunks: any order, repeats, holes, digests, limits, many at once, a killed server (spec §4.3, §4.4)."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ..conftest import end, start  # noqa: TID252 - the tests' own package has no absolute name
from .conftest import CHUNK, Fs, Site, by_hand, refused, sha256


@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_sizes_around_the_borders(alice: Fs, size: int) -> None:
    data = random.Random(size).randbytes(size)
    made = alice.send({"x.bin": data})
    answer = alice.fetch(made)
    assert (answer.status_code, sha256(answer.content)) == (200, sha256(data))
    if size:
        assert answer.headers["repr-digest"].startswith("sha-256=:")


def test_any_order_any_size_any_offset(alice: Fs) -> None:
    """Unencrypted chunks may be of any size at any offset (spec §4.3)."""
    data = random.Random(1).randbytes(1_000_003)
    cuts = [0, 1, 7, 65_536, 65_537, 300_000, 999_999, len(data)]
    pieces = list(itertools.pairwise(cuts))
    random.Random(2).shuffle(pieces)
    made = alice.new({"x": len(data)})
    file = made["files"][0]
    for begin, stop in pieces:
        answer = alice.chunk(file, begin, data[begin:stop])
        assert answer.json() == {"offset": begin, "written": stop - begin}
    assert alice.complete(file).json() is True
    alice.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
    assert alice.fetch(made).content == data


def test_holes_are_named_and_can_be_filled(alice: Fs) -> None:
    data = random.Random(3).randbytes(3 * CHUNK)
    made = alice.new({"x": len(data)})
    file = made["files"][0]
    details = refused(alice.complete(file), "file_integrity_check_failed")
    assert details == {"missing": [[0, len(data)]]}
    for offset in (0, 2 * CHUNK):
        alice.chunk(file, offset, data[offset : offset + CHUNK])
    details = refused(alice.complete(file), "file_integrity_check_failed")
    assert details == {"missing": [[CHUNK, 2 * CHUNK]]}
    details = refused(alice.call("PUT", f"/transfer/{made['id']}", {"complete": True}), "transfer_files_incomplete")
    assert details == {"files": [file["id"]]}
    alice.chunk(file, CHUNK, data[CHUNK : 2 * CHUNK])
    assert alice.complete(file).json() is True
    assert alice.complete(file).json() is True
    alice.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
    assert sha256(alice.fetch(made).content) == sha256(data)


def test_repeats_and_overlaps(alice: Fs) -> None:
    """The last bytes of a range count, whatever the parts' borders were."""
    expected = bytearray(600_000)
    made = alice.new({"x": len(expected)})
    file = made["files"][0]
    rng = random.Random(4)
    some = [(rng.randrange(500_000), rng.randrange(1, 100_000)) for _ in range(25)]
    for begin, length in (*some, (0, 200_000), (200_000, 400_000), *some):
        stop = begin + length
        body = rng.randbytes(stop - begin)
        assert alice.chunk(file, begin, body).status_code == 200
        expected[begin:stop] = body
    assert alice.complete(file).json() is True
    alice.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
    assert alice.fetch(made).content == bytes(expected)


def test_a_chunk_after_completion(alice: Fs) -> None:
    made = alice.new({"x": 300_000})
    file, data = made["files"][0], os.urandom(300_000)
    alice.upload(file, data)
    assert alice.complete(file).json() is True
    assert alice.chunk(file, 100, data[100:2000]).json() == {"offset": 100, "written": 1900}
    refused(alice.chunk(file, 100, b"x" * 1900), "cannot_add_data_to_complete_transfer", 400)
    alice.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
    refused(alice.chunk(file, 100, data[100:2000]), "cannot_add_data_to_complete_transfer", 400)
    assert alice.fetch(made).content == data
    alice.ok("PUT", f"/transfer/{made['id']}", {"closed": True})
    refused(alice.chunk(file, 0, data), "cannot_alter_closed_transfer", 403)


@pytest.mark.parametrize("signed", [False, True])
def test_a_stated_digest_is_checked(alice: Fs, signed: bool) -> None:
    data = os.urandom(400_000)
    made = alice.new({"x": len(data)})
    file = made["files"][0]
    name = "X-Filesender-Digest-SHA256"
    for lie in (sha256(data[:-1]), "", "zz", "é".encode().decode("latin-1")):
        answer = alice.chunk(file, 0, data, headers={name: lie}, signed=signed)
        if lie:
            refused(answer, "rest_sanity_check_failed", 400)
    good = alice.new({"x": len(data)})
    assert alice.chunk(good["files"][0], 0, data, headers={name: sha256(data).upper()}).status_code == 200
    # a chunk with a wrong digest takes nothing from a good one before it
    refused(
        alice.chunk(good["files"][0], 0, b"0" * 400_000, headers={name: sha256(data)}), "rest_sanity_check_failed", 400
    )
    assert alice.complete(good["files"][0]).json() is True


def test_headers_and_bounds(alice: Fs) -> None:
    made = alice.new({"x": 1000, "big": 20 << 20})
    file, big = made["files"]
    path = f"/file/{file['id']}/chunk/"
    key = {"key": file["puid"]}

    def put(offset: Any, body: bytes, **headers: str) -> Any:
        named = {"X-Filesender-" + name.replace("_", "-"): value for name, value in headers.items()}
        return alice.call("PUT", f"{path}{offset}", raw=body, query=key, headers=named, signed=False)

    for headers in ({"File_Size": "999"}, {"Chunk_Offset": "1"}, {"Chunk_Size": "9"}):
        refused(put(0, b"0123456789", **headers), "rest_sanity_check_failed", 400)
    for headers in ({"File_Size": "x"}, {"Chunk_Offset": "-1"}, {"Chunk_Size": "1e3"}):
        refused(put(0, b"0123456789", **headers), "rest_bad_parameter", 400)
    refused(put(995, b"0123456789"), "file_chunk_out_of_bounds")
    refused(put(1001, b""), "file_chunk_out_of_bounds")
    refused(put("abc", b"x"), "rest_bad_parameter", 400)
    refused(put("", b"x"), "rest_missing_parameter", 400)
    refused(put("0/1", b"x"), "rest_bad_parameter", 400)
    assert put(1000, b"").json() == {"offset": 1000, "written": 0}
    refused(alice.call("PUT", "/file/99999999/chunk/0", raw=b"x", query=key), "file_not_found")
    refused(alice.call("PUT", "/file/abc/chunk/0", raw=b"x", query=key), "rest_bad_parameter", 400)
    assert alice.chunk(big, 0, b"x" * (CHUNK + 32)).status_code == 200
    refused(alice.chunk(big, 0, b"x" * (CHUNK + 33)), "storage_chunk_too_large")


def test_an_unsized_body_is_limited(alice: Fs) -> None:
    made = alice.new({"big": 20 << 20})
    file = made["files"][0]
    url = f"{alice.url}/rest.php/file/{file['id']}/chunk/0?key={file['puid']}"

    def pieces(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield b"x" * 65_536

    assert alice.http.put(url, data=pieces(80), timeout=30).json() == {"offset": 0, "written": CHUNK}
    answer = alice.http.put(url, data=pieces(81), timeout=30)
    refused(answer, "storage_chunk_too_large")


def test_a_sender_that_breaks_off_changes_nothing(alice: Fs) -> None:
    data = os.urandom(CHUNK)
    made = alice.new({"x": len(data)})
    file = made["files"][0]
    alice.upload(file, data)
    address = urlsplit(alice.url)
    for sent in (0, 100, 262_145, CHUNK - 1):
        with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
            head = (
                f"PUT /rest.php/file/{file['id']}/chunk/0?key={file['puid']} HTTP/1.1\r\nHost: {address.netloc}\r\n"
                f"Content-Length: {CHUNK}\r\n\r\n"
            )
            raw.sendall(head.encode() + b"\0" * sent)
    time.sleep(0.2)
    assert alice.complete(file).json() is True
    alice.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
    assert sha256(alice.fetch(made).content) == sha256(data)


def test_bytes_that_a_power_cut_took_are_not_announced(tmp_path: Path) -> None:
    """What was acknowledged is compared with what lies on the disk before it is announced."""
    home = tmp_path / "home"
    process, ready = start(home, "--demo")
    key = ready["users"][0]["filesender_api_key"]
    fs = Fs(ready["url"], "demo", key)
    made = fs.new({"x": 300_000})
    file = made["files"][0]
    fs.upload(file, b"\1" * 300_000)
    assert end(process)[0] == 0
    ((draft,),) = by_hand(home, "SELECT draft_key FROM fs_files")
    with (home / "objects" / draft).open("r+b") as stored:
        stored.seek(150_000)
        stored.write(b"\0")
    process, ready = start(home)
    try:
        fs.url = ready["url"]
        refused(fs.complete(file), "file_integrity_check_failed")
        assert fs.chunk(file, 0, b"\1" * 300_000).status_code == 200
        assert fs.complete(file).json() is True
    finally:
        assert end(process)[0] == 0


def test_the_disk_is_full(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    made = fs.new({"x": 600_000})
    folder = here.config.objects / "uploads"
    folder.write_bytes(b"")  # no folder can be made here any more
    refused(fs.chunk(made["files"][0], 0, b"x" * 600_000), "storage_filesystem_cannot_write")
    folder.unlink()
    fs.upload(made["files"][0], b"x" * 600_000)
    assert fs.complete(made["files"][0]).json() is True


def test_two_servers_one_home_many_chunks_at_once(tmp_path: Path) -> None:
    """Two processes on one home take the chunks of two files, each chunk twice, in any order, all at once."""
    home = tmp_path / "home"
    first, ready = start(home, "--demo")
    second, more = start(home)
    try:
        key = ready["users"][0]["filesender_api_key"]
        here, there = Fs(ready["url"], "demo", key), Fs(more["url"], "demo", key)
        data = {name: random.Random(name).randbytes(8 * 700_000 + 5) for name in ("a", "b")}
        made = here.new({name: len(body) for name, body in data.items()})
        work = [(file, at) for file in made["files"] for at in range(0, file["size"], 700_000)] * 2
        random.Random(9).shuffle(work)

        def put(number: int) -> dict[str, int]:
            file, at = work[number]
            fs = Fs((here, there)[number % 2].url, "demo", key)
            body = data[file["name"]][at : at + 700_000]
            answer = fs.chunk(file, at, body, signed=number % 3 == 0)
            assert answer.status_code == 200, answer.text
            return dict(answer.json())

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(put, range(len(work))))
        assert all(answer["offset"] == work[number][1] for number, answer in enumerate(answers))
        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(fs.complete, file) for fs in (here, there) for file in made["files"]]
            assert [each.result().json() for each in done] == [True] * 4
        with ThreadPoolExecutor(6) as pool:
            body = {"complete": True}
            paths = [(Fs(fs.url, "demo", key), f"/transfer/{made['id']}") for fs in (here, there) * 3]
            answers = list(pool.map(lambda each: each[0].ok("PUT", each[1], body)["id"], paths))
        assert answers == [made["id"]] * 6
        for number, file in enumerate(made["files"]):
            assert there.fetch(made, number).content == data[file["name"]]
        assert here.log(made).count("transfer_available") == 1
        assert here.log(made).count("file_uploaded") == 2
        assert here.log(made).count("upload_started") == 1
    finally:
        assert end(first)[0] == 0
        assert end(second)[0] == 0


def test_kill_9_and_resume(tmp_path: Path) -> None:
    """What was acknowledged before SIGKILL is there after it; the rest is missing, and said to be."""
    home = tmp_path / "home"
    process, ready = start(home, "--demo")
    key = ready["users"][0]["filesender_api_key"]
    data = random.Random(5).randbytes(30 * 400_000)
    fs = Fs(ready["url"], "demo", key)
    made = fs.new({"x": len(data)}, recipients=["r@example.org"])
    file = made["files"][0]
    acknowledged: set[int] = set()

    def put(at: int) -> None:
        try:
            answer = Fs(fs.url, "demo", key).chunk(file, at, data[at : at + 400_000])
        except OSError:
            return
        if answer.status_code == 200:
            acknowledged.add(at)
        if len(acknowledged) == 12:
            process.send_signal(signal.SIGKILL)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(0, len(data), 400_000)))
    process.wait(20)
    process.communicate()
    assert 12 <= len(acknowledged) < 30
    process, ready = start(home)
    try:
        again = Fs(ready["url"], "demo", key)
        assert (
            again.ok("GET", f"/transfer/{made['id']}", query={"puid": file["puid"]}, signed=False)["id"] == made["id"]
        )
        missing = refused(again.complete(file), "file_integrity_check_failed")["missing"]
        assert not any(begin <= at < stop for at in acknowledged for begin, stop in missing)
        for at in range(0, len(data), 400_000):
            if at not in acknowledged:
                assert again.chunk(file, at, data[at : at + 400_000]).status_code == 200
        assert again.complete(file).json() is True
        again.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
        assert sha256(again.fetch(made).content) == sha256(data)
    finally:
        assert end(process)[0] == 0
    objects = [path for path in (home / "objects" / "uploads").rglob("*") if path.is_file()]
    assert [path.stat().st_size for path in objects] == [len(data)]
