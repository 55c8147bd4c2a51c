"""Keys, applications, guests, clocks and refusals, against a server that checks signatures by hand."""

from __future__ import annotations

import hmac
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from packhorse.credentials.ladder import Credential
from packhorse.errors import (
    AuthenticationError,
    CredentialStoreError,
    ExpiredError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ServerError,
    UsageError,
)
from packhorse.model import Secret
from packhorse.net.message import Headers, Request, ResponseHead
from packhorse.portals.filesender.clock import Clock
from packhorse.portals.filesender.manage import Invitation
from packhorse.portals.filesender.refusals import exception_in, refusal

from .conftest import SIGNED, MakePortal, on_engine
from .fake import KEY, SECRET, USER, Call, FakeFileSender, Fatal, Refuse


def test_a_user_key_signs_what_the_server_verifies(portal: MakePortal, fake: FakeFileSender) -> None:
    lab = portal()
    me = on_engine(lab.whoami())
    assert (me["username"], me["id"], me["rung"]) == (USER, 7, "environment")
    assert fake.calls[-1].by == "signed"
    assert set(fake.calls[-1].query) == {"remote_user", "timestamp", "signature"}


@pytest.mark.parametrize("tail", ["", "/", "/rest.php", "/rest.php/"])
def test_the_address_may_end_as_people_have_it(portal: MakePortal, fake: FakeFileSender, tail: str) -> None:
    assert on_engine(portal(url=fake.base + tail).manage.user()).saml_id == USER


def test_an_application_signs_with_its_secret(portal: MakePortal, fake: FakeFileSender) -> None:
    lab = portal(
        {"PACKHORSE_LAB_SECRET": SECRET, "PACKHORSE_LAB_USERNAME": "grace@example.org"},
        options={"application": "sequencer"},
    )
    assert on_engine(lab.whoami())["application"] == "sequencer"
    assert fake.calls[-1].query["remote_application"] == "sequencer"
    assert fake.calls[-1].query["remote_user"] == "grace@example.org"


def test_another_algorithm_is_a_setting(portal: MakePortal, fake: FakeFileSender) -> None:
    fake.algorithm = "sha256"
    assert on_engine(portal(options={"signature_algorithm": "sha256"}).manage.user()).id == 7
    with pytest.raises(AuthenticationError, match="user name or the API key is wrong"):
        on_engine(portal().manage.user())


@pytest.mark.parametrize("clock", [3600, -3600, 40])
def test_a_clock_that_is_wrong_is_noticed_and_said_once(portal: MakePortal, fake: FakeFileSender, clock: int) -> None:
    fake.clock = clock
    said: list[str] = []
    lab = portal(notify=said.append)
    on_engine(lab.manage.user())
    on_engine(lab.manage.quota())
    assert len(said) == 1
    assert ("behind" in said[0]) == (clock > 0)
    digits = said[0].replace(",", "")
    assert any(str(seconds) in digits for seconds in (abs(clock) - 1, abs(clock), abs(clock) + 1))


def test_the_clock_is_learnt_again_when_it_is_set_meanwhile(portal: MakePortal, fake: FakeFileSender) -> None:
    lab = portal()
    on_engine(lab.manage.user())
    fake.clock = 500
    assert on_engine(lab.manage.user()).id == 7


def test_without_a_date_our_own_clock_is_used(portal: MakePortal, fake: FakeFileSender) -> None:
    fake.hide_date = True
    assert on_engine(portal().manage.user()).id == 7


def test_the_clock_ignores_nonsense() -> None:
    clock = Clock()

    def head(date: str) -> ResponseHead:
        return ResponseHead(200, Headers([("Date", date)]), "http://h/")

    for date in ("", "yesterday", "Thu, 99 Jan 2020 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"):
        assert not clock.learn(head(date), now=2_000_000_000)
    assert clock.skew == 0
    assert clock.learn(head("Wed, 18 May 2033 03:34:20 GMT"), now=2_000_000_000)
    assert clock.skew == 60
    assert not clock.learn(head("Wed, 18 May 2033 03:34:21 GMT"), now=2_000_000_000), "a grain is no new time"
    assert not clock.learn(head("Wed, 18 May 2033 03:33:21 GMT"), now=2_000_000_040), "a slow answer is no new time"
    assert clock.skew == 60


