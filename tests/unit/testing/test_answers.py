"""The faultless server speaks HTTP as RFC 9110 and 9112 say."""

from __future__ import annotations

import email.utils
import hashlib
import json
import shutil
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packhorse.testing.faults import FaultServer, GeneratedFile, Reply
from packhorse.testing.faults.answers import parse_range

from .clients import connected, get, raw, settled

DATA = bytes(range(256)) * 40


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 5_000_000), st.integers(0, 3), st.data())
def test_generated_slices_agree_with_the_whole(size: int, seed: int, data: st.DataObject) -> None:
    file = GeneratedFile(size, seed)
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    whole = file.read()
    assert len(whole) == size
    assert file.read(start, stop) == whole[start:stop]


def test_generated_digests_are_those_of_the_bytes() -> None:
    file = GeneratedFile(2_500_001, 5)
    whole = file.read()
    assert file.sha256 == hashlib.sha256(whole).hexdigest()
    assert file.md5 == hashlib.md5(whole).hexdigest()
    assert file.crc32 == zlib.crc32(whole)
    assert file.sha256 != GeneratedFile(2_500_001, 6).sha256


def test_generated_blocks_all_differ() -> None:
    file = GeneratedFile(64 << 20)
    heads = {file.read(at, at + 32) for at in range(0, file.size, 1 << 20)}
    assert len(heads) == 64


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_ranges_are_inside_the_file(first: int, last: int, size: int) -> None:
    for text in (f"bytes={first}-{last}", f"bytes={first}-", f"bytes=-{last}"):
        found = parse_range(text, size)
        if isinstance(found, tuple):
            assert 0 <= found[0] <= found[1] < size


def test_whole_file() -> None:
    with FaultServer({"a": DATA}) as server:
        got = get(server)
    assert (got.status, got.body, got.broken) == (200, DATA, False)
    assert got.headers["Content-Length"] == str(len(DATA))
    assert got.headers["Accept-Ranges"] == "bytes"
    assert got.headers["ETag"].startswith('"')
    assert email.utils.parsedate_to_datetime(got.headers["Last-Modified"]).year == 2017


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=5-9", 5, 9), ("bytes=10000-", 10000, 10239), ("bytes=-10", 10230, 10239), ("bytes=9-99999", 9, 10239)],
)
def test_ranges(asked: str, first: int, last: int) -> None:
    with FaultServer({"a": DATA}) as server:
        got = get(server, Range=asked)
    assert (got.status, got.body) == (206, DATA[first : last + 1])
    assert got.headers["Content-Range"] == f"bytes {first}-{last}/10240"
    assert got.headers["Content-Length"] == str(last - first + 1)


def test_a_range_past_the_end_is_416() -> None:
    with FaultServer({"a": DATA}) as server:
        got = get(server, Range="bytes=10240-")
    assert (got.status, got.headers["Content-Range"]) == (416, "bytes */10240")


def test_if_range_compares_strongly() -> None:
    with FaultServer({"a": DATA}) as server:
        head = get(server, method="HEAD")
        tag, date = head.headers["ETag"], head.headers["Last-Modified"]
        assert (head.status, head.body) == (200, b"")
        statuses = [get(server, Range="bytes=5-", If_Range=value).status for value in (tag, f"W/{tag}", '"x"', date)]
    assert statuses == [206, 200, 200, 206]


def test_keep_alive_and_errors_share_a_connection() -> None:
    with FaultServer({"a": DATA, "b c": b""}) as server:
        with connected(server.url) as connection:
            for method, path, status in (
                ("GET", "/a", 200),
                ("GET", "/none", 404),
                ("HEAD", "/a", 200),
                ("POST", "/a", 405),
                ("GET", "/b%20c?x=1", 200),
            ):
                connection.request(method, path, body=b"1234" if method == "POST" else None)
                answer = connection.getresponse()
                body = answer.read()
                assert answer.status == status
                assert not body or status in {200, 404, 405}
        assert server.settle()
        assert {record.connection for record in server.log} == {1}
        assert len(server.requests("/b c")) == 1
        assert server.body_bytes_sent("a") == len(DATA)


def test_bearer() -> None:
    with FaultServer({"a": DATA}, bearer="right") as server:
        refused = get(server)
        wrong = get(server, Authorization="Bearer wrong")
        right = get(server, Authorization="Bearer right")
        elsewhere = get(server.other_url)
    assert (refused.status, wrong.status, right.status, elsewhere.status) == (401, 401, 200, 200)
    assert "error" in json.loads(refused.body)
    assert refused.headers["Content-Type"] == "application/json"


def test_tokens_may_rotate() -> None:
    tokens = {"one"}
    with FaultServer({"a": DATA}, tokens=tokens) as server:
        first = get(server, Authorization="Bearer one").status
        tokens.remove("one")
        tokens.add("two")
        after = [get(server, Authorization=f"Bearer {token}").status for token in ("one", "two")]
    assert (first, after) == (200, [401, 200])
    with FaultServer({"a": DATA}, tokens=lambda token: token.startswith("ok-")) as server:
        assert [get(server, Authorization=f"Bearer {token}").status for token in ("ok-1", "no")] == [200, 401]


def test_routes_answer_in_place_of_files() -> None:
    routes = {"/token": lambda ask: Reply.of(200, b'{"token": "' + ask.body + b'"}')}
    with FaultServer({}, bearer="x", routes=routes) as server, connected(server.url) as connection:
        connection.request("POST", "/token", body=b"n1")
        assert json.loads(connection.getresponse().read()) == {"token": "n1"}


def test_tls() -> None:
    with FaultServer({"a": DATA}, tls=True) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert server.ca_file is not None
        assert b"BEGIN CERTIFICATE" in server.ca_file.read_bytes()
        assert get(server).body == DATA
        if curl := shutil.which("curl"):
            argv = [curl, "-sS", "--cacert", str(server.ca_file), server.url_of("a")]
            assert subprocess.run(argv, capture_output=True, check=True, timeout=20).stdout == DATA
    assert not server.ca_file.exists()


def test_a_big_file_is_served_fast() -> None:
    file = GeneratedFile(64 << 20, 3)
    with FaultServer({"a": file}) as server:
        got = get(server)
        record = settled(server)
    assert hashlib.sha256(got.body).hexdigest() == file.sha256
    assert record.outcome == "done"
    assert record.ended is not None
    assert record.ended - record.started < 3


def test_rubbish_ends_the_connection_only() -> None:
    with FaultServer({"a": DATA}) as server:
        assert raw(server, "HELLO\r\n\r\n") == b""
        assert raw(server, "GET /a SPDY/9\r\n\r\n") == b""
        assert get(server).body == DATA


def test_closing_twice_or_without_a_start() -> None:
    server = FaultServer({"a": DATA})
    server.close()
    with FaultServer({"a": DATA}) as other:
        other.close()


def test_a_taken_port_is_said_and_leaves_nothing() -> None:
    with FaultServer({}) as server:
        other = FaultServer({}, port=server.address[1], tls=True)
        with pytest.raises(OSError, match="in use"):
            other.start()
        assert other.ca_file is not None
        assert not other.ca_file.exists()
