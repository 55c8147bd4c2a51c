"""Requests and headers: plain values that cannot be got wrong."""

from __future__ import annotations

import pytest

from packhorse.errors import ProtocolError
from packhorse.model import Secret
from packhorse.net.message import Headers, Reply, Request, ResponseHead, origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("HTTP://Host.Example/", ("http", "host.example", 80)),
        ("https://host:8443/x?y", ("https", "host", 8443)),
        ("https://u:p@host/", ("https", "host", 443)),
        ("http://[::1]:80/", ("http", "::1", 80)),
        ("http://host:0/", ("http", "host", 0)),
        ("ftp://host/", ("ftp", "host", 0)),
    ],
)
def test_origin(url: str, origin: tuple[str, str, int]) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["http://host:port/", "http://host:99999/", "http://[::1/"])
def test_an_unreadable_origin_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError):
        origin_of(url)


def test_headers_have_no_case_and_keep_repeats() -> None:
    headers = Headers([("Set-Cookie", "a"), ("X", "1"), ("set-cookie", "b")])
    assert headers.get("SET-COOKIE") == "a"
    assert headers.get_all("Set-cookie") == ["a", "b"]
    assert headers.get("y", "none") == "none"
    assert "x" in headers
    assert "y" not in headers
    assert list(headers) == [("set-cookie", "a"), ("x", "1"), ("set-cookie", "b")]


def test_headers_of_a_request_are_set_without_case() -> None:
    request = Request("GET", "http://h/", {"authorization": "old", "Range": "bytes=0-1"})
    signed = request.with_headers(Authorization=Secret("new"), Content_Type="x/y")
    assert dict(signed.headers) == {"Range": "bytes=0-1", "Authorization": Secret("new"), "Content-Type": "x/y"}
    assert dict(signed.without_header("RANGE").without_header("content-type").headers) == {
        "Authorization": Secret("new")
    }
    assert dict(request.headers) == {"authorization": "old", "Range": "bytes=0-1"}
    assert "new" not in repr(signed)


@pytest.mark.parametrize(
    ("method", "idempotent", "repeatable"),
    [
        ("GET", None, True),
        ("HEAD", None, True),
        ("PUT", None, True),
        ("DELETE", None, True),
        ("OPTIONS", None, True),
        ("POST", None, False),
        ("PATCH", None, False),
        ("POST", True, True),
        ("GET", False, False),
    ],
)
def test_repeatable(method: str, idempotent: bool | None, repeatable: bool) -> None:
    assert Request(method, "http://h/", idempotent=idempotent).repeatable is repeatable


def test_json_of_something_else_is_a_protocol_error_that_names_the_type() -> None:
    head = ResponseHead(200, Headers([("Content-Type", "text/html")]), "http://h/")
    with pytest.raises(ProtocolError, match="text/html"):
        Reply(head, b"<html>").json()
    assert Reply(head, b'{"a": 1}').json() == {"a": 1}
