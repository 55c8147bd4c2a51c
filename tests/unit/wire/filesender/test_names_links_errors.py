"""File names, links and error identifiers."""

from __future__ import annotations

import json
import re
import unicodedata
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.wire.filesender import errors, links, names

UID = "0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"
SEED = "hxvmxx9n-2e5u-br7d-4sf5-ypa3-tq55qw43"  # the documents' own example has another grouping


@pytest.mark.parametrize(
    "name",
    [
        "a.txt",
        "dir/b c.tar.gz",
        "naïve.csv",
        "日本語.txt",
        ".hidden",
        "noext",
        "a#b%.x",
        "(1)[2]!@$^&*,;:_-.y",
        "Ⅷ½.z",
        "a.",
    ],
)
def test_seen_accepted(name: str) -> None:
    assert names.refusal(name) is None


@pytest.mark.parametrize(
    ("name", "identifier", "said"),
    [
        *((f"a{sign}b", "transfer_file_name_invalid", sign) for sign in "'+=<>{}~|?\"\\"),
        ("x.c++", "transfer_file_name_invalid", "+"),
        ("x.c#", "file_extension_not_allowed", ".c#"),
        ("x.naïf", "file_extension_not_allowed", ".naïf"),
        ("a.exe", "file_extension_not_allowed", ".exe"),
        ("d.x/A.BAT", "file_extension_not_allowed", ".bat"),
        ("", "transfer_file_name_invalid", "empty"),
        ("../../x", "transfer_file_name_invalid", ".."),
        ("/etc/x", "transfer_file_name_invalid", "empty folder"),
        ("a//b", "transfer_file_name_invalid", "empty folder"),
        ("a/./b", "transfer_file_name_invalid", "folder name ."),
        ("a/", "transfer_file_name_invalid", "empty folder"),
        ("a\x00b", "transfer_file_name_invalid", "U+0000"),
        ("a\nb", "transfer_file_name_invalid", "U+000A"),
        ("a\u202eb", "transfer_file_name_invalid", "U+202E"),
        ("a\udcffb", "transfer_file_name_invalid", "U+DCFF"),
        ("a\u00a0b", "transfer_file_name_invalid", "U+00A0"),
        ("😀", "transfer_file_name_invalid", "U+1F600"),
        (unicodedata.normalize("NFD", "é.txt"), "transfer_file_name_invalid", "NFC"),
        ("x" * 256, "transfer_file_name_invalid", "256"),
        ("d/" * 600 + "x", "transfer_file_name_invalid", "1201"),
    ],
)
def test_refused(name: str, identifier: str, said: str) -> None:
    found = names.refusal(name)
    assert found is not None
    assert found.identifier == identifier
    assert said in found.because == names.refused_because(name)
    assert found.because.isprintable()


def test_a_sites_own_list() -> None:
    assert names.refused_because("a.iso", banned={"iso"}) == "the server does not take .iso files"
    assert names.refused_because("a.exe", banned=()) is None


@given(st.text(max_size=30))
def test_what_is_taken_is_harmless(name: str) -> None:
    if names.refusal(name) is None:
        assert not set(name) & set("\0\\<>\"'")
        assert ".." not in name.split("/")
        assert all(name.split("/"))
        assert re.fullmatch(r"[\w /.,;:!@#$%^&*)(\]\[_-]+", name), "Python's \\w has all letters and digits"


@pytest.mark.parametrize("token", [UID, SEED])
@pytest.mark.parametrize(
    ("text", "base", "kind"),
    [
        ("https://h.example.org/?s=download&token={}", "https://h.example.org", "download"),
        ("https://h.example.org/filesender/?s=download&token={}", "https://h.example.org/filesender", "download"),
        (
            "https://h.example.org/filesender/index.php?token={}&s=download&lang=en",
            "https://h.example.org/filesender",
            "download",
        ),
        ("https://H.example.org:8443?s=download&token={}#top", "https://h.example.org:8443", "download"),
        (" <https://h/?s=download&amp;token={}>\n", "https://h", "download"),
        ('"http://[::1]:80/?s=upload&vid={}"', "http://[::1]:80", "upload"),
        ("HTTPS://h/fs?vid={}&s=upload", "https://h/fs", "upload"),
    ],
)
def test_links(text: str, base: str, kind: str, token: str) -> None:
    assert links.parse_link(text.format(token)) == links.Link(base, kind, token)  # type: ignore[arg-type]


def test_a_direct_link() -> None:
    for text in ("download.php?token={}&files_ids=5,7", "download.php??token={}&files_ids=5%2C7,x"):
        assert links.parse_link("https://h/fs/" + text.format(UID)) == links.Link(
            "https://h/fs", "download", UID, (5, 7)
        )


