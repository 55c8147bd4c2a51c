"""The note of what was just sent: private, short-lived, and never trusted further than it is whole."""

import os
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packhorse.transfer.outgoing import LocalFile
from packhorse.transfer.send.journal import journal_path
from packhorse.transfer.send.sent import KEPT, Sent, forget_sent, remember_sent, sent_before

KEY = "0123456789abcdef"
FILES = [LocalFile(Path("/d/a"), "a", 3, 7, 1, 2), LocalFile(Path("/d/b"), "b", 0, 8, 1, 3)]


def sent(when: float) -> Sent:
    return Sent(when, "12", {"recipients": [{"download_url": "https://h/?s=download&token=t"}]}, {"id": 12}, {"a": "1"})


def note(state: Path) -> Path:
    return journal_path(state, KEY).with_suffix(".sent")


def test_it_is_read_as_it_was_written_and_private(tmp_path: Path) -> None:
    remember_sent(tmp_path, KEY, FILES, sent(1000.0))
    assert sent_before(tmp_path, KEY, FILES, now=1000.0 + KEPT - 1) == sent(1000.0)
    assert sent_before(tmp_path, KEY, FILES[::-1], now=1000.0) == sent(1000.0)
    if os.name == "posix":
        assert stat.S_IMODE(note(tmp_path).stat().st_mode) == 0o600
    assert sent_before(tmp_path, "f" * 16, FILES, now=1000.0) is None
    forget_sent(tmp_path, KEY)
    forget_sent(tmp_path, KEY)
    assert sent_before(tmp_path, KEY, FILES, now=1000.0) is None


@pytest.mark.parametrize("now", [1000.0 + KEPT, 1000.0 - KEPT])
def test_it_ends_after_some_days(tmp_path: Path, now: float) -> None:
    remember_sent(tmp_path, KEY, FILES, sent(1000.0))
    assert sent_before(tmp_path, KEY, FILES, now=now) is None


@pytest.mark.parametrize(
    "now",
    [
        FILES[:1],
        [*FILES, LocalFile(Path("/d/c"), "c", 0, 8, 1, 3)],
        [FILES[0], LocalFile(Path("/d/b"), "b", 1, 8, 1, 3)],
        [FILES[0], LocalFile(Path("/d/b"), "b", 0, 9, 1, 3)],
        [FILES[0], LocalFile(Path("/d/b"), "b", 0, 8, 1, 4)],
    ],
    ids=["fewer", "more", "size", "time", "another file"],
)
def test_other_files_are_another_upload(tmp_path: Path, now: list[LocalFile]) -> None:
    remember_sent(tmp_path, KEY, FILES, sent(1000.0))
    assert sent_before(tmp_path, KEY, now, now=1000.0) is None


def test_old_notes_are_removed_with_the_next(tmp_path: Path) -> None:
    remember_sent(tmp_path, "f" * 16, FILES, sent(1000.0))
    old = journal_path(tmp_path, "f" * 16).with_suffix(".sent")
    os.utime(old, (time.time() - KEPT - 60,) * 2)
    remember_sent(tmp_path, KEY, FILES, sent(time.time()))
    assert not old.exists()
    assert note(tmp_path).exists()


@pytest.mark.skipif(os.name != "posix", reason="mode bits")
def test_what_others_could_read_or_write_says_nothing(tmp_path: Path) -> None:
    remember_sent(tmp_path, KEY, FILES, sent(1000.0))
    note(tmp_path).chmod(0o666)
    assert sent_before(tmp_path, KEY, FILES, now=1000.0) is None


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 400), junk=st.binary(max_size=20))
def test_a_damaged_note_says_nothing(tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes) -> None:
    state = tmp_path_factory.mktemp("state")
    remember_sent(state, KEY, FILES, sent(1000.0))
    whole = note(state).read_bytes()
    note(state).write_bytes(whole[:cut] + junk)
    found = sent_before(state, KEY, FILES, now=1000.0)
    assert found is None or whole.startswith(whole[:cut] + junk) or found.time == 1000.0


def test_a_state_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("a file is in the way")
    remember_sent(tmp_path, KEY, FILES, sent(1000.0))
    assert sent_before(tmp_path, KEY, FILES, now=1000.0) is None
