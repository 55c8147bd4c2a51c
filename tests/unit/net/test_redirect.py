"""Where a redirect may lead, and what goes along."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import ProtocolError
from packhorse.model import Secret
from packhorse.net.message import Headers, Request, ResponseHead, origin_of
from packhorse.net.redirect import MAX_REDIRECTS, follow, same_origin

SIGNED = Request(
    "GET",
    "https://portal.example/files/1",
    {
        "Authorization": "Bearer t",
        "cookie": "s=1",
        "X-Api-Key": "k",
        "Proxy-Authorization": "p",
        "X-Portal-Token": Secret("hidden"),
        "Range": "bytes=0-9",
    },
)


def head(status: int, location: str | None) -> ResponseHead:
    return ResponseHead(status, Headers([] if location is None else [("Location", location)]), "")


@pytest.mark.parametrize("status", [200, 206, 300, 304, 305, 306, 404])
def test_other_statuses_are_no_redirects(status: int) -> None:
    assert follow(SIGNED, head(status, "/elsewhere")) is None


@pytest.mark.parametrize("location", [None, ""])
def test_a_redirect_to_nowhere_is_an_answer(location: str | None) -> None:
    assert follow(SIGNED, head(302, location)) is None


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/other", "https://portal.example/other"),
        ("2?x=y", "https://portal.example/files/2?x=y"),
        ("?again", "https://portal.example/files/1?again"),
        ("  /padded  ", "https://portal.example/padded"),
        ("https://PORTAL.example:443/x", "https://PORTAL.example:443/x"),
    ],
)
def test_within_the_origin_everything_goes_along(location: str, url: str) -> None:
    onward = follow(SIGNED, head(302, location))
    assert onward is not None
    assert (onward.url, onward.headers, onward.secret_url) == (url, SIGNED.headers, False)


@pytest.mark.parametrize(
    "location",
    [
        "https://store.example/1?X-Signature=abc",
        "//store.example/1?X-Signature=abc",
        "https://portal.example:8443/1?X-Signature=abc",
        "https://portal.example.evil.example/?a",
        "https://portal.example@evil.example/?a",
        "https://portal.example./?a",
    ],
)
def test_no_credential_goes_to_another_origin(location: str) -> None:
    onward = follow(SIGNED, head(307, location))
    assert onward is not None
    assert dict(onward.headers) == {"Range": "bytes=0-9"}
    assert onward.secret_url


def test_back_at_the_first_origin_the_credentials_stay_away() -> None:
    there = follow(SIGNED, head(302, "https://store.example/"))
    assert there is not None
    back = follow(there, head(302, "https://portal.example/files/1"), 2)
    assert back is not None
    assert dict(back.headers) == {"Range": "bytes=0-9"}


@pytest.mark.parametrize(
    "location",
    [
        "http://portal.example/files/1",
        "http://store.example/",
        "file:///etc/passwd",
        "gopher://x/",
        "javascript:alert(1)",
        "data:text/plain,x",
        "ftp://portal.example/",
        "https://host:port/",
        "https://host:99999/",
        "https://[::1",
        "https://evil.example /",
        "https://ev\x00il.example/",
        "https://evil.example\\@portal.example/",
    ],
)
def test_hostile_locations_are_refused(location: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        follow(SIGNED, head(302, location))
    assert "\x00" not in str(caught.value)


@pytest.mark.parametrize("location", ["//", "https://", "https:///evil.example/", "\\\\evil.example\\share", "https:x"])
def test_half_an_address_stays_at_home(location: str) -> None:
    onward = follow(SIGNED, head(302, location))
    assert onward is not None
    assert origin_of(onward.url) == ("https", "portal.example", 443)


def test_http_may_become_https() -> None:
    onward = follow(Request("GET", "http://h/", {"Authorization": "t"}), head(301, "https://h/"))
    assert onward is not None
    assert (onward.url, dict(onward.headers)) == ("https://h/", {})


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (301, "PUT", "PUT"),
        (302, "GET", "GET"),
        (302, "HEAD", "HEAD"),
    ],
)
def test_methods_and_bodies(status: int, method: str, becomes: str) -> None:
    request = Request(method, "http://h/", {"content-type": "a/b"}, body=b"x", body_size=1)
    onward = follow(request, head(status, "/y"))
    assert onward is not None
    assert onward.method == becomes
    kept = becomes == method and status != 303
    assert (onward.body, onward.body_size) == ((b"x", 1) if kept else (None, None))
    assert ("content-type" in onward.headers) == kept


def test_a_location_beyond_ascii_is_escaped() -> None:
    # Header bytes are read as latin-1; servers mean UTF-8, and browsers escape what comes.
    raw = "/päth".encode().decode("latin-1")
    onward = follow(SIGNED, head(302, raw))
    assert onward is not None
    assert onward.url == "https://portal.example/p%C3%A4th"


def test_loops_end() -> None:
    assert follow(SIGNED, head(302, "/again"), MAX_REDIRECTS) is not None
    with pytest.raises(ProtocolError, match="more than 10 redirects"):
        follow(SIGNED, head(302, "/again"), MAX_REDIRECTS + 1)


def test_same_origin_of_what_cannot_be_read() -> None:
    assert not same_origin("http://h:x/", "http://h:x/")
    assert not same_origin("http://h:0/", "http://h/")


@given(st.text(max_size=60), st.sampled_from(["", "//", "https://", "https:", "http://", "\\\\", "https://a@"]))
def test_whatever_comes_credentials_stay_home_and_schemes_are_the_web(text: str, prefix: str) -> None:
    try:
        onward = follow(SIGNED, head(302, prefix + text))
    except ProtocolError:
        return
    if onward is None:
        return
    scheme, host, _ = origin_of(onward.url)
    assert scheme == "https"
    assert host
    assert onward.url.isascii()
    assert "Authorization" not in onward.headers or origin_of(onward.url) == ("https", "portal.example", 443)
