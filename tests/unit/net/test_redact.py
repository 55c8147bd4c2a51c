"""What may be shown of URLs and servers' texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.net.redact import show_text, show_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/a", "https://h/a"),
        ("https://me:pw@h:8443/a?X-Sig=abc#frag", "https://h:8443/a?…"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("http://h:port/", "an unreadable URL"),
        ("http://[::1/", "an unreadable URL"),
        ("http://h/a\x1b[2Jb", "http://h/a [2Jb"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    assert show_url(url) == shown


SECRET = "s3cr3tv4lue"


@given(st.text(max_size=20), st.text(max_size=20))
def test_neither_query_nor_user_is_ever_shown(before: str, after: str) -> None:
    safe = "".join(ch for ch in before if ch not in "/?#@\\[]")
    assert SECRET not in show_url(f"https://{safe}:{SECRET}@host/path?{after}")
    assert SECRET not in show_url(f"https://host/path?{after}{SECRET}&{before}")
    assert SECRET not in show_url(f"https://host/path#{after}{SECRET}")


@given(st.text(max_size=500), st.integers(1, 200))
def test_a_text_is_one_bounded_printable_line(text: str, limit: int) -> None:
    shown = show_text(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    assert "\n" not in shown
