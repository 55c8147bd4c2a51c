"""Vouchers: inviting, managing, and sending with one (spec §2.3, §7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from packhorse.server.api.filesender import guest_session
from packhorse.server.db.engine import open_database
from packhorse.server.db.filesender import Guest
from packhorse.server.db.models import User

from .conftest import Fs, Site, by_hand, refused

DAY = 24 * 3600


def visit(here: Site, *, voucher: str = "", user: str = "") -> Fs:
    """A browser's session, as the pages issue one: the cookie in a client that signs nothing."""
    database = open_database(here.config)
    try:
        with database.write() as session:
            guest = session.query(Guest).filter_by(token=voucher).one() if voucher else None
            who = session.query(User).filter_by(username=user).one() if user else None
            issued = guest_session.issue(session, guest=guest, user=who)
    finally:
        database.close()
    fs = Fs(here.url)
    fs.http.cookies.set("PHPSESSID", issued.cookie)
    fs.http.headers["X-Filesender-Security-Token"] = issued.security_token
    if voucher:
        fs.http.headers["csrfptoken"] = issued.csrf_token
    return fs


def invite(fs: Fs, **options: Any) -> dict[str, Any]:
    halves = {"guest": options, "transfer": {"get_a_link": False}}
    made: dict[str, Any] = fs.ok("POST", "/guest", {"recipient": "g@example.org", "options": halves})
    return made


def test_inviting_and_managing(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    sent = {
        "recipient": "g@example.org",
        "from": "demo@demo.invalid",
        "subject": "Please",
        "message": "send",
        "expires": int(time.time()) + 90 * DAY,
        "options": {
            "guest": {"valid_only_one_time": True, "email_guest_created": False},
            "transfer": {"get_a_link": True},
        },
    }
    answer = fs.call("POST", "/guest", sent)
    assert answer.status_code == 201
    guest = answer.json()
    assert answer.headers["location"] == f"{here.url}/rest.php/guest/{guest['id']}"
    assert (guest["email"], guest["user_email"], guest["subject"]) == ("g@example.org", "demo@demo.invalid", "Please")
    assert guest["upload_url"] == f"{here.url}/?s=upload&vid={guest['token']}"
    assert guest["options"]["valid_only_one_time"] is guest["options"]["guest"]["valid_only_one_time"] is True
    assert guest["options"]["email_guest_created"] is True  # forced on, as stock servers do
    assert guest["transfer_options"]["get_a_link"] is True
    assert 19 * DAY < int(guest["expires"]["raw"]) - time.time() <= 20 * DAY  # moved into the site's bounds
    told = [row[0] for row in by_hand(here.config.home, "SELECT recipient FROM letters")]
    assert sorted(told) == ["demo@demo.invalid", "g@example.org"]
    path = f"/guest/{guest['id']}"
    assert fs.ok("GET", path)["token"] == guest["token"]
    assert [entry["id"] for entry in fs.ok("GET", "/guest")] == [guest["id"]]
    assert fs.ok("GET", f"{path}/transfers") == []
    assert fs.ok("PUT", path, {"remind": True}) is True
    for days in (10, 5, 5):
        before = guest["expires"]["raw"]
        guest = fs.ok("PUT", path, {"extend_expiry_date": True})
        assert guest["expires"]["raw"] == before + days * DAY
    refused(fs.call("PUT", path, {"extend_expiry_date": True}), "guest_expiry_extension_count_exceeded")
    refused(fs.call("PUT", path, {}), "rest_missing_parameter", 400)
    assert fs.ok("DELETE", path) is None
    assert fs.ok("DELETE", path) is None
    assert fs.ok("GET", path)["id"] == guest["id"]
    assert fs.ok("GET", "/guest") == []
    refused(fs.call("PUT", path, {"remind": True}), "guest_expired")
    query = {"vid": guest["token"]}
    refused(fs.call("GET", "/info", query=query, signed=False), "guest_expired")
    assert by_hand(here.config.home, "SELECT count(*) FROM letters WHERE recipient = 'g@example.org'") == [(3,)]
    for bad in ("", "x", "a@b\nBcc: c@d"):
        answer = fs.call("POST", "/guest", {"recipient": bad, "options": {}})
        assert answer.json()["message"] in ("bad_email", "rest_missing_parameter")


def test_invitations_at_once_keep_to_the_limit(site: Callable[..., Site]) -> None:
    here = site(guest_limit=3)
    fs = here.user()

    def one(number: int) -> str:
        mine = Fs(fs.url, fs.user, fs.key)
        answer = mine.call("POST", "/guest", {"recipient": f"g{number}@example.org", "options": {}})
        return "made" if answer.status_code == 201 else str(answer.json()["message"])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(16)))
    assert sorted(found) == ["made"] * 3 + ["user_hit_guest_limit"] * 13
    assert by_hand(here.config.home, "SELECT count(*) FROM fs_guests") == [(3,)]