@pytest.mark.parametrize(
    "text",
    [
        "",
        UID,
        f"h.example.org/?s=download&token={UID}",
        f"ftp://h/?s=download&token={UID}",
        f"https:///?s=download&token={UID}",
        f"https://user:pw@h/?s=download&token={UID}",
        f"https://h:99999/?s=download&token={UID}",
        f"https://[::1/?s=download&token={UID}",
        "https://h/?s=download",
        "https://h/?s=download&token=",
        "https://h/?s=download&token=../../etc",
        f"https://h/?s=upload&token={UID}",
        f"https://h/?s=download&vid={UID}",
        f"https://h/?s=transfers&token={UID}",
        f"https://h/?s=download&token={UID}%0d%0aX",
        f"https://h/a b/?s=download&token={UID}",
        "https://h/?" + "a=1&" * 1001 + f"s=download&token={UID}",
        "https://h/?s=download&token=" + "a" * 5000,
    ],
)
def test_no_links(text: str) -> None:
    assert links.parse_link(text) is None


@given(st.text())
def test_any_text_is_a_link_or_none(text: str) -> None:
    assert links.parse_link(text) is None
    links.parse_link("https://" + text)
    links.parse_link("https://h/?s=download&token=" + text)
    links.is_token(text)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://h", "https://h"),
        ("https://h/", "https://h"),
        ("https://h/rest.php", "https://h"),
        ("https://h/fs/rest.php/info?x=1", "https://h/fs"),
        ("https://h/fs/index.php", "https://h/fs"),
        ("https://h/rest.phpx", "https://h/rest.phpx"),
        ("https://h//", "https://h"),
        ("mailto:a@b", None),
        ("", None),
    ],
)
def test_site_addresses(url: str, base: str | None) -> None:
    assert links.site_base(url) == base


def test_building_links() -> None:
    token = links.new_token()
    assert str(uuid.UUID(token)) == token
    assert re.fullmatch(r"[a-z0-9]{8}(-[a-z0-9]{4}){3}-[a-z0-9]{12}", token)
    assert links.download_link("https://h/fs", token) == f"https://h/fs/?s=download&token={token}"
    assert links.upload_link("https://h/fs", token) == f"https://h/fs/?s=upload&vid={token}"
    assert links.parse_link(links.upload_link("https://h", token)) == links.Link("https://h", "upload", token)
    assert (
        links.rest_url("https://h", ["a b", "../x", 5], [("k", "a&b=c")])
        == "https://h/rest.php/a%20b/..%2Fx/5?k=a%26b%3Dc"
    )


@pytest.mark.parametrize(
    ("identifier", "status", "kind"),
    [
        ("rest_missing_parameter", 400, "input"),
        ("rest_xsrf_token_did_not_match", 400, "auth"),
        ("rest_roundtrip_token_invalid", 403, "auth"),
        ("rest_ownership_required", 403, "forbidden"),
        ("rest_unknown_principal", 404, "missing"),
        ("rest_method_not_allowed", 405, "input"),
        ("rest_endpoint_not_implemented", 501, "input"),
        ("undergoing_maintenance", 503, "server"),
        ("auth_remote_signature_check_failed", 500, "auth"),
        ("transfer_not_found", 500, "missing"),
        ("guest_expired", 500, "over"),
        ("transfer_user_quota_exceeded", 500, "limit"),
        ("rate_limit_exceeded", 500, "rate"),
    ],
)
def test_identifiers(identifier: str, status: int, kind: str) -> None:
    body = json.dumps(errors.error_body(identifier, "65f0", {"method": "get", "endpoint": "x"})).encode()
    parsed = errors.parse_error(body)
    assert parsed == errors.ApiError(identifier, "65f0", {"method": "get", "endpoint": "x"})
    assert (errors.status_of(identifier), parsed.meaning.kind) == (status, kind)


def test_every_identifier_has_words_for_people() -> None:
    assert len(errors.MEANINGS) > 70
    for identifier, meaning in errors.MEANINGS.items():
        assert meaning.identifier == identifier
        assert "_" not in meaning.words
        assert not meaning.words.endswith(".")
        assert len(meaning.words) < 90


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"null",
        b"[]",
        b"{}",
        b'{"message":5}',
        b'{"message":""}',
        b"[" * 60_000,
        b'{"message":"' + b"x" * 70_000 + b'"}',
        b"\xff",
    ],
)
def test_no_error_bodies(body: bytes) -> None:
    assert errors.parse_error(body) is None


def test_unknown_identifiers_are_shown_safely() -> None:
    meaning = errors.meaning("Call to undefined\x1b[2J" + "x" * 500)
    assert (meaning.kind, meaning.status) == ("server", 500)
    assert meaning.words.isprintable()
    assert len(meaning.words) < 230
    assert errors.meaning("\x00").words == "the server failed"
    assert errors.status_of("new_in_4") == 500
