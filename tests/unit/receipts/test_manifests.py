"""Manifests, checked by the real sha256sum and md5sum where they are."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import DestinationError, IntegrityError, UsageError
from packhorse.model import Digest, Item, Proof, ProofLevel
from packhorse.receipts.manifests import ManifestLine, parse, render, write_manifest, write_manifests
from packhorse.transfer.options import Outcome, PlacedFile

TOOLS = {"sha256": "sha256sum", "md5": "md5sum"}
HOSTILE = [
    "plain.gz",
    "with space.gz",
    "back\\slash",
    "line\nfeed",
    "return\rhere",
    " lead",
    "trail ",
    "*star",
    "数据.gz",
    "-dash",
    "#hash",
]


def line(folder: Path, name: str, algorithm: str, content: bytes) -> ManifestLine:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return ManifestLine(name, Digest(algorithm, hashlib.new(algorithm, content).hexdigest()))


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_the_real_tool_accepts_hostile_names_and_sees_a_flipped_byte(tmp_path: Path, algorithm: str) -> None:
    tool = shutil.which(TOOLS[algorithm])
    if tool is None:
        pytest.skip(f"{TOOLS[algorithm]} is missing: install coreutils")
    lines = [line(tmp_path, name, algorithm, name.encode()) for name in [*HOSTILE, "sub/dir/x"]]
    manifest = write_manifest(tmp_path, lines, algorithm)
    check = [tool, "--check", "--strict", manifest.name]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": OK") == len(lines)
    (tmp_path / "line\nfeed").write_bytes(b"other")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


names = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(st.dictionaries(names, st.binary(min_size=16, max_size=16), max_size=8))
def test_what_is_rendered_is_parsed_again_in_byte_order(files: dict[str, bytes]) -> None:
    lines = [ManifestLine(name, Digest("md5", value.hex())) for name, value in files.items()]
    text = render(lines)
    assert sorted(lines, key=lambda line: line.path.encode()) == parse(text, "md5")
    assert "\r" not in text
    assert text.count("\n") == len(lines)


@pytest.mark.parametrize("text", ["hello\n", "0" * 32 + "\n", "0" * 32 + " a\n", "0" * 31 + "  a\n"])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"line|digest"):
        parse(text, "md5")


def test_an_older_manifest_keeps_the_lines_of_files_that_are_still_there(tmp_path: Path) -> None:
    write_manifest(tmp_path, [line(tmp_path, "a", "md5", b"a"), line(tmp_path, "b", "md5", b"b")], "md5")
    (tmp_path / "b").unlink()
    path = write_manifest(tmp_path, [line(tmp_path, "c", "md5", b"c")], "md5")
    assert [entry.path for entry in parse(path.read_text(), "md5")] == ["a", "c"]
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_somebody_elses_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "MD5SUMS").write_text("these are my notes\n")
    path = write_manifest(tmp_path, [line(tmp_path, "a", "md5", b"a")], "md5")
    assert path.name == "MD5SUMS.packhorse"
    assert (tmp_path / "MD5SUMS").read_text() == "these are my notes\n"


def test_a_fetched_file_of_that_name_is_left_alone_and_listed(tmp_path: Path) -> None:
    fetched = line(tmp_path, "SHA256SUMS", "sha256", b"0" * 64 + b"  x\n")
    path = write_manifest(tmp_path, [fetched], "sha256")
    assert path.name == "SHA256SUMS.packhorse"
    assert (tmp_path / "SHA256SUMS").read_bytes() == b"0" * 64 + b"  x\n"


def placed(target: Path, *, proof: Proof) -> PlacedFile:
    return PlacedFile(Item("flow", "1", target.name), target, target.stat().st_size, proof, reused=True)


def test_a_digest_that_was_not_made_on_the_way_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    md5 = Digest("md5", hashlib.md5(b"abc").hexdigest())
    outcome = Outcome(tmp_path, [placed(tmp_path / "a", proof=Proof(ProofLevel.MD5, md5))])
    both = write_manifests(tmp_path, outcome, ["sha256", "md5"])
    assert [path.name for path in both] == ["SHA256SUMS", "MD5SUMS"]
    assert both[0].read_text() == f"{hashlib.sha256(b'abc').hexdigest()}  a\n"


def test_a_receipt_never_certifies_a_file_that_changed_since_it_was_proven(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abX")
    md5 = Digest("md5", hashlib.md5(b"abc").hexdigest())
    outcome = Outcome(tmp_path, [placed(tmp_path / "a", proof=Proof(ProofLevel.MD5, md5))])
    with pytest.raises(IntegrityError):
        write_manifests(tmp_path, outcome, ["sha256"])
    assert not (tmp_path / "SHA256SUMS").exists()


def test_an_exact_file_name_has_its_manifest_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    sha = Digest("sha256", hashlib.sha256(b"abc").hexdigest())
    outcome = Outcome(tmp_path / "a", [placed(tmp_path / "a", proof=Proof(ProofLevel.SHA256, sha))])
    (path,) = write_manifests(outcome.destination, outcome)
    assert path == tmp_path / "SHA256SUMS"


def test_wrong_algorithm_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_manifest(tmp_path, [], "crc32")
    with pytest.raises(DestinationError):
        write_manifest(tmp_path / "no", [], "md5")
