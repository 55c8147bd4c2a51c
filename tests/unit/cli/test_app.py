"""The command as a whole: help, unknown words, modes, broken pipes, and that every command says the same of itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import click
import pytest

from packhorse.cli.app import COMMANDS, packhorse_command
from packhorse.errors import NotFoundError
from packhorse.model import Digest, Item, Secret
from packhorse.transfer.portal import Entry

from .conftest import FakeSession, Ran

Run = Callable[..., Ran]


def commands(group: click.Group = packhorse_command, path: str = "packhorse") -> Iterator[tuple[str, click.Command]]:
    ctx = click.Context(group, info_name=path)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        assert found is not None
        yield f"{path} {name}", found
        if isinstance(found, click.Group):
            yield from commands(found, f"{path} {name}")


ALL = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_and_the_commands_agree(name: str) -> None:
    command = ALL[f"packhorse {name}"]
    assert command.name == name
    assert (command.help or "").strip()
    assert len(COMMANDS[name][1]) <= 62  # one line each at 80 columns


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_help_within_80_columns_and_an_example(
    path: str, packhorse: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = packhorse(*path.split()[1:], "--help")
    assert ran.code == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines() if not line.startswith("  packhorse ")) <= 80
    if not isinstance(ALL[path], click.Group):
        assert f"\n  {path}" in text or f"| {path}" in text, "an example"


@pytest.mark.parametrize("path", ALL)
def test_every_option_says_what_it_does(path: str) -> None:
    for parameter in ALL[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.endswith("."), parameter.help


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gte"], ["there is no command 'gte'", "hint: packhorse get"]),
        (["get", "--nope"], ["no such option '--nope'", "hint: packhorse get --help"]),
        (["ls"], ["missing argument 'ADDRESS'", "hint: packhorse ls --help"]),
        (["get", "flow:1", "--require", "sha1"], ["'sha1' is not one of"]),
        (["get", "flow:1", "--limit-rate", "fast"], ["not a rate"]),
        (["--json", "--quiet", "ls", "flow:"], ["cannot be joined"]),
        (["get", "flow:1", "--config", "/nonexistent/x"], ["does not exist"]),
        (["remote", "add", "HTTP", "flow", "https://x"], ["cannot be the name of a remote"]),
        (["remote", "add", "lab", "flow", "ftp://x"], ["must be an address that begins with https://"]),
        (["verify", "/nonexistent", "--md5", "zz"], ["--md5: not a md5 digest"]),
        (["login", "flow", "--token-stdin", "--password-stdin"], ["only one of"]),
    ],
)
def test_usage_errors_are_exit_2(packhorse: Run, arguments: list[str], words: list[str]) -> None:
    ran = packhorse(*arguments, session=FakeSession(get=NotFoundError("x")))
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert all(word in ran.err for word in words), ran.err
    assert "Traceback" not in ran.err


def test_options_before_and_after_the_command_mean_the_same(packhorse: Run) -> None:
    before, after = packhorse("--json", "remote", "list"), packhorse("remote", "list", "--json")
    assert before.objects == after.objects
    assert {line["event"] for line in before.objects} == {"remote"}


def test_the_session_is_closed_whatever_happens(packhorse: Run) -> None:
    for answer in ([], NotFoundError("x"), KeyboardInterrupt(), ZeroDivisionError()):
        session = FakeSession(ls=answer)
        packhorse("ls", "flow:", session=session)
        assert session.closed == 1


ENTRIES = [
    Entry("flow:samples/12", "Liver \x1b[31m1", "sample", details={"organism": "Hs"}),
    Entry(
        "flow:data/789", "reads.fastq.gz", "data", 2048, 1.5e9,
        Item("flow", "789", "reads.fastq.gz", 2048, (Digest("md5", "0" * 32),)),
    ),
]  # fmt: skip


def test_ls_in_three_modes(packhorse: Run) -> None:
    session = FakeSession(ls=ENTRIES)
    assert packhorse("ls", "flow:", session=session).out.splitlines() == [
        "name             kind     size  modified    stated  address",
        "Liver \\x1b[31m1  sample                             flow:samples/12",
        "reads.fastq.gz   data    2 KiB  2017-07-14  md5     flow:data/789",
        "2 entries, 2 KiB",
    ]
    assert packhorse("ls", "flow:", "-q", session=session).out == "flow:samples/12\nflow:data/789\n"
    objects = packhorse("ls", "flow:", "--json", session=session).objects
    assert [o["event"] for o in objects] == ["entry", "entry"]
    assert objects[1]["digests"] == ["md5:" + "0" * 32]


def test_info(packhorse: Run) -> None:
    record = {
        "id": "789",
        "size": 2048,
        "none": None,
        "owner": {"name": "Ada"},
        "tags": ["a"],
        "data": [{"id": 1, "size": 5}],
    }
    session = FakeSession(info=record)
    assert packhorse("info", "flow:data/789", session=session).out.splitlines() == [
        "id: 789", "size: 2,048 bytes (2 KiB)", "owner:", "  name: Ada", "tags: 1", "  - a", "data: 1", "  - 1  5 B",
    ]  # fmt: skip
    assert packhorse("info", "flow:data/789", "--json", session=session).objects[0]["record"] == record


def test_whoami_never_shows_a_secret(packhorse: Run) -> None:
    session = FakeSession(whoami={"username": "ada", "token": Secret("hunter2"), "rung": "environment"})
    for flags in ([], ["--json"], ["-q"]):
        ran = packhorse("whoami", "flow", *flags, session=session)
        assert "hunter2" not in ran.out + ran.err
        assert "ada" in ran.out


def test_login_without_a_terminal_says_how(packhorse: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    ran = packhorse("login", "flow", session=FakeSession(portal=None))
    assert (ran.code, "--password-stdin" in ran.err) == (2, True)


def test_login_reads_secrets_from_standard_input_only(packhorse: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    session = FakeSession(portal=None, login={"username": "ada", "stored": "/x/flow.json"})
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\n"))
    ran = packhorse("login", "flow", "--username", "ada", "--password-stdin", session=session)
    assert ran.out.splitlines() == ["signed in to flow as ada", "kept in /x/flow.json"]
    assert session.calls[-1] == ("login", ("flow", "ada", Secret("hunter2")), {"token": None, "store": "auto"})
    ran = packhorse("login", "flow", "--username", "ada", "--password", "hunter2", session=session)
    assert "warning: a password in the command line" in ran.err
    assert "hunter2" not in ran.err + ran.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(packhorse: Run, shell: str) -> None:
    ran = packhorse("completion", shell)
    assert ran.code == 0
    assert "_PACKHORSE_COMPLETE" in ran.out


def test_bash_completes_commands() -> None:
    environ = {**os.environ, "_PACKHORSE_COMPLETE": "bash_complete", "COMP_WORDS": "packhorse ver", "COMP_CWORD": "1"}
    code = "import sys; sys.argv=['packhorse']; from packhorse.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.stdout == "plain,verify\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = f"{sys.executable} -m packhorse.cli remote list --json | (exec 0<&-; sleep 0.3); echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() in ("0", "141")
    assert done.stderr == ""


def test_debug_shows_the_traceback(
    packhorse: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PACKHORSE_DEBUG", "1")
    packhorse("ls", "flow:", session=FakeSession(ls=ZeroDivisionError("secret")))
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_no_colour_where_none_is_wanted(packhorse: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" in packhorse("ls", "flow:", terminal=True, session=FakeSession(ls=ENTRIES)).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in packhorse("ls", "flow:", terminal=True, session=FakeSession(ls=ENTRIES)).out
