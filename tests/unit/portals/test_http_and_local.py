from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from packhorse.errors import (
    AddressError,
    AuthenticationError,
    ExpiredError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    UsageError,
)
from packhorse.model import Item, Secret
from packhorse.net.message import Headers, Request, ResponseHead
from packhorse.net.settings import NetSettings
from packhorse.portals.http import HttpPortal, status_error
from packhorse.portals.local import LocalPortal
from packhorse.transfer.engine import Engine
from packhorse.transfer.portal import Portal

from .conftest import Answer, Asked, Script, everything, on_engine


@pytest.fixture
def web() -> HttpPortal:
    return HttpPortal(Engine.shared().network(NetSettings()), "http")


def item_at(web: HttpPortal, url: str) -> Item:
    (item,) = on_engine(everything(web.items(url)))
    assert isinstance(item, Item)
    return item


def test_both_are_portals(web: HttpPortal) -> None:
    assert isinstance(web, Portal)
    assert isinstance(LocalPortal(), Portal)


def test_a_url_with_a_name_asks_nobody(script: Script, web: HttpPortal) -> None:
    item = item_at(web, f"{script.url}/a/reads%201.fastq.gz#part")
    assert (item.path, item.key, item.size) == ("reads 1.fastq.gz", f"{script.url}/a/reads%201.fastq.gz", None)
    assert script.asked == []


@pytest.mark.parametrize(
    ("headers", "status", "name", "size"),
    [
        ({"Content-Disposition": 'attachment; filename="x.gz"', "Content-Range": "bytes 0-0/77"}, 206, "x.gz", 77),
        ({"Content-Disposition": 'attachment; filename="../../.ssh/keys"'}, 200, "../../.ssh/keys", 5),
        ({}, 200, "get", 5),
        ({"Content-Range": "bytes */0", "Content-Length": "0"}, 416, "get", 0),
    ],
)
def test_a_url_without_a_name_asks_the_server(
    script: Script, web: HttpPortal, headers: dict[str, str], status: int, name: str, size: int
) -> None:
    body = b"" if status == 416 else b"12345" if status == 200 else b"1"
    script.routes["/get"] = Answer(body, status, headers)
    item = item_at(web, f"{script.url}/get")
    assert (item.path, item.size) == (name, size)
    assert script.asked[0].method == "GET"
    assert script.asked[0].headers["Range"] == "bytes=0-0"


def test_a_server_without_ranges_is_not_read_to_the_end(script: Script, web: HttpPortal) -> None:
    size = 64 * 1024 * 1024
    script.routes["/"] = Answer(bytes(size), 200, {"Content-Type": "application/gzip"})
    network = Engine.shared().network(NetSettings())
    before = network.received
    assert item_at(web, f"{script.url}/").size == size
    assert network.received - before < size // 4


def test_redirects_are_followed_without_credentials(script: Script, web: HttpPortal) -> None:
    host = script.url.removeprefix("http://")
    script.routes["/go"] = Answer(
        b"", 302, {"Location": f"http://localhost:{host.rpartition(':')[2]}/there/x.gz?sig=1"}
    )
    script.routes["/there/x.gz"] = Answer(b"12345")
    item = item_at(web, f"http://ada:pw@{host}/go")
    assert item.path == "x.gz"
    basic = "Basic " + base64.b64encode(b"ada:pw").decode()
    assert [asked.headers.get("Authorization") for asked in script.asked] == [basic, None]
    assert "pw" not in repr(item)


def test_a_redirect_to_a_file_is_refused(script: Script, web: HttpPortal) -> None:
    script.routes["/go"] = Answer(b"", 302, {"Location": "file:///etc/passwd"})
    with pytest.raises(ProtocolError):
        item_at(web, f"{script.url}/go")


def test_a_password_in_the_address_is_for_its_origin_and_shown_nowhere(web: HttpPortal) -> None:
    item = item_at(web, "https://ada:p%40w@host.example.org:8443/x.gz")
    assert item.key == "https://host.example.org:8443/x.gz"
    locator = on_engine(web.locate(item))
    assert locator.authorised
    signed = on_engine(web.authorise(Request("GET", locator.url)))
    assert signed.headers["Authorization"] == Secret("Basic " + base64.b64encode(b"ada:p@w").decode())
    assert "Authorization" not in on_engine(web.authorise(Request("GET", "https://other.example.org/"))).headers
    assert not on_engine(web.locate(item_at(web, "https://other.example.org/x.gz"))).authorised


