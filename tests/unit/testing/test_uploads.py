"""The part store and the faults of uploads, asked by clients that are none of ours."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

import pytest

from packhorse.testing.faults import (
    CutUpload,
    EarlyRefusal,
    EmptyError,
    FaultServer,
    LostAnswer,
    PartStore,
    Rule,
    Schedule,
    StallUpload,
    WrongCount,
)

from .clients import connected, settled

BODY = bytes(range(256)) * 1000


def ask(server: FaultServer, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    with connected(server.url) as connection:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def create(server: FaultServer, **sizes: int) -> Any:
    wanted = {"files": [{"name": name, "size": size} for name, size in sizes.items()]}
    status, body = ask(server, "POST", "/uploads", json.dumps(wanted).encode())
    assert status == 201
    return json.loads(body)


def on_parts(fault: Any) -> Schedule:
    return Schedule.of(Rule(fault, path="/uploads/*/*/*", method="PUT"))


def test_a_whole_upload() -> None:
    store = PartStore()
    with FaultServer({"a": b"file"}, store=store) as server:
        made = create(server, x=len(BODY), y=0)
        assert made == {"id": 1, "files": {"x": 1, "y": 2}}
        half = len(BODY) // 2
        status, said = ask(server, "PUT", f"/uploads/1/1/{half}", BODY[half:])
        assert (status, json.loads(said)) == (200, {"offset": half, "written": len(BODY) - half})
        assert ask(server, "PUT", "/uploads/1/1/0", BODY[:half])[0] == 200
        assert ask(server, "PUT", "/uploads/1/1/0", BODY[:half])[0] == 200
        assert json.loads(ask(server, "GET", "/uploads/1")[1])["status"] == "open"
        assert ask(server, "PUT", "/uploads/1/1")[0] == 200
        assert json.loads(ask(server, "PUT", "/uploads/1")[1])["status"] == "finished"
        assert ask(server, "PUT", "/uploads/1")[0] == 409
        assert ask(server, "PUT", "/uploads/1/1/0", b"late")[0] == 400
        assert ask(server, "GET", "/uploads/7")[0] == 404
        assert ask(server, "POST", "/uploads", b"[]")[0] == 400
        assert ask(server, "GET", "/a") == (200, b"file")
        assert ask(server, "PUT", "/a", b"x")[0] == 405
        assert server.requests("/uploads/1/1/0")[0].body_in == half
    assert store.contents() == {"x": BODY, "y": b""}
    upload = store.last
    assert (upload.finishes, upload.finish_calls, upload.late) == (1, 2, 1)
    assert upload.files[1].versions == {0: {BODY[:half]}, half: {BODY[half:]}}


def test_it_asks_for_the_token() -> None:
    with FaultServer({}, store=PartStore(), bearer="t") as server:
        assert ask(server, "POST", "/uploads", b"{}")[0] == 401
        with connected(server.url) as connection:
            body = b'{"files": []}'
            connection.request("POST", "/uploads", body=body, headers={"Authorization": "Bearer t"})
            assert connection.getresponse().status == 201


@pytest.mark.parametrize("reset", [False, True])
def test_a_body_cut_on_its_way_was_not_taken(reset: bool) -> None:
    store = PartStore()
    with FaultServer({}, on_parts(CutUpload(0.5, reset=reset)), store=store) as server:
        create(server, x=len(BODY))
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            ask(server, "PUT", "/uploads/1/1/0", BODY)
        record = settled(server, 2)
        assert (record.outcome, record.faults) == ("reset" if reset else "cut", ("CutUpload",))
        assert len(BODY) // 2 <= record.body_in
        assert store.last.files[1].parts == {}
        assert ask(server, "PUT", "/uploads/1/1/0", BODY)[0] == 200
    assert store.contents() == {"x": BODY}


def test_a_lost_answer_was_taken() -> None:
    store = PartStore()
    with FaultServer({}, on_parts(LostAnswer()), store=store) as server:
        create(server, x=len(BODY))
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            ask(server, "PUT", "/uploads/1/1/0", BODY)
        assert settled(server, 2).faults == ("LostAnswer",)
    assert store.contents() == {"x": BODY}


def test_counts_that_lie_and_empty_errors() -> None:
    store = PartStore()
    rules = [
        Rule(fault, path="/uploads/*/*/*", method="PUT", nth=number)
        for number, fault in enumerate((WrongCount(-2), EmptyError(500), EmptyError(500, done=True)), 1)
    ]
    with FaultServer({}, Schedule(tuple(rules)), store=store) as server:
        create(server, x=len(BODY))
        assert json.loads(ask(server, "PUT", "/uploads/1/1/0", BODY)[1]) == {"offset": 0, "written": len(BODY) - 2}
        store.last.files[1].parts.clear()
        assert ask(server, "PUT", "/uploads/1/1/0", BODY) == (500, b"")
        assert store.contents() == {"x": b""}
        assert ask(server, "PUT", "/uploads/1/1/0", BODY) == (500, b"")
        assert store.contents() == {"x": BODY}


def test_a_stall_lasts_as_long_as_it_says() -> None:
    store = PartStore()
    with FaultServer({}, on_parts(StallUpload(0.3)), store=store) as server:
        create(server, x=len(BODY))
        began = time.monotonic()
        assert ask(server, "PUT", "/uploads/1/1/0", BODY)[0] == 200
        assert time.monotonic() - began >= 0.3


def test_an_early_refusal_comes_before_the_body_is_read() -> None:
    with FaultServer({}, on_parts(EarlyRefusal(503, 0.01, wait=1)), store=PartStore()) as server:
        create(server, x=10_000_000)
        with socket.create_connection(server.address, timeout=10) as sock:
            sock.sendall(b"PUT /uploads/1/1/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + bytes(200_000))
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in answer
        assert b"Connection: close\r\n" in answer
        assert ask(server, "PUT", "/uploads/1/1/0", b"x")[0] == 200
        assert [record.path for record in server.impatient] == ["/uploads/1/1/0"]


def test_schedules_of_uploads_are_their_seeds() -> None:
    assert Schedule.uploads(3) == Schedule.uploads(3)
    assert Schedule.uploads(3) != Schedule.uploads(4)
    assert len(Schedule.uploads(1, 0.0).rules) == 1
    assert len(Schedule.uploads(1, 1.0).rules) == 9
