"""When to try again: tables."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import (
    AuthenticationError,
    ChangedError,
    DestinationError,
    IntegrityError,
    NetworkError,
    PackhorseError,
    ProtocolError,
    RateLimitedError,
    RefusedError,
    RemoteError,
    ServerError,
    StalledError,
    TlsError,
    UsageError,
)
from packhorse.net.message import Headers
from packhorse.net.retry import RetryPolicy, asked_wait, judge_error, judge_status

NOW = 1_700_000_000.0
POLICY = RetryPolicy()


@pytest.mark.parametrize(
    ("name", "value", "wait"),
    [
        ("Retry-After", "7", 7.0),
        ("Retry-After", " 7 ", 7.0),
        ("Retry-After", "1.5", 1.5),
        ("Retry-After", formatdate(NOW + 90, usegmt=True), 90.0),
        ("Retry-After", formatdate(NOW - 90, usegmt=True), 0.0),
        ("Retry-After", "-7", None),
        ("Retry-After", "7s", None),
        ("Retry-After", "", None),
        ("Retry-After", "nan", None),
        ("Retry-After", "inf", None),
        ("Retry-After", "1e9", None),
        ("Retry-After", "9" * 5000, None),
        ("Retry-After", "Thu, 99 Foo 2099 99:99:99 GMT", None),
        ("RateLimit", '"default";r=0;t=12', 12.0),
        ("RateLimit", "limit=10, remaining=0, reset=50", 50.0),
        ("RateLimit", '"default";r=0', None),
        ("RateLimit-Reset", "30", 30.0),
        ("RateLimit-Reset", "soon", None),
        ("X-RateLimit-Reset", "30", 30.0),
        ("X-RateLimit-Reset", str(int(NOW + 45)), 45.0),
        ("X-RateLimit-Reset", str(int(NOW - 45)), 0.0),
        ("X-Rate-Limit-Reset", "5", 5.0),
        ("X-Other", "5", None),
    ],
)
def test_every_form_of_asking(name: str, value: str, wait: float | None) -> None:
    assert asked_wait(Headers([(name, value)]), NOW) == wait


def test_retry_after_comes_first_and_an_unreadable_one_hides_nothing() -> None:
    assert asked_wait(Headers([("RateLimit-Reset", "9"), ("Retry-After", "2")]), NOW) == 2.0
    assert asked_wait(Headers([("RateLimit-Reset", "9"), ("Retry-After", "later")]), NOW) == 9.0


HEADERS = ("Retry-After", "RateLimit", "RateLimit-Reset", "X-RateLimit-Reset")


@given(
    st.sampled_from(HEADERS),
    st.one_of(
        st.text(max_size=80),
        st.text("0123456789-+.:, GMT", max_size=60),
        st.from_regex(
            r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d( GMT| [+-]\d{4,6})?", fullmatch=True
        ),
    ),
)
def test_hostile_values_are_no_wait_or_one_that_is_counted(name: str, value: str) -> None:
    wait = asked_wait(Headers([(name, value)]), NOW)
    assert wait is None or 0 <= wait < 1e13


def test_backoff_grows_within_its_spread_and_is_capped() -> None:
    assert POLICY.backoff(1, 0.5) == 0.5
    assert POLICY.backoff(4, 0.0) == 4.0 * 0.75
    assert POLICY.backoff(4, 1.0) == 4.0 * 1.25
    assert POLICY.backoff(1000, 0.5) == POLICY.cap


def verdict(status: int, attempt: int = 1, **headers: str):  # type: ignore[no-untyped-def]
    fields = Headers([(name.replace("_", "-"), value) for name, value in headers.items()])
    return judge_status(status, fields, attempt=attempt, policy=POLICY, now=NOW, jitter=0.5)


@pytest.mark.parametrize(
    ("status", "attempt", "action"),
    [
        (401, 1, "renew"),
        (401, 99, "renew"),
        *((status, 1, "retry") for status in (408, 425, 429, 500, 502, 503, 504)),
        *((status, 3, "retry") for status in (429, 500, 503)),
        *((status, 4, "fail") for status in (429, 500, 503)),
        *((status, 1, "fail") for status in (400, 403, 404, 405, 409, 410, 416, 422, 501, 505)),
    ],
)
def test_statuses(status: int, attempt: int, action: str) -> None:
    assert verdict(status, attempt).action == action


def test_an_overload_slows_everyone_down() -> None:
    for status in (429, 503):
        got = verdict(status, Retry_After="3")
        assert (got.action, got.delay, got.slow_down, got.everyone) == ("retry", 3.0, True, True)
    for status in (500, 502, 504, 408):
        got = verdict(status, Retry_After="3")
        assert (got.action, got.delay, got.slow_down, got.everyone) == ("retry", 3.0, False, False)


def test_a_storm_that_says_how_long_is_waited_for_longer() -> None:
    assert verdict(429, 12, Retry_After="1").action == "retry"
    assert verdict(429, 13, Retry_After="1").action == "fail"
    assert verdict(429, 1, Retry_After="0").delay > 0


def test_more_than_ten_minutes_is_not_waited_for() -> None:
    assert verdict(429, Retry_After="600").action == "retry"
    got = verdict(503, Retry_After="601")
    assert (got.action, got.too_long, got.delay) == ("fail", True, 601.0)


@pytest.mark.parametrize("status", [408, 500, 502, 504])
def test_a_quota_that_is_shown_on_every_answer_delays_no_other_error(status: int) -> None:
    # Many services send RateLimit-Reset with every answer; only 429 and 503 mean it as a wait.
    got = verdict(status, RateLimit_Reset="3000", X_RateLimit_Reset="3000", RateLimit='"d";r=9;t=3000')
    assert (got.action, got.too_long) == ("retry", False)
    assert got.delay < 1


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (NetworkError("x"), "retry"),
        (RefusedError("x"), "retry"),
        (StalledError("x"), "retry"),
        (ProtocolError("x"), "retry"),
        (ServerError("x", status=500), "retry"),
        (TlsError("x"), "fail"),
        (RateLimitedError("x", status=429), "fail"),
        (RemoteError("x", status=404), "fail"),
        (IntegrityError("x", expected="", got=""), "fail"),
        (ChangedError("x"), "fail"),
        (DestinationError("x"), "fail"),
        (AuthenticationError("x"), "fail"),
        (UsageError("x"), "fail"),
    ],
)
def test_errors(error: PackhorseError, action: str) -> None:
    assert judge_error(error, attempt=1, policy=POLICY, jitter=0.5).action == action
    assert judge_error(error, attempt=4, policy=POLICY, jitter=0.5).action == "fail"
