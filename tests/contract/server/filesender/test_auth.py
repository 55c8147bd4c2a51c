"""Who may call: signatures, keys, applications, isolation (spec §2)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import requests

from packhorse.server.filesender_keys import create_application, create_filesender_key

from .conftest import Fs, Site, refused


def test_a_signed_user_by_name_and_by_address(demo: Any, alice: Fs) -> None:
    me = alice.ok("GET", "/user/@me")
    assert me["saml_id"] == "demo@demo.invalid"
    assert Fs(demo.url, "demo", alice.key).ok("GET", "/user/@me")["id"] == me["id"]


@pytest.mark.parametrize("at", [-5, 0, 3600 * 24])
def test_timestamps_of_late_and_postdated_requests_hold(alice: Fs, at: float) -> None:
    assert alice.call("GET", "/user/@me", at=at).status_code == 200


def test_a_stale_timestamp_is_named(alice: Fs) -> None:
    refused(alice.call("GET", "/user/@me", at=-20), "auth_remote_too_late")


@pytest.mark.parametrize("user", ["demo@demo.invalid", "ghost@demo.invalid", "", "Demo"])
def test_wrong_keys_and_unknown_users_look_the_same(demo: Any, user: str) -> None:
    answer = Fs(demo.url, user, "0" * 64).call("GET", "/user/@me", query={"remote_user": user})
    refused(answer, "auth_remote_signature_check_failed")


def test_every_part_of_a_request_is_signed(alice: Fs) -> None:
    body = b'{"files":[{"name":"a","size":1}],"recipients":[],"options":{}}'
    query = alice.signed_query("POST", "/rest.php/transfer", {"x[b]": "2 +&/é", "x[a]": "", "z": "1"}, body)

    def post(changed: dict[str, str], sent: bytes = body, path: str = "/transfer") -> requests.Response:
        return alice.http.post(alice.url + "/rest.php" + path, params=changed, data=sent, timeout=30)

    # the nested names are sorted at each level: x[a] before x[b], as one string sort has it too
    assert post(query).status_code == 201
    assert post({**query, "_": "123"}).status_code == 201  # the cache buster is not signed
    for changed in ({**query, "z": "2"}, {**query, "more": "1"}, {key: query[key] for key in query if key != "z"}):
        refused(post(changed), "auth_remote_signature_check_failed")
    refused(post(query, body + b" "), "auth_remote_signature_check_failed")
    refused(post(query, path="/guest"), "auth_remote_signature_check_failed")
    refused(post({**query, "signature": query["signature"].upper()}), "auth_remote_signature_check_failed")
    answer = alice.http.put(alice.url + "/rest.php/transfer", params=query, data=body, timeout=30)
    refused(answer, "auth_remote_signature_check_failed")
    other_host = alice.http.post(
        alice.url + "/rest.php/transfer", params=query, data=body, headers={"Host": "h.example.org"}, timeout=30
    )
    refused(other_host, "auth_remote_signature_check_failed")


def test_the_last_of_equal_names_counts(alice: Fs, other: Fs) -> None:
    query = other.signed_query("GET", "/rest.php/user/@me", {}, b"")
    text = "&".join(f"{name}={value}" for name, value in query.items())
    mine = alice.http.get(f"{alice.url}/rest.php/user/@me?remote_user=demo&{text}", timeout=30)
    assert mine.json()["saml_id"] == "other@demo.invalid"
    theirs = alice.http.get(f"{alice.url}/rest.php/user/@me?{text}&remote_user=demo", timeout=30)
    refused(theirs, "auth_remote_signature_check_failed")


def test_a_user_without_a_key_is_rejected(site: Callable[..., Site]) -> None:
    here = site()
    fs = here.user()
    assert fs.ok("PUT", "/user", {"apisecretdelete": True})["saml_id"]
    refused(fs.call("GET", "/user/@me"), "auth_remote_user_rejected")
    fresh = create_filesender_key(here.config, "demo")
    assert len(bytes.fromhex(fresh)) == 32
    assert Fs(here.url, "demo", fresh).call("GET", "/user/@me").status_code == 200
    refused(fs.call("GET", "/user/@me"), "auth_remote_signature_check_failed")
    stored = (here.config.home / "packhorse.db").read_bytes() + (here.config.home / "packhorse.db-wal").read_bytes()
    assert fresh.encode() not in stored


def test_another_algorithm_and_a_public_url(site: Callable[..., Site]) -> None:
    """The configured address is signed, whatever the request's own host; the links carry it too."""
    here = site({"public_url": "https://files.example.org/portal"}, signature_algorithm="sha256")
    fs = here.user(algorithm="sha256")
    fs.url = "https://files.example.org"
    query = fs.signed_query("GET", "/portal/rest.php/user/@me", {}, b"")
    reached = f"http://127.0.0.1:{here.port}/rest.php"
    assert fs.http.get(f"{reached}/user/@me", params=query, timeout=30).status_code == 200
    assert fs.http.get(f"{reached}/info", timeout=30).json()["url"] == "https://files.example.org/portal"
    fs.url = f"http://127.0.0.1:{here.port}"
    refused(fs.call("GET", "/user/@me"), "auth_remote_signature_check_failed")


