"""File bytes over HTTP: ranges, conditions, headers, methods. Expectations come from RFC 9110, not from our code."""

from __future__ import annotations

import base64
import gzip
import hashlib
import socket
import zlib
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import Demo

R1 = "/downloads/789/WT_rep1_R1.fastq.gz"


@pytest.fixture(scope="module")
def body(demo: Demo) -> bytes:
    return demo.get(R1, "demo").content


def test_whole_file(demo: Demo, body: bytes) -> None:
    answer = demo.get(R1, "demo")
    record = demo.json("/data/789", "demo")
    assert answer.status_code == 200
    assert len(body) == record["size"] == int(answer.headers["Content-Length"])
    assert hashlib.md5(body).hexdigest() == record["md5"]
    assert hashlib.sha256(body).hexdigest() == record["sha256"]
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["Content-Disposition"] == 'attachment; filename="WT_rep1_R1.fastq.gz"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Content-MD5"] == base64.b64encode(hashlib.md5(body).digest()).decode()
    sha = base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert f"sha-256=:{sha}:" in answer.headers["Repr-Digest"]


def test_gzip_is_not_undone_for_a_client_that_accepts_gzip(demo: Demo, body: bytes) -> None:
    assert demo.get(R1, "demo", headers={"Accept-Encoding": "gzip, deflate"}).content == body
    lines = gzip.decompress(body).splitlines()
    assert len(lines) % 4 == 0
    assert lines[0].startswith(b"@")
    assert lines[2] == b"+"
    assert len(lines[1]) == len(lines[3])


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("BYTES=5-5", 5, 6),
        ("bytes=3-99999999999999999999", 3, None),
    ],
)
def test_ranges(demo: Demo, body: bytes, header: str, start: int, stop: int | None) -> None:
    answer = demo.get(R1, "demo", headers={"Range": header})
    wanted = body[start:stop]
    first = start if start >= 0 else len(body) + start
    assert answer.status_code == 206
    assert answer.content == wanted
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(wanted) - 1}/{len(body)}"
    assert "Content-MD5" not in answer.headers  # it would speak of the part
    assert "Repr-Digest" in answer.headers


@pytest.mark.parametrize(
    "header", ["bytes=5-2", "bytes=a-b", "chunks=0-5", "bytes=0-1,5-6", "bytes=", "bytes=-", "bytes 0-5", "0-5"]
)
def test_ranges_that_are_ignored(demo: Demo, body: bytes, header: str) -> None:
    answer = demo.get(R1, "demo", headers={"Range": header})
    assert answer.status_code == 200
    assert answer.content == body


