"""Signatures, against canonical strings written out from the spec (§2.1) and HMACs of the standard library."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import SettingsError, UsageError
from packhorse.wire.filesender import signing

KEY = "5f" * 32
UID = "0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"


def mac(text: bytes, algorithm: str = "sha1", key: str = KEY) -> str:
    return hmac.new(key.encode(), text, algorithm).hexdigest()


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "expected"),
    [
        (
            "PUT",
            "/filesender/rest.php/file/7/chunk/0",
            [
                ("timestamp", "1700000000"),
                ("roundtriptoken", "ab" * 16),
                ("remote_user", "a@b.org"),
                ("key", UID),
                ("signature", "0" * 40),
                ("_", "12"),
            ],
            b"\x00\xffbody",
            b"put&h.example.org/filesender/rest.php/file/7/chunk/0?key=0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"
            b"&remote_user=a@b.org&roundtriptoken=" + b"ab" * 16 + b"&timestamp=1700000000&\x00\xffbody",
        ),
        ("GET", "/rest.php/info", [], b"", b"get&h.example.org/rest.php/info"),
        ("POST", "/rest.php/guest", [], b"{}", b"post&h.example.org/rest.php/guest&{}"),
        (
            "GET",
            "/rest.php/user/@me",
            [("b", ""), ("a", "x y/ü"), ("B", "1"), ("a.b", "2")],
            b"",
            "get&h.example.org/rest.php/user/@me?B=1&a=x y/ü&a.b=2&b=".encode(),
        ),
        (
            "DELETE",
            "/rest.php/transfer/3",
            [("a", "1"), ("a", "2")],
            b"",
            b"delete&h.example.org/rest.php/transfer/3?a=2",
        ),
        (
            "GET",
            "/rest.php/transfer",
            [("f[b][z]", "1"), ("f[b][y]", "2"), ("f[a]", "3"), ("e", "4"), ("g[]", "5"), ("g[]", "6")],
            b"",
            b"get&h.example.org/rest.php/transfer?e=4&f[a]=3&f[b][y]=2&f[b][z]=1&g[0]=5&g[1]=6",
        ),
    ],
)
def test_canonical_strings(method: str, path: str, query: list[tuple[str, str]], body: bytes, expected: bytes) -> None:
    assert signing.canonical(method, "h.example.org", path, query, body) == expected
    assert signing.sign(KEY, expected) == mac(expected)
    in_pieces = signing.signer(KEY)
    in_pieces.head(signing.canonical(method, "h.example.org", path, query))
    for piece in (b"", body[:1], memoryview(body)[1:], b""):
        in_pieces.body(piece)
    assert in_pieces.signature() == mac(expected)


def test_a_signature_known_by_heart() -> None:
    """RFC 2202, test case 2."""
    assert signing.sign("Jefe", b"what do ya want for nothing?") == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_other_algorithms(algorithm: str) -> None:
    assert signing.sign(KEY, b"x", algorithm) == mac(b"x", algorithm)


@pytest.mark.parametrize("algorithm", ["", "shake_128", "rot13"])
def test_unknown_algorithms_are_refused(algorithm: str) -> None:
    with pytest.raises(SettingsError):
        signing.sign(KEY, b"x", algorithm)


@pytest.mark.parametrize(
    ("host", "port", "scheme", "expected"),
    [
        ("h.example.org", None, "https", "h.example.org"),
        ("h.example.org", 443, "https", "h.example.org"),
        ("h.example.org", 80, "http", "h.example.org"),
        ("h.example.org", 80, "https", "h.example.org:80"),
        ("127.0.0.1", 8080, "http", "127.0.0.1:8080"),
        ("[::1]", 8080, "http", "[::1]:8080"),
    ],
)
def test_default_ports_are_left_out(host: str, port: int | None, scheme: str, expected: str) -> None:
    assert signing.signed_host(host, port, scheme) == expected


@pytest.mark.parametrize(
    ("stamp", "now", "good"),
    [
        (1000, 1015.9, True),
        (1000, 1016, False),
        ("1000", 1015, True),
        ("99999999999", 1000, True),
        ("", 0, False),
        ("-5", 0, False),
        ("1e9", 0, False),
        ("٣", 0, False),
        ("9" * 5000, 0, False),
    ],
)
def test_the_window(stamp: int | str, now: float, good: bool) -> None:
    assert signing.fresh(stamp, now) is good


def test_comparing_takes_any_text() -> None:
    assert signing.signature_matches("ab", "ab")
    for wrong in ("AB", "", "é", "\udcff", "ab "):
        assert not signing.signature_matches("ab", wrong)


def test_a_signed_url_is_what_a_server_reads() -> None:
    body = [b"ab", b"", b"c"]
    url = signing.signed_url(
        "PUT",
        "https://H.example.org:8443/fs/rest.php/file/7/chunk/0?key=k%2B1&x=a+b&signature=old",
        KEY,
        timestamp=1700000000,
        user="jo o'b+c@x.org",
        application="lab",
        body=body,
    )
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    names = [name for name, _ in query]
    assert len(names) == len(set(names))
    assert "+" not in parts.query, "a plus would be signed as such by simple clients and read as a space by servers"
    signature = dict(query).pop("signature")
    text = "&".join(f"{name}={value}" for name, value in sorted(query) if name != "signature")
    assert text == "key=k+1&remote_application=lab&remote_user=jo o'b+c@x.org&timestamp=1700000000&x=a b"
    assert signature == mac(f"put&h.example.org:8443/fs/rest.php/file/7/chunk/0?{text}&abc".encode())


def test_a_signed_url_needs_a_signer() -> None:
    with pytest.raises(UsageError):
        signing.signed_url("GET", "https://h/rest.php/info", KEY, timestamp=1)


def test_encoded_paths_are_signed_decoded() -> None:
    url = signing.signed_url("GET", "http://h/rest.php/user/%40me", KEY, timestamp=1, user="u")
    assert url.startswith("http://h/rest.php/user/%40me?")
    assert url.endswith(mac(b"get&h/rest.php/user/@me?remote_user=u&timestamp=1"))


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="[]"), min_size=1).filter(
    lambda name: name not in ("signature", "_")
)


@given(st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"))), st.randoms(), st.binary())
def test_order_in_the_address_does_not_matter(values: dict[str, str], random: object, body: bytes) -> None:
    pairs = list(values.items())
    expected = "&".join(f"{k}={v}" for k, v in sorted(pairs, key=lambda pair: pair[0].encode())).encode()
    random.shuffle(pairs)  # type: ignore[attr-defined]
    head = b"get&h/p" + (b"?" + expected if values else b"")
    assert signing.canonical("get", "h", "/p", pairs, body) == head + (b"&" + body if body else b"")


@given(st.lists(st.tuples(st.text(), st.text())))
def test_no_names_can_break_it(pairs: list[tuple[str, str]]) -> None:
    pairs = [
        (name.encode("utf-8", "replace").decode(), value.encode("utf-8", "replace").decode()) for name, value in pairs
    ]
    assert signing.canonical("get", "h", "/p", pairs).startswith(b"get&h/p")


@given(st.text("ab[]", max_size=8), st.text("ab[]", max_size=8), st.integers(0, 5))
def test_brackets_in_any_order(one: str, other: str, depth: int) -> None:
    pairs = [(one, "1"), (other, "2"), ("a" + "[b]" * depth, "3")]
    assert signing.canonical("get", "h", "", pairs)[:5] == b"get&h"


def test_deep_nesting_is_no_recursion_error() -> None:
    name = "a" + "[b]" * 20000
    assert signing.canonical("get", "h", "/", [(name, "1")]) == f"get&h/?{name}=1".encode()


def test_a_value_beside_a_nested_one_is_signed_too() -> None:
    """Otherwise a server that reads names as they stand could be given another value under an old signature."""
    assert signing.canonical("get", "h", "/", [("a[b]", "2"), ("a", "1")]) == b"get&h/?a=1&a[b]=2"


def test_reading_a_query() -> None:
    raw = b"a=%C3%BC+x&b&c=%ff&a=2"
    assert signing.read_query(raw) == [("a", "ü x"), ("b", ""), ("c", unquote("%ff")), ("a", "2")]
    with pytest.raises(ValueError, match="fields"):
        signing.read_query("&".join("a=1" for _ in range(1001)))


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (("remote_user", "a@b.org"), None),
        (("options[guest]", "1"), None),
        (("a b", "1"), "parameter name"),
        (("subject", "x &amp; y"), "HTML"),
        (("subject", "a<b"), "HTML"),
        (("subject", "a < b & c"), None),
    ],
)
def test_what_no_real_server_verifies(pair: tuple[str, str], said: str | None) -> None:
    found = signing.unverifiable_because([pair])
    assert found is None if said is None else said in (found or "")


def test_algorithms_are_those_of_hashlib() -> None:
    assert mac(b"") == hmac.new(KEY.encode(), b"", hashlib.sha1).hexdigest() == signing.sign(KEY, b"")
