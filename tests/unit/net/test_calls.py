"""Small requests whole: what is tried again, what is renewed, and what is sent once only."""

from __future__ import annotations

import time

import pytest

from packhorse.errors import NetworkError, ProtocolError, RateLimitedError, RefusedError
from packhorse.net.calls import call, stream_following
from packhorse.net.message import Reply, Request
from packhorse.net.transport import Network
from packhorse.testing import faults as f

from .helpers import Collect, RawServer, answers, reply, run

GET = "GET"


class Credential:
    """Signs with a number that every renewal raises."""

    def __init__(self, renewals: int = 99) -> None:
        self.number = 0
        self.left = renewals

    async def authorise(self, request: Request) -> Request:
        return request.with_headers(Authorization=f"Bearer {self.number}")

    async def renew(self, refused: Request) -> bool:
        assert refused.headers["Authorization"] == f"Bearer {self.number}"
        if not self.left:
            return False
        self.left -= 1
        self.number += 1
        return True


def once(request: Request, credential: Credential | None = None, **more: object) -> Reply:
    async def work(network: Network) -> Reply:
        if credential is None:
            return await call(network, request, **more)  # type: ignore[arg-type]
        return await call(
            network,
            request,
            authorise=credential.authorise,
            renew=credential.renew,
            **more,  # type: ignore[arg-type]
        )

    return run(work)


def test_the_answer_of_any_status_comes_back() -> None:
    with f.FaultServer({"a": b'{"x": 1}'}) as server:
        assert once(Request(GET, server.url_of("a"))).json() == {"x": 1}
        assert once(Request(GET, server.url_of("none"))).status == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_401_renews_once_and_signs_anew(method: str) -> None:
    handle, seen = answers(reply(401), reply(200, b"in"))
    credential = Credential()
    with RawServer(handle) as server:
        got = once(Request(method, server.url), credential)
    assert (got.status, got.content, credential.number) == (200, b"in", 1)
    assert [b"Bearer 0" in seen[0][0], b"Bearer 1" in seen[1][0]] == [True, True]


def test_a_second_401_is_the_answer() -> None:
    handle, seen = answers(reply(401))
    credential = Credential()
    with RawServer(handle) as server:
        assert once(Request(GET, server.url), credential).status == 401
    assert (len(seen), credential.number) == (2, 1)


def test_401_without_anything_to_renew_is_the_answer() -> None:
    handle, seen = answers(reply(401))
    with RawServer(handle) as server:
        assert once(Request(GET, server.url)).status == 401
        assert once(Request(GET, server.url), Credential(0)).status == 401
    assert len(seen) == 2


def test_401_of_another_origin_renews_nothing() -> None:
    handle, _ = answers(reply(401))
    with RawServer(handle) as other:
        first, _ = answers(reply(302, b"", f"Location: {other.url}/"))
        with RawServer(first) as server:
            credential = Credential()
            assert once(Request(GET, server.url), credential).status == 401
    assert credential.number == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [429, 503])
def test_an_overload_is_waited_for(method: str, status: int) -> None:
    handle, seen = answers(reply(status, b"", "Retry-After: 1"), reply(200, b"in"))
    told: list[tuple[int, float, str]] = []
    with RawServer(handle) as server:
        started = time.monotonic()
        got = once(Request(method, server.url), on_retry=lambda *args: told.append(args))
        took = time.monotonic() - started
    assert (got.content, len(seen), told) == (b"in", 2, [(1, 1.0, f"HTTP {status}")])
    assert took >= 1.0