def test_applications_act_for_users_within_their_rights(site: Callable[..., Site]) -> None:
    here = site()
    secret = create_application(here.config, "robot", acl={"transfer": ["get", "post"], "user": ["*"]})
    robot = Fs(here.url, "", secret, app="robot")
    refused(robot.call("GET", "/user/@me"), "rest_authentication_required", 403)
    acting = Fs(here.url, "demo", secret, app="robot")
    assert acting.ok("GET", "/user/@me")["saml_id"] == "demo@demo.invalid"
    assert acting.new({"a": 1})["user_email"] == "demo@demo.invalid"
    refused(acting.call("GET", "/guest"), "rest_access_forbidden", 403)
    fresh = Fs(here.url, "new@example.org", secret, app="robot")
    assert fresh.ok("GET", "/user/@me")["saml_id"] == "new@example.org"
    refused(Fs(here.url, "", "x", app="nobody").call("GET", "/user/@me"), "auth_remote_unknown_application")
    refused(Fs(here.url, "demo", "x", app="robot").call("GET", "/transfer"), "auth_remote_signature_check_failed")
    refused(robot.call("GET", "/transfer/@all"), "rest_admin_required", 403)
    boss = Fs(here.url, "", create_application(here.config, "boss", admin=True), app="boss")
    assert boss.ok("GET", "/transfer/@all") == []


def test_nobody_sees_or_changes_what_is_anothers(alice: Fs, other: Fs, nobody: Fs) -> None:
    made = alice.send({"mine.txt": b"mine"}, recipients=["r@example.org"])
    number, file, recipient = made["id"], made["files"][0]["id"], made["recipients"][0]["id"]
    guest = alice.ok("POST", "/guest", {"recipient": "g@example.org", "options": {}})
    calls = [
        ("GET", f"/transfer/{number}", None),
        ("GET", f"/transfer/{number}/auditlog", None),
        ("GET", f"/transfer/{number}/salt", None),
        ("PUT", f"/transfer/{number}", {"closed": True}),
        ("PUT", f"/transfer/{number}", {"remind": True}),
        ("PUT", f"/transfer/{number}", {"complete": True}),
        ("POST", f"/transfer/{number}/recipient", {"recipient": "x@example.org"}),
        ("DELETE", f"/transfer/{number}", None),
        ("GET", f"/file/{file}", None),
        ("PUT", f"/file/{file}", {"complete": True}),
        ("DELETE", f"/file/{file}", None),
        ("GET", f"/recipient/{recipient}", None),
        ("PUT", f"/recipient/{recipient}", {"remind": True}),
        ("DELETE", f"/recipient/{recipient}", None),
        ("GET", f"/guest/{guest['id']}", None),
        ("GET", f"/guest/{guest['id']}/transfers", None),
        ("PUT", f"/guest/{guest['id']}", {"remind": True}),
        ("DELETE", f"/guest/{guest['id']}", None),
    ]
    for method, path, sent in calls:
        refused(other.call(method, path, sent), "rest_ownership_required", 403)
        refused(nobody.call(method, path, sent), "rest_authentication_required", 403)
    assert number not in [entry["id"] for entry in other.ok("GET", "/transfer")]
    assert guest["id"] not in [entry["id"] for entry in other.ok("GET", "/guest")]
    refused(other.call("GET", "/transfer/@all"), "rest_admin_required", 403)
    query = {"files_ids": str(file), "transaction_id": "11111111-2222-4333-8444-555555555555"}
    assert other.call("GET", "/download.php", query=query).status_code == 403
    assert alice.call("GET", "/download.php", query=query).content == b"mine"
    # signed as somebody else, the file's key does not help
    open_ = alice.new({"b": 1})
    query = {"key": open_["files"][0]["puid"]}
    path = f"/file/{open_['files'][0]['id']}/chunk/0"
    refused(other.call("PUT", path, raw=b"x", query=query), "rest_ownership_required", 403)
    assert alice.call("PUT", path, raw=b"x").status_code == 200