def test_a_query_may_be_a_signature(web: HttpPortal) -> None:
    item = item_at(web, "https://host/x.gz?X-Signature=geheim")
    assert "geheim" not in repr(item)
    locator = on_engine(web.locate(item))
    assert (locator.url, locator.secret_url) == ("https://host/x.gz?X-Signature=geheim", True)


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "http://", "http://[/x", "http://h/a b", "http://h:99999/x", "file:///x"]
)
def test_what_is_no_web_address_is_refused(web: HttpPortal, url: str) -> None:
    with pytest.raises(AddressError):
        item_at(web, url)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationError), (403, PermissionDeniedError), (404, NotFoundError), (410, ExpiredError)],
)
def test_statuses_are_errors_with_remedies(web: HttpPortal, status: int, kind: type[Exception]) -> None:
    head = ResponseHead(status, Headers(), "https://host/x?sig=geheim")
    error = on_engine(web.explain(head, b"<html>"))
    assert type(error) is kind
    assert "geheim" not in str(error)
    assert error.hint  # type: ignore[attr-defined]
    assert status_error(ResponseHead(503, Headers(), "https://host/")).retryable


def test_describe_and_entries(script: Script, web: HttpPortal) -> None:
    headers = {"ETag": '"e"', "Last-Modified": "Thu, 20 Apr 2017 12:00:00 GMT", "Content-Type": "text/plain"}
    script.routes["/x.txt"] = Answer(b"12345", 200, headers)
    described = on_engine(web.describe(f"{script.url}/x.txt?a=1"))
    assert described["size"] == 5
    assert described["etag"] == '"e"'
    assert described["modified"] == 1_492_689_600
    assert described["url"] == f"{script.url}/x.txt?…"
    (entry,) = on_engine(everything(web.entries(f"{script.url}/x.txt")))
    assert (entry.name, entry.size) == ("x.txt", 5)
    script.routes["/gone"] = lambda asked: Answer(b"", 404)
    with pytest.raises(NotFoundError):
        on_engine(web.describe(f"{script.url}/gone"))


def test_no_bearer_ever(script: Script, web: HttpPortal) -> None:
    seen: list[Asked] = []
    script.routes["/x"] = lambda asked: seen.append(asked) or Answer(b"1")
    item_at(web, f"{script.url}/x")
    assert not on_engine(web.renew(Request("GET", script.url)))
    assert "Authorization" not in seen[0].headers


# Local files.


def local(path: Path | str) -> list[Any]:
    return on_engine(everything(LocalPortal().items(str(path))))


def test_a_folder_s_files_by_relative_path(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.gz").write_bytes(b"12345")
    (tmp_path / "a.txt").write_bytes(b"1")
    os.symlink(tmp_path, tmp_path / "b" / "round")
    os.symlink(tmp_path / "a.txt", tmp_path / "link.txt")
    assert [(item.path, item.size) for item in local(tmp_path)] == [("a.txt", 1), ("link.txt", 1), ("b/x.gz", 5)]
    (item,) = local(tmp_path / "a.txt")
    assert (item.path, item.key) == ("a.txt", str(tmp_path / "a.txt"))
    assert item.identity is not None
    assert not item.identity.strong
    locator = on_engine(LocalPortal().locate(item))
    assert (locator.local_path, locator.authorised) == (str(tmp_path / "a.txt"), False)
    assert locator.url.startswith("file:///")
    entries = on_engine(everything(LocalPortal().entries(str(tmp_path))))
    assert [(entry.name, entry.kind) for entry in entries] == [("a.txt", "file"), ("b", "folder"), ("link.txt", "file")]
    assert on_engine(LocalPortal().describe(str(tmp_path)))["kind"] == "folder"


def test_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NotFoundError, match="does not exist"):
        local(tmp_path / "none")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        local(tmp_path / "fifo")
    with pytest.raises(UsageError, match="NUL"):
        local("a\0b")