def test_a_wait_of_an_hour_fails_and_says_until_when() -> None:
    handle, seen = answers(reply(429, b"", "Retry-After: 3600"))
    with RawServer(handle) as server, pytest.raises(RateLimitedError, match="3,600 s, until ") as caught:
        once(Request(GET, server.url + "/?token=s3cret"))
    assert len(seen) == 1
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("wait", ["999999999999", "9" * 12 + ".9", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_wait_is_an_error_too(wait: str) -> None:
    handle, _ = answers(reply(429, b"", f"Retry-After: {wait}"))
    with RawServer(handle) as server, pytest.raises(RateLimitedError):
        once(Request(GET, server.url))


def test_a_get_is_tried_again_after_cuts_and_errors() -> None:
    handle, seen = answers(
        b"", reply(500), b"HTTP/1.1 200 X\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf", reply(200, b"in")
    )
    with RawServer(handle) as server:
        assert once(Request(GET, server.url)).content == b"in"
    assert len(seen) == 4


def test_a_get_is_given_up_after_its_tries() -> None:
    handle, seen = answers(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf")
    with RawServer(handle) as server, pytest.raises(NetworkError):
        once(Request(GET, server.url), retries=1)
    assert len(seen) == 2


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 X\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf"])
def test_a_post_is_not_repeated_after_a_cut(first: bytes) -> None:
    handle, seen = answers(first, reply(200))
    with RawServer(handle) as server, pytest.raises(NetworkError):
        once(Request("POST", server.url, body=b"create"))
    assert len(seen) == 1


@pytest.mark.parametrize("status", [408, 500, 502, 504])
def test_a_post_is_not_repeated_after_an_error(status: int) -> None:
    handle, seen = answers(reply(status), reply(200))
    with RawServer(handle) as server:
        assert once(Request("POST", server.url, body=b"create")).status == status
    assert len(seen) == 1


def test_a_post_that_may_be_repeated_is() -> None:
    handle, seen = answers(reply(500), reply(200))
    with RawServer(handle) as server:
        assert once(Request("POST", server.url, body=b"look", idempotent=True)).status == 200
    assert len(seen) == 2


def test_a_post_that_nobody_took_is_repeated() -> None:
    with f.FaultServer({}, routes={"p": lambda ask: f.Reply.of(200, b"{}")}) as server:
        server.refuse(0.3)
        assert once(Request("POST", server.url_of("p"), body=b"create")).status == 200
        assert len(server.log) == 1


@pytest.mark.parametrize("then", [reply(503), reply(429), reply(401), b""])
def test_a_post_that_was_taken_and_led_elsewhere_is_not_repeated(then: bytes) -> None:
    handle, seen = answers(reply(303, b"", "Location: /made/1"), then, reply(200, b"in"))
    with RawServer(handle) as server:
        try:
            once(Request("POST", server.url, body=b"create"), Credential())
        except NetworkError:
            assert not then
    assert [head.split()[0] for head, _ in seen].count(b"POST") == 1


def test_a_post_that_was_taken_is_not_repeated_where_the_next_server_refuses() -> None:
    gone = "http://127.0.0.1:9/"
    handle, seen = answers(reply(303, b"", f"Location: {gone}"))
    with RawServer(handle) as server, pytest.raises(RefusedError):
        once(Request("POST", server.url, body=b"create"))
    assert len(seen) == 1


def test_an_answer_has_a_limit() -> None:
    with f.FaultServer({"a": bytes(2000)}) as server:
        assert len(once(Request(GET, server.url_of("a")), limit=2000).content) == 2000
        with pytest.raises(ProtocolError, match="more than 1,999 bytes"):
            once(Request(GET, server.url_of("a")), limit=1999, retries=0)


def test_only_the_last_answers_body_counts() -> None:
    handle, _ = answers(reply(302, b"moved" * 100, "Location: /b"), reply(200, b"in"))
    with RawServer(handle) as server:
        assert once(Request(GET, server.url), limit=600).content == b"in"


def test_credentials_stay_at_home() -> None:
    with f.FaultServer({"a": b"x"}, f.Schedule.of(f.Rule(f.Redirect("other"), times=None)), bearer="0") as server:
        assert once(Request(GET, server.url_of("a")), Credential()).content == b"x"
        assert not server.leaked
        assert len(server.log) == 2


def test_a_loop_ends() -> None:
    with f.FaultServer({"a": b"x"}, f.Schedule.of(f.Rule(f.RedirectLoop(), times=None))) as server:
        with pytest.raises(ProtocolError, match="redirects"):
            once(Request(GET, server.url_of("a")), retries=0)
        assert len(server.log) == 11


def test_the_round_trip_does_not_count_the_wait_for_a_turn() -> None:
    with f.FaultServer({"a": b"x"}) as server:

        async def work(network: Network) -> float:
            budget = network.budget(server.url)
            budget.pause(1.0)
            await stream_following(network, Request(GET, server.url_of("a")), Collect())
            return budget.state.round_trip

        assert run(work) < 0.2


def test_a_refused_connection_halves_the_budget() -> None:
    async def work(network: Network) -> tuple[int, int]:
        url = "http://127.0.0.1:9/"
        before = network.budget(url).state.limit
        with pytest.raises(RefusedError):
            await stream_following(network, Request(GET, url), Collect())
        return before, network.budget(url).state.limit

    before, after = run(work)
    assert after == before // 2