def test_large_bodies_are_given_time_to_arrive(portal: MakePortal, fake: FakeFileSender) -> None:
    auth = portal().api.auth
    body = bytes(5 * 1024 * 1024)
    request = Request("PUT", f"{fake.base}/rest.php/file/7/chunk/0?key=x", {}, body, len(body))
    signed = on_engine(auth.authorise(request))
    query = dict(parse_qsl(urlsplit(signed.url).query))
    assert 315 <= int(query["timestamp"]) - time.time() <= 325
    text = (
        f"put&127.0.0.1:{fake.port}/fs/rest.php/file/7/chunk/0?key=x&remote_user={USER}&timestamp={query['timestamp']}&"
    )
    assert query["signature"] == hmac.new(KEY.encode(), text.encode() + body, "sha1").hexdigest()


def test_nothing_is_signed_for_another_server(portal: MakePortal, fake: FakeFileSender) -> None:
    auth = portal().api.auth
    for url in ("https://elsewhere.example.org/fs/rest.php/x", fake.base.replace("/fs", "/other/rest.php")):
        assert on_engine(auth.authorise(Request("GET", url))).url == url


def test_a_wrong_key_is_one_clear_error(portal: MakePortal) -> None:
    with pytest.raises(AuthenticationError, match="the user name or the API key is wrong") as caught:
        on_engine(portal({**SIGNED, "PACKHORSE_LAB_APIKEY": "00" * 32}).manage.user())
    assert caught.value.exit_code == 3
    assert "packhorse login lab" in str(caught.value.hint)
    assert "00" * 32 not in str(caught.value) + str(caught.value.hint)


def test_no_key_is_an_error_that_says_where_to_get_one(portal: MakePortal, fake: FakeFileSender) -> None:
    with pytest.raises(AuthenticationError, match="needs an API key") as caught:
        on_engine(portal({}).manage.transfers())
    assert f"{fake.base}/?s=user" in str(caught.value.hint)
    assert not fake.calls


def test_a_key_without_a_name_says_so(portal: MakePortal) -> None:
    with pytest.raises(AuthenticationError, match="not whose it is"):
        on_engine(portal({"PACKHORSE_LAB_TOKEN": KEY}).manage.user())


def test_the_general_variables_are_for_the_server_that_they_name(portal: MakePortal, fake: FakeFileSender) -> None:
    general = {"FILESENDER_USERNAME": USER, "FILESENDER_APIKEY": KEY}
    assert on_engine(portal(general).manage.user()).id == 7
    assert on_engine(portal({**general, "FILESENDER_BASE_URL": fake.base + "/rest.php"}).manage.user()).id == 7
    with pytest.raises(AuthenticationError, match="needs an API key"):
        on_engine(portal({**general, "FILESENDER_BASE_URL": "https://elsewhere.example.org"}).manage.user())


def _ini(home: Path, base: str, mode: int = 0o600) -> Path:
    path = home / ".filesender" / "filesender.py.ini"
    path.parent.mkdir(parents=True)
    text = f"[system]\nbase_url = {base}/rest.php\ndefault_transfer_days_valid = 10\n"
    path.write_text(text + f"[user]\nusername = {USER}\napikey = {KEY}\n")
    path.chmod(mode)
    return path


