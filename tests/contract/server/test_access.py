"""Sign-in, and who may see what: 401, 403, 404 in the guide's own bodies."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
import requests

from .conftest import Demo, end, start

R1 = "/downloads/789/WT_rep1_R1.fastq.gz"
BODIES = {
    401: {"error": "Invalid or expired token", "code": "UNAUTHENTICATED", "status": 401},
    403: {"error": "You do not have permission to download this file", "code": "FORBIDDEN", "status": 403},
    404: {"error": "Data file not found", "code": "NOT_FOUND", "status": 404},
}


@pytest.mark.parametrize(
    ("path", "user", "status"),
    [
        (R1, None, 401),
        (R1, "other", 403),
        (R1, "admin", 200),
        ("/downloads/789/another.name", "demo", 404),
        ("/downloads/0789/WT_rep1_R1.fastq.gz", "demo", 404),
        ("/downloads/99999/x", "demo", 404),
        ("/downloads/99999/x", None, 404),
        ("/downloads/792/deep_run_R1.fastq.gz", None, 200),
        ("/downloads/795/shared_with_other.fastq.gz", "other", 200),
        ("/downloads/795/shared_with_other.fastq.gz", None, 401),
    ],
)
def test_download_refusals(demo: Demo, path: str, user: str | None, status: int) -> None:
    answer = demo.get(path, user, headers={"Range": "bytes=0-0"})
    assert answer.status_code == (206 if status == 200 else status)
    if status != 200:
        assert answer.json() == BODIES[status]
    assert (answer.headers.get("WWW-Authenticate") is not None) == (status == 401)


@pytest.mark.parametrize(
    "path", ["/samples/12", "/projects/3", "/executions/456", "/data/789", "/data/789/contents", "/samples/12/data"]
)
def test_private_records(demo: Demo, path: str) -> None:
    assert demo.get(path).status_code == 401
    refused = demo.get(path, "other")
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
    if not path.endswith("contents"):
        assert demo.get(path, "demo").status_code == 200
        assert demo.get(path + "/", "demo").status_code == 200


@pytest.mark.parametrize(
    "path", ["/samples/search", "/data/search", "/projects/search", "/executions/search", "/me", "/data/792"]
)
def test_a_bad_token_is_refused_everywhere(demo: Demo, path: str) -> None:
    for token in ("Bearer nonsense", "nonsense", "Bearer phk_unknown", "Basic dTpw", "Bearer a.b.c"):
        answer = demo.get(path, headers={"Authorization": token})
        assert answer.status_code == 401, token
        assert answer.json() == BODIES[401]


def test_forged_tokens(demo: Demo) -> None:
    good = demo.login("demo").json()["token"]
    head, claims, signature = good.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for forged in (f"{unsigned}.{claims}.", f"{head}.{claims}.{flipped}", f"{unsigned}.{claims}.{signature}"):
        assert demo.get("/me", headers={"Authorization": f"Bearer {forged}"}).status_code == 401
    assert demo.get("/me", headers={"Authorization": f"Bearer {good}"}).status_code == 200


def test_login_renewal_and_logout(demo: Demo) -> None:
    answer = demo.login("demo")
    assert answer.status_code == 200
    sent = answer.json()
    assert sent["token"] == sent["access_token"]
    assert sent["user"]["username"] == "demo"
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "path=/" in cookie
    assert "samesite=lax" in cookie
    assert "domain" not in cookie
    assert "secure" not in cookie.replace("flow_refresh_token", "")
    jar = {"flow_refresh_token": answer.cookies["flow_refresh_token"]}
    bearer, bare = {"Authorization": f"Bearer {sent['token']}"}, {"Authorization": sent["token"]}
    part = {"Range": "bytes=0-3"}
    for headers, query in ((bearer, ""), (bare, ""), ({}, f"?token={sent['token']}")):
        assert demo.get(R1 + query, headers={**headers, **part}).status_code == 206
    assert requests.get(demo.api + R1, cookies=jar, headers=part, timeout=9).status_code == 206
    assert requests.get(demo.api + "/me", cookies=jar, timeout=9).status_code == 401  # the cookie is for downloads only
    assert demo.get("/me?token=" + sent["token"]).status_code == 401
    assert demo.get("/me", headers={"Authorization": "Bearer " + jar["flow_refresh_token"]}).status_code == 401

    renewed = requests.get(demo.api + "/token", cookies=jar, headers={"Authorization": "Bearer stale"}, timeout=9)
    assert renewed.status_code == 200
    assert renewed.json()["token"] != sent["token"]
    for value in (sent["token"], "rubbish", ""):
        status = requests.get(demo.api + "/token", cookies={"flow_refresh_token": value}, timeout=9).status_code
        assert status == (200 if value == sent["token"] else 401)
    assert requests.post(demo.api + "/logout", headers=bearer, timeout=9).status_code == 200
    assert demo.get("/me", headers=bearer).status_code == 401
    assert requests.get(demo.api + "/token", cookies=jar, timeout=9).status_code == 401
    assert requests.get(demo.api + R1, cookies=jar, timeout=9).status_code == 401


def test_wrong_credentials(demo: Demo) -> None:
    for body in ({"username": "nobody-of-that-name", "password": "x"}, {"username": "admin", "password": "wrong"}):
        answer = requests.post(demo.api + "/login", json=body, timeout=9)
        assert (answer.status_code, answer.json()["error"]) == (400, "Invalid credentials")
        assert "Set-Cookie" not in answer.headers
    missing = requests.post(demo.api + "/login", json={"username": 5}, timeout=9)
    assert missing.status_code == 400
    assert set(missing.json()["error"]) == {"username", "password"}


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'"text"', b"\xff\xfe", b"[" * 100_000])
def test_bodies_that_are_no_object(demo: Demo, body: bytes) -> None:
    answer = requests.post(demo.api + "/login", data=body, timeout=9)
    assert answer.status_code == 400
    assert isinstance(answer.json(), dict)


def test_a_body_that_is_too_large(demo: Demo) -> None:
    try:
        answer = requests.post(demo.api + "/login", data=b" " * (3 << 20), timeout=9)
    except requests.ConnectionError:
        return  # the server hung up on the rest
    assert answer.status_code == 413


def test_guessing_is_slowed_down(demo: Demo) -> None:
    body = {"username": "victim-of-guessing", "password": "guess"}
    codes = []
    for _ in range(12):
        answer = requests.post(demo.api + "/login", json=body, timeout=9)
        codes.append(answer.status_code)
    assert codes == [400] * 10 + [429] * 2
    assert int(answer.headers["Retry-After"]) > 0
    assert demo.login("demo").status_code == 200  # others may still sign in


def test_users_and_secrets_are_kept_to_the_owner(demo: Demo) -> None:
    assert demo.home.stat().st_mode & 0o077 == 0
    for name in ("secret", "demo-users.json"):
        assert (demo.home / name).stat().st_mode & 0o777 == 0o600
    database = (demo.home / "packhorse.db").read_bytes() + (demo.home / "packhorse.db-wal").read_bytes()
    for user in demo.users.values():
        assert user["password"].encode() not in database
        assert user["filesender_api_key"].encode() not in database


def test_short_tokens_second_start_and_a_clean_end(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    process, ready = start(home, "--demo", "--token-seconds", "1")
    with requests.Session() as http:
        user = ready["users"][0]
        body = {"username": user["username"], "password": user["password"]}
        sent = http.post(ready["url"] + "/api/login", json=body, timeout=30).json()
        bearer = {"Authorization": "Bearer " + sent["token"]}
        assert http.get(ready["url"] + "/api/me", headers=bearer, timeout=9).status_code == 200
        time.sleep(1.1)
        assert http.get(ready["url"] + "/api/me", headers=bearer, timeout=9).status_code == 401
        fresh = http.get(ready["url"] + "/api/token", headers=bearer, timeout=9).json()["token"]
        bearer = {"Authorization": "Bearer " + fresh}
        assert http.get(ready["url"] + "/api/me", headers=bearer, timeout=9).status_code == 200
        # a download is under way when the end is asked for
        with http.get(ready["url"] + "/api/downloads/792/deep_run_R1.fastq.gz", stream=True, timeout=9) as slow:
            slow.raw.read(1000)
            code, out, err = end(process)
    assert (code, out) == (0, "")
    assert "Traceback" not in err
    for secret in (user["password"], user["filesender_api_key"], sent["token"]):
        assert secret not in err

    began = time.monotonic()
    process, again = start(home, "--demo")
    assert time.monotonic() - began < 20
    assert again["users"] == ready["users"]
    code, out, err = end(process)
    assert code == 0


def test_a_port_that_is_taken(demo: Demo, tmp_path: Path) -> None:
    import subprocess
    import sys

    port = demo.url.rpartition(":")[2]
    command = [sys.executable, "-m", "packhorse.server.run", "--home", str(tmp_path / "h"), "--port", port]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(json.dumps(done.stdout)) == ""