def test_administrators_see_all(people: dict[str, Fs], alice: Fs) -> None:
    made = alice.send({"seen.txt": b"x"})
    admin = people["admin"]
    assert made["id"] in [entry["id"] for entry in admin.ok("GET", "/transfer/@all")]
    assert admin.ok("GET", f"/transfer/{made['id']}")["id"] == made["id"]
    me = alice.ok("GET", "/user/@me")
    assert admin.ok("GET", f"/user/{me['id']}")["saml_id"] == me["saml_id"]
    assert [user["saml_id"] for user in admin.ok("GET", "/user", query={"match": "demo@"})] == ["demo@demo.invalid"]
    refused(alice.call("GET", "/user", query={"match": "demo@"}), "rest_admin_required", 403)
    refused(alice.call("GET", "/user/1"), "rest_admin_required", 403)
    refused(admin.call("GET", "/user/1"), "user_not_found")


def test_key_only_is_for_uploads_in_progress(alice: Fs, nobody: Fs) -> None:
    made = alice.new({"a": 3})
    file, number = made["files"][0], made["id"]
    wrong = {**file, "puid": "00000000-0000-4000-8000-000000000000"}
    refused(nobody.chunk(wrong, 0, b"abc"), "rest_authentication_required", 403)
    assert nobody.chunk(file, 0, b"abc").status_code == 200
    for name in ("puid", "key"):
        found = nobody.ok("GET", f"/transfer/{number}", query={name: file["puid"]})
        assert (found["id"], found["roundtriptoken"]) == (number, "")
        refused(
            nobody.call("GET", f"/transfer/{number}", query={name: wrong["puid"]}), "rest_authentication_required", 403
        )
    refused(
        nobody.call("DELETE", f"/transfer/{number}", query={"key": file["puid"]}), "rest_authentication_required", 403
    )
    refused(
        nobody.call("PUT", f"/transfer/{number}", {"closed": True}, query={"puid": file["puid"]}),
        "rest_authentication_required",
        403,
    )
    assert nobody.ok("PUT", f"/file/{file['id']}", {"complete": True}, query={"key": file["puid"]}) is True
    done = nobody.ok("PUT", f"/transfer/{number}", {"complete": True}, query={"puid": file["puid"]})
    assert done["id"] == number
    refused(
        nobody.call("GET", f"/transfer/{number}", query={"puid": file["puid"]}), "rest_authentication_required", 403
    )


def test_a_site_may_want_callers_for_chunks_and_tokens_from_users(site: Callable[..., Site]) -> None:
    fs = site(chunk_security="auth", roundtrip_for_users=True).user()
    made = fs.new({"a": 3})
    file = made["files"][0]
    refused(fs.chunk(file, 0, b"abc"), "rest_authentication_required", 403)
    refused(fs.chunk(file, 0, b"abc", signed=True), "rest_roundtrip_token_invalid", 403)
    token = {"roundtriptoken": made["roundtriptoken"]}
    assert fs.chunk(file, 0, b"abc", signed=True, query=token).status_code == 200
    assert fs.ok("PUT", f"/file/{file['id']}", {"complete": True}, query=token) is True


def test_a_bad_signature_leaves_no_byte(alice: Fs) -> None:
    data, lies = os.urandom(700_000), os.urandom(700_000)
    made = alice.new({"a": len(data)})
    file = made["files"][0]
    assert alice.chunk(file, 0, data, signed=True).status_code == 200
    forged = Fs(alice.url, alice.user, "f" * 64)
    refused(forged.chunk(file, 0, lies, signed=True), "auth_remote_signature_check_failed")
    refused(alice.chunk(file, 0, lies, signed=True, at=-60), "auth_remote_too_late")
    assert alice.complete(file).json() is True
    alice.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
    assert alice.fetch(made).content == data
