"""Which of the words of ``packhorse get`` are addresses, and which is the destination. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from packhorse.errors import UsageError

__all__ = ["addresses_in", "looks_like_address", "split_destination"]

# at least two characters before the colon: ``C:\data`` is a path
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]+:.*", re.DOTALL)


def looks_like_address(word: str) -> bool:
    r"""Whether a word is written ``remote:path`` or as a URL.

    >>> [looks_like_address(w) for w in ("flow:data/789", "https://x/y", "downloads/", r"C:\data", "./a:b", "SDY1")]
    [True, True, False, False, False, False]
    """
    return _ADDRESS.fullmatch(word) is not None


def split_destination(words: Sequence[str], to: str | None, listed: Sequence[str] = ()) -> tuple[list[str], str]:
    """The addresses and the destination, each address once, in the order given.

    As with ``cp``, the last word is the destination if it is not written as an address and something else is left to
    fetch; ``--to`` says it outright. Without either, files land here. Raises :class:`UsageError`.

    >>> split_destination(["flow:data/789", "downloads/"], None)
    (['flow:data/789'], 'downloads/')
    >>> split_destination(["flow:data/789", "flow:data/790"], None)
    (['flow:data/789', 'flow:data/790'], '.')
    >>> split_destination(["/mnt/a.gz"], "copy/")
    (['/mnt/a.gz'], 'copy/')
    >>> split_destination(["downloads/"], None, ["flow:data/789"])
    (['flow:data/789'], 'downloads/')
    """
    words, destination = list(words), to
    if destination is None and words and len(words) + len(listed) > 1 and not looks_like_address(words[-1]):
        destination = words.pop()
    if destination == "":
        raise UsageError("the destination is empty", hint="name a directory, or leave it out for this one")
    addresses = list(dict.fromkeys([*words, *listed]))
    if not addresses:
        raise UsageError("nothing to get", hint="packhorse get flow:data/789 downloads/")
    if any(not address.strip() for address in addresses):
        raise UsageError("an address is empty", hint="packhorse get flow:data/789 downloads/")
    return addresses, destination or "."


def addresses_in(lines: Iterable[str]) -> list[str]:
    """The addresses of a ``--from`` file: one a line, empty lines and lines that begin with ``#`` left out.

    >>> addresses_in(["# my data", "flow:data/789 ", "", "https://example.org/a#part"])
    ['flow:data/789', 'https://example.org/a#part']
    """
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]