def test_limits_of_guests(site: Callable[..., Site]) -> None:
    fs = site(guest_limit=2, reminders=1).user()
    first = invite(fs)
    invite(fs)
    sent = {"recipient": "g@example.org", "options": {}}
    refused(fs.call("POST", "/guest", sent), "user_hit_guest_limit")
    fs.ok("PUT", f"/guest/{first['id']}", {"remind": True})
    refused(fs.call("PUT", f"/guest/{first['id']}", {"remind": True}), "guest_reminder_limit_reached")
    fs.ok("DELETE", f"/guest/{first['id']}")
    assert invite(fs)
    refused(
        site(guests=False).user().call("POST", "/guest", sent), "guest_guest_create_attempted_while_system_disabled"
    )
    rated = site(guests_per_day=1).user()
    invite(rated)
    refused(rated.call("POST", "/guest", sent), "user_hit_guest_rate_limit")
    fixed = site(extensions=()).user()
    made = invite(fixed)
    refused(
        fixed.call("PUT", f"/guest/{made['id']}", {"extend_expiry_date": True}), "guest_expiry_extension_not_allowed"
    )


def test_sending_with_a_voucher(site: Callable[..., Site]) -> None:
    here = site()
    owner = here.user()
    guest = invite(owner, valid_only_one_time=True)
    vid = {"vid": guest["token"]}
    sent = {
        "files": [{"name": "a", "size": 3}],
        "recipients": ["r@example.org"],
        "from": "someone@else.org",
        "options": {"get_a_link": True, "email_me_copies": True},
    }
    bare = Fs(here.url)
    refused(bare.call("POST", "/transfer", sent, query=vid), "rest_security_token_did_not_match", 400)
    fs = visit(here, voucher=guest["token"])
    refused(fs.call("POST", "/transfer", sent), "rest_authentication_required", 403)
    csrf = fs.http.headers.pop("csrfptoken")
    refused(fs.call("POST", "/transfer", sent, query=vid), "rest_xsrf_token_did_not_match", 400)
    fs.http.headers["csrfptoken"] = csrf
    security = fs.http.headers.pop("X-Filesender-Security-Token")
    refused(fs.call("POST", "/transfer", sent, query=vid), "rest_security_token_did_not_match", 400)
    fs.http.headers["X-Filesender-Security-Token"] = security
    refused(fs.call("POST", "/guest", {"recipient": "x@example.org"}, query=vid), "rest_authentication_required", 403)
    made = fs.ok("POST", "/transfer", sent, query=vid)
    me = owner.ok("GET", "/user/@me")
    assert (made["userid"], made["user_email"]) == (me["id"], "g@example.org")
    assert [entry["email"] for entry in made["recipients"]] == ["r@example.org"]
    assert made["options"]["get_a_link"] is False  # the voucher's options count
    assert made["options"]["email_me_copies"] is False
    file = made["files"][0]
    token = {"roundtriptoken": made["roundtriptoken"]}
    key = {"key": file["puid"]}
    path = f"/file/{file['id']}/chunk/0"
    refused(bare.call("PUT", path, raw=b"abc", query={**key, **token}), "rest_unknown_principal", 404)
    refused(bare.call("PUT", path, raw=b"abc", query={**key, **vid}), "rest_roundtrip_token_invalid", 403)
    wrong = {**key, **vid, "roundtriptoken": "0" * 32}
    refused(bare.call("PUT", path, raw=b"abc", query=wrong), "rest_roundtrip_token_invalid", 403)
    assert bare.call("PUT", path, raw=b"abc", query={**key, **vid, **token}).status_code == 200
    assert fs.call("PUT", path, raw=b"abc", query={**vid, **token}).status_code == 200
    second = invite(owner)
    theirs = {**key, **token, "vid": second["token"]}
    refused(bare.call("PUT", path, raw=b"abc", query=theirs), "rest_unknown_principal", 404)
    # resuming (spec 4.5): the key and the voucher, while it is uploaded
    assert bare.ok("GET", f"/transfer/{made['id']}", query={**key, **vid})["id"] == made["id"]
    refused(bare.call("GET", f"/transfer/{made['id']}", query=key), "rest_unknown_principal", 404)
    done = {"complete": True}
    assert fs.ok("PUT", f"/file/{file['id']}", done, query={**key, **vid, **token}) is True
    assert fs.ok("PUT", f"/transfer/{made['id']}", done, query={**key, **vid, **token})["id"] == made["id"]
    after = owner.ok("GET", f"/guest/{guest['id']}")
    assert after["transfer_count"] == 1
    refused(fs.call("POST", "/transfer", sent, query=vid), "guest_expired")  # good for one
    assert [entry["id"] for entry in owner.ok("GET", f"/guest/{guest['id']}/transfers")] == [made["id"]]
    assert made["id"] in [entry["id"] for entry in owner.ok("GET", "/transfer")]
    assert owner.fetch(made).content == b"abc"
    log = owner.ok("GET", f"/transfer/{made['id']}/auditlog")
    assert {line["author"]["type"] for line in log if line["event"] != "download_ended"} >= {"Guest"}


