"""The command line of ``ascp`` 3.9, read as it reads it (spec immport §3.4, §5.2).

Only what receiving needs is kept; the other options are read, so that old command lines go through, and change
nothing here: rates and ciphers of a protocol that we do not speak.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["AscpError", "AscpOptions", "Source", "parse_ascp", "read_lines", "read_pairs"]

_FLAGS: Final = frozenset("hATdpqv6QrD")
_VALUES: Final = frozenset("lmuiwKkZgGLRSeOPCNEfW@XcyYItxM")
_LONG_FLAGS: Final = frozenset(
    (
        "help", "version", "remove-after-transfer", "remove-empty-directories", "remove-empty-source-directory",
        "save-before-overwrite", "skip-special-files", "precalculate-job-size", "preserve-file-owner-uid",
        "preserve-file-owner-gid", "allow-password-prompt", "ignore-host-key", "apply-local-docroot",
        "delete-before-transfer", "no-read", "no-write", "keepalive", "move-to-trash",
    )
)  # fmt: skip
_LONG_VALUES: Final = frozenset(
    (
        "mode", "user", "host", "policy", "file-list", "file-pair-list", "source-prefix", "symbolic-links",
        "move-after-transfer", "file-manifest", "file-manifest-path", "file-manifest-inprogress-suffix", "overwrite",
        "file-crypt", "file-checksum", "partial-file-suffix", "src-base", "proxy", "check-sshfp", "preserve-xattrs",
        "remote-preserve-xattrs", "preserve-acls", "remote-preserve-acls", "multi-session-threshold",
        "tags", "retry-timeout",
    )
)  # fmt: skip
_OVERWRITE: Final = ("never", "always", "older", "diff", "diff+older")
_RATE: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([gmkGMK]?)", re.ASCII)
_UNITS: Final = {"g": 10**9, "m": 10**6, "k": 10**3, "": 1}


class AscpError(Exception):
    """A command line that cannot be meant; ``text`` is what ``ascp`` says, ``exit_code`` what it ends with."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.text, self.exit_code = text, exit_code


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder of the server, or one of this machine (``host`` is ``None``)."""

    path: str
    host: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class AscpOptions:
    """What a command line asks for. ``rate`` in bits per second; ``help`` and ``version`` want nothing else."""

    sources: tuple[Source, ...] = ()
    destination: str = ""
    host: str | None = None
    user: str | None = None
    send: bool = False
    token: str | None = field(default=None, repr=False)
    key: str | None = None
    log_dir: str | None = None
    rate: int | None = None
    overwrite: str = "diff"
    resume: int = 0
    make_folder: bool = False
    preserve_times: bool = False
    quiet: bool = False
    verbose: bool = False
    file_list: str | None = None
    file_pair_list: str | None = None
    source_prefix: str = ""
    src_base: str | None = None
    management: int | None = None
    remove_source: bool = False
    help: bool = False
    version: bool = False


def parse_ascp(argv: Sequence[str]) -> AscpOptions:
    """Read a command line (without the program's name). Raises :class:`AscpError`.

    >>> read = parse_ascp(["-QTr", "-O33001", "--user=databrowser", "-W", "t", "host:SDY1/a.fcs", "out"])
    >>> read.sources, read.destination, read.user
    ((Source(path='SDY1/a.fcs', host='host', user=None),), 'out', 'databrowser')
    """
    if not argv:
        raise AscpError("", 112)
    given, words = _split(argv)
    if "h" in given or "help" in given or "A" in given or "version" in given:
        return AscpOptions(help="h" in given or "help" in given, version="A" in given or "version" in given)
    for letter, low, high in (("O", 0, 65535), ("P", 0, 65535), ("M", 1, 65535)):
        _number(given.get(letter), f"argument to -{letter} must be in the range {low}..{high}", low, high)
    resume = _number(given.get("k"), "argument to -k must be 0, 1, 2, or 3", 0, 3)
    rate = _rate(given.get("l"), "-l")
    _rate(given.get("m"), "-m")
    overwrite = given.get("overwrite") or "diff"
    if overwrite not in _OVERWRITE:
        raise AscpError(f"bad argument to --overwrite: {overwrite}")
    mode = given.get("mode")
    if mode not in (None, "send", "recv"):
        raise AscpError("bad argument to --mode: send or recv")
    lists = [name for name in ("file-list", "file-pair-list") if name in given]
    if len(lists) == 2:
        raise AscpError("--file-list and --file-pair-list cannot be joined")
    if not words or (len(words) < 2 and not lists):
        raise AscpError("usage: a source and a destination are needed")
    *before, destination = words
    if lists and before:
        raise AscpError(f"sources stand in the list of --{lists[0]}, and cannot be given beside it")
    host = given.get("host")
    sources = tuple(Source(word, host) if host or mode == "send" else _source(word) for word in before)
    return AscpOptions(
        sources=sources,
        destination=destination,
        host=host,
        user=given.get("user"),
        send=mode == "send" or (mode is None and not lists and all(source.host is None for source in sources)),
        token=given.get("W"),
        key=given.get("i"),
        log_dir=given.get("L"),
        rate=rate,
        overwrite=overwrite,
        resume=resume or 0,
        make_folder="d" in given,
        preserve_times="p" in given,
        quiet="q" in given,
        verbose="v" in given,
        file_list=given.get("file-list"),
        file_pair_list=given.get("file-pair-list"),
        source_prefix=given.get("source-prefix") or "",
        src_base=given.get("src-base"),
        management=_number(given.get("M"), "argument to -M must be a port", 1, 65535),
        remove_source="remove-after-transfer" in given or "move-after-transfer" in given,
    )


def _split(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Options by letter or name, and the words between them, as ``getopt_long`` finds them."""
    given: dict[str, str] = {}
    words: list[str] = []
    waiting = list(reversed(argv))
    while waiting:
        word = waiting.pop()
        if word == "--":
            words.extend(reversed(waiting))
            break
        if word.startswith("--"):
            _long(word, waiting, given)
        elif word.startswith("-") and word != "-":
            _cluster(word, waiting, given)
        else:
            words.append(word)
    return given, words


def _cluster(word: str, waiting: list[str], given: dict[str, str]) -> None:
    rest = word[1:]
    while rest:
        letter, rest = rest[0], rest[1:]
        if letter in _FLAGS:
            given[letter] = ""
        elif letter in _VALUES:
            if not rest and not waiting:
                raise AscpError(f"option requires an argument -- '{letter}'")
            given[letter] = rest or waiting.pop()
            return
        else:
            raise AscpError(f"invalid option -- '{letter if letter.isprintable() else '?'}'")


def _long(word: str, waiting: list[str], given: dict[str, str]) -> None:
    name, joined, value = word[2:].partition("=")
    if name not in _LONG_FLAGS and name not in _LONG_VALUES:
        near = [known for known in (*_LONG_FLAGS, *_LONG_VALUES) if name and known.startswith(name)]
        if len(near) != 1:
            shown = "".join(sign if sign.isprintable() else "?" for sign in name[:80])
            raise AscpError(f"{'ambiguous' if near else 'unrecognized'} option `--{shown}'")
        name = near[0]
    if name in _LONG_FLAGS:
        if joined:
            raise AscpError(f"option `--{name}' doesn't allow an argument")
        given[name] = ""
        return
    if not joined:
        if not waiting:
            raise AscpError(f"option `--{name}' requires an argument")
        value = waiting.pop()
    given[name] = value


def _number(text: str | None, words: str, low: int, high: int) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not low <= int(text) <= high:
        raise AscpError(words)
    return int(text)


def _rate(text: str | None, option: str) -> int | None:
    """Bits per second.

    >>> _rate("500m", "-l")
    500000000
    """
    if text is None:
        return None
    found = _RATE.fullmatch(text)
    if found is None:
        raise AscpError(f"bad numeric suffix in the argument to {option}: a rate is 10m, 500k or 1g")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _source(word: str) -> Source:
    """``[user@]host:path``, where an IPv6 address stands in brackets; anything else is a path of this machine."""
    match = re.fullmatch(r"(?:([^@:/\s]+)@)?(\[[0-9A-Fa-f:.]+\]|[^:/\[\]\s]+):(.*)", word, re.DOTALL)
    if match is None:
        return Source(word)
    return Source(match[3], match[2], match[1])


def read_pairs(text: str) -> list[tuple[str, str]]:
    """The lines of a file-pair-list: source, destination, source, …; empty lines and comments do not count.

    Raises :class:`AscpError` for one line too few.

    >>> read_pairs("SDY1/a b.fcs\\n./SDY1/a b.fcs\\n")
    [('SDY1/a b.fcs', './SDY1/a b.fcs')]
    """
    lines = read_lines(text)
    if len(lines) % 2:
        raise AscpError("the file pair list has a source without a destination at its end")
    return list(zip(lines[::2], lines[1::2], strict=True))


def read_lines(text: str) -> list[str]:
    """The lines of a file-list."""
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip() and not line.startswith("#")]
