"""``ascp``'s command lines (spec immport §3.4, §5.2, §5.3)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.wire.immport.ascp import AscpError, Source, parse_ascp, read_lines, read_pairs
from packhorse.wire.immport.ascplines import closing_lines, file_line
from packhorse.wire.immport.asperatoken import build_token, read_token


@pytest.mark.parametrize(
    "line",
    [
        "-v -L OUT -i KEY -O 33001 -P 33001 -W TOKEN --user databrowser -p HOST:PATH OUT",
        "-v -L OUT -i KEY -O33001 -P33001 -W TOKEN --user=databrowser -p HOST:PATH OUT",
        "-vp -LOUT -iKEY -O33001 -P33001 -WTOKEN databrowser@HOST:PATH OUT",
        "HOST:PATH OUT -vpL OUT -iKEY -k1 -QTr -l 500m -m0 -W TOKEN --user=databrowser",
        "-p --host=HOST --mode recv -L OUT -v -i KEY --user databrowser -W TOKEN -- PATH OUT",
        "-6Dv -p -LOUT -iKEY -WTOKEN --use databrowser HOST:PATH OUT",
    ],
)
def test_every_way_to_write_it_means_the_same(line: str) -> None:
    read = parse_ascp(line.split())
    assert [(source.path, source.host) for source in read.sources] == [("PATH", "HOST")]
    assert (read.destination, read.log_dir, read.key, read.token) == ("OUT", "OUT", "KEY", "TOKEN")
    assert (read.user or read.sources[0].user) == "databrowser"
    assert read.verbose
    assert read.preserve_times
    assert not read.send


def test_the_download_tool_s_line() -> None:
    line = "-v -L LOG -i KEY -O 33001 -P 33001 -W T --user=databrowser --host=H --mode=recv -p --file-pair-list=FILE ."
    read = parse_ascp(line.split())
    assert (read.file_pair_list, read.destination, read.sources, read.host) == ("FILE", ".", (), "H")


def test_rates_and_resume() -> None:
    read = parse_ascp(["-QTr", "-l", "500m", "-k1", "-d", "u@h:/a/b", "."])
    assert (read.rate, read.resume, read.make_folder) == (500_000_000, 1, True)
    assert read.sources == (Source("/a/b", "h", "u"),)
    assert parse_ascp(["-l1.5G", "h:a", "."]).rate == 1_500_000_000
    assert parse_ascp(["-l", "10", "h:a", "."]).rate == 10


def test_paths_are_taken_whole() -> None:
    path = 'SDY1/it\'s "a" $(b); c:d @e\n'
    assert parse_ascp(["h:" + path, "o u t"]).sources == (Source(path, "h"),)
    assert parse_ascp(["[::1]:a:b", "o"]).sources == (Source("a:b", "[::1]"),)
    assert parse_ascp(["--mode=recv", "--host=h", path, "o"]).sources == (Source(path, "h"),)
    assert parse_ascp(["./a:b", "h:x"]).send


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-k 9 h:a .", "argument to -k must be 0, 1, 2, or 3"),
        ("-kx h:a .", "argument to -k must be 0, 1, 2, or 3"),
        ("-k -1 h:a .", "argument to -k must be 0, 1, 2, or 3"),
        ("-O 65536 h:a .", "range 0..65535"),
        ("-P 1e3 h:a .", "range 0..65535"),
        ("-l 10q h:a .", "bad numeric suffix"),
        ("-l -10 h:a .", "bad numeric suffix"),
        ("--overwrite=maybe h:a .", "bad argument to --overwrite"),
        ("--mode=both h:a .", "bad argument to --mode"),
        ("--x h:a .", "unrecognized option `--x'"),
        ("--x=1 h:a .", "unrecognized option `--x'"),
        ("--file h:a .", "ambiguous option `--file'"),
        ("--version=1 h:a .", "doesn't allow an argument"),
        ("h:a . --user", "option `--user' requires an argument"),
        ("h:a . -W", "option requires an argument -- 'W'"),
        ("-! h:a .", "invalid option -- '!'"),
        ("h:a", "a source and a destination are needed"),
        ("-v", "a source and a destination are needed"),
        ("--file-list=a --file-pair-list=b .", "cannot be joined"),
        ("--file-list=a h:b .", "cannot be given beside it"),
    ],
)
def test_what_cannot_be_meant_is_said(line: str, words: str) -> None:
    with pytest.raises(AscpError) as caught:
        parse_ascp(line.split())
    assert words in caught.value.text
    assert caught.value.exit_code == 1


def test_nothing_at_all_is_112_and_help_wants_nothing_else() -> None:
    with pytest.raises(AscpError) as caught:
        parse_ascp([])
    assert caught.value.exit_code == 112
    assert parse_ascp(["-h"]).help
    assert parse_ascp(["--version", "-v"]).version


def test_lists() -> None:
    assert read_pairs("a\r\nb\r\n\n# no\nc d\n./c d") == [("a", "b"), ("c d", "./c d")]
    assert read_lines("a\n\nb\n") == ["a", "b"]
    with pytest.raises(AscpError, match="source without a destination"):
        read_pairs("a\nb\nc\n")


def test_lines_are_as_the_documents_print_them() -> None:
    assert file_line("02054142.001.52644.fcs", 1523228) == (
        "02054142.001.52644.fcs                          100% 1487KB             --:--    "
    )
    assert closing_lines(1523228, 1.9, 3) == (
        "Completed: 1487K bytes transferred in 1 seconds",
        " (6413K bits/sec), in 3 files.",
    )


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    with contextlib.suppress(AscpError):
        parse_ascp(words)


@given(st.text(max_size=60), st.integers(0, 2**40))
def test_transfer_tokens_are_one_safe_word(grant: str, expires: int) -> None:
    token = build_token("https://host:8443", grant, expires, lambda text: "0" * 64)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=+/-")
    read = read_token(token)
    assert read is not None
    assert (read.url, read.grant, read.expires) == ("https://host:8443", grant, expires)


@given(st.text(alphabet="ATM2_abcXYZ019.-=", max_size=80))
def test_other_words_are_no_tokens(text: str) -> None:
    assert read_token("ATM2_" + text) is None


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "javascript:x", "//host", "https://", "https://u:p@host", 7, None]
)
def test_a_token_leads_only_to_web_servers(url: object) -> None:
    assert read_token(build_token(url, "g", 1, lambda text: "s")) is None  # type: ignore[arg-type]
