"""Packages on their way: streamed, never whole in memory, never twice; tickets asked for with growing waits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from packhorse.errors import ChangedError, NotFoundError, ProtocolError, UsageError
from packhorse.portals.immport.api import ImmPortApi
from packhorse.portals.immport.packages import MultipartBody, look
from packhorse.portals.immport.tickets import KnownTicket, TicketBook
from packhorse.portals.immport.uploads import ImmPortUploads, Patience
from packhorse.wire.immport.tickets import BATCH, UPLOAD


def test_the_form_is_what_its_length_says_and_can_be_read_by_others(tmp_path: Path) -> None:
    from python_multipart.multipart import MultipartParser

    (tmp_path / 'a "b".txt').write_bytes(b"x" * 3_000_000)
    (tmp_path / "ü.txt").write_bytes(b"")
    package = look([tmp_path])
    body = MultipartBody({"workspaceId": "7", "packageName": "ä"}, package.files)
    pieces = list(body())
    assert max(map(len, pieces)) <= 1 << 20  # the largest piece that is ever in memory
    whole = b"".join(pieces)
    assert len(whole) == body.size
    assert whole == b"".join(body())  # afresh for every attempt
    data, heads = bytearray(), bytearray()
    parser = MultipartParser(
        body.content_type.partition("boundary=")[2].encode(),
        {
            "on_part_data": lambda block, start, end: data.extend(block[start:end]),
            "on_header_value": lambda block, start, end: heads.extend(block[start:end]),
        },
    )
    parser.write(whole)
    assert data == "7ä".encode() + b"x" * 3_000_000
    assert b'filename="a %22b%22.txt"' in heads
    assert 'filename="ü.txt"'.encode() in heads


def test_a_file_that_changes_on_the_way_ends_the_form(tmp_path: Path) -> None:
    place = tmp_path / "a.txt"
    place.write_bytes(b"x" * (3 << 20))
    body = MultipartBody({}, look([place]).files)
    pieces: Iterator[bytes] = iter(body())
    for _ in range(3):
        next(pieces)
    os.truncate(place, 100)
    with pytest.raises(ChangedError, match="shorter"):
        list(pieces)
    with pytest.raises(ChangedError, match="changed since"):
        list(body())
    place.unlink()
    with pytest.raises(ChangedError, match="cannot be read"):
        list(body())


def test_what_a_package_can_be(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("a.txt", "inner/b.txt", "inner/.hidden", "p.ZIP"):
        (tmp_path / name).write_bytes(b"x")
    assert (look([tmp_path / "p.ZIP"]).name, look([tmp_path / "p.ZIP"]).title) == ("", "p.ZIP")
    package = look([tmp_path])
    assert [file.name for file in package.files] == ["a.txt", "b.txt", "p.ZIP"]
    assert package.name == tmp_path.name
    assert look([tmp_path / "a.txt"], "mine").name == "mine"
    (tmp_path / "inner/A.TXT").write_bytes(b"y")
    for paths, name, words in (
        ([], None, "no file was given"),
        ([tmp_path / "gone"], None, "cannot be read"),
        ([tmp_path], None, "have one name"),
        ([tmp_path / "p.ZIP"], "mine", "has no other name"),
        ([tmp_path / "a.txt"], "a/b", "cannot be the name"),
        ([Path("/dev/null")], None, "no regular file"),
    ):
        with pytest.raises(UsageError, match=words):
            look(cast("list[Path]", paths), name)


class Server:
    """Answers by path; counts what it was asked."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.remote = "lab"

    async def get_json(self, path: str, *_: Any, service: str) -> Any:
        self.asked.append(f"{service}:{path}")
        held = self.answers[path.rpartition("/")[2]]
        answer = held.pop(0) if len(held) > 1 else held[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def uploads(tmp_path: Path, server: Server, sleep: Callable[[float], Awaitable[None]] | None = None) -> ImmPortUploads:
    patience = Patience(sleep=sleep) if sleep else Patience()
    return ImmPortUploads(cast("ImmPortApi", server), tmp_path, patience)


def test_waits_grow_from_five_seconds_to_a_minute(tmp_path: Path) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    server = Server({"status": [{"status": "Pending"}] * 9 + [{"status": "Completed"}]})
    seen: list[str] = []
    work = uploads(tmp_path, server, sleep).wait("ada_20260105_1", UPLOAD, seen.append)
    assert asyncio.run(work) == "Completed"
    assert slept[:3] == [5, 7.5, 11.25]
    assert slept[-1] == 60
    assert len(slept) == 9
    assert seen == ["Pending", "Completed"]
    assert server.asked[0] == "upload:data/upload/registration/ada_20260105_1/status"


@pytest.mark.parametrize("answer", [[], {}, {"status": 3}, {"status": ""}])
def test_a_status_that_is_none_is_said(tmp_path: Path, answer: Any) -> None:
    with pytest.raises(ProtocolError, match="no status"):
        asyncio.run(uploads(tmp_path, Server({"status": [answer]})).status("ada_20260105_1", UPLOAD))


def test_a_ticket_that_is_not_there_says_where_to_look(tmp_path: Path) -> None:
    server = Server({"status": [NotFoundError("lab: no ticket")]})
    with pytest.raises(NotFoundError) as caught:
        asyncio.run(uploads(tmp_path, server).find_scheme("ada_20260105_1"))
    assert caught.value.hint == "packhorse immport ticket: lists those that were sent from here"
    assert [one.partition(":")[0] for one in server.asked] == ["upload", "batch"]
    with pytest.raises(UsageError):
        asyncio.run(uploads(tmp_path, server).status("../../etc", BATCH))


def test_a_workspace_is_found_by_number_name_or_category(tmp_path: Path) -> None:
    held = [
        {"workspaceId": 1, "name": "Mine", "type": "PW", "category": "LSR"},
        {"workspaceId": 2, "name": "Try", "type": "PW", "category": "TEST"},
        {"workspaceId": "nonsense"},
        None,
    ]
    server = Server({"workspaces": [{"workspaces": held}]})

    def found(wish: str | None) -> int:
        return asyncio.run(uploads(tmp_path, server).workspace(wish)).id

    assert [found(wish) for wish in (None, "1", "try", "TEST", "lsr")] == [1, 1, 2, 2, 1]
    with pytest.raises(UsageError, match=r"you have: 1 \(Mine, LSR\), 2 \(Try, TEST\)"):
        found("3")
    with pytest.raises(ProtocolError):
        asyncio.run(uploads(tmp_path, Server({"workspaces": [[]]})).workspaces())


def test_a_damaged_ticket_file_is_no_ticket(tmp_path: Path) -> None:
    book = TicketBook(tmp_path, "lab")
    one = KnownTicket(
        ticket="ada_20260105_1", remote="lab", scheme="upload", purpose="uploadData", workspace=1, package="p",
        fingerprint="f", status="Pending", created=1.0,
    )  # fmt: skip
    book.keep(one)
    assert book.all() == [one]
    assert book.find("../lab/ada_20260105_1") is None
    place = tmp_path / "immport-tickets" / "lab" / "ada_20260105_2.json"
    place.write_text("{")
    assert book.all() == [one]
