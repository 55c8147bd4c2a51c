"""Submitting to ImmPort from the command line, against ``packhorse serve --demo``."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.immport_upload import FILES, SAMPLE_COLUMNS, SAMPLES, sample, template

from .typed import DemoServer, Ran, Typist, demo_server, one_error

VIA = ("--via", "demo-immport")
QUICK = ("--poll", "0.1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    with demo_server(tmp_path_factory.mktemp("immport-upload")) as running:
        yield running


@pytest.fixture
def packhorse(server: DemoServer, tmp_path: Path) -> Typist:
    typist = Typist(tmp_path, {"PACKHORSE_DEMO_URL": server.url}, secrets=[server.passwords["demo"]])
    (typist.home / "config").mkdir(parents=True, exist_ok=True)
    typist.variables["PACKHORSE_LAB_TOKEN"] = server.keys["demo"]
    added = typist("remote", "add", "lab", "immport", server.url)
    assert added.code == 0, added.said
    return typist


LAB = ("--via", "lab", *QUICK)


def write(folder: Path, tag: str, **changed: bytes | None) -> Path:
    """The small package in a folder, with IDs of its own."""
    folder.mkdir(parents=True)
    ids = "mouse study|flow protocol|arm 1|visit [07]|mouse [12]|blood [123]|tube [12]|flow"
    for name, given in FILES.items():
        content = given
        if name.endswith(".txt") and name != "flow_protocol.txt":
            content = re.sub(rf"(?m)(?<=\t)({ids})(?=\t|$)", rf"\1 {tag}", given.decode()).encode()
        held = changed.get(name.replace(".", "_"), content)
        if held is not None:
            (folder / name).write_bytes(held)
    return folder


def as_zip(folder: Path) -> Path:
    place = folder.with_suffix(".zip")
    with zipfile.ZipFile(place, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return place


def ticket_of(ran: Ran) -> str:
    found = re.search(r"(demo_[0-9]{8}_[0-9]+): Completed", ran.out)
    assert found is not None, ran.said
    return found[1]


def test_a_zip_is_validated_and_stored_and_its_ticket_is_known(packhorse: Typist) -> None:
    place = as_zip(write(packhorse.work / "small", "cli zip"))
    ran = packhorse("immport", "upload", str(place), *LAB)
    assert ran.code == 0, ran.said
    assert "nothing is wrong with it" in ran.err
    assert re.search(r"bioSamples.txt +2 +BS\d+ +BS\d+", ran.out), ran.out
    ticket = ticket_of(ran)
    report = Path(re.search(r"^report: (.*)$", ran.out, re.MULTILINE)[1])  # type: ignore[index]
    assert report.read_bytes().startswith(b"EXPERIMENT DATA UPLOAD REPORT\r\n")
    assert max(map(len, ran.out.splitlines())) <= max(80, len(f"report: {report}"))

    listed = packhorse("immport", "ticket", "--via", "lab")
    assert listed.code == 0
    assert ticket in listed.out
    assert "validateData" in listed.out
    shown = packhorse("immport", "ticket", ticket, "--via", "lab", "--json")
    (told,) = shown.events("report")
    assert (told["status"], told["rejected"]) == ("Completed", False)
    record = next(one for one in told["records"] if one.get("USER_DEFINED_ID") == "blood 1 cli zip")
    assert record["FILENAME"] == "bioSamples.txt"
    assert re.fullmatch(r"BS\d+", record["BIOSAMPLE_ACCESSION"])
    packhorse.no_secret_on_disk()


def test_a_folder_is_sent_file_by_file(packhorse: Typist) -> None:
    write(packhorse.work / "loose", "cli loose")
    ran = packhorse("immport", "validate", "loose", *LAB)
    assert ran.code == 0, ran.said
    assert "Completed_Validation" in ran.out
    ran = packhorse("immport", "upload", "loose", "--no-validate", *LAB, "--quiet")
    assert (ran.code, ran.out) == (0, "Completed\n"), ran.said


def test_a_rejected_package_is_exit_1_with_its_rows_and_the_report_on_disk(packhorse: Typist) -> None:
    wrong = template("bioSamples", SAMPLE_COLUMNS, sample("x", "nobody", Study_Time_Collected="soon", Type=""))
    write(packhorse.work / "wrong", "cli wrong", bioSamples_txt=wrong.encode())
    ran = packhorse("immport", "upload", "wrong", "--report", "why.txt", *LAB)
    assert ran.code == 1, ran.said
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "bioSamples.txt, line 4" in ran.out
    assert "'Study Time Collected' must be a number; it is 'soon'" in ran.out
    assert "error: lab rejected the package: " in ran.err
    assert "hint: the whole report: why.txt" in ran.err
    text = (packhorse.work / "why.txt").read_text()
    assert "File Name\tLine Number\tStatus\tError Message\tDescription" in text
    assert "'nobody' is neither an ID of a subject" in text
    told = packhorse("immport", "validate", "wrong", *LAB, "--json")
    assert told.code == 1
    (report,) = told.events("report")
    assert report["rejected"] is True
    assert {row["status"] for row in report["rows"]} >= {"Error", "Parsing"}
    (error,) = told.events("error")
    assert (error["code"], error["exit_code"]) == ("rejected", 1)


def test_the_same_command_again_goes_on_with_its_ticket(packhorse: Typist, server: DemoServer) -> None:
    """What a cut after the answer leaves behind: a ticket that was written down and is not at its end."""
    place = as_zip(write(packhorse.work / "again", "cli again"))
    assert packhorse("immport", "validate", str(place), *LAB).code == 0
    (book,) = (packhorse.home / "state" / "immport-tickets" / "lab").glob("*.json")
    held = json.loads(book.read_text())
    assert oct(book.stat().st_mode & 0o777) == "0o600" or os.name != "posix"
    book.write_text(json.dumps(held | {"status": "Pending_Validation"}))
    ran = packhorse("immport", "validate", str(place), *LAB)
    assert ran.code == 0, ran.said
    assert f"{held['ticket']}: this package is there already" in ran.err
    assert len(list(book.parent.glob("*.json"))) == 1
    os.utime(place)  # another file, as far as anybody can tell
    book.write_text(json.dumps(held | {"status": "Pending_Validation"}))
    assert packhorse("immport", "validate", str(place), *LAB).code == 0
    assert len(list(book.parent.glob("*.json"))) == 2


def test_a_batch_update(packhorse: Typist) -> None:
    place = as_zip(write(packhorse.work / "before", "cli batch"))
    ran = packhorse("immport", "upload", str(place), *LAB, "--json")
    assert ran.code == 0, ran.said
    (report,) = ran.events("report")
    accession = next(
        one["BIOSAMPLE_ACCESSION"] for one in report["records"] if one.get("USER_DEFINED_ID") == "blood 2 cli batch"
    )
    head = "table_name\tbiosample\nformat\tupdate_value\nkey_columns\tbiosample_accession\ndata_columns\tname\n"
    (packhorse.work / "u.txt").write_text(f"{head}{accession}\tA better name\n")
    assert packhorse("immport", "batch-update", "u.txt", "--validate-only", *LAB).code == 0
    ran = packhorse("immport", "batch-update", "u.txt", *LAB)
    assert ran.code == 0, ran.said
    assert "Completed_Batch_Updater" in ran.out
    (packhorse.work / "u.txt").write_text(f"{head}BS5\tA better name\n")
    ran = packhorse("immport", "batch-update", "u.txt", *LAB)
    assert ran.code == 1
    assert "'BS5' is no biosample of this workspace" in ran.out


def test_templates_and_workspaces(packhorse: Typist) -> None:
    ran = packhorse("immport", "workspaces", "--via", "lab")
    assert ran.code == 0
    assert "LSR" in ran.out
    assert "TEST" in ran.out
    ran = packhorse("immport", "templates", "--via", "lab")
    assert ran.code == 0, ran.said
    with zipfile.ZipFile(packhorse.work / "immport-templates.zip") as archive:
        assert "txt-templates/bioSamples.txt" in archive.namelist()
    again = packhorse("immport", "templates", "--via", "lab")
    one_error(again, 1, "is there already", "--overwrite")
    ran = packhorse("immport", "templates", "--batch", "--to", "b.zip", "--via", "lab", "--quiet")
    assert (ran.code, ran.out) == (0, "b.zip\n")


def test_offline_only_reserves_a_ticket(packhorse: Typist) -> None:
    ran = packhorse("immport", "upload", "huge.zip", "--offline", "--via", "lab", "--json")
    assert ran.code == 0, ran.said
    (ticket,) = ran.events("ticket")
    assert ticket["status"] == "Pending"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["upload", "nothing.zip"], 2, ["nothing.zip cannot be read"]),
        (["ticket", "demo_20200101_99999999"], 4, ["no ticket", "packhorse immport ticket"]),
        (["ticket", "nonsense"], 2, ["is no ticket"]),
        (["validate", "a.txt", "--workspace", "7777777"], 2, ["no workspace of yours", "--workspace NUMBER"]),
        (["validate", "a.txt", "b/A.txt"], 2, ["have one name"]),
        (["validate", "a.zip", "--name", "x"], 2, ["has no other name"]),
    ],
)
def test_bad_input(packhorse: Typist, arguments: list[str], code: int, words: list[str]) -> None:
    (packhorse.work / "b").mkdir()
    for name in ("a.txt", "b/A.txt", "a.zip"):
        (packhorse.work / name).write_text(SAMPLES)
    ran = packhorse("immport", *arguments, "--via", "lab")
    assert ran.code == code, ran.said
    for word in words:
        assert word in ran.err, ran.err


def test_without_a_credential_it_is_exit_3_and_other_remotes_take_nothing(packhorse: Typist) -> None:
    (packhorse.work / "a.txt").write_text(SAMPLES)
    ran = packhorse("immport", "validate", "a.txt", "--via", "lab", env={"PACKHORSE_LAB_TOKEN": ""})
    assert ran.code == 3, ran.said
    ran = packhorse("immport", "validate", "a.txt", "--via", "flow")
    one_error(ran, 2, "flow takes no submissions")
