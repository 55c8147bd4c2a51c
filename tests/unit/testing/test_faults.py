"""Each fault does on the wire what it says, and the log says so."""

from __future__ import annotations

import datetime as dt
import email.utils
import gzip
import http.client
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from packhorse.testing import faults as f

from .clients import connected, get, raw, settled

DATA = f.GeneratedFile(1_000_000, 1).read()
SMALL = b"0123456789" * 10


def always(fault: f.Fault, **more: object) -> f.Schedule:
    return f.Schedule.of(f.Rule(fault, times=None, **more))  # type: ignore[arg-type]


# -- broken off, slow ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_cut_sends_exactly_so_many_bytes_once(tls: bool) -> None:
    with f.FaultServer({"a": DATA}, f.Schedule.of(f.Cut(12_345)), tls=tls) as server:
        got = get(server)
        again = get(server)
        record = server.log[0]
    assert (got.broken, got.body) == (True, DATA[:12_345])
    assert (again.broken, again.body) == (False, DATA)
    assert (record.body_sent, record.body_unread, record.outcome, record.faults) == (12_345, 0, "cut", ("Cut",))
    assert [(cut.path, cut.at, cut.open_connections) for cut in server.cuts] == [("/a", 12_345, 1)]
    assert server.needless_budget() == 1 << 20


def test_places_are_offsets_or_fractions() -> None:
    schedule = f.Schedule.of(f.Rule(f.Cut(0.5), nth=1), f.Rule(f.Cut(10_000), nth=2), f.Rule(f.Cut(0), nth=3))
    with f.FaultServer({"a": SMALL}, schedule) as server:
        bodies = [get(server).body for _ in range(3)]
    assert [len(body) for body in bodies] == [50, 99, 0]


