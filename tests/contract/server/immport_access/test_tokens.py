"""Passwords to tokens: what shells, R and scripts send and cut (spec immport §1.1, §1.2)."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from packhorse.server.users import create_api_key, set_password

from .conftest import PASSWORD, Site, claims

FORM = {"username": "demo", "password": PASSWORD}


def test_the_body_is_laid_out_for_both_generations_of_sed(site: Site) -> None:
    answer = site.post("/auth/token", data=FORM)
    assert answer.headers["Content-Type"] == "application/json"
    assert "no-store" in answer.headers["Cache-Control"]
    token = answer.json()["access_token"]
    assert answer.text.splitlines() == [
        "{",
        '"status" : 200,',
        f'"access_token":"{token}",',
        f'"token" : "{token}",',
        '"expires_in" : 3600',
        "}",
    ]
    for line in (
        """fgrep '"access_token"' | sed -e 's/^.*"access_token":"//;s/".*$//'""",
        """fgrep '"token"' | sed -e 's/^.*"token" : "//;s/".*$//'""",
    ):
        cut = subprocess.run(["bash", "-c", line], input=answer.text, capture_output=True, text=True, check=True)
        assert cut.stdout.strip() == token


@pytest.mark.parametrize(
    "sent",
    [
        {"data": FORM},
        {"files": {name: (None, value) for name, value in FORM.items()}},
        {"json": FORM},
        {"data": FORM, "headers": {"Accept": "application/json;charset=UTF-8", "Content-Type": "text/plain"}},
        {"data": json.dumps(FORM), "headers": {"Content-Type": "application/json; charset=utf-8"}},
    ],
    ids=["form", "multipart", "json", "form as text", "json with charset"],
)
def test_forms_multipart_and_json_are_taken(site: Site, sent: dict[str, Any]) -> None:
    answer = site.post("/auth/token", **sent)
    assert answer.status_code == 200, answer.text
    assert claims(answer.json()["token"])["user_name"] == "demo"


def test_the_token_has_the_documented_claims_and_anybody_can_check_it(site: Site) -> None:
    before = int(time.time())
    token = site.token()
    found = claims(token)
    assert list(found)[:6] == ["exp", "user_name", "authorities", "jti", "client_id", "scope"]
    assert 3595 <= found["exp"] - before <= 3605
    assert found["client_id"] == "immport-auth-token-client"
    assert found["scope"] == ["browse", "download"]
    assert (found["sub"], found["username"], found["iss"]) == ("demo", "demo", f"{site.url}/auth")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found["jti"])
    assert "ROLE_USER" in found["authorities"]
    assert "ROLE_ADMIN" not in found["authorities"]
    assert "ROLE_ADMIN" in claims(site.token("admin"))["authorities"]

    keys = site.get("/auth/oauth2/jwks").json()
    head = claims(token, 0)
    assert head["alg"] == "RS256"
    key = next(key for key in keys["keys"] if key["kid"] == head["kid"])
    assert "d" not in key
    assert jwt.decode(token, jwt.PyJWK(key).key, algorithms=["RS256"])["sub"] == "demo"


def test_the_key_stays_private_and_the_same(site: Site) -> None:
    site.token()
    file = site.config.home / "immport-key.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    from packhorse.server.immport.signing import SigningKey

    assert SigningKey(file, b"").jwks() == site.get("/auth/oauth2/jwks").json()


@pytest.mark.parametrize("password", ["wrong", "correct horse ", "x" * 5000])
def test_a_wrong_password_is_greppable(site: Site, password: str) -> None:
    answer = site.post("/auth/token", data={"username": "admin", "password": password})
    assert answer.status_code == 401
    assert list(answer.json()) == ["timestamp", "status", "error", "message", "path"]
    assert re.search("bad.*credentials", answer.json()["error"], re.IGNORECASE)
    grep = subprocess.run(["grep", "-c", '"error" *:'], input=answer.text, capture_output=True, text=True, check=True)
    assert grep.stdout.strip() == "1"
    assert answer.json()["path"] == "/auth/token"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"data": {"username": "demo"}}, 400),
        ({"data": b"\xff\xfe", "headers": {"Content-Type": "application/json"}}, 400),
        ({"data": "[1]", "headers": {"Content-Type": "application/json"}}, 400),
        ({"json": {"username": ["demo"], "password": PASSWORD}}, 400),
        ({"json": {"username": "de\ud800mo", "password": PASSWORD}}, 400),
        ({"data": {"username": "de\0mo", "password": PASSWORD}}, 400),
        ({"data": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"files": {"username": ("f", b"demo"), "password": (None, PASSWORD)}}, 400),
        ({"data": b"username=" + b"a" * 40_000}, 413),
        ({"data": "&".join(f"a{n}=1" for n in range(100))}, 400),
    ],
)
def test_bad_bodies_are_refused_in_a_line(site: Site, sent: dict[str, Any], status: int) -> None:
    answer = site.post("/auth/token", **sent)
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]
    assert "Traceback" not in answer.text


def test_too_many_tries_have_to_wait(own_site: Callable[..., Any]) -> None:
    with own_site({"signin_attempts": 3}) as site:
        for _ in range(3):
            assert site.post("/auth/token", data={"username": "demo", "password": "no"}).status_code == 401
        answer = site.post("/auth/token", data=FORM)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 300
        assert site.post("/auth/token", data={**FORM, "username": "other"}).status_code == 200


def test_the_scheme_may_be_written_in_any_case(site: Site) -> None:
    token = site.token()
    for scheme in ("bearer", "Bearer", "BEARER"):
        answer = site.get("/auth/userinfo", headers={"Authorization": f"{scheme} {token}"})
        assert answer.json()["sub"] == "demo"


def test_what_is_no_token_of_ours_is_refused(site: Site) -> None:
    token = site.token()
    head, body, signature = token.split(".")
    forged = jwt.encode({**claims(token), "user_name": "admin"}, "k" * 32, algorithm="HS256")
    unsigned = jwt.encode(claims(token), None, algorithm="none")
    flipped = signature[:-2] + ("AA" if signature[-2:] != "AA" else "BB")
    flow = site.post("/api/login", json=FORM).json()["token"]
    for bad in (forged, unsigned, f"{head}.{body}.{flipped}", "x", "phk_nothing", flow, "a.b.c", "x" * 9000):
        answer = site.get("/auth/userinfo", bad)
        assert answer.status_code == 401, bad[:40]
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert re.search(r'"error" *:', answer.text)
    assert site.get("/auth/userinfo").status_code == 401
    assert site.get("/auth/userinfo", headers={"Authorization": "Basic ZGVtbzpkZW1v"}).status_code == 401


def test_a_token_lives_as_long_as_configured_and_no_longer(own_site: Callable[..., Any]) -> None:
    with own_site(token_seconds=2) as site:
        answer = site.post("/auth/token", data=FORM).json()
        assert answer["expires_in"] == 2
        assert site.get("/auth/userinfo", answer["token"]).status_code == 200
        until = time.monotonic() + 30
        while site.get("/auth/userinfo", answer["token"]).status_code == 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert time.time() >= claims(answer["token"])["exp"]


def test_a_new_password_ends_the_tokens_before(own_site: Callable[..., Any]) -> None:
    with own_site() as site:
        token = site.token()
        set_password(site.config, "demo", "another horse")
        assert site.get("/auth/userinfo", token).status_code == 401


def test_the_server_s_own_api_keys_open_everything(site: Site) -> None:
    key = create_api_key(site.config, "demo")
    assert site.get("/auth/userinfo", key).json()["username"] == "demo"


def test_an_address_that_is_none_is_refused_as_spring_does(site: Site) -> None:
    for path, method, status in (("/auth/nothing", "GET", 404), ("/auth/token", "GET", 405), ("/data/x", "GET", 404)):
        answer = site.request(method, path)
        assert answer.status_code == status
        assert answer.json()["path"] == path


def test_discovery_leads_to_addresses_that_answer(site: Site) -> None:
    found = site.get("/auth/.well-known/openid-configuration").json()
    assert found["issuer"] == f"{site.url}/auth"
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"):
        assert found[name].startswith(found["issuer"])
        assert site.get(found[name]).status_code != 404
    assert found["code_challenge_methods_supported"] == ["S256"]


def test_a_host_header_cannot_put_anything_into_addresses(site: Site) -> None:
    for host in ('x"><script>', "a b", "h:99999999"):
        answer = site.get("/auth/.well-known/openid-configuration", headers={"Host": host})
        assert answer.status_code == 400
