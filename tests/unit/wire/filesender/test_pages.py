"""The two pages that clients scrape, as real servers write them, and as hostile ones might."""

from __future__ import annotations

import html
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import ProtocolError
from packhorse.wire.filesender import pages
from packhorse.wire.filesender.shared import SharedFile, file_attributes, parse_shared_files, shared_file_body

UID = "0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"

PAGE_38 = f"""<!DOCTYPE html>
<html lang="en"><head><title>FileSender</title>
<script type="text/javascript">if (1 < 2 && "<b") {{ x = "</b>"; }}</script>
</head>
<body data-security-token="{UID}" data-auth-type="sp">
<!-- <div class="file" data-id="666"> -->
<table><tr class="file  fs-row" data-id="12" data-name="r&eacute;ads/a &amp; b &quot;x&quot;.gz" data-size="10485761"
  data-mime="application/gzip" data-encrypted="1" data-encrypted-size="10485857" data-key-version="3"
  data-key-salt="c2FsdA==" data-password-version="1" data-password-encoding="none"
  data-password-hash-iterations="150000" data-client-entropy="ZW50" data-fileiv="ABEiM0RVZneImaq7"
  data-fileaead="eyJ9" data-transferid="7" data-chunk-size="5242880" data-crypted-chunk-size="5242912">
 <td>a &amp; b<br></td></tr>
<div class='general box file' data-id=13 data-name="plain.txt" data-size="0" data-mime="" data-encrypted=""
  data-encrypted-size="" data-key-version="" data-key-salt="" data-password-version="" data-password-encoding=""
  data-password-hash-iterations="" data-client-entropy="" data-fileiv="" data-fileaead="" data-transferid="7" />
<span class="file">not a file: no number</span><span class="profile" data-id="99">nor this</span>
</table></body></html>"""

ENCRYPTED = SharedFile(
    id=12,
    name='réads/a & b "x".gz',
    size=10485761,
    transfer_id=7,
    mime="application/gzip",
    encrypted=True,
    encrypted_size=10485857,
    key_version=3,
    salt="c2FsdA==",
    password_version=1,
    password_encoding="none",
    iterations=150000,
    client_entropy="ZW50",
    iv="ABEiM0RVZneImaq7",
    aead="eyJ9",
    chunk_size=5242880,
    crypted_chunk_size=5242912,
)
PLAIN = SharedFile(id=13, name="plain.txt", size=0, transfer_id=7)


@pytest.mark.parametrize("text", [PAGE_38, PAGE_38.encode()])
def test_a_download_page(text: str | bytes) -> None:
    page = pages.parse_download_page(text)
    assert page == pages.DownloadPage((ENCRYPTED, PLAIN), "sp", UID)


def test_a_page_that_arrives_in_awkward_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for piece in (1, 7, 64, 1000):
        monkeypatch.setattr(pages, "_PIECE", piece)
        assert pages.parse_download_page(PAGE_38).files == (ENCRYPTED, PLAIN)


def test_a_dead_tokens_page_has_no_files() -> None:
    page = pages.parse_download_page("<html><body data-auth-type=''><p>Not found</p></body></html>")
    assert page == pages.DownloadPage((), "", "")


@pytest.mark.parametrize(
    ("body", "open_", "token"),
    [
        (f'<body data-security-token="{UID}" data-auth-type="guest">', True, UID),
        (f'<body data-security-token="{UID}" data-auth-type="">', False, UID),
        (f"<BODY class=x data-auth-type='guest' data-security-token='{UID}' data-auth-type='sp'>", True, UID),
        ('<body data-auth-type="guest">', False, ""),
        ('<body data-security-token="a\r\nX-Evil: 1" data-auth-type="guest">', False, ""),
        (f'<body data-security-token="{"x" * 300}" data-auth-type="guest">', False, ""),
        ("", False, ""),
    ],
)
def test_a_guests_page(body: str, open_: bool, token: str) -> None:
    page = pages.parse_upload_page(f"<!doctype html><html><head></head>{body}<p>x</p></body></html>")
    assert (page.is_open, page.security_token) == (open_, token)


def row(**values: str) -> str:
    return '<tr class="file" ' + " ".join(f'data-{k.replace("_", "-")}="{v}"' for k, v in values.items()) + ">"


@pytest.mark.parametrize(
    "text",
    [
        row(id="x", name="a", size="1"),
        row(id="-1", name="a", size="1"),
        row(id="1", name="a", size=""),
        row(id="1", name="a", size="-5"),
        row(id="1", name="a", size="1e3"),
        row(id="1", name="a", size="9" * 30),
        row(id="1", size="1"),
        row(id="1", name="a", size="1") + row(id="1", name="b", size="1"),
    ],
)
def test_half_a_list_is_no_list(text: str) -> None:
    with pytest.raises(ProtocolError):
        pages.parse_download_page(f"<body>{row(id='5', name='ok', size='1')}{text}</body>")


