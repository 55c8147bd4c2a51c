"""API keys by browser: made once, scoped, 30 days, revoked (spec immport §1.3)."""

from __future__ import annotations

import datetime as dt
import html
import json
import re
import sqlite3
from typing import Any

from .conftest import Browser, Site, hidden


def make(browser: Browser, *scopes: str, label: str = "laptop", action: str = "download") -> Any:
    page = browser.get("/auth/api/keys")
    form = {"form_token": hidden(page.text), "label": label, "scopes": list(scopes), "action": action}
    return browser.post("/auth/api/keys", form)


def test_signing_in_comes_first(site: Site, browser: Browser) -> None:
    page = browser.get("/auth/api/keys")
    assert "<h1>Sign in</h1>" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    answer = browser.sign_in()
    assert answer.headers["Location"] == f"{site.url}/auth/api/keys"
    cookie = next(cookie for cookie in answer.headers["Set-Cookie"].split(", ") if cookie.startswith("packhorse_auth="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/auth" in cookie
    assert "<h1>API keys</h1>" in browser.get("/auth/api/keys").text


def test_a_key_is_shown_once_and_works_for_its_scopes(site: Site, browser: Browser) -> None:
    browser.sign_in()
    answer = make(browser, "browse", "download", action="create", label='<b>"lab"</b>')
    assert answer.status_code == 200
    shown = re.search(r'<pre id="new-key">(.*?)</pre>', answer.text, re.DOTALL)
    assert shown is not None
    key = json.loads(html.unescape(shown[1]))
    assert list(key) == ["id", "api_key", "expires_at"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", key["expires_at"])
    until = dt.datetime.fromisoformat(key["expires_at"][:19] + "+00:00")
    assert abs(until - dt.datetime.now(dt.UTC) - dt.timedelta(days=30)) < dt.timedelta(minutes=5)
    assert "&lt;b&gt;&#34;lab&#34;&lt;/b&gt;" in answer.text

    again = browser.get("/auth/api/keys").text
    assert key["api_key"] not in again
    assert key["api_key"][:12] in again
    assert site.get("/auth/userinfo", key["api_key"]).json()["sub"] == "demo"
    # it is ImmPort's: nothing else opens with it
    assert site.get("/api/me", headers={"Authorization": f"Bearer {key['api_key']}"}).status_code == 401
    # and it is not kept
    with sqlite3.connect(site.config.home / "packhorse.db") as connection:
        rows = connection.execute("SELECT * FROM api_keys WHERE uuid = ?", (key["id"],)).fetchall()
    connection.close()
    assert len(rows) == 1
    assert key["api_key"] not in str(rows)

    form = {"form_token": hidden(again), "id": key["id"], "action": "revoke"}
    assert browser.post("/auth/api/keys", form).status_code == 303
    assert site.get("/auth/userinfo", key["api_key"]).status_code == 401
    assert browser.post("/auth/api/keys", form).status_code == 404


def test_a_key_comes_as_a_file(browser: Browser) -> None:
    browser.sign_in()
    answer = make(browser, "upload")
    assert answer.headers["Content-Type"] == "application/json"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.json()["api_key"].startswith("phk_")


def test_a_key_that_is_over_is_refused(site: Site, browser: Browser) -> None:
    browser.sign_in()
    key = make(browser, "browse").json()
    assert site.get("/auth/userinfo", key["api_key"]).status_code == 200
    with sqlite3.connect(site.config.home / "packhorse.db", timeout=20) as connection:
        connection.execute("UPDATE api_keys SET expires = 1 WHERE uuid = ?", (key["id"],))
    connection.close()
    assert site.get("/auth/userinfo", key["api_key"]).status_code == 401


def test_nobody_revokes_another_s_key(site: Site, browser: Browser) -> None:
    browser.sign_in()
    key = make(browser, "browse").json()
    other = Browser(site)
    other.sign_in("other")
    page = other.get("/auth/api/keys").text
    assert key["api_key"][:12] not in page
    answer = other.post("/auth/api/keys", {"form_token": hidden(page), "id": key["id"], "action": "revoke"})
    assert answer.status_code == 404
    other.http.close()
    assert site.get("/auth/userinfo", key["api_key"]).status_code == 200


def test_bad_forms_are_told(browser: Browser) -> None:
    browser.sign_in()
    assert "choose at least one scope" in make(browser).text.lower()
    assert make(browser, "admin").status_code == 400
    assert make(browser, "browse", label="a\nb").status_code == 400
    assert make(browser, "browse", label="x" * 201).status_code == 400
    assert make(browser, "browse", action="nothing").status_code == 400


def test_forms_need_our_own_page(site: Site, browser: Browser) -> None:
    form = {"username": "demo", "password": "correct horse", "next": "/auth/api/keys"}
    assert browser.post("/auth/login", form).status_code == 403
    page = browser.get("/auth/login")
    stranger = Browser(site)
    assert stranger.post("/auth/login", {**form, "form_token": hidden(page.text)}).status_code == 403
    stranger.http.close()
    assert browser.sign_in().status_code == 303
    assert browser.post("/auth/api/keys", {"action": "create", "scopes": "browse"}).status_code == 403
    assert browser.post("/auth/logout", {"form_token": "x"}).status_code == 403
    page = browser.get("/auth/logout")
    assert browser.post("/auth/logout", {"form_token": hidden(page.text)}).status_code == 303
    assert "<h1>Sign in</h1>" in browser.get("/auth/api/keys").text


def test_signing_in_leads_nowhere_else(site: Site, browser: Browser) -> None:
    for target in ("https://evil.example.org/", "//evil.example.org", "/auth/\\evil", "/elsewhere", ""):
        browser.http.cookies.clear()
        assert browser.sign_in(onward=target).headers["Location"] == f"{site.url}/auth/api/keys"


def test_a_wrong_password_stays_on_the_page(browser: Browser) -> None:
    page = browser.get("/auth/login?next=/auth/api/keys")
    form = {"form_token": hidden(page.text), "username": '"><script>', "password": "no", "next": "/auth/api/keys"}
    answer = browser.post("/auth/login", form)
    assert answer.status_code == 400
    assert "is wrong" in answer.text
    assert "<script>" not in answer.text