@pytest.mark.parametrize("offset", [0, 1, 10**15])
def test_a_range_behind_the_end(demo: Demo, body: bytes, offset: int) -> None:
    answer = demo.get(R1, "demo", headers={"Range": f"bytes={len(body) + offset}-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(body)}"


def model(header: str, size: int) -> tuple[int, int, int]:
    """RFC 9110 §14 for one range, written from the text: status, first byte, byte after the last."""
    whole = (200, 0, size)
    if not header.lower().startswith("bytes="):
        return whole
    parts = header[6:].split("-")
    if len(parts) != 2 or not (parts[0] + parts[1]).isdigit():
        return whole
    first, last = parts
    if first == "":
        return (416, 0, 0) if int(last) == 0 or size == 0 else (206, max(size - int(last), 0), size)
    if last != "" and int(last) < int(first):
        return whole
    if int(first) >= size:
        return (416, 0, 0)
    return (206, int(first), size if last == "" else min(int(last) + 1, size))


numbers = st.one_of(
    st.just(""), st.integers(0, 3000).map(str), st.integers(0, 10**25).map(str), st.just("-1"), st.just("x")
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=numbers, last=numbers)
def test_ranges_against_a_model(demo: Demo, first: str, last: str) -> None:
    path = "/executions/456/multiqc_report.html"
    whole = demo.__dict__.setdefault("report", None) or demo.get(path, "demo").content
    demo.__dict__["report"] = whole
    header = f"bytes={first}-{last}"
    answer = demo.get(path, "demo", headers={"Range": header})
    status, start, stop = model(header, len(whole))
    assert answer.status_code == status
    if status != 416:
        assert answer.content == whole[start:stop]
        assert int(answer.headers["Content-Length"]) == stop - start


def test_conditions(demo: Demo, body: bytes) -> None:
    etag = demo.get(R1, "demo").headers["ETag"]
    date = demo.get(R1, "demo").headers["Last-Modified"]
    part = {"Range": "bytes=10-19"}

    def status(**headers: str) -> int:
        return demo.get(
            R1, "demo", headers={name.replace("_", "-"): value for name, value in headers.items()}
        ).status_code

    assert demo.get(R1, "demo", headers={**part, "If-Range": etag}).status_code == 206
    assert demo.get(R1, "demo", headers={**part, "If-Range": date}).status_code == 206
    for other in ('"other"', "W/" + etag, "Sun, 06 Nov 1994 08:49:37 GMT", "rubbish"):
        answer = demo.get(R1, "demo", headers={**part, "If-Range": other})
        assert (answer.status_code, len(answer.content)) == (200, len(body)), other
    assert status(If_None_Match=etag) == 304
    assert status(If_None_Match=f'"x", W/{etag}') == 304
    assert status(If_None_Match='"x"') == 200
    assert status(If_Match='"x"') == 412
    assert status(If_Match=etag) == 200
    assert status(If_Modified_Since=date) == 304


def test_head(demo: Demo, body: bytes) -> None:
    answer = demo.get(R1, "demo", method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(body)
    part = demo.get(R1, "demo", method="HEAD", headers={"Range": "bytes=0-9"})
    assert part.headers.get("Content-Length") in ("10", str(len(body)))  # Range is defined for GET only
    assert demo.get(R1, method="HEAD").status_code == 401


def test_large_file_in_pieces(demo: Demo) -> None:
    record = demo.json("/data/792")
    assert record["size"] >= 64 << 20
    path = f"/downloads/792/{record['filename']}"
    half = record["size"] // 2
    answers = [demo.get(path, headers={"Range": value}) for value in (f"bytes=0-{half - 1}", f"bytes={half}-")]
    whole = b"".join(answer.content for answer in answers)
    assert hashlib.sha256(whole).hexdigest() == record["sha256"]
    assert zlib.decompressobj(31).decompress(whole[:100_000]).startswith(b"@PH01")


def test_inline_is_asked_for_and_sandboxed(demo: Demo) -> None:
    path = "/executions/456/multiqc_report.html"
    plain, inline = demo.get(path, "demo"), demo.get(path + "?direct=yes", "demo")
    assert plain.headers["Content-Disposition"].startswith("attachment")
    assert inline.headers["Content-Disposition"].startswith("inline")
    assert inline.headers["Content-Security-Policy"].startswith("sandbox")
    assert inline.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_client_that_leaves_does_not_disturb_the_server(demo: Demo) -> None:
    place = urlsplit(demo.url)
    assert place.hostname
    assert place.port
    name = demo.json("/data/792")["filename"]
    for _ in range(5):
        with socket.create_connection((place.hostname, place.port)) as link:
            link.sendall(f"GET /api/downloads/792/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert link.recv(100).startswith(b"HTTP/1.1 200")
    assert demo.http.get(demo.url + "/healthz", timeout=5).json()["status"] == "ok"


def test_execution_paths(demo: Demo) -> None:
    for output in demo.json("/executions/456", "demo")["outputs"]:
        answer = demo.get(f"/executions/456/{output['filename']}", "demo")
        assert len(answer.content) == output["size"]
        assert hashlib.md5(answer.content).hexdigest() == output["md5"]
        assert demo.get(output["download_url"], "demo").content == answer.content
        assert demo.get(output["data_url"], "demo").content == answer.content
    for path in (
        "..%2F..%2Fpackhorse.db",
        "results%2F..%2Fmultiqc_report.html",
        "%2Fetc%2Fpasswd",
        "results",
        "nothing.html",
    ):
        assert demo.get(f"/executions/456/{path}", "demo").status_code == 404, path