def test_the_ini_of_existing_users_is_read(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    path = _ini(tmp_path / "home", fake.base)
    me = on_engine(portal({}).whoami())
    assert (me["username"], me["origin"]) == (USER, str(path))


def test_an_ini_for_another_server_is_left_alone(portal: MakePortal, tmp_path: Path) -> None:
    _ini(tmp_path / "home", "https://elsewhere.example.org", 0o644)
    with pytest.raises(AuthenticationError, match="needs an API key"):
        on_engine(portal({}).manage.user())


def test_an_ini_that_others_can_read_is_refused(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    _ini(tmp_path / "home", fake.base, 0o644)
    with pytest.raises(CredentialStoreError, match="others may read it"):
        on_engine(portal({}).manage.user())


def test_a_key_is_checked_before_it_is_kept(portal: MakePortal, tmp_path: Path) -> None:
    lab = portal({})
    with pytest.raises(AuthenticationError):
        on_engine(lab.use_token(Secret("11" * 32), username=USER))
    assert not (tmp_path / "state" / "credentials" / "lab.json").exists()
    kept = on_engine(lab.sign_in(USER, Secret(KEY)))
    assert kept["stored"] == str(tmp_path / "state" / "credentials" / "lab.json")
    assert on_engine(portal({}).whoami())["username"] == USER
    assert on_engine(lab.sign_out())
    with pytest.raises(AuthenticationError):
        on_engine(portal({}).manage.user())


def test_doctor_sees_every_rung(portal: MakePortal, fake: FakeFileSender, tmp_path: Path) -> None:
    path = _ini(tmp_path / "home", fake.base)
    answer = on_engine(portal({}).credentials())
    assert answer.attempts[-1].outcome == "answered"
    assert answer.credential is not None
    assert answer.credential.origin == str(path)
    assert KEY not in repr(answer)


def test_explicit_credentials_come_first(portal: MakePortal, fake: FakeFileSender) -> None:
    given = Credential("explicit", "the call", token=Secret("22" * 32), username="x@example.org")
    with pytest.raises(AuthenticationError):
        on_engine(portal(explicit=given).manage.user())
    assert fake.calls[-1].query["remote_user"] == "x@example.org"


# Guests.


def test_a_guest_enters_by_the_page_and_carries_its_tokens(portal: MakePortal, fake: FakeFileSender) -> None:
    guest = fake.add_guest(transfer={"get_a_link": True})
    lab = portal({}).as_guest(f"{fake.base}/?s=upload&vid={guest['token']}")
    on_engine(lab.api.auth.ready())
    assert lab.api.auth.mode == "guest"
    body = {"files": [{"name": "a", "size": 1}], "recipients": [], "options": {}}
    made = on_engine(lab.api.send("POST", "transfer", body=body))
    assert made["id"] in fake.transfers
    assert fake.calls[-1].query["vid"] == guest["token"]
    assert len(fake.called("GET", "^/fs/$")) == 1


def test_a_guest_enters_again_when_its_tokens_are_refused(portal: MakePortal, fake: FakeFileSender) -> None:
    guest = fake.add_guest(transfer={"get_a_link": True})
    lab = portal({}).as_guest(guest["token"])
    body = {"files": [{"name": "a", "size": 1}], "recipients": [], "options": {}}
    on_engine(lab.api.send("POST", "transfer", body=body))
    fake.sessions.clear()
    on_engine(lab.api.send("POST", "transfer", body=body))
    assert len(fake.called("GET", "^/fs/$")) == 2


def test_a_rotated_security_token_is_taken_up(portal: MakePortal, fake: FakeFileSender) -> None:
    guest = fake.add_guest()
    lab = portal({}).as_guest(guest["token"])
    body = {"files": [{"name": "a", "size": 1}], "recipients": [], "options": {}}
    fake.before = lambda call: (
        (200, {"X-Filesender-Security-Token": "new-token", "Content-Type": "application/json"}, b"[]")
        if call.path.endswith("/transfer")
        else None
    )
    on_engine(lab.api.send("POST", "transfer", body=body))
    on_engine(lab.api.send("POST", "transfer", body=body))
    assert fake.calls[-1].headers["x-filesender-security-token"] == "new-token"


def test_a_closed_voucher_is_over(portal: MakePortal, fake: FakeFileSender) -> None:
    guest = fake.add_guest(open=False)
    with pytest.raises(ExpiredError, match="closed, over or unknown"):
        on_engine(portal({}).as_guest(guest["token"]).api.auth.ready())


def test_a_download_link_is_no_voucher(portal: MakePortal, fake: FakeFileSender) -> None:
    link = f"{fake.base}/?s=download&token={fake.add_guest()['token']}"
    with pytest.raises(UsageError, match="for receiving"):
        portal({}).as_guest(link)
    with pytest.raises(UsageError, match="another site"):
        portal({}).as_guest("https://elsewhere.example.org/?s=upload&vid=" + fake.add_guest()["token"])
    with pytest.raises(UsageError, match="no voucher"):
        portal({}).as_guest("hello")


# Refusals.

REFUSALS: list[tuple[str, type[Exception], int]] = [
    ("auth_remote_user_rejected", AuthenticationError, 3),
    ("transfer_not_found", NotFoundError, 4),
    ("guest_expired", ExpiredError, 1),
    ("rest_ownership_required", PermissionDeniedError, 1),
    ("transfer_user_quota_exceeded", PermissionDeniedError, 1),
    ("transfer_file_name_invalid", UsageError, 2),
    ("bad_expire", UsageError, 2),
    ("rate_limit_exceeded", RateLimitedError, 1),
    ("rest_sanity_check_failed", ProtocolError, 1),
    ("database_access_failure", ServerError, 1),
    ("some_plugin_said_no", ServerError, 1),
]


@pytest.mark.parametrize(("identifier", "kind", "code"), REFUSALS)
def test_refusals_become_our_errors(
    portal: MakePortal, fake: FakeFileSender, identifier: str, kind: type[Exception], code: int
) -> None:
    def refuse(call: Call) -> Any:
        if "/transfer/" in call.path:
            raise Refuse(500, identifier)

    fake.before = refuse
    with pytest.raises(kind) as caught:
        on_engine(portal().manage.transfer(5))
    assert getattr(caught.value, "exit_code", None) == code
    assert "transfer/5" in str(caught.value) or code == 3
    assert len(fake.called("GET", "transfer/5")) == 1, "a 500 with words is not asked again"


def test_an_empty_500_is_explained(portal: MakePortal, fake: FakeFileSender) -> None:
    def fatal(call: Call) -> Any:
        if "/transfer/" in call.path:
            raise Fatal

    fake.before = fatal
    with pytest.raises(ServerError, match="without a word") as caught:
        on_engine(portal().manage.transfer(5))
    assert "help desk" in str(caught.value.hint)


def test_a_page_is_never_read_as_json(portal: MakePortal, fake: FakeFileSender) -> None:
    fake.before = lambda call: (200, {"Content-Type": "text/html"}, b"{}") if "/user" in call.path else None
    with pytest.raises(ProtocolError, match="a web page came"):
        on_engine(portal().manage.user())


def test_a_wrong_address_says_so(portal: MakePortal, fake: FakeFileSender) -> None:
    with pytest.raises(NotFoundError) as caught:
        on_engine(portal(url=fake.base.replace("/fs", "/elsewhere")).manage.info())
    assert "FileSender site" in str(caught.value.hint)


def test_exception_pages_tell_what_older_servers_write_into_their_address() -> None:
    import base64

    held = base64.b64encode(json.dumps({"message": "transfer_expired", "uid": "1"}).encode()).decode()
    assert exception_in(f"https://h/?s=exception&exception={held}") == "transfer_expired"
    assert exception_in("https://h/?s=exception&sid=7") == ""
    assert exception_in("https://h/?s=exception&exception=%%%") == ""
    assert exception_in("https://h/download.php?token=x") is None


def test_every_hint_is_whole() -> None:
    from packhorse.portals.filesender import refusals
    from packhorse.wire.filesender.errors import MEANINGS

    assert refusals._HINTS.keys() <= MEANINGS.keys()
    head = ResponseHead(500, Headers(), "https://h/rest.php/x")
    for identifier in MEANINGS:
        error = refusal(head, b"", remote="lab", what="x", base="https://h", identifier=identifier)
        assert error.hint is None or error.hint not in error.message
        assert not str(error.hint).startswith("it was done")  # says what to do, not again what happened
        assert "{" not in str(error.hint)
        assert error.message


def test_a_thing_that_is_named_in_words_is_no_address() -> None:
    head = ResponseHead(500, Headers(), "https://h/rest.php/transfer")
    said = {"identifier": "transfer_no_recipients", "remote": "lab", "base": "https://h"}
    assert refusal(head, b"", what="the new transfer", **said).message.startswith("lab: the new transfer: ")
    assert refusal(head, b"", what="transfer/12", **said).message.startswith("lab:transfer/12: ")


# Managing.


def test_transfers_are_listed_and_changed(portal: MakePortal, fake: FakeFileSender) -> None:
    made = fake.add_transfer({"a.txt": b"abc", "b.txt": b"x"}, options=[])
    fake.add_recipient(made, "bob@example.org")
    manage = portal().manage
    assert [transfer.id for transfer in on_engine(manage.transfers())] == [made["id"]]
    assert [file.name for file in on_engine(manage.files(made["id"]))] == ["a.txt", "b.txt"]
    before = made["expires"]
    assert on_engine(manage.extend(made["id"])).expires == before + 5 * 86400
    on_engine(manage.remind(made["id"]))
    assert fake.mailed == [("reminder", "bob@example.org")]
    added = on_engine(manage.add_recipient(made["id"], "eve@example.org"))
    assert added.email == "eve@example.org"
    assert [r.email for r in on_engine(manage.recipients(made["id"]))] == ["", "bob@example.org", "eve@example.org"]
    on_engine(manage.remind_recipient(added.id))
    on_engine(manage.remove_recipient(added.id))
    assert on_engine(manage.audit_log(made["id"]))[0].event == "transfer_available"
    assert on_engine(manage.close(made["id"])).id == made["id"]
    with pytest.raises(ExpiredError, match="closed"):
        on_engine(manage.remind(made["id"]))
    on_engine(manage.delete(made["id"]))
    with pytest.raises(NotFoundError):
        on_engine(manage.transfer(made["id"]))


def test_what_mails_people_is_not_sent_twice(portal: MakePortal, fake: FakeFileSender) -> None:
    made = fake.add_transfer({"a.txt": b"abc"})
    fake.before = lambda call: (502, {}, b"") if call.method == "PUT" else None
    with pytest.raises(ServerError):
        on_engine(portal().manage.remind(made["id"]))
    assert len(fake.called("PUT", "transfer")) == 1


def test_quota_and_limits(portal: MakePortal, fake: FakeFileSender) -> None:
    fake.disclosed = {"max_transfer_files": "30"}
    assert on_engine(portal().manage.quota()) is None
    fake.quota = {"total": 100, "used": 60, "available": 40}
    found = on_engine(portal().manage.quota())
    assert found is not None
    assert (found.total, found.used, found.available) == (100, 60, 40)
    assert on_engine(portal({}).manage.info()).limit("max_transfer_files") == 30


def test_guests_are_invited_with_both_halves_of_the_options(portal: MakePortal, fake: FakeFileSender) -> None:
    manage = portal().manage
    wish = Invitation(
        "guest@example.org",
        subject="Reads",
        message="Please send <b>all</b> &amp; more",
        expires=1_900_000_000,
        options={"valid_only_one_time": True, "can_only_send_to_me": True},
    )
    guest = on_engine(manage.invite(wish))
    made = fake.guests[guest.id]
    assert guest.token == made["token"]
    assert made["body"]["from"] == USER
    assert made["body"]["expires"] == 1_900_000_000
    assert made["body"]["message"] == "Please send <b>all</b> &amp; more"
    assert made["options"] == {"valid_only_one_time": True, "can_only_send_to_me": True}
    assert made["transfer"] == {"get_a_link": False}
    assert [g.id for g in on_engine(manage.guests())] == [guest.id]
    on_engine(manage.remind_guest(guest.id))
    assert fake.mailed == [("voucher", "guest@example.org"), ("voucher again", "guest@example.org")]
    with pytest.raises(PermissionDeniedError):
        on_engine(manage.extend_guest(guest.id))
    on_engine(manage.revoke_guest(guest.id))
    assert on_engine(manage.guests()) == ()
    with pytest.raises(UsageError, match="did you mean 'valid_only_one_time'"):
        on_engine(manage.invite(Invitation("g@example.org", options={"valid_only_onetime": True})))
