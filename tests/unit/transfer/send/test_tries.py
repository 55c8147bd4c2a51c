"""Another try of a part or not: the decision alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import (
    AuthenticationError,
    NetworkError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    ProtocolError,
    RemoteError,
    ServerError,
    UsageError,
)
from packhorse.net.message import Headers
from packhorse.net.retry import RetryPolicy, judge_status
from packhorse.transfer.send.tries import judge_refusal

POLICY = RetryPolicy(retries=3)
FINAL = [UsageError("x"), NotFoundError("x"), AuthenticationError("x"), PermissionDeniedError("x", status=403)]
PASSING = [ServerError("x", status=500), ProtocolError("x"), NetworkError("x")]
PLAIN = RemoteError("x", status=0)


def decide(status: int, error: PackhorseError, attempt: int = 1, **headers: str) -> str:
    fields = Headers((name.replace("_", "-"), value) for name, value in headers.items())
    verdict = judge_status(status, fields, attempt=attempt, policy=POLICY, now=0.0, jitter=0.5)
    return judge_refusal(verdict, error, attempt=attempt, policy=POLICY, jitter=0.5).action


@pytest.mark.parametrize("error", FINAL, ids=lambda error: error.code)
def test_words_that_say_more_than_the_status_end_it(error: PackhorseError) -> None:
    assert {decide(status, error) for status in (400, 403, 404, 500, 502)} == {"fail"}
    assert {decide(status, error) for status in (429, 503)} == {"retry"}


@pytest.mark.parametrize("error", PASSING, ids=lambda error: error.code)
def test_what_may_pass_is_tried_again_whatever_the_status(error: PackhorseError) -> None:
    assert {decide(status, error) for status in (400, 401, 404, 429, 500, 503)} == {"retry"}


def test_of_a_plain_error_the_status_decides() -> None:
    assert [decide(status, PLAIN) for status in (400, 401, 404, 413, 500, 502, 503)] == ["fail"] * 4 + ["retry"] * 3


@given(
    st.sampled_from([400, 401, 403, 404, 413, 429, 500, 502, 503]),
    st.sampled_from([*FINAL, *PASSING, PLAIN]),
    st.sampled_from(["", "0", "3"]),
)
def test_it_ends(status: int, error: PackhorseError, wait: str) -> None:
    headers = {"Retry_After": wait} if wait else {}
    assert decide(status, error, 13, **headers) == "fail"
