"""Which answers are taken for the bytes that were asked for. Nothing here is computed with the code under test."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import ChangedError, PackhorseError, ProtocolError
from packhorse.model import ByteRange, Identity
from packhorse.net.message import Headers, ResponseHead
from packhorse.transfer.answer import Answer, Expectation, FirstAnswer, framed, identity_of, judge

ETAG = Identity("etag", "v1", 100)
PORTAL = Identity("id", "file-1", 100)
WEAK = Identity("weak", "@784111777", 100)
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def head(status: int, **fields: str) -> ResponseHead:
    return ResponseHead(
        status, Headers([(name.replace("_", "-"), value) for name, value in fields.items()]), "http://h/"
    )


def asking(start: int, stop: int, **more: object) -> Expectation:
    return Expectation(ByteRange(start, stop), **more)  # type: ignore[arg-type]


WHOLE = Expectation(None)


@pytest.mark.parametrize(
    ("answer", "expected", "verdict"),
    [
        (head(206, Content_Range="bytes 10-19/100"), asking(10, 20), Answer("part", ByteRange(10, 20), 100)),
        (head(206, Content_Range="bytes 10-15/100"), asking(10, 20), Answer("part", ByteRange(10, 16), 100)),
        (head(206, Content_Range="bytes 10-19/*"), asking(10, 20, total=100), Answer("part", ByteRange(10, 20), 100)),
        (head(206, Content_Range="bytes 10-19/*"), asking(10, 20), Answer("part", ByteRange(10, 20), None)),
        (head(200, Content_Length="100"), WHOLE, Answer("whole", total=100)),
        (head(200), WHOLE, Answer("whole", total=None)),
        (head(200), Expectation(None, total=100), Answer("whole", total=100)),
        (head(200, Content_Length="100"), asking(10, 20), Answer("whole", total=100)),
        (head(304), WHOLE, Answer("same")),
        (head(416, Content_Range="bytes */100"), asking(100, 200), Answer("complete", total=100)),
        (head(416, Content_Range="bytes */0"), asking(0, 20), Answer("complete", total=0)),
        (head(416, Content_Range="bytes */100"), asking(50, 60), Answer("refused")),
        (head(416), asking(100, 200), Answer("refused")),
        (head(416, Content_Range="bytes */100"), WHOLE, Answer("refused")),
        *((head(status), WHOLE, Answer("refused")) for status in (400, 401, 403, 404, 410, 429, 500, 503)),
    ],
)
def test_verdicts(answer: ResponseHead, expected: Expectation, verdict: Answer) -> None:
    assert judge(answer, expected) == verdict


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (head(206, Content_Range="bytes 0-9/100"), WHOLE),
        (head(206), asking(10, 20)),
        (head(206, Content_Range="bytes */100"), asking(10, 20)),
        (head(206, Content_Range="rubbish"), asking(10, 20)),
        (head(206, Content_Range="bytes 11-19/100"), asking(10, 20)),
        (head(206, Content_Range="bytes 9-19/100"), asking(10, 20)),
        (head(206, Content_Range="bytes 10-20/100"), asking(10, 20)),
        (head(206, Content_Range="bytes 10-99/100"), asking(10, 20)),
        (head(206, Content_Range="bytes 10-19/100", Content_Encoding="gzip"), asking(10, 20)),
        (head(206, Content_Range="bytes 10-19/101"), asking(10, 20, total=100)),
        (head(206, Content_Range="bytes 10-19/101"), asking(10, 20, total=100, identity=PORTAL)),
        (head(200, Content_Length="99"), Expectation(None, total=100)),
        (head(200, Content_Length="100", Content_Encoding="gzip"), WHOLE),
        (head(200, Content_Length="60", Content_Encoding="br"), Expectation(None, total=100)),
        (head(200, Content_Type="text/html; charset=utf-8", Content_Length="50"), WHOLE),
        (head(200, Content_Type="TEXT/HTML", Content_Length="50"), Expectation(None, name="reads.fastq")),
        (head(200, Content_Type="application/xhtml+xml"), WHOLE),
        (head(204), WHOLE),
        (head(202), WHOLE),
        (head(201), asking(1, 2)),
    ],
)
def test_what_breaks_the_rules(answer: ResponseHead, expected: Expectation) -> None:
    with pytest.raises(ProtocolError):
        judge(answer, expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (head(206, Content_Range="bytes 10-19/101", ETag='"v1"'), asking(10, 20, total=100, identity=ETAG)),
        (head(206, Content_Range="bytes 10-19/100", ETag='"v2"'), asking(10, 20, total=100, identity=ETAG)),
        (head(206, Content_Range="bytes 10-19/100", ETag='W/"v1"'), asking(10, 20, total=100, identity=ETAG)),
        (head(200, Content_Length="100", ETag='"v2"'), asking(10, 20, total=100, identity=ETAG)),
        # A 206 is the answer to If-Range; a 200 that says nothing may be of anything.
        (head(200, Content_Length="100"), asking(10, 20, total=100, identity=ETAG)),
        (head(200), asking(10, 20, total=100, identity=ETAG)),
        (
            head(200, Content_Length="100", Last_Modified="Mon, 07 Nov 1994 08:49:37 GMT"),
            Expectation(None, identity=WEAK),
        ),
        (head(200, Content_Length="100", ETag='"v1"'), Expectation(None, total=100, identity=WEAK)),
        (head(416, Content_Range="bytes */100"), asking(100, 200, total=300)),
        (head(416, Content_Range="bytes */50"), asking(100, 200)),
    ],
)
def test_another_object(answer: ResponseHead, expected: Expectation) -> None:
    with pytest.raises(ChangedError):
        judge(answer, expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (head(206, Content_Range="bytes 10-19/100"), asking(10, 20, total=100, identity=ETAG)),
        (head(206, Content_Range="bytes 10-19/100", ETag='"v1"'), asking(10, 20, total=100, identity=ETAG)),
        (head(206, Content_Range="bytes 10-19/100", ETag='"v2"'), asking(10, 20, total=100, identity=PORTAL)),
        (head(200, ETag='"v2"', Content_Length="100"), Expectation(None, total=100, identity=PORTAL)),
        (head(206, Content_Range="bytes 10-19/100", Last_Modified=DATE), asking(10, 20, total=100, identity=WEAK)),
        (head(200, Content_Type="text/html", Content_Length="9"), Expectation(None, name="report.HTML")),
        (head(200, Content_Type="text/html"), Expectation(None, media_type="text/html")),
        (head(200, Content_Type="text/html"), Expectation(None, has_digest=True)),
        (head(200, Content_Type="text/html", Content_Length="9"), Expectation(None, total=9)),
        (head(200, Content_Encoding="gzip", Content_Length="100"), Expectation(None, total=100)),
        (head(200, Content_Encoding="gzip"), Expectation(None, has_digest=True)),
        (head(200, Content_Encoding="identity"), WHOLE),
    ],
)
def test_the_same_object_or_a_page_that_was_wanted(answer: ResponseHead, expected: Expectation) -> None:
    assert judge(answer, expected).kind in ("part", "whole")


numbers = st.one_of(st.integers(0, 60), st.integers(0, 2**70))


@given(
    start=st.integers(0, 50),
    length=st.integers(1, 20),
    got_first=numbers,
    got_last=numbers,
    got_total=st.one_of(numbers, st.just("*")),
    total=st.one_of(st.none(), st.integers(50, 80)),
    identity=st.sampled_from([None, ETAG, PORTAL]),
)
def test_a_206_is_taken_only_for_what_was_asked(
    start: int, length: int, got_first: int, got_last: int, got_total: int | str, total: int | None, identity: Identity
) -> None:
    answer = head(206, Content_Range=f"bytes {got_first}-{got_last}/{got_total}", ETag='"v1"')
    try:
        verdict = judge(answer, Expectation(ByteRange(start, start + length), total=total, identity=identity))
    except PackhorseError:
        honest = (
            got_first == start
            and got_first <= got_last < start + length
            and (
                got_total == "*"
                or (got_last < got_total and got_total in (total, got_total if total is None else total))
            )
        )
        assert not honest
        return
    assert verdict.kind == "part"
    assert verdict.range is not None
    assert verdict.range.start == start == got_first
    assert got_first <= got_last < start + length
    if got_total != "*":
        assert total in (None, got_total)
        assert got_last < int(got_total)


@given(
    st.sampled_from([200, 206]) | st.integers(100, 599),
    st.text(max_size=30),
    st.text(max_size=30),
    st.text(max_size=30),
    st.booleans(),
)
def test_rubbish_is_never_more_than_an_error(status: int, one: str, two: str, three: str, ranged: bool) -> None:
    answer = head(status, Content_Range=one, Content_Length=two, ETag=three, Last_Modified=three, Content_Type=two)
    expected = asking(10, 20, total=100) if ranged else Expectation(None, total=100)
    try:
        verdict = judge(answer, expected)
    except PackhorseError:
        return
    if verdict.kind not in ("part", "whole"):
        return
    assert status == (206 if verdict.kind == "part" else 200)
    assert verdict.total == 100
    FirstAnswer.of(answer, verdict)


@pytest.mark.parametrize(
    ("fields", "version", "marked"),
    [
        ({"Content_Length": "5"}, "1.1", True),
        ({"Transfer_Encoding": "chunked"}, "1.1", True),
        ({"Transfer_Encoding": "Gzip, Chunked"}, "1.1", True),
        ({}, "1.1", False),
        ({"Content_Length": "-5"}, "1.1", False),
        ({}, "2", True),
        ({}, "3", True),
        ({}, "1.0", False),
    ],
)
def test_whether_the_end_is_marked(fields: dict[str, str], version: str, marked: bool) -> None:
    answer = head(200, **fields)
    assert framed(ResponseHead(answer.status, answer.headers, answer.url, version)) is marked


@pytest.mark.parametrize(
    ("fields", "kind", "value"),
    [
        ({"ETag": '"a"'}, "etag", "a"),
        ({"ETag": 'W/"a"', "Last_Modified": DATE}, "weak", "a@784111777"),
        ({"ETag": "unquoted", "Last_Modified": DATE}, "weak", "@784111777"),
        ({"Last_Modified": "yesterday"}, "weak", "@"),
        ({}, "weak", "@"),
    ],
)
def test_what_an_answer_says_of_itself(fields: dict[str, str], kind: str, value: str) -> None:
    assert identity_of(head(200, **fields), 7) == Identity(kind, value, 7)  # type: ignore[arg-type]


def test_what_the_first_answer_fixes() -> None:
    answer = head(
        206, Content_Range="bytes 0-0/9", ETag='"a"', Last_Modified=DATE, Content_MD5="1B2M2Y8AsgTpgAmY7PhCfg=="
    )
    first = FirstAnswer.of(answer, judge(answer, asking(0, 1)))
    assert (first.identity, first.size, first.modified, first.ranges) == (Identity("etag", "a", 9), 9, 784111777, True)
    assert first.digests == ()  # Content-MD5 of a part speaks of the part
    whole = head(200, Content_Length="0", Content_MD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    first = FirstAnswer.of(whole, judge(whole, WHOLE))
    assert [str(digest) for digest in first.digests] == ["md5:d41d8cd98f00b204e9800998ecf8427e"]
    assert not first.ranges
