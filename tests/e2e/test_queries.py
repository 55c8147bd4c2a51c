"""Queries typed against ``packhorse serve --demo``; the output that docs/queries.md shows is what is printed.

``PACKHORSE_WRITE_QUERIES=1`` writes the output into the page instead.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from packhorse.wire.immport.models import MODELS

from .typed import CLI, DemoServer, Typist, demo_server, one_error

PAGE = Path(__file__).parents[2] / "docs/queries.md"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMES = MODELS["VElisaResult"].names


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DemoServer, Typist]]:
    folder = tmp_path_factory.mktemp("demo")
    with demo_server(folder) as running:
        yield running, Typist(folder)


@pytest.fixture(scope="module")
def signed_in(server: tuple[DemoServer, Typist], tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """Signed in at ``lab``, which is the demo."""
    made = Typist(tmp_path_factory.mktemp("signed-in"))
    made("remote", "add", "lab", "immport", server[0].url)
    made("login", "lab", "--username", "demo", "--password-stdin", stdin=server[0].passwords["demo"])
    return made


@pytest.fixture
def typist(signed_in: Typist) -> Typist:
    """With nothing in the working folder."""
    for path in signed_in.work.iterdir():
        path.unlink()
    return signed_in


def test_two_studies_in_every_format(typist: Typist) -> None:
    asked = ("query", "lab", "elisa", "--studyAccession", "SDY2,SDY4")
    lines = typist(*asked).out.splitlines()
    assert lines[0].split("\t") == list(NAMES)
    rows = [dict(zip(NAMES, line.split("\t"), strict=True)) for line in lines[1:]]
    studies = [row["studyAccession"] for row in rows]
    assert set(studies) == {"SDY2", "SDY4"}
    assert studies == sorted(studies)
    assert rows[0]["resultId"] == "89390"
    assert rows[0]["maxSubjectAge"] == "1.0"
    as_json = json.loads(typist(*asked, "--format", "json").out)
    assert [row["resultId"] for row in as_json] == [int(row["resultId"]) for row in rows]
    assert as_json[0]["ageEventSpecify"] is None
    assert len(list(csv.DictReader(io.StringIO(typist(*asked, "--format", "csv").out)))) == len(rows)
    done = typist(*asked, "-o", "rows.parquet", "--json")
    assert done.events("written")[0]["rows"] == len(rows)
    frame = pd.read_parquet(typist.work / "rows.parquet")
    assert list(frame.columns) == list(NAMES)
    assert str(frame["valuePreferred"].dtype) == "float64"
    by_event = [line["row"] for line in typist(*asked, "--json", "--wire", "json").objects]
    assert by_event == as_json


def test_filters_choose_rows(typist: Typist) -> None:
    asked = ("query", "lab", "elisa", "--studyAccession", "SDY2", "--format", "ndjson")
    everything = [json.loads(line) for line in typist(*asked).out.splitlines()]
    women = [json.loads(line) for line in typist(*asked, "--gender", "female").out.splitlines()]
    assert women == [row for row in everything if row["gender"] == "Female"]
    assert 0 < len(women) < len(everything)
    some = typist(*asked, "--subject-accession", "SUB106751", "--limit", "1")
    assert json.loads(some.out)["subjectAccession"] == "SUB106751"
    none = typist("query", "lab", "elisa", "--studyAccession", "SDY2", "--armName", "no such arm")
    assert (none.code, none.out.count("\n"), "no row matches" in none.err) == (0, 1, True)


def test_every_kind_of_query(typist: Typist) -> None:
    for name in ("study/summary", "demographic", "study/manifest", "ui/subject/demographics"):
        done = typist("query", "lab", name, "--studyAccession", "SDY2", "--format", "json")
        assert done.code == 0, done.said
        assert json.loads(done.out), name
    restricted = typist("query", "lab", "study/getRestrictedStudyAccessions", "--format", "json")
    assert restricted.code == 0
    assert typist("lookup", "lab", "lkSex", "--format", "json").code == 0
    assert typist("studies", "show", "lab", "sdy2").out.startswith("studyAccession: SDY2")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("elisa", "--gender", "Femal"), 2, ["'Femal' is not in the vocabulary lkSex", "'Female'"]),
        (("elisa", "--studyAcession", "SDY2"), 2, ["--studyAcession", "--studyAccession"]),
        (("elisaa",), 2, ["no query 'elisaa'", "packhorse query --list"]),
        (("elisa", "--studyAccession", "SDY2; $(id)"), 2, ["no study accession"]),
        (("elisa", "--minSubjectAge", "old"), 2, ["is a number"]),
        (("arm",), 2, ["--studyAccession"]),
        (("arm", "--studyAccession", "SDY99999"), 4, ["SDY99999"]),
        (("elisa", "--studyAccession", "SDY2", "-o", "rows.xlsx"), 2, ["does not say a format"]),
    ],
)
def test_what_is_wrong_is_told_and_leaves_nothing(
    typist: Typist, words: tuple[str, ...], code: int, told: list[str]
) -> None:
    one_error(typist("query", "lab", *words), code, *told)
    assert list(typist.work.iterdir()) == []


def test_without_a_token_it_says_how_to_sign_in(server: tuple[DemoServer, Typist], tmp_path: Path) -> None:
    typist = Typist(tmp_path)
    typist("remote", "add", "lab", "immport", server[0].url)
    one_error(typist("query", "lab", "elisa", "--studyAccession", "SDY2"), 3, "packhorse login lab")
    assert typist("lookup", "lab", "lkSex").code == 0
    assert typist("studies", "search", "lab", "vaccination").code == 0


def test_a_reader_that_goes_away_is_no_error(typist: Typist) -> None:
    command = (
        f'"{CLI[0]}" -m packhorse.cli query lab elisa --studyAccession SDY2,SDY4 | head -1; echo "${{PIPESTATUS[0]}}"'
    )
    done = subprocess.run(
        ["bash", "-c", command], env=typist.environ(), cwd=typist.work, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("resultId\t")
    assert done.stdout.splitlines()[-1] in ("0", "141")
    assert done.stderr == ""


def on_terminal(command: str, environ: dict[str, str], work: Path) -> str:
    """What a terminal of 80 columns shows, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(
        ["bash", "-c", command], env=environ, cwd=work, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the terminal's other side is closed
                break
            if not piece:
                break
            shown += piece
        process.wait(60)
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")


def test_the_page_shows_what_is_printed(server: tuple[DemoServer, Typist], tmp_path: Path) -> None:
    running, demo = server
    script = tmp_path / "bin/packhorse"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{CLI[0]}" -m packhorse.cli "$@"\n')
    script.chmod(0o755)
    demo("login", "demo-immport", "--username", "demo", "--password-stdin", stdin=running.passwords["demo"])
    environ = demo.environ(PATH=f"{script.parent}:{os.environ['PATH']}", TERM="xterm", COLUMNS="80")
    text = PAGE.read_text(encoding="utf-8")
    for block in BLOCK.findall(text):
        said = ""
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            output = on_terminal(command, environ, tmp_path).rstrip()
            said += f"$ {command}\n{output}\n"
            if not os.environ.get("PACKHORSE_WRITE_QUERIES"):
                assert output == expected.rstrip(), f"$ {command}"
        text = text.replace(f"```console\n{block}```", f"```console\n{said}```", 1)
    if os.environ.get("PACKHORSE_WRITE_QUERIES"):
        PAGE.write_text(text, encoding="utf-8")
