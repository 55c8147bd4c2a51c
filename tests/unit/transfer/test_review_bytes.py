"""A reviewer's attacks: no wrong, short, mixed or foreign file gets a final name, and no stronger proof than it has."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from packhorse.errors import DestinationError, IntegrityError
from packhorse.model import Digest, Identity, Item, ProofLevel
from packhorse.testing.faults import (
    Ask,
    BytesFile,
    Chunked,
    Fault,
    FaultServer,
    GeneratedFile,
    Header,
    NoETag,
    NoLastModified,
    NoRanges,
    Reply,
    Rule,
    Schedule,
)
from packhorse.testing.faults.base import Stage
from packhorse.testing.faults.message import Drip, End
from packhorse.testing.portal import fetch, item_for

MIB = 1 << 20
BARE = (Rule(NoETag(), times=None), Rule(NoLastModified(), times=None))


def _b64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _in_turn(*replies: Callable[[], Reply]) -> Callable[[Ask], Reply]:
    """A route that answers with these in turn, then always with the last."""
    turns = itertools.chain(replies, itertools.repeat(replies[-1]))
    return lambda _: next(turns)()


def test_a_server_that_stops_doing_ranges_does_not_get_the_pieces_mixed_up(tmp_path: Path) -> None:
    """The slow pieces in flight were halved for idle hands: the halves stand behind the others in the list, and one
    stream that fills what is missing has to take them in the order of the file."""
    file = GeneratedFile(24 * MIB, seed=1)
    schedule = Schedule.of(Rule(_SlowMiddle(), times=None), Rule(NoRanges(), nth=5, times=None))
    with FaultServer({"a.bin": file}, schedule, send_buffer=64 * 1024) as server:
        outcome, _, _ = fetch(server, [item_for("a.bin", file, "id")], tmp_path)
    assert int(outcome.exit_code) == 0, outcome.failed
    assert outcome.placed[0].target.read_bytes() == file.read()


def test_a_header_s_digest_does_not_displace_the_portal_s(tmp_path: Path) -> None:
    """The portal says md5; the file server holds other bytes and states their sha256 in a header."""
    for size in (1000, 3 * MIB):
        good, bad = GeneratedFile(size, seed=1), GeneratedFile(size, seed=2)
        field = Rule(Header("Repr-Digest", f"sha-256=:{_b64(bad.sha256)}:"), times=None)
        with FaultServer({"a.bin": bad}, Schedule.of(field)) as server:
            item = item_for("a.bin", good, "md5")
            outcome, _, _ = fetch(server, [item], tmp_path / str(size))
        assert not outcome.placed
        assert isinstance(outcome.failed[0].error, IntegrityError)


def test_a_header_s_digest_does_not_refuse_what_the_portal_s_proves(tmp_path: Path) -> None:
    file = GeneratedFile(3 * MIB, seed=1)
    field = Rule(Header("Repr-Digest", f"sha-256=:{_b64('00' * 32)}:"), times=None)
    with FaultServer({"a.bin": file}, Schedule.of(field)) as server:
        outcome, _, _ = fetch(server, [item_for("a.bin", file, "digest")], tmp_path)
    assert outcome.placed[0].proof.level is ProofLevel.SHA256


def test_a_range_without_a_total_is_not_the_whole_file(tmp_path: Path) -> None:
    """``bytes 0-1048575/*``: the first MiB of nobody knows how much."""
    data = GeneratedFile(3 * MIB, seed=3)

    def route(ask: Ask) -> Reply:
        reply = Reply(200, [("ETag", '"x"')], data, 0, data.size)
        if (asked := ask.header("range")) is not None:
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            reply.status, reply.start, reply.stop = 206, first, min(last + 1, data.size)
            reply.put("Content-Range", f"bytes {first}-{reply.stop - 1}/*")
        return reply

    with FaultServer({}, routes={"a.bin": route}) as server:
        outcome, _, _ = fetch(server, [Item("faulty", "a.bin", "a.bin")], tmp_path)
    for placed in outcome.placed:
        assert placed.target.read_bytes() == data.read()


def test_a_part_that_is_longer_than_its_range_is_refused(tmp_path: Path) -> None:
    """The head says bytes 0-99 of 100, the body has 200."""

    def route(_: Ask) -> Reply:
        return Reply(206, [("Content-Range", "bytes 0-99/100")], BytesFile(b"x" * 200), 0, 200)

    with FaultServer({}, routes={"a.bin": route}) as server:
        outcome, _, _ = fetch(server, [Item("faulty", "a.bin", "a.bin")], tmp_path, retries=1)
    assert not outcome.placed


@pytest.mark.parametrize(("stated", "real"), [(100, 2 * MIB), (3 * MIB, 3 * MIB + 1), (3 * MIB, 4 * MIB)])
def test_more_bytes_than_the_portal_s_size_are_never_cut_to_fit(tmp_path: Path, stated: int, real: int) -> None:
    """Chunked, so that the head does not tell."""
    file = GeneratedFile(real, seed=4)
    item = Item("faulty", "a.bin", "a.bin", stated, (), Identity("id", "a", stated))
    schedule = Schedule.of(Rule(NoRanges(), times=None), Rule(Chunked(), times=None))
    with FaultServer({"a.bin": file}, schedule) as server:
        outcome, _, _ = fetch(server, [item], tmp_path)
    assert not outcome.placed
    assert not (tmp_path / "a.bin").exists()


def test_an_end_that_nobody_marked_is_no_proof_of_size(tmp_path: Path) -> None:
    """First a chunked answer that is cut, then one that ends with the connection: nobody says where the end is."""
    data = GeneratedFile(3 * MIB, seed=5)
    cut = lambda: Reply(200, [], data, 0, data.size, framing="chunked", end=End(2 * MIB))  # noqa: E731
    bare = lambda: Reply(200, [], data, 0, data.size - 1000, framing="close")  # noqa: E731
    item = Item("faulty", "a.bin", "a.bin", None, (), Identity("id", "a"))
    with FaultServer({}, routes={"a.bin": _in_turn(cut, cut, bare)}) as server:
        outcome, _, _ = fetch(server, [item], tmp_path)
    assert [placed.proof.level for placed in outcome.placed] in ([], [ProofLevel.NONE])


def test_a_second_answer_that_ends_before_the_first_was_cut_is_another_object(tmp_path: Path) -> None:
    old, new = GeneratedFile(4 * MIB, seed=6), GeneratedFile(2 * MIB, seed=7)
    cut = lambda: Reply(200, [], old, 0, old.size, framing="chunked", end=End(3 * MIB))  # noqa: E731
    whole = lambda: Reply(200, [], new, 0, new.size, framing="chunked")  # noqa: E731
    with FaultServer({}, routes={"a.bin": _in_turn(cut, cut, whole)}) as server:
        outcome, _, _ = fetch(server, [Item("faulty", "a.bin", "a.bin")], tmp_path)
    assert outcome.placed[0].target.read_bytes() == new.read()


def test_what_is_passed_over_in_a_second_answer_is_compared_where_nothing_vouches(tmp_path: Path) -> None:
    """No validator at all; the object was replaced between the cut and the second try."""
    old, new = GeneratedFile(4 * MIB, seed=6), GeneratedFile(4 * MIB, seed=7)
    cut = lambda: Reply(200, [], old, 0, old.size, framing="chunked", end=End(3 * MIB))  # noqa: E731
    whole = lambda: Reply(200, [], new, 0, new.size, framing="chunked")  # noqa: E731
    with FaultServer({}, routes={"a.bin": _in_turn(cut, cut, whole)}) as server:
        outcome, _, _ = fetch(server, [Item("faulty", "a.bin", "a.bin")], tmp_path)
    assert outcome.placed[0].target.read_bytes() == new.read()


@pytest.mark.parametrize("size", [1000, 3 * MIB])
@pytest.mark.parametrize("bare", [True, False])
def test_overwrite_gets_the_new_object_even_where_nothing_tells_it_from_the_old(
    tmp_path: Path, size: int, bare: bool
) -> None:
    old, new = GeneratedFile(size, seed=8), GeneratedFile(size, seed=9)
    same = (Header("ETag", '"1"'),) if not bare else ()
    schedule = Schedule.of(*(Rule(one, times=None) for one in same)) if same else Schedule(BARE)
    for file in (old, new):
        with FaultServer({"a.bin": file, "b.bin": file}, schedule) as server:
            key = "a.bin" if file is old else "b.bin"
            outcome, _, _ = fetch(server, [Item("faulty", key, "a.bin")], tmp_path, overwrite=True)
        assert int(outcome.exit_code) == 0
        assert (tmp_path / "a.bin").read_bytes() == file.read()


@pytest.mark.parametrize("size", [1000, 3 * MIB])
@pytest.mark.parametrize("answer", ["304", "tag"])
def test_another_object_is_not_called_unchanged(tmp_path: Path, size: int, answer: str) -> None:
    """Same name, another address, and a server that answers If-None-Match or If-Modified-Since with 304 (or has the
    same simple tag): the file that is there is not what was asked for."""
    first, second = GeneratedFile(size, seed=10), GeneratedFile(size, seed=11)

    def route(ask: Ask) -> Reply:
        if answer == "304" and (ask.header("if-none-match") or ask.header("if-modified-since")):
            return Reply(304, [("ETag", '"1"')])
        return Reply(200, [("ETag", '"1"')], second, 0, size)

    with FaultServer({"a/x.bin": first}, Schedule.of(Rule(Header("ETag", '"1"'), times=None))) as server:
        outcome, _, _ = fetch(server, [Item("faulty", "a/x.bin", "x.bin")], tmp_path)
        assert int(outcome.exit_code) == 0
    with FaultServer({}, routes={"b/x.bin": route}) as server:
        outcome, _, _ = fetch(server, [Item("faulty", "b/x.bin", "x.bin")], tmp_path)
    assert not outcome.placed
    assert isinstance(outcome.failed[0].error, DestinationError)


def test_the_digest_of_a_refusal_s_page_is_not_the_file_s(tmp_path: Path) -> None:
    """An empty file is told by 416; the md5 in that answer is of its error page."""
    page = b'{"error": "range not satisfiable"}'

    def route(ask: Ask) -> Reply:
        if ask.header("range") is None:
            return Reply(200, [], BytesFile(b""), 0, 0)
        md5 = base64.b64encode(hashlib.md5(page, usedforsecurity=False).digest()).decode()
        return Reply.of(416, page, "application/json", ("Content-Range", "bytes */0"), ("Content-MD5", md5))

    with FaultServer({}, routes={"a.bin": route}) as server:
        outcome, _, _ = fetch(server, [Item("faulty", "a.bin", "a.bin")], tmp_path)
    assert outcome.placed[0].size == 0


