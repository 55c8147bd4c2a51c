from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from packhorse.errors import DestinationError
from packhorse.receipts.log import DownloadLog
from packhorse.transfer.events import Placed, Started


def test_a_line_as_in_the_guide(tmp_path: Path) -> None:
    with DownloadLog(tmp_path / "downloads.log") as log:
        log(Started(path="a"))
        log(Placed(path="sub/reads.fastq.gz", key="789", size=10, proof="md5", time=1700000000.25))
        log(Placed(path="b", key="790", size=10, proof="md5", reused=True))
    (line,) = (tmp_path / "downloads.log").read_text().splitlines()
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,250) - (\{.*\})", line)
    assert match
    facts = json.loads(match[2])
    assert facts == {
        "action": "download",
        "file_id": "789",
        "filename": "reads.fastq.gz",
        "size": 10,
        "timestamp": "2023-11-14T22:13:20.250000",
    }
    assert datetime.fromisoformat(facts["timestamp"]).tzinfo is None


def test_a_second_run_appends_and_line_feeds_in_names_stay_inside(tmp_path: Path) -> None:
    for name in ("a", "b\nFAKE - {}"):
        with DownloadLog(tmp_path / "log") as log:
            log(Placed(path=name, size=1, proof="none"))
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_a_log_that_cannot_be_opened_is_said_before_anything_moves(tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match="the log cannot be written"):
        DownloadLog(tmp_path)
