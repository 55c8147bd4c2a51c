"""Signing in to a fake ImmPort: passwords, API keys in every form, OIDC, tokens of a minute, where things are kept."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from packhorse.credentials.keeping import Kept
from packhorse.credentials.ladder import Credential
from packhorse.credentials.store import StoredTokens
from packhorse.errors import AuthenticationError, CredentialStoreError, PermissionDeniedError, ProtocolError
from packhorse.model import Secret
from packhorse.portals.immport.bases import bases_of
from packhorse.portals.immport.keys import read_key
from packhorse.portals.immport.portal import ImmPortPortal
from packhorse.settings import RemoteSettings

from .conftest import SIGNED, MakePortal, on_engine
from .fake import PASSWORD, USER, Call, FakeImmPort, jwt


def ask(lab: ImmPortPortal) -> Any:
    return on_engine(lab.api.get_json("api/study/getRestrictedStudyAccessions"))


@pytest.mark.parametrize("member", ["token", "access_token"])
def test_a_password_is_form_encoded_and_either_member_is_read(
    fake: FakeImmPort, portal: MakePortal, member: str
) -> None:
    fake.member = member
    assert ask(portal()) == []
    call = fake.called("/auth/token")[0]
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"
    assert b"p%26ss%2Bw%25rd" in call.body
    assert call.headers["accept"] == "application/json;charset=UTF-8"


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((401, b'{"error" : "Bad credentials"}'), AuthenticationError, "user name or password is wrong"),
        ((400, b'{"error": "x", "message": "Account is locked"}'), AuthenticationError, "Account is locked"),
        ((404, b""), AuthenticationError, "takes no passwords"),
        ((200, b'{"status": 200}'), ProtocolError, "without a token"),
        ((200, b'{"error": "Account expired"}'), AuthenticationError, "Account expired"),
        ((200, b"<html>"), ProtocolError, "not JSON"),
        ((200, b'{"token": "two words"}'), ProtocolError, "does not hold a token"),
    ],
)
def test_a_refused_password(
    fake: FakeImmPort, portal: MakePortal, answer: tuple[int, bytes], error: type[Exception], said: str
) -> None:
    fake.before = lambda call: (answer[0], {"Content-Type": "application/json"}, answer[1]) if call else None
    with pytest.raises(error, match=said) as caught:
        ask(portal())
    assert PASSWORD not in str(caught.value)


def test_tokens_are_kept_until_shortly_before_they_end(fake: FakeImmPort, portal: MakePortal) -> None:
    fake.lasts = 60
    lab = portal()
    for _ in range(5):
        ask(lab)
    assert len(fake.called("/auth/token")) == 1
    keeper = lab.api.auth.keeper
    assert not keeper.due(time.time() + 40)
    assert keeper.due(time.time() + 50)
    lab.api.auth._skew = 50.0  # the server's clock is ahead: by it the token is as good as over
    ask(lab)
    assert len(fake.called("/auth/token")) == 2


def test_a_server_whose_clock_is_wrong_does_not_cost_a_sign_in_each(fake: FakeImmPort, portal: MakePortal) -> None:
    """A server an hour behind issues tokens that end, by our clock, before they began."""
    fake.lasts = 60 - 3600

    def behind(call: Call) -> Any:
        if call.path != "/auth/token":
            return 200, {"Content-Type": "application/json"}, b"[]"
        body = json.dumps({"token": fake.issue()}).encode()
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 3600))
        return 200, {"Content-Type": "application/json", "Date": date}, body

    fake.before = behind
    lab = portal()
    for _ in range(4):
        ask(lab)
    assert len(fake.called("/auth/token")) == 1


def test_renewal_on_401_is_single_flight(fake: FakeImmPort, portal: MakePortal) -> None:
    lab = portal()
    ask(lab)
    fake.tokens.clear()

    async def many() -> None:
        await asyncio.gather(*(lab.api.get_json("api/study/getRestrictedStudyAccessions") for _ in range(12)))

    on_engine(many())
    assert len(fake.called("/auth/token")) == 2


def test_api_keys_in_every_form(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    key = fake.issue()
    whole = json.dumps({"id": "u", "api_key": key, "expires_at": "2100-01-01T00:00:00.123456789Z"}, indent=1)
    file = tmp_path / "key.json"
    file.write_text(whole)
    file.chmod(0o600)
    for environ in (
        {"IMMPORT_API_KEY": key},
        {"IMMPORT_API_KEY": f"Bearer {key}"},
        {"IMMPORT_API_KEY": whole},
        {"IMMPORT_API_KEY": str(file)},
        {"IMMPORT_API_KEY_FILE": str(file)},
        {"IMMPORT_TOKEN": key},
        {"PACKHORSE_IMMPORT_API_KEY": whole},
        {"PACKHORSE_IMMPORT_TOKEN": key},
        {"IMMPORT_USERNAME": USER, "IMMPORT_PASSWORD": PASSWORD},
    ):
        assert ask(portal(environ, name="immport")) == [], environ
    with pytest.raises(AuthenticationError, match="not signed in"):
        ask(portal({"IMMPORT_API_KEY": key}))  # for the remote immport only


def test_keys_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    over = json.dumps({"api_key": "x", "expires_at": "2001-01-01T00:00:00Z"})
    loose = tmp_path / "loose.json"
    loose.write_text(over)
    loose.chmod(0o644)
    for text, said in (
        (over, "was over on 2001-01-01"),
        ('{"api_key": "x"', "whole key copied"),
        ("{}", "without a member api_key"),
        (str(tmp_path / "none.json"), "does not exist"),
        (str(loose), "others may read it"),
        ("two words", "does not hold a token"),
    ):
        with pytest.raises(CredentialStoreError, match=said) as caught:
            read_key(Secret(text), "IMMPORT_API_KEY")
        assert "x" not in caught.value.message.split()


def test_a_sign_in_is_kept_and_forgotten(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    who = on_engine(portal({}).sign_in(USER, Secret(PASSWORD), store="file"))
    assert who["username"] == USER
    assert who["email"] == "ada@example.org"
    file = Path(who["stored"])
    assert PASSWORD not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert ask(portal({})) == []
    assert on_engine(portal({}).whoami())["rung"] == "file"
    assert len(fake.called("/auth/token")) == 1
    assert on_engine(portal({}).sign_out())
    assert not file.exists()
    assert on_engine(portal({}).whoami()) == {}


def test_a_kept_token_that_is_over_asks_for_the_password(fake: FakeImmPort, portal: MakePortal) -> None:
    on_engine(portal({}).sign_in(USER, Secret(PASSWORD), store="file"))
    fake.tokens.clear()
    with pytest.raises(AuthenticationError, match="a token was sent"):
        ask(portal({}))
    asked = []

    def prompt(remote: str, username: str | None) -> tuple[str, Secret]:
        asked.append((remote, username))
        return USER, Secret(PASSWORD)

    assert ask(portal({}, prompt=prompt)) == []
    assert asked == [("lab", USER)]
    assert ask(portal({})) == [], "the renewed token was kept"


def test_a_password_in_the_keyring_renews(fake: FakeImmPort, portal: MakePortal) -> None:
    """What ``--store keyring`` keeps beside the token is all that the next process needs."""
    kept: list[StoredTokens] = []

    def keyring(_source: Any, tokens: StoredTokens, where: str) -> Kept:
        kept.append(tokens)
        return Kept(f"the keyring ({where})")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("packhorse.portals.immport.auth.keep", keyring)
        assert "keyring" in on_engine(portal({}).sign_in(USER, Secret(PASSWORD), store="keyring"))["stored"]
    fake.tokens.clear()
    held = kept[0]
    found = Credential("keyring", "service", token=held.token, refresh=held.refresh, username=held.username)
    lab = portal({}, explicit=found)
    assert ask(lab) == []
    fake.tokens.clear()
    assert ask(lab) == []
    assert len(fake.called("/auth/token")) == 3


def test_a_bad_key_is_refused_before_it_is_kept(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    for userinfo in (True, False):
        fake.userinfo = userinfo
        with pytest.raises(AuthenticationError):
            on_engine(portal({}).use_token(Secret(jwt(3600)), store="file"))
        assert not (tmp_path / "state" / "credentials" / "lab.json").exists()
        who = on_engine(portal({}).use_token(Secret(fake.issue()), store="file"))
        assert who["username"] == USER
        assert on_engine(portal({}).sign_out())


def test_a_key_without_the_right_to_browse_is_a_key(fake: FakeImmPort, portal: MakePortal) -> None:
    fake.userinfo = False
    fake.before = lambda call: (403, {}, b"{}") if "Restricted" in call.path else None
    assert on_engine(portal({}).use_token(Secret(fake.issue()), store="none"))["username"] == USER
    with pytest.raises(PermissionDeniedError):
        ask(portal({"PACKHORSE_LAB_TOKEN": fake.issue()}))


def test_client_credentials(fake: FakeImmPort, portal: MakePortal) -> None:
    fake.clients["robot"] = "s3cret:x"
    environ = {"PACKHORSE_LAB_CLIENT_ID": "robot", "PACKHORSE_LAB_CLIENT_SECRET": "s3cret:x"}
    lab = portal(environ)
    assert ask(lab) == []
    fake.tokens.clear()
    assert ask(lab) == []
    with pytest.raises(AuthenticationError, match="invalid_client"):
        ask(portal({**environ, "PACKHORSE_LAB_CLIENT_SECRET": "wrong"}))


def visit(url: str, answers: list[int]) -> None:
    """The browser: someone else's request first, then the real way there and back."""
    back = dict(part.split("=") for part in url.partition("?")[2].split("&"))["redirect_uri"]
    port = back.partition("127.0.0.1%3A")[2].partition("%2F")[0]
    for wrong in ("/callback?code=x&state=stolen", "/favicon.ico", "/callback"):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{wrong}").close()
        except urllib.error.HTTPError as error:
            answers.append(error.code)
            error.close()
    with urllib.request.urlopen(url) as page:
        answers.append(page.status)
        assert b"signed in" in page.read()