def test_bytes_that_were_never_hashed_are_hashed_once_proof_is_wanted(tmp_path: Path) -> None:
    """``--require none`` left a wrong file; the plain command must not call it done."""
    good, bad = GeneratedFile(3 * MIB, seed=12), GeneratedFile(3 * MIB, seed=13)
    item = item_for("a.bin", good, "digest")
    with FaultServer({"a.bin": bad}) as server:
        outcome, _, _ = fetch(server, [item], tmp_path, require=ProofLevel.NONE)
        assert outcome.placed
        outcome, _, _ = fetch(server, [item], tmp_path)
    assert not outcome.placed
    with FaultServer({"a.bin": good}) as server:
        fetch(server, [item], tmp_path / "good", require=ProofLevel.NONE)
        outcome, _, network = fetch(server, [item], tmp_path / "good")
    assert network.received == 0
    assert outcome.placed[0].proof.stated == Digest("sha256", good.sha256)


class _SlowMiddle(Fault):
    """Not a lie at all: the second and third quarter come slowly, so that idle hands take over parts of them."""

    def shape(self, reply: Reply, ask: Ask, stage: Stage) -> None:
        if reply.status == 206 and 6 * MIB <= reply.start < 18 * MIB:
            reply.drip = Drip(0, 2_000_000)
