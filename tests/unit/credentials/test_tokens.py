import asyncio
import base64
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.credentials import StoredTokens, TokenKeeper, Tokens, TokenStore, expiry
from packhorse.errors import NetworkError
from packhorse.model import Secret

URL = "https://flow.example.org/api"


def jwt(claims: object) -> Secret:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return Secret(f"{part({'alg': 'none'})}.{part(claims)}.sig")


def test_expiry_is_read_from_the_claim() -> None:
    assert expiry(jwt({"exp": 1_700_000_000})) == 1_700_000_000.0
    assert expiry(jwt({"exp": 1.5})) == 1.5


@pytest.mark.parametrize(
    "claims", [{}, [], "x", {"exp": "1"}, {"exp": True}, {"exp": -1}, {"exp": 1e40}, {"exp": None}]
)
def test_nonsense_has_no_expiry(claims: object) -> None:
    assert expiry(jwt(claims)) is None


@given(st.text())
def test_expiry_never_raises(text: str) -> None:
    assert expiry(Secret(text)) is None or "." in text


def test_many_callers_renew_once() -> None:
    async def scenario() -> None:
        keeper = TokenKeeper(URL)
        keeper.adopt(Tokens(Secret("old"), Secret("r1")))
        fetched: list[Secret | None] = []

        async def fetch(refresh: Secret | None) -> Tokens:
            fetched.append(refresh)
            await asyncio.sleep(0.01)
            return Tokens(Secret("new"), username="ada")

        done = await asyncio.gather(*(keeper.renew(Secret("old"), fetch) for _ in range(20)))
        assert all(done)
        assert fetched == [Secret("r1")]
        assert (keeper.token, keeper.refresh, keeper.username) == (Secret("new"), Secret("r1"), "ada")
        assert await keeper.renew(Secret("old"), fetch)  # a late caller with the old one
        assert len(fetched) == 1

    asyncio.run(scenario())


def test_what_cannot_be_renewed_is_tried_once_only() -> None:
    async def scenario() -> None:
        keeper = TokenKeeper(URL)
        keeper.adopt(Tokens(Secret("old")))
        calls = 0

        async def fetch(refresh: Secret | None) -> Tokens | None:
            nonlocal calls
            calls += 1
            return None

        assert await asyncio.gather(*(keeper.renew(Secret("old"), fetch) for _ in range(5))) == [False] * 5
        assert calls == 1
        keeper.adopt(Tokens(Secret("old")))  # a new sign-in may bring the same token, and hope
        assert not await keeper.renew(Secret("old"), fetch)
        assert calls == 2

    asyncio.run(scenario())


def test_a_network_failure_comes_through_and_is_not_the_end() -> None:
    async def scenario() -> None:
        keeper = TokenKeeper(URL)
        keeper.adopt(Tokens(Secret("old"), Secret("r")))

        async def failing(refresh: Secret | None) -> Tokens:
            raise NetworkError("cut")

        async def working(refresh: Secret | None) -> Tokens:
            return Tokens(Secret("new"))

        with pytest.raises(NetworkError):
            await keeper.renew(Secret("old"), failing)
        assert await keeper.renew(Secret("old"), working)

    asyncio.run(scenario())


def test_the_file_is_read_first_and_written_after(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = TokenStore(tmp_path, "lab")
        keeper = TokenKeeper(URL, store)
        keeper.adopt(Tokens(Secret("old"), Secret("r1"), "ada"))

        async def never(refresh: Secret | None) -> Tokens:
            raise AssertionError

        store.write(StoredTokens(URL, Secret("renewed-elsewhere"), Secret("r2"), "ada"))
        assert await keeper.renew(Secret("old"), never)
        assert (keeper.token, keeper.refresh) == (Secret("renewed-elsewhere"), Secret("r2"))

        async def fetch(refresh: Secret | None) -> Tokens:
            assert refresh == Secret("r2")
            return Tokens(Secret("newest"))

        assert await keeper.renew(Secret("renewed-elsewhere"), fetch)
        assert store.read() == StoredTokens(URL, Secret("newest"), Secret("r2"), "ada")

    asyncio.run(scenario())


@pytest.mark.parametrize("held", ["other-server", "expired", "damaged", "loose"])
def test_a_file_that_does_not_help_is_passed_over(tmp_path: Path, held: str) -> None:
    async def scenario() -> None:
        store = TokenStore(tmp_path, "lab")
        token = jwt({"exp": time.time() - 1}) if held == "expired" else Secret("other")
        store.write(StoredTokens("https://elsewhere" if held == "other-server" else URL, token))
        if held == "damaged":
            store.path.write_text("{")
        if held == "loose":
            store.path.chmod(0o644)
        keeper = TokenKeeper(URL, store)
        keeper.adopt(Tokens(Secret("old"), Secret("r")))

        async def fetch(refresh: Secret | None) -> Tokens:
            return Tokens(Secret("fetched"))

        assert await keeper.renew(Secret("old"), fetch)
        assert keeper.token == Secret("fetched")

    asyncio.run(scenario())


def test_a_token_is_due_shortly_before_it_expires() -> None:
    keeper = TokenKeeper(URL)
    keeper.adopt(Tokens(jwt({"exp": 1000}), Secret("r")))
    assert not keeper.due(900)
    assert keeper.due(950)
    keeper.refresh = None
    assert not keeper.due(950)
    keeper.adopt(Tokens(Secret("opaque-key"), Secret("r")))
    assert not keeper.due(1e11)


def test_a_state_directory_in_the_way_does_not_stop_a_renewal(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")

    async def scenario() -> None:
        keeper = TokenKeeper(URL, TokenStore(tmp_path / "state", "lab"))
        keeper.adopt(Tokens(Secret("old"), Secret("r")))

        async def fetch(refresh: Secret | None) -> Tokens:
            return Tokens(Secret("new"))

        assert await keeper.renew(Secret("old"), fetch)
        assert keeper.token == Secret("new")

    asyncio.run(scenario())
