"""HTTP fields against expectations written here, and hostile text that must never raise."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.model import ByteRange, Digest
from packhorse.wire import flow, http

hostile = st.text(max_size=300) | st.text(alphabet='bytes=-0123456789,/*W"\\;:% \t', max_size=60)
sizes = st.integers(0, 10**6)


@given(hostile, sizes)
def test_no_parser_raises(text: str, size: int) -> None:
    found = http.parse_range(text, size)
    assert found is None or isinstance(found, http.Unsatisfied) or 0 <= found.start < found.stop <= size
    placed = http.parse_content_range(text)
    if isinstance(placed, http.ContentRange):
        assert 0 <= placed.start < placed.stop <= (placed.total if placed.total is not None else placed.stop)
    length = http.parse_content_length([text])
    assert length is None or 0 <= length < 2**63
    http.parse_etag(text)
    http.parse_http_date(text)
    http.parse_content_disposition(text)
    http.parse_digest_field(text)
    http.parse_legacy_digest(text)
    http.parse_content_md5(text)
    http.if_none_match_hits(text, http.ETag("x"))
    http.if_range_holds(text, http.ETag("x"), 5)
    http.looks_like_html(text.encode("utf-8", "surrogatepass"))
    flow.parse_id(text)
    flow.parse_download_path(text)
    flow.parse_execution_path(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "details", "detail", "title", "errors", "validation", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(json_values, st.integers(400, 599))
def test_any_error_body_gives_a_message(body: object, status: int) -> None:
    found = flow.parse_error(body, status)
    assert isinstance(found.message, str)
    assert found.message


@given(st.integers(1, 10**12), st.data())
def test_content_range_round_trip(total: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, total - 1))
    stop = data.draw(st.integers(start + 1, total))
    text = http.build_content_range(ByteRange(start, stop), total)
    assert text == "bytes " + str(start) + "-" + str(stop - 1) + "/" + str(total)
    assert http.parse_content_range(text) == http.ContentRange(start, stop, total)
    assert http.parse_content_range(f"BYTES  {start}-{stop - 1}/*") == http.ContentRange(start, stop, None)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_ranges_against_slices(first: int, last: int, size: int) -> None:
    body = range(size)
    closed = http.parse_range(f"bytes={first}-{last}", size)
    if last < first:
        assert closed is None
    elif first >= size:
        assert closed == http.Unsatisfied(size)
    else:
        assert isinstance(closed, ByteRange)
        assert body[closed.start : closed.stop] == body[first : last + 1]
    suffix = http.parse_range(f"bytes=-{last}", size)
    if last == 0 or size == 0:
        assert suffix == http.Unsatisfied(size)
    else:
        assert isinstance(suffix, ByteRange)
        assert body[suffix.start : suffix.stop] == body[-last:]


@given(st.integers(0, 253402300799))
def test_dates(seconds: int) -> None:
    text = http.http_date(seconds)
    assert text == email.utils.formatdate(seconds, usegmt=True)
    assert http.parse_http_date(text) == seconds


@given(st.integers(0, 4102444800))
def test_old_date_forms(seconds: int) -> None:
    import time

    moment = time.gmtime(seconds)
    assert http.parse_http_date(time.asctime(moment)) == seconds
    days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    clock = time.strftime("%H:%M:%S", moment)
    date = f"{moment.tm_mday:02}-{months[moment.tm_mon - 1]}-{moment.tm_year % 100:02}"
    text = f"{days[moment.tm_wday]}, {date} {clock} GMT"
    assert http.parse_http_date(text, now=seconds) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "Sun, 31 Feb 2020 00:00:00 GMT",
        "Sun, 06 Nov 1994 25:00:00 GMT",
        "Sun, 06 Nov 0000 00:00:00 GMT",
        "1994-11-06",
    ],
)
def test_dates_that_are_none(text: str) -> None:
    assert http.parse_http_date(text) is None


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(names)
def test_disposition_round_trip(name: str) -> None:
    header = http.content_disposition(name)
    assert set(header) <= set(string.printable) - set("\r\n\t\x0b\x0c")
    assert http.parse_content_disposition(header) == name


@given(names)
def test_disposition_of_other_servers(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    sent = f'attachment; filename="{quoted}"'.encode().decode("latin-1")  # raw UTF-8, as nginx and Django once sent it
    assert http.parse_content_disposition(sent) == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment", None),
        ("", None),
        ("inline; filename=", None),
        ("attachment; filename=a b.txt", "a b.txt"),
        ("attachment; FILENAME=../../etc/passwd; size=5", "../../etc/passwd"),
        ("filename=x.txt", "x.txt"),
        ("attachment; filename*=ISO-8859-1'en'%e4.txt; filename=other", "ä.txt"),
        ("attachment; filename*=UTF-8''%ff.txt; filename=kept", "kept"),
        ("attachment; filename*=unknown''x; filename=kept", "kept"),
        ('attachment; filename="unfinished', '"unfinished'),
        ("attachment; filename=first; filename=second", "first"),
    ],
)
def test_dispositions(header: str, name: str | None) -> None:
    assert http.parse_content_disposition(header) == name


@given(st.binary(max_size=50))
def test_digests_round_trip(body: bytes) -> None:
    md5, sha = hashlib.md5(body), hashlib.sha256(body)
    md5_text, sha_text = (base64.b64encode(h.digest()).decode() for h in (md5, sha))
    both = (Digest("sha256", sha.hexdigest()), Digest("md5", md5.hexdigest()))
    field = http.repr_digest(both)
    assert field == f"sha-256=:{sha_text}:, md5=:{md5_text}:"
    assert http.parse_digest_field(field) == both
    assert http.content_md5(both[1]) == md5_text
    assert http.parse_content_md5(md5_text) == both[1]
    assert set(http.parse_legacy_digest(f"MD5={md5_text},SHA-256={sha_text},UNIXsum=3")) == set(both)
    headers = {"Content-MD5": md5_text, "Repr-Digest": f"sha-256=:{sha_text}:"}
    assert set(http.stated_digests(headers.get)) == set(both)
    assert http.stated_digests(headers.get, status=206) == (both[0],)


def test_contradicting_digests_state_nothing() -> None:
    one, two = (base64.b64encode(bytes([i] * 16)).decode() for i in (1, 2))
    headers = {"Content-MD5": one, "Repr-Digest": f"md5=:{two}:"}
    assert http.stated_digests(headers.get) == ()
    assert http.parse_digest_field(f"md5=:{one}:, md5=:{two}:") == ()


@pytest.mark.parametrize(
    ("values", "length"),
    [
        ([], None),
        (["5"], 5),
        (["5", "5"], 5),
        (["5,5"], 5),
        (["5", "05"], 5),
        (["5", "6"], None),
        (["-1"], None),
        (["+1"], None),
        (["1" * 30], None),
        (["0" * 30 + "7"], 7),
        (["9223372036854775807"], 2**63 - 1),
        (["9223372036854775808"], None),
        (["٣"], None),
        (["5.0"], None),
        ([""], None),
        (["1" * 10_000], None),
    ],
)
def test_content_length(values: list[str], length: int | None) -> None:
    assert http.parse_content_length(values) == length


@pytest.mark.parametrize(
    "text",
    [
        "bytes 0-9",
        "bytes 9-0/20",
        "bytes 0-20/20",
        "bytes -5/20",
        "items 0-1/2",
        "bytes 0-1/x",
        "bytes 0-" + "9" * 30 + "/*",
        "bytes */" + "9" * 30,
        "",
    ],
)
def test_content_ranges_that_are_none(text: str) -> None:
    assert http.parse_content_range(text) is None


def test_unsatisfied() -> None:
    assert http.parse_content_range("bytes */500") == http.Unsatisfied(500)
    assert http.parse_content_range("bytes */*") == http.Unsatisfied(None)


def test_etags() -> None:
    strong, weak = http.ETag("a"), http.ETag("a", weak=True)
    assert strong.strong_match(strong)
    assert not strong.strong_match(weak)
    assert not weak.strong_match(weak)
    assert strong.weak_match(weak)
    assert http.parse_etag("abc") is None
    assert http.parse_etag('w/"a"') is None
    assert http.if_none_match_hits('"b,\t", W/"a"', strong)
    assert not http.if_none_match_hits('"b"', strong)
    assert http.if_none_match_hits("*", strong)
    assert not http.if_match_holds('W/"a"', strong)
    assert http.if_range_holds(None, None, None)
    assert not http.if_range_holds('"a"', None, None)
    assert not http.if_range_holds('W/"a"', weak, None)
    assert http.if_range_holds(http.http_date(100), None, 100.9)
    assert not http.if_range_holds(http.http_date(101), None, 100.9)


@pytest.mark.parametrize(
    ("head", "html"),
    [
        (b"<!DOCTYPE HTML PUBLIC", True),
        (b"  \r\n<html lang=en>", True),
        (b"\xef\xbb\xbf<!doctype html>", True),
        (b'<?xml version="1.0"?>\n<html xmlns=', True),
        (b"<?xml version='1.0'?><report/>", False),
        (b"\x1f\x8b\x08", False),
        (b">seq1\nACGT", False),
        (b"", False),
        (b"<htm", False),
    ],
)
def test_html(head: bytes, html: bool) -> None:
    assert http.looks_like_html(head) is html