def test_only_to_the_inviter(site: Callable[..., Site]) -> None:
    here = site()
    guest = invite(here.user(), can_only_send_to_me=True)
    fs, vid = visit(here, voucher=guest["token"]), {"vid": guest["token"]}
    sent = {"files": [{"name": "a", "size": 3}], "recipients": ["r@example.org"], "options": {}}
    refused(fs.call("POST", "/transfer", sent, query=vid), "transfer_too_many_recipients")
    made = fs.ok("POST", "/transfer", {**sent, "recipients": []}, query=vid)
    assert [entry["email"] for entry in made["recipients"]] == ["demo@demo.invalid"]
    other = here.user("other")
    refused(other.call("GET", f"/transfer/{made['id']}"), "rest_ownership_required", 403)
    refused(fs.call("PUT", f"/transfer/{made['id']}", {"closed": True}, query=vid), "rest_ownership_required", 403)
    assert fs.ok("DELETE", f"/transfer/{made['id']}", query=vid) is None


def test_a_voucher_needs_recipients_unless_it_gives_a_link(site: Callable[..., Site]) -> None:
    here = site()
    owner = here.user()
    guest = invite(owner)
    fs, vid = visit(here, voucher=guest["token"]), {"vid": guest["token"]}
    sent = {"files": [{"name": "a", "size": 3}], "recipients": [], "options": {"get_a_link": True}}
    refused(fs.call("POST", "/transfer", sent, query=vid), "transfer_no_recipients")
    halves = {"guest": {}, "transfer": {"get_a_link": True}}
    linked = owner.ok("POST", "/guest", {"recipient": "g@example.org", "options": halves})
    fs, vid = visit(here, voucher=linked["token"]), {"vid": linked["token"]}
    assert [entry["email"] for entry in fs.ok("POST", "/transfer", sent, query=vid)["recipients"]] == [""]


def test_a_user_in_a_browser(site: Callable[..., Site]) -> None:
    here = site()
    fs = visit(here, user="demo")
    sent = {"files": [{"name": "a", "size": 3}], "recipients": []}
    security = fs.http.headers.pop("X-Filesender-Security-Token")
    assert fs.ok("GET", "/user/@me")["saml_id"] == "demo@demo.invalid"
    refused(fs.call("POST", "/transfer", sent), "rest_security_token_did_not_match", 400)
    fs.http.headers["X-Filesender-Security-Token"] = security
    refused(fs.call("POST", "/transfer", {**sent, "from": "other@demo.invalid"}), "bad_email")
    made = fs.ok("POST", "/transfer", sent)
    file, path = made["files"][0], f"/transfer/{made['id']}"
    assert fs.call("PUT", f"/file/{file['id']}/chunk/0", raw=b"abc").status_code == 200
    del fs.http.headers["X-Filesender-Security-Token"]
    key = {"key": file["puid"]}
    for query in ({}, key):
        refused(fs.call("PUT", path, {"closed": True}, query=query), "rest_security_token_did_not_match", 400)
        refused(fs.call("DELETE", path, query=query), "rest_security_token_did_not_match", 400)
    fs.http.headers["X-Filesender-Security-Token"] = security
    assert fs.ok("PUT", f"/file/{file['id']}", {"complete": True}) is True
    fs.http.cookies.set("PHPSESSID", "0" * 48)
    refused(fs.call("GET", "/user/@me"), "rest_authentication_required", 403)


@pytest.mark.parametrize("spoil", ["expires", "status"])
def test_a_voucher_ends(site: Callable[..., Site], spoil: str) -> None:
    here = site()
    guest = invite(here.user())
    fs, vid = visit(here, voucher=guest["token"]), {"vid": guest["token"]}
    sent = {"files": [{"name": "a", "size": 3}], "recipients": ["r@example.org"]}
    assert fs.ok("POST", "/transfer", sent, query=vid)
    change = "expires = 1" if spoil == "expires" else "status = 'closed'"
    by_hand(here.config.home, f"UPDATE fs_guests SET {change}")
    refused(fs.call("POST", "/transfer", sent, query=vid), "guest_expired")
