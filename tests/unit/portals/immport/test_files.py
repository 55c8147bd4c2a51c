"""Files of a fake ImmPort through the engine: listing, filters, the store and the stream, what is refused and lost."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from packhorse.errors import (
    AddressError,
    AuthenticationError,
    ExitCode,
    NotFoundError,
    PermissionDeniedError,
    UsageError,
)
from packhorse.model import ProofLevel
from packhorse.transfer.events import Event, Retried

from .conftest import MakePortal, everything, fetch, on_engine
from .fake import Call, FakeImmPort

BIG = hashlib.shake_256(b"big").digest(5 * 1024 * 1024 + 17)


def filled(fake: FakeImmPort) -> FakeImmPort:
    fake.add("SDY1/ResultFiles/Flow_cytometry_result/a.1.fcs", b"one" * 1000, subjects=("SUB1", "SUB2"))
    fake.add("SDY1/ResultFiles/Flow_cytometry_result/b.2.fcs", b"two" * 1000, subjects=("SUB2",))
    fake.add("SDY1/StudyFiles/plan.3.pdf", b"plan", kind="study_file")
    fake.add("SDY1/SDY1-DR25_Tab.zip", b"zip", kind="release_file")
    fake.add("SDY2/StudyFiles/other.4.pdf", b"other", kind="study_file")
    return fake


def test_a_study_arrives_with_the_manifests_digest_as_proof(
    fake: FakeImmPort, portal: MakePortal, tmp_path: Path
) -> None:
    filled(fake)
    lab = portal()
    outcome = fetch(lab, "SDY1", tmp_path / "out")
    assert not outcome.failed
    assert {file.proof.level for file in outcome.placed} == {ProofLevel.MD5}
    assert (tmp_path / "out/SDY1/ResultFiles/Flow_cytometry_result/a.1.fcs").read_bytes() == b"one" * 1000
    assert len(outcome.placed) == 4
    assert len(fake.called("/auth/token")) == 1, "one sign-in for everything"
    assert all("authorization" not in call.headers for call in fake.store_calls)
    before = len(fake.store_calls)
    again = fetch(portal(), "SDY1", tmp_path / "out")
    assert all(file.reused for file in again.placed)
    assert len(fake.store_calls) == before


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("SDY1/ResultFiles", ["a.1.fcs", "b.2.fcs"]),
        ("/SDY1/ResultFiles/", ["a.1.fcs", "b.2.fcs"]),
        ("sdy1?fileType=study_file", ["plan.3.pdf"]),
        ("SDY1?type=study,release", ["SDY1-DR25_Tab.zip", "plan.3.pdf"]),
        ("SDY1?pattern=*.pdf", ["plan.3.pdf"]),
        ("SDY1/ResultFiles?subject=SUB1", ["a.1.fcs"]),
        ("SDY1?subjectAccession=SUB2&pattern=b*", ["b.2.fcs"]),
    ],
)
@pytest.mark.parametrize("generation", [1, 3])
def test_places_and_filters(
    fake: FakeImmPort, portal: MakePortal, address: str, names: list[str], generation: int
) -> None:
    filled(fake).generation = generation
    items = on_engine(everything(portal().items(address)))
    assert sorted(item.path.rpartition("/")[2] for item in items) == names
    assert all((item.digest("md5") is not None) == (generation == 3) for item in items)


def test_what_ls_shows(fake: FakeImmPort, portal: MakePortal) -> None:
    filled(fake)
    lab = portal()

    def names(path: str) -> list[str]:
        return [entry.name for entry in on_engine(everything(lab.entries(path)))]

    assert names("") == ["SDY1", "SDY2"]
    assert names("SDY1") == ["ResultFiles", "StudyFiles", "SDY1-DR25_Tab.zip"]
    entries = on_engine(everything(lab.entries("SDY1/ResultFiles/Flow_cytometry_result")))
    assert entries[0].address == "lab:SDY1/ResultFiles/Flow_cytometry_result/a.1.fcs"
    assert entries[0].size == 3000
    assert on_engine(lab.describe("SDY1"))["title"] == "A study"
    assert on_engine(lab.describe("SDY1/ResultFiles")) == {"path": "SDY1/ResultFiles", "files": 2, "size": 6000}
    described = on_engine(lab.describe("SDY1/StudyFiles/plan.3.pdf"))
    assert described["md5"] == hashlib.md5(b"plan").hexdigest()


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("SDYX", AddressError, "no study accession"),
        ("SDY1/../SDY2", AddressError, "no '..'"),
        ("SDY1/a\nb", AddressError, "line break"),
        ("SDY1'; drop", AddressError, "no study accession"),
        ("SDY1?gendr=Male", UsageError, "did you mean 'gender'"),
        ("SDY1?fileType=resultfile", UsageError, "did you mean 'result_file'"),
        ("SDY1?minSubjectAge=old", UsageError, "is a number"),
        ("?fileType=all", AddressError, "a study in front"),
        ("SDY77", NotFoundError, "no files, or there is no such study"),
        ("SDY1/ResultFile", NotFoundError, "did you mean 'SDY1/ResultFiles'"),
        ("SDY1?subject=SUB9", NotFoundError, "as the filters ask"),
    ],
)
def test_bad_addresses_are_said(
    fake: FakeImmPort, portal: MakePortal, address: str, error: type[Exception], said: str
) -> None:
    filled(fake)
    with pytest.raises(error, match=said):
        on_engine(everything(portal().items(address)))
    if error is not NotFoundError:
        assert fake.calls == [], "nothing is asked of the server"


def test_a_cut_in_the_middle_goes_on(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    fake.cut_after = 700_000
    fake.add("SDY1/ResultFiles/x/big.fcs", BIG)
    outcome = fetch(portal(), "SDY1", tmp_path)
    assert outcome.placed[0].proof.level is ProofLevel.MD5
    assert (tmp_path / "SDY1/ResultFiles/x/big.fcs").read_bytes() == BIG


def test_addresses_that_are_over_are_renewed(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    fake.store_refuses = 1
    fake.add("SDY1/ResultFiles/x/big.fcs", BIG)
    outcome = fetch(portal(), "SDY1", tmp_path)
    assert not outcome.failed
    assert len(fake.called("/drs/download/s3")) == 2
    assert not fake.called("/drs/download/stream")


def test_what_the_store_lacks_comes_by_the_stream(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    for unsigned in (False, True):
        fake.unsigned_stream = unsigned
        fake.add(f"SDY1/ResultFiles/x/{unsigned}.fcs", BIG, lost=True)
        outcome = fetch(portal(), f"SDY1/ResultFiles/x/{unsigned}.fcs", tmp_path)
        assert not outcome.failed
    assert all("authorization" in call.headers for call in fake.called("/drs/bytes") if "token" not in call.query)
    assert all("authorization" not in call.headers for call in fake.called("/drs/bytes") if "token" in call.query)


def test_a_service_without_a_store(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    fake.no_store = True
    fake.add("SDY1/ResultFiles/x/a.fcs", b"small")
    for number in range(5):
        fake.add(f"SDY1/ResultFiles/x/{number}.fcs", b"small" * number)
    lab = portal()
    assert not fetch(lab, "SDY1", tmp_path, jobs=1).failed
    assert len(fake.called("/drs/download/s3")) < 6, "it is not asked for every file"


def test_restricted_and_missing_are_told_apart(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    fake.add("SDY1/ResultFiles/x/closed.fcs", b"closed", restricted=True)
    fake.add("SDY1/ResultFiles/x/gone.fcs", BIG, gone=True)
    lab = portal()
    closed = fetch(lab, "SDY1/ResultFiles/x/closed.fcs", tmp_path)
    assert isinstance(closed.failed[0].error, PermissionDeniedError)
    assert "restricted" in closed.failed[0].error.message
    assert closed.exit_code is ExitCode.FAILED
    gone = fetch(lab, "SDY1/ResultFiles/x/gone.fcs", tmp_path)
    assert isinstance(gone.failed[0].error, NotFoundError)
    assert gone.exit_code is ExitCode.NOT_FOUND
    assert not list(tmp_path.rglob("*.fcs"))


def test_a_store_that_refuses_for_ever(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    fake.store_refuses = 10_000
    fake.add("SDY1/ResultFiles/x/a.fcs", BIG)
    assert not fetch(portal(), "SDY1", tmp_path).failed, "the stream brings it"
    assert len(fake.store_calls) < 40


def test_wrong_bytes_are_not_placed(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    fake.add("SDY1/ResultFiles/x/a.fcs", BIG, md5="0" * 32)
    outcome = fetch(portal(), "SDY1", tmp_path)
    assert outcome.failed[0].error.code == "integrity"
    assert not list(tmp_path.rglob("*.fcs"))


def test_names_from_the_server_are_hostile(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    fake.add("SDY1/../../../etc/x.fcs", b"up")
    fake.add("SDY1/ResultFiles/$(touch y)/';'.fcs", b"shell")
    outcome = fetch(portal(), "SDY1", tmp_path / "out")
    assert not outcome.failed
    assert all((tmp_path / "out") in file.target.parents for file in outcome.placed)
    assert not (tmp_path / "y").exists()


def test_tokens_of_a_minute_are_renewed_in_the_middle(fake: FakeImmPort, portal: MakePortal, tmp_path: Path) -> None:
    fake.add("SDY1/ResultFiles/x/a.fcs", b"a")
    revoked = []

    def revoke(call: Call) -> None:
        if "/drs/download/" in call.path and not revoked:
            revoked.append(True)
            fake.tokens.clear()

    fake.before = revoke
    fake.add("SDY1/ResultFiles/x/b.fcs", b"b")
    outcome = fetch(portal(), "SDY1", tmp_path)
    assert not outcome.failed
    assert len(fake.called("/auth/token")) == 2


def test_without_a_sign_in_it_says_how(fake: FakeImmPort, portal: MakePortal) -> None:
    filled(fake)
    with pytest.raises(AuthenticationError, match="not signed in") as caught:
        on_engine(everything(portal({}).items("SDY1")))
    assert "packhorse login lab" in (caught.value.hint or "")
    assert "/auth/api/keys" in (caught.value.hint or "")


def test_a_restricted_study_is_said(fake: FakeImmPort, portal: MakePortal) -> None:
    def closed(call: Call) -> object:
        if "manifest" not in call.path:
            return None
        return 403, {"Content-Type": "application/json"}, b'{"status":403,"message":"SDY1 is restricted"}'

    fake.before = closed
    with pytest.raises(PermissionDeniedError, match="SDY1 is restricted"):
        on_engine(everything(portal().items("SDY1")))


def test_a_large_file_is_retried_quietly_when_the_store_is_busy(
    fake: FakeImmPort, portal: MakePortal, tmp_path: Path
) -> None:
    fake.add("SDY1/ResultFiles/x/a.fcs", BIG)
    fake.cut_after = 0
    events: list[Event] = []
    assert not fetch(portal(), "SDY1", tmp_path, events=events).failed
    assert any(isinstance(event, Retried) for event in events)