def test_reset_is_a_reset_after_so_many_bytes() -> None:
    with f.FaultServer({"a": DATA}, f.Schedule.of(f.Reset(50_000))) as server:
        parts = urlsplit(server.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as sock:
            sock.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            data = b""
            with pytest.raises(ConnectionResetError):  # noqa: PT012
                while piece := sock.recv(65536):
                    data += piece
        record = settled(server)
    assert data.partition(b"\r\n\r\n")[2] == DATA[:50_000]
    assert record.outcome == "reset"
    assert server.cuts[0].kind == "reset"


def test_cut_everything_counts_the_open_connections() -> None:
    schedule = f.Schedule.of(
        f.Rule(f.Stall(30, 1000), path="/slow*", times=None), f.Rule(f.Cut(10, True), path="/last")
    )
    files = {"slow1": DATA, "slow2": DATA, "last": DATA}
    with f.FaultServer(files, schedule) as server:
        results: list[bool] = []
        threads = [
            threading.Thread(target=lambda n=n: results.append(get(server, n).broken)) for n in ("/slow1", "/slow2")
        ]
        for thread in threads:
            thread.start()
        while server.open_connections() < 2:
            time.sleep(0.005)
        assert get(server, "/last").broken
        for thread in threads:
            thread.join()
        assert results == [True, True]
        assert [(cut.path, cut.open_connections) for cut in server.cuts] == [("/last", 3)]
        assert server.open_connections_at_cuts == 3
        settled(server, 3)
        assert {record.outcome for record in server.log} == {"cut"}


def test_stall() -> None:
    with f.FaultServer({"a": SMALL}, f.Schedule.of(f.Stall(0.3, 20))) as server:
        began = time.monotonic()
        assert get(server).body == SMALL
        assert 0.3 <= time.monotonic() - began < 1.5


def test_a_client_that_leaves_a_stall_is_seen() -> None:
    with f.FaultServer({"a": DATA}, f.Schedule.of(f.Stall(30, 20))) as server:
        with connected(server.url) as connection:
            connection.request("GET", "/a")
            assert connection.getresponse().read(20) == DATA[:20]
            assert server.open_connections() == 1
        assert settled(server).outcome == "client left"
        assert server.open_connections() == 0


def test_what_a_client_did_not_take_is_not_counted() -> None:
    file = f.GeneratedFile(64 << 20)
    with f.FaultServer({"a": file}, send_buffer=65536) as server:
        parts = urlsplit(server.url)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.connect((parts.hostname, parts.port))
            sock.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(1000)
            time.sleep(0.1)
        record = settled(server)
    assert record.outcome == "client left"
    assert 0 < record.body_out <= record.body_sent < 1 << 20


def test_dribble() -> None:
    with f.FaultServer({"a": SMALL * 10}, f.Schedule.of(f.Dribble(2000, at=200, length=600))) as server:
        began = time.monotonic()
        assert get(server).body == SMALL * 10
        assert 0.25 <= time.monotonic() - began < 1.5


def test_close_ends_a_stall_at_once() -> None:
    with f.FaultServer({"a": DATA}, f.Schedule.of(f.Stall(60, 10))) as server, connected(server.url) as connection:
        connection.request("GET", "/a")
        connection.getresponse().read(5)
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < 1
    assert server.log[0].outcome == "server closed"


def test_expire_cuts_and_then_wants_another_token() -> None:
    with f.FaultServer({"a": DATA}, f.Schedule.of(f.Expire(1000)), tokens={"old", "new"}) as server:
        cut = get(server, Authorization="Bearer old")
        refused = get(server, Authorization="Bearer old")
        good = get(server, Authorization="Bearer new")
    assert (cut.body, cut.broken, refused.status, good.body) == (DATA[:1000], True, 401, DATA)
    with f.FaultServer({"a": DATA}, f.Schedule.of(f.Expire(None))) as server:
        assert [get(server).status, get(server).status, get(server, Authorization="Bearer x").status] == [401, 401, 200]


# -- other bytes -----------------------------------------------------------------------------------------------------


def test_wrong_offset_honest_and_lying() -> None:
    schedule = f.Schedule.of(f.Rule(f.WrongOffset(7), nth=1), f.Rule(f.WrongOffset(7, lying=True), nth=2))
    with f.FaultServer({"a": DATA}, schedule) as server:
        honest, lying = (get(server, Range="bytes=100-199") for _ in range(2))
        tail = f.FaultServer({"a": DATA}, always(f.WrongOffset(7)))
        with tail:
            end = get(tail, Range="bytes=999900-")
            whole = get(tail)
    assert (honest.body, honest.headers["Content-Range"]) == (DATA[107:207], "bytes 107-206/1000000")
    assert (lying.body, lying.headers["Content-Range"]) == (DATA[107:207], "bytes 100-199/1000000")
    assert (end.body, end.headers["Content-Range"]) == (DATA[999893:999993], "bytes 999893-999992/1000000")
    assert whole.body == DATA
    assert [record.faults for record in tail.log] == [("WrongOffset",), ()]


def test_wrong_total() -> None:
    schedule = f.Schedule.of(f.Rule(f.WrongTotal(5), nth=1), f.Rule(f.WrongTotal(None), nth=2))
    with f.FaultServer({"a": DATA}, schedule) as server:
        totals = [get(server, Range="bytes=0-9").headers["Content-Range"] for _ in range(2)]
    assert totals == ["bytes 0-9/1000005", "bytes 0-9/*"]


def test_no_ranges() -> None:
    with f.FaultServer({"a": DATA}, always(f.NoRanges(advertised=False))) as server:
        got = get(server, Range="bytes=5-9")
    assert (got.status, got.body, got.headers["Accept-Ranges"]) == (200, DATA, "none")


def test_flip() -> None:
    with f.FaultServer({"a": DATA}, f.Schedule.of(f.Flip(500_000, 3))) as server:
        body = get(server).body
    assert [i for i in range(len(DATA)) if body[i] != DATA[i]] == [500_000, 500_001, 500_002]


def test_html() -> None:
    with f.FaultServer({"a": DATA}, f.Schedule.of(f.Html())) as server:
        got = get(server)
    assert (got.status, got.headers.get_content_type()) == (200, "text/html")
    assert got.body.startswith(b"<!doctype html>")


# -- identities ------------------------------------------------------------------------------------------------------


def test_replaced_once() -> None:
    new = b"other bytes"
    schedule = f.Schedule.of(
        f.Rule(f.Replaced("same"), nth=2), f.Rule(f.Replaced(new), nth=3), f.Rule(f.Replaced("other"), nth=4)
    )
    with f.FaultServer({"a": DATA}, schedule) as server:
        gots = [get(server) for _ in range(5)]
        assert gots[4].body == server.content("a").read()
    assert [got.body for got in gots[:3]] == [DATA, DATA, new]
    assert len(gots[3].body) == len(new)
    assert gots[3].body != new
    assert gots[4].body == gots[3].body
    assert len({got.headers["ETag"] for got in gots}) == 4
    assert len({got.headers["Last-Modified"] for got in gots}) == 4


def test_fresh_etag_with_every_request() -> None:
    with f.FaultServer({"a": DATA}, always(f.FreshETag())) as server:
        first = get(server).headers["ETag"]
        second = get(server, Range="bytes=5-9", If_Range=first)
    assert (second.status, second.headers["ETag"] != first) == (206, True)
    with f.FaultServer({"a": DATA}, always(f.FreshETag("obey"))) as server:
        first = get(server).headers["ETag"]
        assert get(server, Range="bytes=5-9", If_Range=first).status == 200


def test_weak_and_missing_validators() -> None:
    with f.FaultServer({"a": DATA}, always(f.WeakETag())) as server:
        tag = get(server).headers["ETag"]
        assert tag.startswith('W/"')
        assert get(server, Range="bytes=5-9", If_Range=tag).status == 200
    with f.FaultServer({"a": DATA}, f.Schedule.of(f.NoETag(), f.NoLastModified())) as server:
        got = get(server)
    assert "ETag" not in got.headers
    assert "Last-Modified" not in got.headers


# -- lengths and codings ---------------------------------------------------------------------------------------------


def test_gzip_has_the_compressed_length() -> None:
    with f.FaultServer({"a": SMALL * 100}, f.Schedule.of(f.Gzip())) as server:
        got = get(server, Accept_Encoding="identity")
    assert got.headers["Content-Encoding"] == "gzip"
    assert int(got.headers["Content-Length"]) == len(got.body) < 5000
    assert gzip.decompress(got.body) == SMALL * 100


def test_length_lies() -> None:
    with f.FaultServer({"a": SMALL}, f.Schedule.of(f.LengthLie(5), f.Rule(f.LengthLie(-5), nth=2))) as server:
        longer, shorter = get(server), raw(server, "GET /a HTTP/1.1\r\n\r\n")
    assert (longer.headers["Content-Length"], longer.body, longer.broken) == ("105", SMALL, True)
    assert b"Content-Length: 95\r\n" in shorter
    assert shorter.endswith(SMALL)
    assert [cut.kind for cut in server.cuts] == ["short"]


def test_open_range_off_by_one_as_filesender_does() -> None:
    with f.FaultServer({"a": SMALL}, always(f.OpenRangeOffByOne())) as server:
        opened, closed = get(server, Range="bytes=90-"), get(server, Range="bytes=90-99")
    assert (opened.headers["Content-Length"], opened.body, opened.broken) == ("11", SMALL[90:], True)
    assert (closed.headers["Content-Length"], closed.broken) == ("10", False)


@pytest.mark.parametrize("values", [("-1",), ("ten",), ("5", "6"), ("",)])
def test_bad_lengths_stand_on_the_wire(values: tuple[str, ...]) -> None:
    with f.FaultServer({"a": SMALL}, f.Schedule.of(f.BadLength(values))) as server:
        said = raw(server).decode()
    assert [line[16:] for line in said.split("\r\n") if line.startswith("Content-Length:")] == list(values)


def test_no_length_and_chunked() -> None:
    with f.FaultServer(
        {"a": SMALL}, f.Schedule.of(f.NoLength(), f.Rule(f.Chunked(), nth=2), f.Rule(f.Chunked(0.5), nth=3))
    ) as server:
        closed, chunked = get(server), get(server)
        truncated = raw(server)
    assert "Content-Length" not in closed.headers
    assert closed.body == SMALL
    assert chunked.headers["Transfer-Encoding"] == "chunked"
    assert (chunked.body, chunked.broken) == (SMALL, False)
    assert truncated.endswith(b"32\r\n" + SMALL[:50] + b"\r\n")


# -- statuses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500])
def test_statuses(status: int) -> None:
    with f.FaultServer({"a": SMALL}, f.Schedule.of(f.Status(status))) as server:
        assert (get(server).status, get(server).status) == (status, 200)
        assert server.log[0].faults == ("Status",)


@pytest.mark.parametrize(
    ("form", "header", "reads"),
    [
        ("seconds", "Retry-After", lambda value: float(value) == 2),
        ("date", "Retry-After", lambda value: 0.9 < _until(value) <= 3),
        ("ratelimit", "RateLimit", lambda value: value.endswith(";t=2")),
        ("ratelimit-reset", "RateLimit-Reset", lambda value: value == "2"),
        ("x-ratelimit-reset", "X-RateLimit-Reset", lambda value: 0.9 < float(value) - time.time() <= 3),
        ("x-ratelimit-reset-delta", "X-RateLimit-Reset", lambda value: value == "2"),
    ],
)
def test_storms(form: f.Busy, header: str, reads: Callable[[str], bool]) -> None:
    busy = f.Busy(2, form, 503)  # type: ignore[arg-type]
    with f.FaultServer({"a": SMALL}, f.Schedule.of(f.Rule(busy, times=2))) as server:
        gots = [get(server) for _ in range(3)]
    assert [got.status for got in gots] == [503, 503, 200]
    assert reads(gots[0].headers[header])
    assert [record.early for record in server.log] == [False, True, True]
    assert len(server.impatient) == 2


def _until(value: str) -> float:
    return (email.utils.parsedate_to_datetime(value) - dt.datetime.now(dt.UTC)).total_seconds()


def test_redirect_to_another_origin_sees_whether_the_token_came() -> None:
    with f.FaultServer({"a": SMALL}, always(f.Redirect()), bearer="t") as server:
        location = get(server, Authorization="Bearer t").headers["Location"]
        assert location.startswith(server.other_url + "/a?")
        path = "/" + location.split("/", 3)[3]
        assert get(server.other_url, path).body == SMALL
        assert server.leaked == []
        get(server.other_url, path, Authorization="Bearer t")
        assert [record.origin for record in server.leaked] == ["other"]


def test_redirect_loop() -> None:
    with f.FaultServer({"a": SMALL}, always(f.RedirectLoop())) as server:
        locations = [get(server).headers["Location"] for _ in range(3)]
    assert len(set(locations)) == 3
    assert all(location.startswith("/a?") for location in locations)


# -- heads and connections -------------------------------------------------------------------------------------------


def test_hostile_names_stand_on_the_wire() -> None:
    rules = [f.Rule(f.HostileName(name), nth=number) for number, name in enumerate(f.HOSTILE_NAMES, 1)]
    with f.FaultServer({"a": SMALL}, f.Schedule.of(*rules)) as server:
        for name in f.HOSTILE_NAMES:
            assert b"Content-Disposition: " + name.encode("utf-8", "surrogateescape") + b"\r\n" in raw(server)


def test_huge_header() -> None:
    with f.FaultServer({"a": SMALL}, f.Schedule.of(f.HugeHeader(1 << 20))) as server:
        with pytest.raises(http.client.LineTooLong):
            get(server)
        assert len(raw(server)) < 1000


def test_slow_head() -> None:
    with f.FaultServer({"a": SMALL}, f.Schedule.of(f.SlowHead(0.3))) as server:
        began = time.monotonic()
        assert get(server).body == SMALL
        assert 0.25 < time.monotonic() - began < 1.5


def test_interim_answers() -> None:
    with f.FaultServer({"a": SMALL}, always(f.Interim())) as server:
        said = raw(server)
    first, second, third, body = said.split(b"\r\n\r\n")
    assert first == b"HTTP/1.1 100 Continue"
    assert second.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: ")
    assert third.startswith(b"HTTP/1.1 200 OK")
    assert body == SMALL


def test_hangup() -> None:
    with f.FaultServer({"a": SMALL}, f.Schedule.of(f.Hangup())) as server:
        assert raw(server) == b""
        assert get(server).body == SMALL
    assert server.log[0].outcome == "dropped"


def test_refuse_for_a_time() -> None:
    with f.FaultServer({"a": SMALL}, f.Schedule.of(f.Refuse(0.3))) as server:
        assert raw(server) == b""
        began = time.monotonic()
        with pytest.raises(ConnectionRefusedError):
            get(server)
        while True:
            try:
                assert get(server).body == SMALL
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        assert 0.2 < time.monotonic() - began < 2


def test_head_requests_are_no_turn_of_a_rule() -> None:
    with f.FaultServer({"a": SMALL}, f.Schedule.of(f.Status(503))) as server:
        assert [get(server, method="HEAD").status, get(server).status, get(server).status] == [200, 503, 200]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt-get install curl")
def test_curl_resumes_after_a_cut(tmp_path: object) -> None:
    with f.FaultServer({"a": DATA}, f.Schedule.of(f.Cut(400_000))) as server:
        target = f"{tmp_path}/a"
        argv = ["curl", "-sS", "-o", target, server.url_of("a")]
        assert subprocess.run(argv, check=False, capture_output=True, timeout=20).returncode == 18
        subprocess.run([*argv, "-C", "-"], check=True, timeout=20)
        with open(target, "rb") as file:
            assert file.read() == DATA
        assert [record.status for record in server.log] == [200, 206]
        assert server.settle()
        assert server.body_bytes_sent("a") == len(DATA)
