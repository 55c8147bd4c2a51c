"""Whatever is sent: no answer above 499 but the business refusals, which have an identifier (spec §1.1)."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .conftest import Fs

LEAF = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20)
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FILE = st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "size", "mime_type", "cid", "iv", "aead"), VALUE))
NAMES = ("recipients", "options", "from", "subject", "message", "expires", "lang", "aup_checked", "encryption")
SEALED = ("key_version", "password_version", "password_encoding", "password_hash_iterations", "client_entropy")
TRANSFER = st.fixed_dictionaries(
    {"files": st.lists(FILE, max_size=3) | VALUE},
    optional=dict.fromkeys((*NAMES, *(f"encryption_{name}" for name in SEALED)), VALUE),
)
ACTS = "complete closed remind extend_expiry_date optionremove option decryptfailed recipient"
ACT = st.fixed_dictionaries({}, optional=dict.fromkeys(ACTS.split(), VALUE))
LAX = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PATH = st.lists(
    st.sampled_from(
        ["transfer", "file", "recipient", "guest", "user", "info", "echo", "lang", "principal", "clientlogs"]
    )
    | st.sampled_from(["@me", "@all", "1", "2", "0", "-1", "chunk", "fileids", "auditlog", "options", "quota", "whole"])
    | st.text(max_size=6),
    max_size=5,
)


def fair(answer: Any) -> None:
    """Refusals have an identifier; nothing is a crash, and the database never failed."""
    if answer.status_code >= 400:
        body = answer.json()
        assert set(body) == {"message", "uid", "details"}, answer.text
        assert body["message"].islower(), body
        assert body["message"] not in ("database_access_failure", "storage_filesystem_cannot_write"), body


@LAX
@given(sent=TRANSFER)
@example(sent={"files": [{"name": "a", "size": 1}], "expires": 10**17})
@example(sent={"files": [{"name": "x" * 1024, "size": 1}], "subject": "s" * 5000, "lang": "l" * 500})
@example(sent={"files": [{"name": "a", "size": 2**63 - 1}], "recipients": {"a": ["b"]}})
def test_any_creation(alice: Fs, sent: dict[str, Any]) -> None:
    fair(alice.call("POST", "/transfer", sent))


@LAX
@given(sent=VALUE)
def test_any_invitation(alice: Fs, sent: Any) -> None:
    fair(
        alice.call("POST", "/guest", {"recipient": "g@example.org", "expires": sent, "options": sent, "subject": sent})
    )


@LAX
@given(sent=ACT, what=st.sampled_from(["transfer", "file", "recipient", "guest", "user"]))
def test_any_act(alice: Fs, sent: dict[str, Any], what: str) -> None:
    made = alice.new({"a": 1})
    numbers = {"transfer": made["id"], "file": made["files"][0]["id"], "recipient": made["recipients"][0]["id"]}
    fair(alice.call("PUT", f"/{what}/{numbers.get(what, 'x')}", sent))


@LAX
@example(parts=["\n0"], method="GET", raw=b"", signed=False)
@given(
    parts=PATH,
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    raw=st.binary(max_size=40),
    signed=st.booleans(),
)
def test_any_address(alice: Fs, parts: list[str], method: str, raw: bytes, signed: bool) -> None:
    from urllib.parse import quote

    path = "/rest.php/" + "/".join(quote(part, safe="@", errors="replace") for part in parts)
    query = alice.signed_query(method, "/rest.php/" + "/".join(parts), {}, raw) if signed else {}
    if method == "DELETE" and signed:
        return
    answer = alice.http.request(method, alice.url + path, params=query, data=raw, timeout=30, allow_redirects=False)
    fair(answer)


@LAX
@given(
    raw=st.binary(max_size=60), name=st.sampled_from(["files_ids", "token", "transaction_id", "archive_format", "vid"])
)
def test_any_download_query(alice: Fs, raw: bytes, name: str) -> None:
    from urllib.parse import quote_from_bytes

    url = f"{alice.url}/download.php?{name}={quote_from_bytes(raw)}&x=1"
    answer = alice.http.get(url, timeout=30, allow_redirects=False)
    assert answer.status_code < 500
    assert alice.http.get(f"{alice.url}/download.php?" + raw.decode("latin-1"), timeout=30).status_code < 500


@LAX
@given(
    headers=st.dictionaries(
        st.sampled_from(
            ["File-Size", "Chunk-Offset", "Chunk-Size", "Digest-SHA256", "Encrypted", "Chunk-Size-Encrypted"]
        ),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
    ),
    offset=st.integers(-5, 10**19) | st.text("0123456789abc-", max_size=6),
    body=st.binary(max_size=30),
)
def test_any_chunk(alice: Fs, headers: dict[str, str], offset: Any, body: bytes) -> None:
    if not hasattr(alice, "some_file"):
        alice.some_file = alice.new({"a": 20})["files"][0]  # type: ignore[attr-defined]
    file = alice.some_file  # type: ignore[attr-defined]
    named = {f"X-Filesender-{name}": value for name, value in headers.items()}
    path = f"/file/{file['id']}/chunk/{offset}"
    fair(alice.call("PUT", path, raw=body, query={"key": file["puid"]}, headers=named, signed=False))


def test_a_million_nested_brackets(alice: Fs) -> None:
    fair(alice.call("GET", "/echo", query={"a" + "[b]" * 500: "1"}, signed=False))
    answer = alice.http.get(alice.url + "/rest.php/info?" + "&".join(f"a{n}=1" for n in range(1100)), timeout=30)
    assert answer.json()["message"] == "rest_bad_parameter"
    assert json.loads(alice.call("POST", "/transfer", raw=b"1e400").text)["message"] == "rest_bad_parameter"
