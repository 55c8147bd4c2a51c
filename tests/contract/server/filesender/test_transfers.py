"""Creating, limits, managing, letters, the log, users (spec §1, §4.1, §5, §8, §9)."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Table, insert

from packhorse.server import uploads
from packhorse.server.app import open_home
from packhorse.server.db.models import Base
from packhorse.server.filesender import cleaning

from .conftest import Fs, Site, by_hand, refused

UID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
DAY = 24 * 3600


def letters(here: Site) -> list[tuple[str, str]]:
    return [
        (to, subject) for to, subject in by_hand(here.config.home, "SELECT recipient, subject FROM letters ORDER BY id")
    ]


def test_info_is_for_everybody(nobody: Fs) -> None:
    info = nobody.ok("GET", "/info", signed=False)
    assert (info["url"], info["upload_chunk_size"]) == (nobody.url, 5_242_880)
    assert "__target__" in info["logon_url"]
    assert info["name"]
    assert info["max_transfer_files"] == 30


def test_the_record_of_a_creation(alice: Fs) -> None:
    sent = {
        "files": [
            {"name": "dir/é a.txt", "size": "5", "cid": "file_1_2_3_4", "mime_type": "text/plain"},
            {"name": "same", "size": 1, "cid": 7},
            {"name": "same", "size": 1},
        ],
        "recipients": ["r@example.org", "R@example.org", "s@example.org"],
        "options": {"email_download_complete": True, "unknown_option": True},
        "subject": "Ünï",
        "message": "text & <b>",
        "expires": int(time.time()) + 5 * DAY,
        "ignored": 1,
    }
    answer = alice.call("POST", "/transfer", sent)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"{alice.url}/rest.php/transfer/{made['id']}"
    assert b"\\/" in answer.content
    assert b"\\u00e9" in answer.content
    assert answer.content.isascii()
    assert isinstance(made["id"], int)
    assert made["userid"] == made["user_id"] == alice.ok("GET", "/user/@me")["id"]
    assert (made["user_email"], made["subject"], made["message"]) == ("demo@demo.invalid", "Ünï", "text & <b>")
    assert re.fullmatch(r"[0-9a-f]{32}", made["roundtriptoken"])
    assert re.fullmatch(r"[A-Za-z0-9+/]{32}", made["salt"])
    assert made["expires"]["raw"] == sent["expires"]
    assert made["options"]["email_download_complete"] is True
    assert made["options"]["get_a_link"] is False  # recipients were named: they are mailed (trap 2)
    assert "unknown_option" not in made["options"]
    first, second, third = made["files"]
    assert (first["name"], first["size"], first["cid"], first["sha1"]) == ("dir/é a.txt", 5, "file_1_2_3_4", None)
    assert second["cid"] is False
    assert "cid" not in third
    assert all(file["uid"] == file["puid"] and UID.fullmatch(file["puid"]) for file in made["files"])
    assert len({file["id"] for file in made["files"]}) == 3  # equal names and sizes do not collapse (trap 12)
    assert [entry["email"] for entry in made["recipients"]] == ["r@example.org", "s@example.org"]
    for entry in made["recipients"]:
        assert UID.fullmatch(entry["token"])
        assert entry["download_url"] == f"{alice.url}/?s=download&token={entry['token']}"
    later = alice.ok("GET", f"/transfer/{made['id']}")
    assert later["roundtriptoken"] == ""
    assert all("cid" not in file for file in later["files"])
    assert alice.ok("GET", f"/transfer/{made['id']}/salt") == made["salt"]
    assert alice.ok("GET", f"/transfer/{made['id']}/options") == made["options"]
    assert alice.ok("GET", f"/file/{first['id']}")["name"] == "dir/é a.txt"
    assert alice.ok("GET", f"/recipient/{made['recipients'][0]['id']}") == made["recipients"][0]


def test_links_and_recipients(alice: Fs) -> None:
    link = alice.new({"a": 1})
    assert [entry["email"] for entry in link["recipients"]] == [""]
    assert link["options"]["get_a_link"] is True
    insisted = alice.new({"a": 1}, recipients=["r@example.org"], options={"get_a_link": True, "email_me_copies": True})
    assert [entry["email"] for entry in insisted["recipients"]] == [""]
    assert insisted["options"]["email_me_copies"] is False
    me = alice.new({"a": 1}, recipients=[], options={"get_a_link": False, "add_me_to_recipients": True})
    assert [entry["email"] for entry in me["recipients"]] == ["demo@demo.invalid"]
    old = alice.new({"a": 1}, recipients=["r@example.org"], options=["email_me_copies"])
    assert old["options"]["email_me_copies"] is True
    bare = alice.ok("POST", "/transfer", {"files": [{"name": "a", "size": 1}]})  # trap 3 is not ours
    assert [entry["email"] for entry in bare["recipients"]] == [""]


@pytest.mark.parametrize(
    ("change", "identifier"),
    [
        ({"files": []}, "transfer_no_files"),
        ({"files": "x"}, "transfer_no_files"),
        ({"files": [{"name": "a", "size": 1}] * 31}, "transfer_too_many_files"),
        ({"files": [{"name": "a", "size": 2**40 + 1}]}, "transfer_maximum_size_exceeded"),
        ({"files": [{"name": "a.exe", "size": 1}]}, "file_extension_not_allowed"),
        ({"files": [{"name": "a.c_x", "size": 1}]}, "file_extension_not_allowed"),
        ({"files": [{"name": "it's", "size": 1}]}, "transfer_file_name_invalid"),
        ({"files": [{"name": "../x", "size": 1}]}, "transfer_file_name_invalid"),
        ({"files": [{"name": "/x", "size": 1}]}, "transfer_file_name_invalid"),
        ({"files": [{"name": "", "size": 1}]}, "transfer_file_name_invalid"),
        ({"files": [{"name": "a\\b", "size": 1}]}, "transfer_file_name_invalid"),
        ({"recipients": ["r@example.org", "no address"]}, "transfer_no_recipients"),
        ({"recipients": ["a@example.org\nBcc: b@example.org"]}, "transfer_no_recipients"),
        ({"options": {"get_a_link": False}}, "transfer_no_recipients"),
        ({"recipients": [f"r{number}@example.org" for number in range(51)]}, "transfer_too_many_recipients"),
        ({"expires": 1}, "bad_expire"),
        ({"expires": int(time.time()) + 21 * DAY}, "bad_expire"),
        ({"expires": "2020-01-01"}, "bad_expire"),
        ({"expires": "soon"}, "bad_expire"),
        ({"from": "nobody"}, "bad_email"),
    ],
)
def test_what_a_transfer_may_not_be(alice: Fs, change: dict[str, Any], identifier: str) -> None:
    sent = {"files": [{"name": "a", "size": 1}], "recipients": [], "options": {}, **change}
    refused(alice.call("POST", "/transfer", sent), identifier)


@pytest.mark.parametrize("size", [-1, "x", 1.5, None, True, [], 2**70])
def test_sizes_that_are_none(alice: Fs, size: Any) -> None:
    sent = {"files": [{"name": "a", "size": size}], "recipients": [], "options": {}}
    refused(alice.call("POST", "/transfer", sent), "rest_bad_parameter", 400)


def test_limits_of_a_site(site: Callable[..., Site]) -> None:
    here = site(
        max_file_size=1000,
        max_encrypted_file_size=500,
        user_quota=3000,
        host_quota=5000,
        urls_in_messages=False,
        terms=True,
        extensions=(),
        max_transfer_files=3,
    )
    fs = here.user()
    checked = {"aup_checked": True}

    def new(sizes: dict[str, int], **more: Any) -> Any:
        files = [{"name": name, "size": size} for name, size in sizes.items()]
        return fs.call("POST", "/transfer", {"files": files, "recipients": [], "options": {}, **checked, **more})

    refused(new({"a": 1}, aup_checked=False), "rest_missing_parameter", 400)
    assert refused(new(dict.fromkeys("abcd", 1)), "transfer_too_many_files") == {"limit": 3}
    refused(new({"a": 1001}), "transfer_maximum_file_size_exceeded")
    sealed = {"encryption": True, "encryption_key_version": 1}
    refused(new({"a": 501}, **sealed), "transfer_maximum_encrypted_file_size_exceeded")
    refused(new({"a": 1}, message="see https://example.org"), "transfer_message_can_not_contain_urls")
    assert fs.ok("GET", "/user/@me/quota") == {"total": 3000, "used": 0, "available": 3000}
    made = new({"a": 1000, "b": 1000, "c": 900}).json()
    assert fs.ok("GET", "/user/@me/quota") == {"total": 3000, "used": 2900, "available": 100}
    refused(new({"a": 101}), "transfer_user_quota_exceeded")
    second = here.user("other")
    assert second.new({"a": 1000, "b": 1000}, **checked)
    refused(
        second.call("POST", "/transfer", {"files": [{"name": "a", "size": 200}], **checked}),
        "transfer_host_quota_exceeded",
    )
    refused(
        fs.call("PUT", f"/transfer/{made['id']}", {"extend_expiry_date": True}), "transfer_expiry_extension_not_allowed"
    )
    assert fs.ok("DELETE", f"/transfer/{made['id']}") is None
    assert fs.ok("GET", "/user/@me/quota")["available"] == 3000
    strict = site(encryption_mandatory=True).user()
    refused(strict.call("POST", "/transfer", {"files": [{"name": "a", "size": 1}]}), "transfer_must_be_encrypted")


def test_managing_a_transfer(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    options = {"email_me_copies": True, "email_upload_complete": True, "email_report_on_closing": True}
    made = fs.new({"a": 3}, recipients=["r@example.org"], options=options, subject="Reads")
    number, path = made["id"], f"/transfer/{made['id']}"
    assert fs.ok("GET", "/transfer") == []  # uploads in progress are not listed
    refused(fs.call("PUT", path, {"remind": True}), "bad_transfer_status")
    refused(fs.call("PUT", path, {}), "rest_missing_parameter", 400)
    fs.upload(made["files"][0], b"abc")
    fs.complete(made["files"][0])
    assert letters(here) == []
    for _ in range(3):
        assert fs.ok("PUT", path, {"complete": True})["id"] == number
    assert sorted(to for to, _ in letters(here)) == ["demo@demo.invalid", "demo@demo.invalid", "r@example.org"]
    assert [entry["id"] for entry in fs.ok("GET", "/transfer")] == [number]
    added = fs.call("POST", f"{path}/recipient", {"recipient": "s@example.org"})
    assert added.status_code == 201
    assert added.headers["location"].endswith(f"/rest.php/recipient/{added.json()['id']}")
    refused(fs.call("POST", f"{path}/recipient", {"recipient": "S@example.org"}), "invalid_recipient")
    refused(fs.call("POST", f"{path}/recipient", {"recipient": "x"}), "invalid_recipient")
    refused(fs.call("POST", f"{path}/recipient", {}), "rest_missing_parameter", 400)
    count = len(letters(here))
    fs.ok("PUT", path, {"remind": True})
    assert len(letters(here)) == count + 2
    fs.ok("PUT", f"/recipient/{added.json()['id']}", {"remind": True})
    assert len(letters(here)) == count + 3
    before = made["expires"]["raw"]
    assert made["expiry_date_extension"] == 10
    extended = fs.ok("PUT", path, {"extend_expiry_date": True, "remind": True})
    assert (extended["expires"]["raw"], extended["expiry_date_extension"]) == (before + 10 * DAY, 5)
    for days in (5, 5):
        before = extended["expires"]["raw"]
        extended = fs.ok("PUT", path, {"extend_expiry_date": 1})
        assert extended["expires"]["raw"] == before + days * DAY
    refused(fs.call("PUT", path, {"extend_expiry_date": True}), "transfer_expiry_extension_count_exceeded")
    soon = int(time.time()) + DAY
    assert fs.ok("PUT", path, {"extend_expiry_date": soon})["expires"]["raw"] == soon
    refused(fs.call("PUT", path, {"extend_expiry_date": soon + 30 * DAY}), "bad_expire")
    refused(fs.call("PUT", path, {"optionremove": True, "option": "get_a_link"}), "bad_option_name")
    assert fs.ok("PUT", path, {"optionremove": True, "option": "email_daily_statistics"})["id"] == number
    assert fs.ok("PUT", path, {"decryptfailed": True}) == []
    assert fs.ok("DELETE", f"/recipient/{added.json()['id']}") is None
    assert fs.ok("GET", f"{path}/auditlog/mail") is True
    closed = fs.ok("PUT", path, {"closed": True})
    assert closed["id"] == number
    assert fs.ok("PUT", path, {"closed": True})["id"] == number
    assert fs.ok("GET", "/transfer") == []
    assert fs.ok("GET", path)["files"][0]["name"] == "a"
    for sent in ({"remind": True}, {"extend_expiry_date": True}, {"complete": True}):
        refused(fs.call("PUT", path, sent), "cannot_alter_closed_transfer", 403)
    refused(fs.call("POST", f"{path}/recipient", {"recipient": "t@example.org"}), "cannot_alter_closed_transfer", 403)
    assert fs.fetch(made).status_code == 410
    assert [path for path in (here.config.objects / "uploads").rglob("*") if path.is_file()] == []
    log = fs.ok("GET", f"{path}/auditlog")
    events = [line["event"] for line in log]
    assert events[:4] == ["transfer_started", "upload_started", "file_uploaded", "upload_ended"]
    assert events.count("transfer_available") == 1
    assert {"transfer_sent", "transfer_added_recipient", "transfer_closed", "transfer_decrypt_failed"} <= set(events)
    assert log[0]["author"] == {"type": "User", "id": str(made["userid"]), "identity": "demo@demo.invalid", "ip": ""}
    assert log[2]["target"] == {"type": "File", "id": str(made["files"][0]["id"]), "path": "a", "name": "a", "size": 3}
    assert len([to for to, subject in letters(here) if subject.startswith("Files for you")]) <= len(letters(here))


def test_deleting(alice: Fs) -> None:
    made = alice.send({"a": b"1", "b": b"2"}, recipients=["r@example.org"])
    first, second = made["files"]
    assert alice.ok("DELETE", f"/file/{first['id']}") is None
    refused(alice.call("GET", f"/file/{first['id']}"), "file_not_found")
    assert [file["name"] for file in alice.ok("GET", f"/transfer/{made['id']}")["files"]] == ["b"]
    assert alice.fetch(made, 0).status_code == 404
    assert alice.fetch(made, 1).content == b"2"
    assert alice.ok("DELETE", f"/file/{second['id']}") is None  # the last one closes the transfer
    assert alice.fetch(made, 1).status_code == 410
    assert "transfer_closed" in alice.log(made)
    alone = alice.send({"a": b"1"}, recipients=["r@example.org"])
    assert alice.ok("DELETE", f"/recipient/{alone['recipients'][0]['id']}") is None
    refused(alice.call("PUT", f"/transfer/{alone['id']}", {"remind": True}), "cannot_alter_closed_transfer", 403)
    outright = alice.new({"a": 5})
    alice.chunk(outright["files"][0], 0, b"12345")
    assert alice.ok("DELETE", f"/transfer/{outright['id']}") is None
    refused(alice.call("GET", f"/transfer/{outright['id']}"), "transfer_not_found")
    refused(alice.call("DELETE", f"/transfer/{outright['id']}"), "transfer_not_found")
    refused(alice.chunk(outright["files"][0], 0, b"12345"), "file_not_found")
    assert alice.new({"a": 1})["id"] > outright["id"]


def test_time_closes_and_cleans(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    home = open_home(here.config)
    try:
        sent = fs.send({"a": b"abc"}, recipients=["r@example.org"], options={"email_me_on_expire": True})
        left, live = fs.new({"b": 3}), fs.new({"c": 3})
        for made in (left, live):
            fs.chunk(made["files"][0], 0, b"xyz")
        now = time.time()
        assert cleaning.close_expired(home, now) == cleaning.delete_abandoned(home, now) == 0
        by_hand(here.config.home, "UPDATE fs_transfers SET touched = touched - 7 * 86400 - 9 WHERE id = ?", left["id"])
        by_hand(here.config.home, "UPDATE fs_transfers SET expires = ? WHERE id = ?", int(now) - 1, sent["id"])
        answer = fs.fetch(sent)
        assert (answer.status_code, answer.headers["x-filesender-error"]) == (410, "transfer_expired")
        count = len(letters(here))
        assert cleaning.delete_abandoned(home, now) == 1
        assert (cleaning.close_expired(home, now), cleaning.close_expired(home, now)) == (1, 0)
        assert sorted(to for to, _ in letters(here)[count:]) == ["demo@demo.invalid", "r@example.org"]
        refused(fs.call("GET", f"/transfer/{left['id']}"), "transfer_not_found")
        assert fs.complete(live["files"][0]).json() is True
        assert "transfer_expired" in fs.log(sent)
        stored = [path for path in (here.config.objects / "uploads").rglob("*") if path.is_file()]
        assert len(stored) == 1
    finally:
        home.database.close()


def test_one_that_cannot_be_closed_does_not_keep_the_others(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here = site()
    fs = here.user()
    home = open_home(here.config)
    monkeypatch.setattr(logging.getLogger("packhorse.server"), "propagate", True)
    usual = cleaning.close_transfer
    try:
        first, second, third = (fs.send({"a": b"abc"}) for _ in range(3))
        now = time.time()
        by_hand(here.config.home, "UPDATE fs_transfers SET expires = ?", int(now) - 1)

        def close(session: Any, transfer: Any, *given: Any, **named: Any) -> None:
            if transfer.id == first["id"]:
                raise RuntimeError("its letter cannot be written")
            usual(session, transfer, *given, **named)

        monkeypatch.setattr(cleaning, "close_transfer", close)
        assert cleaning.close_expired(home, now) == 2
        assert cleaning.close_expired(home, now) == 0
        assert f"transfer {first['id']} cannot be closed" in caplog.text
        found = dict(by_hand(here.config.home, "SELECT id, status FROM fs_transfers"))
        assert found == {first["id"]: "available", second["id"]: "closed", third["id"]: "closed"}
        monkeypatch.setattr(cleaning, "close_transfer", usual)
        assert cleaning.close_expired(home, now) == 1
    finally:
        home.database.close()


def test_drafts_that_nothing_points_at_are_dropped(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    home = open_home(here.config)
    owner = Table("other_uploads", Base.metadata, Column("key", ForeignKey("drafts.key")))
    try:
        owner.create(home.database.engine)
        made = fs.new({"mine": 3})
        fs.chunk(made["files"][0], 0, b"xyz")
        with home.database.write() as session:
            theirs, lost, young = (uploads.new_draft(session, home.storage, 10) for _ in range(3))
            session.execute(insert(owner).values(key=theirs))
        by_hand(here.config.home, "UPDATE drafts SET touched = touched - 90000 WHERE key != ?", young)
        assert cleaning.drop_orphans(home, time.time()) == 1
        left = {key for (key,) in by_hand(here.config.home, "SELECT key FROM drafts")}
        assert len(left) == 3
        assert left > {theirs, young}
        assert not (here.config.objects / lost).exists()
        assert all((here.config.objects / key).exists() for key in left)
        assert fs.complete(made["files"][0]).json() is True
    finally:
        Base.metadata.remove(owner)
        home.database.close()


def test_reminders_are_limited(site: Callable[..., Site]) -> None:
    fs = site(mails_per_day=2).user()
    made = fs.send({"a": b"1"}, recipients=["r@example.org"])
    for _ in range(2):
        fs.ok("PUT", f"/transfer/{made['id']}", {"remind": True})
    refused(fs.call("PUT", f"/transfer/{made['id']}", {"remind": True}), "rate_limit_exceeded")


def test_oneself(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    me = fs.ok("GET", "/user/@me")
    assert {"id", "saml_id", "additional_attributes", "aup_ticked", "transfer_preferences", "guest_preferences"} <= set(
        me
    )
    assert {"created", "last_activity", "lang", "frequent_recipients", "eventcount", "eventip"} <= set(me)
    assert fs.ok("GET", "/user/@me/quota") is None
    assert fs.ok("PUT", "/user", {"lang": "de"})["lang"] == "de"
    assert fs.ok("PUT", "/principal", {"service_aup_version": 1}) is True
    assert fs.ok("GET", "/user/@me")["aup_ticked"] is True
    fs.new({"a": 1}, recipients=["first@example.org", "second@example.org"])
    found = fs.call("POST", "/user", {"property": "frequent_recipients", "needle": "FIR"}).json()
    assert found == ["first@example.org"]
    assert fs.ok("PUT", "/user", {"clear_frequent_recipients": True})["frequent_recipients"] == []
    ini = fs.call("GET", "/user/@me/filesender-python-client-configuration-file")
    assert ini.headers["content-type"].startswith("text/plain")
    assert f"base_url = {here.url}/rest.php" in ini.text
    assert f"username = demo@demo.invalid\napikey = {fs.key}" in ini.text


@pytest.mark.parametrize(
    ("method", "path", "identifier", "status"),
    [
        ("GET", "", "rest_endpoint_missing", 400),
        ("GET", "/", "rest_endpoint_missing", 400),
        ("GET", "/nothing", "rest_endpoint_not_implemented", 501),
        ("POST", "/info", "rest_method_not_implemented", 501),
        ("DELETE", "/user/@me", "rest_method_not_implemented", 501),
        ("PATCH", "/info", "rest_method_not_allowed", 405),
        ("OPTIONS", "/info", "rest_method_not_allowed", 405),
        ("POST", "/transfer", "rest_authentication_required", 403),
        ("GET", "/transfer", "rest_authentication_required", 403),
        ("GET", "/transfer/1x", "rest_bad_parameter", 400),
        ("GET", "/transfer/999999999", "transfer_not_found", 500),
        ("GET", "/transfer/99999999999999999999", "rest_bad_parameter", 400),
        ("GET", "/transfer/fileids", "token_is_missing", 500),
        ("GET", "/transfer/fileids?token=x", "token_has_bad_format", 500),
        ("GET", "/transfer/fileids?token=11111111-2222-4333-8444-555555555555", "recipient_not_found", 500),
        ("GET", "/info?vid=11111111-2222-4333-8444-555555555555", "guest_not_found", 500),
        ("GET", "/user", "rest_authentication_required", 403),
        ("GET", "/guest", "rest_authentication_required", 403),
        ("GET", "/recipient/999999999", "recipient_not_found", 500),
        ("GET", "/guest/999999999", "guest_not_found", 500),
        ("PUT", "/clientlogs/@me", "rest_authentication_required", 403),
        ("PUT", "/config", "rest_method_not_implemented", 501),
    ],
)
def test_refusals_say_which(nobody: Fs, method: str, path: str, identifier: str, status: int) -> None:
    answer = nobody.http.request(method, nobody.url + "/rest.php" + path, timeout=30)
    details = refused(answer, identifier, status)
    if identifier.startswith("rest_") and details is not None:
        assert set(details) == {"method", "endpoint"}


def test_bodies_that_are_none(alice: Fs) -> None:
    for raw in (b"{", b"[" * 100_000, b'"\\ud800"', b'{"files": [{"name": "a\\u0000", "size": 1}]}', b"\xff", b"5"):
        refused(alice.call("POST", "/transfer", raw=raw), "rest_bad_parameter", 400)
    answer = alice.call("POST", "/transfer", raw=b'{"a":"' + b"x" * (1 << 20) + b'"}')
    refused(answer, "rest_bad_parameter", 413)
    assert alice.call("POST", "/transfer", raw=b"").json()["message"] == "transfer_no_files"


def test_echo_and_lang(alice: Fs) -> None:
    found = alice.ok("GET", "/echo/a/b", query={"x": "1 2"})
    assert (found["args"], found["request"]["x"], found["user"], found["auth"]) == (["a", "b"], "1 2", "demo", "remote")
    assert alice.key not in json.dumps(found)
    assert "signature" not in found["request"]
    assert alice.ok("GET", "/lang", signed=False)["transfer_not_found"]