def test_sign_in_by_browser(fake: FakeImmPort, portal: MakePortal) -> None:
    answers: list[int] = []
    who = on_engine(portal({}).sign_in_by_browser(lambda url: visit(url, answers), store="file"))
    assert answers == [404, 404, 404, 200]
    assert who["username"] == USER
    again = portal({})
    fake.tokens.clear()
    assert ask(again) == [], "renewed by the refresh token, which changes each time"
    fake.tokens.clear()
    assert ask(portal({})) == []


def test_a_browser_that_never_comes(fake: FakeImmPort, portal: MakePortal) -> None:
    with pytest.raises(AuthenticationError, match="no answer came from the browser"):
        on_engine(portal({}).sign_in_by_browser(lambda url: None, limit=0.1))


def test_a_discovery_document_sends_secrets_nowhere_else(fake: FakeImmPort, portal: MakePortal) -> None:
    def evil(call: Call) -> Any:
        if "openid-configuration" not in call.path:
            return None
        body = json.dumps({"token_endpoint": f"{fake.store}/take", "authorization_endpoint": f"{fake.base}/auth/a"})
        return 200, {"Content-Type": "application/json"}, body.encode()

    fake.before = evil
    with pytest.raises(ProtocolError, match="sends the sign-in to"):
        on_engine(portal({}).sign_in_by_browser(lambda url: None, limit=0.1))
    assert fake.store_calls == []