def test_of_equal_attributes_the_first_counts() -> None:
    """As in browsers: a name that breaks out of a careless template cannot bend what stands before it."""
    twice = '<div class="file" data-id="1" data-name="a" data-size="1" data-transferid="2" data-id="9" data-size="9">'
    assert pages.parse_download_page(twice).files == (SharedFile(1, "a", 1, 2),)


def test_a_file_shown_twice_is_one() -> None:
    once = row(id="1", name="a", size="1", transferid="2")
    assert pages.parse_download_page(once + once).files == (SharedFile(1, "a", 1, 2),)


BOMBS = {
    "too long": "x" * (pages.MAX_PAGE + 1),
    "signs": "<" * 400_000,
    "entities": "&a" * 400_000,
    "comment": "<!--" * 4_000_000,
    "attributes": "<a " + "x=" * 8_000_000,
    "quotes": '<a b="<a b="' * 2_000_000,
    "slashes": "<a" + "/" * 16_000_000,
    "ends": "</" * 8_000_000,
    "script": "<script>" + "</" * 8_000_000,
    "declaration": "<!DOCTYPE [" * 1_000_000,
    "marked": "<![CDATA[" * 1_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_given_up_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_MAX_WORK", 300_000)  # a tenth, for the sake of the tests' time
    started = time.process_time()
    with pytest.raises(ProtocolError):
        pages.parse_download_page(BOMBS[name])
    assert time.process_time() - started < 10, "a page must not hold the processor"


def shown(file: SharedFile) -> str:
    return " ".join(f'{key}="{html.escape(value)}"' for key, value in file_attributes(file).items())


def test_a_page_of_ten_thousand_files_is_read() -> None:
    rows = "".join(
        f"<tr {shown(SharedFile(n, f'f{n}', n, 1))} class=file><td>a</td><td>b &amp; c</td>"
        "<td><a href=x class=y>z</a></td></tr>\n"
        for n in range(10_000)
    )
    found = pages.parse_download_page(f"<body>{rows}</body>").files
    assert [file.size for file in found] == list(range(10_000))


@given(st.text(st.sampled_from("<>\"'&=/!-?[] abfile;data-idclassbody"), max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        pages.parse_download_page(text)
        pages.parse_upload_page(text.encode())
    except ProtocolError:
        pass


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=60)


@given(NAMES, st.integers(0, 2**62), st.booleans(), st.none() | st.sampled_from([1, 3]))
def test_what_we_render_is_read(name: str, size: int, encrypted: bool, version: int | None) -> None:
    file = SharedFile(1, name, size, 2, encrypted=encrypted, key_version=version, chunk_size=5 if encrypted else None)
    assert pages.parse_download_page(f'<body><div class="file" {shown(file)}></div></body>').files == (file,)


def test_the_attributes_of_the_peer() -> None:
    """All 15 that ``filesender-client`` looks up, written out from §6, and the two of 3.x."""
    fifteen = (
        "data-id data-name data-size data-mime data-encrypted data-encrypted-size data-key-version data-key-salt"
        " data-password-version data-password-encoding data-password-hash-iterations data-client-entropy data-fileiv"
        " data-fileaead data-transferid"
    )
    assert len(fifteen.split()) == 15
    values = file_attributes(ENCRYPTED)
    assert list(values) == [*fifteen.split(), "data-chunk-size", "data-crypted-chunk-size"]
    assert values["data-encrypted"] == "1"
    assert values["data-size"] == "10485761"
    version_0 = file_attributes(SharedFile(1, "a", 1, 1, encrypted=True, key_version=0))
    assert version_0["data-key-version"] == ""
    assert file_attributes(PLAIN)["data-encrypted"] == ""


def test_the_list_by_rest() -> None:
    body = shared_file_body(ENCRYPTED)
    assert body["key-version"] == body["key_version"] == 3
    assert body["password-hash-iterations"] == body["password_hash_iterations"] == 150000
    assert "chunk-size" not in body
    (read,) = parse_shared_files([body])
    assert (read.name, read.iv, read.chunk_size) == (ENCRYPTED.name, ENCRYPTED.iv, None)
    only_one_form = {"id": "12", "name": "a", "size": "5", "encrypted": False, "key_version": "1", "transferid": "7"}
    assert parse_shared_files({"0": only_one_form}) == (SharedFile(12, "a", 5, 7, key_version=1),)
    assert parse_shared_files([]) == ()
    for wrong in ({"message": "no"}, [1], "x", [[]], [{"id": 1}], [{"id": 1, "size": 1, "name": 7}]):
        with pytest.raises(ProtocolError):
            parse_shared_files(wrong)
