"""Authorization code with PKCE, client credentials, userinfo (spec immport §1.4)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from packhorse.errors import NotFoundError, UsageError
from packhorse.server.immport.clients import add_client, remove_client

from .conftest import Browser, Site, challenge_of, claims, hidden, query_of

HERE = "http://127.0.0.1:8123/callback"
VERIFIER = secrets.token_urlsafe(48)


def asked(**changes: str | None) -> dict[str, str]:
    found: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "packhorse",
        "redirect_uri": HERE,
        "scope": "openid browse download",
        "state": "s1&x=1",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
        "nonce": "n1",
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def address(**changes: str | None) -> str:
    return f"/auth/oauth2/authorize?{urlencode(asked(**changes))}"


def allow(browser: Browser, decision: str = "allow", **changes: str | None) -> dict[str, str]:
    """Sign in and answer the question: what the client is told."""
    browser.sign_in()
    page = browser.get(address(**changes))
    assert page.status_code == 200, page.text
    form = {"form_token": hidden(page.text), **asked(**changes), "decision": decision}
    answer = browser.post("/auth/oauth2/authorize", form)
    assert answer.status_code == 303, answer.text
    where = answer.headers["Location"]
    assert where.startswith(asked(**changes)["redirect_uri"])
    return query_of(where)


def exchange(site: Site, code: str, **changes: Any) -> Any:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": HERE,
        "client_id": "packhorse",
        "code_verifier": VERIFIER,
        **changes,
    }
    return site.post("/auth/oauth2/token", data={name: value for name, value in form.items() if value is not None})


def test_a_user_signs_in_and_allows_a_program(site: Site, browser: Browser) -> None:
    # not signed in yet: the page to sign in on, and after it on to the question
    page = browser.get(address())
    assert page.status_code == 200
    form = {
        "form_token": hidden(page.text),
        "next": hidden(page.text, "next"),
        "username": "demo",
        "password": "correct horse",
    }
    answer = browser.post("/auth/login", form)
    assert answer.status_code == 303
    page = browser.get(answer.headers["Location"])
    assert "Allow Packhorse?" in page.text
    # the answer leads to another origin: browsers must be told that this form may
    assert "form-action 'self' http://127.0.0.1:8123;" in page.headers["Content-Security-Policy"]
    answer = browser.post("/auth/oauth2/authorize", {"form_token": hidden(page.text), **asked(), "decision": "allow"})
    told = query_of(answer.headers["Location"])
    assert told["state"] == "s1&x=1"
    assert told["iss"] == f"{site.url}/auth"

    answer = exchange(site, told["code"])
    assert answer.status_code == 200, answer.text
    assert "no-store" in answer.headers["Cache-Control"]
    found = answer.json()
    assert (found["token_type"], found["expires_in"]) == ("Bearer", 3600)
    assert found["scope"] == "openid browse download"
    assert claims(found["access_token"])["client_id"] == "packhorse"
    assert claims(found["access_token"])["scope"] == ["browse", "download"]
    said = site.get("/auth/userinfo", found["access_token"]).json()
    assert said["sub"] == "demo"
    assert said["email"] == "demo@demo.invalid"

    key = jwt.PyJWK(site.get("/auth/oauth2/jwks").json()["keys"][0]).key
    identity = jwt.decode(found["id_token"], key, algorithms=["RS256"], audience="packhorse")
    assert (identity["sub"], identity["nonce"], identity["iss"]) == ("demo", "n1", told["iss"])
    assert site.get("/auth/userinfo", found["id_token"]).status_code == 401  # it opens nothing


def test_a_code_is_good_once_and_its_second_use_ends_the_first(site: Site, browser: Browser) -> None:
    code = allow(browser)["code"]
    token = exchange(site, code).json()["access_token"]
    assert site.get("/auth/userinfo", token).status_code == 200
    answer = exchange(site, code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert site.get("/auth/userinfo", token).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "a" * 43},
        {"code_verifier": None},
        {"code_verifier": challenge_of(VERIFIER)},
        {"redirect_uri": "http://127.0.0.1:8124/callback"},
        {"redirect_uri": None},
        {"code": "nothing"},
    ],
)
def test_a_code_needs_its_verifier_and_address(site: Site, browser: Browser, changes: dict[str, Any]) -> None:
    code = allow(browser)["code"]
    answer = exchange(site, **{"code": code, **changes})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    if "code" not in changes:
        assert exchange(site, code).status_code == 400  # a failed try uses it up


def test_the_user_may_say_no(browser: Browser) -> None:
    told = allow(browser, "deny")
    assert told["error"] == "access_denied"
    assert "code" not in told


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "everything"}, "invalid_scope"),
    ],
)
def test_bad_requests_are_told_to_the_client(browser: Browser, changes: dict[str, Any], error: str) -> None:
    answer = browser.get(address(**changes))
    assert answer.status_code == 303
    assert query_of(answer.headers["Location"])["error"] == error
    assert query_of(answer.headers["Location"])["state"] == "s1&x=1"


@pytest.mark.parametrize(
    "redirect",
    [
        "https://evil.example.org/",
        "http://127.0.0.1.evil.example.org/callback",
        "http://127.0.0.1@evil.example.org/",
        "http://evil.example.org:8123/callback",
        "javascript:alert(1)",
        "http://127.0.0.1:8123/x#fragment",
        "http://127.0.0.1:bad/x",
        "http://127.0.0.1/%0d%0aX: y\r\nZ: 1",
        "//evil.example.org",
        "",
    ],
)
def test_codes_go_nowhere_else(browser: Browser, redirect: str) -> None:
    browser.sign_in()
    answer = browser.get(address(redirect_uri=redirect))
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    answer = browser.get(address(client_id="<script>alert(1)</script>"))
    assert answer.status_code == 400
    assert "<script>" not in answer.text


def test_parameters_that_stand_twice_are_refused(browser: Browser) -> None:
    answer = browser.get(address() + "&redirect_uri=https://evil.example.org")
    assert answer.status_code == 400
    answer = browser.get(address() + "&scope=upload")
    assert query_of(answer.headers["Location"])["error"] == "invalid_request"


def test_forms_of_others_are_refused(site: Site, browser: Browser) -> None:
    browser.sign_in()
    page = browser.get(address())
    form = {"form_token": hidden(page.text), **asked(), "decision": "allow"}
    for headers in ({"Origin": "https://evil.example.org"}, {"Sec_Fetch_Site": "cross-site"}):
        assert browser.post("/auth/oauth2/authorize", form, **headers).status_code == 403
    assert browser.post("/auth/oauth2/authorize", {**form, "form_token": "x"}).status_code == 403
    assert browser.post("/auth/oauth2/authorize", {**form, "form_token": ""}).status_code == 403
    stranger = Browser(site)
    assert stranger.post("/auth/oauth2/authorize", form).status_code == 403
    stranger.http.close()


@pytest.fixture
def confidential(site: Site) -> Iterator[str]:
    secret = add_client(site.config, "pipeline", name="The <b>pipeline</b>", redirects=["https://app.example.org/cb?x=1"],
                        scopes=["browse"], user="other", confidential=True)  # fmt: skip
    assert secret is not None
    yield secret
    remove_client(site.config, "pipeline")


def test_a_client_acts_by_itself_with_its_secret(site: Site, confidential: str) -> None:
    form = {"grant_type": "client_credentials"}
    answer = site.post("/auth/oauth2/token", data=form, auth=("pipeline", confidential))
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == "browse"
    assert site.get("/auth/userinfo", answer.json()["access_token"]).json()["sub"] == "other"
    posted = {**form, "client_id": "pipeline", "client_secret": confidential, "scope": "browse upload"}
    assert site.post("/auth/oauth2/token", data=posted).json()["scope"] == "browse"

    for bad in ({"client_secret": "x"}, {"client_secret": ""}, {"client_id": "nobody"}):
        answer = site.post("/auth/oauth2/token", data={**posted, **bad})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    answer = site.post("/auth/oauth2/token", data={**posted, "scope": "upload"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    answer = site.post("/auth/oauth2/token", data={"grant_type": "client_credentials", "client_id": "packhorse"})
    assert answer.json()["error"] == "unauthorized_client"
    answer = site.post("/auth/oauth2/token", data={"grant_type": "password", "client_id": "packhorse"})
    assert answer.json()["error"] == "unsupported_grant_type"


def test_a_registered_client_s_address_counts_to_the_letter(site: Site, browser: Browser, confidential: str) -> None:
    registered = "https://app.example.org/cb?x=1"
    told = allow(browser, client_id="pipeline", redirect_uri=registered, scope="browse upload")
    assert told["x"] == "1"
    page = browser.get(address(client_id="pipeline", redirect_uri=registered))
    assert "The &lt;b&gt;pipeline&lt;/b&gt;" in page.text
    for other in ("https://app.example.org/cb", "https://app.example.org/cb?x=1&y", "http://127.0.0.1:1/cb"):
        assert browser.get(address(client_id="pipeline", redirect_uri=other)).status_code == 400
    answer = exchange(site, told["code"], client_id="pipeline", redirect_uri=registered)
    assert answer.json()["error"] == "invalid_client"  # its secret is needed here too
    answer = exchange(site, told["code"], client_id="pipeline", redirect_uri=registered, client_secret=confidential)
    assert answer.json()["scope"] == "browse"


def test_what_cannot_be_a_client_is_refused(site: Site) -> None:
    for name, more in (
        ("packhorse", {}),
        ("a b", {}),
        ("x", {"redirects": ["http://app.example.org/cb"]}),
        ("x", {"redirects": ["https://app.example.org/*"]}),
        ("x", {"scopes": ["admin"]}),
        ("x", {"user": "demo"}),
    ):
        with pytest.raises(UsageError):
            add_client(site.config, name, **more)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        remove_client(site.config, "nobody")