def test_the_token_goes_to_the_services_only(fake: FakeImmPort, portal: MakePortal) -> None:
    from packhorse.net.message import Request

    lab = portal()
    sent = on_engine(lab.authorise(Request("GET", f"{fake.base}/data/query/x")))
    assert "Authorization" in sent.headers
    elsewhere = on_engine(lab.authorise(Request("GET", f"{fake.store}/x", {"Authorization": "Bearer y"})))
    assert "Authorization" not in elsewhere.headers


def test_every_service_can_be_elsewhere(fake: FakeImmPort, portal: MakePortal) -> None:
    options = {"auth_url": f"{fake.base}/auth", "query_url": f"{fake.base}/data/query"}
    assert ask(portal(url="http://127.0.0.1:1", options=options)) == []
    first = bases_of(RemoteSettings("old", "immport", "https://api.immport.org"))
    assert first.auth == "https://auth.immport.org/auth"
    assert first.auth_others == ("https://www.immport.org/auth",)
    assert bases_of(RemoteSettings("x", "immport", "https://x", {"auth_url": "https://y/auth"})).auth_others == ()


def test_the_other_host_is_asked_where_the_first_has_no_such_service(fake: FakeImmPort, portal: MakePortal) -> None:
    from packhorse.portals.immport.password import password_token

    async def work() -> Secret:
        places = ("http://127.0.0.1:1/auth/token", f"{fake.base}/auth/nothing", f"{fake.base}/auth/token")
        token, _ = await password_token(portal().api.network, places, USER, Secret(PASSWORD))
        return token

    fake.tokens.add("x")
    assert on_engine(work()).reveal() in fake.tokens


def test_signed_in_by_the_environment_says_so(portal: MakePortal) -> None:
    answer = on_engine(portal(SIGNED).credentials())
    assert answer.credential is not None
    assert answer.credential.origin == "PACKHORSE_LAB_USERNAME and PACKHORSE_LAB_PASSWORD"
